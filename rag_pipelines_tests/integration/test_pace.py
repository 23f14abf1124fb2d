"""The pace of a login that several processes use at once."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rag_pipelines.http.pacing import Pacers, Quota
from rag_pipelines.store.database import Database
from rag_pipelines.store.pace import DatabasePace

PROCESSES = 4
PER_MINUTE = 1_200
REQUESTS = 25
"""Of each process."""


class Counted(ThreadingHTTPServer):
    """A server that notes when it is asked."""

    daemon_threads = True

    def __init__(self) -> None:
        self.asked_at: list[float] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(handler) -> None:
                self.asked_at.append(time.monotonic())
                handler.send_response(200)
                handler.send_header("Content-Type", "application/json")
                handler.send_header("Content-Length", "2")
                handler.end_headers()
                handler.wfile.write(b"{}")

            def log_message(handler, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def server() -> Iterator[Counted]:
    with Counted() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_four_processes_keep_the_limit_of_one_login_within_five_percent(
    server: Counted, database_url: str
) -> None:
    command = [sys.executable, "-m", "rag_pipelines_tests.integration.paced_reader"]
    arguments = [server.url, database_url, str(REQUESTS), str(PER_MINUTE)]
    readers = [subprocess.Popen([*command, *arguments]) for _ in range(PROCESSES)]
    assert [reader.wait() for reader in readers] == [0] * PROCESSES

    asked = sorted(server.asked_at)
    rate = (len(asked) - 1) / (asked[-1] - asked[0])
    print(f"{len(asked)} requests, {rate:.2f} a second, the limit is {PER_MINUTE / 60:.0f}")
    assert len(asked) == PROCESSES * REQUESTS
    assert rate <= 1.05 * PER_MINUTE / 60


def test_a_login_that_has_waited_makes_up_for_a_second_and_no_more(database_url: str) -> None:
    database = Database(database_url)
    pace = DatabasePace(database)
    pace.take("login", 60)
    with database.connection() as connection:
        connection.execute("UPDATE rag.pace SET ready_at = now() - interval '1 hour'")

    waits = [pace.take("login", 60).wait for _ in range(3)]

    assert waits[:2] == [0.0, pytest.approx(0.0, abs=0.5)]
    assert waits[2] == pytest.approx(1.0, abs=0.5)
    database.close()


def test_what_a_server_says_to_one_process_holds_for_all(database_url: str) -> None:
    database = Database(database_url)
    one, other = DatabasePace(database), DatabasePace(database)
    one.hold("login", 30)
    one.hold("login", 5)

    assert other.take("login", None).held == pytest.approx(30, abs=2)
    assert other.take("another login", None) == (0.0, 0.0)
    database.close()


class StillClock:
    """A clock that stands still, and notes how long it was told to sleep."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return 0.0

    def time(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def test_processes_share_the_tokens_that_a_model_takes_in_a_minute(database_url: str) -> None:
    database, clock = Database(database_url), StillClock()
    one, other = (
        Quota("https://models.example.com", "secret", "tokens", 60_000, clock, pacers)
        for pacers in (Pacers(), Pacers())
    )
    with ExitStack() as shared:
        for quota in (one, other):
            shared.enter_context(quota.pacers.share(DatabasePace(database)))
        one.take(30_000)
        other.take(1)

    assert clock.slept == [pytest.approx(30, abs=2)]
    database.close()
