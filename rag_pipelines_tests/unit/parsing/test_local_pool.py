from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from rag_pipelines import errors
from rag_pipelines.config.settings import LimitSettings
from rag_pipelines.errors import ConfigError, DocumentError
from rag_pipelines.parsing.base import ParseLimits
from rag_pipelines.sync.prepare import PrepareTask
from rag_pipelines.sync.run import worker_pool
from rag_pipelines.workers.jobs import JobOutcome
from rag_pipelines.workers.local import LocalPool
from rag_pipelines.workers.pool import WorkerPool
from rag_pipelines_tests.unit.parsing.misdeeds import Deed, do, echo


def without_cost(outcomes: Iterator[JobOutcome[Any, Any]]) -> list[tuple[Any, Any, type | None, str]]:
    return [(one.item, one.value, type(one.error), str(one.error)) for one in outcomes]


def test_no_process_is_started_and_tasks_run_where_the_caller_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    with LocalPool(do) as pool:
        pool.warm()
        (outcome,) = pool.map([Deed("return", "here")])
    assert outcome.value is not None
    assert outcome.value.pid == os.getpid()


def test_what_becomes_of_documents_is_what_becomes_of_them_in_processes() -> None:
    tasks = [
        PrepareTask(data=b"# Title\n\nSome words.", name="good.md"),
        PrepareTask(data=b"%PDF-1.7 broken", name="bad.pdf"),
        PrepareTask(data=b"x" * 2_000, name="large.txt", limits=ParseLimits(max_bytes=1_000)),
        PrepareTask(data=b"", name="empty.txt"),
    ]
    settings = LimitSettings(workers=1)
    with worker_pool(settings) as apart, worker_pool(settings.model_copy(update={"sandbox": False})) as here:
        assert isinstance(here, LocalPool)
        assert not isinstance(apart, LocalPool)
        for one, other in zip(apart.map(tasks), here.map(tasks), strict=True):
            assert (type(one.error), str(one.error)) == (type(other.error), str(other.error))
            assert (one.value is None) == (other.value is None)
            if one.value is not None:
                assert one.value.encoded == other.value.encoded
                assert one.value.summary == other.value.summary


@pytest.mark.parametrize("pool", [LocalPool(echo), WorkerPool(echo, workers=1)], ids=["local", "processes"])
def test_items_are_pulled_up_to_the_window_and_given_back_in_order(pool: WorkerPool[int, int]) -> None:
    pulled: list[int] = []

    def items() -> Iterator[int]:
        for number in range(20):
            pulled.append(number)
            yield number

    with pool:
        outcomes = pool.map(items(), window=7)
        assert next(outcomes).value == 0
        assert len(pulled) == 7
        assert [outcome.value for outcome in outcomes] == list(range(1, 20))


def test_items_without_a_task_and_with_one_that_fails_keep_their_places() -> None:
    def load(name: str) -> Deed | None:
        if name == "lost":
            raise errors.FetchError("the source says 404")
        return Deed("return", name) if name != "known" else None

    with LocalPool(do) as pool:
        good, known, lost = pool.map(["good", "known", "lost"], task=load)
    assert good.value is not None
    assert good.value.text == "good"
    assert known == JobOutcome("known")
    assert type(lost.error) is errors.FetchError


def test_an_error_has_the_class_and_the_words_it_has_from_a_process() -> None:
    deeds = [Deed("recurse"), Deed("raise_foreign")]
    with LocalPool(do) as here, WorkerPool(do, workers=1) as apart:
        assert without_cost(here.map(deeds)) == without_cost(apart.map(deeds))


def test_an_error_that_is_not_about_the_document_ends_the_run() -> None:
    with LocalPool(do) as pool, pytest.raises(ConfigError):
        list(pool.map([Deed("raise", "ConfigError")]))


def test_what_could_not_cross_the_border_does_not_cross_it_here() -> None:
    with LocalPool(do) as pool:
        (outcome,) = pool.map([Deed("return", "\ud800")])
    assert type(outcome.error) is DocumentError
    assert "not Unicode" in str(outcome.error)
