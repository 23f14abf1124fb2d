"""``rag-pipelines db``: start, stop and look at the embedded Postgres; bring the schema of any up to date."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import typer

from rag_pipelines.cli.invocation import ExitCode, Invocation, invocation
from rag_pipelines.cli.output import AsJson, print_json
from rag_pipelines.errors import UsageError

if TYPE_CHECKING:
    from rag_pipelines.store.embedded import EmbeddedServer

app = typer.Typer(
    no_args_is_help=True,
    help="The embedded Postgres, used when no database URL is set; and the schema of any.",
)


@app.command()
def start(context: typer.Context, as_json: AsJson = False) -> None:
    """Start the server; it stays up until it is stopped."""
    server = _server(invocation(context))
    was_running = server.status().running
    server.start()
    if as_json:
        print_json(server.status())
    else:
        status = server.status()
        typer.echo(f"{'already running' if was_running else 'started'} in {status.folder}: {status.url}")


@app.command()
def stop(context: typer.Context, as_json: AsJson = False) -> None:
    """Stop the server, ending its connections."""
    server = _server(invocation(context))
    stopped = server.stop()
    if as_json:
        print_json({"folder": server.folder, "stopped": stopped})
    else:
        typer.echo("stopped" if stopped else f"no server is running in {server.folder}")


@app.command()
def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Say whether the server runs; the exit code is 1 if it does not."""
    found = _server(invocation(context)).status()
    if as_json:
        print_json(found)
    elif found.running:
        typer.echo(
            f"running in {found.folder} since {found.since:%Y-%m-%d %H:%M} UTC, pid {found.pid}: {found.url}"
        )
    else:
        typer.echo(f"not running in {found.folder}; it starts by itself, or with: rag-pipelines db start")
    if not found.running:
        raise typer.Exit(ExitCode.FAILED)


@app.command("migrate")
def migrate_schema(context: typer.Context, as_json: AsJson = False) -> None:
    """Bring the schema up to date, as the first command of a release does by itself."""
    from rag_pipelines.runtime import open_database

    with closing(open_database(invocation(context).settings)) as database:
        applied = database.migrate()
    if as_json:
        print_json({"applied": applied})
    else:
        typer.echo(f"applied {', '.join(applied)}" if applied else "the schema is up to date")


def _server(chosen: Invocation) -> EmbeddedServer:
    from rag_pipelines.store.embedded import EmbeddedServer

    if chosen.settings.database.url is not None:
        raise UsageError(
            "a database URL is configured (database.url), so there is no embedded server; "
            "unset RAG_DATABASE_URL to use it"
        )
    return EmbeddedServer(chosen.settings.postgres_dir)
