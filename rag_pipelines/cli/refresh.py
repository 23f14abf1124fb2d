"""``rag-pipelines refresh``: bring indexes up to date with their sources, in one process.

What belongs here: the order of the two halves, and how the command ends. What does not: either of them
(`ingest` and `index`).
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from rag_pipelines.cli.index import build_version
from rag_pipelines.cli.ingest import as_object, ingest_sources, say_removed
from rag_pipelines.cli.invocation import ExitCode, invocation
from rag_pipelines.cli.output import AsJson, print_json
from rag_pipelines.cli.sources import end
from rag_pipelines.errors import RagError


def refresh(
    context: typer.Context,
    indexes: Annotated[
        list[str] | None, typer.Argument(metavar="[INDEX]...", help="The indexes; all by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ingest the sources of indexes, then build, judge and promote what changed.

    The same as `ingest` of these sources and `index build` of each index after it, but for the start of a
    second process. An index is built although one of its sources failed: its gates decide. The exit code is 1
    when a version may not go live, 3 when documents failed or could not all be listed.
    """
    chosen = invocation(context)
    settings = chosen.settings
    names = indexes or list(settings.indexes)
    sources = dict.fromkeys(source for name in names for source in settings.sources_of(name))
    reports, errors = ingest_sources(chosen, sources, as_json=as_json)
    if not indexes:
        say_removed(chosen)
    built: list[dict[str, Any]] = []
    for name in names:
        try:
            built.append(build_version(chosen, name, as_json=as_json))
        except RagError as error:
            errors[f"index {name}"] = error
    if as_json:
        print_json({**as_object(reports, errors), "indexes": built})
    refused = any(found.get("refused") for found in built)
    if refused and not errors:
        raise typer.Exit(ExitCode.FAILED)
    end(errors, sound=all(report.sound for report in reports))
