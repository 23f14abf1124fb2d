"""Options and arguments that several commands share, and how their text becomes values.

What belongs here: declarations with their help, and parsers. What does not: what a command does with them.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rag_pipelines.connectors.base import Window


def moment(text: str) -> datetime:
    """A date or time in ISO 8601; without an offset it is UTC. Raises `typer.BadParameter`."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"received {text!r}; valid: a date such as 2026-03-01, or a time such as 2026-03-01T18:30+01:00"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def duration(text: str) -> timedelta:
    """A span such as 90m, 24h or 7d. Raises `typer.BadParameter`."""
    from rag_pipelines.config.values import parse_duration

    try:
        found = parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(f"received {text!r}; valid: {error}") from None
    if not isinstance(found, timedelta):
        raise typer.BadParameter(f"received {text!r}; valid: a number with a unit, such as 90m, 24h or 7d")
    return found


Since = Annotated[
    datetime | None,
    typer.Option(parser=moment, metavar="TIME", help="Only documents modified at or after this time."),
]
Until = Annotated[
    datetime | None,
    typer.Option(parser=moment, metavar="TIME", help="Only documents modified before this time."),
]
DoneSince = Annotated[
    datetime | None,
    typer.Option("--since", parser=moment, metavar="TIME", help="Only what was done at or after this time."),
]
DoneUntil = Annotated[
    datetime | None,
    typer.Option("--until", parser=moment, metavar="TIME", help="Only what was done before this time."),
]
Full = Annotated[
    bool, typer.Option("--full", help="Load every document again, even if its change token is unchanged.")
]
ListAll = Annotated[
    bool,
    typer.Option("--list-all", help="List everything although a change feed would do; load what changed."),
]
Hinted = Annotated[
    bool,
    typer.Option(
        "--hinted", help="Drain the queues of `triggers`; only sources that something was hinted of."
    ),
]
ListOnly = Annotated[
    bool,
    typer.Option(
        "--list-only",
        help="Only list; leave loading, parsing and embedding to `work`, which may run at the same time.",
    ),
]
AllowDeletes = Annotated[
    bool, typer.Option("--allow-deletes", help="Apply deletions above the guard, and an empty listing.")
]
SourceNames = Annotated[
    list[str] | None, typer.Argument(metavar="[SOURCE]...", help="The sources; all by default.")
]


def window(since: datetime | None, until: datetime | None) -> Window:
    """The range of modification times [since, until). Raises `UsageError` where it is empty."""
    from rag_pipelines.connectors.base import Window
    from rag_pipelines.errors import UsageError

    if since and until and since >= until:
        raise UsageError(f"--since {since.isoformat()} is not before --until {until.isoformat()}")
    return Window(since, until)
