"""Two assets an index: the candidate version, and the live version that readers see.

What belongs here: how building and promoting look in Dagster. What does not: doing either
(`rag_pipelines.index`). An index is a pair of assets rather than a partition, so that each has its own
promise of freshness, owner, history and upstream sources. That promise is a check (`state_checks`) and no
freshness policy of Dagster: a policy counts materializations, so that a quiet day is late and a run that
changed nothing is on time.
See https://docs.dagster.io/guides/build/assets
"""

# Dagster needs the annotations of configuration and resources as types, not as text.
# ruff: noqa: I002

import time
from collections.abc import Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from rag_pipelines.config.settings import Settings
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.fingerprint import fingerprint
from rag_pipelines.gates.judge import validate_version
from rag_pipelines.index.build import build_index
from rag_pipelines.index.gate_results import Gate, gates_of
from rag_pipelines.index.promotion import Override, promote
from rag_pipelines.index.spare import keep_spare
from rag_pipelines.index.storage import storage_of_version
from rag_pipelines.index.versions import Version, candidate_version, live_version
from rag_pipelines.index.words import words_code
from rag_pipelines.monitoring.lineage import Lineage
from rag_pipelines.orchestration import metadata as shown
from rag_pipelines.orchestration.conditions import candidate_condition, live_condition
from rag_pipelines.orchestration.failures import dagster_failures
from rag_pipelines.orchestration.ingest_assets import (
    DEFAULT_OWNER,
    EMBEDDER_POOL,
    EMBEDDINGS,
    PREFIX,
)
from rag_pipelines.orchestration.names import actor_of
from rag_pipelines.orchestration.quality_metadata import quality_figures
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Database, Pg, query

GROUP = "index"


class BuildConfig(dg.Config):
    """`full`: load and index everything, even where nothing changed or a version could catch up."""

    full: bool = False


class PromoteConfig(dg.Config):
    """`override` names gates that do not count, `by` who decides that, `reason` why; kept in the audit."""

    override: list[str] = Field(default_factory=list)
    by: str = ""
    reason: str = ""

    @property
    def decision(self) -> Override | None:
        """What was decided, if anything was."""
        given = self.override or self.by or self.reason
        return Override(self.override, self.by, self.reason) if given else None


def candidate_key(index: str) -> dg.AssetKey:
    """The candidate of an index."""
    return dg.AssetKey([PREFIX, index, "index_candidate"])


def live_key(index: str) -> dg.AssetKey:
    """The live version of an index."""
    return dg.AssetKey([PREFIX, index, "live_index"])


def index_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """`index_candidate` and `live_index` of every index."""
    return [
        asset for name in settings.indexes for asset in (_candidate(settings, name), _live(settings, name))
    ]


def candidate_metadata(connection: Pg, version: Version, gates: Sequence[Gate]) -> shown.Metadata:
    """What the candidate of an index shows of a version."""
    return _version_metadata(connection, version, gates, shown.gates_metadata(gates))


def live_metadata(
    connection: Pg, settings: Settings, version: Version, gates: Sequence[Gate]
) -> shown.Metadata:
    """What the live index shows of a version, with a link to the page that searches it."""
    link = shown.page_link("search_page", settings, f"#index={version.index_name}")
    return _version_metadata(connection, version, gates, link)


def _version_metadata(
    connection: Pg, version: Version, gates: Sequence[Gate], more: shown.Metadata
) -> shown.Metadata:
    size = query(connection, "version_bytes", {"storage": version.storage}).fetchone()
    assert size is not None
    found = {
        "index": version.index_name,
        **shown.version_metadata(version),
        "chunks": version.row_count or 0,
        "version_bytes": size["bytes"],
        **more,
        **quality_figures(gates),
        **shown.table_metadata(connection, storage_of_version(version).part_tables[0]),
    }
    return shown.headed(
        found, "version", "documents", "chunks", "version_bytes", "gates_failed", "search_page"
    )


