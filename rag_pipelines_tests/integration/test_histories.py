"""Runs, builds, collections and purges at once, step by step in orders drawn at random.

A few histories here; ``benchmarks/histories.py`` plays a thousand.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from rag_pipelines_tests.integration import histories
from rag_pipelines_tests.integration.stock import Fill, Stock

WORLDS = int(os.environ.get("RAG_WORLDS", "3"))
FIRST = int(os.environ.get("RAG_FIRST_WORLD", "0"))
ROUNDS = 5


@pytest.mark.parametrize("seed", range(FIRST, FIRST + WORLDS))
def test_nothing_is_lost_and_what_was_purged_is_gone(seed: int, stock_of: Callable[[Fill], Stock]) -> None:
    with stock_of(histories.fill_world).lend() as world:
        histories.play(world, seed, ROUNDS)
