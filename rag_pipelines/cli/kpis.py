"""``rag-pipelines kpis``: the key figures beside their targets."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from rag_pipelines.cli.invocation import invocation
from rag_pipelines.cli.output import AsJson, print_json, print_table, say


def kpis(
    context: typer.Context,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write the sheet as one HTML page.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep today's figures, so that later sheets show how they went.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the key figures of sources and indexes: each beside its target from the configuration.

    They are counted over `kpis.window`. Exits with 1 where a target is missed.
    """
    from rag_pipelines.monitoring.kpi_sheet import COLUMNS, kpi_sheet, table
    from rag_pipelines.monitoring.kpis import keep_figures, kept_figures, key_figures
    from rag_pipelines.monitoring.shifts import index_shifts

    chosen = invocation(context)
    settings, now = chosen.settings, datetime.now(UTC)
    with chosen.database.transaction() as connection:
        figures = key_figures(connection, settings, now=now)
        if keep:
            keep_figures(connection, figures)
        kept = kept_figures(connection, (now - settings.kpis.window).date())
    shifts = {
        name: found
        for name in settings.indexes
        if (found := index_shifts(chosen.database, settings, name, keep=keep)) is not None
    }
    if html is not None:
        html.write_text(kpi_sheet(figures, kept, shifts, now).html(), encoding="utf-8")
        say(f"wrote {html}")
    if as_json:
        print_json({"figures": figures, "shifts": shifts})
    else:
        print_table(COLUMNS, table(figures))
        for name, found in shifts.items():
            for one in found:
                if one.moved:
                    say(f"note: index {name}: {one.measure} moved (stability index {one.stability:.2f})")
    if any(one.met is False for one in figures):
        raise typer.Exit(1)
