"""One batch of processed documents, written in one transaction.

What belongs here: the order and content of the writes: parses, chunk sets, mappings, the documents'
state, quarantine. What does not: making any of it (`advance`, `vectors`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from rag_pipelines import tracing
from rag_pipelines.errors import (
    DocumentError,
    EmptyDocumentError,
    MissingContentError,
    PoisonDocumentError,
    SensitiveDocumentError,
)
from rag_pipelines.model import Summary
from rag_pipelines.store.chunks import (
    ChunkSet,
    failed_row,
    hold_sets,
    hold_vectors,
    parsed_row,
    put_chunk_sets,
    put_parses,
)
from rag_pipelines.store.database import Pg, Row, query
from rag_pipelines.store.documents import QuarantineEntry
from rag_pipelines.store.profiles import ChunkTarget
from rag_pipelines.sync.prepare import ScreeningResult
from rag_pipelines.sync.restrictions import restrict
from rag_pipelines.sync.run import SourceRun
from rag_pipelines.sync.targets import FAILED_TYPE, Screening, Targets
from rag_pipelines.sync.vectors import Refused, embedded_row, refusal

NO_TEXT = (EmptyDocumentError, SensitiveDocumentError)
"""Errors of documents that have no text to go on with, the earlier one least of all."""


class Spent(NamedTuple):
    """Wall seconds of a worker on one document, of which chunking took `chunk` at their end; `ended` is in
    nanoseconds since 1970."""

    ended: int
    seconds: float
    chunk: float


@dataclass
class Work:
    """One pending document on its way: its stored row, what it lacks, and what was made of it."""

    row: Row
    parse_id: int | None = None
    summary: Summary | None = None
    blocks_sha256: bytes | None = None
    encoded: bytes | None = None
    """Its blocks, where they are not in the blob store yet."""
    title: str | None = None
    error: DocumentError | None = None
    screened: ScreeningResult | None = None
    lacks: tuple[ChunkTarget, ...] = ()
    sets: dict[int, ChunkSet] = field(default_factory=dict)
    set_ids: dict[int, int] = field(default_factory=dict)
    earlier_set_ids: dict[int, int] = field(default_factory=dict)
    """Chunk sets of the blocks of its earlier parse, by chunker: its own, if these blocks come out again."""

    spent: Spent | None = None

    @property
    def document_id(self) -> int:
        """The row's key."""
        return self.row["document_id"]

    def embedded_title(self, target: ChunkTarget) -> str | None:
        """The title that goes into the embedding input, if it is part of it."""
        return (self.row["given_title"] or self.title) if target.titled else None

    @property
    def found(self) -> bool:
        """Whether its privacy profile found something in it."""
        return bool(self.screened.found if self.screened else self.row["found"])

    @property
    def raw_sha256(self) -> bytes:
        """The address of its bytes."""
        return bytes(self.row["raw_sha256"])


@tracing.spanned("commit")
def commit(
    run: SourceRun, targets: Targets, works: Sequence[Work], refused: Mapping[int, Refused], *, chunked: bool
) -> int:
    """Write a batch, while the lease is ours; returns how many documents have to be begun anew.

    Documents that were purged since the run began are left out. So are those that another process is changing
    just now, and those of which a chunk set was known and is not there any more, because it was purged with
    another document: they stay pending. A chunk set of which a vector is gone stays without its mark, and is
    embedded with what is pending.

    Args:
        refused: what each model refused, by the model's profile row; its keys are the models that ran.
        chunked: whether this run chunks; else documents stay pending behind their parse.
    """
    with run.writing() as connection:
        purged = run.forgotten(work.row["external_id"] for work in works)
        works = [work for work in works if work.row["external_id"] not in purged]
        there = _hold_documents(connection, works)
        passed_over, works = len(works) - len(there), there
        partly = _refused_entries(targets, works, refused)
        _put_parses(connection, targets, works)
        sets = [made for work in works if work.error is None for made in work.sets.values()]
        ids = put_chunk_sets(connection, sets)
        lost = _resolve_sets(connection, works, ids)
        _put_blocks(run, works)
        works = [work for work in works if work.document_id not in lost]
        changed = _map_chunks(connection, works)
        query(
            connection,
            "mark_embedded",
            {"rows": Jsonb(_embedded_rows(connection, targets, sets, ids, refused))},
        )
        done = "ok" if chunked or not targets.chunkers else "pending"
        rows = [_document_row(work, done, changed) for work in works]
        query(connection, "finish_documents", {"rows": Jsonb(rows)})
        _settle_privacy(connection, targets, works)
        _settle_quarantine(run, targets, works, partly)
    if run.purged_beside():
        _put_blocks(run, works)
    report = run.report
    report.chunk_sets += len(sets)
    report.chunks += sum(len(made.chunks) for made in sets)
    for work in works:
        report.status(work.error.status if work.error else "ok")
    return passed_over + len(lost)


