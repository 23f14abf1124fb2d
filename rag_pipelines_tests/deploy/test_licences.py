"""Licences of what an installation brings: none that obliges, but for those that were decided on."""

from __future__ import annotations

import re
from importlib.metadata import distribution

import pytest

from tools import licences
from tools.licences import DECIDED, Licence, undecided

COPYLEFT = re.compile(r"\bGPL|AGPL|Affero|General Public License", re.IGNORECASE)


def test_base_requirements_bring_no_gpl_but_what_the_user_chose():
    found = {one.name: one for one in licences.licences()}
    assert {"dagster", "numpy", "pandas", "great-expectations"} <= found.keys(), (
        "what they bring is among them"
    )
    obliging = {name for name, one in found.items() if COPYLEFT.search(one.licence)}
    assert obliging <= {"psycopg", "psycopg-binary", "psycopg-pool", "pymupdf"}
    assert undecided(list(found.values())) == []


def test_what_images_bring_beside_was_decided_on():
    extras = ("archives", "aws-secrets", "k8s", "oauth", "postgres-storage", "s3", "serve", "vault")
    assert undecided(list(licences.licences(extras))) == []


@pytest.mark.parametrize(
    ("licence", "obliges"),
    [
        ("MIT", False),
        ("Apache-2.0 OR GPL-2.0-only", False),
        ("GPL-3.0-or-later", True),
        ("AGPL-3.0-only OR GPL-3.0-only", True),
        ("GNU Lesser General Public License v2 or later (LGPLv2+)", True),
        ("Mozilla Public License 2.0 (MPL 2.0)", False),
        ("", True),
    ],
)
def test_a_choice_obliges_only_where_each_of_it_does_and_silence_always(licence: str, obliges: bool):
    assert Licence("one", "1", licence).obliges is obliges


def test_a_package_under_the_gpl_that_nobody_decided_on_fails_the_command(monkeypatch, capsys):
    monkeypatch.setattr(licences, "_licence", lambda package: "GPL-3.0-only")
    assert licences.main([]) == 1
    said = capsys.readouterr()
    assert "decide about" in said.err
    assert "UNDECIDED" in said.out


def test_what_was_decided_on_is_still_there():
    for name in DECIDED:
        if name in ("inflate64", "multivolumefile", "py7zr", "pybcj", "pyppmd", "psycopg2-binary"):
            pytest.importorskip("py7zr")
            pytest.importorskip("psycopg2")
        assert distribution(name)
