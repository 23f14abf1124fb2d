"""``rag-pipelines plan`` and ``apply``: what an ingest would do, and doing exactly that."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from rag_pipelines.cli.ingest import format_counts, show_report
from rag_pipelines.cli.invocation import invocation
from rag_pipelines.cli.options import AllowDeletes, Full, ListAll, Since, SourceNames, Until, window
from rag_pipelines.cli.output import AsJson, number, print_facts, print_json, print_table, say, stage_bars
from rag_pipelines.cli.reparse import format_reparsed
from rag_pipelines.cli.sources import end, for_each

if TYPE_CHECKING:
    from rag_pipelines.sync.plan import SyncPlan

SAMPLES = 3


def plan(
    context: typer.Context,
    sources: SourceNames = None,
    since: Since = None,
    until: Until = None,
    full: Full = False,
    list_all: ListAll = False,
    allow_deletes: AllowDeletes = False,
    as_json: AsJson = False,
) -> None:
    """Say what an ingest with the same options would do, and keep the plan; nothing is embedded.

    The exit code is 3 when documents would fail or could not all be listed.
    """
    from rag_pipelines.sync.engine import check_names
    from rag_pipelines.sync.plan import plan_source
    from rag_pipelines.sync.scope import Scope

    chosen = invocation(context)
    span = window(since, until)
    plans: list[SyncPlan] = []

    def make(name: str) -> None:
        with stage_bars(name, shown=not as_json) as progress:
            found = plan_source(
                chosen.runtime,
                name,
                Scope(full, span, allow_deletes, list_all),
                progress=progress,
            )
        plans.append(found)
        if not as_json:
            _show(found)

    errors = for_each(check_names(chosen.settings, sources or []), make)
    if as_json:
        print_json(plans)
    end(errors, sound=all(found.sound for found in plans))


def apply(
    context: typer.Context,
    plan: Annotated[
        int | None,
        typer.Argument(metavar="[PLAN]", help="Number of the plan; without one, list the plans that wait."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Do exactly what a plan says; refuse with the difference where the source changed meanwhile."""
    from rag_pipelines.sync.plan import apply_plan, waiting_plans

    chosen = invocation(context)
    if plan is None:
        with chosen.database.connection() as connection:
            plans = waiting_plans(connection)
        if as_json:
            print_json(plans)
        elif plans:
            _show_waiting(plans)
        else:
            typer.echo("no plan waits; make one: rag-pipelines plan")
        return
    began = time.perf_counter()
    with stage_bars(f"plan {plan}", shown=not as_json, after=0.4) as progress:
        report = apply_plan(chosen.runtime, plan, progress=progress)
    if as_json:
        print_json(report)
    else:
        show_report(report, time.perf_counter() - began)
    end({}, sound=report.sound)


def _show_waiting(plans: list[SyncPlan]) -> None:
    print_table(
        ("plan", "source", "changes", "tokens", "cost", "above the budget"),
        (
            (
                str(one.plan_id),
                one.source,
                format_counts(
                    {change: count for change, count in one.changes.items() if change != "unchanged"}
                ),
                one.tokens,
                one.cost,
                "; ".join(one.exceeds) or None,
            )
            for one in plans
        ),
    )


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
    cost = f", cost {plan.cost:,.4f}" if plan.cost else ""
    spent = f", about {plan.embed_seconds:,.0f} s" if plan.embed_seconds else ""
    facts = [
        ("read", f"{plan.bytes_loaded:,} bytes"),
        ("statuses", format_counts(plan.statuses)),
        ("parsed again", format_reparsed(plan.reparsed, plan.reparsed_equal)),
        ("embed", f"{new}{cost}{spent}"),
        ("above the budget", "; ".join(plan.exceeds)),
        ("to do exactly this", f"rag-pipelines apply {plan.plan_id}"),
    ]
    print_facts("", facts)
    for note in plan.notes:
        say(f"note: {plan.source}: {note}")
    if plan.failed:
        say(f"{number(plan.failed, 'document')} would fail")


def _samples(names: list[str], count: int) -> str:
    shown = ", ".join(names[:SAMPLES])
    return f"{shown}, …" if count > SAMPLES else shown
