"""``rag-pipelines quality``: run the data-quality suites over what is stored of sources."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from rag_pipelines.cli.invocation import ExitCode, invocation
from rag_pipelines.cli.options import SourceNames
from rag_pipelines.cli.output import AsJson, print_json, print_table, say
from rag_pipelines.cli.sources import end, for_each, say_waiting
from rag_pipelines.errors import RagError

if TYPE_CHECKING:
    from rag_pipelines.quality.data_docs import DataDocs
    from rag_pipelines.quality.library import ExpectationResult


class _RunByDefault(TyperGroup):
    """`quality handbook` is `quality run handbook`, and `quality docs` too, unless it says where to."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        asks_help = any(one in ("--help", "-h") for one in args)
        site = args[:1] == ["docs"] and any(one.startswith("--out") for one in args)
        if not (asks_help or site or args[:1] == ["run"]):
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_RunByDefault, help="Check what is stored of sources; without a command: `quality run`."
)


@app.command()
def run(context: typer.Context, sources: SourceNames = None, as_json: AsJson = False) -> None:
    """Check stored documents, chunks and vectors; keep the results for the gate `source_quality`.

    Suites of the configuration (`quality.suites`) are run with the built-in ones. The exit code is 1 if a
    blocking expectation failed: no index of the source is promoted until it passes.
    """
    found, errors = _check(context, sources, None)
    if as_json:
        print_json(found)
    else:
        for name, results in found.items():
            _show(name, results)
    _end(found, errors)


@app.command()
def docs(
    context: typer.Context,
    out: Annotated[
        Path, typer.Option("--out", help="The folder of the site: new, empty, or written before.")
    ],
    sources: SourceNames = None,
    as_json: AsJson = False,
) -> None:
    """Check as `quality run` does, and write what was found as a site (Data Docs of Great Expectations).

    The pages need no server and no network. They show some of the
    values that broke an expectation, which may be text of documents: show them to whom may read those.
    """
    from rag_pipelines.quality.data_docs import DataDocs

    site = DataDocs(out)
    found, errors = _check(context, sources, site)
    page = site.write()
    if as_json:
        print_json({"index": page, "results": found})
    else:
        typer.echo(f"written: {page}")
    _end(found, errors)


def _check(
    context: typer.Context, sources: list[str] | None, site: DataDocs | None
) -> tuple[dict[str, list[ExpectationResult]], dict[str, RagError]]:
    from rag_pipelines.quality.runner import check_source
    from rag_pipelines.sync.engine import check_names

    chosen = invocation(context)
    found: dict[str, list[ExpectationResult]] = {}

    def check(name: str) -> None:
        found[name] = check_source(
            chosen.runtime,
            name,
            run=site.runner(name) if site else None,
        )

    names = check_names(chosen.settings, sources or [])
    errors = for_each(names, check)
    with chosen.database.connection() as connection:
        say_waiting(connection, names)
    return found, errors


def _end(found: dict[str, list[ExpectationResult]], errors: dict[str, RagError]) -> None:
    end(errors)
    if any(one.blocking and not one.passed for results in found.values() for one in results):
        raise typer.Exit(ExitCode.FAILED)


def _show(source: str, results: list[ExpectationResult]) -> None:
    if not results:
        say(f"note: {source}: nothing is stored yet; run `rag-pipelines ingest {source}` first")
        return
    rows = (
        (one.suite, one.expectation, _verdict(one), one.unexpected or 0, one.rows or 0, one.error or "")
        for one in results
    )
    print_table(("suite", "expectation", "verdict", "unexpected", "rows", "error"), rows, title=source)


def _verdict(result: ExpectationResult) -> str:
    if result.passed:
        return "passed"
    return "FAILED" if result.blocking else "warning"