def _settle_privacy(connection: Pg, targets: Targets, works: Sequence[Work]) -> None:
    """Restrict what has to be, and note clear parses that nobody may take up any more."""
    readers = targets.screening.privacy.readers if targets.screening.privacy else ()
    by = {work.document_id: targets.of(work.row["masked_by"]) for work in works}
    settled = [work for work in works if work.error is None]
    found = {work.document_id for work in settled if work.found}
    finding = {one for one in found if by[one] is targets.screening} if readers else set()
    others = {work.document_id for work in settled if work.row["restricted"]} - finding
    restrict(connection, finding, others, readers)
    for screening in targets.screenings:
        masked = [one for one in by if by[one] is screening]
        if screening.masked_by is not None and masked:
            query(connection, "release_clear_parses", {"ids": masked, "masked_by": screening.masked_by})


def _hold_documents(connection: Pg, works: Sequence[Work]) -> list[Work]:
    """Those whose documents are there, and stay as they are until commit."""
    params = {"ids": [work.document_id for work in works]}
    held = {row["document_id"] for row in query(connection, "hold_documents", params)}
    return [work for work in works if work.document_id in held]


def _resolve_sets(connection: Pg, works: Sequence[Work], ids: Mapping[UUID, int]) -> set[int]:
    """Give works the numbers of their chunk sets, which stay until commit; the documents that lost one."""
    good = [work for work in works if work.error is None]
    held = hold_sets(connection, {*ids.values(), *(one for work in good for one in work.set_ids.values())})
    for work in good:
        work.set_ids.update({profile_id: ids.get(made.key, 0) for profile_id, made in work.sets.items()})
    return {work.document_id for work in good if not held.issuperset(work.set_ids.values())}


def _put_blocks(run: SourceRun, works: Sequence[Work]) -> None:
    """Store new blocks, or those that had to go with a purge beside."""
    fresh = {work.blocks_sha256: work.encoded for work in works if work.encoded and work.blocks_sha256}
    run.blobs.put_all("blocks", list(fresh.values()))


def _embedded_rows(
    connection: Pg,
    targets: Targets,
    sets: Sequence[ChunkSet],
    ids: Mapping[UUID, int],
    refused: Mapping[int, Refused],
) -> list[dict[str, int]]:
    """The records of chunk sets whose inputs all have a vector, which stays until commit, or were refused."""
    rows: list[dict[str, int]] = []
    for model in targets.models:
        bad = refused.get(model.profile_id)
        if bad is None:
            continue
        made = {one.key: one for one in sets if one.profile_id == model.chunker_id and one.key in ids}
        wanted = {key for one in made.values() for key in one.input_keys} - bad.keys()
        there = hold_vectors(connection, model.profile_id, wanted) | bad.keys()
        rows += [
            embedded_row(model.profile_id, ids[one.key], one.input_keys, bad)
            for one in made.values()
            if there.issuperset(one.input_keys)
        ]
    return rows


