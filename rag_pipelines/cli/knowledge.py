"""``rag-pipelines knowledge``: what owners of documents should know of them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from rag_pipelines.cli.invocation import invocation
from rag_pipelines.cli.options import SourceNames, duration
from rag_pipelines.cli.output import AsJson, print_json, say

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """Copies, contradictions and old documents, for their owners."""


@app.command()
def report(
    context: typer.Context,
    sources: SourceNames = None,
    stale: Annotated[
        timedelta | None,
        typer.Option(
            parser=duration,
            metavar="SPAN",
            help="Call stale what was not modified for so long; by default 730d.",
        ),
    ] = None,
    examples: Annotated[int, typer.Option(min=0, max=1000, help="How many of each kind to name.")] = 20,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report as one HTML file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Report copies of documents, versions that contradict, and what is outdated, old or without author.

    It names documents whoever may read them: it is for people with rights over the catalogue.
    """
    from rag_pipelines.knowledge.findings import STALE, find
    from rag_pipelines.knowledge.report import knowledge_report

    chosen = invocation(context)
    names = list(sources or chosen.settings.sources)
    for name in names:
        chosen.settings.source(name)
    found = find(chosen.database, chosen.settings, names, stale_after=stale or STALE, examples=examples)
    if html is not None:
        html.write_text(knowledge_report(found).html(), encoding="utf-8")
        say(f"wrote {html}")
    if as_json:
        print_json(found)
    elif html is None:
        typer.echo(knowledge_report(found).markdown())
