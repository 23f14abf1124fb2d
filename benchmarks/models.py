"""Embedding models side by side on open sets: quality, time, memory, and questions in another language.

What belongs here: which sets, which of their questions, the table. What does not: how models are compared
(`rag_pipelines.evaluation.models`), and how the sets go in (`retrieval_sets`, whose cache this shares).

- xquad-en, xquad-de: 240 paragraphs, every second question.
- xquad-de-en, xquad-en-de: the same questions asked in German of the English paragraphs, and the other way.
- feedbackqa (valid), scifact (train): 200 questions, and 500 passages with those that answer them.

Models are folders, or names that this machine knows::

    python benchmarks/models.py --cache ~/.cache/rag-retrieval all-MiniLM-L6-v2 models/multilingual-e5-small
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import msgspec
import yaml
from history import Figures
from retrieval_sets import CORPORA, DATA, configuration, publish

from rag_pipelines.config import load_config
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.evaluation.golden import read_golden
from rag_pipelines.evaluation.models import compare_models
from rag_pipelines.evaluation.questions import GoldenSet
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Database
from rag_pipelines.store.embedded import EmbeddedServer

FIGURES = Figures("models")

QUESTIONS = 200
PASSAGES = 500
INDEXES = {
    "xquad-en": "xquad-en",
    "xquad-de": "xquad-de",
    "xquad-de-en": "xquad-en",
    "xquad-en-de": "xquad-de",
    "feedbackqa": "feedbackqa",
    "scifact": "scifact",
}
"""The index that each set asks; in `xquad-de-en` German questions are asked of English paragraphs."""
COLUMNS = (
    "set", "model", "dense nDCG@10", "hit@5", "hybrid nDCG@10", "hit@5", "against the first",
    "processor ms a passage", "query ms", "MB", "vector", "halfvec", "signs", "half", "quarter", "licence",
)  # fmt: skip


def questions_of(name: str) -> GoldenSet:
    """The questions of a set, with what answers them in its index."""
    corpus = CORPORA[INDEXES[name]]
    golden = read_golden(DATA / corpus.folder, corpus.split).questions
    if not name.startswith("xquad"):
        return GoldenSet(name, golden[:QUESTIONS])
    if name not in CORPORA:
        _, language, _ = name.split("-")
        other = read_golden(DATA / "xquad" / language).questions
        asked = {one.id: one.query for one in other}
        golden = tuple(msgspec.structs.replace(one, query=asked[one.id]) for one in golden)
    return GoldenSet(name, golden[::2])


def rows(runtime: Runtime, names: Sequence[str], models: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """A row for each set and model."""
    profiles = {Path(model).name: EmbeddingProfile(model=model, device="cpu") for model in models}
    for name in names:
        found = compare_models(runtime, INDEXES[name], questions_of(name), profiles, passages=PASSAGES)
        for one in found.models:
            FIGURES.ratio(f"nDCG@10, {name}, {one.name}, dense", one.dense.ndcg)
            FIGURES.ratio(f"nDCG@10, {name}, {one.name}, hybrid", one.hybrid.ndcg)
            FIGURES.context(f"processor ms a passage, {name}, {one.name}", one.processor_ms or 0)
            yield (
                name,
                one.name,
                *(f"{value:.4f}" for side in (one.dense, one.hybrid) for value in (side.ndcg, side.hit)),
                f"{one.against_first.mean:+.4f} (p {one.against_first.p:.4f})",
                f"{one.processor_ms:.1f}",
                f"{one.query_ms:.1f}",
                f"{one.memory_mb:.0f}",
                *(f"{form.bytes}: {form.ndcg:.4f}" for form in one.forms),
                one.licence,
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "models", nargs="+", help="folders or names; the first is what others are held against"
    )
    parser.add_argument("--cache", type=Path, required=True, help="folder that keeps corpora and vectors")
    parser.add_argument("--sets", nargs="+", choices=INDEXES, default=list(INDEXES))
    arguments = parser.parse_args()
    if not DATA.is_dir():
        raise SystemExit(f"needs the corpora in {DATA} (set RAG_DATA_DIR)")
    home = arguments.cache.expanduser().resolve()
    home.mkdir(parents=True, exist_ok=True)
    indexes = list(dict.fromkeys(INDEXES[name] for name in arguments.sets))
    config = home / "models.yaml"
    config.write_text(yaml.safe_dump(configuration(home, indexes, {})))
    settings = load_config(config)
    server = EmbeddedServer(settings.postgres_dir)
    database = Database(server.start())
    embedders = Embedders(home)
    try:
        database.migrate()
        for name in indexes:
            publish(database, settings, name, embedders)
        runtime = Runtime(database, settings, embedders)
        for row in chain((COLUMNS, ["---"] * len(COLUMNS)), rows(runtime, arguments.sets, arguments.models)):
            print(f"| {' | '.join(row)} |", flush=True)
    finally:
        embedders.close()
        database.close()
        server.stop()
    FIGURES.record(sets=arguments.sets, models=[Path(model).name for model in arguments.models])


if __name__ == "__main__":
    main()
