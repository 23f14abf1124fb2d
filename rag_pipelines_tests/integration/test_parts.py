"""An index in parts: the vectors divided by document, each part with a graph of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from rag_pipelines.index import parts
from rag_pipelines.index.gate_results import gates_of
from rag_pipelines.index.memory import RESERVE, GraphMemory
from rag_pipelines.index.promotion import promote
from rag_pipelines.index.storage import Storage
from rag_pipelines.index.versions import Version
from rag_pipelines.store.database import Database, Pg
from rag_pipelines.store.reader import admit_reader, prove_reader, reading_as
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.test_purge import everything, fill_gone, purge
from rag_pipelines_tests.integration.test_row_security import as_role, reader_role, seen
from rag_pipelines_tests.integration.test_vector_index import DOCUMENTS, dense_hits, fill_many, is_walked
from rag_pipelines_tests.integration.workspace import Workspace

__all__ = ["reader_role"]

PARTS = 3


@pytest.fixture
def many(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_many).lend() as lent:
        lent.document["indexes"]["main"]["gates"] = {"min_recall": 0.99, "max_chunk_drop": 1.0}
        yield lent


def divide(workspace: Workspace, number: int = PARTS, **vector: str) -> None:
    workspace.document["indexes"]["main"] |= {"parts": number, "vector": vector}


def part_rows(workspace: Workspace, version: Version) -> list[int]:
    rows = workspace.rows(
        f"SELECT count(*)::int AS n FROM rag.vectors_{version.storage} GROUP BY tableoid ORDER BY tableoid"
    )
    return [row["n"] for row in rows]


@pytest.mark.parametrize("kind", ["hnsw", "hnsw_binary", "exact"])
def test_what_is_found_does_not_depend_on_the_number_of_parts(many: Workspace, kind: str) -> None:
    found = []
    for number in (1, PARTS):
        divide(many, number, index=kind)
        version = many.build()
        assert version.kind == "full", "another number of parts is another layout"
        assert len(part_rows(many, version)) == number
        assert set(many.validate(version).values()) == {True}
        promote(many.database, "main", version.version_id)
        found.append([dense_hits(many), dense_hits(many, few_chunks=2**30)])
        assert is_walked(many, version) == (kind != "exact")
    assert found[0] == found[1]
    assert found[0][0] == found[0][1]


def test_a_version_in_parts_catches_up_and_forgets(many: Workspace) -> None:
    divide(many)
    many.publish()
    many.refresh()
    many.write("007.md", "# More 7\n\nA heron at last.")
    many.write("new.md", "# New\n\nAnother heron.")
    (many.docs / "008.md").unlink()
    many.ingest()
    version = many.build()
    assert (version.kind, version.row_count) == ("catch_up", DOCUMENTS)
    assert set(many.validate(version).values()) == {True}
    many.publish()
    assert many.paths("heron", mode="lexical") == {"007.md", "new.md"}
    assert dense_hits(many) == dense_hits(many, few_chunks=2**30)


def test_one_part_without_its_graph_is_a_version_that_is_not_valid(many: Workspace) -> None:
    divide(many)
    version = many.build()
    with many.database.transaction() as connection:
        connection.execute(f"DROP INDEX rag.vectors_{version.storage}_part_1_embedding_idx")  # type: ignore[arg-type]
    assert many.validate(version)["vector_index_valid"] is False


def test_parts_built_at_a_time_share_what_is_allowed(
    many: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    given, at_a_time, building = [], [], set()
    both = threading.Barrier(2, timeout=60)
    index_vectors = Storage.index_vectors

    def noted(self: Storage, connection: Pg, part: int, memory: int, helpers: int) -> None:
        building.add(part)
        if part < 2:
            both.wait()
        given.append(memory)
        at_a_time.append(len(building))
        index_vectors(self, connection, part, memory, helpers)
        building.discard(part)

    monkeypatch.setattr(Storage, "index_vectors", noted)
    divide(many)
    many.document["limits"]["build_memory"] = "10MiB"
    stages: dict[str, tuple[int, int | None]] = {}
    version = many.build(progress=lambda stage, done, total: stages.update({stage: (done, total)}))
    assert max(at_a_time) == 2
    assert given == [5 * 2**20] * PARTS
    assert stages[parts.STAGE] == (DOCUMENTS, DOCUMENTS)
    rows = part_rows(many, version)
    for number in range(PARTS):
        assert stages[f"{parts.STAGE}, part {number + 1} of {PARTS}"] == (rows[number], rows[number])


@pytest.mark.parametrize(("allowed", "at_once"), [(1, 1), (3.5, 3), (100, 4)])
def test_as_many_parts_are_built_at_a_time_as_fit(
    monkeypatch: pytest.MonkeyPatch, allowed: float, at_once: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    part = 1_000_000 * 500 + RESERVE
    memory = GraphMemory(4_000_000, 500.0, int(part * allowed), parts=4)
    assert memory.at_once == at_once
    assert memory.given * memory.at_once <= memory.allowed
    assert memory.fits


def test_what_fails_in_one_part_ends_the_others(many: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("no")

    monkeypatch.setattr(Storage, "index_vectors", fail)
    divide(many)
    with pytest.raises(ValueError, match="no"):
        many.build()
    tables = many.rows("SELECT FROM pg_tables WHERE schemaname = 'rag' AND tablename LIKE 'vectors%%'")
    assert not tables


def fill_purged(workspace: Workspace) -> None:
    """A document with an earlier revision in a retired version, deleted at its source; all in parts."""
    divide(workspace)
    fill_gone(workspace)


def test_a_purge_leaves_nothing_in_any_part(stock_of: Callable[[Fill], Stock]) -> None:
    with stock_of(fill_purged).lend() as gone:
        divide(gone)
        with psycopg.connect(gone.url) as reader:
            reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            reader.execute("SELECT count(*) FROM rag.chunk")
            seen = purge(gone, verify=True)
        assert seen.proof is not None
        places = {trace.place for trace in seen.proof.left}
        assert any("_part_" in place for place in places), "what is waiting in a part is told"
        again = purge(gone, verify=True)
        assert again.proof is not None
        assert again.proof.left == []
        assert "quetzalcoatlus" not in everything(gone)


def test_the_login_of_searches_reads_parts_through_the_whole_alone(
    reader_role: str,
    many: Workspace,
) -> None:
    divide(many)
    version = many.publish()
    with many.database.connection() as connection:
        admit_reader(connection, reader_role)
    whole = f"vectors_{version.storage}"
    reader = Database(as_role(many.url, reader_role))
    with reader.connection() as connection:
        prove_reader(connection)
        assert seen(connection, whole) == 0, "nobody is named for whom it reads"
        with reading_as(connection, "default", ["user:ann"]):
            assert seen(connection, whole) == DOCUMENTS
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            seen(connection, f"{whole}_part_0")
    reader.close()
    later = many.publish()
    with many.database.connection() as connection:
        (proven,) = [one for one in gates_of(connection, later.version_id) if one.gate == "access_proof"]
    assert proven.passed
    assert proven.detail["reader"] == reader_role
