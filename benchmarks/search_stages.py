"""What each optional stage does to the ranking and the time of a search, beside the search without it.

SciFact (train queries) and FeedbackQA (valid questions), one chunk a document, MiniLM, hybrid. Every setting
is asked every question by a searcher of its own; differences are paired with the search that has no stage.
A stage that needs what these corpora lack (dates, labels, several chunks a document) is run for its time
only, and a cross-encoder only where one is given.

    python benchmarks/search_stages.py [--home FOLDER] [--queries 300] [--cross-encoder FOLDER]
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import random
import statistics
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from history import Figures

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
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.gates.judge import validate_version
from rag_pipelines.index.build import build_index
from rag_pipelines.index.promotion import promote
from rag_pipelines.index.versions import live_version
from rag_pipelines.query.search import Searcher
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Database
from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines.sync.engine import ingest

FIGURES = Figures("search_stages")

K = 10
SETS = {
    "scifact": ("beir-scifact", "queries.jsonl", "train"),
    "feedbackqa": ("feedbackqa", "queries_valid.jsonl", "valid"),
}


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
    report = ingest(Runtime(database, settings, embedders), name)
    print(f"{name}: {report.statuses}", flush=True)
    version = build_index(Runtime(database, settings, embedders), name)
    assert version is not None
    validate_version(Runtime(database, settings, embedders), name, version.version_id)
    promote(database, name, version.version_id)


def stage_settings(cross_encoder: str | None) -> dict[str, StageSettings]:
    """The settings that are compared."""
    compared = {
        "no stage": StageSettings(),
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


class Measured(NamedTuple):
    """What one setting gave for each question: nDCG@10, ms of stages and search; and how many it rewrote."""

    scores: list[float]
    stages: list[float]
    searches: list[float]
    rewritten: int


def ask(
    database: Database,
    settings: Settings,
    name: str,
    embedders: Embedders,
    stages: StageSettings,
    questions: Sequence[Question],
) -> Measured:
    """Every question through these stages."""
    index = settings.index(name).model_copy(update={"stages": stages})
    changed = settings.model_copy(update={"indexes": {**settings.indexes, name: index}})
    searcher = Searcher(database, changed, name, embedders)
    searcher.prepare("default")
    measured = Measured([], [], [], 0)
    rewritten = 0
    for warm_up in questions[:20]:
        searcher.search(warm_up.text, tenant="default", k=K)
    for one in questions:
        result = searcher.search(one.text, tenant="default", k=K)
        measured.scores.append(ndcg([hit.external_id for hit in result.hits], one.relevant))
        measured.stages.append(sum(step.ms for step in result.steps))
        measured.searches.append(result.search_ms)
        rewritten += bool(result.rewritten and result.rewritten.changes)
        failed = [step.note for step in result.steps if step.failed]
        if failed:
            raise SystemExit(failed[0])
    searcher.close()
    return measured._replace(rewritten=rewritten)


def line(label: str, made: Measured, plain: Measured) -> str:
    """One row: mean nDCG@10, the mean difference to the plain search with its standard error, times."""
    differences = [score - base for score, base in zip(made.scores, plain.scores, strict=True)]
    mean = sum(differences) / len(differences)
    error = math.sqrt(sum((one - mean) ** 2 for one in differences)) / len(differences)
    quality = f"nDCG@10 {sum(made.scores) / len(made.scores):.4f}  {mean:+.4f} ± {error:.4f}"
    times = "  ".join(
        f"{what} p50 {statistics.median(spent):6.2f} p95 {statistics.quantiles(spent, n=20)[18]:6.2f} ms"
        for what, spent in (("stages", made.stages), ("search", made.searches))
    )
    return f"{label:22} {quality}  {times}" + (f"  {made.rewritten} rewritten" if made.rewritten else "")


def measure(
    database: Database,
    settings: Settings,
    name: str,
    embedders: Embedders,
    questions: Sequence[Question],
    cross_encoder: str | None,
) -> None:
    """Print a row for each setting."""
    through = partial(ask, database, settings, name, embedders)
    print(f"\n{name}, {len(questions)} questions; times without the embedding")
    plain = through(StageSettings(), questions)
    for label, compared in stage_settings(cross_encoder).items():
        made = through(compared, questions)
        print(line(label, made, plain), flush=True)
        FIGURES.ratio(f"nDCG@10, {name}, {label}", sum(made.scores) / len(made.scores))
        FIGURES.ratio(
            f"time / plain, {name}, {label}",
            statistics.median(made.searches) / statistics.median(plain.searches),
        )
    spelling = StageSettings(rewriting=RewritingSettings(spelling=True))
    print(line("spelling, as typed", through(spelling, questions), plain), flush=True)
    rng = random.Random(1)
    typed = [Question(misspelt(one.text, rng), one.relevant) for one in questions]
    wrong = through(StageSettings(), typed)
    print(line("a word misspelt", wrong, plain), flush=True)
    print(line("  and mended", through(spelling, typed), wrong), flush=True)


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
                measure(database, settings, name, embedders, asked_for, arguments.cross_encoder)
        finally:
            database.close()
            server.stop()
    FIGURES.record(queries=arguments.queries, sets=arguments.sets, cross_encoder=arguments.cross_encoder)


if __name__ == "__main__":
    main()
