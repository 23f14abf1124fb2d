"""Ranking on judged sets: dense, lexical and hybrid with one setting for all, beside the published figures.

What belongs here: the corpora, how they go in, and the tables. What does not: measures and tests (those are
the package's own: `rag_pipelines.evaluation`).

- beir-scifact (train), feedbackqa (valid), xquad (en, de), cranfield: one chunk a document, title and text,
  ranking to depth 100. Published: the cards of the data. Hybrid is tested against both sides, paired.
- feedbackqa-pages: the same questions on the HTML pages, end to end with the default chunking. A passage
  counts as found where one chunk holds more than half of its words; "packed" where one passage of a context
  of 4,000 tokens does.
- families: documents that look alike (`families`), of which one has the answer: the right document first, the
  right passage first, and by what tells them apart.
- identifiers: codes and numbers that one passage of a judged set has, asked alone: whether it comes first.
- typing errors: the questions of the judged sets with two errors each, hybrid, with and without spelling.
- northwind: PDFs; the cited page, give or take one, among the first 5; and whether unanswerable questions can
  be told by the confidence.

Corpora, vectors and the vectors of questions stay in the cache folder, so that only the first run embeds::

    python benchmarks/retrieval_sets.py --cache ~/.cache/rag-retrieval [--sets scifact xquad-de]
        [--fusion method=rrf dense_weight=0.5]
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import pickle
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml
from families import PLACES, write_families
from history import Figures
from rich.console import Console
from rich.table import Table

from rag_pipelines.config import load_config
from rag_pipelines.config.query import RewritingSettings
from rag_pipelines.config.settings import FusionSettings, Settings
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.evaluation.comparison import differences, pair_answers
from rag_pipelines.evaluation.embeddings import RememberingEmbedders
from rag_pipelines.evaluation.golden import read_golden
from rag_pipelines.evaluation.questions import GoldenSet, Question, Reference
from rag_pipelines.evaluation.run import ALL, Run, Setting, evaluate, summary
from rag_pipelines.gates.judge import validate_version
from rag_pipelines.index.build import build_index
from rag_pipelines.index.promotion import promote
from rag_pipelines.query.hits import Mode
from rag_pipelines.query.search import Searcher
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Database
from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines.sync.engine import ingest

FIGURES = Figures("retrieval_sets")

DATA = Path(os.environ.get("RAG_DATA_DIR", Path(__file__).resolve().parents[2] / "shared" / "data"))
MODES: tuple[Mode, ...] = ("dense", "lexical", "hybrid")
DEPTH = 100
PACKED_TOKENS = 4_000
MEASURES = ("nDCG@10", "R@10", "R@100", "RR@10")


class Corpus(NamedTuple):
    """A judged set in BEIR form, and its published nDCG@10 of MiniLM and of BM25."""

    folder: str
    split: str | None
    language: str
    dense: float | None
    lexical: float


CORPORA = {
    "scifact": Corpus("beir-scifact", "train", "english", 0.6602, 0.6960),
    "feedbackqa": Corpus("feedbackqa", "valid", "english", None, 0.5267),
    "xquad-en": Corpus("xquad/en", None, "english", 0.9436, 0.9649),
    "xquad-de": Corpus("xquad/de", None, "german", 0.7032, 0.9252),
    "cranfield": Corpus("cranfield", None, "english", None, 0.3515),
}
IDENTIFIER = re.compile(
    r"(?<![\w./-])(?=[\w./-]*\d)(?=[\w./-]*[A-Za-z])(?![\w./-]*[a-z]{3})"
    r"(?=[\w./-]{4})[A-Za-z0-9]+(?:[-_./][A-Za-z0-9]+)*(?![\w-])"
)
"""Letters and digits, without a word among them."""

IDENTIFIERS, MISTYPED, SEED = 150, 200, 7
"""So many identifiers, and questions with errors, of each set."""

PAGES = "feedbackqa-pages"
NORTHWIND = "northwind"
FAMILIES = "families"
FOLDERS = {PAGES: DATA / "feedbackqa/pages", NORTHWIND: DATA / "northwind/data"}
SETS = (*CORPORA, *FOLDERS, FAMILIES)


def configuration(home: Path, names: Sequence[str], fusion: Mapping[str, Any]) -> dict[str, Any]:
    """The pipeline a user would write for these corpora."""
    sources: dict[str, Any] = {}
    indexes: dict[str, Any] = {}
    for name in names:
        index: dict[str, Any] = {"sources": [name], "fusion": dict(fusion), "gates": {"min_recall": 0.8}}
        if name in CORPORA:
            rows = str(DATA / CORPORA[name].folder / "corpus.jsonl")
            columns = {"id": "_id", "text": "text", "title": "title"}
            sources[name] = {"connector": "records", "options": {"path": rows, **columns}, "access": "public"}
            index |= {"chunking": "whole", "lexical": {"language": CORPORA[name].language}}
        else:
            options = {"root": str(FOLDERS.get(name, home / FAMILIES))}
            sources[name] = {"connector": "filesystem", "options": options, "access": "public"}
        indexes[name] = index
    whole = {"whole_document": True, "context": ["title"]}
    return {
        "data_dir": str(home),
        "profiles": {"chunking": {"whole": whole}, "embedding": {"default": {"model": "all-MiniLM-L6-v2"}}},
        "sources": sources,
        "indexes": indexes,
    }


def publish(database: Database, settings: Settings, name: str, embedders: Embedders) -> None:
    """Ingest a corpus and make its index live, where anything changed since the last run."""
    began = time.perf_counter()
    report = ingest(Runtime(database, settings, embedders), name)
    version = build_index(Runtime(database, settings, embedders), name, if_changed=True)
    if version is not None:
        validate_version(Runtime(database, settings, embedders), name, version.version_id)
        promote(database, name, version.version_id)
    print(
        f"{name}: {report.statuses}, {report.embedded} embedded, {time.perf_counter() - began:.0f} s",
        flush=True,
    )


class Bench:
    """A database with the corpora, and the way to ask it."""

    def __init__(self, database: Database, settings: Settings, embedders: Embedders) -> None:
        self.database = database
        self.settings = settings
        self.embedders = embedders

    def ask(self, index: str, golden: GoldenSet, mode: Mode, *, k: int = 10, depth: int | None = None) -> Run:
        """The golden set in one mode."""
        setting = Setting(mode=mode, k=k, depth=depth)
        return evaluate(Runtime(self.database, self.settings, self.embedders), index, golden, setting=setting)

    def spelled(self, index: str, spelling: bool) -> Bench:
        """The same where the words of questions are mended, or are not."""
        chosen = self.settings.index(index)
        rewriting = RewritingSettings(spelling=spelling)
        stages = chosen.stages.model_copy(update={"rewriting": rewriting})
        indexes = {**self.settings.indexes, index: chosen.model_copy(update={"stages": stages})}
        return Bench(self.database, self.settings.model_copy(update={"indexes": indexes}), self.embedders)


def ranking_rows(bench: Bench, name: str) -> Iterator[tuple[str, ...]]:
    """The rows of one set: a mode each, with hybrid against the others."""
    corpus = CORPORA[name]
    golden = read_golden(DATA / corpus.folder, corpus.split)
    runs = {mode: bench.ask(name, golden, mode, depth=DEPTH) for mode in MODES}
    published = {"dense": corpus.dense, "lexical": corpus.lexical}
    for mode, run in runs.items():
        found = summary(run)
        FIGURES.ratio(f"nDCG@10, {name}, {mode}", found.figures[ALL]["nDCG@10"].mean)
        FIGURES.context(f"p50 ms, {name}, {mode}", found.p50_ms)
        versus = [""] * 2
        if mode == "hybrid":
            versus = [_against(runs[side], run) for side in ("dense", "lexical")]
        yield (
            name,
            mode,
            *(f"{found.figures[ALL][measure].mean:.4f}" for measure in MEASURES),
            f"{published[mode]:.4f}" if published.get(mode) else "",
            *versus,
            f"{found.p50_ms:.0f} / {found.p95_ms:.0f}",
        )


def _against(side: Run, hybrid: Run) -> str:
    one = differences(pair_answers(side, hybrid))["nDCG@10"]
    return f"{one.mean:+.4f} (p {one.p:.4f})"


def page_rows(bench: Bench) -> Iterator[tuple[str, ...]]:
    """End to end on the HTML pages: the right page, and the right passage of it."""
    folder = DATA / "feedbackqa"
    with (folder / "passage_to_page.tsv").open(encoding="utf-8") as file:
        page_of = dict(csv.reader(file, delimiter="\t"))
    with (folder / "corpus.jsonl").open(encoding="utf-8") as file:
        words_of = {row["_id"]: _words(row["text"]) for row in map(json.loads, file)}
    questions = read_golden(folder, "valid").questions
    for mode in MODES:
        searcher = Searcher(bench.database, bench.settings, PAGES, bench.embedders)
        right: Counter[str] = Counter()
        for question in questions:
            (gold,) = (one.id or "" for one in question.expect or ())
            page = page_of[gold].removeprefix("pages/")
            result = searcher.search(question.query, tenant="default", mode=mode, k=10)
            found = result.hits
            holds = [
                hit.path == page and _holds([*hit.heading_path, hit.text], words_of[gold]) for hit in found
            ]
            right["packed"] += any(
                one.citation.external_id == page
                and _holds([*one.citation.heading_path, one.text], words_of[gold])
                for one in searcher.pack(result, PACKED_TOKENS).passages
            )
            for k in (1, 5, 10):
                right[f"page@{k}"] += page in {hit.path for hit in found[:k]}
                right[f"passage@{k}"] += any(holds[:k])
        searcher.close()
        FIGURES.ratio(f"passage@5 end to end, {mode}", right["passage@5"] / len(questions))
        shares = [right[f"{what}@{k}"] / len(questions) for what in ("page", "passage") for k in (1, 5, 10)]
        yield (mode, *(f"{share:.4f}" for share in [*shares, right["packed"] / len(questions)]))


def _holds(text: Sequence[str], wanted: Counter[str]) -> bool:
    """Whether a text holds more than half of the wanted words."""
    return (_words(" ".join(text)) & wanted).total() * 2 > wanted.total()


def identifiers(name: str) -> GoldenSet:
    """Codes and numbers that one passage of a set has, and no other has as a part of a word."""
    passages = list(map(json.loads, (DATA / CORPORA[name].folder / "corpus.jsonl").open(encoding="utf-8")))
    holders: dict[str, list[str]] = {}
    for row in passages:
        for word in set(IDENTIFIER.findall(row["text"])):
            holders.setdefault(word, []).append(row["_id"])
    everything = "\n".join(row["text"] for row in passages).lower()
    unique = [word for word, ids in holders.items() if len(ids) == 1 and everything.count(word.lower()) == 1]
    chosen = random.Random(SEED).sample(sorted(unique), min(IDENTIFIERS, len(unique)))
    questions = (Question(id=word, query=word, expect=(Reference(id=holders[word][0]),)) for word in chosen)
    return GoldenSet(f"{name}-identifiers", tuple(questions))


def identifier_rows(bench: Bench, names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """How often the passage with an identifier comes first, set by set, and over all."""
    first: Counter[tuple[str, Mode]] = Counter()
    asked: Counter[str] = Counter()
    for name in names:
        golden = identifiers(name)
        for part in (name, ALL):
            asked[part] += len(golden.questions)
        for mode in MODES:
            for answer in bench.ask(name, golden, mode, k=1).answers:
                first.update({(part, mode): answer.figures["Success@1"] for part in (name, ALL)})
    for part in asked:
        shares = [first[part, mode] / asked[part] for mode in MODES]
        yield (part, f"{asked[part]}", *(f"{share:.4f}" for share in shares))
        if part == ALL:
            FIGURES.ratio("identifiers first, hybrid", shares[-1])


def mistyped(golden: GoldenSet) -> GoldenSet:
    """The questions with an error in each of two longer words: a letter less, more, another, or swapped."""
    rng = random.Random(SEED)

    def spoil(text: str) -> str:
        words = list(re.finditer(r"[^\W\d_]{5,}", text))
        for match in sorted(rng.sample(words, min(2, len(words))), key=lambda one: -one.start()):
            word, at = match[0], rng.randrange(1, len(match[0]) - 1)
            letter = rng.choice("abcdefghijklmnopqrstuvwxyz")
            error = rng.choice(
                (word[at + 1] + word[at], word[at + 1], letter + word[at:][:2], letter + word[at + 1])
            )
            text = text[: match.start()] + word[:at] + error + word[at + 2 :] + text[match.end() :]
        return text

    spoiled = (msgspec.structs.replace(one, query=spoil(one.query)) for one in golden.questions)
    return GoldenSet(f"{golden.name}-mistyped", tuple(spoiled))


def typing_rows(bench: Bench, name: str) -> Iterator[tuple[str, ...]]:
    """nDCG@10 in hybrid: clean and mistyped questions, as they are and mended."""
    corpus = CORPORA[name]
    golden = read_golden(DATA / corpus.folder, corpus.split)
    chosen = random.Random(SEED).sample(golden.questions, min(MISTYPED, len(golden.questions)))
    clean = GoldenSet(f"{name}-sample", tuple(chosen))
    found: list[float] = []
    for golden in (clean, mistyped(clean)):
        for spelling in (False, True):
            run = bench.spelled(name, spelling).ask(name, golden, "hybrid")
            found.append(summary(run).figures[ALL]["nDCG@10"].mean)
    as_typed, mended, spoiled, rescued = found
    lost = as_typed - spoiled
    FIGURES.ratio(f"given back of what two typing errors cost, {name}", (rescued - spoiled) / lost)
    yield (
        name,
        *(f"{one:.4f}" for one in found),
        f"{mended - as_typed:+.4f}",
        f"{(rescued - spoiled) / lost:.1%}",
    )


def _words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text.lower()))


def northwind_rows(bench: Bench) -> Iterator[tuple[str, ...]]:
    """Document, page and refusal."""
    folder = DATA / "northwind"
    answerable = map(json.loads, (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines())
    unanswerable = (folder / "questions_unanswerable.jsonl").read_text(encoding="utf-8").splitlines()
    golden = GoldenSet(
        NORTHWIND,
        (
            *(
                Question(
                    id=row["_id"],
                    query=row["question"],
                    expect=tuple(Reference(path=one["doc"], page=one["page"]) for one in row["citations"]),
                )
                for row in answerable
            ),
            *(
                Question(id=row["_id"], query=row["question"], unanswerable=True)
                for row in map(json.loads, unanswerable)
            ),
        ),
    )
    for mode in MODES:
        found = summary(bench.ask(NORTHWIND, golden, mode, k=5))
        roc = found.no_answer
        assert roc is not None
        figures = (f"{found.figures[ALL][name].mean:.4f}" for name in ("Success@5", "RR@5", "Page@5"))
        yield (mode, *figures, f"{roc.area:.3f}", f"{roc.threshold:.3f}", f"{roc.correct:.1%}")


def family_rows(bench: Bench, golden: GoldenSet) -> Iterator[tuple[str, ...]]:
    """The right one of the documents that look alike, and in hybrid by the place that tells which it is."""
    for mode in MODES:
        first = summary(bench.ask(FAMILIES, golden, mode, k=1)).figures
        five = summary(bench.ask(FAMILIES, golden, mode, k=5)).figures[ALL]["Success@5"].mean
        FIGURES.ratio(f"hit@1, families, {mode}", first[ALL]["Success@1"].mean)
        told = (f"{first[f'tag=told:{place}']['Success@1'].mean:.2f}" for place in PLACES)
        document, passage = (first[ALL][name].mean for name in ("Success@1", "Context_R@1"))
        yield (mode, f"{document:.4f}", f"{passage:.4f}", f"{five:.4f}", *told)


@contextmanager
def kept_vectors(path: Path) -> Iterator[dict[Any, Any]]:
    """Vectors of questions, read from a file and written back; made by this program only."""
    known = pickle.loads(path.read_bytes()) if path.exists() else {}
    try:
        yield known
    finally:
        path.write_bytes(pickle.dumps(known))


def table(title: str, columns: Sequence[str], rows: Iterator[tuple[str, ...]]) -> None:
    """Print rows as they come to be known."""
    made = Table(title=title, title_justify="left")
    for column in columns:
        made.add_column(column)
    for row in rows:
        made.add_row(*row)
        if row[1] == MODES[-1]:
            made.add_section()
    Console(width=160).print(made)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cache", type=Path, required=True, help="folder that keeps corpora and vectors")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument(
        "--fusion", nargs="*", default=[], metavar="KEY=VALUE", help="instead of the defaults"
    )
    arguments = parser.parse_args()
    if not DATA.is_dir():
        raise SystemExit(f"needs the corpora in {DATA} (set RAG_DATA_DIR)")
    fusion = FusionSettings.model_validate(dict(pair.split("=", 1) for pair in arguments.fusion)).model_dump()
    home = arguments.cache.expanduser().resolve()
    home.mkdir(parents=True, exist_ok=True)
    families = write_families(home / FAMILIES)
    config = home / "rag.yaml"
    config.write_text(yaml.safe_dump(configuration(home, arguments.sets, fusion)))
    settings = load_config(config)
    server = EmbeddedServer(settings.postgres_dir)
    database = Database(server.start())
    database.migrate()
    try:
        with kept_vectors(home / "questions.pickle") as known:
            embedders = Embedders(home)
            for name in arguments.sets:
                publish(database, settings, name, embedders)
            bench = Bench(database, settings, RememberingEmbedders(embedders, known))
            _tables(bench, arguments.sets, fusion, families)
    finally:
        database.close()
        server.stop()
    FIGURES.record(sets=arguments.sets, fusion=fusion)


def _tables(bench: Bench, names: Sequence[str], fusion: Mapping[str, Any], families: GoldenSet) -> None:
    judged = [name for name in names if name in CORPORA]
    if judged:
        columns = ("set", "mode", *MEASURES, "published", "against dense", "against lexical", "p50 / p95 ms")
        ranked = (row for name in judged for row in ranking_rows(bench, name))
        table(f"fusion {fusion}; times without embedding the question", columns, ranked)
        table("identifiers, first hit", ("set", "questions", *MODES), identifier_rows(bench, judged))
        spelled = (
            "set",
            "clean",
            "clean, mended",
            "two errors",
            "errors, mended",
            "mending clean",
            "given back",
        )
        table("typing errors", spelled, (row for name in judged for row in typing_rows(bench, name)))
    if PAGES in names:
        shares = ("mode", *(f"{what}@{k}" for what in ("page", "passage") for k in (1, 5, 10)), "packed")
        table("feedbackqa, end to end from HTML", shares, page_rows(bench))
    if NORTHWIND in names:
        cited = ("mode", "document@5", "RR@5", "page@5", "ROC area", "threshold", "judged rightly")
        table("northwind", cited, northwind_rows(bench))
    if FAMILIES in names:
        shown = ("mode", "document@1", "passage@1", "document@5", *PLACES)
        table("families; document@1 by what tells the document", shown, family_rows(bench, families))


if __name__ == "__main__":
    main()
