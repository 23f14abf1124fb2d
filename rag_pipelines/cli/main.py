"""The command ``rag-pipelines``: the application, its global options, and its groups of commands.

What belongs here: putting the commands together. What does not: the commands, one module a group.
Only Typer is imported here; a command imports what it needs when it runs.

Exit codes: 0 done, 1 failed or refused, 2 wrong command line or configuration, 3 finished, but
documents failed, could not all be listed, or drifted, 4 credentials rejected, 5 passing fault, 70 a bug,
130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from rag_pipelines.cli import (
    access,
    backfill,
    canary,
    config,
    db,
    deletes,
    demo,
    doctor,
    evaluate,
    index,
    ingest,
    mcp,
    plan,
    purge,
    quality,
    quarantine,
    query,
    serve,
    source,
    status,
    verify,
)
from rag_pipelines.cli.invocation import Commands, Invocation
from rag_pipelines.cli.records import LogFormat, LogLevel, write_log

app = typer.Typer(
    name="rag-pipelines",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Ingest documents, build versioned pgvector indexes, and query them with citations.",
    epilog="Exit codes: 0 done, 1 failed or refused, 2 wrong command line or configuration, 3 finished, "
    "but documents failed, could not all be listed, or drifted, 4 credentials rejected, 5 passing fault, "
    "70 a bug, 130 interrupted.",
)
app.command("demo")(demo.demo)
app.command("ingest")(ingest.ingest)
app.command("plan")(plan.plan)
app.command("apply")(plan.apply)
app.command("backfill")(backfill.backfill)
app.add_typer(index.app, name="index")
app.add_typer(canary.app, name="canary")
app.command("query")(query.query)
app.command("serve")(serve.serve)
app.command("mcp")(mcp.mcp)
app.add_typer(evaluate.app, name="eval")
app.add_typer(quality.app, name="quality")
app.command("status")(status.status)
app.add_typer(deletes.app, name="deletes")
app.command("verify")(verify.verify)
app.command("purge")(purge.purge)
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(source.app, name="source")
app.add_typer(access.app, name="access")
app.add_typer(config.app, name="config")
app.add_typer(db.app, name="db")
app.command("doctor")(doctor.doctor)


@app.callback()
def options(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="The YAML file; else RAG_CONFIG, else the demo's."),
    ] = None,
    log_level: Annotated[
        LogLevel | None,
        typer.Option(
            help="The least level of log records on stderr: what needs a look (warning) by default, "
            "and nothing where a person watches a terminal.",
            envvar="RAG_LOG_LEVEL",
        ),
    ] = None,
    log_format: Annotated[
        LogFormat | None,
        typer.Option(
            help="Lines for people (text, the default), or all that is written to stderr as JSON lines.",
            envvar="RAG_LOG_FORMAT",
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=lambda value: _show_version(value))
    ] = False,
) -> None:
    """Ingest documents, build versioned pgvector indexes, and query them with citations."""
    context.obj = Invocation(config, debug)
    write_log(context, log_level, log_format)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; ends the process with an exit code."""
    app(_global_options_first(sys.argv[1:] if arguments is None else arguments))


def _show_version(wanted: bool) -> None:
    if wanted:
        from rag_pipelines import __version__

        typer.echo(f"rag-pipelines {__version__}")
        raise typer.Exit


VALUED = ("--config", "--log-level", "--log-format")
"""Global options that take a value."""


def _global_options_first(arguments: Sequence[str]) -> list[str]:
    """The global options moved to the front, so that they may also follow a command."""
    front: list[str] = []
    rest: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--":
            rest += ["--", *remaining]
        elif argument in VALUED:
            front += [argument, *([value] if (value := next(remaining, None)) is not None else [])]
        elif argument == "--debug" or argument.startswith(tuple(f"{name}=" for name in VALUED)):
            front.append(argument)
        else:
            rest.append(argument)
    return front + rest


if __name__ == "__main__":
    main()
