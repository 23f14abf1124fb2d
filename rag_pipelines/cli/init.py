"""``rag-pipelines init``: write a configuration to begin with, check it, and say what comes next.

What belongs here: asking, writing and what is said. What does not: what a configuration begins with
(`config.starters`).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from rag_pipelines.cli.invocation import Invocation, invocation, program
from rag_pipelines.cli.output import say
from rag_pipelines.errors import ConfigError, UsageError


def init(
    context: typer.Context,
    place: Annotated[
        str | None,
        typer.Argument(
            metavar="[PLACE]",
            help="What to ingest: a folder, a file of rows, a repository, or the address of a site or store.",
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option("--kind", metavar="CONNECTOR", help="The connector, where the place does not tell."),
    ] = None,
    access: Annotated[
        list[str] | None,
        typer.Option(
            "--access",
            metavar="WHO",
            help="Who may see the documents: public, closed, or principals such as group:hr; repeatable.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="An option of the connector; a secret as a reference, such as ${file:/run/secrets/token}.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--source", help="Name of the source.")] = None,
) -> None:
    """Write a configuration for one source, check it, and say the next three commands.

    It becomes rag.yaml of this folder, or the file that --config names; a file that is there stays as it is.
    What is not given is asked for at a terminal. Secrets are written as references to the environment.
    """
    from rag_pipelines.config.load import USUAL_CONFIG
    from rag_pipelines.config.starters import STARTERS, configuration, guess_kind, source_name

    chosen = invocation(context)
    usual = Path(chosen.environment.get("RAG_CONFIG") or USUAL_CONFIG)
    file = chosen.config or usual
    if file.exists():
        raise UsageError(f"{file} is there already and stays as it is; name another file with --config")
    place = place or _ask("What is to be ingested (a folder, a repository, an address)", "PLACE")
    kind = kind or guess_kind(place) or _ask(f"What is {place} (confluence or jira)", "--kind")
    if kind not in STARTERS:
        raise UsageError(f"received the connector {kind!r}; valid: {', '.join(STARTERS)}")
    starter = STARTERS[kind]
    options = starter.options(place, Path(os.path.abspath(file.parent)))
    options |= dict(_setting(pair) for pair in settings or ())
    who: str | list[str] | None = None
    if access or not starter.knows_access:
        who = _access(access or [_ask("Who may see the documents (public, or such as group:hr)", "--access")])
    text = configuration(name or source_name(place, kind), kind, options, who)
    _check(text, file, chosen)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}; name another file with --config") from error
    typer.echo(f"wrote {file}:\n")
    typer.echo("".join(f"  {line}" for line in text.partition("\n\n")[2].splitlines(keepends=True)))
    _say_what_next(text, place, chosen, program() if file == usual else f"{program()} --config {file}")


def _ask(question: str, option: str) -> str:
    """The answer of a person at a terminal. Raises `UsageError` where there is none to ask."""
    if not sys.stdin.isatty():
        raise UsageError(f"{question}? Give {option}, or call this at a terminal, where it asks")
    return str(typer.prompt(question)).strip()


def _access(given: list[str]) -> str | list[str]:
    return given[0] if len(given) == 1 and given[0] in ("public", "closed") else given


def _setting(pair: str) -> tuple[str, Any]:
    import yaml

    key, equals, value = pair.partition("=")
    if not (key and equals):
        raise UsageError(f"--set received {pair!r}; valid: KEY=VALUE, such as ref=main")
    try:
        return key, yaml.safe_load(value)
    except yaml.YAMLError:
        return key, value


def _check(text: str, file: Path, chosen: Invocation) -> None:
    """Raises `ConfigError` where the file would not be valid, or would hold a secret."""
    from rag_pipelines.config.document import CONFIG_DIR, read_document
    from rag_pipelines.config.load import validated
    from rag_pipelines.config.problems import literal_secrets
    from rag_pipelines.config.starters import with_placeholders

    folder = Path(os.path.abspath(file.parent))
    text, environment = with_placeholders(text, chosen.environment)
    document = read_document(text, {**environment, CONFIG_DIR: str(folder)}, str(file))
    validated(document, file, folder)
    for place, _ in literal_secrets(document):
        raise ConfigError(
            f"{'.'.join(map(str, place))} is a secret, which does not belong in the file; give a reference "
            "such as ${TOKEN} or ${file:/run/secrets/token}"
        )


def _say_what_next(text: str, place: str, chosen: Invocation, called: str) -> None:
    """What has to be there first, and the next three commands."""
    from importlib.util import find_spec

    from rag_pipelines.config.starters import needed_extra, variables

    extra = needed_extra(place)
    first = [f"pip install 'rag-pipelines[{extra[0]}]'"] if extra and find_spec(extra[1]) is None else []
    first += [f"export {one}=..." for one in variables(text) if not chosen.environment.get(one)]
    if first:
        typer.echo("First:")
        for line in first:
            typer.echo(f"  {line}")
    if "GIT_TOKEN" in text and not chosen.environment.get("GIT_TOKEN"):
        say("note: GIT_TOKEN holds the access token where the repository is not public")
    typer.echo("Then:" if first else "Next:")
    for command in ("source check", "refresh", 'query "what would you like to know?"'):
        typer.echo(f"  {called} {command}")
