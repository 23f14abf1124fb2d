"""Searches of a serving process while candidates are tried: who reads one, and how it is compared.

What belongs here: following the canaries that run, choosing the version of a caller, asking the other version
as well, counting. What does not: the rows and the judgement (`gates.canary`), and searching (`search`).

The version that is not the caller's is asked off the request's path, by one thread for all indexes. When it
has `WAITING` searches before it, further ones are not compared: no answer waits for a comparison. No question
and no caller's name is kept.
"""

from __future__ import annotations

import hashlib
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from rag_pipelines.config.canary import CanarySettings
from rag_pipelines.errors import RagError, SwitchedOffError
from rag_pipelines.gates.canary import Canary, Figures, Side, record, running_canaries
from rag_pipelines.query.hits import Result
from rag_pipelines.query.search import Searcher
from rag_pipelines.store.database import Database
from rag_pipelines.store.switches import in_force

EVERY = 1.0
"""Seconds between two looks at which canaries run."""

WAITING = 8
"""Searches that may wait to be compared."""

BLIND = 10.0
"""Seconds without an answer of the database after which every caller reads the live version again."""

log = logging.getLogger(__name__)


class Canaries:
    """Searches of all indexes of one process; where a canary runs, its callers read the candidate.

    Safe to use from several threads. A search never fails because of a canary: what the candidate cannot
    answer, the live version does.

    Args:
        database: the catalogue, by a login that may write to it.
        live: the searcher of each index.
        candidate: makes a searcher that reads one version of an index.
        draw: a number in [0, 1) for each search, which decides whether a shadow is asked.
        clock: seconds.
    """

    def __init__(
        self,
        database: Database,
        live: Mapping[str, Searcher],
        candidate: Callable[[str, int], Searcher],
        *,
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._live = live
        self._make_candidate = candidate
        self._draw = draw
        self._clock = clock
        self._trials: dict[str, _Trial] = {}
        self._seen_at = clock()
        self._looking = threading.Lock()
        self._closed = threading.Event()
        self._watch: threading.Thread | None = None
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="canary")
        self._places = threading.BoundedSemaphore(WAITING + 1)

    def search(self, index: str, text: str, *, tenant: str, caller: str, **asked: Any) -> Result:
        """As `Searcher.search`; `caller` names who asks, so that each caller stays with one version."""
        trial = self._trials.get(index)
        asked["tenant"] = tenant
        if trial is None or (trial.canary.tenants and tenant not in trial.canary.tenants):
            return self._live[index].search(text, **asked)
        if trial.canary.mode == "shadow":
            result = self._live[index].search(text, **asked)
            if self._draw() < trial.canary.share:
                self._observe(trial, "live", result, partial(trial.candidate.search, text, **asked))
            return result
        if place_of(trial.canary, tenant, caller) >= trial.canary.share:
            return self._live[index].search(text, **asked)
        return self._serve(trial, text, asked)

    def start(self) -> None:
        """Look now, and from now on every `EVERY` seconds, until `close`."""
        self.look()
        self._watch = threading.Thread(target=self._keep_looking, name="canaries", daemon=True)
        self._watch.start()

    def look(self) -> None:
        """Store what was observed, and follow the canaries as they stand in the database."""
        with self._looking:
            for trial in list(self._trials.values()):
                self._store(trial)
            try:
                with self._database.connection() as connection:
                    off = {switch.target for switch in in_force(connection, "canary-off")}
                    canaries = running_canaries(connection)
                running = {one.index_name: one for one in canaries if one.index_name not in off}
                self._seen_at = self._clock()
            except RagError as error:
                log.warning("cannot see which canaries run: %s", error)
                if self._clock() - self._seen_at < BLIND:
                    return
                running = {}
            for index in self._live:
                self._follow(index, running.get(index))

    def settle(self) -> None:
        """Wait until everything that was asked beside has been compared."""
        self._beside.submit(int).result()

    def close(self) -> None:
        """Store what was observed and give everything back but the live searchers."""
        self._closed.set()
        if self._watch is not None:
            self._watch.join()
        self._beside.shutdown(cancel_futures=True)
        with self._looking:
            for index, trial in list(self._trials.items()):
                self._store(trial)
                self._follow(index, None)

    def _serve(self, trial: _Trial, text: str, asked: Mapping[str, Any]) -> Result:
        """The candidate's answer; if it has none, the live version's."""
        live = self._live[trial.canary.index_name]
        try:
            result = trial.candidate.search(text, **asked)
        except SwitchedOffError:
            return live.search(text, **asked)
        except Exception as error:
            answer = live.search(text, **asked)
            if not trial.over:
                log.warning("version %d failed, live answered: %s", trial.canary.version_id, error)
                trial.saw({"candidate": None, "live": answer})
            return answer
        self._observe(trial, "candidate", result, partial(live.search, text, **asked))
        return result

    def _observe(self, trial: _Trial, side: Side, result: Result, ask_other: Callable[[], Result]) -> None:
        """Ask the other version too, if there is a place to wait; else only this answer counts."""
        if not self._places.acquire(blocking=False):
            trial.saw({side: result})
            return

        def compare() -> None:
            try:
                other = ask_other()
            except Exception as error:
                log.warning("a shadow search failed: %s", error)
                other = None
            if not trial.over:
                sides: dict[Side, Result | None] = {"candidate": other, "live": result}
                if side == "candidate":
                    sides = {"candidate": result, "live": other}
                trial.saw(sides)

        try:
            self._beside.submit(compare).add_done_callback(lambda _: self._places.release())
        except RuntimeError:
            self._places.release()

    def _keep_looking(self) -> None:
        while not self._closed.wait(EVERY):
            try:
                self.look()
            except Exception:
                log.exception("following the canaries failed; it is tried again")

    def _follow(self, index: str, canary: Canary | None) -> None:
        """Try what runs now; a candidate is made ready before the first caller reads it."""
        known = self._trials.get(index)
        if known is not None and (canary is None or canary.canary_id != known.canary.canary_id):
            del self._trials[index]
            known.over = True
            known.candidate.close()
            log.info("the canary of index %s is over", index)
        if canary is not None and index not in self._trials:
            trial = _Trial(canary, self._make_candidate(index, canary.version_id))
            with suppress(Exception):
                trial.candidate.search("warm up", tenant="-", k=1)
                trial.candidate.prepare()
            self._trials[index] = trial
            log.info("version %d of index %s is a canary (%s)", canary.version_id, index, canary.mode)

    def _store(self, trial: _Trial) -> None:
        """Store what was observed; where that fails it is lost, which no bound depends on."""
        observed = trial.take()
        if observed is None:
            return
        try:
            broken = record(self._database, trial.canary.canary_id, observed)
        except RagError as error:
            log.warning("cannot store what was observed of a canary: %s", error)
            return
        for reason in broken:
            log.error("the canary of index %s is aborted: %s", trial.canary.index_name, reason)


