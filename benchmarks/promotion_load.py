"""What promotions, rollbacks and the collection of old versions cost the searches that run meanwhile.

What belongs here: an index of cranfield (1,400 abstracts) in versions of differently cut chunks, clients
that search without a pause, and what is done to the index under them. What does not: the model, which a
promotion does not touch (vectors are those of `hash`).

Every answer is compared, passage by passage, with what its version gives when it is asked alone: an answer
that is another's, or partly another's, is mixed. Beside the latency, which is the machine's as much as ours,
stands the longest time that a search waited for a lock of Postgres, sampled every few milliseconds. The exit
status is 1 if a search failed, mixed two versions, or waited longer than `LONGEST_MS` for a lock.

    python benchmarks/promotion_load.py [--clients 2] [--seconds 6]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import yaml
from history import Figures

from rag_pipelines.config import load_config
from rag_pipelines.config.settings import Settings
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.errors import RagError
from rag_pipelines.gates.judge import validate_version
from rag_pipelines.index.build import build_index
from rag_pipelines.index.promotion import collect_versions, promote, rollback
from rag_pipelines.index.versions import Version
from rag_pipelines.query.hits import Result
from rag_pipelines.query.search import Searcher
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Database
from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines.sync.engine import ingest

FIGURES = Figures("promotion_load")

DATA = Path(os.environ.get("RAG_DATA_DIR", Path(__file__).resolve().parents[2] / "shared" / "data"))
CORPUS = DATA / "cranfield"
INDEX = "abstracts"
QUESTIONS = 40
LONGEST_MS = 60.0
HELD_S = 4.0
"""How long the reader's transaction stays open."""

LOCK_WAIT = """
    SELECT coalesce(max(extract(epoch FROM clock_timestamp() - waitstart)), 0)::float8 * 1000 AS ms
    FROM pg_locks WHERE NOT granted AND mode = 'AccessShareLock'"""
"""Searches lock their tables so; who drops one locks it otherwise."""

CHUNKERS = ({"strategy": "recursive", "max_tokens": 120}, {"strategy": "recursive", "max_tokens": 60})


class Phase(msgspec.Struct):
    """What the searches of one phase met."""

    name: str
    took_ms: list[float] = []
    failures: list[str] = []
    mixed: int = 0
    versions: set[int] = set()
    lock_ms: float = 0.0


class Trial:
    """A database with a live version, candidates that passed their gates, and what each version answers."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.server = EmbeddedServer(home / "postgres")
        self.database = Database(self.server.start())
        self.database.migrate()
        self.embedders = Embedders(home)
        lines = (CORPUS / "queries.jsonl").read_text(encoding="utf-8").splitlines()
        self.questions = [json.loads(line)["text"] for line in lines[:: len(lines) // QUESTIONS]]
        self.versions = [self.candidate(chunker) for chunker in (*CHUNKERS, *CHUNKERS)]
        promote(self.database, INDEX, self.versions[0].version_id)
        self.right = {version.version_id: self.answers(version) for version in self.versions}

    @property
    def settings(self) -> Settings:
        """The configuration as it was written last."""
        return load_config(self.home / "rag.yaml")

    def candidate(self, chunker: dict[str, Any]) -> Version:
        """A full build with these chunks, judged."""
        columns = {"id": "_id", "text": "text", "title": "title", "path": str(CORPUS / "corpus.jsonl")}
        document = {
            "data_dir": str(self.home),
            "profiles": {
                "chunking": {"default": chunker},
                "embedding": {"default": {"provider": "hash"}},
            },
            "sources": {INDEX: {"connector": "records", "options": columns, "access": "public"}},
            "indexes": {
                INDEX: {
                    "sources": [INDEX],
                    "gates": {"min_recall": 0, "max_chunk_drop": 1},
                    "keep": {"versions": 0, "age": "0s"},
                }
            },
        }
        (self.home / "rag.yaml").write_text(yaml.safe_dump(document))
        settings = self.settings
        ingest(Runtime(self.database, settings, self.embedders), INDEX)
        version = build_index(Runtime(self.database, settings, self.embedders), INDEX, full=True)
        assert version is not None
        validate_version(Runtime(self.database, settings, self.embedders), INDEX, version.version_id)
        return version

    def searcher(self, **options: Any) -> Searcher:
        """Somebody who searches."""
        return Searcher(self.database, self.settings, INDEX, self.embedders, **options)

    def answers(self, version: Version) -> dict[str, list[str]]:
        """What a version answers when it is asked alone."""
        with closing(self.searcher(version=version.version_id)) as searcher:
            return {text: passages(searcher.search(text, tenant="default")) for text in self.questions}

    def note(self, phase: Phase, searcher: Searcher, text: str) -> None:
        """Search once and write down what came of it."""
        began = time.perf_counter()
        try:
            result = searcher.search(text, tenant="default")
        except RagError as error:
            phase.failures.append(str(error))
            return
        phase.took_ms.append((time.perf_counter() - began) * 1000)
        phase.mixed += passages(result) != self.right[result.version][text]
        phase.versions.add(result.version)

    @contextmanager
    def load(self, name: str, clients: int) -> Iterator[Phase]:
        """Searches without a pause while the block runs."""
        phase, stop = Phase(name), threading.Event()

        def ask(first: int) -> None:
            for text in itertools.islice(itertools.cycle(self.questions), first, None):
                if stop.is_set():
                    return
                self.note(phase, searcher, text)

        def watch() -> None:
            with self.database.connect() as connection:
                while not stop.wait(0.003):
                    row = connection.execute(LOCK_WAIT).fetchone()
                    phase.lock_ms = max(phase.lock_ms, row["ms"] if row else 0.0)

        with closing(self.searcher()) as searcher, ThreadPoolExecutor(clients + 1) as threads:
            self.note(Phase("warm up"), searcher, self.questions[0])
            work = [threads.submit(ask, 7 * client) for client in range(clients)]
            work.append(threads.submit(watch))
            try:
                yield phase
            finally:
                stop.set()
            for one in work:
                one.result()

    @contextmanager
    def reader(self) -> Iterator[None]:
        """A transaction that has read every version's tables and stays open for `HELD_S`."""
        tables = [
            f"rag.{kind}_{v.storage}" for v in self.versions for kind in ("vectors", "lexical", "terms")
        ]
        with self.database.connect(autocommit=False) as connection:
            for table in tables:
                if connection.execute("SELECT to_regclass(%s) AS found", (table,)).fetchall()[0]["found"]:
                    connection.execute(f"SELECT count(*) FROM {table}")
            until = time.perf_counter() + HELD_S
            yield
            time.sleep(max(0.0, until - time.perf_counter()))

    def close(self) -> None:
        """Stop the server."""
        self.database.close()
        self.server.stop()


