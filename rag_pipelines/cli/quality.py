"""``rag-pipelines quality``: run the data-quality suites over what is stored of sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from rag_pipelines.cli.invocation import ExitCode, invocation
from rag_pipelines.cli.options import SourceNames
from rag_pipelines.cli.output import AsJson, print_json, print_table, say

if TYPE_CHECKING:
    from rag_pipelines.quality.library import Result


def quality(context: typer.Context, sources: SourceNames = None, as_json: AsJson = False) -> None:
    """Check stored documents, chunks and vectors; keep the results for the gate `source_quality`.

    The exit code is 1 if a blocking expectation failed: no index of the source is promoted until it passes.
    """
    from rag_pipelines.quality.runner import check_source
    from rag_pipelines.sync.engine import check_names

    chosen = invocation(context)
    found: dict[str, list[Result]] = {}
    for name in check_names(chosen.settings, sources or []):
        found[name] = check_source(chosen.database, chosen.settings, name, embedders=chosen.embedders)
        if not as_json:
            _show(name, found[name])
    if as_json:
        print_json(found)
    if any(one.blocking and not one.passed for results in found.values() for one in results):
        raise typer.Exit(ExitCode.FAILED)


def _show(source: str, results: list[Result]) -> None:
    if not results:
        say(f"note: {source}: nothing is stored yet; run `rag-pipelines ingest {source}` first")
        return
    rows = (
        (one.suite, one.expectation, _verdict(one), one.unexpected or 0, one.rows or 0, one.error or "")
        for one in results
    )
    print_table(("suite", "expectation", "verdict", "unexpected", "rows", "error"), rows, title=source)


def _verdict(result: Result) -> str:
    if result.passed:
        return "passed"
    return "FAILED" if result.blocking else "warning"
