"""Copies of documents: how surely they are told, what finding them costs, and what searches pay for it.

`quality`: pages of two open sets (a handbook in Markdown, help pages in HTML) with planted copies: edited by
so many of their words, in another format; and what is no copy: two fillings of one template, two forms, the
same in another language, other pages of the sets. A pair is found where its sketches share a band and are
alike enough. Recall is of the copies, precision of what is called a copy; pages of the sets that are nearly
one by themselves (counted: .5 and more of three words in a row) are of neither kind. Another half, on which
nothing was chosen, stands beside the first.

`scale`: generated texts, a tenth of them copies, stored as a run stores them; then single changes. Processor
seconds of this process and of the server.

`search`: one corpus, a share of it copies, asked the same questions without copies looked for and under each
policy, in turns; processor milliseconds a search, server included.

    python benchmarks/duplicates.py quality [--data FOLDER]
    python benchmarks/duplicates.py scale [--rows 100000]
    python benchmarks/duplicates.py search [--documents 3000] [--copies 0.2]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import re
import statistics
import tarfile
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import yaml
from docx import Document
from history import Figures
from markdown_it import MarkdownIt

from rag_pipelines.config import load_config
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.gates.judge import validate_version
from rag_pipelines.index.build import build_index
from rag_pipelines.index.promotion import promote
from rag_pipelines.knowledge.findings import find
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.registry import parse
from rag_pipelines.query.search import Searcher
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Database, Pg, query
from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines.store.sketches import put_sketches, sketch_profile
from rag_pipelines.sync.engine import ingest
from rag_pipelines.sync.sketches import PAGE
from rag_pipelines.text.sketch import Sketch, bits_apart, similarities, sketch_of, words_of

FIGURES = Figures("duplicates")

THRESHOLDS = (0.75, 0.8, 0.85, 0.9, 0.95)
EDITS = (0.01, 0.02, 0.05, 0.1)
"""Shares of the words that are replaced, left out or added, in runs of 1 to 15."""

SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")


class Pair(NamedTuple):
    """Two texts, what they are to each other, and whether they are copies."""

    kind: str
    copies: bool
    first: str
    second: str


def pages(data: Path) -> list[tuple[str, bytes]]:
    """The pages of both sets by name."""
    found = []
    with tarfile.open(data / "replay-sourcegraph-handbook" / "base.tar.gz") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.name.endswith(".md") else None
            if content is not None:
                found.append((member.name, content.read()))
    files = sorted((data / "feedbackqa" / "pages").rglob("*.html"))
    return found + [(file.name, file.read_bytes()) for file in files]


def text_of(name: str, content: bytes) -> str:
    """The canonical text of a file."""
    return parse(ParseRequest(content, name)).text


def edited(text: str, share: float, rng: random.Random, vocabulary: Sequence[str]) -> str:
    """The text with so many of its words changed."""
    words, changed = text.split(" "), 0
    wanted = max(round(len(words) * share), 1)
    while changed < wanted:
        run = min(rng.choice((1, 1, 1, 2, 3, 8, 15)), wanted - changed)
        at, how = rng.randrange(len(words)), rng.choice("ria")
        new = [rng.choice(vocabulary) for _ in range(run)]
        words[at : at + (0 if how == "a" else run)] = [] if how == "i" else new
        changed += run
    return " ".join(words)


def reformatted(name: str, content: bytes, text: str) -> Iterator[tuple[str, str]]:
    """The same in other formats, each with what it is called."""
    if name.endswith(".md"):
        page = MarkdownIt("commonmark").enable("table").render(content.decode())
        yield "as HTML", text_of("page.html", page.encode())
    document, file = Document(), io.BytesIO()
    for paragraph in text.split("\n"):
        document.add_paragraph(paragraph)
    document.save(file)
    yield "as DOCX", text_of("page.docx", file.getvalue())
    yield "as wrapped text", text_of("page.txt", re.sub(r"(.{60,}?)\s", r"\1\n", text).encode())


def fillings(sentences: Sequence[str], total: int, own: float, rng: random.Random) -> tuple[str, str]:
    """A template of so many sentences filled twice; `own` of them are of one filling alone."""
    skeleton = rng.sample(sentences, total)
    places = set(rng.sample(range(total), max(round(total * own), 1)))
    one, other = (
        " ".join(rng.choice(sentences) if at in places else sentence for at, sentence in enumerate(skeleton))
        for _ in range(2)
    )
    return one, other


def forms(sentences: Sequence[str], total: int, rng: random.Random) -> tuple[str, str]:
    """A form of so many sentences filled twice: one word of each is a name or a number of its own."""
    skeleton = [sentence.split() for sentence in rng.sample(sentences, total)]

    def fill() -> str:
        lines = []
        for words in skeleton:
            at = len(words) // 2
            lines.append(
                " ".join([*words[:at], f"{rng.choice('ABCDEF')}{rng.randrange(10_000)}", *words[at + 1 :]])
            )
        return " ".join(lines)

    return fill(), fill()


def translations(data: Path) -> Iterator[tuple[str, str]]:
    """Paragraphs in English and in German."""
    files = [data / "xquad" / language / "corpus.jsonl" for language in ("en", "de")]
    texts = [[json.loads(line)["text"] for line in file.open(encoding="utf-8")] for file in files]
    yield from zip(*texts, strict=True)


def pairs(data: Path) -> Iterator[Pair]:
    """Everything that is planted, in a fixed order that mixes both sets."""
    rng = random.Random(7)
    known = [(name, content, text_of(name, content)) for name, content in pages(data) if content.strip()]
    known = [one for one in known if len(words_of(one[2])) >= 80]
    rng.shuffle(known)
    vocabulary = [word for _, _, text in known for word in text.split()]
    sentences = [one for _, _, text in known for one in SENTENCE.split(text) if 6 <= len(one.split()) <= 30]
    for name, content, text in known:
        for share in EDITS:
            yield Pair(f"edited {share:.0%}", True, text, edited(text, share, rng, vocabulary))
        for kind, other in reformatted(name, content, text):
            yield Pair(kind, True, text, other)
        for own in (0.5, 0.3, 0.2, 0.1):
            yield Pair(f"template, {own:.0%} own", False, *fillings(sentences, 20, own, rng))
        yield Pair("forms", False, *forms(sentences, 15, rng))
    for one, other in translations(data):
        yield Pair("translated", False, one, other)
    yield from natural([text for _, _, text in known])


def natural(texts: Sequence[str]) -> Iterator[Pair]:
    """Pages of the sets that have some words in common, and are not nearly one by themselves."""
    shingles = [set(zip(words, words[1:], words[2:])) for words in map(words_of, texts)]  # noqa: B905
    having: dict[Any, list[int]] = defaultdict(list)
    for number, found in enumerate(shingles):
        for one in found:
            having[one].append(number)
    common = Counter(
        pair for numbers in having.values() if len(numbers) <= 60 for pair in combinations(numbers, 2)
    )
    for (one, other), count in sorted(common.items()):
        alike = count / len(shingles[one] | shingles[other])
        if 0.1 <= alike < 0.5:
            yield Pair("other pages", False, texts[one], texts[other])


def degree(first: Sketch, second: Sketch) -> float:
    """How alike two texts are for whoever looks them up: 0 where they share no band."""
    if first.words_key == second.words_key:
        return 1.0
    if not set(first.bands) & set(second.bands):
        return 0.0
    return float(similarities([first.bits], [second.bits])[0, 0])


def measure_quality(data: Path) -> None:
    """Precision and recall by threshold, of both halves, and the share that is called a copy by kind."""
    degrees: list[list[tuple[Pair, float]]] = [[], []]
    sketches: dict[str, Sketch | None] = {}
    for pair in pairs(data):
        for text in (pair.first, pair.second):
            if text not in sketches:
                sketches[text] = sketch_of(text)
        first, second = sketches[pair.first], sketches[pair.second]
        assert first is not None
        assert second is not None
        degrees[hash_of(pair.first) % 2].append((pair, degree(first, second)))
    for half, name in zip(degrees, ("chosen on", "held out"), strict=True):
        print(f"\n{name}: {len(half):,} pairs, {sum(pair.copies for pair, _ in half):,} of them copies")
        print(f"{'':<22}" + "".join(f"{threshold:>8}" for threshold in THRESHOLDS))
        rows: dict[str, list[float]] = {"precision": [], "recall": [], "F1": []}
        for threshold in THRESHOLDS:
            called = [pair.copies for pair, alike in half if alike >= threshold]
            precision = sum(called) / len(called)
            recall = sum(called) / sum(pair.copies for pair, _ in half)
            for row, value in zip(
                rows.values(), (precision, recall, 2 * precision * recall / (precision + recall)), strict=True
            ):
                row.append(value)
            FIGURES.ratio(f"precision at {threshold}, {name}", precision)
            FIGURES.ratio(f"recall at {threshold}, {name}", recall)
        for row_name, row in rows.items():
            print(f"{row_name:<22}" + "".join(f"{value:8.3f}" for value in row))
        for kind in dict.fromkeys(pair.kind for pair, _ in half):
            of_kind = [alike for pair, alike in half if pair.kind == kind]
            shares = [sum(alike >= threshold for alike in of_kind) / len(of_kind) for threshold in THRESHOLDS]
            print(f"  {kind:<20}" + "".join(f"{share:8.3f}" for share in shares) + f"   of {len(of_kind):,}")
    FIGURES.record(part="quality", data=data.name)


def hash_of(text: str) -> int:
    """A number that is the same in every process."""
    return sum(text.encode()[:200])


class Processors:
    """Processor seconds of this process and of the server's."""

    def __init__(self, pid: int) -> None:
        self._server = psutil.Process(pid)

    def seconds(self) -> tuple[float, float]:
        """Of this process, and of the server."""
        of_server = 0.0
        for process in (self._server, *self._server.children()):
            times = process.cpu_times()
            of_server += times.user + times.system
        return time.process_time(), of_server

    @contextmanager
    def running(self, what: str, count: int, told: Callable[[str, float], None]) -> Iterator[None]:
        """Print what the block took for each of `count` things."""
        before, began = self.seconds(), time.perf_counter()
        yield
        wall = time.perf_counter() - began
        own, server = (after - one for after, one in zip(self.seconds(), before, strict=True))
        each = (own + server) / count * 1000
        print(f"{what:<40} {own:8.2f} s here {server:8.2f} s server {wall:8.2f} s wall; {each:.3f} ms each")
        told(f"processor ms each, {what}", each)


