"""Reading ahead in threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from rag_pipelines.connectors.ahead import read_ahead


def test_answers_come_in_the_order_of_the_questions() -> None:
    second = threading.Event()

    def read(number: int) -> int:
        if number == 0:
            assert second.wait(timeout=30)
        second.set()
        return number * number

    assert list(read_ahead(read, range(9), 3)) == [number * number for number in range(9)]


@pytest.mark.parametrize(("at_once", "met"), [(2, False), (3, True)])
def test_as_many_are_under_way_as_allowed_and_no_more(at_once: int, met: bool) -> None:
    three = threading.Barrier(3)

    def read(_: int) -> bool:
        try:
            three.wait(timeout=30 if met else 0.1)
        except threading.BrokenBarrierError:
            return False
        return True

    assert set(read_ahead(read, range(3), at_once)) == {met}


def test_questions_are_taken_no_further_ahead_than_that() -> None:
    taken: list[int] = []

    def questions() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    answers = read_ahead(lambda number: number, questions(), 4)
    assert [next(answers), next(answers)] == [0, 1]
    assert len(taken) <= 5
    answers.close()
    assert len(taken) <= 5


def test_what_is_raised_is_raised_at_its_place() -> None:
    def read(number: int) -> int:
        if number == 2:
            raise LookupError(number)
        return number

    answers = read_ahead(read, range(9), 3)
    assert [next(answers), next(answers)] == [0, 1]
    with pytest.raises(LookupError):
        next(answers)
