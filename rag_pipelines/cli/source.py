"""``rag-pipelines source``: list the configured sources and try their settings and credentials."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Annotated

import typer

from rag_pipelines.cli.invocation import ExitCode, invocation
from rag_pipelines.cli.output import AsJson, print_findings, print_json, print_table
from rag_pipelines.cli.sources import end, for_each

if TYPE_CHECKING:
    from rag_pipelines.connectors.base import Finding

app = typer.Typer(no_args_is_help=True, help="List and check the configured sources.")


@app.command("list")
def list_sources(context: typer.Context, as_json: AsJson = False) -> None:
    """List the sources of the configuration."""
    from rag_pipelines.config.values import format_access, format_duration

    settings = invocation(context).settings
    rows = [
        {
            "source": name,
            "connector": source.connector,
            "tenant": source.tenant,
            "access": format_access(source.access),
            "freshness": format_duration(source.freshness),
            "schedule": source.schedule,
            "indexes": list(settings.indexes_of(name)),
        }
        for name, source in settings.sources.items()
    ]
    if as_json:
        print_json(rows)
        return
    columns = ("source", "connector", "tenant", "access", "freshness", "schedule", "indexes")
    print_table(columns, ([_join_values(row[column]) for column in columns] for row in rows))


@app.command()
def check(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[SOURCE]...", help="The source; all by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Try settings and credentials of sources without ingesting; the exit code is 1 if any fails."""
    from rag_pipelines.connectors.push import PushConnector
    from rag_pipelines.store.inbox import open_connector

    chosen = invocation(context)
    settings = chosen.settings
    for name in names or ():
        settings.source(name)
    found: dict[str, list[Finding]] = {}

    def attempt(name: str) -> None:
        with ExitStack() as opened:
            connector = settings.connector(name)
            if isinstance(connector, PushConnector):
                connection = opened.enter_context(chosen.database.connection())
                connector = open_connector(settings, name, connection)
            found[name] = opened.enter_context(closing(connector)).check()

    errors = for_each(names or settings.sources, attempt)
    if as_json:
        print_json(found)
    else:
        print_findings(
            (f"{name} {f.name}", f.ok, f.detail) for name, findings in found.items() for f in findings
        )
    end(errors)
    if not all(finding.ok for findings in found.values() for finding in findings):
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def subscribe(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SOURCE]...", help="The source; by default every one with a webhook address."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make and renew the subscriptions to notifications of sources; run it every few hours.

    Microsoft Graph and Google Drive send notifications for a time only. The exit code is 1 if any could not
    be asked for; the next call tries again.
    """
    from rag_pipelines.errors import RagError, UsageError
    from rag_pipelines.triggers.subscriptions import renew_subscriptions, subscribed_sources

    settings = invocation(context).settings
    able = subscribed_sources(settings)
    for name in names or ():
        settings.source(name)
        if name not in able:
            raise UsageError(
                f"source {name!r} has no triggers.webhook.address: give the https address of the HTTP "
                "service, or leave it out here"
            )
    passes = dict(renew_subscriptions(settings, names or able))
    errors = {name: one for name, one in passes.items() if isinstance(one, RagError)}
    done = {name: one for name, one in passes.items() if not isinstance(one, RagError)}
    if as_json:
        print_json(
            {
                name: {**one._asdict(), "errors": {what: str(why) for what, why in one.errors.items()}}
                for name, one in done.items()
            }
        )
    else:
        columns = ("source", "made", "renewed", "kept", "ended", "failed")
        print_table(columns, ([name, *one[:4], len(one.errors)] for name, one in done.items()))
        print_findings(
            (f"{name} {what}", False, str(why))
            for name, one in done.items()
            for what, why in one.errors.items()
        )
    end(errors)
    if any(one.errors for one in done.values()):
        raise typer.Exit(ExitCode.FAILED)


def _join_values(value: object) -> object:
    return ", ".join(value) if isinstance(value, list) else value
