"""What a search costs beside another commit, by how much the caller may see: processor time, times, recall.

What belongs here: the corpus of `search_latency`, asked by both commits in turns. Each has a folder of its
own: the other commit builds the index, and this one opens a copy, so that both walk the same graph. What does
not: what this commit alone takes (`search_latency`).

    python benchmarks/search_turns.py --home FOLDER --before COMMIT [--rows 200000] [--queries 100]

Milliseconds of one search, without the question's embedding, which is kept: `server` is processor time of the
processes of Postgres, `caller` that of the searcher; they say more than `p50` and `p95` (by the clock) where
other things run on the machine. The folder keeps both indexes for the next run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import psutil
from history import Figures
from search_latency import SHARES, ids, opened, questions_of
from trees import ROOT, tree_of

from rag_pipelines.query import statement
from rag_pipelines.query.search import Searcher

FIGURES = Figures("search_turns")

MODES = ("dense", "lexical", "hybrid")

EMBEDDINGS = 16_000_000
"""Bytes of vectors of questions that are kept."""


class Cost(NamedTuple):
    """Milliseconds of each search: of the server's and the caller's processor, and by the clock."""

    server: list[float]
    caller: list[float]
    clock: list[float]


class Arm:
    """A searcher of one commit, in a process of its own that opens `home`."""

    def __init__(self, tree: Path, home: Path, given: argparse.Namespace) -> None:
        options = ("--rows", given.rows, "--queries", given.queries, "--data", given.data.resolve())
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--home", str(home), "--answer", *map(str, options)],
            env={**os.environ, "PYTHONPATH": str(tree)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.ask("ready")

    def ask(self, *asked: Any) -> Any:
        """What the process says to one request."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the searcher of a commit ended; its error is above")
        return json.loads(line)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def answer(searcher: Searcher, server: psutil.Process, questions: Sequence[str]) -> None:
    """Do what each line of standard input asks, and say what came of it."""
    for line in sys.stdin:
        what, *how = json.loads(line)
        done = {"ready": lambda: None, "measure": measure, "recall": recall}[what]
        print(json.dumps(done(searcher, server, questions, *how) if how else done()), flush=True)


def measure(
    searcher: Searcher, server: psutil.Process, questions: Sequence[str], who: str, mode: Any
) -> list[list[float]]:
    """`Cost` of each question."""
    found = Cost([], [], [])
    for question in questions:
        served, own, began = _taken(server), time.process_time(), time.perf_counter()
        searcher.search(question, tenant="default", principals=[who], mode=mode)
        found.clock.append((time.perf_counter() - began) * 1000)
        found.caller.append((time.process_time() - own) * 1000)
        took = sum(taken - served.get(process, 0) for process, taken in _taken(server).items())
        found.server.append(took / 1e6)
    return list(found)


def recall(
    searcher: Searcher, _: psutil.Process, questions: Sequence[str], who: str, mode: Any, count: int
) -> list[float]:
    """The share of hits of so many questions that a search has which compares all, and the fewest hits."""
    shares, hits = [], []
    asked: dict[str, Any] = {"tenant": "default", "principals": [who], "mode": mode}
    for question in questions[:count]:
        found = ids(searcher.search(question, **asked))
        with patch.object(statement, "FEW_CHUNKS", 2**30):
            truth = ids(searcher.search(question, **asked))
        shares.append(len(found & truth) / max(len(truth), 1))
        hits.append(len(found))
    return [statistics.mean(shares), min(hits)]


def _taken(server: psutil.Process) -> dict[int, int]:
    """Nanoseconds of processor time that each process of a server has taken (proc(5), Linux only)."""
    taken = {}
    for process in server.children():
        with suppress(FileNotFoundError, ProcessLookupError):
            taken[process.pid] = int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[0])
    return taken


@contextmanager
def both(given: argparse.Namespace) -> Iterator[dict[str, Arm]]:
    """An arm for each commit; the other one builds the index where there is none."""
    before, now = given.home / "before", given.home / "now"
    with ExitStack() as running:
        tree = running.enter_context(tree_of(given.before))
        if not now.exists():
            Arm(tree, before, given).close()
            subprocess.run(["cp", "-a", before, now], check=True)
        arms = {"before": Arm(tree, before, given), "now": Arm(ROOT, now, given)}
        for arm in arms.values():
            running.callback(arm.close)
        yield arms


def turns(arms: dict[str, Arm], rounds: int, who: str, mode: str) -> dict[str, Cost]:
    """The costs of each arm's searches, one arm after the other in every round; the first warms up."""
    costs = {name: Cost([], [], []) for name in arms}
    for number in range(rounds + 1):
        for name in list(arms) if number % 2 else list(arms)[::-1]:
            found = arms[name].ask("measure", who, mode)
            for kept, measured in zip(costs[name], found, strict=True):
                kept += measured if number else []
    return costs


def report(arms: dict[str, Arm], who: str, mode: str, costs: dict[str, Cost], recalled: int) -> None:
    """A line for each arm, and how they compare."""
    told: dict[str, list[float]] = {}
    for name, cost in costs.items():
        times = statistics.quantiles(cost.clock, n=20)
        means = statistics.mean(cost.server), statistics.mean(cost.caller)
        told[name] = [*means, statistics.median(cost.clock), times[18]]
        found = [*told[name], *arms[name].ask("recall", f"group:{who}", mode, recalled)]
        print(f"{who:<12}{mode:<9}{name:<8}", *(f"{figure:8.3f}" for figure in found), flush=True)
        if name == "now":
            FIGURES.ratio(f"recall, {who}, {mode}", found[4])
    shares = [now / before for before, now in zip(told["before"], told["now"], strict=True)]
    print(f"{'':<21}{'times':<8}", *(f"{share:8.2f}" for share in shares), flush=True)
    for column, share in zip(("server", "caller", "p50", "p95"), shares, strict=True):
        FIGURES.ratio(f"{column} beside the other commit, {who}, {mode}", share)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--before", metavar="COMMIT", help="the other commit")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--recall", type=int, default=50, help="questions whose recall is measured")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=["hybrid"])
    parser.add_argument("--callers", nargs="+", choices=list(SHARES), default=list(SHARES))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("RAG_DATA_DIR", "../shared/data")))
    parser.add_argument("--answer", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.answer:
        with opened(given.home, given.data, given.rows, EMBEDDINGS) as (searcher, pid):
            answer(searcher, psutil.Process(pid), questions_of(given.data, given.queries))
        return
    columns = ("server", "caller", "p50", "p95", "recall", "hits")
    print(f"{'caller':<12}{'mode':<9}{'':<8}", *(f"{column:>8}" for column in columns))
    with both(given) as arms:
        for name in given.callers:
            for mode in given.modes:
                costs = turns(arms, given.rounds, f"group:{name}", mode)
                report(arms, name, mode, costs, given.recall)
    FIGURES.record(before=given.before, rows=given.rows, queries=given.queries, rounds=given.rounds)


if __name__ == "__main__":
    main()