@contextmanager
def server() -> Iterator[tuple[Path, Database, Processors]]:
    """A home with a server of its own."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        running = EmbeddedServer(home / "postgres")
        database = Database(running.start())
        try:
            database.migrate()
            pid = running.status().pid
            assert pid is not None
            yield home, database, Processors(pid)
        finally:
            database.close()
            running.stop()


def generated(rows: int, length: int = 300) -> Iterator[str]:
    """Texts of words as frequent as in language; a tenth are copies, of which most are edited."""
    rng = random.Random(3)
    vocabulary = [f"word{number}" for number in range(20_000)]
    weights = [1 / (rank + 10) for rank in range(len(vocabulary))]
    cumulated = [sum(weights[:1])]
    for weight in weights[1:]:
        cumulated.append(cumulated[-1] + weight)
    recent: list[list[str]] = []
    for _ in range(rows):
        if recent and rng.random() < 0.1:
            words = list(rng.choice(recent))
            for at in rng.sample(range(length), k=rng.randrange(10)):
                words[at] = rng.choice(vocabulary)
        else:
            words = rng.choices(vocabulary, cum_weights=cumulated, k=length)
            recent = [*recent[-200:], words]
        yield " ".join(words)


def store(connection: Pg, profile_id: int, contents: Sequence[tuple[bytes, Sketch]]) -> int:
    """One page as a run stores it; what it rests on is there."""
    with connection.transaction():
        return put_sketches(connection, profile_id, dict(contents))


def add_contents(connection: Pg, first: int, count: int) -> None:
    """Documents of one source with a content each, whose digests are numbers."""
    connection.execute(
        """
        WITH parsed AS (
            INSERT INTO rag.parse (raw_sha256, hint, profile_id, status, blocks_sha256, media_type)
            SELECT int8send(n), '', (SELECT min(profile_id) FROM rag.profile), 'ok', int8send(n), 'text/plain'
            FROM generate_series(%(first)s::bigint, %(last)s) AS n RETURNING parse_id, raw_sha256
        )
        INSERT INTO rag.document (
            source_id, external_id, tenant, status, token, name, path, hint, attributes_key, access_id,
            raw_sha256, raw_bytes, parse_id)
        SELECT (SELECT source_id FROM rag.source), encode(raw_sha256, 'hex'), 'default', 'ok', '', 'a', 'a',
               '', gen_random_uuid(), (SELECT access_id FROM rag.access_rule), raw_sha256, 1, parse_id
        FROM parsed
        """,
        {"first": first, "last": first + count - 1},
    )


def measure_scale(rows: int, changes: int = 200) -> None:
    """Sketching and storing, single changes, and the report over all."""
    with server() as (home, database, processors), database.connect() as connection:
        profile_id = sketch_profile(connection)
        connection.execute(
            "INSERT INTO rag.source (name, connector, tenant) VALUES ('docs', 'filesystem', 'default')"
        )
        connection.execute("INSERT INTO rag.access_rule (digest, clauses) VALUES (gen_random_uuid(), '[]')")
        add_contents(connection, 0, rows + changes)
        texts = list(generated(rows + changes))
        made: list[Sketch] = []
        with processors.running(f"sketching {rows:,} texts of 300 words", rows, FIGURES.context):
            for text in texts:
                sketch = sketch_of(text)
                assert sketch is not None
                made.append(sketch)
        contents = [(number.to_bytes(8, "big"), sketch) for number, sketch in enumerate(made)]
        copies = 0
        with processors.running(f"storing {rows:,} sketches", rows, FIGURES.context):
            for at in range(0, rows, PAGE):
                copies += store(connection, profile_id, contents[at : min(at + PAGE, rows)])
        connection.execute("VACUUM ANALYZE")
        with processors.running(f"{changes} single changes beside {rows:,}", changes, FIGURES.context):
            for at in range(rows, rows + changes):
                store(connection, profile_id, contents[at : at + 1])
        sizes = connection.execute(
            "SELECT pg_table_size('rag.sketch') AS heap, pg_indexes_size('rag.sketch') AS indexes"
        ).fetchone()
        assert sizes is not None
        heap, indexes = (sizes[name] / 1e6 for name in ("heap", "indexes"))
        print(f"{copies:,} have a copy; {heap:.0f} MB of rows, {indexes:.0f} MB of indexes")
        settings = configuration(home, database)
        with processors.running("report over all", 1, FIGURES.context):
            found = find(database, settings, ["docs"], examples=0)
        counted = sum(one.copies + one.near_copies for one in found.sources)
        print(f"{found.family_count:,} families, {counted:,} copies")
        with processors.running("metric over all", 1, FIGURES.context):
            query(connection, "metric_copies", {"sources": ["docs"], "apart": bits_apart(0.85)}).fetchall()
    FIGURES.record(part="scale", rows=rows)


def configuration(home: Path, database: Database, policy: str | None = "keep", share: float = 0.85) -> Any:
    """One folder, one index with the hash model."""
    (home / "docs").mkdir(exist_ok=True)
    index: dict[str, Any] = {"sources": ["docs"], "gates": {"min_recall": 0.5, "max_chunk_drop": 1.0}}
    if policy:
        index["duplicates"] = {"policy": policy, "similarity": share}
    file = home / "rag.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "data_dir": str(home),
                "database": {"url": database.url},
                "profiles": {"embedding": {"default": {"provider": "hash"}}},
                "sources": {
                    "docs": {
                        "connector": "filesystem",
                        "options": {"root": str(home / "docs")},
                        "access": "public",
                    }
                },
                "indexes": {"main": index},
            }
        )
    )
    return load_config(file)


def measure_search(documents: int, share: float, questions: int = 300, rounds: int = 3) -> None:
    """Processor time of searches, in turns."""
    rng = random.Random(11)
    vocabulary = [f"word{number}" for number in range(5_000)]
    with server() as (home, database, processors):
        (home / "docs").mkdir()
        own: list[str] = []
        for number in range(documents):
            if own and rng.random() < share:
                text = edited(rng.choice(own[-50:]), 0.01, rng, vocabulary)
            else:
                text = "\n\n".join(" ".join(rng.choices(vocabulary, k=60)) for _ in range(3))
                own.append(text)
            (home / "docs" / f"{number}.md").write_text(text)
        settings = configuration(home, database)
        embedders = Embedders(settings.data_dir)
        runtime = Runtime(database, settings, embedders)
        ingest(runtime, "docs")
        version = build_index(runtime, "main")
        assert version is not None
        validate_version(runtime, "main", version.version_id)
        promote(database, "main", version.version_id)
        asked = [" ".join(rng.choice(own).split()[5:11]) for _ in range(questions)]
        arms = {"off": None, "keep": "keep", "one_hit": "one_hit", "prefer": "prefer"}
        searchers = {
            name: Searcher(database, configuration(home, database, policy), "main", embedders)
            for name, policy in arms.items()
        }
        spent: dict[str, list[float]] = {name: [] for name in arms}
        walls: dict[str, list[float]] = {name: [] for name in arms}
        for searcher in searchers.values():
            for text in asked[:50]:
                searcher.search(text, tenant="default")
        for _ in range(rounds):
            for name, searcher in searchers.items():
                before = sum(processors.seconds())
                for text in asked:
                    began = time.perf_counter()
                    searcher.search(text, tenant="default")
                    walls[name].append((time.perf_counter() - began) * 1000)
                spent[name].append((sum(processors.seconds()) - before) / questions * 1000)
        print(f"{documents:,} documents, {share:.0%} of them copies; {questions} questions, {rounds} rounds")
        print(f"{'':<10}{'processor ms':>14}{'p50 ms':>10}{'hits':>8}{'copies':>8}")
        for name, searcher in searchers.items():
            results = [searcher.search(text, tenant="default") for text in asked]
            notes = [int(one.steps[0].note.split()[0]) if one.steps else 0 for one in results]
            print(
                f"{name:<10}{statistics.median(spent[name]):14.2f}{statistics.median(walls[name]):10.2f}"
                f"{statistics.mean(len(one.hits) for one in results):8.2f}{statistics.mean(notes):8.2f}"
            )
            FIGURES.ratio(
                f"processor, {name} against off",
                statistics.median(spent[name]) / statistics.median(spent["off"]),
            )
            searcher.close()
    FIGURES.record(part="search", documents=documents, copies=share)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=("quality", "scale", "search"))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("RAG_DATA_DIR", "data")))
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--documents", type=int, default=3_000)
    parser.add_argument("--copies", type=float, default=0.2)
    given = parser.parse_args()
    if given.part == "quality":
        measure_quality(given.data)
    elif given.part == "scale":
        measure_scale(given.rows)
    else:
        measure_search(given.documents, given.copies)


if __name__ == "__main__":
    main()
