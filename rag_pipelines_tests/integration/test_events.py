"""Hints: how messages become some, that they start a run, and that a run which has looked forgets them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from typer.testing import Result

from rag_pipelines.connectors.base import Window
from rag_pipelines.errors import DatabaseError, ForbiddenEntityError, UsageError
from rag_pipelines.retention.garbage import collect_garbage
from rag_pipelines.store.hints import pending_hints, put_hints
from rag_pipelines.triggers import drain as draining
from rag_pipelines.triggers.drain import drain_queues
from rag_pipelines_tests.doubles.queues import QueueServer
from rag_pipelines_tests.integration.workspace import Workspace

Call = Callable[..., Result]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[QueueServer]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with QueueServer() as started:
        yield started


@pytest.fixture(params=["sqs", "azure_queue"])
def queue(request: pytest.FixtureRequest, server: QueueServer, workspace: Workspace) -> QueueServer:
    """A queue that the source `docs` names, of each kind."""
    if request.param == "sqs":
        pytest.importorskip("botocore", reason="needs the extra 's3'")
        trigger: dict[str, Any] = {"queue": server.sqs_url, "region": "eu-central-1"}
    else:
        trigger = {"url": server.azure_url}
    workspace.document["sources"]["docs"]["triggers"] = {request.param: trigger}
    return server


def event(key: str) -> dict[str, Any]:
    return {"Records": [{"s3": {"bucket": {"name": "acme"}, "object": {"key": key}}}]}


def hints(workspace: Workspace) -> set[tuple[str, str | None]]:
    return {(row["source"], row["key"]) for row in workspace.rows("SELECT source, key FROM rag.hint")}


def drained(workspace: Workspace) -> dict[str, Any]:
    settings = workspace.settings
    return drain_queues(workspace.database, settings, settings.sources)


def test_a_queue_is_emptied_into_hints(workspace: Workspace, queue: QueueServer) -> None:
    queue.send(*(event(f"{number}.md") for number in range(70)), {"no": "object"})

    assert drained(workspace) == {}

    assert queue.waiting == {}
    assert hints(workspace) == {*(("docs", f"acme/{number}.md") for number in range(70)), ("docs", None)}


def test_a_message_is_deleted_only_after_its_hints_are_kept(workspace: Workspace, queue: QueueServer) -> None:
    queue.send(event("a.md"))
    with workspace.database.connection() as connection:
        connection.execute("ALTER TABLE rag.hint RENAME TO away")
    assert isinstance(drained(workspace)["docs"], DatabaseError)
    assert len(queue.waiting) == 1

    with workspace.database.connection() as connection:
        connection.execute("ALTER TABLE rag.away RENAME TO hint")
    queue.show_again()
    drained(workspace)
    assert (queue.waiting, hints(workspace)) == ({}, {("docs", "acme/a.md")})


def test_one_drain_takes_a_bounded_number_of_messages(
    workspace: Workspace, queue: QueueServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "BATCHES", 1)
    queue.send(*(event(f"{number}.md") for number in range(70)))
    drained(workspace)
    assert 0 < len(queue.waiting) < 70


def test_every_source_that_names_a_queue_is_hinted_at(workspace: Workspace, queue: QueueServer) -> None:
    workspace.document["sources"]["same"] = workspace.document["sources"]["docs"]
    queue.send(event("a.md"))
    drained(workspace)
    assert hints(workspace) == {("docs", "acme/a.md"), ("same", "acme/a.md")}


def test_a_queue_that_cannot_be_read_is_told_and_stops_no_other(
    workspace: Workspace, server: QueueServer
) -> None:
    sources = workspace.document["sources"]
    forged = server.azure_url.replace("sig=", "sig=forged")
    sources["closed"] = {**sources["docs"], "triggers": {"azure_queue": {"url": forged}}}
    sources["docs"]["triggers"] = {"azure_queue": {"url": server.azure_url}}
    server.send(event("a.md"))

    (refused,) = drained(workspace).items()

    assert refused[0] == "closed"
    assert isinstance(refused[1], ForbiddenEntityError)
    assert "sig" not in str(refused[1])
    assert hints(workspace) == {("docs", "acme/a.md")}


def test_a_queue_of_sqs_that_is_not_there_is_said(workspace: Workspace, server: QueueServer) -> None:
    pytest.importorskip("botocore", reason="needs the extra 's3'")
    trigger = {"queue": server.sqs_url + "-gone", "region": "eu-central-1"}
    workspace.document["sources"]["docs"]["triggers"] = {"sqs": trigger}
    error = drained(workspace)["docs"]
    assert isinstance(error, UsageError)
    assert "QueueDoesNotExist" in str(error)


def test_a_run_forgets_what_was_hinted_before_it_began(workspace: Workspace) -> None:
    workspace.write("a.md", "# A\n\nHerons.")
    with workspace.database.connection() as connection:
        put_hints(connection, ["docs", "other"], ["acme/a.md", None])
        put_hints(connection, ["docs"], ["later"])
        connection.execute("UPDATE rag.hint SET received_at = now() + interval '1 hour' WHERE key = 'later'")

    workspace.ingest(window=Window(since=datetime(2020, 1, 1, tzinfo=UTC)))
    assert ("docs", "acme/a.md") in hints(workspace), "a window need not hold what changed"

    workspace.ingest()
    assert hints(workspace) == {("docs", "later"), ("other", "acme/a.md"), ("other", None)}


def test_a_run_that_fails_keeps_them(workspace: Workspace) -> None:
    with workspace.database.connection() as connection:
        put_hints(connection, ["docs"], [None])
    workspace.document["sources"]["docs"]["options"]["root"] = str(workspace.folder / "gone")
    with pytest.raises(Exception, match="gone"):
        workspace.ingest()
    assert hints(workspace) == {("docs", None)}


def test_the_same_hint_again_is_one_and_newer(workspace: Workspace) -> None:
    with workspace.database.connection() as connection:
        put_hints(connection, ["docs"], ["a", None, "a"])
        first = pending_hints(connection, ["docs", "other"])["docs"]
        put_hints(connection, ["docs"], [None])
        second = pending_hints(connection, ["docs"])["docs"]
    assert (first.hints, second.hints) == (2, 2)
    assert second.newest > first.newest


@pytest.mark.parametrize("key", ["nul\0byte", "half \ud800 pair", "x" * 9_999, "\U0001f525" * 900, ""])
def test_whatever_was_named_can_be_kept(workspace: Workspace, key: str) -> None:
    with workspace.database.connection() as connection:
        put_hints(connection, ["docs"], [key])
        assert pending_hints(connection, ["docs"])["docs"].hints == 1


def test_a_source_that_left_the_configuration_loses_its_hints(workspace: Workspace) -> None:
    with workspace.database.connection() as connection:
        put_hints(connection, ["docs", "left"], ["a"])
    collect_garbage(workspace.database, workspace.settings)
    assert hints(workspace) == {("docs", "a")}


def test_the_command_runs_only_what_was_hinted_at(
    workspace: Workspace, queue: QueueServer, call: Call
) -> None:
    notes = workspace.folder / "notes"
    notes.mkdir()
    sources = workspace.document["sources"]
    sources["notes"] = {"connector": "filesystem", "options": {"root": str(notes)}, "access": "public"}
    workspace.write("a.md", "# A\n\nHerons.")

    quiet = call("ingest", "--hinted")
    assert (quiet.exit_code, quiet.stdout) == (0, "")
    assert "no source was hinted at" in quiet.stderr

    queue.send(event("a.md"))
    done = call("ingest", "--hinted")
    assert (done.exit_code, workspace.stored()) == (0, {"a.md"})
    assert "notes" not in done.stdout
    assert hints(workspace) == set()


def test_the_command_says_that_a_queue_cannot_be_read(workspace: Workspace, call: Call) -> None:
    url = "http://127.0.0.1:1/docs?sv=1&sig=a"
    workspace.document["sources"]["docs"]["triggers"] = {"azure_queue": {"url": url}}
    failed = call("ingest", "--hinted")
    assert failed.exit_code == 5
    assert "queue of docs: http://127.0.0.1:1/docs/messages did not answer" in failed.stderr
