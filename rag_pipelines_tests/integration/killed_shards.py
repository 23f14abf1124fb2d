"""Processes that work on a source side by side, and are killed: starting them, and what they leave behind.

What belongs here: the processes, the journal of what their models did, and every row of the catalogue in a
form that two databases have in common. What does not: assertions.

    python -m rag_pipelines_tests.integration.killed_shards CONFIG DATABASE_URL JOURNAL SHARD
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_pipelines.config import load_config
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.embedding.hashing import HashEmbedder
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Database
from rag_pipelines.store.shards import read_shard
from rag_pipelines.sync.shards import work_shard
from rag_pipelines_tests.integration.workspace import Workspace

if TYPE_CHECKING:
    from rag_pipelines.embedding.base import Vectors

BATCH = 8
PATIENCE = 30.0
"""Seconds in which the server has to notice that a killed process is gone."""


class Workers:
    """One process for each of some shards; one that ends before its work is done is begun again."""

    def __init__(self, workspace: Workspace, shards: int, journal: Path) -> None:
        self._workspace = workspace
        self._config = workspace.config_file
        self._journal = journal
        self._running = {f"{index}/{shards}": self._start(f"{index}/{shards}") for index in range(shards)}

    def kill(self, luck: random.Random) -> bool:
        """Kill one of them with SIGKILL and begin it again; False where all have ended."""
        alive = [shard for shard, process in self._running.items() if process.poll() is None]
        if not alive:
            return False
        shard = luck.choice(alive)
        os.killpg(self._running[shard].pid, signal.SIGKILL)
        self._running[shard].wait()
        self._await_release(shard)
        self._running[shard] = self._start(shard)
        return True

    @property
    def alive(self) -> bool:
        """Whether any of them is at work."""
        return any(process.poll() is None for process in self._running.values())

    def wait(self) -> list[int]:
        """The exit codes, when all have ended."""
        return [process.wait() for process in self._running.values()]

    def _await_release(self, shard: str) -> None:
        index, _, of = shard.partition("/")
        given_up = time.monotonic() + PATIENCE
        while time.monotonic() < given_up:
            held = self._workspace.rows(
                f"{CATALOGUE['shard_lease']} WHERE l.shard = {index} AND l.shards = {of}"
            )
            if not held:
                return
            time.sleep(0.01)

    def _start(self, shard: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "rag_pipelines_tests.integration.killed_shards"]
        arguments = [str(self._config), self._workspace.url, str(self._journal), shard]
        return subprocess.Popen([*command, *arguments], start_new_session=True)


def progress_of(journal: Path) -> int:
    """How many lines the journal has."""
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def embedded_in(journal: Path) -> int:
    """How many inputs the models were given."""
    return sum(
        int(line.split()[1]) for line in journal.read_text().splitlines() if line.startswith("inputs ")
    )


CATALOGUE = {
    "document": "SELECT d.external_id, d.tenant, d.state, d.status, d.name, d.path, d.hint, d.given_title, "
    "d.author, d.declared_type, d.metadata, encode(d.raw_sha256, 'hex') AS raw, d.raw_bytes, d.bucket, "
    "p.title, encode(p.blocks_sha256, 'hex') AS blocks, p.media_type, a.digest::text "
    "FROM rag.document d LEFT JOIN rag.parse p USING (parse_id) "
    "LEFT JOIN rag.access_rule a USING (access_id) ORDER BY 1",
    "document_chunks": "SELECT external_id, encode(s.blocks_sha256, 'hex') AS blocks, s.title "
    "FROM rag.document_chunks "
    "JOIN rag.document USING (document_id) JOIN rag.chunk_set s USING (chunk_set_id) ORDER BY 1, 2",
    "document_content": "SELECT external_id, encode(s.blocks_sha256, 'hex') AS blocks, "
    "c.access_id, c.doubted FROM rag.document_content c "
    "JOIN rag.document USING (document_id) JOIN rag.chunk_set s USING (chunk_set_id) ORDER BY 1, 2",
    "parse": "SELECT encode(raw_sha256, 'hex') AS raw, hint, status, message, media_type, title, language, "
    "pages, encode(blocks_sha256, 'hex') AS parsed, characters, blocks, counters, metadata, warnings "
    "FROM rag.parse ORDER BY 1, 2",
    "chunk_set": "SELECT encode(blocks_sha256, 'hex') AS blocks, title, chunks, tokens, "
    "(SELECT array_agg(missing) FROM rag.chunk_set_embedded e WHERE e.chunk_set_id = s.chunk_set_id) "
    "AS missing FROM rag.chunk_set s ORDER BY 1, 2",
    "chunk": "SELECT encode(s.blocks_sha256, 'hex') AS blocks, c.ordinal, start_at, end_at, c.tokens, "
    "page_first, input_key::text, "
    "heading_path, prefix, context, text FROM rag.chunk c JOIN rag.chunk_set s USING (chunk_set_id) "
    "ORDER BY 1, 2",
    "embedding": "SELECT input_key::text, embedding::text FROM rag.embedding ORDER BY 1",
    "quarantine": "SELECT external_id, entity, stage, status, error_class, message FROM rag.quarantine "
    "ORDER BY 1, 2",
    "wanted": "SELECT external_id FROM rag.wanted ORDER BY 1",
    "shard_lease": "SELECT 1 FROM rag.shard_lease l JOIN pg_locks k ON k.locktype = 'advisory' "
    "AND (k.classid::bigint << 32 | k.objid::bigint) = hashtextextended('rag.shard:' || l.token, 0)",
}
"""Every table that runs fill, with their columns but for numbers and times, which the order of events
decides."""


def catalogue(workspace: Workspace) -> dict[str, list[dict[str, Any]]]:
    """All that is stored, by table."""
    return {table: workspace.rows(statement) for table, statement in CATALOGUE.items()}


def fill(workspace: Workspace, documents: int) -> None:
    """A source whose documents share a passage, so that shards meet in the same chunks and vectors."""
    workspace.document["limits"] = {"workers": 1, "sandbox": False, "batch_documents": BATCH}
    for n in range(documents):
        parts = "\n\n".join(f"## Part {p}\n\nword{n} " + f"text {p} " * 60 for p in range(4))
        workspace.write(f"{n % 7}/{n:03}.md", f"# Page {n}\n\n{parts}\n\n## Shared\n\n{'Boilerplate. ' * 40}")
    workspace.write("same/1.md", "# Same\n\nThe same in two places.")
    workspace.write("same/2.md", "# Same\n\nThe same in two places.")
    workspace.write("blank.md", "")
    workspace.write("broken.pdf", b"%PDF-1.7 and nothing else")


def main(config: str, url: str, journal_path: str, shard: str) -> None:
    """Work off one shard, writing down what the model is given, and each batch that is stored."""
    journal = os.open(journal_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    embed = HashEmbedder.embed_documents

    def note(line: str) -> None:
        os.write(journal, f"{line}\n".encode())

    def counted(self: HashEmbedder, texts: Sequence[str]) -> Vectors:
        note(f"inputs {len(texts)}")
        return embed(self, texts)

    HashEmbedder.embed_documents = counted  # type: ignore[method-assign]
    settings = load_config(Path(config))
    runtime = Runtime(Database(url), settings, Embedders(settings.data_dir))
    work_shard(
        runtime, "docs", read_shard(shard), progress=lambda stage, done, total: note(f"{stage} {done}")
    )
    runtime.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