def _common(settings: Settings, name: str) -> dict[str, Any]:
    index = settings.index(name)
    return {
        "group_name": GROUP,
        "owners": [index.owner or DEFAULT_OWNER],
        "kinds": {"postgres", "pgvector"},
        "code_version": fingerprint(
            [
                index.model_dump(mode="json"),
                words_code(),
                settings.embedding_profile(name).model_dump(mode="json"),
                settings.profiles.model_dump(mode="json")["chunking"].get(index.chunking),
            ]
        ),
        "tags": {"rag/index": name},
    }


def _candidate(settings: Settings, name: str) -> dg.AssetsDefinition:
    fed_by = dg.SpecificPartitionsPartitionMapping(list(settings.sources_of(name)))

    @dg.asset(
        key=candidate_key(name),
        deps=[dg.AssetDep(EMBEDDINGS, partition_mapping=fed_by)],
        description=f"The next version of the index `{name}`: built beside the live one, by catching up "
        "where that is cheaper, and judged by its gates. Nothing is built when nothing changed.",
        pool=EMBEDDER_POOL,
        automation_condition=candidate_condition(settings, name),
        **_common(settings, name),
    )
    def index_candidate(
        context: dg.AssetExecutionContext,
        config: BuildConfig,
        settings: dg.ResourceParam[Settings],
        database: dg.ResourceParam[Database],
        embedders: dg.ResourceParam[Embedders],
    ) -> dg.MaterializeResult:
        began = time.perf_counter()
        with dagster_failures():
            lineage = Lineage(settings, database)
            with lineage.build(name) as made:
                version = build_index(
                    Runtime(database, settings, embedders),
                    name,
                    full=config.full,
                    if_changed=not config.full,
                    progress=shown.log_progress(context.log.info),
                )
                made.append(version)
            built = time.perf_counter()
            if version is not None:
                gates = validate_version(Runtime(database, settings, embedders), name, version.version_id)
                lineage.judgement(version, gates)
            else:
                with database.connection() as connection:
                    version = live_version(connection, name)
                    assert version is not None
                    gates = gates_of(connection, version.version_id)
        judged = time.perf_counter()
        with database.connection() as connection:
            found = candidate_metadata(connection, version, gates)
        return dg.MaterializeResult(
            metadata={
                **found,
                "run_id": context.run_id,
                "rebuilt": version.state != "live",
                "build_s": round(built - began, 3),
                "gates_s": round(judged - built, 3),
            }
        )

    return index_candidate


def _live(settings: Settings, name: str) -> dg.AssetsDefinition:
    @dg.asset(
        key=live_key(name),
        deps=[candidate_key(name)],
        description=f"The version of the index `{name}` that queries read. Promotion re-reads the stored "
        "gates in its own transaction and refuses with the list of what is missing, whatever started it. To "
        "promote all the same, materialize this asset alone with `override`, `by` and `reason`.",
        automation_condition=live_condition(),
        **_common(settings, name),
    )
    def live_index(
        context: dg.AssetExecutionContext,
        config: PromoteConfig,
        settings: dg.ResourceParam[Settings],
        database: dg.ResourceParam[Database],
        embedders: dg.ResourceParam[Embedders],
    ) -> dg.MaterializeResult:
        with dagster_failures():
            with database.connection() as connection:
                candidate = candidate_version(connection, name)
                before = live_version(connection, name)
            if candidate is not None or before is None:
                version = promote(database, name, actor=actor_of(context.run_id), override=config.decision)
            else:
                version = before
            with database.connection() as connection:
                gates = gates_of(connection, version.version_id)
                found = live_metadata(connection, settings, version, gates)
            keep_spare(Runtime(database, settings, embedders), name, shown.log_progress(context.log.info))
        return dg.MaterializeResult(
            metadata={
                **found,
                "run_id": context.run_id,
                "promoted": before is None or version.version_id != before.version_id,
                "version_before": before.version_id if before else "none",
            }
        )

    return live_index
