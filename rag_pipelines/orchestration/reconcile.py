"""Reconciliation: the completeness of a source as an asset with checks, and another try for what failed.

What belongs here: how verification and retries look in Dagster. What does not: doing either
(`verification`, `store.documents`). The checks show the newest certificate, and none blocks: what a run of
the source would mend by itself warns, damage is an error.
See https://docs.dagster.io/guides/test/asset-checks
"""

# Dagster needs the annotations of configuration and resources as types, not as text.
# ruff: noqa: I002

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import dagster as dg
from pydantic import Field

from rag_pipelines.config.settings import Settings
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.fingerprint import fingerprint
from rag_pipelines.orchestration import metadata as shown
from rag_pipelines.orchestration.disclosure import disclosed, is_public
from rag_pipelines.orchestration.failures import dagster_failures
from rag_pipelines.orchestration.ingest_assets import DEFAULT_OWNER, PREFIX, RAW
from rag_pipelines.orchestration.partitions import source_of, source_partitions
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Database
from rag_pipelines.verification.drift import CHECKS, Certificate, Remedy, kind_of
from rag_pipelines.verification.repair import repair_source
from rag_pipelines.verification.verify import newest_certificates, verify_source

GROUP = "reconcile"
COMPLETENESS = dg.AssetKey([PREFIX, "completeness"])

DAMAGE = {Remedy.REOPEN, Remedy.REBUILD}
"""What no ordinary run would notice."""


class VerifyConfig(dg.Config):
    """How a source is verified, and whether what drifted is mended at once."""

    repair: bool = Field(
        default=False, description="Repair what can be repaired automatically, and verify again."
    )
    deep: bool = Field(default=False, description="Read every stored object and compare it with its digest.")


def completeness(settings: Settings) -> dg.AssetsDefinition:
    """The asset `completeness`: one certificate a source and live version."""
    owners = sorted({source.owner for source in settings.sources.values() if source.owner})

    @dg.asset(
        key=COMPLETENESS,
        deps=[RAW],
        group_name=GROUP,
        owners=owners or [DEFAULT_OWNER],
        kinds={"python", "postgres"},
        partitions_def=source_partitions(settings),
        code_version=fingerprint({name: s.model_dump(mode="json") for name, s in settings.sources.items()}),
        description="A certificate of what the source lists, what is stored, processed and indexed of it, "
        "re-derived from a fresh listing of ids and from the live versions.",
    )
    def completeness(
        context: dg.AssetExecutionContext,
        config: VerifyConfig,
        settings: dg.ResourceParam[Settings],
        database: dg.ResourceParam[Database],
        embedders: dg.ResourceParam[Embedders],
    ) -> dg.MaterializeResult:
        source, runtime = source_of(context), Runtime(database, settings, embedders)
        shared: dict[str, Any] = {
            "deep": config.deep,
            "progress": shown.log_progress(context.log.info),
        }
        done: list[str] = []
        with dagster_failures():
            certificates = verify_source(runtime, source, **shared)
            if config.repair and not all(one.complete for one in certificates):
                done = repair_source(runtime, certificates, **shared)
                verify_source(runtime, source, **shared)
            with database.connection() as connection:
                certificates = newest_certificates(connection, source)
                public = is_public(connection, source)
        for line in done if public else ():
            context.log.info(f"repair: {line}")
        found = {"run_id": context.run_id, **certificate_metadata(source, certificates, public=public)}
        if done and public:
            found["repaired"] = dg.MetadataValue.md("\n".join(f"- {line}" for line in done))
        return dg.MaterializeResult(metadata=found)

    return completeness


def completeness_checks(settings: Settings) -> dg.AssetChecksDefinition:
    """The parts of the newest certificate of the run's source, each as a check."""
    specs = [
        dg.AssetCheckSpec(
            name, asset=COMPLETENESS, description=question, partitions_def=source_partitions(settings)
        )
        for name, question in CHECKS.items()
    ]

    @dg.multi_asset_check(name="completeness_checks", specs=specs)
    def checks(context: dg.AssetCheckExecutionContext, database: dg.ResourceParam[Database]):
        source = source_of(context)
        with dagster_failures(), database.connection() as connection:
            certificates = newest_certificates(connection, source)
            public = is_public(connection, source)
        yield from certificate_results(source, certificates, public=public)

    return checks


def certificate_results(
    source: str, certificates: list[Certificate], *, public: bool
) -> list[dg.AssetCheckResult]:
    """What the newest certificates of a source say, by check."""
    return [_drift_check(name, source, certificates, public=public) for name in CHECKS]


def certified_at(certificates: list[Certificate]) -> datetime:
    """When stored certificates of one verification were made."""
    return max(one.made_at for one in certificates if one.made_at is not None)


def certificate_metadata(source: str, certificates: list[Certificate], *, public: bool) -> shown.Metadata:
    """What the newest certificates of a source say, in figures; the first is that of the catalogue."""
    catalogue = certificates[0].counts
    versions = (
        {"index": one.index, "version": one.version, **one.counts, "complete": one.complete}
        for one in certificates[1:]
    )
    found: shown.Metadata = {
        "source": source,
        "certified_at": dg.MetadataValue.timestamp(certified_at(certificates)),
        "complete": all(one.complete for one in certificates),
        "drifted_documents": sum(drift.documents for one in certificates for drift in one.drift),
        **{name: value for name, value in catalogue.items() if value is not None},
        "versions": shown.table(versions),
        "drift": _drift_table(certificates),
    }
    return disclosed(found, public=public)


def _drift_check(
    name: str, source: str, certificates: list[Certificate], *, public: bool
) -> dg.AssetCheckResult:
    drifted = [(one, drift) for one in certificates for drift in one.drift if kind_of(drift).check == name]
    damaged = any(kind_of(drift).remedy in DAMAGE for _, drift in drifted)
    found: shown.Metadata = {"source": source, "drifted_documents": sum(d.documents for _, d in drifted)}
    if drifted:
        found["drift"] = _drift_table(certificates, name)
    if not certificates:
        found["missing"] = "the source has not been verified yet"
    return dg.AssetCheckResult(
        asset_key=COMPLETENESS,
        check_name=name,
        passed=bool(certificates) and not drifted,
        severity=dg.AssetCheckSeverity.ERROR if damaged else dg.AssetCheckSeverity.WARN,
        metadata=disclosed(found, public=public),
    )


def _drift_table(certificates: Iterable[Certificate], check: str | None = None) -> Any:
    return shown.table(
        {
            "drift": drift.kind,
            "where": one.index or "catalogue",
            "documents": drift.documents,
            "meaning": kind_of(drift).meaning,
            "such as": ", ".join(drift.samples),
            "what to do": one.advice(drift),
        }
        for one in certificates
        for drift in one.drift
        if check in (None, kind_of(drift).check)
    )
