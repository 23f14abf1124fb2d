"""The key figures as an asset: a materialization a day, which Dagster plots, and two checks of it.

What belongs here: how figures and shifts look in Dagster. What does not: computing them (`monitoring`).
See https://docs.dagster.io/guides/build/assets/metadata-and-tags
"""

# Dagster needs the annotations of configuration and resources as types, not as text.
# ruff: noqa: I002

from datetime import UTC, datetime

import dagster as dg

from rag_pipelines.config.settings import Settings
from rag_pipelines.fingerprint import fingerprint
from rag_pipelines.monitoring.kpi_sheet import kpi_sheet, shown
from rag_pipelines.monitoring.kpis import DEFINITIONS, keep_figures, kept_figures, key_figures
from rag_pipelines.monitoring.shifts import MEASURES, index_shifts
from rag_pipelines.orchestration import metadata
from rag_pipelines.orchestration.failures import dagster_failures
from rag_pipelines.orchestration.ingest_assets import DEFAULT_OWNER, PREFIX
from rag_pipelines.store.database import Database

KEY_FIGURES = dg.AssetKey([PREFIX, "key_figures"])
GROUP = "monitoring"
MET, STEADY = "targets_met", "distributions_steady"


def key_figures_asset(settings: Settings) -> dg.AssetsDefinition:
    """The key figures of a configuration."""

    @dg.asset(
        key=KEY_FIGURES,
        group_name=GROUP,
        owners=[DEFAULT_OWNER],
        kinds={"postgres"},
        code_version=fingerprint([settings.kpis.model_dump(mode="json"), sorted(DEFINITIONS)]),
        description="The key figures of sources and indexes beside their targets, kept for each day: "
        "`rag-pipelines kpis`.",
        check_specs=[
            dg.AssetCheckSpec(MET, asset=KEY_FIGURES, description="No key figure misses its target."),
            dg.AssetCheckSpec(
                STEADY,
                asset=KEY_FIGURES,
                description="Vectors, passages, languages and empty results are distributed as they were.",
            ),
        ],
    )
    def key_figures_of_today(
        settings: dg.ResourceParam[Settings], database: dg.ResourceParam[Database]
    ) -> dg.MaterializeResult:
        """Compute, keep and judge the key figures."""
        now = datetime.now(UTC)
        with dagster_failures():
            with database.transaction() as connection:
                figures = key_figures(connection, settings, now=now)
                keep_figures(connection, figures)
                kept = kept_figures(connection, (now - settings.kpis.window).date())
            shifts = {
                name: found
                for name in settings.indexes
                if (found := index_shifts(database, settings, name, keep=True)) is not None
            }
        missed = [one for one in figures if one.met is False]
        moved = [
            f"{index}: {MEASURES[one.measure]}"
            for index, found in shifts.items()
            for one in found
            if one.moved
        ]
        return dg.MaterializeResult(
            metadata={
                **{one.name: one.value for one in figures if not one.subject and one.value is not None},
                "figures": metadata.table(
                    {
                        "figure": one.name,
                        "of": one.subject or "all",
                        "value": shown(one.name, one.value),
                        "target": shown(one.name, one.target),
                        "what": DEFINITIONS[one.name].what,
                    }
                    for one in figures
                ),
                "sheet": dg.MetadataValue.md(kpi_sheet(figures, kept, shifts, now).markdown()),
            },
            check_results=[
                _result(
                    MET, [f"{one.name} of {one.subject or 'all'}" for one in missed], "every target is met"
                ),
                _result(STEADY, moved, "nothing moved"),
            ],
        )

    return key_figures_of_today


def _result(check: str, wrong: list[str], right: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=check,
        passed=not wrong,
        severity=dg.AssetCheckSeverity.WARN,
        description=", ".join(wrong) or right,
        metadata={"count": len(wrong)},
    )
