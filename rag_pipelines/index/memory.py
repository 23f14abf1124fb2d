"""The memory that building a vector index takes, and how much a build is given.

What belongs here: these figures, and words about them. What does not: building (`storage`).

pgvector builds the graph in memory as far as it fits into `maintenance_work_mem`, which is that of the whole
build however many processes take part, and on disk from there on, some ten times slower. In a parallel build
it is shared memory.
"""

from __future__ import annotations

import math
import os
from typing import Literal

import msgspec

from rag_pipelines.config.settings import Settings
from rag_pipelines.store.tuning import memory_bytes

SHARE = 1 / 4
"""Of the machine's memory, where the server is the embedded one: its caches and all else are there too."""

ELSEWHERE = 2 * 2**30
"""Bytes, where the server may be on another machine, whose memory is not known here."""

LEAST = 64 * 2**20
"""Bytes, Postgres' own default; a small graph is given as much."""

RESERVE = 4 * 2**20
"""Bytes that pgvector keeps off the graph: 3 MiB for what else is shared, 1 MiB so that no row fails."""

_VALUE_BYTES = {"halfvec": 2, "vector": 4, "bit": 1 / 8}


class GraphMemory(msgspec.Struct, frozen=True):
    """What the graph of a version takes, and what its build may take. Bytes.

    In so many `parts` of about as many rows each, each of which has a graph of its own.
    """

    rows: int
    row_bytes: float
    allowed: int
    parts: int = 1

    @property
    def part_rows(self) -> int:
        """The rows of a part."""
        return -(-self.rows // self.parts)

    @property
    def needed(self) -> int:
        """The least that holds the whole graph of a part; 0 without one."""
        return math.ceil(self.part_rows * self.row_bytes) + RESERVE if self.row_bytes else 0

    @property
    def at_once(self) -> int:
        """How many parts are built at a time: as many as fit, one where none does."""
        return max(min(self.parts, self.allowed // max(self.needed, 1), os.cpu_count() or 1), 1)

    @property
    def given(self) -> int:
        """What the build of a part takes: no more than it needs, nor than all at a time may together."""
        return min(max(self.needed, LEAST), self.allowed // self.at_once)

    @property
    def fits(self) -> bool:
        """Whether the graph is built in memory."""
        return self.needed <= self.allowed

    @property
    def words(self) -> str:
        """What to do where it does not fit."""
        held = max(int((self.allowed - RESERVE) / self.row_bytes), 0)
        return (
            f"the graph of {self.part_rows:,} rows takes {gigabytes(self.needed)}, and limits.build_memory "
            f"is {gigabytes(self.allowed)}, enough for {held:,}: the rest is built on disk, some ten times "
            f"slower. Set limits.build_memory to {gigabytes(self.needed)} or more, which the machine of the "
            "database must have free, or make rows smaller: vector.type halfvec, a lower vector.m, "
            "vector.index hnsw_binary; or divide the index by index.parts"
        )


def graph_row_bytes(dimensions: int, type: Literal["halfvec", "vector", "bit"], m: int) -> float:
    """Bytes of one row in a graph that is built in memory, on average over its layers.

    An element, its list of neighbours in each of its layers (2·m at the bottom, m above, of 16 bytes each),
    what points to the lists, and its vector (pgvector 0.8, src/hnsw.h). A row is in layer l with the
    probability m^-l. Each of these costs 8 bytes more where one process builds alone.
    """
    each, header, neighbour, pointer = 8, 8, 16, 8
    layers_above = 1 / (m - 1)
    bottom = each + header + 2 * m * neighbour
    above = layers_above * (each + header + m * neighbour + pointer)
    vector = each + 8 * math.ceil((8 + math.ceil(_VALUE_BYTES[type] * dimensions)) / 8)
    return (each + 128) + (each + pointer) + bottom + above + vector


def build_memory(settings: Settings) -> int:
    """How many bytes the graph of a build may take."""
    if settings.limits.build_memory is not None:
        return settings.limits.build_memory
    return int(memory_bytes() * SHARE) if settings.database.url is None else ELSEWHERE


def gigabytes(count: float) -> str:
    """Bytes for people, rounded up: what is told to be enough is."""
    return f"{math.ceil(count / 1e8) / 10:.1f} GB"
