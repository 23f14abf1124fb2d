"""How soon a canary is aborted, how rarely without need, and what one costs the searches.

What belongs here: callers of a canary over the index of `quality_gate` (xquad, en). What does not: the
canary. Candidates pass their gates first and are spoilt afterwards, as by something that no gate foresaw.

The exit status is 1 if a spoilt candidate is served on or an equal one is aborted.

    python benchmarks/canary.py [--searches 1000] [--seconds 4]
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from history import Figures
from quality_gate import CORPUS, INDEX, RIGHT, SPOILT, Trial

from rag_pipelines.config.query import CacheSettings, QuerySettings
from rag_pipelines.evaluation.golden import read_golden
from rag_pipelines.gates.canary import CanaryReport, Mode, latest_reports, start_canary, stop_canary
from rag_pipelines.gates.judge import validate_version
from rag_pipelines.index.versions import Version
from rag_pipelines.query.search import Searcher
from rag_pipelines.runtime import Runtime
from rag_pipelines.serving.canary import Canaries

FIGURES = Figures("canary")

CLIENTS = 2
LOOK_AFTER = 10
"""Searches between two looks at the bounds."""

ROUNDS = 3
"""Measurements of the cost are interleaved so often."""

NOT_SEEN = {"words lost"}
"""What leaves a hybrid search nearly the same documents is for the quality gate to see."""

BREAKS = {
    "every search fails": "DROP TABLE {vectors} CASCADE",
    **{name: statement for name, statement in SPOILT.items() if name not in NOT_SEEN},
}


class Service:
    """One serving process of a trial; every question is embedded, as if it were new."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        uncached = QuerySettings(cache=CacheSettings(embeddings=0))
        self.settings = trial.settings.model_copy(update={"query": uncached})
        self.questions = [one.query for one in read_golden(CORPUS).questions]
        self.canaries = Canaries(trial.database, {INDEX: self._searcher()}, lambda _, n: self._searcher(n))

    def _searcher(self, version: int | None = None) -> Searcher:
        trial = self.trial
        return Searcher(trial.database, self.settings, INDEX, trial.embedders, version=version)

    def ask(self, number: int) -> None:
        """One of many callers asks one of the questions."""
        question = self.questions[number % len(self.questions)]
        self.canaries.search(INDEX, question, tenant="default", caller=f"user:{number % 500}")

    @property
    def report(self) -> CanaryReport:
        with self.trial.database.connection() as connection:
            return latest_reports(connection, INDEX)[0]

    @contextmanager
    def canary(self, version: Version, mode: Mode = "serve", share: float = 1.0) -> Iterator[None]:
        """By default all callers take part."""
        start_canary(self.trial.database, INDEX, version.version_id, share=share, mode=mode)
        self.canaries.look()
        try:
            yield
        finally:
            if self.report.canary.state == "running":
                stop_canary(self.trial.database, INDEX)
            self.canaries.look()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--searches", type=int, default=1000, help="at most, of each canary")
    parser.add_argument("--seconds", type=float, default=4, help="of each measurement of the cost")
    arguments = parser.parse_args()
    logging.disable(logging.ERROR)
    if not CORPUS.is_dir():
        sys.exit(f"needs the corpus {CORPUS} (set RAG_DATA_DIR)")
    with (
        tempfile.TemporaryDirectory(prefix="rag-canary-") as folder,
        closing(Trial(Path(folder), 50)) as trial,
    ):
        service = Service(trial)
        equal = candidate(trial)
        cost(service, equal, arguments.seconds)
        print(f"\n{'candidate':<28} {'searches':>8}  outcome")
        wrong = judged(service, equal, "equal", arguments.searches) == "breached"
        for name, statement in BREAKS.items():
            spoilt = candidate(trial)
            spoil = lambda version=spoilt, text=statement: trial.spoil(version, text)  # noqa: E731
            wrong |= judged(service, spoilt, name, arguments.searches, spoil) != "breached"
        service.canaries.close()
    FIGURES.record(searches=arguments.searches, seconds=arguments.seconds)
    sys.exit(int(wrong))


def candidate(trial: Trial) -> Version:
    """A full build that has passed its gates."""
    version = trial.candidate(RIGHT)
    validate_version(Runtime(trial.database, trial.settings, trial.embedders), INDEX, version.version_id)
    return version


def judged(
    service: Service, version: Version, name: str, most: int, spoil: Callable[[], None] = lambda: None
) -> str:
    """How a canary ends, and after how many searches; prints it."""
    asked = 0
    with service.canary(version):
        spoil()
        while service.report.canary.state == "running" and asked < most:
            for _ in range(LOOK_AFTER):
                service.ask(asked)
                asked += 1
                service.canaries.settle()
            service.canaries.look()
        report = service.report
    outcome = report.canary.verdict or f"kept; overlap {report.overlap or 0:.3f}"
    print(f"{name:<28} {asked:>8,}  {outcome}", flush=True)
    FIGURES.context(f"searches until judged, {name}", asked)
    return report.canary.state


def cost(service: Service, version: Version, seconds: float) -> None:
    """Latency of `CLIENTS` without a pause: no canary, beside a shadow, in a canary; prints it."""
    tried: tuple[tuple[Mode, float], ...] = (("shadow", 0.05), ("shadow", 1.0), ("serve", 1.0))
    taken: dict[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        taken["none"] += latencies(service, seconds / ROUNDS)
        for mode, share in tried:
            with service.canary(version, mode, share):
                taken[f"{mode} {share:.0%}"] += latencies(service, seconds / ROUNDS)
                service.canaries.settle()
    print(f"{'canary':<12} {'searches':>8} {'p50 ms':>8} {'p95 ms':>8}")
    usual = float(np.median(taken["none"]))
    for kind, milliseconds in taken.items():
        p50, p95 = np.percentile(milliseconds, [50, 95])
        FIGURES.ratio(f"p50 / p50 without, {kind}", p50 / usual)
        FIGURES.context(f"p50 ms, {kind}", p50)
        print(f"{kind:<12} {len(milliseconds):>8,} {p50:>8.2f} {p95:>8.2f}", flush=True)


def latencies(service: Service, seconds: float) -> list[float]:
    """Milliseconds of each search of `CLIENTS` that ask without a pause."""
    until = time.perf_counter() + seconds
    taken: list[float] = []

    def client(number: int) -> None:
        while (began := time.perf_counter()) < until:
            service.ask(number)
            taken.append((time.perf_counter() - began) * 1000)
            number += CLIENTS

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken


if __name__ == "__main__":
    main()
