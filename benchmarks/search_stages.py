"""What each optional stage does to the ranking and the time of a search, beside the search without it.

SciFact (train queries) and FeedbackQA (valid questions), one chunk a document, MiniLM, hybrid. Each
question is searched once; then every setting is run on the same candidates, so differences are the
stage's. A stage that needs what these corpora lack (dates, labels, several chunks a document) is run for
its time only, and a cross-encoder only where one is given.

    python benchmarks/search_stages.py [--home FOLDER] [--queries 300] [--cross-encoder FOLDER]
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml
from psycopg import sql

from rag_pipelines.config import load_config
from rag_pipelines.config.query import (
    BoostSettings,
    DiversitySettings,
    NeighbourSettings,
    RecencySettings,
    RerankSettings,
    RewritingSettings,
    StageSettings,
)
from rag_pipelines.config.settings import Settings
from rag_pipelines.index.build import build_index
from rag_pipelines.index.gates import validate_version
from rag_pipelines.index.promotion import promote
from rag_pipelines.index.versions import live_version
from rag_pipelines.query.context import pack_context
from rag_pipelines.query.hits import Hit, Result
from rag_pipelines.query.rewriting import Rewriter
from rag_pipelines.query.search import Searcher
from rag_pipelines.query.stages import Asked, make_stages
from rag_pipelines.store.database import Database, Part
from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines.sync.engine import ingest
from rag_pipelines.sync.targets import Embedders

K = 10
SETS = {
    "scifact": ("beir-scifact", "queries.jsonl", "train"),
    "feedbackqa": ("feedbackqa", "queries_valid.jsonl", "valid"),
}
T = TypeVar("T")


class Question(NamedTuple):
    """One question and the relevant documents with their grades."""

    text: str
    relevant: dict[str, int]


def questions(folder: Path, file: str, split: str, count: int) -> list[Question]:
    """The first `count` judged questions of a BEIR corpus, in an order that is fixed and mixed."""
    judged: dict[str, dict[str, int]] = {}
    with (folder / "qrels" / f"{split}.tsv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            judged.setdefault(row["query-id"], {})[row["corpus-id"]] = int(row["score"])
    asked = [json.loads(line) for line in (folder / file).open(encoding="utf-8")]
    found = [Question(one["text"], judged[one["_id"]]) for one in asked if one["_id"] in judged]
    random.Random(0).shuffle(found)
    return found[:count]


def ndcg(ranking: Sequence[str], relevant: dict[str, int]) -> float:
    """nDCG@10 with linear gains (Järvelin and Kekäläinen 2002), as BEIR computes it."""
    gains = [relevant.get(identity, 0) / math.log2(rank + 2) for rank, identity in enumerate(ranking[:K])]
    best = sum(
        gain / math.log2(rank + 2) for rank, gain in enumerate(sorted(relevant.values(), reverse=True)[:K])
    )
    return sum(gains) / best if best else 0.0


def misspelt(text: str, rng: random.Random) -> str:
    """The text with one long word in which two neighbouring letters are swapped or one is missing."""
    words = text.split()
    long = [at for at, word in enumerate(words) if len(word) > 6 and word.isalpha()]
    if not long:
        return text
    at = rng.choice(long)
    word, place = words[at], rng.randrange(1, len(words[at]) - 2)
    if rng.random() < 0.5:
        words[at] = word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    else:
        words[at] = word[:place] + word[place + 1 :]
    return " ".join(words)


def configuration(data: Path, home: Path) -> dict[str, Any]:
    """One source and one index for each corpus."""
    fields = {"id": "_id", "text": "text", "title": "title"}
    return {
        "data_dir": str(home),
        "profiles": {
            "chunking": {"default": {"whole_document": True, "context": ["title"]}},
            "embedding": {"default": {"model": "all-MiniLM-L6-v2"}},
        },
        "sources": {
            name: {
                "connector": "records",
                "options": {"path": str(data / folder / "corpus.jsonl"), **fields},
                "access": "public",
            }
            for name, (folder, _, _) in SETS.items()
        },
        "indexes": {name: {"sources": [name], "gates": {"min_recall": 0.5}} for name in SETS},
    }


def prepare(database: Database, settings: Settings, name: str, embedders: Embedders) -> None:
    """Make the index `name` live, unless a kept folder has it already."""
    with database.connection() as connection:
        if live_version(connection, name):
            return
    report = ingest(database, settings, name, embedders=embedders)
    print(f"{name}: {report.statuses}", flush=True)
    version = build_index(database, settings, name, embedders=embedders)
    assert version is not None
    validate_version(database, settings, name, version.version_id, embedders=embedders)
    promote(database, name, version.version_id)


def asking(database: Database, storage: int, text: str) -> Asked:
    """A search as the searcher hands it to its stages."""
    parts: dict[str, Part] = {
        "vectors": f"vectors_{storage}",
        "lexical": f"lexical_{storage}",
        "language": sql.Literal("english"),
    }
    return Asked(text, K, database.connection, parts, "default", ["everyone"], datetime.now(UTC))


def stage_settings(cross_encoder: str | None) -> dict[str, StageSettings]:
    """The settings that are compared."""
    compared = {
        "none": StageSettings(),
        "recency": StageSettings(boosts=BoostSettings(recency=RecencySettings())),
        "diversity 0.9": StageSettings(diversity=DiversitySettings(relevance=0.9)),
        "diversity 0.8": StageSettings(diversity=DiversitySettings(relevance=0.8)),
        "diversity 0.6": StageSettings(diversity=DiversitySettings(relevance=0.6)),
        "one a document": StageSettings(per_document=1),
        "neighbours": StageSettings(neighbours=NeighbourSettings(section=True)),
    }
    if cross_encoder:
        model = RerankSettings(model=cross_encoder, depth=20, timeout_seconds=60)
        compared["cross-encoder, 20"] = StageSettings(rerank=model)
    return compared


def timed(call: Callable[..., T], *arguments: Any) -> tuple[T, float]:
    """What a call gives, and how many milliseconds it took."""
    began = time.perf_counter()
    return call(*arguments), (time.perf_counter() - began) * 1000


def line(name: str, scores: Sequence[float], plain: Sequence[float], times: Sequence[float]) -> str:
    """One row: mean nDCG@10, the mean difference to the plain search with its standard error, times."""
    differences = [score - base for score, base in zip(scores, plain, strict=True)]
    mean = sum(differences) / len(differences)
    error = math.sqrt(sum((one - mean) ** 2 for one in differences)) / len(differences)
    ordered = sorted(times)
    p50, p95 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.95)]
    quality = f"nDCG@10 {sum(scores) / len(scores):.4f}  {mean:+.4f} ± {error:.4f}"
    return f"{name:22} {quality}  p50 {p50:6.2f} ms  p95 {p95:6.2f} ms"


def measure(
    database: Database,
    settings: Settings,
    name: str,
    asked_for: Sequence[Question],
    cross_encoder: str | None,
) -> None:
    """Print a row for each setting."""
    with database.connection() as connection:
        version = live_version(connection, name)
    assert version is not None
    searcher = Searcher(database, settings, name, Embedders(settings.data_dir))

    def search(text: str) -> Result:
        return searcher.search(text, tenant="default", k=50)

    def score(hits: Sequence[Hit], one: Question) -> float:
        return ndcg([hit.external_id for hit in hits], one.relevant)

    found = [timed(search, one.text) for one in asked_for]
    plain = [score(result.hits, one) for (result, _), one in zip(found, asked_for, strict=True)]
    print(f"\n{name}, {len(asked_for)} questions")
    print(line("search itself", plain, plain, [spent for _, spent in found]))
    for label, compared in stage_settings(cross_encoder).items():
        stages = make_stages(compared)
        stages.prepare()
        scores, times = [], []
        for (result, _), one in zip(found, asked_for, strict=True):
            asked = asking(database, version.storage, one.text)
            (candidates, _), spent = timed(stages.run, asked, result.hits)
            scores.append(score([candidate.hit for candidate in candidates], one))
            times.append(spent)
        print(line(label, scores, plain, times), flush=True)
    times = [timed(pack_context, result.hits[:K], 2000)[1] for result, _ in found]
    print(line("packing to 2,000", plain, plain, times))

    rewriter = Rewriter(RewritingSettings(spelling=True), database)
    asked = asking(database, version.storage, "sanple")
    _, spent = timed(partial(rewriter.rewrite, asked, wait_seconds=300))
    print(f"vocabulary read in {spent:.0f} ms")

    def rewritten(texts: Sequence[str], base: Sequence[float]) -> tuple[list[float], list[float], int]:
        scores, times, changed = [], [], 0
        for text, one, before in zip(texts, asked_for, base, strict=True):
            asked = asking(database, version.storage, text)
            made, spent = timed(rewriter.rewrite, asked)
            times.append(spent)
            changed += bool(made.changes)
            scores.append(score(search(made.text).hits, one) if made.changes else before)
        return scores, times, changed

    rng = random.Random(1)
    typed = [misspelt(one.text, rng) for one in asked_for]
    wrong = [score(search(text).hits, one) for text, one in zip(typed, asked_for, strict=True)]
    print(line("a word misspelt", wrong, plain, [0.0]))
    scores, times, changed = rewritten(typed, wrong)
    print(line("  and mended", scores, wrong, times), f"({changed} of {len(typed)} changed)")
    scores, times, changed = rewritten([one.text for one in asked_for], plain)
    print(line("spelling, as typed", scores, plain, times), f"({changed} of {len(typed)} changed)")
    rewriter.close()
    searcher.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("RAG_DATA_DIR", "../shared/data")))
    parser.add_argument("--home", type=Path, help="a folder that keeps the indexes for another run")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--cross-encoder", help="folder or name of a model on this machine")
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rag-stages-") as temporary:
        home = arguments.home or Path(temporary)
        home.mkdir(parents=True, exist_ok=True)
        server = EmbeddedServer(home / "postgres")
        database = Database(server.start())
        database.migrate()
        path = home / "stages.yaml"
        path.write_text(yaml.safe_dump(configuration(arguments.data.resolve(), home)))
        settings = load_config(path)
        embedders = Embedders(settings.data_dir)
        try:
            for name in arguments.sets:
                prepare(database, settings, name, embedders)
                folder, file, split = SETS[name]
                asked_for = questions(arguments.data / folder, file, split, arguments.queries)
                measure(database, settings, name, asked_for, arguments.cross_encoder)
        finally:
            database.close()
            server.stop()


if __name__ == "__main__":
    main()
