"""What users may rely on does not change unseen."""

from __future__ import annotations

from pathlib import Path

import rag_pipelines
from tools.public_api import LISTING, listing


def test_no_public_name_or_signature_changes_without_its_listing() -> None:
    committed = set(LISTING.read_text(encoding="utf-8").splitlines())
    now = set(listing().splitlines())
    hint = "a change of the public API: say so in CHANGELOG.md, then run `python -m tools.public_api`"
    assert (sorted(committed - now), sorted(now - committed)) == ([], []), hint


def test_type_checkers_are_told_that_the_package_is_typed() -> None:
    assert (Path(rag_pipelines.__file__).parent / "py.typed").is_file()
