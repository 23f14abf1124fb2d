"""How quick and how complete a search is at 200,000 chunks: by mode, by how much the caller may see.

The texts are sentences of open corpora, mixed anew; the vectors are real ones of MiniLM, mixed as
normalise(0.85 a + 0.15 b + noise), because embedding so many would take an hour. Questions are sentences;
their embedding is part of every time. `recall` is how many of the ten hits are those of a search that
compares everything that the caller may see; `added` is what the module takes beside its statements, as a
share of these.

    python benchmarks/search_latency.py --home FOLDER [--rows 200000] [--queries 200]

The folder keeps the built index for the next run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import yaml
from history import Figures

from rag_pipelines.batching import blocks
from rag_pipelines.config import load_config
from rag_pipelines.config.settings import Settings
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.gates.judge import validate_version
from rag_pipelines.index.build import build_index
from rag_pipelines.index.promotion import promote
from rag_pipelines.index.versions import live_version
from rag_pipelines.query import statement
from rag_pipelines.query.hits import Result
from rag_pipelines.query.search import Searcher
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.chunks import put_vectors
from rag_pipelines.store.database import Database, Pg, PreparedQuery
from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines.sync.advance import Stage
from rag_pipelines.sync.stages import advance_source, list_source, source_run
from rag_pipelines.sync.targets import source_targets

FIGURES = Figures("search_latency")

SHARES = {"all": 1.0, "half": 0.5, "tenth": 0.1, "hundredth": 0.01, "thousandth": 0.001}
"""Groups by the share of documents that they may see."""
TEAMS = 1000
REAL_VECTORS = 32_000
RECALL_QUESTIONS = 50
SEED = 20


def sentences(data: Path) -> list[str]:
    """Sentences of the open corpora, in a fixed order."""
    found: list[str] = []
    for name in ("beir-scifact", "cranfield"):
        path = data / name / "corpus.jsonl"
        if path.exists():
            for line in path.open(encoding="utf-8"):
                found += [one.strip() for one in json.loads(line)["text"].split(". ") if 40 < len(one) < 400]
    if not found:
        raise SystemExit(f"needs the corpus beir-scifact in {data} (set RAG_DATA_DIR)")
    random.Random(SEED).shuffle(found)
    return found


def documents(texts: Sequence[str], rows: int) -> Iterator[dict[str, Any]]:
    """Passages of three sentences; each names its team and the groups whose share it falls into."""
    rng = random.Random(SEED)
    for number in range(rows):
        place = rng.random()
        groups = [f"group:{name}" for name, share in SHARES.items() if place < share]
        yield {
            "id": f"d{number:06}",
            "text": ". ".join(rng.sample(texts, 3)) + ".",
            "access": [*groups, f"group:team{number % TEAMS}"],
            "kind": "common" if number % 2 else "rare" if number % 1000 == 0 else "other",
        }


def configuration(home: Path, embeddings: int) -> dict[str, Any]:
    options = {
        "path": str(home / "corpus.jsonl"),
        "id": "id",
        "text": "text",
        "access": "access",
        "metadata": ["kind"],
    }
    return {
        "data_dir": str(home),
        "limits": {"batch_documents": 1000},
        "profiles": {"chunking": {"default": {"whole_document": True, "context": []}}},
        "sources": {"passages": {"connector": "records", "options": options}},
        "indexes": {"main": {"sources": ["passages"], "gates": {"min_recall": 0.9}}},
        "query": {"cache": {"embeddings": embeddings}},
    }


def fill(database: Database, settings: Settings, embedders: Embedders, texts: Sequence[str]) -> None:
    """Ingest the corpus with mixed vectors, build, judge and promote."""
    with source_run(database, settings, "passages") as run:
        list_source(run)
        advance_source(run, embedders, Stage.CHUNKED)
        (model,) = source_targets(run.connection, settings, "passages", embedders).models
        real = np.asarray(model.embedder.embed_documents(list(texts[:REAL_VECTORS])), dtype=np.float32)
        rng = np.random.default_rng(SEED)
        rows = run.connection.execute("SELECT DISTINCT input_key FROM rag.chunk ORDER BY 1").fetchall()
        for block in blocks(rows, 5_000):
            a, b = rng.integers(0, len(real), (2, len(block)))
            mixed = 0.85 * real[a] + 0.15 * real[b] + rng.normal(0, 0.01, (len(block), real.shape[1]))
            mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
            put_vectors(
                run.connection,
                model.profile_id,
                [row["input_key"] for row in block],
                mixed.astype(np.float32),
            )
        advance_source(run, embedders)
    version = build_index(Runtime(database, settings, embedders), "main")
    assert version is not None
    validate_version(Runtime(database, settings, embedders), "main", version.version_id)
    promote(database, "main", version.version_id)


class Figures(NamedTuple):
    """Times in ms of whole searches and of their embedding; hits and recall as means; `added` as a share."""

    p50: float
    p95: float
    embed: float
    hits: float
    recall: float
    added: float


def measure(searcher: Searcher, questions: Sequence[str], **options: Any) -> Figures:
    """Each question asked as a user would, and compared exactly."""
    for question in questions[:20]:
        searcher.search(question, tenant="default", **options)
    times, embed, hits, recall, added = [], [], [], [], []
    for question in questions:
        with sent() as statements:
            began = time.perf_counter()
            result = searcher.search(question, tenant="default", **options)
            times.append((time.perf_counter() - began) * 1000)
        embed.append(result.embed_ms)
        hits.append(len(result.hits))
        added.append((times[-1] - result.embed_ms) / sum(statements) - 1)
    for question in questions[:RECALL_QUESTIONS]:
        found = ids(searcher.search(question, tenant="default", **options))
        with patch.object(statement, "FEW_CHUNKS", 2**30):
            truth = ids(searcher.search(question, tenant="default", **options))
        recall.append(len(found & truth) / max(len(truth), 1))
    return Figures(
        statistics.median(times),
        statistics.quantiles(times, n=20)[18],
        statistics.median(embed),
        statistics.mean(hits),
        statistics.mean(recall),
        statistics.median(added),
    )


def ids(result: Result) -> set[str]:
    return {hit.chunk_id for hit in result.hits}


@contextmanager
def sent() -> Iterator[list[float]]:
    """The ms that each statement of the searches meanwhile takes, its rows included."""
    statements: list[float] = []
    run = PreparedQuery.run

    def timed(self: PreparedQuery, connection: Pg, params: Any, **how: Any) -> Any:
        began = time.perf_counter()
        cursor = run(self, connection, params, **how)
        if cursor.fetchall():
            cursor.scroll(0, "absolute")
        statements.append((time.perf_counter() - began) * 1000)
        return cursor

    with patch.object(PreparedQuery, "run", timed):
        yield statements


@contextmanager
def opened(home: Path, data: Path, rows: int, embeddings: int = 0) -> Iterator[tuple[Searcher, int]]:
    """A searcher of the index in `home`, built first where there is none, and the process of its server.

    Each caller asks the same questions: their `embeddings` (bytes of them) are not kept unless it is said.
    """
    home.mkdir(parents=True, exist_ok=True)
    server = EmbeddedServer(home / "postgres")
    database = Database(server.start())
    database.migrate()
    config = home / "rag.yaml"
    config.write_text(yaml.safe_dump(configuration(home, embeddings)))
    settings = load_config(config)
    embedders = Embedders(home)
    with database.connection() as connection:
        version = live_version(connection, "main")
        connection.execute("VACUUM rag.document")  # a migration may have rewritten it
    if version is None:
        texts = sentences(data)
        with (home / "corpus.jsonl").open("w", encoding="utf-8") as file:
            for one in documents(texts, rows):
                file.write(json.dumps(one) + "\n")
        fill(database, settings, embedders, texts)
    searcher = Searcher(database, settings, "main", embedders)
    pid = server.status().pid
    assert pid is not None
    try:
        yield searcher, pid
    finally:
        searcher.close()
        embedders.close()
        database.close()
        server.stop()


def questions_of(data: Path, count: int) -> list[str]:
    """So many beginnings of sentences of the corpora."""
    return [text[:80] for text in sentences(data)[-count:]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("RAG_DATA_DIR", "../shared/data")))
    arguments = parser.parse_args()
    questions = questions_of(arguments.data, arguments.queries)
    columns = ("p50 ms", "p95 ms", "embed", "hits", "recall", "added")
    callers = {name: f"group:{name}" for name in SHARES} | {"one team": "group:team7"}
    with opened(arguments.home, arguments.data, arguments.rows) as (searcher, _):
        print(f"{'caller':<12} {'mode':<8}", *(f"{column:>7}" for column in columns))
        for name, principal in callers.items():
            for mode in ("dense", "lexical", "hybrid"):
                found = measure(searcher, questions, mode=mode, principals=[principal])
                print(f"{name:<12} {mode:<8}", *(f"{figure:7.2f}" for figure in found), flush=True)
                told = dict(zip(columns, found, strict=True))
                FIGURES.ratio(f"recall, {name}, {mode}", told["recall"])
                FIGURES.ratio(f"added, {name}, {mode}", told["added"])
                FIGURES.context(f"p50 ms, {name}, {mode}", told["p50 ms"])
    FIGURES.record(rows=arguments.rows, queries=arguments.queries)


if __name__ == "__main__":
    main()
