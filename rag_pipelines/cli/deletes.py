"""``rag-pipelines deletes``: deletions that wait for a person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from rag_pipelines.cli.invocation import invocation
from rag_pipelines.cli.output import AsJson, number, print_json, print_table

if TYPE_CHECKING:
    from rag_pipelines.sync.deletions import Deletion

app = typer.Typer(no_args_is_help=True, help="Deletions above the guard: list, show, approve or reject them.")

Ids = Annotated[list[int], typer.Argument(metavar="ID...", help="The numbers that `deletes list` shows.")]
Reason = Annotated[str, typer.Option("--reason", help="The reason; kept with your name in the audit log.")]
By = Annotated[str | None, typer.Option("--by", help="Who decides; by default the user of this process.")]


@app.command("list")
def list_parked(
    context: typer.Context,
    sources: Annotated[list[str] | None, typer.Option("--source", help="Only this source.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Include deletions that are already decided.")] = False,
    as_json: AsJson = False,
) -> None:
    """List deletions that wait for a decision, the newest first."""
    from rag_pipelines.sync.deletions import list_deletions

    states = None if every else ("parked",)
    with invocation(context).database.connection() as connection:
        found = list_deletions(connection, sources=sources or None, states=states)
    if as_json:
        print_json(found)
    elif found:
        show_deletions(found)
    else:
        typer.echo("no deletion waits for a decision")


@app.command()
def show(
    context: typer.Context,
    deletion: Annotated[int, typer.Argument(metavar="ID", help="The number that `deletes list` shows.")],
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="Show at most this many documents.")
    ] = 100,
    as_json: AsJson = False,
) -> None:
    """Show one deletion and the documents that wait under it."""
    from rag_pipelines.sync.deletions import find_deletion, waiting_documents

    with invocation(context).database.connection() as connection:
        found = find_deletion(connection, deletion)
        documents = waiting_documents(connection, deletion, limit)
    if as_json:
        print_json({"deletion": found, "documents": documents})
        return
    show_deletions([found])
    if documents:
        columns = ("external id", "path", "title", "modified")
        rows = ((row["external_id"], row["path"], row["title"], row["modified_at"]) for row in documents)
        print_table(columns, rows)
    if found.waiting > len(documents):
        typer.echo(f"and {found.waiting - len(documents):,} more")


@app.command()
def approve(context: typer.Context, ids: Ids, reason: Reason, by: By = None, as_json: AsJson = False) -> None:
    """Delete what waits: hidden from the next query on, purged when the grace of its source is over."""
    from rag_pipelines.sync.deletions import approve as decide

    chosen = invocation(context)
    _decide(ids, lambda one: decide(chosen.database, one, reason=reason, actor=by), "tombstoned", as_json)


@app.command()
def reject(context: typer.Context, ids: Ids, reason: Reason, by: By = None, as_json: AsJson = False) -> None:
    """Serve on what waits, until its source lists it again; takes an approval back within the grace, too."""
    from rag_pipelines.sync.deletions import reject as decide

    chosen = invocation(context)
    _decide(ids, lambda one: decide(chosen.database, one, reason=reason, actor=by), "kept", as_json)


def show_deletions(found: Sequence[Deletion]) -> None:
    """Deletions as a table."""
    columns = (
        "id",
        "source",
        "cause",
        "state",
        "waiting",
        "hidden",
        "of",
        "parked at",
        "decided by",
        "reason",
    )
    print_table(
        columns,
        (
            (
                str(one.deletion_id),
                one.source,
                one.cause.replace("_", " "),
                one.state,
                one.waiting,
                one.hidden,
                one.known,
                f"{one.parked_at:%Y-%m-%d %H:%M}",
                one.decided_by,
                one.reason,
            )
            for one in found
        ),
    )


def _decide(ids: Sequence[int], decide: Callable[[int], Deletion], what: str, as_json: bool) -> None:
    """Decide one after the other; where one cannot be decided, those before it are decided and shown."""
    decided: list[Deletion] = []
    try:
        for one in ids:
            decided.append(decide(one))  # noqa: PERF401 (what was decided before an error is shown)
    finally:
        if decided:
            _show(decided, what, as_json)


def _show(decided: Sequence[Deletion], what: str, as_json: bool) -> None:
    if as_json:
        print_json(decided)
        return
    for one in decided:
        documents = number(one.waiting + one.hidden, "document")
        typer.echo(f"{one.source}: {documents} {what} (deletion {one.deletion_id})")
