"""Notifications at the HTTP service: the handshake, who is believed, and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from rag_pipelines.errors import ConfigError
from rag_pipelines_tests.integration.serving import served
from rag_pipelines_tests.integration.workspace import Workspace

SECRET = "5f0c2f7d1b9e4a63"


@pytest.fixture
def receiving(workspace: Workspace) -> Workspace:
    """The source `docs` receives notifications, `quiet` does not."""
    sources = workspace.document["sources"]
    sources["quiet"] = dict(sources["docs"])
    sources["docs"]["triggers"] = {"webhook": {"secret": SECRET}}
    workspace.document["serving"] = {
        "anonymous": {"tenant": "default"},
        "limits": {"body": 2_000, "requests_per_minute": 60, "burst": 40},
    }
    return workspace


@pytest.fixture
def client(receiving: Workspace) -> Iterator[httpx.Client]:
    with served(receiving) as found:
        yield found


def hints(workspace: Workspace) -> list[tuple[str, str | None]]:
    return [(row["source"], row["key"]) for row in workspace.rows("SELECT * FROM rag.hint ORDER BY key")]


def graph(*states: Any) -> dict[str, Any]:
    return {
        "value": [
            {"subscriptionId": "1", "clientState": state, "resource": f"drives/{number}/root"}
            for number, state in enumerate(states)
        ]
    }


def drive(token: str, state: str = "change") -> dict[str, str]:
    return {
        "X-Goog-Channel-Token": token,
        "X-Goog-Resource-State": state,
        "X-Goog-Resource-ID": "ret08u3rv24htgh289g",
    }


def test_graph_makes_sure_that_the_address_is_ours(client: httpx.Client, receiving: Workspace) -> None:
    answer = client.post("/events/docs", params={"validationToken": "Validation: Ok? <b>+ü</b>"})
    assert (answer.status_code, answer.text) == (200, "Validation: Ok? <b>+ü</b>")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert hints(receiving) == []


def test_notifications_with_the_secret_become_hints(client: httpx.Client, receiving: Workspace) -> None:
    assert client.post("/events/docs", json=graph("forged", SECRET)).status_code == 202
    assert client.post("/events/docs", headers=drive(SECRET)).status_code == 202
    assert hints(receiving) == [("docs", "drives/1/root"), ("docs", "ret08u3rv24htgh289g")]


def test_the_first_message_of_a_channel_hints_at_nothing(client: httpx.Client, receiving: Workspace) -> None:
    assert client.post("/events/docs", headers=drive(SECRET, "sync")).status_code == 202
    assert hints(receiving) == []


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"json": graph()},
        {"json": graph("forged", "", None, 7, SECRET[:-1], SECRET + "0")},
        {"json": {"value": [SECRET]}},
        {"json": [SECRET]},
        {"content": b"\xff{"},
        {"content": b"[" * 1_999},
        {"headers": drive("forged")},
        {"headers": drive("")},
        {"params": {"clientState": SECRET}},
    ],
)
def test_everybody_else_is_refused(
    client: httpx.Client, receiving: Workspace, sent: Mapping[str, Any]
) -> None:
    assert client.post("/events/docs", **sent).status_code == 403
    assert hints(receiving) == []


def test_sources_that_receive_nothing_look_like_ones_that_do_not_exist(client: httpx.Client) -> None:
    answers = [
        client.post(f"/events/{name}", params={"validationToken": "a"}, json=graph(SECRET)).json()
        for name in ("quiet", "unknown")
    ]
    assert [answer["status"] for answer in answers] == [403, 403]
    assert answers[0]["detail"] == answers[1]["detail"]


def test_bodies_are_bounded_and_guessing_is_slowed_down(client: httpx.Client, receiving: Workspace) -> None:
    assert client.post("/events/docs", json=graph(*[SECRET] * 50)).status_code == 413
    answers = {client.post("/events/docs", json=graph(str(n))).status_code for n in range(60)}
    assert answers == {403, 429}
    assert hints(receiving) == []


def test_without_a_secret_there_is_no_such_path(receiving: Workspace) -> None:
    del receiving.document["sources"]["docs"]["triggers"]
    with served(receiving) as client:
        assert client.post("/events/docs", json=graph(SECRET)).status_code == 404


def test_a_short_secret_and_an_unsigned_queue_are_refused_without_being_shown(workspace: Workspace) -> None:
    workspace.document["sources"]["docs"]["triggers"] = {
        "webhook": {"secret": "hunter2"},
        "azure_queue": {"url": "https://acme.queue.core.windows.net/docs"},
        "sqs": {"queue": "docs"},
    }
    with pytest.raises(ConfigError) as refused:
        assert workspace.settings
    problems = "\n".join(refused.value.problems)
    assert "16 to 128 characters" in problems
    assert "hunter2" not in problems
    assert "with its signature" in problems
    assert "triggers.sqs.queue" in problems