def passages(result: Result) -> list[str]:
    """What a result says, in its order."""
    return [hit.chunk_id for hit in result.hits]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=2, help="how many search at once")
    parser.add_argument("--seconds", type=float, default=6, help="of each phase at least")
    arguments = parser.parse_args()
    if not CORPUS.is_dir():
        sys.exit(f"needs the corpus cranfield in {DATA} (set RAG_DATA_DIR)")
    with (
        tempfile.TemporaryDirectory(prefix="rag-promotion-") as folder,
        closing(Trial(Path(folder))) as trial,
        closing(Idle(trial)) as idle,
    ):
        phases = list(run(trial, idle, arguments.clients, arguments.seconds))
    show(phases)
    FIGURES.record(clients=arguments.clients, seconds=arguments.seconds)
    wrong = any(one.failures or one.mixed or one.lock_ms > LONGEST_MS for one in phases)
    sys.exit(1 if wrong else 0)


def run(trial: Trial, idle: Idle, clients: int, seconds: float) -> Iterator[Phase]:
    """The phases, one after the other."""
    with trial.load("nothing else", clients) as phase:
        time.sleep(seconds)
    yield phase

    second, third, fourth = (version.version_id for version in trial.versions[1:])
    with trial.load("promotion and rollbacks", clients) as phase:
        promote(trial.database, INDEX, second)
        repeated(seconds, lambda: rollback(trial.database, INDEX))
    yield phase

    with (
        trial.load(f"the same, a reader open for {HELD_S:g} s", clients) as phase,
        trial.reader(),
    ):
        promote(trial.database, INDEX, third)
        repeated(HELD_S, lambda: rollback(trial.database, INDEX))
    yield phase

    settings = trial.settings.index(INDEX)
    name = f"collection of versions held by a reader, {HELD_S:g} s"
    with (
        ThreadPoolExecutor(1) as thread,
        trial.load(name, clients) as phase,
        trial.reader(),
    ):
        promote(trial.database, INDEX, fourth)
        collection = thread.submit(collect_versions, trial.database, INDEX, settings)
        idle.return_during(HELD_S, phase)
    print(f"collected versions {collection.result()}")
    yield phase


class Idle:
    """Searchers that asked long ago and still take an old version for the live one."""

    def __init__(self, trial: Trial, count: int = 20) -> None:
        self.trial = trial
        self.searchers = [trial.searcher() for _ in range(count)]
        for searcher in self.searchers:
            trial.note(Phase("earlier"), searcher, trial.questions[0])

    def return_during(self, seconds: float, phase: Phase) -> None:
        """Let one after the other ask again, as many as the time allows."""
        until = time.perf_counter() + seconds
        for searcher in self.searchers:
            if time.perf_counter() < until:
                self.trial.note(phase, searcher, self.trial.questions[0])
                time.sleep(0.1)

    def close(self) -> None:
        """Give the connections back."""
        for searcher in self.searchers:
            searcher.close()


def repeated(seconds: float, act: Callable[[], object]) -> None:
    """Do something four times a second."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        act()
        time.sleep(0.25)


def show(phases: list[Phase]) -> None:
    """A row a phase."""
    usual = float(np.percentile(phases[0].took_ms, 99))
    print(
        "milliseconds; beyond: the longest search beyond the p99 of the first phase; lock: waiting for locks"
    )
    print(f"{'phase':<50} searches failed mixed versions   p50   p99 longest beyond  lock")
    for one in phases:
        p50, p99 = np.percentile(one.took_ms, [50, 99])
        FIGURES.ratio(f"p99 / p99 of the first phase, {one.name}", p99 / usual)
        FIGURES.context(f"ms waited for a lock, {one.name}", one.lock_ms)
        longest = max(one.took_ms)
        print(
            f"{one.name:<50} {len(one.took_ms):8,} {len(one.failures):6} {one.mixed:5} {len(one.versions):8} "
            f"{p50:5.0f} {p99:5.0f} {longest:7.0f} {max(0, longest - usual):6.0f} {one.lock_ms:5.0f}"
        )
        for failure in one.failures[:3]:
            print(f"    {failure}")


if __name__ == "__main__":
    main()
