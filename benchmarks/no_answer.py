"""Telling questions that the documents answer from those they do not: northwind, cross-validated.

The PDFs go through the whole pipeline with the default profiles and MiniLM; each question is searched
(hybrid). Some of the questions labelled unanswerable are answered by the PDFs after all (their notes say that
they were made up to be near), so no rule can reach 1.

    python benchmarks/no_answer.py [--home FOLDER] [--data ../shared/data]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from history import Figures

from rag_pipelines.config import load_config
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.evaluation.significance import roc
from rag_pipelines.gates.judge import validate_version
from rag_pipelines.index.build import build_index
from rag_pipelines.index.promotion import promote
from rag_pipelines.index.versions import live_version
from rag_pipelines.query.confidence import calibrate, signals_of
from rag_pipelines.query.search import Searcher
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Database
from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines.sync.engine import ingest

FIGURES = Figures("no_answer")

FOLDS = 5
REPEATS = 5


class Example(NamedTuple):
    """The signals of a question's hits, and whether the documents answer it."""

    signals: Mapping[str, float]
    answerable: bool


def configuration(data: Path, home: Path) -> dict[str, Any]:
    """One folder of PDFs, one index."""
    return {
        "data_dir": str(home),
        "sources": {
            "northwind": {
                "connector": "filesystem",
                "options": {"root": str(data / "northwind" / "data")},
                "access": "public",
            }
        },
        "indexes": {"northwind": {"sources": ["northwind"]}},
    }


def examples(data: Path, searcher: Searcher) -> list[Example]:
    """Every question of the set, searched."""
    found = []
    for file, answerable in (("questions.jsonl", True), ("questions_unanswerable.jsonl", False)):
        for line in (data / "northwind" / file).open(encoding="utf-8"):
            result = searcher.search(json.loads(line)["question"], tenant="default", k=10)
            found.append(Example(signals_of(result.hits), answerable))
    return found


def area(scored: Sequence[tuple[float, bool]]) -> float:
    """The area under the curve of all thresholds."""
    return roc(
        [score for score, label in scored if label], [score for score, label in scored if not label]
    ).area


def cross_validated(every: Sequence[Example], names: Sequence[str]) -> str:
    """Area and shares told right of questions that the calibration has not seen, over several divisions."""
    chosen = [Example({name: one.signals[name] for name in names}, one.answerable) for one in every]
    areas, right, wrong = [], {True: 0, False: 0}, {True: 0, False: 0}
    for repeat in range(REPEATS):
        mixed = random.Random(repeat).sample(chosen, len(chosen))
        scored: list[tuple[float, bool]] = []
        for fold in range(FOLDS):
            learned = [one for at, one in enumerate(mixed) if at % FOLDS != fold]
            calibration = calibrate([(one.signals, one.answerable) for one in learned])
            for one in mixed[fold::FOLDS]:
                probability = calibration.probability(one.signals)
                scored.append((probability, one.answerable))
                told_right = (probability >= calibration.threshold) == one.answerable
                (right if told_right else wrong)[one.answerable] += 1
        areas.append(area(scored))
    kept, refused = (right[kind] / (right[kind] + wrong[kind]) for kind in (True, False))
    FIGURES.ratio(f"area, {' + '.join(names)}", sum(areas) / REPEATS)
    FIGURES.ratio(f"answered rightly, {' + '.join(names)}", kept)
    FIGURES.ratio(f"refused rightly, {' + '.join(names)}", refused)
    return (
        f"{' + '.join(names):18} area {sum(areas) / REPEATS:.3f}; "
        f"answered {kept:.1%} of the answerable, refused {refused:.1%} of the others"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("RAG_DATA_DIR", "../shared/data")))
    parser.add_argument("--home", type=Path, help="a folder that keeps the index for another run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rag-no-answer-") as temporary:
        home = arguments.home or Path(temporary)
        home.mkdir(parents=True, exist_ok=True)
        server = EmbeddedServer(home / "postgres")
        database = Database(server.start())
        database.migrate()
        path = home / "no_answer.yaml"
        path.write_text(yaml.safe_dump(configuration(arguments.data.resolve(), home)))
        settings = load_config(path)
        embedders = Embedders(settings.data_dir)
        with database.connection() as connection:
            live = live_version(connection, "northwind")
        if live is None:
            ingest(Runtime(database, settings, embedders), "northwind")
            version = build_index(Runtime(database, settings, embedders), "northwind")
            assert version is not None
            validate_version(Runtime(database, settings, embedders), "northwind", version.version_id)
            promote(database, "northwind", version.version_id)
        searcher = Searcher(database, settings, "northwind", embedders)
        every = examples(arguments.data, searcher)
        answerable = sum(one.answerable for one in every)
        print(f"{answerable} answerable and {len(every) - answerable} unanswerable questions")
        for names in (["dense"], ["lexical"], ["dense", "lexical"]):
            print(cross_validated(every, names))
        print(calibrate([(one.signals, one.answerable) for one in every]))
        searcher.close()
        database.close()
        server.stop()
    FIGURES.record()


if __name__ == "__main__":
    main()
