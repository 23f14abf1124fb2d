"""Rows of parses, chunk sets, chunks and vectors.

What belongs here: writing these rows in bulk, by binary COPY where there are many. What does not:
which documents need them (`sync.advance`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from rag_pipelines import tracing
from rag_pipelines.errors import ChunkingError, DocumentError
from rag_pipelines.fingerprint import text_key
from rag_pipelines.model import Chunk, Summary
from rag_pipelines.store.binary import UuidArray, vector_rows
from rag_pipelines.store.database import Pg, Row, query
from rag_pipelines.text.canonical import clean, plain_metadata

if TYPE_CHECKING:
    from rag_pipelines.embedding.base import Vectors

_CHUNK_TYPES = [
    "int8", "int4", "int4", "int4", "int4", "int4", "int4", "float4", "uuid", "text[]",
    "text", "text", "text", "text[]",
]  # fmt: skip
_COPY_CHUNKS = (
    "COPY rag.chunk (chunk_set_id, ordinal, start_at, end_at, tokens, page_first, page_last, confidence, "
    "input_key, heading_path, prefix, context, text, links) FROM STDIN (FORMAT BINARY)"
)
_COPY_VECTORS = "COPY rag.embedding (model_id, input_key, embedding) FROM STDIN (FORMAT BINARY)"


class ChunkSet(NamedTuple):
    """The chunks of some blocks under one chunker and one embedded title, not stored yet."""

    key: UUID
    blocks_sha256: bytes
    title: str | None
    profile_id: int
    chunks: Sequence[Chunk]
    input_keys: Sequence[UUID]


def chunk_set_key(blocks_sha256: bytes, chunker_id: int, title: str | None) -> UUID:
    """The identity of a chunk set: same blocks, chunker and embedded title give the same chunks."""
    return text_key(blocks_sha256.hex(), str(chunker_id), title or "")


def make_chunk_set(
    blocks_sha256: bytes, chunker_id: int, title: str | None, chunks: Sequence[Chunk]
) -> ChunkSet:
    """The rows of `chunks`; raises `ChunkingError` where one breaks the contract that storage rests on."""
    for chunk in chunks:
        if not chunk.embedding_input.endswith(chunk.text):
            raise ChunkingError(f"chunk {chunk.ordinal}: its embedding input does not end with its text")
    keys = [text_key(chunk.embedding_input) for chunk in chunks]
    key = chunk_set_key(blocks_sha256, chunker_id, title)
    return ChunkSet(key, blocks_sha256, title, chunker_id, chunks, keys)


PRECEDENCE = frozenset(
    {
        "status", "version", "edition", "year", "effective", "effective_date", "valid_from", "expires",
        "expiry", "expiration_date", "valid_until", "valid_to", "supersedes", "superseded_by", "replaces",
        "replaced_by",
    }
)  # fmt: skip
"""What a document may say of its place among others, by which a search prefers its successor."""


def precedence_of(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """These entries of metadata, their names in lower case and with underscores."""
    named = ((str(key).casefold().replace("-", "_").replace(" ", "_"), metadata[key]) for key in metadata)
    return {key: value for key, value in named if key in PRECEDENCE and not isinstance(value, dict)}


def parsed_row(raw_sha256: bytes, hint: str, profile_id: int, blocks_sha256: bytes, summary: Summary) -> Row:
    """The row of a successful parse."""
    metadata = plain_metadata(summary.metadata)
    return {
        "raw_sha256": raw_sha256.hex(),
        "hint": hint,
        "profile_id": profile_id,
        "status": "ok",
        "media_type": summary.media_type,
        "blocks_sha256": blocks_sha256.hex(),
        "title": clean(summary.title) if summary.title else None,
        "language": summary.language,
        "pages": summary.pages,
        "characters": summary.characters,
        "blocks": summary.blocks,
        "counters": summary.counters,
        "metadata": metadata,
        "precedence": precedence_of(metadata),
        "warnings": [clean(warning)[:500] for warning in summary.warnings[:50]],
    }


def failed_row(raw_sha256: bytes, hint: str, profile_id: int, media_type: str, error: DocumentError) -> Row:
    """The row that says that this code cannot parse these bytes."""
    return {
        "raw_sha256": raw_sha256.hex(),
        "hint": hint,
        "profile_id": profile_id,
        "media_type": media_type,
        "status": error.status,
        "message": clean(str(error))[:4000],
    }


def put_parses(connection: Pg, rows: Iterable[Row]) -> dict[tuple[bytes, str], int]:
    """Remember parses; returns their ids by bytes and hint."""
    distinct = {(row["raw_sha256"], row["hint"], row["profile_id"]): row for row in rows}
    if not distinct:
        return {}
    stored = query(connection, "put_parses", {"rows": Jsonb(list(distinct.values()))})
    return {(bytes.fromhex(row["raw_sha256"]), row["hint"]): row["parse_id"] for row in stored}


def find_chunk_sets(connection: Pg, keys: Iterable[UUID]) -> dict[UUID, Row]:
    """The stored chunk sets among `keys`."""
    rows = query(connection, "find_chunk_sets", {"keys": UuidArray(keys)}, binary=True)
    return {row["key"]: row for row in rows}


def put_chunk_sets(connection: Pg, sets: Sequence[ChunkSet]) -> dict[UUID, int]:
    """Store chunk sets that are new; returns the id of every one by its key.

    One that was there and has just been removed is left out.
    """
    by_key = {one.key: one for one in sets}
    if not by_key:
        return {}
    rows = [
        {
            "key": str(one.key),
            "blocks_sha256": one.blocks_sha256.hex(),
            "title": one.title,
            "profile_id": one.profile_id,
            "chunks": len(one.chunks),
            "tokens": sum(chunk.tokens for chunk in one.chunks),
        }
        for one in by_key.values()
    ]
    stored = query(connection, "put_chunk_sets", {"rows": Jsonb(rows)})
    ids: dict[UUID, int] = {row["key"]: row["chunk_set_id"] for row in stored}
    fresh = [by_key[key] for key in ids]
    others = find_chunk_sets(connection, by_key.keys() - ids.keys()) if len(ids) < len(by_key) else {}
    ids.update({key: row["chunk_set_id"] for key, row in others.items()})
    if fresh:
        copying = tracing.statement("copy_chunks")
        with copying, connection.cursor() as cursor, cursor.copy(_COPY_CHUNKS) as copy:
            copy.set_types(_CHUNK_TYPES)
            for one in fresh:
                set_id = ids[one.key]
                for chunk, key in zip(one.chunks, one.input_keys, strict=True):
                    first, last = chunk.pages or (None, None)
                    prefix = chunk.embedding_input[: len(chunk.embedding_input) - len(chunk.text)]
                    copy.write_row(
                        (
                            set_id,
                            chunk.ordinal,
                            chunk.start,
                            chunk.end,
                            chunk.tokens,
                            first,
                            last,
                            chunk.confidence,
                            key,
                            list(chunk.heading_path),
                            prefix,
                            chunk.context,
                            chunk.text,
                            [[link.text, link.target] for link in chunk.links] or None,
                        )
                    )
    return ids


def hold_sets(connection: Pg, ids: Iterable[int]) -> set[int]:
    """Inside a transaction: which of these chunk sets are there. They stay until it commits."""
    held = {row["chunk_set_id"] for row in query(connection, "hold_sets", {"ids": list(ids)})}
    query(connection, "unmark", {"kind": "chunk set", "keys": list(map(str, held))})
    return held


def hold_vectors(connection: Pg, model_id: int, keys: Iterable[UUID]) -> set[UUID]:
    """Inside a transaction: which of these inputs have a vector. It stays until it commits."""
    rows = query(connection, "hold_vectors", {"model_id": model_id, "keys": UuidArray(keys)}, binary=True)
    return {row["input_key"] for row in rows}


def missing_vectors(connection: Pg, model_id: int, keys: Sequence[UUID]) -> set[UUID]:
    """Which of `keys` have no vector under the model."""
    rows = query(connection, "missing_vectors", {"model_id": model_id, "keys": UuidArray(keys)}, binary=True)
    return {row["key"] for row in rows}


def put_vectors(connection: Pg, model_id: int, keys: Sequence[UUID], vectors: Vectors) -> None:
    """Store vectors in a transaction of their own. Another run may have stored some of them meanwhile.

    The commit does not wait for the disk: what a crash of the server loses is computed again.
    """
    if not keys:
        return
    rows = vector_rows(model_id, keys, vectors)
    try:
        with connection.transaction():
            _copy_vectors(connection, _COPY_VECTORS, rows)
    except psycopg.errors.UniqueViolation:
        with connection.transaction():
            connection.execute("CREATE TEMPORARY TABLE incoming (LIKE rag.embedding) ON COMMIT DROP")
            _copy_vectors(connection, _COPY_VECTORS.replace("rag.embedding", "incoming"), rows)
            connection.execute("INSERT INTO rag.embedding SELECT * FROM incoming ON CONFLICT DO NOTHING")


def _copy_vectors(connection: Pg, statement: str, rows: bytes) -> None:
    connection.execute("SET LOCAL synchronous_commit = off")
    copying = tracing.statement("copy_vectors")
    with copying, connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(rows)
