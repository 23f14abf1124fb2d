"""Values and rows in the binary form in which Postgres takes them, where the driver makes them one by one.

What belongs here: the form. What does not: which rows are written (`chunks`).

The driver takes about 5 microseconds for a vector and for a key in an array, and there are two of each to a
chunk. The forms are those of the server's receive functions: ``array_recv``
(PostgreSQL, src/backend/utils/adt/arrayfuncs.c), ``vector_recv`` (pgvector, src/vector.c), and of COPY
(PostgreSQL documentation, "COPY", Binary Format).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

if TYPE_CHECKING:
    from rag_pipelines.embedding.base import Vectors

_UUID, _UUID_ARRAY = 2950, 2951
"""Their oids, from pg_type.dat."""

_ARRAY = struct.Struct("!iiI")
_DIMENSION = struct.Struct("!ii")
_UUID_BYTES = struct.pack("!i", 16)
_COPY_BEGINS = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_ENDS = b"\xff\xff"


class UuidArray:
    """Keys as a parameter of the type ``uuid[]``."""

    def __init__(self, keys: Iterable[UUID]) -> None:
        self.keys = list(keys)


class _UuidArrayDumper(Dumper):
    format = Format.BINARY
    oid = _UUID_ARRAY

    def dump(self, obj: UuidArray) -> bytes:
        if not obj.keys:
            return _ARRAY.pack(0, 0, _UUID)
        head = _ARRAY.pack(1, 0, _UUID) + _DIMENSION.pack(len(obj.keys), 1)
        return head + b"".join([_UUID_BYTES + key.bytes for key in obj.keys])


psycopg.adapters.register_dumper(UuidArray, _UuidArrayDumper)


def vector_rows(model_id: int, keys: Sequence[UUID], vectors: Vectors) -> bytes:
    """What COPY reads of rows of a model, a key and a vector; `vectors` has the shape (keys, dimensions)."""
    import numpy as np

    dimensions = vectors.shape[1]
    fields = [
        ("fields", ">i2", 3),
        ("model_bytes", ">i4", 4),
        ("model", ">i4", model_id),
        ("key_bytes", ">i4", 16),
        ("key", "V16", np.frombuffer(b"".join([key.bytes for key in keys]), dtype="V16")),
        ("vector_bytes", ">i4", 4 + 4 * dimensions),
        ("dimensions", ">i2", dimensions),
        ("unused", ">i2", 0),
        ("vector", f"({dimensions},)>f4", vectors),
    ]
    rows = np.empty(len(keys), dtype=[(name, kind) for name, kind, _ in fields])
    for name, _, values in fields:
        rows[name] = values
    return _COPY_BEGINS + rows.tobytes() + _COPY_ENDS
