"""How vectors are found: which kind of index a version has, and how searches and gates walk it.

What belongs here: the kinds, the choice among them, what a walk is set to. What does not: making an index
(`storage`), and what memory that takes (`memory`).

A binary graph is of the signs of vectors, one bit a value, which tell little of how near two vectors are: so
far more candidates are taken from it than are wanted, and the stored vectors choose among these.
"""

from __future__ import annotations

from psycopg import sql

from rag_pipelines.config.settings import VectorSettings, WantedKind
from rag_pipelines.index.memory import GraphMemory, graph_row_bytes
from rag_pipelines.index.spec import IndexKind, StorageSpec, VectorSpec
from rag_pipelines.store.database import Part, compose_query

EXACT_ROWS = 4_000
"""Of an index that chooses for itself: so many are compared one by one, in the time of a walk
(benchmarks/vector_index.py: 12,000 take three times as long)."""

SIGNS_DIMENSIONS = 256
"""Shorter vectors have too few signs to tell neighbours by; an index that chooses for itself leaves them."""

SIGNS_FETCHED, SIGNS_SHARE = 1_600, 4
"""So many are taken from a graph of signs, and so many for each that is wanted. Of the ten nearest among
112,000 vectors of 384 dimensions (MiniLM) 99 % are among the 1,600 nearest by signs, 96 % among 400."""

SCANNED_CHUNKS = 2_500
"""The vector index gives the caller's nearest from among so many; where that is too few, all are compared."""

SCANNED_SIGNS = 10_000
"""The same of a graph of signs. Of the ten nearest that a caller may see, who sees one chunk in ten of 72,000
(MiniLM), 2,500 hold 97 % and 10,000 hold 99.7 %."""

_OPCLASS = {"halfvec": "halfvec_ip_ops", "vector": "vector_ip_ops"}
"""Inner product: vectors are unit length, so it is the cosine, and cheaper."""


def choose_kind(wanted: VectorSettings, spec: StorageSpec, rows: int, allowed: int) -> IndexKind:
    """The kind of a version of so many rows, whose graphs may take `allowed` bytes while they are built."""
    if wanted.index != "auto":
        return wanted.index
    if rows <= EXACT_ROWS:
        return "exact"
    row = graph_row_bytes(spec.dimensions, wanted.type, wanted.m)
    fits = GraphMemory(rows, row, allowed, spec.index.part_count).fits
    return "hnsw" if fits or spec.dimensions < SIGNS_DIMENSIONS else "hnsw_binary"


def outgrown(wanted: WantedKind, kind: IndexKind, rows: int) -> bool:
    """Whether an index that chooses for itself should choose anew, and not go on with a version's kind."""
    return wanted == "auto" and kind == "exact" and rows > 2 * EXACT_ROWS


def row_bytes(vector: VectorSpec, dimensions: int) -> float:
    """What a row takes in the graph while it is built; 0 without a graph."""
    if vector.index == "exact":
        return 0.0
    return graph_row_bytes(dimensions, "bit" if vector.index == "hnsw_binary" else vector.type, vector.m)


def indexed(vector: VectorSpec, dimensions: int) -> sql.Composable:
    """What the graph is of, as ``CREATE INDEX`` takes it."""
    if vector.index == "hnsw_binary":
        return compose_query("vector_signs", {"dimensions": sql.SQL(str(int(dimensions)))})
    return compose_query("vector_itself", {"opclass": sql.SQL(_OPCLASS[vector.type])})


def walk(
    vector: VectorSpec, dimensions: int, vectors: Part, walkable: Part, candidates: int
) -> sql.Composable:
    """Rows of the table `vectors` near the vector that `asked` holds, a subquery: `candidates` or more.

    Args:
        walkable: which rows `v` may come, a predicate.
    """
    parts: dict[str, Part] = {"vectors": vectors, "walkable": walkable}
    if vector.index == "hnsw_binary":
        fetched = max(SIGNS_FETCHED, SIGNS_SHARE * candidates)
        parts |= {"dimensions": sql.SQL(str(int(dimensions))), "fetched": sql.SQL(str(fetched))}
        return compose_query("walk_signs", parts)
    return compose_query("walk_vectors", {**parts, "candidates": sql.SQL(str(candidates))})


def walk_settings(vector: VectorSettings) -> dict[str, str]:
    """Server settings for a walk: it goes on until it has given enough rows, or has looked at too many."""
    scanned = SCANNED_SIGNS if vector.index in ("hnsw_binary", "auto") else SCANNED_CHUNKS
    return {
        "hnsw.iterative_scan": "relaxed_order",
        "hnsw.max_scan_tuples": str(scanned),
        "hnsw.ef_search": str(vector.ef_search),
    }
