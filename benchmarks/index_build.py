"""How fast a full build loads vectors and words and builds its indexes, and that no vector is TOASTed.

What belongs here: seconds of the clock and of Postgres' processes for each step, over rows straight in the
catalogue. What does not: ingesting, and the quality of the index.

A build is compared with one of another number of rows by n log n, which is what its sorts and its graph cost.

    python benchmarks/index_build.py [--rows 200000] [--dimensions 384]
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import yaml
from history import Figures
from pgvector.psycopg import register_vector

from rag_pipelines.config import load_config
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.index.build import build_index
from rag_pipelines.index.estimate import WHOLE
from rag_pipelines.progress import Pace
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Database
from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines.sync.engine import ingest

FIGURES = Figures("index_build")

WORD = "'word' || (random() * random() * 3000)::int"
"""A word of a chunk, as SQL."""
CHUNKS_PER_DOCUMENT = 10
CLUSTERS = 500


IDS = """
    SELECT (SELECT source_id FROM rag.source) AS source,
           (SELECT max(access_id) FROM rag.access_rule) AS access,
           (SELECT profile_id FROM rag.profile WHERE kind = 'chunker') AS chunker,
           (SELECT profile_id FROM rag.profile WHERE kind = 'model') AS model
"""
CATALOGUE = (
    """
    INSERT INTO rag.document (source_id, external_id, tenant, status, token, name, path, hint, attributes_key,
                              access_id, raw_sha256, raw_bytes)
    SELECT %(source)s, 'd' || n, 'default', 'ok', '1', 'd' || n, 'd' || n, '', gen_random_uuid(), %(access)s,
           sha256(n::text::bytea), 1
    FROM generate_series(1, %(documents)s) n
    """,
    """
    INSERT INTO rag.chunk_set (key, blocks_sha256, profile_id, chunks, tokens)
    SELECT gen_random_uuid(), sha256(n::text::bytea), %(chunker)s, %(chunks)s, 0
    FROM generate_series(1, %(documents)s) n
    """,
    """
    INSERT INTO rag.document_chunks
    SELECT d.document_id, %(chunker)s, s.chunk_set_id
    FROM rag.document d JOIN rag.chunk_set s ON sha256(substr(d.external_id, 2)::bytea) = s.blocks_sha256
    """,
    """
    INSERT INTO rag.chunk_set_embedded
    SELECT chunk_set_id, %(model)s, 0 FROM rag.chunk_set ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO rag.chunk
    SELECT s.chunk_set_id, o, 0, 100, 100, NULL, NULL, gen_random_uuid(), '{}', '', '',
           (SELECT string_agg({word}, ' ')
            FROM generate_series(1, %(length)s) WHERE o IS NOT NULL)
    FROM rag.chunk_set s, generate_series(0, s.chunks - 1) o
    ON CONFLICT DO NOTHING
    """,
)
UNEMBEDDED = """
    SELECT input_key FROM rag.chunk c
    WHERE NOT EXISTS (SELECT FROM rag.embedding e WHERE e.input_key = c.input_key)
"""
TOASTED = """
    SELECT coalesce(pg_relation_size(reltoastrelid), 0) AS bytes FROM pg_class WHERE oid = %s::regclass
"""


class Clusters:
    """Unit vectors in clusters, as many as are asked for."""

    def __init__(self, dimensions: int) -> None:
        self._chance = np.random.default_rng(7)
        self._centres = self._chance.normal(size=(CLUSTERS, dimensions)).astype(np.float32)

    def __call__(self, count: int) -> np.ndarray:
        noise = self._chance.normal(size=(count, self._centres.shape[1])).astype(np.float32)
        vectors = self._centres[self._chance.integers(0, CLUSTERS, count)] + 0.6 * noise
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def fill(
    database: Database,
    rows: int,
    dimensions: int,
    *,
    vectors: Callable[[int], np.ndarray] | None = None,
    length: int = 80,
    word: str = WORD,
) -> None:
    """Documents, chunks of `length` words and vectors, clustered by default, straight into the catalogue."""
    vectors = vectors or Clusters(dimensions)
    with database.connect() as connection:
        register_vector(connection)
        ids = connection.execute(IDS).fetchone()
        assert ids is not None
        documents = rows // CHUNKS_PER_DOCUMENT
        for statement in CATALOGUE:
            connection.execute(
                statement.replace("{word}", word),
                {
                    **ids,
                    "documents": documents,
                    "chunks": CHUNKS_PER_DOCUMENT,
                    "length": length,
                },
            )
        keys = [row["input_key"] for row in connection.execute(UNEMBEDDED)]
        copy_statement = "COPY rag.embedding (model_id, input_key, embedding) FROM STDIN (FORMAT BINARY)"
        with connection.cursor() as cursor, cursor.copy(copy_statement) as copy:
            copy.set_types(["int4", "uuid", "vector"])
            for begin in range(0, len(keys), 10_000):
                part = keys[begin : begin + 10_000]
                for key, vector in zip(part, vectors(len(part)), strict=True):
                    copy.write_row((ids["model"], key, vector))
        connection.execute("ANALYZE")


def server_process(database: Database) -> int:
    """The process that is the parent of a server's others."""
    with database.connect() as connection:
        row = connection.execute("SELECT pg_backend_pid() AS pid").fetchone()
        assert row is not None
        return int(_fields(Path(f"/proc/{row['pid']}"))[1])


