"""Rates of callers and bounded work, on a clock of the test's own."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.serving.limits import BusyError, RateLimit, Workers, caller_address, whole_seconds


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_let_through_and_then_one_for_each_interval() -> None:
    clock = Clock()
    rate = RateLimit(60, 3, clock=clock)
    assert [rate.take("a") for _ in range(4)] == [0, 0, 0, 1]
    clock.now = 0.5
    assert rate.take("a") == 0.5
    clock.now = 1.0
    assert rate.take("a") == 0
    assert rate.take("a") == 1


@given(st.lists(st.floats(0, 30), max_size=60))
def test_no_pattern_of_requests_gets_more_than_burst_and_rate(pauses: list[float]) -> None:
    clock = Clock()
    rate = RateLimit(60, 5, clock=clock)
    passed = 0
    for pause in pauses:
        clock.now += pause
        passed += rate.take("a") == 0
    assert passed <= 5 + clock.now + 1e-6


def test_callers_do_not_share_a_rate_and_the_oldest_are_forgotten() -> None:
    rate = RateLimit(60, 1, callers=2, clock=Clock())
    assert rate.take("a") == rate.take("b") == 0
    assert rate.take("a") > 0
    assert rate.take("c") == 0
    assert rate.take("a") > 0
    assert rate.take("b") == 0


def test_an_ipv6_caller_is_its_network() -> None:
    assert caller_address("2001:db8::1") == caller_address("2001:db8::ffff") == "2001:db8::/64"
    assert caller_address("192.0.2.7") == "192.0.2.7"
    assert caller_address("") == ""
    assert whole_seconds(0.01) == "1"
    assert whole_seconds(2.01) == "3"


def test_more_work_than_threads_waits_and_more_than_that_is_sent_away() -> None:
    async def scenario() -> None:
        workers = Workers(1, 1)
        begun, go = threading.Event(), threading.Event()

        def work() -> int:
            begun.set()
            go.wait(10)
            return 7

        first = asyncio.create_task(workers.run(work, 10))
        second = asyncio.create_task(workers.run(lambda: 8, 10))
        await asyncio.to_thread(begun.wait, 10)
        with pytest.raises(BusyError):
            await workers.run(lambda: 9, 10)
        go.set()
        assert [await first, await second] == [7, 8]
        assert await workers.run(lambda: 9, 10) == 9
        workers.close()

    asyncio.run(scenario())


def test_work_that_was_given_up_before_it_began_is_not_done() -> None:
    async def scenario() -> None:
        workers = Workers(1, 5)
        begun, go, done = threading.Event(), threading.Event(), []
        first = asyncio.create_task(workers.run(lambda: (begun.set(), go.wait(10)), 10))
        await asyncio.to_thread(begun.wait, 10)
        with pytest.raises(TimeoutError):
            await workers.run(lambda: done.append(1), 0.01)
        go.set()
        await first
        await workers.run(lambda: None, 10)
        await asyncio.sleep(0)
        assert done == []
        assert workers.taken == 0
        workers.close()

    asyncio.run(scenario())
