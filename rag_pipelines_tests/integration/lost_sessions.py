"""Ends sessions of the database in the middle of what they do, at a moment that a test chooses.

Every call of the driver that speaks to the server goes through `psycopg.Connection.wait`, so that each of
them can be the one before which its session is ended.
"""

from __future__ import annotations

import traceback
from typing import Any

import psycopg
import pytest


class Killer:
    """Ends a session just before the call of number `at`, of those since it was armed.

    A call that gives a lock back is left to succeed, and the next one meets the end: a session that has ended
    has given its locks back, so that nothing fails.
    """

    def __init__(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        self.at: int | None = None
        self.kill = self._end_session
        self._killing = psycopg.connect(url, autocommit=True)
        wait = psycopg.Connection.wait

        def waited(connection: psycopg.Connection[Any], *arguments: Any, **options: Any) -> Any:
            if connection is not self._killing:
                self.calls += 1
                if self.calls == self.at:
                    if any(frame.name == "_release" for frame in traceback.extract_stack(limit=12)):
                        self.at += 1
                    else:
                        self.kill(connection)
            return wait(connection, *arguments, **options)

        monkeypatch.setattr(psycopg.Connection, "wait", waited)

    def arm(self, at: int | None) -> None:
        """Begin to count."""
        self.calls, self.at = 0, at

    def _end_session(self, connection: psycopg.Connection[Any]) -> None:
        """End a session and wait until it is gone."""
        pid = connection.info.backend_pid
        ended = self._killing.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,)).fetchone()
        assert ended == (True,)

    def close(self) -> None:
        """Give its own session back."""
        self._killing.close()
