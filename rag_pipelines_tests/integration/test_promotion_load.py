"""Searches while versions are promoted, rolled back and dropped: none fails, waits, or mixes two versions.

`benchmarks/promotion_load.py` prints the figures.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from rag_pipelines.index.promotion import collect_versions, promote, rollback
from rag_pipelines.index.versions import Version
from rag_pipelines.query.hits import Result
from rag_pipelines.query.search import Searcher
from rag_pipelines_tests.integration.workspace import Workspace

QUESTIONS = ("alpha words", "number7", "beta3 and so on", "more")


@pytest.fixture
def cut_twice(workspace: Workspace) -> Workspace:
    """Version 1 is live, version 2 a candidate; each cuts the documents into other passages."""
    for n in range(12):
        workspace.write(
            f"{n:02}.md", f"# Doc {n}\n\nAlpha number{n} words.\n\n## More\n\n" + f"Beta{n} and so on. " * 30
        )
    workspace.document["indexes"]["main"]["keep"] = {"versions": 0, "age": "0s"}
    candidate(workspace, max_tokens=200)
    promote(workspace.database, "main")
    candidate(workspace, max_tokens=60)
    return workspace


def candidate(workspace: Workspace, max_tokens: int) -> Version:
    cut = {"strategy": "recursive", "max_tokens": max_tokens}
    workspace.document["profiles"]["chunking"] = {"default": cut}
    workspace.ingest()
    version = workspace.build()
    assert all(workspace.validate(version).values())
    return version


def searcher(workspace: Workspace, version: int | None = None) -> Searcher:
    return Searcher(workspace.database, workspace.settings, "main", version=version)


def answer(asked: Searcher, question: str) -> Result:
    return asked.search(question, tenant="default", k=5)


def passages(result: Result) -> list[str]:
    return [hit.chunk_id for hit in result.hits]


def answers_alone(workspace: Workspace, version: int) -> dict[str, list[str]]:
    alone = searcher(workspace, version=version)
    try:
        return {question: passages(answer(alone, question)) for question in QUESTIONS}
    finally:
        alone.close()


class Load:
    """Three callers who ask without a pause; what went wrong, and which versions they saw."""

    def __init__(self, workspace: Workspace) -> None:
        self.right = {version: answers_alone(workspace, version) for version in (1, 2)}
        assert not {tuple(one) for one in self.right[1].values()} & {
            tuple(one) for one in self.right[2].values()
        }
        self.wrong: list[object] = []
        self.seen: set[int] = set()
        self._stop = threading.Event()
        self._searcher = searcher(workspace)
        self._threads = [threading.Thread(target=self._ask) for _ in range(3)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._searcher.close()

    def _ask(self) -> None:
        while not self._stop.is_set():
            for question in QUESTIONS:
                try:
                    result = answer(self._searcher, question)
                except Exception as error:
                    self.wrong.append(error)
                    return
                self.seen.add(result.version)
                if passages(result) != self.right[result.version][question]:
                    self.wrong.append(result)


@contextmanager
def long_reader(workspace: Workspace, *storages: int) -> Iterator[None]:
    """A transaction that has read the tables of some versions and stays open."""
    with psycopg.connect(workspace.url) as connection:
        for storage in storages:
            connection.execute(f"SELECT count(*) FROM rag.vectors_{storage}")
        yield


def test_no_search_fails_or_mixes_two_versions_while_they_are_promoted_and_rolled_back(
    cut_twice: Workspace,
) -> None:
    with Load(cut_twice) as load, long_reader(cut_twice, 1, 2):
        promote(cut_twice.database, "main")
        flips = 1
        while not load.wrong and (flips < 40 or (len(load.seen) < 2 and flips < 4_000)):
            rollback(cut_twice.database, "main")
            flips += 1
    assert load.wrong == []
    assert load.seen == {1, 2}


def test_a_search_does_not_wait_for_a_version_that_is_about_to_be_dropped(cut_twice: Workspace) -> None:
    """A drop waits for its readers, and whoever comes later waits behind it: it must not wait for long."""
    idle = [searcher(cut_twice) for _ in range(4)]
    for one in idle:
        assert answer(one, "alpha").version == 1
    promote(cut_twice.database, "main")
    dropped: list[int] = []

    def collect() -> None:
        dropped.extend(collect_versions(cut_twice.database, "main", cut_twice.settings.index("main")))

    collecting = threading.Thread(target=collect)
    with long_reader(cut_twice, 1):
        collecting.start()
        while not cut_twice.rows("SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted"):
            assert collecting.is_alive()
        assert {answer(one, "alpha").version for one in idle} == {2}
        assert collecting.is_alive(), "the searches came back only when the drop had given up"
    collecting.join()
    for one in idle:
        one.close()
    assert dropped == [1]
