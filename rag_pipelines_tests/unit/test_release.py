"""A release can be cut from this tree: versions agree, and what is built holds all that is needed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rag_pipelines import __version__
from tools import release_check

ROOT = release_check.ROOT


def test_the_changelog_speaks_of_the_version_in_the_code() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[(.+?)\]", text, re.MULTILINE)[1] == __version__  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("## [1.0.0] - 2026-12-01\n", None),
        ("## [0.9.0] - 2026-12-01\n", "no heading"),
        ("## [1.0.0] - unreleased\n", "'unreleased'; a release has a date"),
        ("## [1.1.0] - unreleased\n\n## [1.0.0] - 2026-12-01\n", "newest heading of CHANGELOG.md is 1.1.0"),
    ],
)
def test_a_version_without_a_dated_newest_heading_is_not_tagged(text: str, problem: str | None) -> None:
    found = release_check.changelog_problems(text, "1.0.0")
    assert [problem in one for one in found] == ([] if problem is None else [True])


def test_a_built_wheel_holds_the_package_and_all_its_sql(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="needs hatchling, which the extra `dev` brings")
    needed = {
        str(path.relative_to(ROOT))
        for folder in ("rag_pipelines", "sql")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    needed = {re.sub(r"^sql/", "rag_pipelines/_sql/", path) for path in needed}
    assert {
        "rag_pipelines/_sql/objects/01_words.sql",
        "rag_pipelines/_sql/migrations/legacy/0001_initial.sql",
    } <= needed
    wheel, sdist = release_check.build(tmp_path)
    assert release_check.wheel_problems(wheel, needed) == []
    assert release_check.sdist_problems(sdist) == []
    assert release_check.wheel_problems(wheel, {*needed, "rag_pipelines/_sql/gone.sql"}) == [
        "the wheel lacks rag_pipelines/_sql/gone.sql"
    ]
