"""Who is told that a run failed: each way that is configured, with the reason, and nobody otherwise."""

from __future__ import annotations

import builtins
import json
import smtplib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar

import dagster as dg
import pypd
import pytest
import slack_sdk

from rag_pipelines.config.notifications import NotificationSettings
from rag_pipelines.errors import ConfigError
from rag_pipelines.orchestration.build import build_definitions
from rag_pipelines.orchestration.notifications import notification_sensors
from rag_pipelines_tests.orchestration.conftest import Shell

EVERYTHING = {
    "webserver": "https://dagster.acme.example",
    "slack": {"channel": "#data", "token": "xoxb-1"},
    "teams": {"url": "https://teams.acme.example/hook"},
    "pagerduty": {"routing_key": "key-1"},
    "email": {"sender": "rag@acme.example", "to": ["ops@acme.example"], "password": "p", "host": "mail"},
}


def told_of(shell: Shell, **ways: Any) -> dg.RunFailureSensorContext:
    """A failed run of the shell, and its sensors of these ways, which have been told of it."""
    shell.workspace.document["sources"]["docs"]["options"]["root"] = str(shell.workspace.folder / "<gone>")
    result = shell.ingest()
    assert not result.success
    (failure,) = [one for one in result.all_events if one.event_type_value == "PIPELINE_FAILURE"]
    context = dg.build_run_status_sensor_context(
        "sensor", failure, shell.instance, result.dagster_run
    ).for_run_failure()
    for sensor in notification_sensors(NotificationSettings.model_validate(ways)):
        sensor(context)
    return context


class Channel(BaseHTTPRequestHandler):
    """Takes what is posted to a channel of Teams."""

    posted: ClassVar[list[Any]] = []

    def do_POST(self) -> None:
        self.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(202)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def channel() -> Iterator[str]:
    Channel.posted.clear()
    with HTTPServer(("127.0.0.1", 0), Channel) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/hook"
        server.shutdown()
        thread.join()


def test_a_channel_of_teams_gets_the_source_the_reason_and_a_link(shell: Shell, channel: str) -> None:
    context = told_of(shell, teams={"url": channel}, webserver="https://dagster.acme.example")
    (card,) = Channel.posted
    text = json.dumps(card)
    assert "ingest_source (docs) failed" in text
    assert "<gone>" in text
    assert "Stack Trace" not in text
    assert f"https://dagster.acme.example/runs/{context.dagster_run.run_id}" in text


def test_slack_and_pagerduty_get_the_same_and_one_incident_for_a_source(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(slack_sdk.WebClient, "chat_postMessage", lambda self, **said: sent.append(said))
    monkeypatch.setattr(pypd.EventV2, "create", lambda data: sent.append(data))
    told_of(shell, slack=EVERYTHING["slack"], pagerduty=EVERYTHING["pagerduty"])
    message, event = sent
    assert message["channel"] == "#data"
    assert "ingest_source (docs) failed" in json.dumps(message)
    assert event["dedup_key"] == "ingest_source:docs"
    assert event["routing_key"] == "key-1"
    assert event["payload"]["summary"].startswith("ingest_source (docs) failed")


def test_a_mail_shows_what_a_path_holds_as_text(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[Any, ...]] = []

    class Server:
        def __init__(self, *place: Any, **_: Any) -> None:
            sent.append(place)

        def __enter__(self) -> Server:
            return self

        def __exit__(self, *_: Any) -> None: ...

        def starttls(self, **_: Any) -> None: ...

        def login(self, *given: Any) -> None:
            sent.append(given)

        def sendmail(self, *mail: Any) -> None:
            sent.append(mail)

    monkeypatch.setattr(smtplib, "SMTP", Server)
    told_of(shell, email={**EVERYTHING["email"], "security": "starttls", "user": "robot"})
    place, login, (sender, to, mail) = sent
    assert (place, login) == (("mail", 587), ("robot", "p"))
    assert (sender, to) == ("rag@acme.example", ["ops@acme.example"])
    assert "&lt;gone&gt;" in mail
    assert "<gone>" not in mail
    assert "Subject: ingest_source (docs) failed" in mail


def test_nobody_is_told_by_default_and_every_way_begins_at_once_where_it_is_configured(shell: Shell) -> None:
    usual = {one.name for one in shell.definitions.sensors or ()}
    assert not [name for name in usual if name.endswith("_on_failure")]
    shell.workspace.document["notifications"] = EVERYTHING
    sensors = build_definitions(settings=shell.workspace.settings).sensors or ()
    told = {one.name for one in sensors} - usual
    assert told == {f"{way}_on_failure" for way in ("slack", "teams", "pagerduty", "email")}
    assert {one.default_status for one in sensors if one.name in told} == {dg.DefaultSensorStatus.RUNNING}


def test_an_integration_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("dagster_slack"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr("rag_pipelines.orchestration.notifications.import_module", lambda name: without(name))
    settings = NotificationSettings.model_validate({"slack": EVERYTHING["slack"]})
    with pytest.raises(ConfigError, match=r"dagster-slack, which is not installed: pip install"):
        notification_sensors(settings)
