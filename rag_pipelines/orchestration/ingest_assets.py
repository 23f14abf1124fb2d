"""The assets of the ingest chain: one partition a source, from the listing to the vectors.

What belongs here: how each stage looks in Dagster. What does not: what a stage does (`rag_pipelines.sync`).
Each asset takes up what its source has pending at its stage, so a rerun of any of them repeats nothing.
See https://docs.dagster.io/guides/build/assets
"""

# Dagster needs the annotations of configuration and resources as types, not as text.
# ruff: noqa: I002

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from pydantic import Field

from rag_pipelines.chunking.fingerprints import chunker_codes
from rag_pipelines.config.execution import StageName
from rag_pipelines.config.settings import Settings
from rag_pipelines.connectors.base import Window
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.errors import UsageError
from rag_pipelines.fingerprint import fingerprint
from rag_pipelines.monitoring.lineage import Lineage
from rag_pipelines.orchestration import metadata as shown
from rag_pipelines.orchestration.conditions import source_condition, stage_condition
from rag_pipelines.orchestration.disclosure import disclosed, disclosed_report, is_public
from rag_pipelines.orchestration.executors import stage_tags
from rag_pipelines.orchestration.failures import dagster_failures
from rag_pipelines.orchestration.names import actor_of, lineage_run
from rag_pipelines.orchestration.partitions import source_of, source_partitions
from rag_pipelines.orchestration.sharded_assets import sharded_stage
from rag_pipelines.parsing.fingerprints import parser_fingerprints
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Database, Pg, Row, query
from rag_pipelines.store.losses import losses_by_format
from rag_pipelines.sync.advance import Stage
from rag_pipelines.sync.deletions import park_removed_sources
from rag_pipelines.sync.plan import plan_within_budget
from rag_pipelines.sync.report import SyncReport
from rag_pipelines.sync.run import SourceRun
from rag_pipelines.sync.scope import Scope
from rag_pipelines.sync.stages import advance_source, answer_hints, list_source, source_run

PREFIX = "rag"
GROUP = "ingest"
DEFAULT_OWNER = "team:data-platform"
SYNC_RUN = "sync_run"
"""The figure that says which run of the catalogue a materialization shows."""

EMBEDDER_POOL = "embedder"
"""The concurrency pool of whatever runs a model: by default one at a time in a deployment."""

RAW = dg.AssetKey([PREFIX, "raw_documents"])
PARSED = dg.AssetKey([PREFIX, "parsed_documents"])
CHUNKS = dg.AssetKey([PREFIX, "chunks"])
EMBEDDINGS = dg.AssetKey([PREFIX, "embeddings"])


class ListingConfig(dg.Config):
    """What a run takes from its source; by default whatever changed since the last one.

    `since` and `until` are ISO 8601 times, UTC where they name no zone. A run with either deletes nothing and
    moves no cursor.
    """

    full: bool = Field(default=False, description="List everything and load every document again.")
    list_all: bool = Field(
        default=False, description="List everything although a change feed would do, and load what changed."
    )
    since: str | None = Field(default=None, description="Take only what was modified at or after this time.")
    until: str | None = Field(default=None, description="Take only what was modified before this time.")
    allow_deletes: bool = Field(default=False, description="Apply deletions above the source's delete guard.")
    hinted: bool = Field(
        default=False, description="Take only what hints name, where the source can look each of it up."
    )

    @property
    def window(self) -> Window:
        """The times as a window. Raises `UsageError` for what is not a time."""
        return Window(_moment("since", self.since), _moment("until", self.until))


