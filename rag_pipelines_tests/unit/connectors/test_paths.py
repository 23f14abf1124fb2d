"""Path patterns against a plain oracle, and ids of names that are not Unicode."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.connectors.paths import (
    PathFilter,
    check_patterns,
    external_id,
    join_url,
    media_type,
    path_of,
)

names = st.text("ab.", min_size=1, max_size=3).filter(lambda name: name not in {".", ".."})
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
segments = st.just("**") | st.text("ab.*?", min_size=1, max_size=3).filter(lambda s: "**" not in s)
patterns = st.tuples(
    st.sampled_from(["", "/"]), st.lists(segments, min_size=1, max_size=3), st.sampled_from(["", "/"])
).map(lambda parts: parts[0] + "/".join(parts[1]) + parts[2])
patterns = patterns.filter(lambda pattern: not pattern.endswith("**/"))  # git disagrees there


def matches(pattern: str, path: str) -> bool:
    """The rules of PathFilter's docstring, written plainly: a leading part of the path fits."""
    folders_only = pattern.endswith("/")
    wanted = pattern.strip("/").split("/")
    if not pattern.startswith("/") and len(wanted) == 1:
        wanted = ["**", *wanted]
    parts = path.split("/")
    last = len(parts) - folders_only
    return any(fits(wanted, parts[:length]) for length in range(1, last + 1))


def fits(wanted: list[str], parts: list[str]) -> bool:
    if not wanted:
        return not parts
    if wanted[0] == "**":
        if len(wanted) == 1:
            return bool(parts)
        return any(fits(wanted[1:], parts[skipped:]) for skipped in range(len(parts)))
    if not parts:
        return False
    expression = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in wanted[0])
    return re.fullmatch(expression, parts[0]) is not None and fits(wanted[1:], parts[1:])


@given(st.lists(patterns, max_size=3), st.lists(patterns, max_size=3), st.booleans(), paths)
def test_a_file_is_wanted_as_the_plain_rules_say(
    include: list[str], exclude: list[str], hidden: bool, path: str
) -> None:
    expected = (
        (hidden or not any(part.startswith(".") for part in path.split("/")))
        and (not include or any(matches(pattern, path) for pattern in include))
        and not any(matches(pattern, path) for pattern in exclude)
    )
    assert PathFilter(include, exclude, hidden).wants(path) is expected


@given(st.lists(patterns, max_size=3), st.lists(patterns, max_size=3), st.booleans(), paths)
def test_no_folder_above_a_wanted_file_is_pruned(
    include: list[str], exclude: list[str], hidden: bool, path: str
) -> None:
    chosen = PathFilter(include, exclude, hidden)
    parts = path.split("/")
    if chosen.wants(path):
        assert all(chosen.enters("/".join(parts[:length])) for length in range(1, len(parts)))


@pytest.mark.parametrize(
    ("pattern", "path", "wanted"),
    [
        ("*.md", "a.md", True),
        ("*.md", "deep/down/a.md", True),
        ("*.md", "a.MD", False),
        ("/*.md", "deep/a.md", False),
        ("docs/*.md", "docs/a.md", True),
        ("docs/*.md", "other/docs/a.md", False),
        ("docs/", "docs/deep/a.pdf", True),
        ("docs/", "docs", False),
        ("docs/**/*.md", "docs/a.md", True),
        ("docs/**/*.md", "docs/x/y/a.md", True),
        ("**/drafts", "x/drafts/a.md", True),
        ("*.md", "line\nbreak/a.md", True),
        ("[ab].md", "b.md", True),
    ],
)
def test_the_documented_forms_of_a_pattern(pattern: str, path: str, wanted: bool) -> None:
    assert PathFilter([pattern]).wants(path) is wanted


@pytest.mark.parametrize("pattern", ["", "  ", "/", "!a.md", "# comment"])
def test_a_pattern_without_a_meaning_here_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="is not a path pattern"):
        check_patterns([pattern])


byte_paths = st.lists(
    st.binary(min_size=1, max_size=4).filter(lambda name: b"/" not in name and b"\0" not in name),
    min_size=1,
    max_size=3,
).map(b"/".join)


@given(byte_paths, byte_paths)
def test_two_files_never_share_an_id_and_every_id_is_utf8(first: bytes, second: bytes) -> None:
    if any(part in (b".", b"..") for path in (first, second) for part in path.split(b"/")):
        return
    ids = [external_id(path.decode("utf-8", "surrogateescape")) for path in (first, second)]
    assert (ids[0] == ids[1]) is (first == second)
    for identity, path in zip(ids, (first, second), strict=True):
        identity.encode()
        assert path_of(identity) == path.decode("utf-8", "surrogateescape")


def test_an_undecodable_name_is_readable_in_its_id() -> None:
    assert (
        external_id(b"docs/caf\xe9 100%.txt".decode("utf-8", "surrogateescape"))
        == "./docs/caf%E9%20100%25.txt"
    )
    assert external_id("docs/café.txt") == "docs/café.txt"


def test_a_url_is_percent_encoded_below_its_prefix() -> None:
    assert join_url("https://x.example/docs/", "a b/é?.md") == "https://x.example/docs/a%20b/%C3%A9%3F.md"


def test_the_media_type_is_a_hint_from_the_suffix() -> None:
    assert media_type("Read.ME.MD") == "text/markdown"
    assert media_type("report.pdf") == "application/pdf"
    assert media_type("Makefile") is None
    assert media_type(".md") is None
