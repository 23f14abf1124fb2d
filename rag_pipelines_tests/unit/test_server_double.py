"""The loopback server that vendors' doubles are built on: routes, logins, hooks, faults."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from rag_pipelines_tests.doubles.faults import Close, Hang, Status
from rag_pipelines_tests.doubles.server import Request, Server


@pytest.fixture
def server() -> Iterator[Server]:
    with Server("/wiki", logins={"Bearer t": "ann"}) as server:
        server.route("/thing", lambda request: {"user": request.user})
        yield server


def status(server: Server, path: str = "/thing", **headers: str) -> int:
    given = {"Authorization": "Bearer t", **headers}
    return requests.get(server.url + path, headers=given, timeout=5).status_code


def test_a_route_sees_its_parameters_and_query(server: Server) -> None:
    def echo(request: Request, key: str, rest: str) -> dict[str, Any]:
        return {"key": key, "rest": rest, "ids": request.list("id"), "limit": request.number("limit", 25)}

    server.route("/space/{key}/at/{rest*}", echo)
    url = server.url + "/space/A%20B/at/x/y?id=1,2&id=3"
    answer = requests.get(url, headers={"Authorization": "Bearer t"}, timeout=5)
    assert answer.json() == {"key": "A B", "rest": "x/y", "ids": ["1", "2", "3"], "limit": 25}


def test_nobody_gets_in_without_a_login_or_past_the_context_path(server: Server) -> None:
    assert status(server) == 200
    assert status(server, Authorization="Bearer wrong") == 401
    assert status(server, "/nothing") == 404
    answer = requests.get(server.origin + "/thing", headers={"Authorization": "Bearer t"}, timeout=5)
    assert answer.status_code == 404


def test_a_hook_runs_before_the_request_it_names(server: Server) -> None:
    names = ["before"]
    server.route("/named", lambda request: {"name": names[0]})
    server.before(2, lambda: names.__setitem__(0, "after"), path="/named")
    seen = []
    for path in ("/named", "/thing", "/named", "/named"):
        answer = requests.get(server.url + path, headers={"Authorization": "Bearer t"}, timeout=5)
        seen.append(answer.json().get("name"))
    assert seen == ["before", None, "after", "after"]


def test_a_fault_meets_the_request_it_names(server: Server) -> None:
    server.faults.script(Status(503), nth=2, path=r"/thing\?a=1", times=2)
    assert [status(server, path) for path in ("/thing?a=1", "/thing", "/thing?a=1")] == [200, 200, 503]
    assert [status(server, "/thing?a=1") for _ in range(2)] == [503, 200]
    assert server.faults.met == {"503": 2}
    assert [entry.fault for entry in server.requests(r"a=1")] == [None, "Status", "Status", None]


def test_a_storm_is_the_same_for_the_same_seed(server: Server) -> None:
    kinds = [Status(429), Status(500), Status(503)]

    def weather(seed: int) -> list[int]:
        server.faults.storm(0.4, seed, kinds)
        return [status(server) for _ in range(50)]

    first = weather(1)
    assert set(first) == {200, 429, 500, 503}
    assert first == weather(1) != weather(2)
    server.faults.clear()
    assert {status(server) for _ in range(20)} == {200}


def test_it_stops_at_once_with_a_request_in_the_air() -> None:
    server = Server().start()
    server.route("/thing", lambda request: {})
    server.faults.script(Hang(seconds=3600))
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(requests.get, server.url + "/thing")
        while not server.log:
            time.sleep(0.001)
        server.stop()
        with pytest.raises(requests.ConnectionError, match="closed connection"):
            hanging.result()


def test_a_closed_connection_is_seen_as_one(server: Server) -> None:
    server.faults.script(Close())
    with pytest.raises(requests.ConnectionError):
        status(server)
