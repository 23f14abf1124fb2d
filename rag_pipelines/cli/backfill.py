"""``rag-pipelines backfill``: ingest sources through Dagster in this process; no daemon is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rag_pipelines.cli.ingest import say_notes
from rag_pipelines.cli.invocation import ExitCode, invocation
from rag_pipelines.cli.options import AllowDeletes, Full, Since, SourceNames, Until, window
from rag_pipelines.cli.output import AsJson, print_findings, print_json, say
from rag_pipelines.cli.sources import end

if TYPE_CHECKING:
    from rag_pipelines.orchestration.backfill import RunOutcome


def backfill(
    context: typer.Context,
    sources: SourceNames = None,
    since: Since = None,
    until: Until = None,
    full: Full = False,
    allow_deletes: AllowDeletes = False,
    go_on: Annotated[bool, typer.Option("--continue", help="Continue after a source that failed.")] = False,
    build: Annotated[bool, typer.Option("--build", help="Then build every index that changed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run the job of each source in turn, with its quality checks, and record the runs.

    They are recorded in the Dagster instance of DAGSTER_HOME, where the UI shows them; without it
    they leave no record. The exit code is 1 if a run failed, and 3 if documents failed or could not all be
    listed.
    """
    from rag_pipelines.sync.engine import check_names
    from rag_pipelines.sync.stages import newest_report

    chosen = invocation(context)
    names = check_names(chosen.settings, sources or [])
    span = window(since, until)
    from rag_pipelines.orchestration.backfill import run_backfill, run_build
    from rag_pipelines.orchestration.build import shared_definitions
    from rag_pipelines.orchestration.names import BUILD_INDEX, INGEST_SOURCE

    sound = True

    def show_outcome(outcome: RunOutcome) -> None:
        nonlocal sound
        if not as_json:
            print_findings([(outcome.name, outcome.success, _detail(outcome))])
        with chosen.database.connection() as connection:
            report = newest_report(connection, outcome.name) if outcome.success else None
        if report is not None:
            say_notes(report)
            sound = sound and report.sound

    with shared_definitions(chosen.settings) as definitions:
        outcomes = run_backfill(
            definitions.resolve_job_def(INGEST_SOURCE),
            names,
            since=span.since,
            until=span.until,
            full=full,
            allow_deletes=allow_deletes,
            continue_on_failure=go_on,
            ended=show_outcome,
        )
        failed = not all(outcome.success for outcome in outcomes)
        if build and not failed:
            outcomes.append(run_build(definitions.resolve_job_def(BUILD_INDEX)))
            show_outcome(outcomes[-1])
            failed = not outcomes[-1].success
    if as_json:
        print_json(outcomes)
    elif len(outcomes) < len(names):
        say(f"stopped; not run: {', '.join(names[len(outcomes) :])}. Use --continue to go on after a failure")
    if failed:
        raise typer.Exit(ExitCode.FAILED)
    end({}, sound=sound)


def _detail(outcome: RunOutcome) -> str:
    checks = f"; failed checks: {', '.join(outcome.failed_checks)}" if outcome.failed_checks else ""
    return f"run {outcome.run_id}{checks}{f'; {outcome.error}' if outcome.error else ''}"
