"""Kinds of vector indexes and numbers of parts, side by side over the same rows: what the graph takes to
build and to keep, how quick a search is, and how many of the ten nearest it finds.

    python benchmarks/vector_index.py [--rows 20000] [--dimensions 384] [--arms hnsw hnsw_binary exact hnsw/4]
    python benchmarks/vector_index.py --vectors stored.npy --questions asked.npy

Vectors are random in clusters, or those of a file. Questions are others of the same kind; everything may be
seen, and nothing but vectors is compared. `cpu` is processor seconds of the server over the build of graphs;
`peak` the most memory that its processes had beside the shared buffers meanwhile.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import psutil
import yaml
from history import Figures
from index_build import Clusters, fill

from rag_pipelines.config import load_config
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.embedding.hashing import HashEmbedder
from rag_pipelines.index import build, parts
from rag_pipelines.index.versions import Version
from rag_pipelines.query import statement
from rag_pipelines.query.search import Searcher
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Database
from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines.sync.engine import ingest

FIGURES = Figures("vector_index")

ARMS = ("hnsw", "hnsw_binary", "exact", "hnsw/4")
"""Kinds, with the number of parts where there are several."""

SAMPLE_SECONDS = 0.1

GRAPH_BYTES = """
    SELECT coalesce(sum(pg_relation_size(i.indexrelid)), 0)::bigint AS bytes
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
    JOIN pg_class t ON t.oid = i.indrelid
    WHERE a.amname = 'hnsw' AND t.relname ~ ('^vectors_' || %s || '(_|$)')
"""


class Meter:
    """What the processes of a server take while something runs."""

    def __init__(self, pid: int) -> None:
        self._server = psutil.Process(pid)
        self.seconds = self.cpu = 0.0
        self.peak = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        ended = threading.Event()
        self.peak = 0

        def sample() -> None:
            while not ended.wait(SAMPLE_SECONDS):
                self.peak = max(self.peak, self._own_bytes())

        sampler = threading.Thread(target=sample)
        cpu, began = self._cpu_seconds(), time.perf_counter()
        sampler.start()
        try:
            yield
        finally:
            ended.set()
            sampler.join()
            self.seconds, self.cpu = time.perf_counter() - began, self._cpu_seconds() - cpu

    def _processes(self) -> list[psutil.Process]:
        return [self._server, *self._server.children()]

    def _own_bytes(self) -> int:
        """Proportional bytes of all mappings but the shared buffers."""
        found = 0
        for process in self._processes():
            try:
                maps = process.memory_maps()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            found += sum(one.pss for one in maps if not one.path.startswith(("/dev/zero", "/anon_hugepage")))
        return found

    def _cpu_seconds(self) -> float:
        found = 0.0
        for process in self._processes():
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            found += times.user + times.system
            if process is self._server:
                found += times.children_user + times.children_system
        return found


def searches(searcher: Searcher, questions: int) -> tuple[list[float], list[set[str]]]:
    """How many ms each question takes, and what it finds."""
    times, found = [], []
    for n in [*range(min(questions, 20)), *range(questions)]:
        began = time.perf_counter()
        result = searcher.search(f"q{n}", tenant="default", mode="dense")
        times.append((time.perf_counter() - began) * 1000)
        found.append({hit.chunk_id for hit in result.hits})
    return times[-questions:], found[-questions:]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--questions", type=Path)
    parser.add_argument("--build-memory", default="4GiB")
    parser.add_argument("--arms", nargs="+", default=list(ARMS))
    arguments = parser.parse_args()
    if arguments.vectors:
        stored, asked = np.load(arguments.vectors), np.load(arguments.questions)[: arguments.queries]
        rows, dimensions = len(stored) // 10 * 10, stored.shape[1]
        taken = iter(stored)
        vectors: Any = lambda count: np.stack([next(taken) for _ in range(count)])  # noqa: E731
    else:
        rows, dimensions = arguments.rows, arguments.dimensions
        vectors = Clusters(dimensions)
        asked = vectors(arguments.queries)
    with tempfile.TemporaryDirectory(prefix="rag-vector-index-") as folder:
        home = Path(folder)
        (home / "docs").mkdir()
        (home / "docs" / "one.md").write_text("# One\n\nA document, so that every profile has its row.\n")
        config: dict[str, Any] = {
            "data_dir": str(home),
            "limits": {"build_memory": arguments.build_memory},
            "query": {"cache": {"embeddings": 0}},
            "profiles": {"embedding": {"default": {"provider": "hash", "dimensions": dimensions}}},
            "sources": {
                "docs": {
                    "connector": "filesystem",
                    "options": {"root": str(home / "docs")},
                    "access": "public",
                }
            },
            "indexes": {"main": {"sources": ["docs"]}},
        }

        def runtime() -> Runtime:
            (home / "rag.yaml").write_text(yaml.safe_dump(config))
            return Runtime(database, load_config(home / "rag.yaml"), embedders)

        server = EmbeddedServer(home / "postgres")
        database = Database(server.start())
        database.migrate()
        embedders = Embedders(home)
        ingest(runtime(), "docs")
        fill(database, rows, dimensions, vectors=vectors, length=5)
        pid = server.status().pid
        assert pid is not None
        meter = Meter(pid)
        graphs = parts.build_graphs

        def metered(*given: Any, **options: Any) -> int | None:
            with meter.running():
                return graphs(*given, **options)

        print(f"{rows:,} rows of {dimensions} dimensions, {len(asked)} questions")
        columns = ("graph MB", "build s", "cpu s", "peak MB", "recall", "hits", "p50 ms", "p95 ms")
        print(f"{'':<14}", *(f"{column:>9}" for column in columns))
        truth: list[set[str]] = []
        with (
            patch.object(parts, "build_graphs", metered),
            patch.object(HashEmbedder, "embed_query", lambda _, text: asked[int(text[1:])]),
        ):
            for arm in arguments.arms:
                kind, _, number = arm.partition("/")
                config["indexes"]["main"] |= {"vector": {"index": kind}, "parts": int(number or 1)}
                meter.seconds = meter.cpu = meter.peak = 0
                now = runtime()
                version: Version | None = build.build_index(now, "main", full=True)
                assert version is not None
                searcher = partial(
                    Searcher, database, now.settings, "main", embedders, version=version.version_id
                )
                if not truth:
                    with patch.object(statement, "FEW_CHUNKS", 2**30), searcher() as exact:
                        _, truth = searches(exact, len(asked))
                with searcher() as asking:
                    times, found = searches(asking, len(asked))
                with database.connect() as connection:
                    size = connection.execute(GRAPH_BYTES, (str(version.storage),)).fetchone()
                assert size is not None
                pairs = zip(found, truth, strict=True)
                recall = statistics.mean(len(one & two) / len(two) for one, two in pairs)
                figures = (
                    size["bytes"] / 1e6,
                    meter.seconds,
                    meter.cpu,
                    meter.peak / 1e6,
                    recall,
                    statistics.mean(map(len, found)),
                    statistics.median(times),
                    statistics.quantiles(times, n=20)[18],
                )
                print(f"{arm:<14}", *(f"{figure:9.3f}" for figure in figures), flush=True)
                FIGURES.ratio(f"recall, {arm}", recall)
                FIGURES.context(f"graph MB, {arm}", figures[0])
                FIGURES.context(f"p50 ms, {arm}", figures[6])
        embedders.close()
        database.close()
        server.stop()
    FIGURES.record(rows=rows, dimensions=dimensions)


if __name__ == "__main__":
    main()
