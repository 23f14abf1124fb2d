"""How many contents are loaded at once, and how many bytes they may bring."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.connectors.base import Item
from rag_pipelines.sync.loads import Loads


def item(place: int, size: int | None) -> Item:
    return Item(external_id=str(place), token="1", load=lambda: b"", size=size)


class Watch:
    """A load that knows how many of its kind are under way, and what they may bring together."""

    def __init__(self, share: int) -> None:
        self.most = 0
        self.heaviest = 0
        self._share = share
        self._lock = threading.Lock()
        self._under_way: list[int] = []

    def __call__(self, one: Item) -> str:
        size = self._share if one.size is None else one.size
        with self._lock:
            self._under_way.append(size)
            self.most = max(self.most, len(self._under_way))
            if len(self._under_way) > 1:
                self.heaviest = max(self.heaviest, sum(self._under_way))
        with self._lock:
            self._under_way.remove(size)
        return one.external_id


@given(
    sizes=st.lists(st.lists(st.none() | st.integers(0, 300), max_size=12), max_size=4),
    at_once=st.integers(1, 6),
    budget=st.integers(1, 400),
)
def test_everything_is_loaded_once_within_both_limits(
    sizes: list[list[int | None]], at_once: int, budget: int
) -> None:
    items = [[item(place, size) for place, size in enumerate(batch)] for batch in sizes]
    watch = Watch(budget // at_once)
    with Loads(watch, at_once, budget) as loads:
        begun = [loads.begin(batch) for batch in items]
        loaded = [[one.result() for one in batch] for batch in begun]
    assert loaded == [[str(place) for place in range(len(batch))] for batch in sizes]
    assert watch.most <= at_once
    assert watch.heaviest <= budget


def test_an_error_waits_for_what_is_under_way_and_begins_nothing_more() -> None:
    begun: list[str] = []
    failing = threading.Event()

    def load(one: Item) -> None:
        begun.append(one.external_id)
        if one.external_id == "0":
            failing.set()
            raise KeyError("broken")
        failing.wait(timeout=30)

    with pytest.raises(KeyError), Loads(load, 2, 1_000) as loads:
        loads.begin([item(place, None) for place in range(1_000)])[0].result()
    assert len(begun) < 1_000


@pytest.mark.parametrize(("at_once", "met"), [(2, False), (3, True)])
def test_as_many_are_under_way_as_allowed_and_no_more(at_once: int, met: bool) -> None:
    three = threading.Barrier(3)

    def load(one: Item) -> bool:
        try:
            three.wait(timeout=30 if met else 0.1)
        except threading.BrokenBarrierError:
            return False
        return True

    with Loads(load, at_once, 1_000) as loads:
        assert {one.result() for one in loads.begin([item(place, 1) for place in range(3)])} == {met}


def test_a_batch_is_loaded_while_nobody_asks_for_the_one_before() -> None:
    loaded = threading.Event()

    def load(one: Item) -> None:
        if one.external_id == "last":
            loaded.set()

    with Loads(load, 2, 1_000) as loads:
        loads.begin([item(place, 1) for place in range(20)])
        loads.begin([Item(external_id="last", token="1", load=lambda: b"")])
        assert loaded.wait(timeout=30)


def test_a_large_item_is_not_passed_by_small_ones_for_ever() -> None:
    order: list[str] = []
    begun = [threading.Event() for _ in range(101)]

    def load(one: Item) -> None:
        place = int(one.external_id)
        order.append(one.external_id)
        begun[place].set()
        if place != 1:
            begun[place + 1].wait(timeout=0.2)

    with Loads(load, 4, 100) as loads:
        for one in loads.begin([item(0, 60), item(1, 100), *(item(place, 1) for place in range(2, 100))]):
            one.result()
    assert order.index("1") < 50
