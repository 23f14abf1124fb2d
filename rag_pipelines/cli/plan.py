"""``rag-pipelines plan``: what an ingest would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from rag_pipelines.cli.ingest import counted
from rag_pipelines.cli.invocation import invocation
from rag_pipelines.cli.options import AllowDeletes, Full, Since, SourceNames, Until, window
from rag_pipelines.cli.output import AsJson, number, print_facts, print_json, print_table, say, stage_bars

if TYPE_CHECKING:
    from rag_pipelines.sync.plan import SyncPlan

SAMPLES = 3


def plan(
    context: typer.Context,
    sources: SourceNames = None,
    since: Since = None,
    until: Until = None,
    full: Full = False,
    allow_deletes: AllowDeletes = False,
    as_json: AsJson = False,
) -> None:
    """Say what an ingest with the same options would do; nothing is kept and nothing embedded."""
    from rag_pipelines.sync.engine import check_names
    from rag_pipelines.sync.plan import plan_source

    chosen = invocation(context)
    span = window(since, until)
    plans: list[SyncPlan] = []
    for name in check_names(chosen.settings, sources or []):
        with stage_bars(name, shown=not as_json) as progress:
            found = plan_source(
                chosen.database,
                chosen.settings,
                name,
                embedders=chosen.embedders,
                full=full,
                window=span,
                allow_deletes=allow_deletes,
                progress=progress,
            )
        plans.append(found)
        if not as_json:
            _show(found)
    if as_json:
        print_json(plans)


def _show(plan: SyncPlan) -> None:
    changes = {change: count for change, count in plan.changes.items() if change != "unchanged"}
    typer.secho(f"{plan.source}: {number(plan.listed, 'document')} listed", bold=True)
    if changes:
        rows = (
            (change.replace("_", " "), count, _samples(plan.samples.get(change, []), count))
            for change, count in changes.items()
        )
        print_table(("change", "documents", "such as"), rows)
    else:
        typer.echo("  an ingest would change no document")
    new = f"{number(plan.chunks, 'new vector')} of {number(plan.tokens, 'token')}"
    facts = [
        ("read", f"{plan.bytes_loaded:,} bytes"),
        ("statuses", counted(plan.statuses)),
        ("embed", f"{new}, cost {plan.cost:,.4f}" if plan.cost else new),
    ]
    print_facts("", facts)
    for note in plan.notes:
        say(f"note: {plan.source}: {note}")


def _samples(names: list[str], count: int) -> str:
    shown = ", ".join(names[:SAMPLES])
    return f"{shown}, …" if count > SAMPLES else shown