def used_seconds(server: int) -> float:
    """Processor seconds of a server's processes, those that have ended too."""
    while True:
        children = _children(server)
        ticks = sum(children.values()) + sum(map(int, _fields(Path(f"/proc/{server}"))[11:15]))
        if _children(server).keys() == children.keys():  # Else one ended, and may be counted twice or not.
            return ticks / os.sysconf("SC_CLK_TCK")


def _children(server: int) -> dict[str, int]:
    """The ticks that each process of the server has used, by its number."""
    found: dict[str, int] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = _fields(process)
            if int(fields[1]) == server:
                found[process.name] = sum(map(int, fields[11:13]))
    return found


def _fields(process: Path) -> list[str]:
    """What the system says of a process, from its state on (proc(5))."""
    return (process / "stat").read_text().rpartition(")")[2].split()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--dimensions", type=int, default=384)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rag-index-build-") as folder:
        home = Path(folder)
        (home / "docs").mkdir()
        (home / "docs" / "one.md").write_text("# One\n\nA document, so that every profile has its row.\n")
        config = {
            "data_dir": str(home),
            "profiles": {"embedding": {"default": {"provider": "hash", "dimensions": arguments.dimensions}}},
            "sources": {
                "docs": {
                    "connector": "filesystem",
                    "options": {"root": str(home / "docs")},
                    "access": "public",
                }
            },
            "indexes": {"main": {"sources": ["docs"]}},
        }
        (home / "rag.yaml").write_text(yaml.safe_dump(config))
        settings = load_config(home / "rag.yaml")
        server = EmbeddedServer(home / "postgres")
        database = Database(server.start())
        database.migrate()
        embedders = Embedders(home)
        ingest(Runtime(database, settings, embedders), "docs")
        fill(database, arguments.rows, arguments.dimensions)

        moments: list[tuple[str, float, float]] = []
        reports: dict[str, int] = {}
        promised: list[tuple[int, float, float]] = []
        pace = Pace()
        process = server_process(database)
        began, used = time.perf_counter(), used_seconds(process)

        def progress(stage: str, done: int, total: int | None) -> None:
            if stage == WHOLE:
                left = pace.seconds_left(stage, done, total)
                if done >= 25 * (1 + len(promised)) and left is not None:
                    promised.append((done, time.perf_counter() - began, left))
                return
            reports[stage] = reports.get(stage, 0) + 1
            if not moments or moments[-1][0] != stage:
                moments.append((stage, time.perf_counter() - began, used_seconds(process) - used))

        version = build_index(Runtime(database, settings, embedders), "main", full=True, progress=progress)
        assert version is not None
        end = ("end", time.perf_counter() - began, used_seconds(process) - used)
        rows = version.row_count or 0
        for (stage, since, spent), (_, until, spent_then) in pairwise([*moments, end]):
            FIGURES.ratio(f"share of processor seconds, {stage}", (spent_then - spent) / end[2])
            print(
                f"{stage}: {until - since:.1f} s, {spent_then - spent:.1f} processor s, "
                f"{rows / (spent_then - spent):,.0f} rows a processor s, {reports[stage]} progress reports"
            )
        print(f"whole build: {rows:,} rows in {end[1]:.1f} s, {end[2]:.1f} processor s")
        for done, then, left in promised[:3]:
            print(f"at {done} %: {left:.0f} s were said to be left, and {end[1] - then:.0f} s were")
            FIGURES.context(f"seconds said / taken from {done} % on", left / (end[1] - then))
        print(f"processor ns a row and log2 of rows: {end[2] / rows / math.log2(rows) * 1e9:,.0f}")
        FIGURES.context("rows/s", rows / end[1])
        FIGURES.context("rows a processor s", rows / end[2])
        with database.connect() as connection:
            toasted = connection.execute(TOASTED, (f"rag.vectors_{version.storage}",)).fetchone()
        assert toasted is not None
        print(f"TOAST of the vectors: {toasted['bytes']} bytes")
        database.close()
        server.stop()
    FIGURES.record(rows=arguments.rows, dimensions=arguments.dimensions)


if __name__ == "__main__":
    main()
