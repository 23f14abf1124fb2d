"""What Dagster shows of canaries: a check of each candidate, and a sensor that evaluates it when one ends.

What belongs here: how a canary looks in Dagster. What does not: running, judging and ending one: serving
processes do that by themselves (`serving.canary`, `gates.canary`), and none of it waits for Dagster.
See https://docs.dagster.io/guides/test/asset-checks
"""

# Dagster needs the annotations of configuration and resources as types, not as text.
# ruff: noqa: I002

import json

import dagster as dg

from rag_pipelines.config.settings import Settings
from rag_pipelines.gates.canary import Report, latest_reports
from rag_pipelines.orchestration.failures import dagster_failures
from rag_pipelines.orchestration.index_assets import candidate_key
from rag_pipelines.store.database import Database

CHECK = "canary"


def canary_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """Whether the newest canary of each index was broken off; fails with the figures of both versions."""
    return [_canary_check(name) for name in settings.indexes]


@dg.sensor(
    minimum_interval_seconds=60,
    description="Evaluate the check `canary` of an index when a canary begins, ends or is broken off.",
)
def canary_sensor(
    context: dg.SensorEvaluationContext,
    settings: dg.ResourceParam[Settings],
    database: dg.ResourceParam[Database],
) -> dg.SensorResult | dg.SkipReason:
    """One evaluation for each index whose canary changed since the last look."""
    known = json.loads(context.cursor or "{}")
    with database.connection() as connection:
        reports = {one.canary.index_name: one for one in latest_reports(connection)}
    now = {
        name: f"{one.canary.canary_id} {one.canary.state}"
        for name, one in reports.items()
        if name in settings.indexes
    }
    changed = [name for name in now if now[name] != known.get(name)]
    if not changed:
        return dg.SkipReason("no canary began or ended")
    events = [_evaluation(name, reports[name]) for name in changed]
    return dg.SensorResult(asset_events=events, cursor=json.dumps(now))


def _canary_check(name: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        name=CHECK,
        asset=candidate_key(name),
        description="No canary of this index was broken off last: `rag-pipelines canary status`.",
    )
    def check(database: dg.ResourceParam[Database]) -> dg.AssetCheckResult:
        with dagster_failures(), database.connection() as connection:
            reports = latest_reports(connection, name)
        return dg.AssetCheckResult(
            passed=not (reports and _breached(reports[0])),
            severity=dg.AssetCheckSeverity.WARN,
            metadata=_metadata(reports[0]) if reports else {"canary": "there was none yet"},
        )

    return check


def _evaluation(name: str, report: Report) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=candidate_key(name),
        check_name=CHECK,
        passed=not _breached(report),
        severity=dg.AssetCheckSeverity.WARN,
        metadata=_metadata(report),
    )


def _breached(report: Report) -> bool:
    return report.canary.state == "breached"


def _metadata(report: Report) -> dict[str, str | int | float]:
    canary = report.canary
    told: dict[str, str | int | float] = {
        "version": canary.version_id,
        "state": canary.state,
        "verdict": canary.verdict or "none yet",
        "compared": canary.pairs.compared,
    }
    if report.overlap is not None:
        told["overlap"] = round(report.overlap, 4)
    for side, figures in report.sides.items():
        told |= {f"{side}_empty": figures.empties, f"{side}_errors": figures.errors}
        told[f"{side}_p95_ms"] = figures.quantile(0.95) or 0.0
    return told
