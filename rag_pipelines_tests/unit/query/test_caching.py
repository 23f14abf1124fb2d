"""The memory of a cache: bounded by bytes and by age."""

from __future__ import annotations

from datetime import timedelta

from rag_pipelines.query.caching import Kept


def test_what_was_not_used_for_longest_leaves_first() -> None:
    kept = Kept[str](10, len)
    kept.put("a", "aaaa")
    kept.put("b", "bbbb")
    assert kept.get("a") == "aaaa"
    kept.put("c", "cccc")
    assert [kept.get(key) for key in "abc"] == ["aaaa", None, "cccc"]


def test_what_is_larger_than_the_whole_is_not_kept_and_takes_nothing_away() -> None:
    kept = Kept[str](10, len)
    kept.put("a", "aaaa")
    kept.put("b", "b" * 11)
    assert [kept.get(key) for key in "ab"] == ["aaaa", None]


def test_without_room_nothing_is_kept() -> None:
    kept = Kept[str](0, len)
    kept.put("a", "a")
    assert kept.get("a") is None


def test_what_is_too_old_is_gone() -> None:
    kept = Kept[str](10, len, max_age=timedelta(0))
    kept.put("a", "a")
    assert kept.get("a") is None
