"""Vectors for chunk inputs that have none: asked of the cache first, then of the model.

What belongs here: the embedding stage of a run. What does not: how a model is run (`embedding`), or
which documents a batch holds (`advance`).

Vectors are a cache by exact input and model, so each group is committed as it comes: a killed run
repeats at most one group. A chunk set is marked as embedded only when all of its inputs have been
answered for, in the caller's transaction.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence, Set
from typing import TYPE_CHECKING
from uuid import UUID

from psycopg.types.json import Jsonb

from rag_pipelines import tracing
from rag_pipelines.embedding.batch import embed_all
from rag_pipelines.errors import EmbeddingError
from rag_pipelines.store.chunks import hold_sets, missing_vectors, put_vectors
from rag_pipelines.store.database import Part, Row, query
from rag_pipelines.store.documents import QuarantineEntry
from rag_pipelines.store.ledger import Meter, add_spent
from rag_pipelines.store.profiles import ModelTarget
from rag_pipelines.sync.run import SourceRun
from rag_pipelines.sync.worked_off import vectors_worked_off

if TYPE_CHECKING:
    from rag_pipelines.embedding.base import Usage, Vectors

VECTORS_PER_COMMIT = 256
"""What a kill can cost, in vectors; at 60 a second about 4 seconds of the model."""

INPUTS_PER_PAGE = 2_000
"""Chunks taken up at once when only vectors are pending."""

Refused = Mapping[UUID, EmbeddingError]
"""Inputs that the model refused, with its reason."""


@tracing.spanned("embed")
def embed_inputs(
    run: SourceRun,
    model: ModelTarget,
    inputs: Mapping[UUID, str],
    wanted: Callable[[Sequence[UUID]], Set[UUID]],
) -> Refused:
    """Make sure that every input has a vector under `model`; returns those that it refused.

    Args:
        wanted: inside the transaction that stores vectors: which of these inputs are not of what was purged.
    """
    if not inputs:
        return {}
    report, embedder = run.report, model.embedder
    with run.timed("look up"):
        missing = missing_vectors(run.connection, model.profile_id, list(inputs))
    report.vectors_reused += len(inputs) - len(missing)
    keys = [key for key in inputs if key in missing]
    refused: dict[UUID, EmbeddingError] = {}
    meter = Meter(embedder)
    began = time.perf_counter()
    for group in embed_all(embedder, [inputs[key] for key in keys], group=VECTORS_PER_COMMIT):
        report.spend("embed", time.perf_counter() - began)
        refused.update({keys[row]: error for row, error in group.failures})
        with run.timed("store vectors"):
            used = _store(run, model, meter, [keys[row] for row in group.rows], group.vectors, wanted)
        report.tokens += used.tokens
        report.cost = round(report.cost + used.cost, 6)
        report.embedded += len(group.rows)
        run.progress("embed", report.embedded, None)
        began = time.perf_counter()
    return refused


@tracing.spanned("commit")
def _store(
    run: SourceRun,
    model: ModelTarget,
    meter: Meter,
    keys: Sequence[UUID],
    vectors: Vectors,
    wanted: Callable[[Sequence[UUID]], Set[UUID]],
) -> Usage:
    """Store vectors, and what `meter` reads; returns that."""
    with run.writing() as connection:
        kept = wanted(keys)
        rows = [row for row, key in enumerate(keys) if key in kept]
        if len(rows) < len(keys):
            keys, vectors = [keys[row] for row in rows], vectors[rows]
        if rows:
            put_vectors(connection, model.profile_id, keys, vectors)
        tenant = run.source.tenant
        return add_spent(connection, "ingest", meter, source=run.name, tenant=tenant, indexes=model.indexes)


def embedded_row(model_id: int, chunk_set_id: int, keys: Sequence[UUID], refused: Refused) -> dict[str, int]:
    """The record that all of a chunk set's inputs have vectors, but for the refused ones."""
    missing = sum(key in refused for key in keys)
    return {"chunk_set_id": chunk_set_id, "model_id": model_id, "missing": missing}


def refusal(model: ModelTarget, error: EmbeddingError, external_id: str, sha256: str) -> QuarantineEntry:
    """The entry of a document of which `model` refused a chunk; another model starts again."""
    identity = model.embedder.identity.of_passages.fingerprint
    return QuarantineEntry("embed", error, external_id, content=sha256, code_version=identity)


def resolve_refused(run: SourceRun, models: Sequence[ModelTarget]) -> None:
    """Take documents out of quarantine of which none of `models`, all that are in use, refuses a chunk."""
    with run.writing() as connection:
        params = {
            "source_id": run.source_id,
            "buckets": run.buckets,
            "models": [model.profile_id for model in models],
        }
        query(connection, "resolve_refused", params)


def embed_pending(run: SourceRun, models: Sequence[ModelTarget]) -> None:
    """Embed stored chunk sets that one of `models`, all that are in use, has not seen: it is new, or a run
    stopped before."""
    worked_off = vectors_worked_off(run, models)
    since, upto = worked_off.since, worked_off.now()
    parts: dict[str, Part] = {"documents": worked_off.documents(since)}
    for model in models:
        _embed_pending(run, model, since, parts)
    worked_off.note(run, upto)


def _embed_pending(run: SourceRun, model: ModelTarget, since: str | None, parts: Mapping[str, Part]) -> None:
    """The same of one, of the documents that may lack something."""
    after = 0
    params = {
        "since": since,
        "source_id": run.source_id,
        "buckets": run.buckets,
        "chunker_id": model.chunker_id,
        "model_id": model.profile_id,
        "limit": INPUTS_PER_PAGE,
    }
    while True:
        rows = query(run.connection, "pending_chunk_sets", {**params, "after": after}, parts).fetchall()
        if not rows:
            return
        page = _within(rows, INPUTS_PER_PAGE)
        after = page[-1]["chunk_set_id"]
        _embed_sets(run, model, [row["chunk_set_id"] for row in page])


def _embed_sets(run: SourceRun, model: ModelTarget, sets: list[int]) -> None:
    rows = query(run.connection, "chunk_inputs", {"sets": sets}, binary=True).fetchall()
    keys: dict[int, list[UUID]] = {chunk_set_id: [] for chunk_set_id in sets}
    for row in rows:
        keys[row["chunk_set_id"]].append(row["input_key"])

    def wanted(_: Sequence[UUID]) -> set[UUID]:
        return {key for one in hold_sets(run.connection, sets) for key in keys[one]}

    refused = embed_inputs(run, model, {row["input_key"]: row["input"] for row in rows}, wanted)
    with run.timed("store"), run.writing() as connection:
        params = {"source_id": run.source_id, "sets": sets}
        owners = query(connection, "documents_of_sets", params).fetchall()
        query(connection, "mark_changed", {"ids": [row["document_id"] for row in owners]})
        held = sorted(hold_sets(connection, sets))
        marks = [embedded_row(model.profile_id, one, keys[one], refused) for one in held]
        query(connection, "mark_embedded", {"rows": Jsonb(marks)})
        entries = [
            refusal(model, refused[key], row["external_id"], row["sha256"])
            for row in owners
            for key in keys[row["chunk_set_id"]]
            if key in refused
        ]
        run.quarantine(entries)


def _within(rows: Sequence[Row], budget: int) -> list[Row]:
    """The first rows whose chunks add up to at most `budget`, at least one."""
    kept: list[Row] = []
    total = 0
    for row in rows:
        total += row["chunks"]
        if kept and total > budget:
            break
        kept.append(row)
    return kept