def _put_parses(connection: Pg, targets: Targets, works: Sequence[Work]) -> None:
    """Remember new parses, and failures that only other bytes or other code could mend."""
    rows: list[Row] = []
    for work in works:
        key, screening = (work.raw_sha256, work.row["hint"]), targets.of(work.row["masked_by"])
        if work.summary is not None:
            assert work.blocks_sha256 is not None
            profile_id = screening.parsers[work.summary.media_type]
            row = parsed_row(*key, profile_id, work.blocks_sha256, work.summary)
            rows.append({**row, **_screened_columns(work, screening)})
        elif work.parse_id is None and work.error is not None and _lasting(work.error):
            rows.append(failed_row(*key, screening.parsers[FAILED_TYPE], FAILED_TYPE, work.error))
    ids = put_parses(connection, rows)
    for work in works:
        work.parse_id = work.parse_id or ids.get((work.raw_sha256, work.row["hint"]))


def _screened_columns(work: Work, screening: Screening) -> Row:
    """What the row of a parse says of its screening."""
    if work.screened is None:
        return {}
    return {
        "privacy": screening.key,
        "clear_sha256": work.screened.clear_sha256.hex(),
        "found": work.screened.found,
        "places": msgspec.to_builtins(work.screened.places),
    }


def _lasting(error: DocumentError) -> bool:
    return not isinstance(error, PoisonDocumentError | MissingContentError)


def _map_chunks(connection: Pg, works: Sequence[Work]) -> set[int]:
    """The documents that have other chunks now. A failed one keeps what it had; one without text, or whose
    text is blocked, loses it."""
    mapping = [
        {
            "document_id": work.document_id,
            "raw_sha256": work.raw_sha256.hex(),
            "given_title": work.row["given_title"],
            "profile_id": profile_id,
            "chunk_set_id": chunk_set_id,
        }
        for work in works
        if work.error is None
        for profile_id, chunk_set_id in work.set_ids.items()
    ]
    mapped = {row["document_id"] for row in query(connection, "map_chunks", {"rows": Jsonb(mapping)})}
    blank = [work.document_id for work in works if isinstance(work.error, NO_TEXT)]
    query(connection, "unmap_chunks", {"ids": blank})
    return mapped.union(blank)


def _document_row(work: Work, done: str, changed: Set[int]) -> dict[str, Any]:
    error = work.error
    return {
        "document_id": work.document_id,
        "raw_sha256": work.raw_sha256.hex(),
        "parse_id": work.parse_id,
        "status": error.status if error else done,
        "changed": work.document_id in changed,
        "reload": isinstance(error, MissingContentError),
    }


def _settle_quarantine(
    run: SourceRun, targets: Targets, works: Sequence[Work], partly: Sequence[QuarantineEntry]
) -> None:
    """Open what failed, close what is fine. A blank file is recorded on the document and needs nobody."""
    entries = [
        QuarantineEntry(
            "parse",
            work.error,
            work.row["external_id"],
            content=work.raw_sha256.hex(),
            code_version=targets.of(work.row["masked_by"]).code_version,
        )
        for work in works
        if work.error is not None
        and (work.row["raw_bytes"] or not isinstance(work.error, EmptyDocumentError))
    ]
    entries += partly
    run.quarantine(entries)
    bad = {entry.external_id for entry in entries}
    fine = [work.row["external_id"] for work in works if work.row["external_id"] not in bad]
    query(run.connection, "resolve_processing_failures", {"source_id": run.source_id, "ids": fine})


def _refused_entries(
    targets: Targets, works: Sequence[Work], refused: Mapping[int, Refused]
) -> list[QuarantineEntry]:
    """One entry a document with a chunk that a model refused, with the model's error."""
    entries: dict[str, QuarantineEntry] = {}
    for model in targets.models:
        bad = refused.get(model.profile_id) or {}
        for work in works if bad else ():
            made = work.sets.get(model.chunker_id)
            error = next((bad[key] for key in made.input_keys if key in bad), None) if made else None
            if error is not None:
                external_id = work.row["external_id"]
                entries[external_id] = refusal(model, error, external_id, work.raw_sha256.hex())
    return list(entries.values())
