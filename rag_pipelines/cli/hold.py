"""``rag-pipelines hold``: legal holds, which keep documents from being removed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from rag_pipelines.cli.invocation import invocation
from rag_pipelines.cli.output import AsJson, number, print_json, print_table
from rag_pipelines.errors import UsageError

if TYPE_CHECKING:
    from rag_pipelines.retention.holds import Hold

app = typer.Typer(no_args_is_help=True, help="Legal holds: what is held is not removed. Add, list, release.")

Reason = Annotated[str, typer.Option("--reason", help="The reason; kept with your name in the audit log.")]
By = Annotated[str | None, typer.Option("--by", help="Who decides; by default the user of this process.")]


@app.command()
def add(
    context: typer.Context,
    reason: Reason,
    source: Annotated[str | None, typer.Option("--source", help="Documents of this source.")] = None,
    path: Annotated[
        str | None,
        typer.Option("--path", metavar="PATTERN", help="Of this path; with * and ?."),
    ] = None,
    label: Annotated[
        str | None, typer.Option("--label", help="With this label, or any such value in their metadata.")
    ] = None,
    document: Annotated[
        str | None, typer.Option("--document", "-d", metavar="SOURCE:ID", help="One document.")
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option("--until", formats=["%Y-%m-%d"], metavar="DATE", help="The day it is over, UTC."),
    ] = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Hold what fits all that is given: no purge, retention or collection removes its content until then."""
    from rag_pipelines.retention.holds import add_hold

    if document is not None:
        of, colon, document = document.partition(":")
        if not (of and colon and document) or (source is not None and source != of):
            raise UsageError(
                "--document received no SOURCE:ID of this source; valid: such as docs:guides/a.md"
            )
        source = of
    placed = add_hold(
        invocation(context).database,
        reason=reason,
        source=source,
        path=path,
        label=label,
        document=document,
        until=until.replace(tzinfo=UTC) if until else None,
        actor=by,
    )
    if as_json:
        print_json(placed)
    else:
        typer.echo(f"hold {placed.hold_id} keeps {number(placed.documents, 'document')} so far")


@app.command("list")
def list_all(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Include those that are released or over.")] = False,
    as_json: AsJson = False,
) -> None:
    """List holds in force, the newest first."""
    from rag_pipelines.retention.holds import list_holds

    with invocation(context).database.connection() as connection:
        found = list_holds(connection, every=every)
    if as_json:
        print_json(found)
    elif found:
        _show(found)
    else:
        typer.echo("no hold is in force")


@app.command()
def release(
    context: typer.Context,
    hold: Annotated[int, typer.Argument(metavar="ID", help="The number that `hold list` shows.")],
    reason: Reason,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """End a hold; what it alone kept goes with the next collection, by its grace and retention."""
    from rag_pipelines.retention.holds import release_hold

    ended = release_hold(invocation(context).database, hold, reason=reason, actor=by)
    if as_json:
        print_json(ended)
    else:
        typer.echo(f"hold {ended.hold_id} is released")


def _show(holds: Sequence[Hold]) -> None:
    print_table(
        ("id", "state", "keeps", "documents", "of them deleted", "until", "by", "reason"),
        (
            (
                str(one.hold_id),
                one.state,
                _named(one),
                one.documents,
                one.deleted,
                f"{one.until:%Y-%m-%d}" if one.until else None,
                one.placed_by,
                one.reason,
            )
            for one in holds
        ),
    )


def _named(hold: Hold) -> str:
    named = {"source": hold.source, "path": hold.path, "label": hold.label, "document": hold.document}
    return ", ".join(f"{name} {value}" for name, value in named.items() if value)
