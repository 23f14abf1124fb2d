"""``rag-pipelines quarantine``: documents that failed, why, and another try for them."""

from __future__ import annotations

from typing import Annotated

import typer

from rag_pipelines.cli.invocation import Invocation, invocation
from rag_pipelines.cli.output import AsJson, number, print_facts, print_json, print_table
from rag_pipelines.errors import UsageError

app = typer.Typer(no_args_is_help=True, help="Documents that failed: list, show and retry them.")

Source = Annotated[str | None, typer.Option("--source", help="Only of this source.")]
FailedStage = Annotated[
    str | None, typer.Option("--stage", help="Only of this stage: list, fetch, parse or embed.")
]
Status = Annotated[str | None, typer.Option("--status", help="Only with this status, such as encrypted.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")]


@app.command("list")
def list_entries(
    context: typer.Context,
    source: Source = None,
    stage: FailedStage = None,
    status: Status = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List what is in quarantine, newest first."""
    rows = entries(invocation(context), source=source, stage=stage, status=status, limit=limit)
    if as_json:
        print_json(rows)
    elif rows:
        show_entries(rows)
    else:
        typer.echo("nothing is in quarantine" + (" that fits" if source or stage or status else ""))


@app.command()
def show(
    context: typer.Context,
    entry: Annotated[int, typer.Argument(metavar="ID", help="As `quarantine list` shows it.")],
    as_json: AsJson = False,
) -> None:
    """Show everything that is known of one entry."""
    rows = entries(invocation(context), entry=entry, limit=1)
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
    everything: Annotated[bool, typer.Option("--all", help="Everything that is in quarantine.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let the next ingest try entries again at once, whatever was tried before."""
    from rag_pipelines.store.database import query

    if not (ids or source or stage or status or everything):
        raise UsageError("name what to retry: ids, --source, --stage, --status, or --all")
    chosen = invocation(context)
    filters = _filters(chosen, source, stage, status)
    wanted: list[int | None] = [*ids] if ids else [None]
    retried: list[int] = []
    with chosen.database.transaction() as connection:
        for entry in wanted:
            found = query(connection, "retry_quarantine", {**filters, "id": entry}).fetchall()
            if entry is not None and not found:
                raise UsageError(f"there is no such quarantine entry: {entry}; nothing was changed")
            retried += [row["quarantine_id"] for row in found]
    if as_json:
        print_json({"retried": retried})
    else:
        again = "; run: rag-pipelines ingest" + (f" {source}" if source else "") if retried else ""
        typer.echo(f"{number(len(retried), 'entry', 'entries')} will be tried again{again}")


def entries(
    chosen: Invocation,
    *,
    source: str | None = None,
    stage: str | None = None,
    status: str | None = None,
    entry: int | None = None,
    limit: int = 100,
) -> list[dict[str, object]]:
    """Rows of the quarantine that fit all that is given."""
    from rag_pipelines.store.database import query

    params = {**_filters(chosen, source, stage, status), "id": entry, "limit": limit}
    with chosen.database.connection() as connection:
        return query(connection, "list_quarantine", params).fetchall()


def show_entries(rows: list[dict[str, object]]) -> None:
    """Entries as a table."""
    columns = ("id", "source", "document", "stage", "status", "attempts", "message")
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
                row["message"],
            )
            for row in rows
        ),
    )


def _filters(
    chosen: Invocation, source: str | None, stage: str | None, status: str | None
) -> dict[str, str | None]:
    if source is not None:
        chosen.settings.source(source)
    if stage not in (None, "list", "fetch", "parse", "embed"):
        raise UsageError(f"there is no stage {stage!r}; valid: list, fetch, parse, embed")
    return {"source": source, "stage": stage, "status": status}
