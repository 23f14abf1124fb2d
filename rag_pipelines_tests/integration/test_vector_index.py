"""Kinds of vector indexes: a graph, a graph of signs, none, and the choice among them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from unittest.mock import patch

import pytest
from psycopg import sql
from typer.testing import Result

from rag_pipelines.config.settings import VectorSettings
from rag_pipelines.index import graph
from rag_pipelines.index.memory import RESERVE, graph_row_bytes
from rag_pipelines.index.spec import StorageSpec, TableSpec, VectorSpec
from rag_pipelines.index.storage import storage_of_version
from rag_pipelines.index.versions import Version
from rag_pipelines.query import statement
from rag_pipelines.query.search import Searcher
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.workspace import Workspace

DOCUMENTS = 300
KINDS = ("hnsw", "hnsw_binary", "exact")
ASKED = ("words 7", "more 120", "a river that nobody wrote of")


def fill_many(workspace: Workspace) -> None:
    """So many documents that a graph is worth a walk, of two tenants' worth of callers."""
    for n in range(DOCUMENTS):
        workspace.write(f"{n:03}.md", f"# More {n}\n\nWords {n}, and {n % 7} others.")
    workspace.ingest()


@pytest.fixture
def many(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_many).lend() as lent:
        lent.document["indexes"]["main"]["gates"] = {"min_recall": 0.99, "max_chunk_drop": 1.0}
        yield lent


@pytest.fixture
def workspace(many: Workspace) -> Workspace:
    return many


def use(workspace: Workspace, kind: str) -> None:
    workspace.document["indexes"]["main"]["vector"] = {"index": kind}


def is_walked(workspace: Workspace, version: Version) -> bool:
    """Whether a search reads the vector index of a version, where the planner may not prefer all rows."""
    walk = storage_of_version(version).walk(sql.SQL("true"), 10)
    asked = sql.SQL("EXPLAIN WITH asked AS MATERIALIZED (SELECT {} AS vector) SELECT FROM {} v").format(
        sql.SQL("'[{}]'::halfvec").format(sql.SQL(", ").join([sql.SQL("1")] * version.spec.dimensions)), walk
    )
    with workspace.database.transaction() as connection:
        connection.execute("SET LOCAL enable_seqscan = off")
        plan = "\n".join(row["QUERY PLAN"] for row in connection.execute(asked))
    table = rf"vectors_{version.storage}(?:_part_\d+)?"
    walked = re.findall(rf"Index Scan using {table}_(?:embedding|binary_quantize)", plan)
    return len(walked) == version.spec.index.parts


def dense_hits(workspace: Workspace, few_chunks: int = 1) -> list[list[tuple[str, float]]]:
    """What questions find by their vectors, by a walk unless so many are to be compared one by one."""
    with (
        patch.object(statement, "FEW_CHUNKS", few_chunks),
        Searcher(workspace.database, workspace.settings, "main") as searcher,
    ):
        found = [searcher.search(text, tenant="default", mode="dense") for text in ASKED]
    return [[(hit.path or "", round(hit.scores.dense or 0.0, 5)) for hit in one.hits] for one in found]


def test_every_kind_finds_the_same_and_passes_every_gate(many: Workspace) -> None:
    found = []
    for kind in KINDS:
        use(many, kind)
        version = many.publish()
        assert version.kind == "full", "another kind is another layout"
        assert version.spec.index.vector.index == kind
        found.append(dense_hits(many))
        assert is_walked(many, version) == (kind != "exact")
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("kind", KINDS)
def test_a_version_that_catches_up_keeps_its_kind(many: Workspace, kind: str) -> None:
    use(many, kind)
    many.publish()
    many.refresh()
    many.write("007.md", "# More 7\n\nA heron at last.")
    many.write("new.md", "# New\n\nAnother heron.")
    (many.docs / "008.md").unlink()
    many.ingest()
    version = many.publish()
    assert (version.kind, version.spec.index.vector.index) == ("catch_up", kind)
    assert version.row_count == DOCUMENTS
    with patch.object(statement, "FEW_CHUNKS", 1):
        assert many.paths("heron", mode="lexical") == {"007.md", "new.md"}
    assert dense_hits(many) == dense_hits(many, few_chunks=2**30)


