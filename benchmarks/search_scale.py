"""How much longer a build and a search take over a million chunks than over 200,000, in one run.

What belongs here: the same corpus in several sizes, under 4,000 access rules; seconds of a build; times and
recall of searches by what the caller may see. What does not: texts and vectors as models make them
(`search_latency`).

Vectors are of unit length and in clusters; words are drawn by Zipf's law from 50,000; ten chunks of 60 words
a document; a question is three words of a chunk and a vector of a cluster. Rows are put straight into tables.

    python benchmarks/search_scale.py [--rows 200000 1000000] [--dimensions 64] [--queries 100] [--home HOME]

The indexes stay in HOME for the next run; without it they are removed.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import yaml
from history import Figures
from index_build import Clusters, fill, server_process, used_seconds

from rag_pipelines.config import load_config
from rag_pipelines.config.settings import Settings
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.evaluation.embeddings import RememberingEmbedders
from rag_pipelines.gates.judge import validate_version
from rag_pipelines.index.build import build_index
from rag_pipelines.index.promotion import promote
from rag_pipelines.index.versions import live_version
from rag_pipelines.model import AccessRule
from rag_pipelines.query import statement
from rag_pipelines.query.search import Searcher
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Database
from rag_pipelines.store.documents import AccessRules
from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines.sync.engine import ingest

FIGURES = Figures("search_scale")

SHARES = {"all": 1.0, "half": 0.5, "tenth": 0.1, "hundredth": 0.01, "thousandth": 0.001}
"""Groups by the share of rules, and so of documents, that let them in."""
RULES = 4_000
RECALL_QUESTIONS = 25
SEED = 20

WORD = "'word' || exp(random() * ln(50000))::int"
"""By Zipf's law, nearly."""
SPREAD = """
    UPDATE rag.document SET access_id = rules[1 + (random() * (array_length(rules, 1) - 1))::int]
    FROM (SELECT %s::int[] AS rules) r
"""


class Cost(NamedTuple):
    """Milliseconds of whole searches; hits and recall as means."""

    p50: float
    p95: float
    hits: float
    recall: float


@contextmanager
def corpus(home: Path, rows: int, dimensions: int) -> Iterator[tuple[Database, Settings]]:
    """A live index of so many chunks; built, and the build's figures printed, where there is none."""
    (home / "docs").mkdir(parents=True, exist_ok=True)
    (home / "docs" / "one.md").write_text("# One\n\nA document, so that every profile has its row.\n")
    config = {
        "data_dir": str(home),
        "profiles": {"embedding": {"default": {"provider": "hash", "dimensions": dimensions}}},
        "sources": {
            "docs": {"connector": "filesystem", "options": {"root": str(home / "docs")}, "access": "public"}
        },
        "indexes": {"main": {"sources": ["docs"], "gates": {"min_recall": 0.5}}},
        "query": {"cache": {"embeddings": 0}},
    }
    (home / "rag.yaml").write_text(yaml.safe_dump(config))
    settings = load_config(home / "rag.yaml")
    server = EmbeddedServer(home / "postgres")
    database = Database(server.start())
    database.migrate()
    try:
        with database.connection() as connection:
            known = live_version(connection, "main")
        if known is None:
            _build(database, settings, rows, dimensions)
        yield database, settings
    finally:
        database.close()
        server.stop()


def _build(database: Database, settings: Settings, rows: int, dimensions: int) -> None:
    runtime = Runtime(database, settings, Embedders(settings.data_dir))
    ingest(runtime, "docs")
    fill(database, rows, dimensions, length=60, word=WORD)
    chance = random.Random(SEED)
    with database.connection() as connection:
        rules = AccessRules(connection)
        ids = []
        for number in range(RULES):
            place = chance.random()
            groups = tuple(f"group:{name}" for name, share in SHARES.items() if place < share)
            ids.append(rules.id_of(AccessRule(((*groups, f"group:team{number}"),))))
        connection.execute(SPREAD, (ids,))
        connection.execute("VACUUM ANALYZE")
    process = server_process(database)
    began, used = time.perf_counter(), used_seconds(process)
    version = build_index(runtime, "main", full=True)
    assert version is not None
    seconds, spent, built = time.perf_counter() - began, used_seconds(process) - used, version.row_count or 0
    each = spent / built / math.log2(built) * 1e9
    taken = f"{seconds:.0f} s, {spent:.0f} processor s: {each:,.0f} ns a row and log2 of rows"
    print(f"{built:,} rows built in {taken}", flush=True)
    FIGURES.context(f"processor ns a row and log2 of rows, {rows}", each)
    validate_version(runtime, "main", version.version_id)
    promote(database, "main", version.version_id)


