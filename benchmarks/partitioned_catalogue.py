"""What it costs and gives to partition the tables that grow with the corpus.

What belongs here: the same catalogue with these tables whole and cut by hash; processor seconds of the
statements that read and write them, copies of an empty database, and how long one VACUUM FULL locks. What
does not: partitions in the product; docs/explanation/decisions.md says why there are none.

    python benchmarks/partitioned_catalogue.py [--rows 20000] [--partitions 8 32]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import yaml
from history import Figures
from index_build import fill, server_process, used_seconds

from rag_pipelines.config import load_config
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.index.build import build_index
from rag_pipelines.query.search import Searcher
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Database, Pg, query
from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines.sync.engine import ingest

FIGURES = Figures("partitioned_catalogue")

KEYS = {"chunk": "chunk_set_id", "embedding": "input_key", "document_chunks": "document_id"}
"""The tables, and by which column of their primary key each is cut."""

ROUNDS = 200
SETS = 16
INPUTS = 64


def partition(connection: Pg, count: int) -> None:
    """Cut the tables into so many partitions, with what is in them, their indexes, keys and triggers."""
    triggers = connection.execute(
        "SELECT pg_get_triggerdef(oid) AS text FROM pg_trigger "
        "WHERE tgrelid = 'rag.document_chunks'::regclass AND NOT tgisinternal"
    ).fetchall()
    for table, key in KEYS.items():
        connection.execute(f"ALTER TABLE rag.{table} RENAME TO whole_{table}")
        connection.execute(
            f"CREATE TABLE rag.{table} (LIKE rag.whole_{table} INCLUDING ALL) PARTITION BY HASH ({key})"
        )
        for number in range(count):
            connection.execute(
                f"CREATE TABLE rag.{table}_part_{number} PARTITION OF rag.{table} "
                f"FOR VALUES WITH (MODULUS {count}, REMAINDER {number})"
            )
        connection.execute(f"INSERT INTO rag.{table} SELECT * FROM rag.whole_{table}")
        connection.execute(f"DROP TABLE rag.whole_{table}")
    connection.execute(
        "ALTER TABLE rag.document_chunks "
        "ADD FOREIGN KEY (document_id) REFERENCES rag.document ON DELETE CASCADE"
    )
    for trigger in triggers:
        connection.execute(trigger["text"])
    connection.execute("VACUUM ANALYZE")


def statements(connection: Pg) -> dict[str, Callable[[], Any]]:
    """What runs and searches do with these tables, on rows that are there."""
    ids = connection.execute(
        "SELECT (SELECT source_id FROM rag.source) AS source_id, "
        "(SELECT profile_id FROM rag.profile WHERE kind = 'model') AS model_id, "
        "(SELECT profile_id FROM rag.profile WHERE kind = 'chunker') AS chunker_id, "
        f"ARRAY(SELECT chunk_set_id FROM rag.chunk_set ORDER BY 1 LIMIT {SETS}) AS sets, "
        f"ARRAY(SELECT input_key FROM rag.embedding ORDER BY 1 LIMIT {INPUTS}) AS keys"
    ).fetchone()
    assert ids is not None
    documents = {**ids, "after": 0, "limit": SETS}
    replaced = (
        "INSERT INTO rag.document_chunks "
        "SELECT * FROM rag.document_chunks WHERE chunk_set_id = ANY(%(sets)s) "
        "ON CONFLICT (document_id, profile_id) "
        "DO UPDATE SET chunk_set_id = EXCLUDED.chunk_set_id"
    )
    added = (
        "INSERT INTO rag.chunk SELECT * FROM rag.chunk WHERE chunk_set_id = ANY(%(sets)s) "
        "ON CONFLICT DO NOTHING"
    )
    return {
        "chunk_inputs": lambda: query(connection, "chunk_inputs", ids).fetchall(),
        "missing_vectors": lambda: query(connection, "missing_vectors", ids).fetchall(),
        "hold_vectors": lambda: query(connection, "hold_vectors", ids).fetchall(),
        "pending_chunk_sets": lambda: query(connection, "pending_chunk_sets", documents).fetchall(),
        "map documents": lambda: connection.execute(replaced, ids),
        "put chunks": lambda: connection.execute(added, ids),
    }


def measure(home: Path, rows: int, partitions: int) -> dict[str, float]:
    """Milliseconds of the server's processors for each statement, and of the clock for the rest."""
    (home / "docs").mkdir(parents=True)
    (home / "docs" / "one.md").write_text("# One\n\nA document, so that every profile has its row.\n")
    config = {
        "data_dir": str(home),
        "profiles": {"embedding": {"default": {"provider": "hash", "dimensions": 64}}},
        "sources": {
            "docs": {"connector": "filesystem", "options": {"root": str(home / "docs")}, "access": "public"}
        },
        "indexes": {"main": {"sources": ["docs"], "gates": {"min_recall": 0}}},
    }
    (home / "rag.yaml").write_text(yaml.safe_dump(config))
    settings = load_config(home / "rag.yaml")
    server = EmbeddedServer(home / "postgres")
    url = server.start()
    database = Database(url)
    database.migrate()
    taken: dict[str, float] = {}
    with database.connect() as connection:
        if partitions:
            partition(connection, partitions)
    database.close()
    taken["copy of an empty database, clock"] = copied(url)
    embedders = Embedders(home)
    runtime = Runtime(database := Database(url), settings, embedders)
    ingest(runtime, "docs")
    fill(database, rows, 64)
    build_index(runtime, "main")
    process = server_process(database)
    with database.connect() as connection:
        connection.execute("UPDATE rag.index_version SET state = 'live'")
        for name, act in statements(connection).items():
            taken[name] = used(process, act)
        searcher = Searcher(database, settings, "main", embedders)
        taken["search"] = used(process, lambda: searcher.search("word7 word11", tenant="default", k=10))
        searcher.close()
        for table in KEYS:
            part = f"{table}_part_0" if partitions else table
            began = time.perf_counter()
            connection.execute(f"VACUUM FULL rag.{part}")
            taken[f"VACUUM FULL {table}, longest lock, clock"] = (time.perf_counter() - began) * 1000
    database.close()
    server.stop()
    return taken


