"""The memory of a build: what it is by default, and what is said where it does not suffice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import Result

from rag_pipelines.index import parts, storage
from rag_pipelines.index.memory import RESERVE, GraphMemory, build_memory, graph_row_bytes
from rag_pipelines.store import tuning
from rag_pipelines.store.database import Pg, query
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.test_index import fill_filled
from rag_pipelines_tests.integration.workspace import Workspace

COPIES = 100
"""Of each row, so that they take more than the least that Postgres gives a build."""


@pytest.fixture
def filled(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_filled).lend() as lent:
        yield lent


@pytest.fixture
def workspace(filled: Workspace) -> Workspace:
    return filled


def test_a_graph_that_cannot_fit_is_told_before_the_build_and_as_long_as_it_is_live(
    filled: Workspace, call: Callable[..., Result], caplog: pytest.LogCaptureFixture
) -> None:
    filled.document["limits"]["build_memory"] = "1MiB"
    call("index", "build", "main")
    told = [record.message for record in caplog.records if record.name == "rag_pipelines.index.build"]
    assert told[0] == "the graph does not fit into memory"
    (index,) = json.loads(call("status", "--json").stdout)["indexes"]
    assert "Set limits.build_memory to 0.1 GB or more" in index["build_advice"]
    assert "note: main: the graph of 12 rows takes" in call("status").stderr


def test_a_version_says_how_much_of_its_graph_was_built_in_memory(
    filled: Workspace, call: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    index_rows = storage.Storage.index_rows

    def multiply(self: storage.Storage, connection: Pg) -> None:
        table = f"rag.vectors_{self.number}"
        connection.execute(
            f"INSERT INTO {table} (document_id, chunk_set_id, ordinal, embedding, weights) "
            "SELECT document_id, chunk_set_id, ordinal + 100 * n, embedding, weights "
            f"FROM {table}, generate_series(1, {COPIES}) n"
        )
        index_rows(self, connection)

    monkeypatch.setattr(storage.Storage, "index_rows", multiply)
    filled.document["limits"]["build_memory"] = "1MiB"
    built = call("index", "build", "main")
    (version,) = json.loads(call("index", "versions", "--json").stdout)
    assert 0 < version["rows_in_memory"] < version["rows"] * (COPIES + 1)
    assert version["build_memory"] == 2**20 < version["graph_bytes"]
    assert f"note: limits.build_memory held {version['rows_in_memory']} rows of the graph" in built.stderr


def test_nothing_is_told_where_it_fits(filled: Workspace, call: Callable[..., Result]) -> None:
    assert "build_memory" not in call("index", "build", "main").stderr
    versions = json.loads(call("index", "versions", "--json").stdout)
    assert [(one["kind"], one["rows_in_memory"]) for one in versions] == [("copy", None), ("full", None)]
    (index,) = json.loads(call("status", "--json").stdout)["indexes"]
    assert index["build_advice"] is None


def test_one_process_builds_where_there_is_no_memory_to_share(
    filled: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container has 64 MB of it, and says so when the build begins."""
    helpers = []

    def small_shared_memory(connection: Any, name: str, *arguments: Any, **options: Any) -> Any:
        if name == "index_vectors":
            row = connection.execute("SHOW max_parallel_maintenance_workers").fetchone()
            helpers.append(int(row["max_parallel_maintenance_workers"]))
            if helpers[-1]:
                raise psycopg.errors.DiskFull("could not resize shared memory segment")
        return query(connection, name, *arguments, **options)

    monkeypatch.setattr(storage, "query", small_shared_memory)
    monkeypatch.setattr(parts, "PARALLEL_ROWS", 1)
    assert filled.build().state == "built"
    assert helpers == [storage._workers(), 0]


def test_the_embedded_server_gives_a_quarter_of_the_machine_and_another_what_is_written(
    filled: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag_pipelines.index.memory.memory_bytes", lambda: 32 * 2**30)
    assert build_memory(filled.settings) == 2 * 2**30
    filled.document["limits"]["build_memory"] = "12GB"
    assert build_memory(filled.settings) == 12_000_000_000
    del filled.document["limits"]["build_memory"], filled.document["database"]
    assert build_memory(filled.settings) == 8 * 2**30


@pytest.mark.parametrize("rows", [0, 1, 1_000, 3_000_000])
def test_what_is_told_to_be_enough_is_enough(rows: int) -> None:
    row_bytes = graph_row_bytes(384, "halfvec", 16)
    tight = GraphMemory(rows, row_bytes, RESERVE)
    assert GraphMemory(rows, row_bytes, tight.needed).fits
    assert not GraphMemory(rows, row_bytes, tight.needed - 1).fits
    assert tight.given <= tight.allowed


GROUPS: dict[str, tuple[str, dict[str, object]]] = {
    "version 2": ("0::/app.slice/rag\n", {"app.slice/memory.max": 3, "app.slice/rag/memory.max": "max"}),
    "version 2, in a container": ("0::/../other\n", {"memory.max": 3}),
    "version 1": ("4:memory:/docker/7\n2:cpu:/x\n", {"memory/docker/7/memory.limit_in_bytes": 3}),
    "version 1, in a container": ("4:cpu,memory:/docker/7\n", {"memory/memory.limit_in_bytes": 3}),
    "none": ("", {}),
}


@pytest.mark.parametrize("case", GROUPS)
def test_the_limits_of_control_groups_count(tmp_path: Path, case: str) -> None:
    groups, files = GROUPS[case]
    for name, limit in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{limit}\n")
    assert list(tuning._group_limits(groups, tmp_path)) == ([] if case == "none" else [3])
