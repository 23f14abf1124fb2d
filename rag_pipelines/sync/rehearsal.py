"""Runs over what a source would become, each inside a transaction that is rolled back and waits for nobody.

What belongs here: the order of a rehearsal, and results of parsing and chunking that are made between its
passes. What does not: the run itself (`stages`, `advance`), what is asked of the source (`recording`), and
what a plan says (`plan`).

A pass needs parses and chunks that only a pass can name. So one goes as far as it can with the results that
there are, and notes what is missing; the transaction ends, the workers make that, and the next pass starts
from the beginning. The first one without a gap is the rehearsal: at once, where no content is new.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TypeVar

import msgspec

from rag_pipelines.embedding.base import Embedder
from rag_pipelines.embedding.specs import ChunkerSpec
from rag_pipelines.errors import DocumentError
from rag_pipelines.model import Chunk
from rag_pipelines.parsing.base import ParseOptions
from rag_pipelines.progress import no_progress
from rag_pipelines.store.profiles import ChunkTarget
from rag_pipelines.sync.advance import Advance, Stage
from rag_pipelines.sync.commit import Work
from rag_pipelines.sync.origin import SourceOrigin
from rag_pipelines.sync.prepare import Prepared, PrepareTask, Rechunked
from rag_pipelines.sync.preparing import Blocks, LivePreparer, Ordering, WorkOrder
from rag_pipelines.sync.report import SyncReport
from rag_pipelines.sync.run import SourceRun
from rag_pipelines.sync.scope import Scope
from rag_pipelines.sync.spool import Question, Spool
from rag_pipelines.sync.stages import list_source
from rag_pipelines.sync.targets import Targets
from rag_pipelines.workers.jobs import JobOutcome

Summary = TypeVar("Summary")


def rehearse(
    run: SourceRun,
    scope: Scope,
    origin: SourceOrigin,
    targets_of: Callable[[SourceRun], Targets],
    summarise: Callable[[SourceRun, Targets], Summary],
) -> Summary:
    """List from `origin`, parse and chunk, and take all of it back; returns what `summarise` sees of it.

    Args:
        run: what the listing decides is collected in its `decisions`.
        origin: answers at once, and the same each time (`recording`).
        targets_of: what the documents of a pass must become; its rows are taken back with the pass.
        summarise: called inside the transaction of the last pass, with the run that it rehearsed.
    """
    with closing(Spool()) as spool:
        results = _Results(run, spool)
        while True:
            if run.decisions is not None:
                run.decisions.clear()
            one = replace(run, report=SyncReport(run.name), progress=no_progress)
            with run.connection.transaction(force_rollback=True):
                list_source(one, scope, origin=origin)
                targets = targets_of(one)
                Advance(
                    one, replace(targets, models=(), sketch_id=None), Stage.CHUNKED, preparer=results
                ).run()
                if not results.missing:
                    return summarise(one, targets)
            with run.stage("parse and chunk"):
                results.make()


class _Results:
    """Results of orders that were made between passes; a `Preparer` that leaves out what is missing."""

    def __init__(self, run: SourceRun, spool: Spool) -> None:
        self._run = run
        self._spool = spool
        self._live = LivePreparer(run)
        self._options = ParseOptions()
        self._embedders: dict[ChunkerSpec, Embedder] = {}
        self._made = 0
        self.missing = 0

    def map(
        self, works: Iterable[Work], order: Ordering[Work]
    ) -> Generator[JobOutcome[Work, Prepared | Rechunked]]:
        """As `Preparer.map`, without the documents whose results are missing: these are noted."""
        for work in works:
            made = order(work)
            if made is None:
                yield JobOutcome(work)
                continue
            known = self._spool.ask(_result_of(made))
            if known is None:
                self._note(made, work.lacks)
            elif isinstance(known, DocumentError):
                yield JobOutcome(work, error=known)
            else:
                yield JobOutcome(work, value=known)

    def chunk_with_model(
        self, blocks: Blocks, title: str | None, spec: ChunkerSpec, embedder: Embedder
    ) -> Sequence[Chunk]:
        """As `Preparer.chunk_with_model`; made together with the result of the order."""
        known = self._spool.ask(_chunks_of(blocks.digest, title, spec))
        if isinstance(known, DocumentError):
            raise known
        return known

    def make(self) -> None:
        """Have the missing orders carried out, outside any transaction."""
        total = self._made + self.missing
        self.missing = 0
        noted = self._spool.take("order")
        for outcome in self._live.map(noted, self._complete):
            order, result = outcome.item, outcome.error or outcome.value
            self._spool.answer(_result_of(self._complete(order)), result)
            if isinstance(result, Prepared | Rechunked):
                self._chunk_with_models(order, result)
            self._made += 1
            self._run.progress("prepare", self._made, total)

    def _note(self, order: WorkOrder, lacks: Sequence[ChunkTarget]) -> None:
        """Keep an order for later. The parse options stay in memory: they may hold passwords."""
        task = order.task
        if isinstance(task, PrepareTask):
            self._options = task.options
            task = msgspec.structs.replace(task, options=ParseOptions())
        if self._spool.ask(_noted(order)):
            return
        self._embedders |= {one.spec: one.embedder for one in lacks if one.spec.needs_embedder}
        self._spool.append("order", [WorkOrder(order.digest, task)])
        self._spool.answer(_noted(order), True)
        self.missing += 1

    def _complete(self, order: WorkOrder) -> WorkOrder:
        if isinstance(order.task, PrepareTask):
            task = msgspec.structs.replace(order.task, options=self._options)
            return WorkOrder(order.digest, task)
        return order

    def _chunk_with_models(self, order: WorkOrder, result: Prepared | Rechunked) -> None:
        """Chunks by strategies that need a model; they are not made in a worker."""
        digest = order.digest
        if isinstance(result, Prepared):
            digest = self._run.blobs.put("blocks", result.encoded)
        for spec, chunks in zip(order.task.chunkers, result.chunks or (), strict=False):
            if chunks is not None:
                continue
            made: Sequence[Chunk] | DocumentError
            try:
                embedder = self._embedders[spec]
                made = self._live.chunk_with_model(Blocks(digest), order.task.title, spec, embedder)
            except DocumentError as error:
                made = error
            self._spool.answer(_chunks_of(digest, order.task.title, spec), made)


def _noted(order: WorkOrder) -> Question:
    return ("noted", order.key.hex)


def _result_of(order: WorkOrder) -> Question:
    return ("result", order.key.hex)


def _chunks_of(blocks_sha256: bytes, title: str | None, spec: ChunkerSpec) -> Question:
    return ("chunks", blocks_sha256.hex(), title or "", repr(spec))