def questions(database: Database, count: int) -> list[str]:
    """Three words of so many chunks each."""
    statement = "SELECT text FROM rag.chunk ORDER BY chunk_set_id DESC LIMIT %s"
    with database.connection() as connection:
        rows = connection.execute(statement, (count,)).fetchall()
    return [" ".join(row["text"].split()[:3]) for row in rows]


def ask(searcher: Searcher, asked: Sequence[str], principal: str) -> Cost:
    """Every question in hybrid, by a caller with this principal; some of them compared exactly."""
    given = {"tenant": "default", "principals": [principal], "k": 10}
    for question in asked[:20]:
        searcher.search(question, **given)
    times, hits, recall = [], [], []
    for question in asked:
        began = time.perf_counter()
        found = searcher.search(question, **given).hits
        times.append((time.perf_counter() - began) * 1000)
        hits.append(len(found))
    for question in asked[:RECALL_QUESTIONS]:
        found = {hit.chunk_id for hit in searcher.search(question, mode="dense", **given).hits}
        with patch.object(statement, "FEW_CHUNKS", 2**30):
            truth = {hit.chunk_id for hit in searcher.search(question, mode="dense", **given).hits}
        recall.append(len(found & truth) / max(len(truth), 1))
    p95 = statistics.quantiles(times, n=20)[18]
    return Cost(statistics.median(times), p95, statistics.mean(hits), statistics.mean(recall))


def measure(home: Path, rows: int, dimensions: int, count: int) -> dict[str, Cost]:
    """What each caller waits, over a corpus of so many rows."""
    with corpus(home, rows, dimensions) as (database, settings):
        asked, embedders = questions(database, count), Embedders(settings.data_dir)
        identity = embedders.of(settings.embedding_profile("main")).identity
        vectors = Clusters(dimensions)(count)
        known = {(identity.fingerprint, one): vector for one, vector in zip(asked, vectors, strict=True)}
        searcher = Searcher(database, settings, "main", RememberingEmbedders(embedders, known))
        try:
            return {name: ask(searcher, asked, f"group:{name}") for name in SHARES}
        finally:
            searcher.close()
            embedders.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[200_000, 1_000_000])
    parser.add_argument("--dimensions", type=int, default=64)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--home", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rag-search-scale-") as folder:
        home = given.home.resolve() if given.home else Path(folder)
        found = {
            rows: measure(home / str(rows), rows, given.dimensions, given.queries) for rows in given.rows
        }
    first = found[given.rows[0]]
    print(f"{'rows':>10} {'caller':<12}", *(f"{column:>8}" for column in (*Cost._fields, "p50", "p95")))
    for rows, costs in found.items():
        for name, one in costs.items():
            p50, p95 = one.p50 / first[name].p50, one.p95 / first[name].p95
            print(f"{rows:>10,} {name:<12}", *(f"{figure:8.2f}" for figure in (*one, p50, p95)))
            FIGURES.ratio(f"p50 to that of {given.rows[0]:,}, {rows:,}, {name}", p50)
            FIGURES.ratio(f"p95 to that of {given.rows[0]:,}, {rows:,}, {name}", p95)
            FIGURES.ratio(f"recall, {rows:,}, {name}", one.recall)
    FIGURES.record(rows=given.rows, dimensions=given.dimensions, queries=given.queries)


if __name__ == "__main__":
    main()
