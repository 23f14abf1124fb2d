"""Options that commands share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import typer

from rag_pipelines.cli.options import moment, window
from rag_pipelines.cli.output import age
from rag_pipelines.errors import UsageError


def test_a_time_without_an_offset_is_utc() -> None:
    assert moment("2026-03-01") == datetime(2026, 3, 1, tzinfo=UTC)
    assert moment("2026-03-01T18:30+01:00") == datetime(2026, 3, 1, 17, 30, tzinfo=UTC)


def test_a_text_that_is_no_time_is_refused_with_examples() -> None:
    with pytest.raises(typer.BadParameter, match=r"received 'yesterday'; valid: a date such as 2026-03-01"):
        moment("yesterday")


def test_an_empty_window_is_refused() -> None:
    day = datetime(2026, 3, 1, tzinfo=UTC)
    assert window(day, day + timedelta(days=1)).holds(day)
    assert not window(None, None)
    with pytest.raises(UsageError, match="is not before"):
        window(day, day)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (61, "1 min 1 s"), (11_530, "3 h 12 min"), (90_000.0, "1 d 1 h")]
)
def test_an_age_has_two_units(seconds: float, text: str) -> None:
    assert age(seconds) == text