class _Trial:
    """One canary in this process, with what was observed since it was last stored."""

    def __init__(self, canary: Canary, candidate: Searcher) -> None:
        self.canary = canary
        self.candidate = candidate
        self.over = False
        self._observed = Figures()
        self._lock = threading.Lock()

    def saw(self, answers: Mapping[Side, Result | None]) -> None:
        """One search, with the answer of each version that was asked; None where it failed."""
        with self._lock:
            for side, result in answers.items():
                figures = self._observed.candidate if side == "candidate" else self._observed.live
                if result is None:
                    figures.record_failure()
                else:
                    figures.record_answer(len(result.hits), None if result.cached else result.search_ms)
            pairs = self._observed.pairs
            live = answers.get("live")
            if len(answers) < 2:
                pairs.skipped += 1
            elif live is not None and (candidate := answers["candidate"]) is None:
                pairs.failed += 1
            elif live is not None and candidate is not None:
                pairs.compared += 1
                pairs.lost += bool(live.hits) and not candidate.hits
                pairs.slow += too_slow(candidate, live, self.canary.bounds)
                pairs.distance += 1 - overlap(candidate, live)

    def take(self) -> Figures | None:
        """What was observed since the last call, if anything was."""
        with self._lock:
            observed, self._observed = self._observed, Figures()
        return observed if observed != Figures() else None


def place_of(canary: Canary, tenant: str, caller: str) -> float:
    """Where a caller stands in [0, 1): the same in every process, and in every canary of one version.

    So a canary with a larger share of the callers keeps those of the smaller one.
    """
    name = "\0".join((canary.index_name, str(canary.version_id), tenant, caller))
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=6).digest()) / 2**48


def overlap(first: Result, second: Result) -> float:
    """The share of the documents of the longer list that both have; 1 where neither has any.

    Documents and not passages: a candidate may be cut into other passages.
    """
    one, other = ({hit.document_id for hit in result.hits} for result in (first, second))
    return len(one & other) / max(len(one), len(other)) if one or other else 1.0


def too_slow(candidate: Result, live: Result, bounds: CanarySettings) -> bool:
    """Whether the candidate took too long beside the live version; one that was kept says nothing."""
    allowed = max(bounds.latency_factor * live.search_ms, bounds.latency_ms)
    return not live.cached and candidate.search_ms > allowed
