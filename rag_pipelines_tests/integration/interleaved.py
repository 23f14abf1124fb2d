"""Runs several actors at once, one call of the database driver at a time, in an order that a seed decides.

What belongs here: whose turn it is, and ending an actor's session in the middle. What does not: what the
actors do, and what must hold.

Each actor is a thread. Every call of the driver that speaks to the server goes through
`psycopg.Connection.wait`, where an actor waits for its turn; so the order is that of the seed, but where the
server makes one wait for another's lock.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from typing import Any

import psycopg
import pytest

GLANCE = 0.004
"""Seconds after which an actor that has not come back is looked at: the server may keep it waiting."""


class _Actor(threading.Thread):
    def __init__(self, name: str, act: Callable[[], object], stage: Stage) -> None:
        super().__init__(name=name, daemon=True)
        self._act, self._stage = act, stage
        self.turn = threading.Semaphore(0)
        self.ready = False
        self.over = False
        self.dying = False
        self.calls = 0
        self.pid: int | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._stage.pause(self, None)
            self._act()
        except BaseException as error:
            self.error = error
        finally:
            with self._stage.changed:
                self.over = True
                self._stage.changed.notify()


class Stage:
    """Where actors act. `play` runs them all to their ends."""

    def __init__(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.changed = threading.Condition()
        self._actors: list[_Actor] = []
        self._watch = psycopg.connect(url, autocommit=True)
        self.order: list[str] = []
        wait = psycopg.Connection.wait

        def waited(connection: psycopg.Connection[Any], *arguments: Any, **options: Any) -> Any:
            actor = threading.current_thread()
            if isinstance(actor, _Actor) and not actor.over:
                self.pause(actor, connection)
            return wait(connection, *arguments, **options)

        monkeypatch.setattr(psycopg.Connection, "wait", waited)

    def play(
        self, seed: int, acts: Mapping[str, Callable[[], object]], deaths: Mapping[str, int]
    ) -> dict[str, BaseException | None]:
        """Run each of `acts` to its end, or until its call of the number in `deaths`; the error of each."""
        luck = random.Random(seed)
        self._actors = [_Actor(name, act, self) for name, act in acts.items()]
        for actor in self._actors:
            actor.start()
        while self._settle():
            actor = luck.choice([one for one in self._actors if one.ready])
            actor.ready = False
            actor.calls += 1
            self.order.append(actor.name)
            if deaths.get(actor.name) == actor.calls and actor.pid is not None:
                self._watch.execute("SELECT pg_terminate_backend(%s, 10000)", (actor.pid,))
            actor.turn.release()
        for actor in self._actors:
            actor.join()
        return {actor.name: actor.error for actor in self._actors}

    def pause(self, actor: _Actor, connection: psycopg.Connection[Any] | None) -> None:
        """In an actor: wait for its next turn."""
        with self.changed:
            actor.pid = connection.info.backend_pid if connection is not None else actor.pid
            actor.ready = True
            self.changed.notify()
        actor.turn.acquire()

    def _settle(self) -> bool:
        """Wait until every actor is ready, over, or kept waiting by the server; whether one is ready."""
        while True:
            with self.changed:
                self.changed.wait_for(self._is_quiet, GLANCE)
                if self._is_quiet():
                    return any(actor.ready for actor in self._actors)
                away = [actor for actor in self._actors if not (actor.ready or actor.over)]
                ready = any(actor.ready for actor in self._actors)
            if ready and all(self._is_blocked(actor) for actor in away):
                return True

    def _is_quiet(self) -> bool:
        return all(actor.ready or actor.over for actor in self._actors)

    def _is_blocked(self, actor: _Actor) -> bool:
        row = self._watch.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", (actor.pid,)).fetchone()
        return bool(row and row[0])

    def close(self) -> None:
        """Give its own session back."""
        self._watch.close()
