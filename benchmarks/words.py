"""How text is read for the lexical index: what it finds, in which language, and what reading costs.

What belongs here: the functions of `sql/objects/01_words.sql` beside Postgres' own parser, under one
BM25 in memory. What does not: the search statement (`retrieval_sets`, `search_latency`).

- Ranking: nDCG@10 on beir-scifact (train), feedbackqa (valid), cranfield, xquad (en, de).
- Languages: xquad en and de in one index, with one language for all of it and with the language of each text.
- Cost: processor time of the server and size of the words, over the passages of these sets.

    python benchmarks/words.py
"""

from __future__ import annotations

import heapq
import json
import math
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import ir_measures
import psutil
import psycopg
from history import Figures
from rich.console import Console
from rich.table import Table

from rag_pipelines.evaluation.golden import read_golden
from rag_pipelines.evaluation.significance import difference
from rag_pipelines.store.database import Database
from rag_pipelines.store.embedded import EmbeddedServer

FIGURES = Figures("words")

DATA = Path(os.environ.get("RAG_DATA_DIR", Path(__file__).resolve().parents[2] / "shared" / "data"))
K1, B = 1.2, 0.75
DEPTH = 100
REPEATS = 5

PARSER = "to_tsvector('{}', content)"
WORDS = "rag.words('{}', content)"
QUESTION = "rag.question_words('{{{}}}', content)"
TOLD = "rag.words(rag.language_of(NULL, content, 'english', '{\"de\": \"german\"}'), content)"
ASKED = "rag.question_words('{english,german}', content)"


class Corpus(NamedTuple):
    """Passages by id, and questions with the ids and grades of what answers them."""

    passages: dict[str, str]
    questions: list[tuple[str, dict[str, int]]]


def corpus(folder: str, split: str | None) -> Corpus:
    """A judged set in BEIR form."""
    passages = {}
    with (DATA / folder / "corpus.jsonl").open(encoding="utf-8") as file:
        for row in map(json.loads, file):
            passages[row["_id"]] = f"{row.get('title') or ''}\n{row['text']}".strip()
    questions = [
        (question.query, {one.id or "": one.grade for one in question.expect or ()})
        for question in read_golden(DATA / folder, split).questions
    ]
    return Corpus(passages, questions)