def used(process: int, act: Callable[[], Any]) -> float:
    """Milliseconds of the server's processors for one call, on average."""
    for _ in range(10):
        act()
    before = used_seconds(process)
    for _ in range(ROUNDS):
        act()
    return (used_seconds(process) - before) * 1000 / ROUNDS


def copied(url: str) -> float:
    """Milliseconds to copy a database that holds the schema alone, as tests do."""
    seconds = []
    template = str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])
    with psycopg.connect(
        psycopg.conninfo.make_conninfo(url, dbname="template1"), autocommit=True
    ) as connection:
        for number in range(5):
            began = time.perf_counter()
            connection.execute(f"CREATE DATABASE copy_{number} TEMPLATE {template} STRATEGY file_copy")
            seconds.append(time.perf_counter() - began)
            connection.execute(f"DROP DATABASE copy_{number}")
    return statistics.median(seconds) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--partitions", type=int, nargs="*", default=[8, 32])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rag-partitions-") as folder:
        found = {
            count: measure(Path(folder) / str(count), arguments.rows, count)
            for count in (0, *arguments.partitions)
        }
    print(f"{'milliseconds':<50}" + "".join(f"{count or 'whole':>10}" for count in found))
    for name in found[0]:
        print(f"{name:<50}" + "".join(f"{each[name]:>10.2f}" for each in found.values()))
        for count in arguments.partitions:
            FIGURES.ratio(
                f"{name}, {count} partitions / whole", found[count][name] / max(found[0][name], 1e-9)
            )
    FIGURES.record(rows=arguments.rows, partitions=arguments.partitions)


if __name__ == "__main__":
    main()
