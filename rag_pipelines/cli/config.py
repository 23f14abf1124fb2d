"""``rag-pipelines config``: check the configuration, show it without secrets, print its JSON Schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag_pipelines.cli.invocation import ExitCode, invocation
from rag_pipelines.cli.output import AsJson, number, print_json, say
from rag_pipelines.model import CLOSED

if TYPE_CHECKING:
    from rag_pipelines.config import Settings
    from rag_pipelines.config.document import Document

app = typer.Typer(no_args_is_help=True, help="Check, show and describe the configuration.")


@app.command()
def check(
    context: typer.Context,
    strict: Annotated[
        bool, typer.Option("--strict", help="End with 1 where there is anything to warn of.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check the configuration file and list every problem of it.

    Warnings are of what is allowed but probably not meant, such as a folder that is not on this machine.
    """
    from rag_pipelines.config import config_path, load_config
    from rag_pipelines.config.load import read_config
    from rag_pipelines.errors import ConfigError

    file = config_path(invocation(context).config)
    try:
        settings = load_config(file)
        _check_own_suites(settings)
    except ConfigError as error:
        if not as_json:
            raise
        problems = error.problems or [str(error)]
        print_json({"file": str(file), "valid": False, "problems": problems, "warnings": []})
        raise typer.Exit(ExitCode.USAGE) from None
    warnings = _warnings(settings, read_config(file))
    if as_json:
        print_json({"file": str(file), "valid": True, "problems": [], "warnings": warnings})
    else:
        for warning in warnings:
            say(f"warning: {warning}")
        sources, indexes = len(settings.sources), len(settings.indexes)
        counts = [number(sources, "source"), number(indexes, "index", "indexes")]
        counts += [number(len(warnings), "warning")] * bool(warnings)
        typer.echo(f"{file} is valid: {', '.join(counts)}")
    if strict and warnings:
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def show(context: typer.Context, as_json: AsJson = False) -> None:
    """Print the configuration in effect, defaults included and secrets left out."""
    from rag_pipelines.config import config_path
    from rag_pipelines.config.load import read_config
    from rag_pipelines.config.problems import scrub

    chosen = invocation(context)
    document = read_config(config_path(chosen.config))
    values = _scrub(chosen.settings.model_dump(mode="json"), lambda text: scrub(text, document))
    if as_json:
        print_json(values)
        return
    import yaml

    typer.echo(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), nl=False)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors."""
    from rag_pipelines.config.schema import json_schema

    print_json(json_schema())


def _check_own_suites(settings: Settings) -> None:
    """Have Great Expectations check the arguments of own expectations; it takes seconds to load.

    Raises:
        ConfigError: it refuses some of them.
    """
    if settings.quality.suites:
        from rag_pipelines.quality.library import check_suites
        from rag_pipelines.quality.suites import own_suite

        check_suites(own_suite(name, suite) for name, suite in settings.quality.suites.items())


def _warnings(settings: Settings, document: Document) -> list[str]:
    """What is allowed but probably not meant."""
    from rag_pipelines.config.places import missing_places
    from rag_pipelines.config.problems import literal_secrets, problem_line

    found = [
        problem_line(
            path,
            "a secret is written in the file; refer to it as ${NAME} or ${STORE:PLACE} instead",
            document,
        )
        for path, _ in literal_secrets(document)
    ]
    found += [
        problem_line(("sources", name), "no index reads this source", document)
        for name in settings.sources
        if not settings.indexes_of(name)
    ]
    found += [problem_line(place, words, document) for place, words in missing_places(settings)]
    found += [
        problem_line(
            ("sources", name),
            "nobody may see its documents: its system says nothing of access; set `access`, to public or to "
            "principals such as [group:hr]",
            document,
        )
        for name, source in settings.sources.items()
        if source.access == CLOSED and not settings.connector(name).capabilities.permissions
    ]
    if not settings.sources:
        found.append("there are no sources, so there is nothing to ingest")
    return found


def _scrub(value: Any, scrub: Any) -> Any:
    if isinstance(value, dict):
        return {key: _scrub(item, scrub) for key, item in value.items()}
    if isinstance(value, list):
        return [_scrub(item, scrub) for item in value]
    return scrub(value) if isinstance(value, str) else value
