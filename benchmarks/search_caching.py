"""What the caches of searches give and cost: a hit, a miss beside no cache, what counting adds to an ingest.

Files of a few words and the hash model, so that neither parsing nor embedding hides the difference. Settings
are measured in turn, so that all have the same load beside them; the ingest is a first one and one that
changes the access of every file.

    python benchmarks/search_caching.py [--files 2000] [--searches 400] [--rounds 3]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import yaml
from history import Figures
from psycopg import sql

from rag_pipelines.config import load_config
from rag_pipelines.config.settings import Settings
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.gates.judge import validate_version
from rag_pipelines.index.build import build_index
from rag_pipelines.index.promotion import promote
from rag_pipelines.query.caching import state_of
from rag_pipelines.query.search import Searcher
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Database
from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines.sync.engine import ingest

FIGURES = Figures("search_caching")

WARM_UP = 20
COUNTED = ("document", "document_content", "membership", "source")
WORDS = ("harbour", "gauge", "sensor", "valve", "pump", "station", "alarm", "level", "flow", "ferry", "weir")


def write_files(folder: Path, files: int) -> None:
    """Short files with words in common."""
    folder.mkdir()
    for number in range(files):
        words = (WORDS[(number * step) % len(WORDS)] for step in (1, 3, 7))
        (folder / f"{number:05}.md").write_text(f"# Note {number}\n\n{' '.join(words)} number {number}.\n")


def configuration(folder: Path, docs: Path, url: str, access: Any) -> Settings:
    """One source and one index, with results kept."""
    path = folder / "rag.yaml"
    source = {"connector": "filesystem", "options": {"root": str(docs)}, "access": access}
    document = {
        "data_dir": str(folder / "home"),
        "database": {"url": url},
        "limits": {"workers": 1},
        "profiles": {"embedding": {"default": {"provider": "hash"}}},
        "sources": {"docs": source},
        "indexes": {"main": {"sources": ["docs"], "gates": {"min_recall": 0.5}}},
        "query": {"cache": {"results": "32 MB"}},
    }
    path.write_text(yaml.safe_dump(document))
    return load_config(path)


def timed(call: Callable[[], Any]) -> float:
    """Milliseconds that a call takes."""
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def without_results(settings: Settings) -> Settings:
    """The same with no result kept."""
    cache = settings.query.cache.model_copy(update={"results": 0})
    return settings.model_copy(update={"query": settings.query.model_copy(update={"cache": cache})})


def measure_searches(database: Database, settings: Settings, searches: int) -> None:
    """The same searches without a cache and as misses, in turn; then as hits. Each caller is another one."""
    plain = Searcher(database, without_results(settings), "main")
    keeping = Searcher(database, settings, "main")
    times: dict[str, list[float]] = {"no cache": [], "miss": [], "hit": []}
    times |= {"SELECT 1": [], "the state": []}

    def search(way: str, number: int) -> None:
        text, who = f"{WORDS[number % len(WORDS)]} {WORDS[number % 7]}", [f"user:{number}"]
        searcher = plain if way == "no cache" else keeping
        times[way].append(timed(partial(searcher.search, text, tenant="default", principals=who)))

    for number in range(searches + WARM_UP):
        for way in ("no cache", "miss") if number % 2 else ("miss", "no cache"):
            search(way, number)
    with database.connect() as connection:
        for _ in range(searches + WARM_UP):
            times["SELECT 1"].append(timed(partial(connection.execute, "SELECT 1")))
            times["the state"].append(timed(partial(state_of, connection, "main", "default")))
    for number in range(searches + WARM_UP):
        search("hit", number)
    plain_ms = statistics.median(times["no cache"][WARM_UP:])
    for name in ("miss", "hit"):
        FIGURES.ratio(f"{name} / no cache", statistics.median(times[name][WARM_UP:]) / plain_ms)
    FIGURES.context("ms without a cache", plain_ms)
    for name, spent in times.items():
        print(f"{name:12} p50 {statistics.median(spent[WARM_UP:]):6.3f} ms")
    pairs = zip(times["miss"][WARM_UP:], times["no cache"][WARM_UP:], strict=True)
    print(f"a miss costs {statistics.median(miss - base for miss, base in pairs):.3f} ms (median of pairs)")
    plain.close()
    keeping.close()


def uncount(database: Database) -> None:
    """Take the triggers away that count changes."""
    with database.connection() as connection:
        for table in COUNTED:
            rows = connection.execute(
                "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND tgname LIKE 'count_%%'",
                (f"rag.{table}",),
            ).fetchall()
            for row in rows:
                names = sql.Identifier("rag", table), sql.Identifier(row["tgname"])
                connection.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER {}").format(*names))


def measure_round(
    url: str, folder: Path, name: str, *, counting: bool
) -> tuple[list[float], Database, Settings]:
    """Seconds of the two ingests into a new database."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    server, _, options = url.partition("?")
    database = Database(f"{server.rpartition('/')[0]}/{name}?{options}")
    database.migrate()
    with database.connection() as connection:
        assert not connection.execute("SELECT FROM rag.document LIMIT 1").fetchone(), "the database is new"
    if not counting:
        uncount(database)
    (folder / name).mkdir()
    spent = []
    for access in (["group:all"], "public"):
        settings = configuration(folder / name, folder / "docs", database.url, access)
        embedders = Embedders(settings.data_dir)
        spent.append(timed(partial(ingest, database, settings, "docs", embedders=embedders)) / 1000)
    return spent, database, settings


def publish(database: Database, settings: Settings) -> None:
    """Make what was ingested live."""
    embedders = Embedders(settings.data_dir)
    version = build_index(Runtime(database, settings, embedders), "main")
    assert version is not None
    validate_version(Runtime(database, settings, embedders), "main", version.version_id)
    promote(database, "main", version.version_id)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--searches", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rag-caching-") as temporary:
        folder = Path(temporary)
        write_files(folder / "docs", arguments.files)
        server = EmbeddedServer(folder / "postgres")
        url = server.start()
        spent: dict[str, list[list[float]]] = {"counted": [], "not counted": []}
        measure_round(url, folder, "warm", counting=True)[1].close()
        for number in range(arguments.rounds):
            for way, took in spent.items():
                name = f"{way.replace(' ', '_')}_{number}"
                seconds, database, settings = measure_round(url, folder, name, counting=way == "counted")
                took.append(seconds)
                if way == "counted" and number == 0:
                    publish(database, settings)
                    measure_searches(database, settings, arguments.searches)
                database.close()
        for step, label in enumerate(("first ingest", "access of all changed")):
            counted, plain = (min(one[step] for one in spent[way]) for way in ("counted", "not counted"))
            FIGURES.ratio(f"counted / not counted, {label}", counted / plain)
            for way, rounds in sorted(spent.items()):
                listed = ", ".join(f"{one[step]:.2f}" for one in rounds)
                print(f"{arguments.files} files, {label}, {way}: {listed} s")
        server.stop()
    FIGURES.record(files=arguments.files, searches=arguments.searches, rounds=arguments.rounds)


if __name__ == "__main__":
    main()
