"""Brings parses, chunks and vectors in line with the catalogue: whatever is pending, and nothing else.

What belongs here: the second half of a run. What does not: talking to the source (`listing`).

Each stage is memoised by content: a page of documents that need something is read, what is already
known of their bytes is reused, the rest goes through the worker pool and the model. A page's parses,
chunk sets, mappings and the documents' state are committed in one transaction together with the
vectors' bookkeeping; vectors themselves are a cache by exact input and are committed as they come, so
that a killed run repeats at most the last few batches of the model.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from enum import IntEnum
from uuid import UUID

import psycopg
from psycopg import sql

from rag_pipelines import logs
from rag_pipelines.errors import DocumentError
from rag_pipelines.fingerprint import sha256
from rag_pipelines.model import Chunk
from rag_pipelines.store.chunks import chunk_set_key, find_chunk_sets, make_chunk_set
from rag_pipelines.store.database import Row, query
from rag_pipelines.store.profiles import ChunkTarget, ModelTarget
from rag_pipelines.sync.commit import Work, commit
from rag_pipelines.sync.prepare import Prepared, PrepareTask, Rechunked, RechunkTask, ScreenTask
from rag_pipelines.sync.preparing import Blocks, LivePreparer, Preparer, WorkOrder
from rag_pipelines.sync.run import SourceRun
from rag_pipelines.sync.screening import mask_stored_attributes
from rag_pipelines.sync.sketches import sketch_pending
from rag_pipelines.sync.targets import Targets
from rag_pipelines.sync.vectors import Refused, embed_inputs, embed_pending, resolve_refused
from rag_pipelines.sync.worked_off import chunks_worked_off
from rag_pipelines.sync.worker_spans import spent_on, traced_batches

log = logs.get(__name__)


class Stage(IntEnum):
    """How far to bring documents. A run may stop after any stage; the next one goes on from there."""

    PARSED = 1
    CHUNKED = 2
    EMBEDDED = 3


ROUNDS = 3
"""How often documents are taken up that could not be committed, because another process was changing them or
their reused chunks were purged."""

STAGE_NAMES = {
    Stage.PARSED: "parse",
    Stage.CHUNKED: "parse and chunk",
    Stage.EMBEDDED: "parse, chunk and embed",
}
"""What the log calls the work of a run through each stage."""


class Advance:
    """Works off what is pending of one source, in batches of documents."""

    def __init__(
        self,
        run: SourceRun,
        targets: Targets,
        through: Stage = Stage.EMBEDDED,
        *,
        preparer: Preparer | None = None,
    ) -> None:
        self._run = run
        self._preparer = preparer or LivePreparer(run)
        self._targets = targets
        self._through = through
        self._chunkers = targets.chunkers if through >= Stage.CHUNKED else ()
        self._models = targets.models if through >= Stage.EMBEDDED else ()
        self._documents: sql.Composable = sql.SQL("true")

    def run(self) -> None:
        """Parse, chunk and embed what is pending; failures of documents end in quarantine."""
        for screening in self._targets.screenings:
            mask_stored_attributes(self._run, screening, labelled=screening is self._targets.labelled)
        with self._run.stage(STAGE_NAMES[self._through]):
            self._work_off_chunks()
        if self._targets.sketch_id is not None:
            with self._run.stage("sketch"):
                sketch_pending(self._run, self._targets.sketch_id)
        for screening in self._targets.screenings:
            if screening.masked_by is not None:
                self._drop_clear_texts(screening.masked_by)
        if self._models:
            with self._run.stage("embed what is pending"):
                embed_pending(self._run, self._models)
                resolve_refused(self._run, self._models)
        self._drop_last_texts()

    def _work_off_chunks(self) -> None:
        worked_off = chunks_worked_off(self._run, self._targets)
        since = worked_off.since
        self._documents = worked_off.documents(since)
        upto, lost = worked_off.now(), 0
        for _ in range(ROUNDS):
            lost = self._work_off()
            if not lost:
                break
        if since is None and not lost and self._chunkers == self._targets.chunkers:
            worked_off.note(self._run, upto)

    def _work_off(self) -> int:
        """Bring every pending document forward; returns how many have to be begun anew."""
        size, lost = self._run.settings.limits.batch_documents, 0
        with closing(self._prepare()) as works:
            for batch in traced_batches(self._report_progress(works), size):
                lost += self._finish(batch)
        return lost

    def _drop_last_texts(self) -> None:
        """Take the earlier text from documents whose bytes have been unreadable for too long."""
        age = self._run.source.quarantine.keep_text
        with self._run.writing() as connection:
            params = {"source_id": self._run.source_id, "buckets": self._run.buckets, "age": age}
            rows = query(connection, "drop_last_texts", params).fetchall()
        for row in rows:
            log.warning("last text dropped", document=row["external_id"])

    def _drop_clear_texts(self, masked_by: str) -> None:
        """Take the earlier text from documents that cannot be read and whose text was never masked like
        this."""
        params = {"source_id": self._run.source_id, "buckets": self._run.buckets, "masked_by": masked_by}
        with self._run.writing() as connection:
            query(connection, "drop_clear_texts", params)

    def _report_progress(self, works: Iterator[Work]) -> Iterator[Work]:
        """The same documents; the run's listener hears how many have been prepared."""
        total = self._count_pending()
        if total and self._models:
            threading.Thread(target=_import_vectors, name="imports", daemon=True).start()
        for done, work in enumerate(works, 1):
            self._run.progress("prepare", done, max(total, done))
            yield work

    def _count_pending(self) -> int:
        screening, labelled = self._targets.screening, self._targets.labelled
        params = {
            "source_id": self._run.source_id,
            "buckets": self._run.buckets,
            "parsers": list(screening.parsers.values()),
            "labelled_by": labelled and labelled.key,
            "labelled_parsers": list(labelled.parsers.values()) if labelled else [],
        }
        row = query(self._run.connection, "count_pending", params, {"documents": self._documents}).fetchone()
        return row["pending"] if row else 0

    def _pending(self) -> Iterator[Work]:
        """Every document that lacks something, with what is already known of its bytes."""
        for bucket in self._run.buckets or (None,):
            yield from self._pending_in(bucket)

    def _pending_in(self, bucket: int | None) -> Iterator[Work]:
        params = {
            **self._targets.lacking(self._chunkers),
            "source_id": self._run.source_id,
            "bucket": bucket,
            "max_attempts": self._run.source.max_attempts,
            "limit": self._run.settings.limits.batch_documents,
        }
        after, parts = 0, {"documents": self._documents}
        while True:
            with self._run.timed("look up"):
                page = query(
                    self._run.connection, "pending_documents", {**params, "after": after}, parts
                ).fetchall()
                works = [Work(row) for row in page]
                self._reuse(works)
            if not page:
                return
            yield from works
            after = page[-1]["document_id"]

    def _reuse(self, works: list[Work]) -> None:
        """Take over earlier parses of the same bytes and chunk sets of the same blocks.

        Of a document that has to be parsed again the chunk sets are looked up as well: its blocks may come
        out as they were.
        """
        wanted: dict[UUID, list[tuple[Work, ChunkTarget]]] = {}
        for work in works:
            row = work.row
            if row["parse_id"] is None:
                work.lacks, work.title = self._chunkers, row["earlier_title"]
                for target in self._chunkers if row["earlier_blocks"] else ():
                    blocks_sha256 = bytes(row["earlier_blocks"])
                    key = chunk_set_key(blocks_sha256, target.profile_id, work.embedded_title(target))
                    wanted.setdefault(key, []).append((work, target))
                continue
            work.parse_id, work.title = row["parse_id"], row["title"]
            if row["status"] != "ok":
                work.error = _restore_error(row["status"], row["message"])
                continue
            work.blocks_sha256 = bytes(row["blocks_sha256"])
            self._run.report.parse_reused += 1
            for target in self._chunkers:
                key = chunk_set_key(work.blocks_sha256, target.profile_id, work.embedded_title(target))
                wanted.setdefault(key, []).append((work, target))
        found = find_chunk_sets(self._run.connection, wanted) if wanted else {}
        for key, users in wanted.items():
            for work, target in users:
                if work.parse_id is None:
                    if key in found:
                        work.earlier_set_ids[target.profile_id] = found[key]["chunk_set_id"]
                elif key in found:
                    work.set_ids[target.profile_id] = found[key]["chunk_set_id"]
                else:
                    work.lacks += (target,)

    def _prepare(self) -> Generator[Work]:
        """Pending documents in order, parsed and chunked."""
        for outcome in self._preparer.map(self._pending(), self._order):
            work = outcome.item
            work.spent = spent_on(outcome)
            if outcome.error is not None:
                work.error = outcome.error
            elif outcome.value is not None:
                self._take(work, outcome.value)
            yield work

    def _order(self, work: Work) -> WorkOrder | None:
        """What a worker has to do for a document; None if all is known."""
        row, specs = work.row, tuple(target.spec for target in work.lacks)
        privacy = self._targets.of(row["masked_by"]).privacy
        if work.parse_id is None:
            known = row["earlier_blocks"] and len(work.earlier_set_ids) == len(work.lacks)
            if privacy and self._has_clear_blocks(row):
                screening = ScreenTask(
                    encoded=b"",
                    privacy=privacy,
                    counters=row["earlier_counters"],
                    title=row["given_title"],
                    chunkers=specs,
                    known_blocks=bytes(row["earlier_blocks"]) if known else None,
                )
                return WorkOrder(bytes(row["earlier_blocks"]), screening)
            task = PrepareTask(
                data=b"",
                name=row["name"],
                declared_type=row["declared_type"],
                options=self._targets.parse_options,
                limits=self._run.settings.limits.parse,
                title=row["given_title"],
                chunkers=specs,
                known_blocks=bytes(row["earlier_blocks"]) if known else None,
                privacy=privacy,
            )
            return WorkOrder(work.raw_sha256, task)
        if specs:
            assert work.blocks_sha256 is not None
            rechunk = RechunkTask(encoded=b"", title=row["given_title"], chunkers=specs)
            return WorkOrder(work.blocks_sha256, rechunk)
        return None

    def _has_clear_blocks(self, row: Row) -> bool:
        """Whether the blocks that are stored of a document are what its parser of now makes of its bytes."""
        return (
            row["again"]
            and row["earlier_blocks"] is not None
            and row["earlier_clear"]
            and row["earlier_profile"] in self._targets.clear_parsers
        )

    def _take(self, work: Work, result: Prepared | Rechunked) -> None:
        """Keep what a worker made."""
        if isinstance(result, Prepared):
            work.screened = result.screened
            self._run.report.parsed += 1
            work.summary, work.title = result.summary, result.summary.title
            work.encoded, work.blocks_sha256 = result.encoded, sha256(result.encoded)
            self._run.report.spend("parse (workers)", result.seconds.parse + result.seconds.encode)
            if result.screened is not None:
                self._run.report.spend("screen (workers)", result.seconds.screen)
            self._run.report.spend("chunk (workers)", result.seconds.chunk)
            if work.row["again"]:
                equal = work.row["earlier_blocks"] == work.blocks_sha256
                self._run.report.reparse(work.row["earlier_type"], equal=equal)
        assert work.blocks_sha256 is not None
        if result.chunks is None:
            work.set_ids.update(work.earlier_set_ids)
            return
        for target, chunks in zip(work.lacks, result.chunks, strict=True):
            try:
                made = self._chunk_with_model(work, target) if chunks is None else chunks
                work.sets[target.profile_id] = make_chunk_set(
                    work.blocks_sha256, target.profile_id, work.embedded_title(target), made
                )
            except DocumentError as error:
                work.error = error

    def _chunk_with_model(self, work: Work, target: ChunkTarget) -> Sequence[Chunk]:
        assert work.blocks_sha256 is not None
        return self._preparer.chunk_with_model(
            Blocks(work.blocks_sha256, work.encoded), work.row["given_title"], target.spec, target.embedder
        )

    def _finish(self, works: list[Work]) -> int:
        """Embed and store one batch; returns how many of it have to be begun anew."""
        refused = {model.profile_id: self._embed(works, model) for model in self._models}
        with self._run.timed("store"):
            try:
                return commit(
                    self._run, self._targets, works, refused, chunked=self._through >= Stage.CHUNKED
                )
            except psycopg.errors.DeadlockDetected:
                log.info("begun anew", documents=len(works))
                return len(works)

    def _embed(self, works: list[Work], model: ModelTarget) -> Refused:
        """Vectors of the new chunk sets of a batch."""
        inputs: dict[UUID, str] = {}
        owners: dict[UUID, set[str]] = {}
        for work in works:
            made = work.sets.get(model.chunker_id)
            if made is not None and work.error is None:
                texts = (chunk.embedding_input for chunk in made.chunks)
                inputs.update(zip(made.input_keys, texts, strict=True))
                for key in made.input_keys:
                    owners.setdefault(key, set()).add(work.row["external_id"])

        def wanted(keys: Sequence[UUID]) -> set[UUID]:
            purged = self._run.forgotten(set().union(*(owners[key] for key in keys)))
            return {key for key in keys if not owners[key] <= purged}

        return embed_inputs(self._run, model, inputs, wanted)


def _import_vectors() -> None:
    """What storing vectors needs, imported while the workers start; it takes as long as they do."""
    import numpy  # noqa: F401


def _restore_error(status: str, message: str | None) -> DocumentError:
    """The error of an earlier parse of the same bytes, as its own class."""
    kinds: list[type[DocumentError]] = [DocumentError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    return next(kind for kind in kinds if kind.status == status)(message)