def test_signs_alone_do_not_pass_for_what_vectors_find(
    many: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without candidates to choose from, a graph of signs fails the gate that a graph of vectors passes."""
    monkeypatch.setattr(graph, "SIGNS_FETCHED", 10)
    monkeypatch.setattr(graph, "SIGNS_SHARE", 1)
    for kind, passes in (("hnsw", True), ("hnsw_binary", False)):
        use(many, kind)
        assert many.validate(many.build())["recall"] is passes


def test_a_version_without_the_graph_that_it_should_have_is_not_valid(many: Workspace) -> None:
    for kind, index in (("hnsw", "embedding_idx"), ("hnsw_binary", "binary_quantize_idx")):
        use(many, kind)
        version = many.build()
        with many.database.transaction() as connection:
            connection.execute(f"DROP INDEX rag.vectors_{version.storage}_{index}")  # type: ignore[arg-type]
        assert many.validate(version)["vector_index_valid"] is False


def test_an_index_that_chooses_for_itself_says_what_it_chose(
    many: Workspace, call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    use(many, "auto")
    assert call("index", "build", "main").exit_code == 0
    monkeypatch.setattr(graph, "EXACT_ROWS", DOCUMENTS - 1)
    assert call("index", "build", "main", "--full").exit_code == 0
    told = json.loads(call("index", "versions", "main", "--json").stdout)
    assert [one["vector_index"] for one in told if one["kind"] == "full"] == ["hnsw", "exact"]
    assert "hnsw" in call("index", "versions", "main").stdout


def test_a_version_without_a_graph_that_outgrew_that_is_not_caught_up_from(
    many: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(many, "auto")
    first, second = many.publish(), many.publish()
    assert [one.spec.index.vector.index for one in (first, second)] == ["exact", "exact"]
    monkeypatch.setattr(graph, "EXACT_ROWS", DOCUMENTS // 2)
    assert many.publish().kind == "catch_up", "not before it is twice as many"
    monkeypatch.setattr(graph, "EXACT_ROWS", DOCUMENTS // 2 - 1)
    version = many.build()
    assert (version.kind, version.spec.index.vector.index) == ("full", "hnsw")


def spec_of(dimensions: int, parts: int = 1) -> StorageSpec:
    tables = TableSpec(VectorSpec("halfvec"), parts=parts)
    return StorageSpec(sources=(), dimensions=dimensions, index=tables, model={}, model_fingerprint="")


def test_a_graph_in_parts_fits_where_one_of_all_rows_does_not() -> None:
    allowed = int(100_000 * ROW / 4) + RESERVE + 1
    auto = VectorSettings(index="auto")
    assert graph.choose_kind(auto, spec_of(384), 100_000, allowed) == "hnsw_binary"
    assert graph.choose_kind(auto, spec_of(384, parts=4), 100_000, allowed) == "hnsw"


ROW = graph_row_bytes(384, "halfvec", 16)


@pytest.mark.parametrize(
    ("rows", "allowed", "dimensions", "chosen"),
    [
        (graph.EXACT_ROWS, RESERVE, 384, "exact"),
        (graph.EXACT_ROWS + 1, 2**40, 384, "hnsw"),
        (100_000, int(100_000 * ROW) + RESERVE + 1, 384, "hnsw"),
        (100_000, int(100_000 * ROW) + RESERVE - 1, 384, "hnsw_binary"),
        (100_000, RESERVE, 128, "hnsw"),
    ],
)
def test_the_choice_is_by_rows_and_by_what_fits(
    rows: int, allowed: int, dimensions: int, chosen: str
) -> None:
    spec = spec_of(dimensions)
    assert graph.choose_kind(VectorSettings(index="auto"), spec, rows, allowed) == chosen
    for kind in KINDS:
        assert graph.choose_kind(VectorSettings(index=kind), spec, rows, allowed) == kind


def test_a_graph_of_signs_is_walked_further_because_it_tells_less() -> None:
    scanned = {
        kind: int(graph.walk_settings(VectorSettings(index=kind))["hnsw.max_scan_tuples"]) for kind in KINDS
    }
    assert scanned["hnsw"] == scanned["exact"] < scanned["hnsw_binary"]
    assert scanned["hnsw_binary"] > graph.SIGNS_FETCHED
