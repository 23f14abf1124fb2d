"""Ranking on BEIR SciFact (train queries): dense, lexical and hybrid, beside the published figures.

One chunk a document, text = title + " " + text, cosine, through the whole pipeline: `records` source,
ingest, index, gates, promotion, search.

    python benchmarks/scifact.py [--model all-MiniLM-L6-v2 | --hash] [--data ../shared/data]
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import tempfile
import time
from pathlib import Path

import yaml
from history import Figures

from rag_pipelines.config import load_config
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.gates.judge import validate_version
from rag_pipelines.index.build import build_index
from rag_pipelines.index.promotion import promote
from rag_pipelines.query.search import Searcher
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Database
from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines.sync.engine import ingest

FIGURES = Figures("scifact")

PUBLISHED = {"dense (all-MiniLM-L6-v2)": 0.6602, "lexical (BM25, bm25s)": 0.6960}
DEPTH = 100


def configuration(corpus: Path, home: Path, embedding: dict[str, str], fusion: dict[str, object]) -> dict:
    """The pipeline a user would write for a BEIR corpus."""
    return {
        "data_dir": str(home),
        "profiles": {
            "chunking": {"default": {"whole_document": True, "context": ["title"]}},
            "embedding": {"default": embedding},
        },
        "sources": {
            "scifact": {
                "connector": "records",
                "options": {
                    "path": str(corpus / "corpus.jsonl"), "id": "_id", "text": "text", "title": "title",
                },
                "access": "public",
            }
        },
        "indexes": {"scifact": {"sources": ["scifact"], "fusion": fusion, "gates": {"min_recall": 0.8}}},
    }  # fmt: skip


def judgements(corpus: Path) -> dict[str, dict[str, int]]:
    """Relevant documents by query."""
    relevant: dict[str, dict[str, int]] = {}
    with (corpus / "qrels" / "train.tsv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            relevant.setdefault(row["query-id"], {})[row["corpus-id"]] = int(row["score"])
    return relevant


def ndcg(ranking: list[str], relevant: dict[str, int], k: int = 10) -> float:
    """nDCG@k with linear gains (Järvelin and Kekäläinen 2002), as BEIR computes it."""
    gains = [relevant.get(identity, 0) / math.log2(rank + 2) for rank, identity in enumerate(ranking[:k])]
    ideal = sorted(relevant.values(), reverse=True)[:k]
    best = sum(gain / math.log2(rank + 2) for rank, gain in enumerate(ideal))
    return sum(gains) / best if best else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="all-MiniLM-L6-v2")
    parser.add_argument("--hash", action="store_true", help="no model: lexical only")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("RAG_DATA_DIR", "../shared/data")))
    parser.add_argument("--weights", type=float, nargs="*", default=[0.6])
    arguments = parser.parse_args()
    corpus = arguments.data / "beir-scifact"
    if not corpus.exists():
        raise SystemExit(f"needs the corpus beir-scifact in {arguments.data} (set RAG_DATA_DIR)")
    relevant = judgements(corpus)
    queries = [json.loads(line) for line in (corpus / "queries.jsonl").open(encoding="utf-8")]
    embedding = {"provider": "hash"} if arguments.hash else {"model": arguments.model}

    with tempfile.TemporaryDirectory(prefix="rag-scifact-") as folder:
        home = Path(folder)
        server = EmbeddedServer(home / "postgres")
        database = Database(server.start())
        database.migrate()

        def settings_for(fusion: dict[str, object]):  # type: ignore[no-untyped-def]
            path = home / "rag.yaml"
            path.write_text(yaml.safe_dump(configuration(corpus, home, embedding, fusion)))
            return load_config(path)

        settings = settings_for({})
        embedders = Embedders(home)
        began = time.perf_counter()
        report = ingest(Runtime(database, settings, embedders), "scifact")
        print(f"ingest: {report.statuses} in {time.perf_counter() - began:.1f} s, {report.embedded} vectors")
        version = build_index(Runtime(database, settings, embedders), "scifact")
        assert version is not None
        for gate in validate_version(Runtime(database, settings, embedders), "scifact", version.version_id):
            print(f"gate {gate.gate}: {'passed' if gate.passed else 'FAILED'} ({gate.observed:g})")
        promote(database, "scifact", version.version_id)

        modes = ["lexical"] if arguments.hash else ["dense", "lexical", "hybrid"]
        runs = [("weighted", weight) for weight in arguments.weights] + [("rrf", 0.5)]
        for mode in modes:
            for method, weight in runs if mode == "hybrid" else [("weighted", 0.6)]:
                settings = settings_for({"method": method, "dense_weight": weight})
                searcher = Searcher(database, settings, "scifact", embedders)
                scores, times = [], []
                for question in queries:
                    if question["_id"] not in relevant:
                        continue
                    result = searcher.search(question["text"], tenant="default", mode=mode, k=DEPTH)
                    ranking = list(dict.fromkeys(hit.external_id for hit in result.hits))
                    scores.append(ndcg(ranking, relevant[question["_id"]]))
                    times.append(result.search_ms)
                searcher.close()
                name = f"{mode} {method} {weight}" if mode == "hybrid" else mode
                times.sort()
                FIGURES.ratio(f"nDCG@10, {name}", sum(scores) / len(scores))
                FIGURES.context(f"p50 ms, {name}", times[len(times) // 2])
                print(
                    f"{name}: nDCG@10 {sum(scores) / len(scores):.4f} over {len(scores)} queries, "
                    f"search p50 {times[len(times) // 2]:.1f} ms, p95 {times[int(len(times) * 0.95)]:.1f} ms"
                )
        print("published:", PUBLISHED)
        database.close()
        server.stop()
    FIGURES.record(model="hash" if arguments.hash else arguments.model)


if __name__ == "__main__":
    main()
