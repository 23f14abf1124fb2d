"""A run killed with SIGKILL at random moments: nothing doubled, nothing lost, readers never disturbed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from rag_pipelines.query.search import Searcher
from rag_pipelines.sync.vectors import VECTORS_PER_COMMIT
from rag_pipelines_tests.integration.workspace import Workspace

DOCUMENTS = 240
BATCH = 16
MOMENTS = (
    "phase start", "phase list", "phase prepare", "embed", "embed", "phase build",
    "phase loading words", "phase loading vectors", "phase turning words around", "phase building postings",
    "phase indexing", "phase gates", "phase promote",
)  # fmt: skip
"""Where a run is killed: a random moment after it has said so. In the order of a run, because each run goes
on where the last one was killed."""


def fill(workspace: Workspace, edition: str) -> None:
    workspace.document["limits"] = {"workers": 2, "batch_documents": BATCH}
    for n in range(DOCUMENTS):
        parts = "\n\n".join(f"## Part {p}\n\n{edition} word{n} " + f"text {p} " * 60 for p in range(6))
        workspace.write(f"{n % 7}/{n:03}.md", f"# {edition} {n}\n\n{parts}\n")


def start(workspace: Workspace, journal: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "rag_pipelines_tests.integration.killed_run"]
    arguments = [str(workspace.config_file), workspace.url, str(journal)]
    return subprocess.Popen([*command, *arguments], start_new_session=True)


def kill_at(moment: str, workspace: Workspace, journal: Path, delay: float) -> bool:
    """Run until the journal says `moment`, and a little longer, then kill; False if the run ended before."""
    journal.touch()
    known = journal.stat().st_size
    run = start(workspace, journal)
    while f"\n{moment}" not in "\n" + journal.read_bytes()[known:].decode():
        if ends_within(run, 0.002):
            return False
    if ends_within(run, delay):
        return False
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    return True


def ends_within(run: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for a run, but no longer."""
    with suppress(subprocess.TimeoutExpired):
        run.wait(timeout=seconds)
    return run.returncode is not None


def content(workspace: Workspace) -> tuple[list[dict], list[dict], list[dict]]:
    """Documents, chunks and the live version's rows, without ids that depend on the order of events."""
    documents = workspace.rows(
        "SELECT external_id, state, status, encode(raw_sha256, 'hex') AS sha FROM rag.document ORDER BY 1"
    )
    chunks = workspace.rows(
        "SELECT d.external_id, c.ordinal, c.text, c.input_key::text FROM rag.document d "
        "JOIN rag.document_chunks USING (document_id) JOIN rag.chunk c USING (chunk_set_id) ORDER BY 1, 2"
    )
    live = workspace.rows("SELECT storage FROM rag.index_version WHERE state = 'live'")[0]["storage"]
    rows = workspace.rows(
        "SELECT d.external_id, v.ordinal, v.embedding::text, v.weights::text, l.words::text "
        f"FROM rag.vectors_{live} v JOIN rag.lexical_{live} l USING (document_id, chunk_set_id, ordinal) "
        "JOIN rag.document d USING (document_id) ORDER BY 1, 2"
    )
    return documents, chunks, rows


class Reader(threading.Thread):
    """Asks again and again, and keeps what went wrong."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__()
        self._searcher = Searcher(workspace.database, workspace.settings, "main")
        self.stop = threading.Event()
        self.asked: Counter[int] = Counter()
        self.wrong: list[object] = []

    def run(self) -> None:
        while not self.stop.wait(0.1):
            try:
                result = self._searcher.search("word text", tenant="default", k=20)
            except Exception as error:
                self.wrong.append(error)
                continue
            self.asked[result.version] += 1
            if len(result.hits) != 20 or {hit.version for hit in result.hits} != {result.version}:
                self.wrong.append(result)
        self._searcher.close()


@pytest.mark.timeout(300)
def test_runs_killed_at_random_moments_end_as_an_undisturbed_run_does(
    workspace: Workspace, tmp_path: Path, empty_database_url: str
) -> None:
    fill(workspace, "old")
    old = workspace.refresh()
    fill(workspace, "new")

    undisturbed = Workspace(tmp_path / "undisturbed", empty_database_url)
    undisturbed.database.migrate()
    fill(undisturbed, "new")
    assert start(undisturbed, tmp_path / "undisturbed.log").wait() == 0

    reader, journal = Reader(workspace), tmp_path / "journal.log"
    reader.start()
    chance = random.Random(20261120)
    killed = [moment for moment in MOMENTS if kill_at(moment, workspace, journal, chance.uniform(0, 0.2))]
    assert start(workspace, journal).wait() == 0
    reader.stop.set()
    reader.join()
    print("killed in:", killed, "queries by version:", dict(reader.asked))

    assert len(killed) >= 10
    assert content(workspace) == content(undisturbed)
    assert reader.wrong == []
    assert reader.asked[old.version_id] > 0
    lines = journal.read_text().splitlines()
    embedded = sum(int(line.split()[1]) for line in lines if line.startswith("embed "))
    needed = sum(
        int(line.split()[1])
        for line in (tmp_path / "undisturbed.log").read_text().splitlines()
        if line.startswith("embed ")
    )
    assert needed <= embedded <= needed + len(killed) * VECTORS_PER_COMMIT
    leftovers = workspace.rows("SELECT state, count(*) AS n FROM rag.index_version GROUP BY state")
    assert {row["state"] for row in leftovers} <= {"live", "retired", "failed", "built", "validated"}
    undisturbed.close()
