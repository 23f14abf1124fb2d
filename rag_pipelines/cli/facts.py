"""``rag-pipelines facts``: the views for warehouses as Parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rag_pipelines.cli.invocation import invocation
from rag_pipelines.cli.output import number


def facts(
    context: typer.Context,
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="Where to write NAME.parquet.")],
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Only this view, such as runs; may be repeated.")
    ] = None,
) -> None:
    """Write the views of the schema rag_facts as Parquet files, all as of one moment."""
    from rag_pipelines.monitoring.facts import export_facts

    for name, rows in export_facts(invocation(context).database, to, only or ()):
        typer.echo(f"{to / name}.parquet: {number(rows, 'row')}")
