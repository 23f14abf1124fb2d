"""Questions that wait for a model together: one call, each its own answer, each its own failure."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from rag_pipelines.embedding.together import AT_MOST, Together

WAIT = 20


class Model:
    """Gives each text a vector of its own; its first call lasts until `go` is set."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.entered, self.go = threading.Event(), threading.Event()

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.calls.append(list(texts))
        self.entered.set()
        assert self.go.wait(WAIT)
        if "bad" in texts:
            raise ValueError("bad")
        return np.array([[float(text)] for text in texts], dtype=np.float32)


def ask_while_busy(model: Model, texts: Sequence[str]) -> list[Future[np.ndarray]]:
    """Ask all of `texts` while the model is at work on "0"; then let it go on."""
    together = Together(model.embed)
    pool = ThreadPoolExecutor(len(texts) + 1)
    first = pool.submit(together.embed_query, "0")
    assert model.entered.wait(WAIT)
    others = [pool.submit(together.embed_query, text) for text in texts]
    while len(together._waiting) < len(texts):
        threading.Event().wait(0.001)
    model.go.set()
    pool.shutdown(wait=True)
    return [first, *others]


def test_what_waits_is_one_call_and_each_gets_its_own_answer() -> None:
    model = Model()
    answers = ask_while_busy(model, ["1", "2", "3"])
    assert [one.result()[0] for one in answers] == [0, 1, 2, 3]
    assert [sorted(call) for call in model.calls] == [["0"], ["1", "2", "3"]]


def test_no_call_is_longer_than_it_may_be_and_nobody_is_left_out() -> None:
    model = Model()
    texts = [str(number) for number in range(1, AT_MOST + 4)]
    answers = ask_while_busy(model, texts)
    assert [one.result()[0] for one in answers] == list(range(AT_MOST + 4))
    assert [len(call) for call in model.calls] == [1, AT_MOST, 3]


def test_a_question_that_fails_fails_alone() -> None:
    model = Model()
    _, good, bad, other = ask_while_busy(model, ["1", "bad", "2"])
    assert (good.result()[0], other.result()[0]) == (1, 2)
    with pytest.raises(ValueError, match="bad"):
        bad.result()
