"""Runs, builds, collections and purges at once, step by step in orders drawn at random.

A few histories here; ``benchmarks/histories.py`` plays a thousand.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from rag_pipelines_tests.integration import histories
from rag_pipelines_tests.integration.stock import Fill, Stock

HISTORIES = int(os.environ.get("RAG_HISTORIES", "12"))
FIRST = int(os.environ.get("RAG_FIRST_HISTORY", "0"))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + HISTORIES))
def test_nothing_is_lost_and_what_was_purged_is_gone(seed: int, stock_of: Callable[[Fill], Stock]) -> None:
    with stock_of(histories.fill_world).lend() as world:
        histories.play(world, seed)
