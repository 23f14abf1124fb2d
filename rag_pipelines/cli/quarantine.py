"""``rag-pipelines quarantine``: documents that failed, why, and another try for them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag_pipelines.cli.invocation import Invocation, invocation
from rag_pipelines.cli.options import duration
from rag_pipelines.cli.output import AsJson, number, print_facts, print_json, print_table
from rag_pipelines.errors import UsageError

if TYPE_CHECKING:
    from rag_pipelines.store.documents import QuarantineFilter

app = typer.Typer(no_args_is_help=True, help="Documents that failed: list, show and retry them.")


Source = Annotated[str | None, typer.Option("--source", help="Only this source.")]
FailedStage = Annotated[
    str | None,
    typer.Option("--stage", help="Only this stage: list, fetch, parse, embed, access or groups."),
]
Status = Annotated[str | None, typer.Option("--status", help="Only with this status, such as encrypted.")]
ErrorClass = Annotated[
    str | None, typer.Option("--error-class", help="Only with this error, such as ParseTimeoutError.")
]
OlderThan = Annotated[
    timedelta | None,
    typer.Option(
        "--older-than", parser=duration, metavar="SPAN", help="Only what first failed at least this long ago."
    ),
]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="Show at most this many.")]


@app.command("list")
def list_entries(
    context: typer.Context,
    source: Source = None,
    stage: FailedStage = None,
    status: Status = None,
    error_class: ErrorClass = None,
    older_than: OlderThan = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List what is in quarantine, newest first."""
    from rag_pipelines.store.documents import QuarantineFilter

    chosen = QuarantineFilter(source, stage, status, error_class, older_than)
    rows = entries(invocation(context), chosen, limit)
    if as_json:
        print_json(rows)
    elif rows:
        show_entries(rows)
    else:
        typer.echo("nothing is in quarantine" + (" that matches" if any(chosen) else ""))


@app.command()
def show(
    context: typer.Context,
    entry: Annotated[int, typer.Argument(metavar="ID", help="The number that `quarantine list` shows.")],
    as_json: AsJson = False,
) -> None:
    """Show everything that is known of one entry."""
    from rag_pipelines.store.documents import QuarantineFilter

    rows = entries(invocation(context), QuarantineFilter(ids=(entry,)))
    if not rows:
        raise UsageError(f"there is no quarantine entry {entry}; see `rag-pipelines quarantine list`")
    row = rows[0]
    if as_json:
        print_json(row)
        return
    facts = [(name.replace("_", " "), str(value)) for name, value in row.items() if value is not None]
    print_facts(f"{row['source']}: {row['external_id'] or row['entity']}", facts)


@app.command()
def retry(
    context: typer.Context,
    ids: Annotated[list[int] | None, typer.Argument(metavar="[ID]...")] = None,
    source: Source = None,
    stage: FailedStage = None,
    status: Status = None,
    error_class: ErrorClass = None,
    older_than: OlderThan = None,
    everything: Annotated[bool, typer.Option("--all", help="Everything that is in quarantine.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let the next ingest try entries again at once, whatever was tried before."""
    from rag_pipelines.store.documents import QuarantineFilter, retry_quarantined

    wanted = QuarantineFilter(source, stage, status, error_class, older_than, tuple(ids or ()))
    if not (any(wanted) or everything):
        raise UsageError(
            "name what to retry: ids, --source, --stage, --status, --error-class, --older-than, or --all"
        )
    chosen = invocation(context)
    if source is not None:
        chosen.settings.source(source)
    with chosen.database.transaction() as connection:
        rows = retry_quarantined(connection, wanted)
    if as_json:
        print_json({"retried": [row["quarantine_id"] for row in rows]})
    else:
        again = (
            f"; run: rag-pipelines ingest {' '.join(sorted({row['source'] for row in rows}))}" if rows else ""
        )
        typer.echo(f"{number(len(rows), 'entry', 'entries')} will be tried again{again}")


def entries(
    chosen: Invocation, wanted: QuarantineFilter | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """Rows of the quarantine that fit all that is wanted, the newest first."""
    from rag_pipelines.store.documents import QuarantineFilter, list_quarantine

    wanted = wanted or QuarantineFilter()
    if wanted.source is not None:
        chosen.settings.source(wanted.source)
    with chosen.database.connection() as connection:
        return list_quarantine(connection, wanted, limit)


def show_entries(rows: list[dict[str, Any]]) -> None:
    """Entries as a table."""
    columns = ("id", "source", "document", "stage", "status", "attempts", "next try", "served", "message")
    print_table(
        columns,
        (
            (
                str(row["quarantine_id"]),
                row["source"],
                row["external_id"] or row["entity"],
                row["stage"],
                row["status"],
                row["attempts"],
                f"{row['next_try_at']:%Y-%m-%d %H:%M}" if row["next_try_at"] else "when it changes",
                f"text of {row['text_of']:%Y-%m-%d}" if row["text_of"] else None,
                row["message"],
            )
            for row in rows
        ),
    )
