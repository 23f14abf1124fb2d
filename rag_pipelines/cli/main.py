"""The command ``rag-pipelines``: the application, its global options, and its groups of commands.

What belongs here: putting the commands together. What does not: the commands, one module a group.
Only Typer is imported here, and the command that is asked for; it imports what it needs when it runs.

Exit codes: 0 done, 1 failed or refused, 2 wrong command line or configuration, 3 finished, but
documents failed, could not all be listed, or drifted, 4 credentials rejected, 5 transient failure, 70 a bug,
130 interrupted.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from rag_pipelines.cli.invocation import Commands, Invocation
from rag_pipelines.cli.records import LogFormat, LogLevel, write_log

COMMANDS = {
    "demo": ("demo", "demo"),
    "init": ("init", "init"),
    "ingest": ("ingest", "ingest"),
    "refresh": ("refresh", "refresh"),
    "work": ("work", "work"),
    "plan": ("plan", "plan"),
    "apply": ("plan", "apply"),
    "backfill": ("backfill", "backfill"),
    "index": ("index", "app"),
    "canary": ("canary", "app"),
    "query": ("query", "query"),
    "serve": ("serve", "serve"),
    "mcp": ("mcp", "mcp"),
    "eval": ("evaluate", "app"),
    "quality": ("quality", "app"),
    "status": ("status", "status"),
    "metrics": ("metrics", "metrics"),
    "kpis": ("kpis", "kpis"),
    "cost": ("cost", "cost"),
    "facts": ("facts", "facts"),
    "deletes": ("deletes", "app"),
    "hold": ("hold", "app"),
    "verify": ("verify", "verify"),
    "purge": ("purge", "purge"),
    "quarantine": ("quarantine", "app"),
    "losses": ("losses", "losses"),
    "knowledge": ("knowledge", "app"),
    "privacy": ("privacy", "app"),
    "source": ("source", "app"),
    "access": ("access", "app"),
    "audit": ("audit", "app"),
    "backup": ("backup", "backup"),
    "restore": ("backup", "restore"),
    "switch": ("switch", "app"),
    "evidence": ("evidence", "evidence"),
    "config": ("config", "app"),
    "db": ("db", "app"),
    "doctor": ("doctor", "doctor"),
}
"""Where each command or group of commands stands: its module here, and its name there."""


def options(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="The configuration file; by default RAG_CONFIG, else rag.yaml here, else the demo's.",
        ),
    ] = None,
    log_level: Annotated[
        LogLevel | None,
        typer.Option(
            help="Lowest level of log records on stderr: warning by default, "
            "and nothing where a person watches a terminal.",
            envvar="RAG_LOG_LEVEL",
        ),
    ] = None,
    log_format: Annotated[
        LogFormat | None,
        typer.Option(
            help="Format of stderr: text for people (the default) or JSON lines.",
            envvar="RAG_LOG_FORMAT",
        ),
    ] = None,
    traceparent: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="The trace that this belongs to, as W3C writes it (00-…-…-01).",
            envvar="TRACEPARENT",
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=lambda value: _show_version(value))
    ] = False,
) -> None:
    """Ingest documents, build versioned pgvector indexes, and query them with citations."""
    context.obj = Invocation(config, debug, command=context.invoked_subcommand or "", traceparent=traceparent)
    write_log(context, log_level, log_format)


def make_app(only: str | None = None) -> typer.Typer:
    """The application, with every command or with one: importing and describing the others takes longer than
    many a command."""
    made = typer.Typer(
        name="rag-pipelines",
        cls=Commands,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Ingest documents, build versioned pgvector indexes, and query them with citations.",
        epilog="Exit codes: 0 done, 1 failed or refused, 2 wrong command line or configuration, 3 finished, "
        "but documents failed, could not all be listed, or drifted, 4 credentials rejected, "
        "5 transient failure, 70 a bug, 130 interrupted.",
    )
    made.callback()(options)
    for name in [only] if only in COMMANDS else COMMANDS:
        module, attribute = COMMANDS[name]
        found = getattr(import_module(f"rag_pipelines.cli.{module}"), attribute)
        if isinstance(found, typer.Typer):
            made.add_typer(found, name=name)
        else:
            made.command(name)(found)
    return made


def __getattr__(name: str) -> typer.Typer:
    """`app`: the application with every command, made when somebody asks for it."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()["app"] = make_app()
    return globals()["app"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; ends the process with an exit code."""
    gc.set_threshold(*_COLLECT_AFTER)
    given = _global_options_first(sys.argv[1:] if arguments is None else arguments)
    make_app(_command_of(given))(given)


def _show_version(wanted: bool) -> None:
    if wanted:
        from rag_pipelines import __version__

        typer.echo(f"rag-pipelines {__version__}")
        raise typer.Exit


_COLLECT_AFTER = (50_000, 20, 100)
"""Thresholds of the garbage collector. Imports make objects that stay; with the defaults, looking for those
that do not takes a twelfth of a command that finds nothing to do."""

VALUED = ("--config", "--log-level", "--log-format", "--traceparent")
"""Global options that take a value."""


def _command_of(arguments: Sequence[str]) -> str | None:
    """The command that is asked for, where the global options stand in front; None where help is."""
    remaining = iter(arguments)
    for argument in remaining:
        if argument in VALUED:
            next(remaining, None)
        elif not argument.startswith("-"):
            return argument
        elif argument != "--debug" and "=" not in argument:
            return None
    return None


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