class Reader:
    """Texts read by the server."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        connection.execute("SET max_parallel_workers_per_gather = 0")

    def fill(self, texts: Sequence[str]) -> None:
        """Put texts where expressions read them."""
        self._connection.execute("DROP TABLE IF EXISTS texts")
        self._connection.execute("CREATE TEMPORARY TABLE texts (place int, content text)")
        with self._connection.cursor().copy("COPY texts FROM STDIN") as copy:
            for row in enumerate(texts):
                copy.write_row(row)

    def read(self, texts: Sequence[str], expression: str) -> list[dict[str, int]]:
        """The words of each text, with how often it has them."""
        self.fill(texts)
        found: list[dict[str, int]] = [{} for _ in texts]
        rows = self._connection.execute(
            f"SELECT place, lexeme, coalesce(cardinality(positions), 1) FROM texts, unnest({expression})"
        )
        for place, word, times in rows:
            found[place][word] = times
        return found

    def lengths(self, expression: str) -> list[int]:
        """The lengths of the texts filled in, as they count for BM25."""
        rows = self._connection.execute(f"SELECT rag.text_length({expression}) FROM texts ORDER BY place")
        return [length for (length,) in rows]

    def cost(self, expression: str) -> tuple[float, float]:
        """Milliseconds of processor time, and megabytes, for the texts filled in."""
        backend = psutil.Process(self._connection.info.backend_pid)
        before = sum(backend.cpu_times()[:2])
        for _ in range(REPEATS):
            self._connection.execute(f"SELECT sum(length({expression})) FROM texts")
        spent = (sum(backend.cpu_times()[:2]) - before) * 1000 / REPEATS
        row = self._connection.execute(f"SELECT sum(pg_column_size({expression})) FROM texts").fetchone()
        assert row is not None
        return spent, row[0] / 1e6


def ndcg(reader: Reader, judged: Corpus, passages: str, questions: str) -> list[float]:
    """nDCG@10 of each question under BM25."""
    read = reader.read(list(judged.passages.values()), passages)
    lengths = reader.lengths(passages)
    average = sum(lengths) / len(lengths)
    postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for place, words in enumerate(read):
        for word, times in words.items():
            saturation = K1 * (1 - B + B * lengths[place] / average)
            postings[word].append((place, times * (K1 + 1) / (times + saturation)))
    ids = list(judged.passages)
    ranked: dict[str, dict[str, float]] = {}
    for number, words in enumerate(reader.read([text for text, _ in judged.questions], questions)):
        scores: dict[str, float] = defaultdict(float)
        for word in words:
            found = postings.get(word, [])
            idf = math.log(1 + (len(ids) - len(found) + 0.5) / (len(found) + 0.5))
            for place, weight in found:
                scores[ids[place]] += idf * weight
        ranked[str(number)] = dict(heapq.nlargest(DEPTH, scores.items(), key=itemgetter(1)))
    grades = {str(number): grades for number, (_, grades) in enumerate(judged.questions)}
    figures = ir_measures.iter_calc([ir_measures.nDCG @ 10], grades, ranked)
    values = {one.query_id: float(one.value) for one in figures}
    return [values.get(number, 0.0) for number in grades]


def main() -> None:
    if not DATA.is_dir():
        raise SystemExit(f"needs the corpora in {DATA} (set RAG_DATA_DIR)")
    english, german = corpus("xquad/en", None), corpus("xquad/de", None)
    sets = {
        "scifact": (corpus("beir-scifact", "train"), "english"),
        "feedbackqa": (corpus("feedbackqa", "valid"), "english"),
        "cranfield": (corpus("cranfield", None), "english"),
        "xquad-en": (english, "english"),
        "xquad-de": (german, "german"),
    }
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = EmbeddedServer(Path(folder) / "postgres")
        database = Database(server.start())
        database.migrate()
        try:
            with psycopg.connect(database.url, autocommit=True) as connection:
                reader = Reader(connection)
                show("nDCG@10 of BM25", ("set", "parser", "words", "difference"), ranking(reader, sets))
                show(
                    "xquad en and de in one index",
                    ("read as", "en", "de", "both"),
                    languages(reader, english, german),
                )
                reader.fill([text for judged, _ in sets.values() for text in judged.passages.values()])
                show("cost", ("read by", "ms", "MB"), costs(reader))
        finally:
            database.close()
            server.stop()
    FIGURES.record()


def ranking(reader: Reader, sets: dict[str, tuple[Corpus, str]]) -> Iterator[tuple[str, ...]]:
    """Postgres' parser and ours on each set, with the paired difference."""
    for name, (judged, language) in sets.items():
        parser, words = (
            ndcg(reader, judged, texts.format(language), questions.format(language))
            for texts, questions in ((PARSER, PARSER), (WORDS, QUESTION))
        )
        one = difference(parser, words)
        FIGURES.ratio(f"nDCG@10 of words / parser, {name}", sum(words) / sum(parser))
        FIGURES.ratio(f"nDCG@10, {name}", sum(words) / len(words))
        yield name, _mean(parser), _mean(words), f"{one.mean:+.4f} (p {one.p:.3f})"


def languages(reader: Reader, english: Corpus, german: Corpus) -> Iterator[tuple[str, ...]]:
    """One language for all, and each text's own."""
    both = Corpus({**english.passages, **german.passages}, [*english.questions, *german.questions])
    count = len(english.questions)
    for name, passages, questions in (
        ("english", WORDS.format("english"), QUESTION.format("english")),
        ("german", WORDS.format("german"), QUESTION.format("german")),
        ("its own language", TOLD, ASKED),
    ):
        figures = ndcg(reader, both, passages, questions)
        yield name, _mean(figures[:count]), _mean(figures[count:]), _mean(figures)


def costs(reader: Reader) -> Iterator[tuple[str, ...]]:
    """Time and size of reading the texts filled in."""
    for name, how in (
        ("parser", PARSER.format("english")),
        ("words", WORDS.format("english")),
        ("words in their language", TOLD),
    ):
        spent, size = reader.cost(how)
        FIGURES.context(f"ms, {name}", spent)
        yield name, f"{spent:.0f}", f"{size:.1f}"


def _mean(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):.4f}"


def show(title: str, columns: Sequence[str], rows: Iterator[tuple[str, ...]]) -> None:
    """Print a table."""
    made = Table(*columns, title=title, title_justify="left")
    for row in rows:
        made.add_row(*row)
    Console(width=120).print(made)


if __name__ == "__main__":
    main()
