"""What an ingest would do, found by doing it up to the embedding and taking it back.

What belongs here: the rehearsal. What does not: any comparison of its own, because a plan that is
computed in another way than the run is a plan for another run.

The listing, parsing and chunking of a run happen inside one transaction that is rolled back, with
content kept in a temporary folder; only the tokens that would be embedded are counted, not embedded.
The source's lease is held meanwhile, so plan and run exclude each other.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import msgspec

from rag_pipelines.config.settings import Settings
from rag_pipelines.connectors.base import Window
from rag_pipelines.errors import MissingContentError
from rag_pipelines.store.blobs import BlobStore, Kind
from rag_pipelines.store.database import Database, query
from rag_pipelines.store.lease import source_lease
from rag_pipelines.sync.advance import Advance, Stage
from rag_pipelines.sync.engine import list_source
from rag_pipelines.sync.report import Progress, SyncReport, no_progress
from rag_pipelines.sync.run import SourceRun, worker_pool
from rag_pipelines.sync.targets import Embedders, source_targets


class SyncPlan(msgspec.Struct, frozen=True):
    """What an ingest of one source would do.

    `changes` counts documents by kind of change, `samples` names some of each. `bytes_loaded` is what was
    read to find out, `chunks` how many new vectors are needed, `tokens` what they hold, `cost` their price
    by the embedding profile. `parked_deletes` would wait for a person.
    """

    source: str
    outcome: str
    changes: dict[str, int]
    samples: dict[str, list[str]]
    statuses: dict[str, int]
    listed: int
    bytes_loaded: int
    chunks: int
    tokens: int
    cost: float
    parked_deletes: int
    notes: list[str]


def plan_source(
    database: Database,
    settings: Settings,
    source: str,
    *,
    embedders: Embedders,
    full: bool = False,
    window: Window = Window(),
    allow_deletes: bool = False,
    progress: Progress = no_progress,
) -> SyncPlan:
    """What `sync.engine.ingest` with the same arguments would do; nothing of it stays.

    Raises what `ingest` raises.
    """
    report = SyncReport(source)
    connector = settings.source(source).connector
    with (
        source_lease(database, source, connector) as lease,
        _overlay(settings.blobs_url) as blobs,
        worker_pool(settings.limits) as workers,
    ):
        run = SourceRun(source, settings, lease, blobs, workers, report, progress)
        with run.connection.transaction(force_rollback=True):
            list_source(run, full=full, window=window, allow_deletes=allow_deletes)
            targets = source_targets(run.connection, settings, source, embedders)
            Advance(run, replace(targets, models=()), Stage.CHUNKED).run()
            chunks = tokens = 0
            cost = 0.0
            for model in targets.models:
                params = {
                    "source_id": run.source_id,
                    "chunker_id": model.chunker_id,
                    "model_id": model.profile_id,
                }
                row = query(run.connection, "unembedded_inputs", params).fetchone()
                assert row is not None
                chunks += row["inputs"]
                tokens += row["tokens"]
                cost += row["tokens"] / 1e6 * model.price_per_million_tokens
    return SyncPlan(
        source,
        report.outcome,
        report.changes,
        report.samples,
        report.statuses,
        report.listed,
        report.bytes_loaded,
        chunks,
        tokens,
        round(cost, 6),
        report.parked_deletes,
        report.notes,
    )


class _OverlayBlobs(BlobStore):
    """Reads what is stored; writes into a folder of its own."""

    def __init__(self, stored: str, folder: str) -> None:
        super().__init__(folder)
        self._stored = BlobStore(stored)

    def get(self, kind: Kind, digest: bytes) -> bytes:
        try:
            return super().get(kind, digest)
        except MissingContentError:
            return self._stored.get(kind, digest)


@contextmanager
def _overlay(stored: str) -> Iterator[BlobStore]:
    with tempfile.TemporaryDirectory(prefix="rag-pipelines-plan-") as folder:
        yield _OverlayBlobs(stored, folder)
