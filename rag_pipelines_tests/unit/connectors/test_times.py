"""Times as systems write them, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rag_pipelines.connectors.times import read_time


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-14T09:30:00Z",
        "2026-03-14 09:30:00",
        " 2026-03-14T10:30:00+01:00\n",
        "2026-03-14T04:30:00.000-0500",
    ],
)
def test_one_moment_in_many_forms(text: str) -> None:
    assert read_time(text) == datetime(2026, 3, 14, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize("text", [None, "", "yesterday", "2026-13-01", "9999-12-31T23:59:59-02:00"])
def test_what_is_no_moment_is_none(text: str | None) -> None:
    assert read_time(text) is None
