"""What Dagster shows of canaries: a check of each candidate, evaluated again when a canary begins or ends.

What belongs here: how a canary looks in Dagster. What does not: running, judging and ending one: serving
processes do that by themselves (`serving.canary`, `gates.canary`), and none of it waits for Dagster.
See https://docs.dagster.io/guides/test/asset-checks
"""

# Dagster needs the annotations of configuration and resources as types, not as text.
# ruff: noqa: I002

import dagster as dg

from rag_pipelines.config.settings import Settings
from rag_pipelines.gates.canary import CanaryReport, latest_reports
from rag_pipelines.orchestration.failures import dagster_failures
from rag_pipelines.orchestration.index_assets import candidate_key
from rag_pipelines.store.database import Database

CHECK = "canary"


def canary_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """Whether the newest canary of each index was aborted; fails with the figures of both versions."""
    return [_canary_check(name) for name in settings.indexes]


def canary_result(name: str, report: CanaryReport | None) -> dg.AssetCheckResult:
    """What the newest canary of an index came to; none passes."""
    canary = report.canary if report else None
    return dg.AssetCheckResult(
        asset_key=candidate_key(name),
        check_name=CHECK,
        passed=not (report and _is_breached(report)),
        severity=dg.AssetCheckSeverity.WARN,
        description=f"canary {canary.canary_id} is {canary.state}" if canary else "there was none yet",
        metadata=_metadata(report) if report else {},
    )


def _canary_check(name: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        name=CHECK,
        asset=candidate_key(name),
        description="No canary of this index was aborted last: `rag-pipelines canary status`.",
    )
    def check(database: dg.ResourceParam[Database]) -> dg.AssetCheckResult:
        with dagster_failures(), database.connection() as connection:
            reports = latest_reports(connection, name)
        return canary_result(name, reports[0] if reports else None)

    return check


def _is_breached(report: CanaryReport) -> bool:
    return report.canary.state == "breached"


def _metadata(report: CanaryReport) -> dict[str, str | int | float]:
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
