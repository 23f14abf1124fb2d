"""Large tenants in parts of their own: nothing that is found depends on it, no other caller reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from copy import copy
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag_pipelines.config import load_config
from rag_pipelines.errors import ConfigError
from rag_pipelines.gates.refresh import refresh_index
from rag_pipelines.index.versions import Version
from rag_pipelines.query import statement
from rag_pipelines.query.hits import Mode
from rag_pipelines.query.search import Searcher
from rag_pipelines.store.database import Pg, PreparedQuery
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.workspace import Workspace

TENANTS = ("acme", "it's 5 % of \\", "small")
DOCUMENTS = 40
MODES: tuple[Mode, ...] = ("dense", "hybrid")
ASKED = ("words 7", "more 30", "a river that nobody wrote of")


def fill_tenants(workspace: Workspace) -> None:
    """Documents of three tenants, a source each."""
    sources: dict[str, Any] = {}
    for number, tenant in enumerate(TENANTS):
        folder = workspace.folder / f"docs-{number}"
        folder.mkdir()
        for n in range(DOCUMENTS):
            (folder / f"{n:03}.md").write_text(f"# More {n}\n\nWords {n} of {number}, and {n % 7} others.")
        sources[f"docs-{number}"] = {
            **workspace.document["sources"]["docs"],
            "options": {"root": str(folder)},
            "tenant": tenant,
        }
    workspace.document["sources"] = sources
    workspace.document["indexes"]["main"] |= {
        "sources": list(sources),
        "gates": {"min_recall": 0.99, "max_chunk_drop": 1.0},
        "full_build_share": 1.0,
    }
    for source in sources:
        workspace.ingest(source)


@pytest.fixture
def shared(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_tenants).lend() as lent:
        yield lent


def divide(workspace: Workspace, by_hash: int, *tenants: str, kind: str = "hnsw") -> Version:
    workspace.document["indexes"]["main"] |= {
        "parts": {"hash": by_hash, "tenants": list(tenants)},
        "vector": {"index": kind},
    }
    return workspace.publish()


def hits(workspace: Workspace, tenant: str, few_chunks: int = 1) -> list[list[tuple[str, str, float]]]:
    with (
        patch.object(statement, "FEW_CHUNKS", few_chunks),
        Searcher(workspace.database, workspace.settings, "main") as searcher,
    ):
        found = [
            searcher.search(text, tenant=tenant, mode=mode) for text in ASKED for mode in ("dense", "hybrid")
        ]
    return [[(hit.source, hit.path or "", round(hit.scores.fused, 5)) for hit in one.hits] for one in found]


def rows_by_part(workspace: Workspace, version: Version) -> dict[str, int]:
    rows = workspace.rows(
        "SELECT tableoid::regclass::text AS part, count(*)::int AS n "
        f"FROM rag.vectors_{version.storage} GROUP BY 1"
    )
    return {row["part"].rpartition("vectors_")[2].partition("_")[2]: row["n"] for row in rows}


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(1, 3),
    st.lists(st.sampled_from(TENANTS), unique=True),
    st.sampled_from(["hnsw", "hnsw_binary", "exact"]),
)
def test_what_a_caller_finds_does_not_depend_on_who_has_a_part(
    shared: Workspace, by_hash: int, tenants: list[str], kind: str
) -> None:
    divide(shared, 1)
    before = {tenant: hits(shared, tenant) for tenant in (*TENANTS, "nobody")}
    assert all(len(one) == 10 for one in before["acme"])
    divide(shared, by_hash, *tenants, kind=kind)
    for tenant, found in before.items():
        assert hits(shared, tenant) == found
        assert hits(shared, tenant, few_chunks=2**30) == found


def test_a_tenant_has_its_part_and_the_others_lie_by_document(shared: Workspace) -> None:
    version = divide(shared, 2, *TENANTS[:2])
    parts = rows_by_part(shared, version)
    assert sorted(parts) == ["part_0", "part_1", "part_2", "part_3"]
    assert (parts["part_2"], parts["part_3"]) == (DOCUMENTS, DOCUMENTS)
    assert parts["part_0"] + parts["part_1"] == DOCUMENTS
    with shared.database.transaction() as connection:
        connection.execute(f"DROP INDEX rag.vectors_{version.storage}_part_3_embedding_idx".encode())
    again = shared.build(full=True)
    assert set(shared.validate(again).values()) == {True}


@pytest.fixture
def parts_read(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The parts of vectors that searches read from now on, by what Postgres says of each
    statement as it runs."""
    read: set[str] = set()
    run = PreparedQuery.run

    def explained(self: PreparedQuery, connection: Pg, params: Any, **options: Any) -> Any:
        explaining = copy(self)
        explaining._text = b"EXPLAIN (ANALYZE, COSTS OFF) " + self._text
        for row in run(explaining, connection, params, prepare=False):
            line = row["QUERY PLAN"]
            if "never executed" not in line:
                read.update(re.findall(r" on vectors_\d+_part_(\d+)", line))
        return run(self, connection, params, **options)

    monkeypatch.setattr(PreparedQuery, "run", explained)
    return read


@pytest.mark.parametrize("few_chunks", [1, 2**30], ids=["walked", "compared"])
def test_a_caller_reads_the_part_of_their_tenant_alone(
    shared: Workspace, parts_read: set[str], few_chunks: int
) -> None:
    divide(shared, 1, *TENANTS[:2])
    for tenant, part in zip(TENANTS, ("1", "2", "0"), strict=True):
        parts_read.clear()
        assert all(hits(shared, tenant, few_chunks))
        assert parts_read == {part}


def test_a_stage_that_reads_vectors_finds_those_of_the_caller(shared: Workspace) -> None:
    shared.document["indexes"]["main"]["stages"] = {"diversity": {}}
    divide(shared, 1)
    before = [hits(shared, tenant) for tenant in TENANTS]
    assert all(before)
    divide(shared, 2, *TENANTS[:2])
    assert [hits(shared, tenant) for tenant in TENANTS] == before


def test_a_version_with_parts_of_tenants_is_copied_and_caught_up(shared: Workspace) -> None:
    divide(shared, 2, "acme")
    refresh_index(shared.runtime, "main", full=True)
    for number in range(2):
        (shared.folder / f"docs-{number}" / "007.md").write_text("# More 7\n\nA heron at last.")
        (shared.folder / f"docs-{number}" / "008.md").unlink()
        shared.ingest(f"docs-{number}")
    version = refresh_index(shared.runtime, "main")
    assert version is not None
    assert version.kind == "catch_up"
    parts = rows_by_part(shared, version)
    assert parts["part_2"] == DOCUMENTS - 1
    assert parts["part_0"] + parts["part_1"] == 2 * DOCUMENTS - 1
    for tenant in TENANTS:
        assert hits(shared, tenant) == hits(shared, tenant, few_chunks=2**30)


def test_a_setting_names_each_tenant_once(shared: Workspace) -> None:
    shared.document["indexes"]["main"]["parts"] = {"hash": 1, "tenants": ["acme", "acme"]}
    with pytest.raises(ConfigError, match="acme is named more than once; name each tenant once"):
        load_config(shared.config_file)
