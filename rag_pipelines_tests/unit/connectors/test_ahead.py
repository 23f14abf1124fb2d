"""Reading ahead in threads."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator

import pytest

from rag_pipelines.connectors.ahead import Kept, read_ahead, run_ahead


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


@pytest.mark.parametrize("piece", [1, 4, 100])
def test_values_that_are_made_ahead_come_in_their_order(piece: int) -> None:
    assert list(run_ahead((number for number in range(9)), piece)) == list(range(9))


def test_the_next_values_are_made_while_the_first_are_looked_at() -> None:
    made: list[int] = []
    third = threading.Event()

    def numbers() -> Generator[int]:
        for number in range(100):
            made.append(number)
            if number == 3:
                third.set()
            yield number

    values = run_ahead(numbers(), 2)
    assert next(values) == 0
    assert third.wait(timeout=30)
    values.close()
    assert len(made) == 4


def test_what_making_raises_is_raised_behind_what_was_made() -> None:
    def numbers() -> Generator[int]:
        yield from range(3)
        raise LookupError("broken")

    values = run_ahead(numbers(), 2)
    assert [next(values), next(values), next(values)] == [0, 1, 2]
    with pytest.raises(LookupError):
        next(values)


def test_closing_closes_what_makes_the_values_in_its_own_thread() -> None:
    closed: list[str] = []

    def numbers() -> Generator[int]:
        try:
            yield from range(100)
        finally:
            closed.append(threading.current_thread().name)

    values = run_ahead(numbers(), 2)
    next(values)
    values.close()
    assert len(closed) == 1
    assert closed[0].startswith("listing")


def test_what_was_read_for_two_batches_is_kept_and_given_out_once() -> None:
    kept: Kept[str, bytes] = Kept()
    kept.keep({"a": b"", "b": b"1"})
    kept.keep({"c": b"2"})
    assert [kept.take(one) for one in "acc"] == [b"", b"2", None]
    kept.keep({})
    assert kept.take("b") is None