def _moment(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{name}: received {text!r}; valid: a date or time such as 2026-03-14 or 2026-03-14T09:00+01:00"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def ingest_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """`raw_documents`, `parsed_documents`, `chunks` and `embeddings` of all sources."""
    owners = sorted({source.owner for source in settings.sources.values() if source.owner})
    common: dict[str, Any] = {
        "group_name": GROUP,
        "owners": owners or [DEFAULT_OWNER],
        "partitions_def": source_partitions(settings),
    }
    later = {**common, "automation_condition": stage_condition()}
    profiles = settings.profiles

    @dg.asset(
        key=RAW,
        kinds={"python", "postgres"},
        description="Documents of a source as it lists them now: added, changed, moved and deleted ones. Raw "
        "bytes go to the blob store, one row a document to Postgres. Above the delete guard, deletions wait "
        "for a person (`rag-pipelines deletes`); a plan above the source's budget waits too (`rag-pipelines "
        "apply`).",
        code_version=fingerprint({name: s.model_dump(mode="json") for name, s in settings.sources.items()}),
        op_tags=stage_tags(settings.execution, "list"),
        automation_condition=source_condition(settings),
        **common,
    )
    def raw_documents(
        context: dg.AssetExecutionContext,
        config: ListingConfig,
        settings: dg.ResourceParam[Settings],
        database: dg.ResourceParam[Database],
        embedders: dg.ResourceParam[Embedders],
    ) -> dg.MaterializeResult:
        with dagster_failures():
            scope = Scope(config.full, config.window, config.allow_deletes, config.list_all, config.hinted)
            source = source_of(context)
            plan = plan_within_budget(Runtime(database, settings, embedders), source, scope)
            _note_removed_sources(context, database, settings)

        def work(run: SourceRun) -> None:
            list_source(run, scope)
            answer_hints(run, scope)

        return _run_stage(context, settings, database, work, RAW, shown.plan_metadata(plan))

    parsed = _stage_asset(
        settings,
        PARSED,
        description="Blocks (headings, paragraphs, tables, code) with page and place in the canonical text, "
        "of every document whose bytes or parser changed. What cannot be read ends in quarantine.",
        kinds={"python", "postgres"},
        code_version=fingerprint([profiles.model_dump(mode="json")["parsing"], parser_fingerprints()]),
        **later,
    )
    chunks = _stage_asset(
        settings,
        CHUNKS,
        description="Chunks within the model's token budget, each with its offsets, pages and heading path.",
        kinds={"python", "postgres"},
        code_version=fingerprint(
            [chunker_codes(), *(profiles.model_dump(mode="json")[kind] for kind in ("chunking", "embedding"))]
        ),
        **later,
    )
    embeddings = _stage_asset(
        settings,
        EMBEDDINGS,
        description="A vector of every chunk under every model that an index asks for. Cached by exact input "
        "and model, so only new text reaches a model.",
        kinds={
            "python",
            "postgres",
            *(profile.provider for profile in list(profiles.embedding.values())[:1]),
        },
        code_version=fingerprint([profiles.model_dump(mode="json")["embedding"]]),
        pool=EMBEDDER_POOL,
        **later,
    )
    return [raw_documents, parsed, chunks, embeddings]


def stage_metadata(
    connection: Pg, settings: Settings, row: Row, key: dg.AssetKey, source: str, report: SyncReport
) -> shown.Metadata:
    """What the asset `key` shows of the run `row` of `source`, of which `report` tells."""
    source_id, look = row["source_id"], LOOKS[key]
    public = is_public(connection, source)
    report = disclosed_report(report, public=public)
    totals = query(connection, "stage_totals", {"source_id": source_id}).fetchone()
    assert totals is not None
    total = int(totals[look.total])
    found = {
        "source": source,
        SYNC_RUN: row["run_id"],
        "dagster/partition_row_count": total,
        look.total: total,
        **look.show(report, totals),
        **shown.stage_metadata(report),
        **shown.quarantine_metadata(connection, settings, source),
        **(shown.samples(connection, look.sample, source_id) if look.sample else {}),
        **shown.table_metadata(connection, look.table),
    }
    if key == PARSED:
        found |= shown.loss_metadata(losses_by_format(connection, source))
    if key == CHUNKS:
        rows = query(connection, "token_histogram", {"source_id": source_id}).fetchall()
        found |= shown.token_chart(rows)
    return disclosed(shown.headed(found, look.total, *look.first, "elapsed_s"), public=public)


def _stage_asset(settings: Settings, key: dg.AssetKey, **options: Any) -> dg.AssetsDefinition:
    """A later stage: one step, or a step a shard where the configuration divides sources."""
    work = LATER[key]
    if settings.execution.shards > 1:

        def show(database: Database, source: str, done: SyncReport) -> shown.Metadata:
            with database.connection() as connection:
                known = query(connection, "source_by_name", {"name": source}).fetchone()
                assert known is not None
                row = query(connection, "newest_run", known).fetchone() or {"run_id": None}
                return stage_metadata(connection, settings, {**row, **known}, key, source, done)

        return sharded_stage(settings, key, work.above, work.stage, work.name, show, **options)

    tags = stage_tags(settings.execution, work.name)

    @dg.asset(key=key, deps=[work.above], op_tags=tags, **options)
    def advance(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        database: dg.ResourceParam[Database],
        embedders: dg.ResourceParam[Embedders],
    ) -> dg.MaterializeResult:
        def advance_through(run: SourceRun) -> None:
            advance_source(run, embedders, work.stage)

        return _run_stage(context, settings, database, advance_through, key, {}, continued=True)

    return advance


def _run_stage(
    context: dg.AssetExecutionContext,
    settings: Settings,
    database: Database,
    work: Callable[[SourceRun], None],
    key: dg.AssetKey,
    more: shown.Metadata,
    *,
    continued: bool = False,
) -> dg.MaterializeResult:
    """Do one stage of the partition's source and say what came of it."""
    source = source_of(context)
    progress = shown.log_progress(context.log.info)
    chosen = context.run.asset_selection
    stages = [one for one in LOOKS if not chosen or one in chosen]
    begins, ends = key == stages[0], key == stages[-1]
    with (
        dagster_failures(),
        Lineage(settings, database).ingest(source, lineage_run(context.run), begins=begins, ends=ends),
        source_run(database, settings, source, progress, continued=continued) as run,
    ):
        run.report.actor = actor_of(context.run_id)
        work(run)
        row = query(run.connection, "newest_run", {"source_id": run.source_id}).fetchone()
        assert row is not None
        row = {**row, "source_id": run.source_id}
        found = stage_metadata(run.connection, settings, row, key, source, run.report)
        told = disclosed_report(run.report, public=is_public(run.connection, source))
    for note in told.notes:
        context.log.warning(note)
    return dg.MaterializeResult(metadata={**found, "run_id": context.run_id, **more})


def _note_removed_sources(context: dg.AssetExecutionContext, database: Database, settings: Settings) -> None:
    for waiting in park_removed_sources(database, settings):
        context.log.warning(f"{waiting.subject}: {waiting.sentence}")


def _listing_metadata(report: SyncReport, totals: Row) -> shown.Metadata:
    return {**shown.listing_metadata(report), "stored_bytes": int(totals["bytes"])}


def _parse_metadata(report: SyncReport, totals: Row) -> shown.Metadata:
    return {
        "documents_parsed": report.parsed,
        "documents_parsed_again": sum(report.reparsed.values()),
        "documents_parsed_again_equal": report.reparsed_equal,
        "documents_reused": report.parse_reused,
        "documents_failed": report.failed,
        **({"statuses": shown.chart(report.statuses, "documents")} if report.statuses else {}),
    }


def _chunk_metadata(report: SyncReport, totals: Row) -> shown.Metadata:
    return {
        "new_chunks": report.chunks,
        "new_chunk_sets": report.chunk_sets,
        "stored_tokens": int(totals["tokens"]),
    }


def _embed_metadata(report: SyncReport, totals: Row) -> shown.Metadata:
    seconds = report.seconds.get("embed", 0.0)
    return {
        "new_vectors": report.embedded,
        "reused_vectors": report.vectors_reused,
        "embed_tokens": report.tokens,
        "embed_cost": report.cost,
        "vectors_per_s": round(report.embedded / seconds, 1) if seconds else 0.0,
    }


@dataclass(frozen=True)
class _LaterStage:
    """The stage of an asset, what the configuration calls its place, and the asset that it waits for."""

    stage: Stage
    name: StageName
    above: dg.AssetKey


LATER: Mapping[dg.AssetKey, _LaterStage] = {
    PARSED: _LaterStage(Stage.PARSED, "parse", RAW),
    CHUNKS: _LaterStage(Stage.CHUNKED, "chunk", PARSED),
    EMBEDDINGS: _LaterStage(Stage.EMBEDDED, "embed", CHUNKS),
}


@dataclass(frozen=True)
class _StageDisplay:
    """How the asset of a stage looks: its table, its figures, the query of its sample rows, the total that it
    counts, and the figures that come first with it."""

    table: str
    show: Callable[[SyncReport, Row], shown.Metadata]
    sample: str | None
    total: str
    first: tuple[str, ...]


LOOKS: Mapping[dg.AssetKey, _StageDisplay] = {
    RAW: _StageDisplay(
        "document",
        _listing_metadata,
        "sample_documents",
        "documents",
        ("documents_added", "documents_changed", "documents_deleted", "quarantined_documents"),
    ),
    PARSED: _StageDisplay(
        "parse",
        _parse_metadata,
        "sample_parses",
        "parsed",
        ("documents_parsed", "documents_failed", "quarantined_documents"),
    ),
    CHUNKS: _StageDisplay(
        "chunk", _chunk_metadata, "sample_chunks", "chunks", ("new_chunks", "stored_tokens")
    ),
    EMBEDDINGS: _StageDisplay(
        "embedding", _embed_metadata, None, "vectors", ("new_vectors", "embed_tokens", "embed_cost")
    ),
}
"""The assets of the chain, in the order of the stages."""
