"""Iterables in pieces, pulled lazily, so that memory stays bounded however long they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def blocks(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """`values` in lists of at most `size`."""
    iterator = iter(values)
    while block := list(islice(iterator, size)):
        yield block


def batches(values: Iterable[T], count: int, weight: int, weigh: Callable[[T], int]) -> Iterator[list[T]]:
    """`values` in lists of at most `count` and of at most `weight` together (one value may exceed it)."""
    batch: list[T] = []
    total = 0
    for value in values:
        heavy = weigh(value)
        if batch and (len(batch) >= count or total + heavy > weight):
            yield batch
            batch, total = [], 0
        batch.append(value)
        total += heavy
    if batch:
        yield batch
