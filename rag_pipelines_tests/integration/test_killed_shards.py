"""Processes that work on one source side by side, some killed with SIGKILL: as if one had done it all.

``RAG_TEST_KILLS=10`` kills as many, of two processes and of four.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_pipelines.store.shards import Shard
from rag_pipelines.sync.shards import work_shard
from rag_pipelines.sync.stages import list_source, source_run
from rag_pipelines_tests.integration.killed_shards import (
    BATCH,
    Workers,
    catalogue,
    embedded_in,
    fill,
    progress_of,
)
from rag_pipelines_tests.integration.workspace import Workspace

KILLS = int(os.environ.get("RAG_TEST_KILLS", "2"))
PROCESSES = [2, 4] if KILLS > 2 else [2]
DOCUMENTS = 40 * KILLS
CHUNKS = 6
"""Of a document, at the most."""


@pytest.fixture
def alone(tmp_path: Path, empty_database_url: str) -> Iterator[Workspace]:
    made = Workspace(tmp_path / "alone", empty_database_url)
    made.database.migrate()
    yield made
    made.close()


def list_only(workspace: Workspace) -> None:
    with source_run(workspace.database, workspace.settings, "docs", beside_shards=True) as run:
        list_source(run, defer=True)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("shards", PROCESSES)
def test_processes_that_are_killed_leave_what_one_run_leaves_and_repeat_a_batch_a_kill(
    shards: int, workspace: Workspace, alone: Workspace, tmp_path: Path
) -> None:
    for one in (workspace, alone):
        fill(one, DOCUMENTS)
    list_only(workspace)
    journal, luck = tmp_path / "journal.log", random.Random(shards)

    workers, killed = Workers(workspace, shards, journal), 0
    while killed < KILLS:
        seen, goal = progress_of(journal), luck.randrange(1, 60)
        while progress_of(journal) < seen + goal and workers.alive:
            time.sleep(0.002)
        if not workers.kill(luck):
            break
        killed += 1
    assert workers.wait() == [0] * shards

    list_only(alone)
    by_one = work_shard(alone.runtime, "docs", Shard(0, 1)).embedded
    print(f"{shards} processes, {killed} killed: {embedded_in(journal)} inputs embedded, {by_one} by one")
    assert killed == KILLS
    for table, rows in catalogue(alone).items():
        assert catalogue(workspace)[table] == rows, table
    # Shards that meet the same new passage at once may both embed it.
    shared = 2 * shards
    assert by_one <= embedded_in(journal) <= by_one + killed * BATCH * CHUNKS + shared
