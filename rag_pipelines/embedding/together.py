"""Questions that wait for a model together are one call of it, which costs half of what so many calls do.

What belongs here: who waits, and whose answer is whose. What does not: the model (`runtimes`), and what is
kept of earlier answers (`query.caching`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rag_pipelines.embedding.base import Vectors

AT_MOST = 16
"""Questions in one call; more make it longer and no cheaper for each."""


class Together:
    """Answers questions for any number of threads. One that is asked alone waits for nobody.

    Args:
        embed: gives the vectors of texts, in their order; is called by one thread at a time.
    """

    def __init__(self, embed: Callable[[Sequence[str]], Vectors]) -> None:
        self._embed = embed
        self._waiting: list[tuple[str, Future[NDArray[np.float32]]]] = []
        self._listed = threading.Lock()
        self._turn = threading.Lock()

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """The vector of `text`, shape (dimensions,). Raises what `embed` raises for this text alone."""
        answer: Future[NDArray[np.float32]] = Future()
        with self._listed:
            self._waiting.append((text, answer))
        with self._turn:
            while not answer.done():
                self._answer_waiting()
        return answer.result()

    def _answer_waiting(self) -> None:
        with self._listed:
            asked, self._waiting = self._waiting[:AT_MOST], self._waiting[AT_MOST:]
        try:
            vectors = self._embed([text for text, _ in asked])
        except Exception as error:
            if len(asked) == 1:
                asked[0][1].set_exception(error)
            else:
                self._answer_apart(asked)
            return
        for (_, answer), vector in zip(asked, vectors, strict=True):
            answer.set_result(vector)

    def _answer_apart(self, asked: Sequence[tuple[str, Future[NDArray[np.float32]]]]) -> None:
        """One of them made the call fail; the others are not to pay for it."""
        for text, answer in asked:
            try:
                answer.set_result(self._embed([text])[0])
            except Exception as error:
                answer.set_exception(error)
