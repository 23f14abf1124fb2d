"""Keys and vectors go to the server in the bytes in which the driver would send them one by one."""

from __future__ import annotations

from uuid import UUID

import numpy as np
import pytest
from pgvector import Vector
from psycopg import postgres
from psycopg.adapt import PyFormat, Transformer

from rag_pipelines.store.binary import UuidArray, vector_rows

KEYS = [UUID(int=n) for n in (0, 1, 2**64, 2**128 - 1)]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_keys_are_sent_as_the_driver_sends_a_list(count):
    driver = Transformer().get_dumper(KEYS[:count], PyFormat.BINARY)
    ours = Transformer().get_dumper(UuidArray(KEYS), PyFormat.BINARY)
    assert ours.oid == postgres.types["uuid"].array_oid
    assert ours.dump(UuidArray(KEYS[:count])) == driver.dump(KEYS[:count])


def test_no_keys_are_an_array_without_dimensions_of_the_type_of_keys():
    dimensions, flags, of = 0, 0, postgres.types["uuid"].oid
    assert Transformer().get_dumper(UuidArray([]), PyFormat.BINARY).dump(UuidArray([])) == b"".join(
        number.to_bytes(4) for number in (dimensions, flags, of)
    )


def test_rows_of_vectors_are_those_of_copy():
    vectors = np.array([[0.5, -1.0, 3e-9], [0.0, 1.0, -0.0]], dtype=np.float32)
    expected = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
    for key, vector in zip(KEYS, vectors, strict=False):
        fields = [(7).to_bytes(4), key.bytes, Vector(vector).to_binary()]
        expected += (3).to_bytes(2) + b"".join(len(field).to_bytes(4) + field for field in fields)
    assert vector_rows(7, KEYS[:2], vectors) == expected + b"\xff\xff"
