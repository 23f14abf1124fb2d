"""``rag-pipelines switch``: turn a source, a stage or writing off without a deploy."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from rag_pipelines.cli.invocation import invocation
from rag_pipelines.cli.options import duration
from rag_pipelines.cli.output import AsJson, print_json, print_table

app = typer.Typer(
    no_args_is_help=True,
    help="Emergency switches, in force for the next query: source-off SOURCE, lexical-only INDEX, "
    "reranker-off INDEX, canary-off INDEX, read-only.",
)

Kind = Annotated[str, typer.Argument(metavar="SWITCH", help="Such as source-off or read-only.")]
Target = Annotated[str, typer.Argument(metavar="[TARGET]", help="The source or index; none for read-only.")]
By = Annotated[str | None, typer.Option("--by", help="Who decides; by default the user of this process.")]


@app.command("list")
def list_switches(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Include those that are off again.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the switches that are on."""
    from rag_pipelines.store.switches import history, in_force

    with invocation(context).database.connection() as connection:
        found = history(connection) if every else in_force(connection)
    if as_json:
        print_json(found)
    elif found:
        columns = ("switch", "since", "by", "until", "off since", "off by", "reason")
        print_table(
            columns,
            (
                (one.name, one.started_at, one.started_by, one.until, one.ended_at, one.ended_by, one.reason)
                for one in found
            ),
        )
    else:
        typer.echo("no switch is on")


@app.command()
def on(
    context: typer.Context,
    kind: Kind,
    target: Target = "",
    reason: Annotated[
        str,
        typer.Option("--reason", help="Kept with your name in the audit log; callers see it."),
    ] = "",
    lasts: Annotated[
        timedelta | None,
        typer.Option("--for", parser=duration, metavar="TIME", help="Goes off by itself then, such as 2h."),
    ] = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Turn a switch on. The next query obeys it, in every process."""
    from rag_pipelines.store.switches import turn_on

    chosen = invocation(context)
    switch = turn_on(chosen.database, chosen.settings, kind, target, reason=reason, duration=lasts, actor=by)
    print_json(switch) if as_json else typer.echo(f"on: {switch.sentence}")


@app.command()
def off(
    context: typer.Context,
    kind: Kind,
    target: Target = "",
    reason: Annotated[str, typer.Option("--reason", help="The reason; kept in the audit log.")] = "",
    by: By = None,
) -> None:
    """Turn a switch off."""
    from rag_pipelines.store.switches import turn_off

    chosen = invocation(context)
    turn_off(chosen.database, chosen.settings, kind, target, reason=reason, actor=by)
    typer.echo(f"off: {kind} {target}".rstrip())
