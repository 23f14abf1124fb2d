"""How fast a full build loads vectors and words and builds its indexes, and that no vector is TOASTed.

python benchmarks/index_build.py [--rows 200000] [--dimensions 384]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml
from history import Figures
from pgvector.psycopg import register_vector

from rag_pipelines.config import load_config
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.index.build import build_index
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Database
from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines.sync.engine import ingest

FIGURES = Figures("index_build")

WORDS = 3_000
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
           (SELECT string_agg('word' || (random() * random() * %(words)s)::int, ' ')
            FROM generate_series(1, 80) WHERE o IS NOT NULL)
    FROM rag.chunk_set s, generate_series(0, %(chunks)s - 1) o
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


def fill(database: Database, rows: int, dimensions: int) -> None:
    """Documents, chunks and clustered unit vectors, straight into the catalogue."""
    chance = np.random.default_rng(7)
    centres = chance.normal(size=(CLUSTERS, dimensions)).astype(np.float32)
    with database.connect() as connection:
        register_vector(connection)
        ids = connection.execute(IDS).fetchone()
        assert ids is not None
        documents = rows // CHUNKS_PER_DOCUMENT
        for statement in CATALOGUE:
            connection.execute(
                statement, {**ids, "documents": documents, "chunks": CHUNKS_PER_DOCUMENT, "words": WORDS}
            )
        keys = [row["input_key"] for row in connection.execute(UNEMBEDDED)]
        copy_statement = "COPY rag.embedding (model_id, input_key, embedding) FROM STDIN (FORMAT BINARY)"
        with connection.cursor() as cursor, cursor.copy(copy_statement) as copy:
            copy.set_types(["int4", "uuid", "vector"])
            for begin in range(0, len(keys), 10_000):
                part = keys[begin : begin + 10_000]
                noise = chance.normal(size=(len(part), dimensions)).astype(np.float32)
                vectors = centres[chance.integers(0, CLUSTERS, len(part))] + 0.6 * noise
                vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
                for key, vector in zip(part, vectors, strict=True):
                    copy.write_row((ids["model"], key, vector))
        connection.execute("ANALYZE")


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

        moments: dict[str, list[tuple[float, int]]] = {}
        began = time.perf_counter()

        def progress(phase: str, done: int, total: int | None) -> None:
            moments.setdefault(phase, []).append((time.perf_counter() - began, done))

        version = build_index(Runtime(database, settings, embedders), "main", full=True, progress=progress)
        assert version is not None
        total = time.perf_counter() - began
        rows = version.row_count or 0
        for phase, points in moments.items():
            seconds = points[-1][0] - points[0][0]
            rate = rows / max(seconds, 1e-9)
            FIGURES.ratio(f"share of the time, {phase}", seconds / total)
            print(f"{phase}: {seconds:.2f} s, {rate:,.0f} rows/s, {len(points)} progress reports")
        print(f"whole build: {rows:,} rows in {total:.1f} s, {rows / total:,.0f} rows/s")
        FIGURES.context("rows/s", rows / total)
        with database.connect() as connection:
            toasted = connection.execute(TOASTED, (f"rag.vectors_{version.storage}",)).fetchone()
        assert toasted is not None
        print(f"TOAST of the vectors: {toasted['bytes']} bytes")
        database.close()
        server.stop()
    FIGURES.record(rows=arguments.rows, dimensions=arguments.dimensions)


if __name__ == "__main__":
    main()
