"""Subscriptions to notifications: made, renewed before they end, ended, and what comes of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from typer.testing import Result

from rag_pipelines.errors import ConfigError, ForbiddenEntityError, TransientError, UsageError
from rag_pipelines.triggers.subscriptions import Pass, renew_subscriptions
from rag_pipelines_tests.connectors.google_drive_bench import ANN, BOB, Bench
from rag_pipelines_tests.connectors.google_drive_bench import options_of as drive_options
from rag_pipelines_tests.connectors.sharepoint_bench import Office
from rag_pipelines_tests.doubles.faults import Status
from rag_pipelines_tests.integration.serving import served
from rag_pipelines_tests.integration.workspace import Workspace

SECRET, OTHER = "5f0c2f7d1b9e4a63", "0123456789abcdef"
HOST = "https://rag.example.com"
ROLES = {"Files.ReadWrite.All", "Sites.ReadWrite.All"}


class Watched:
    """The source `docs` of a workspace, whose notifications are asked for, at a time of its own."""

    def __init__(self, workspace: Workspace, now: datetime) -> None:
        self.workspace = workspace
        self.source = workspace.document["sources"]["docs"]
        self.source["triggers"] = {"webhook": {"secret": SECRET, "address": HOST}}
        self.now = now

    def renew(self) -> Any:
        """What one pass did, or why it did nothing."""
        settings = self.workspace.settings
        return dict(renew_subscriptions(settings, settings.sources, lambda: self.now))["docs"]

    def secret(self, value: str) -> None:
        self.source["triggers"]["webhook"]["secret"] = value


def counts(done: Any) -> tuple[int, int, int, int]:
    """Made, renewed, kept, ended, of a pass without errors."""
    assert isinstance(done, Pass), done
    assert not done.errors, done.errors
    return done[:4]


class TestGraph:
    """Subscriptions to libraries."""

    @pytest.fixture
    def office(self) -> Iterator[Office]:
        office = Office()
        office.double.roles |= ROLES
        office.tenant.library(office.site.key, "Plans")
        yield office
        office.close()

    @pytest.fixture
    def docs(self, office: Office, workspace: Workspace) -> Watched:
        docs = Watched(workspace, office.double.subscriptions.now)
        docs.source["connector"] = "sharepoint"
        docs.source["options"] = office.settings(sites=[office.url], pages=False)
        return docs

    def later(self, docs: Watched, office: Office, **time: float) -> None:
        docs.now += timedelta(**time)
        office.double.subscriptions.now = docs.now

    def test_each_library_is_subscribed_to_once(self, docs: Watched, office: Office) -> None:
        assert counts(docs.renew()) == (2, 0, 0, 0)
        assert counts(docs.renew()) == (0, 0, 2, 0)
        alive = office.double.subscriptions.alive()
        assert {one["resource"] for one in alive} == {
            f"drives/{place.key}/root" for place in office.tenant.places.values() if place.drive
        }
        for one in alive:
            assert (one["changeType"], one["clientState"]) == ("updated", SECRET)
            assert one["notificationUrl"] == one["lifecycleNotificationUrl"]
            assert one["notificationUrl"].startswith(f"{HOST}/events/docs?")
            assert SECRET not in one["notificationUrl"]

    def test_a_pass_each_day_keeps_them_alive_for_ever(self, docs: Watched, office: Office) -> None:
        docs.renew()
        made = {one["id"] for one in office.double.subscriptions.alive()}
        for _ in range(40):
            self.later(docs, office, days=1)
            assert counts(docs.renew()) == (0, 2, 0, 0)
        assert {one["id"] for one in office.double.subscriptions.alive()} == made

    def test_one_that_ended_is_made_again(self, docs: Watched, office: Office) -> None:
        docs.renew()
        self.later(docs, office, days=30)
        assert counts(docs.renew()) == (2, 0, 0, 0)

    def test_one_that_goes_while_it_is_renewed_is_made_again(self, docs: Watched, office: Office) -> None:
        docs.renew()
        self.later(docs, office, days=1)
        office.double.faults.script(Status(404), path="/subscriptions/")
        assert counts(docs.renew()) == (1, 1, 0, 0)

    def test_a_new_secret_makes_new_ones_and_ends_the_old(self, docs: Watched, office: Office) -> None:
        docs.renew()
        docs.secret(OTHER)
        assert counts(docs.renew()) == (2, 0, 0, 2)
        assert {one["clientState"] for one in office.double.subscriptions.alive()} == {OTHER}

    def test_those_of_other_sources_and_programs_are_left_alone(self, docs: Watched, office: Office) -> None:
        docs.renew()
        docs.source["triggers"]["webhook"]["address"] = "https://other.example.com"
        assert counts(docs.renew()) == (2, 0, 0, 0)
        assert len(office.double.subscriptions.alive()) == 4

    def test_what_is_not_chosen_any_more_is_ended(self, docs: Watched, office: Office) -> None:
        docs.renew()
        with office.double.lock:
            gone = next(one for one in office.tenant.places.values() if one.name == "Plans")
            del office.tenant.places[gone.key]
        assert counts(docs.renew()) == (0, 0, 1, 1)

    def test_nothing_is_ended_while_not_every_library_is_known(self, docs: Watched, office: Office) -> None:
        other = office.tenant.site("sites/it")
        office.tenant.library(other.key, "Drawings")
        docs.source["options"]["sites"] = [office.url, office.url.replace("sites/hr", "sites/it")]
        assert counts(docs.renew()) == (3, 0, 0, 0)
        with office.double.lock:
            office.tenant.delete_site(other.key)
        done = docs.renew()
        assert (done.kept, done.ended, len(done.errors)) == (2, 0, 1)

    def test_an_app_that_may_only_read_is_told_so(self, docs: Watched, office: Office) -> None:
        office.double.roles -= ROLES
        done = docs.renew()
        assert (done.made, len(done.errors)) == (0, 2)
        assert all(isinstance(one, ForbiddenEntityError) for one in done.errors.values())
        assert all(SECRET not in str(one) for one in done.errors.values())

    def test_a_receiver_that_does_not_answer_the_handshake_is_told(
        self, docs: Watched, office: Office
    ) -> None:
        office.double.subscriptions.handshake = lambda address, token: "no"
        assert {str(one).rpartition(": ")[2] for one in docs.renew().errors.values()} == {"ValidationError"}

    def test_graph_that_is_away_is_asked_again_by_the_next_pass(self, docs: Watched, office: Office) -> None:
        office.double.faults.script(Status(503), path="/subscriptions", times=9)
        assert isinstance(docs.renew(), TransientError)
        office.double.faults.clear()
        assert counts(docs.renew()) == (2, 0, 0, 0)

    def test_a_notification_and_a_lifecycle_event_of_what_was_made_become_hints(
        self, docs: Watched, office: Office
    ) -> None:
        workspace = docs.workspace
        workspace.document["serving"] = {"anonymous": {"tenant": "default"}}
        with served(workspace) as client:

            def shake(address: str, token: str) -> str:
                parts = urlsplit(address)
                answer = client.post(f"{parts.path}?{parts.query}", params={"validationToken": token})
                return answer.text if answer.status_code == 200 else ""

            office.double.subscriptions.handshake = shake
            assert counts(docs.renew()) == (2, 0, 0, 0)
            for one in office.double.subscriptions.alive():
                told = {"subscriptionId": one["id"], "clientState": one["clientState"]}
                assert self.told(client, one, {**told, "resource": one["resource"]}) == 202
                assert self.told(client, one, {**told, "lifecycleEvent": "reauthorizationRequired"}) == 202
        keys = {row["key"] for row in workspace.rows("SELECT key FROM rag.hint")}
        assert keys == {None, *(one["resource"] for one in office.double.subscriptions.alive())}

    def told(self, client: httpx.Client, subscription: dict[str, Any], told: dict[str, Any]) -> int:
        parts = urlsplit(subscription["notificationUrl"])
        return client.post(f"{parts.path}?{parts.query}", json={"value": [told]}).status_code


class TestDrive:
    """Channels of shared drives and of My Drives."""

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[Bench]:
        folder = tmp_path / "bench"
        folder.mkdir()
        bench = Bench(folder)
        bench.drive("Plans")
        yield bench
        bench.close()
        assert bench.double.problems == []

    @pytest.fixture
    def docs(self, bench: Bench, workspace: Workspace, tmp_path: Path) -> Watched:
        docs = Watched(workspace, bench.site.now)
        docs.source["connector"] = "google_drive"
        docs.source["options"] = {
            **drive_options(bench.double, tmp_path / "bench"),
            "shared_drives": ["*"],
            "users": [ANN, BOB],
        }
        return docs

    def later(self, docs: Watched, bench: Bench, **time: float) -> None:
        docs.now += timedelta(**time)
        bench.site.now = docs.now

    def alive(self, bench: Bench) -> list[dict[str, Any]]:
        now = bench.site.now.timestamp() * 1000
        return [one for one in bench.double.channels.values() if int(one["expiration"]) > now]

    def test_each_drive_is_watched_as_who_reads_it(self, docs: Watched, bench: Bench) -> None:
        assert counts(docs.renew()) == (3, 0, 0, 0)
        assert counts(docs.renew()) == (0, 0, 3, 0)
        watched = {(one["me"], bool(one["drive"])) for one in self.alive(bench)}
        assert {(ANN, False), (BOB, False)} < watched
        assert len(watched) == 3
        for one in self.alive(bench):
            assert (one["address"], one["token"], one["type"]) == (f"{HOST}/events/docs", SECRET, "web_hook")

    def test_a_pass_each_day_leaves_no_gap(self, docs: Watched, bench: Bench) -> None:
        for _ in range(20):
            docs.renew()
            next_day = (bench.site.now + timedelta(days=1)).timestamp() * 1000
            lasting = {
                (one["me"], one["drive"]) for one in self.alive(bench) if int(one["expiration"]) > next_day
            }
            assert len(lasting) == 3
            assert len(self.alive(bench)) <= 6
            self.later(docs, bench, days=1)

    def test_a_new_secret_makes_new_channels(self, docs: Watched, bench: Bench) -> None:
        docs.renew()
        docs.secret(OTHER)
        assert counts(docs.renew()) == (3, 0, 0, 0)

    def test_a_drive_that_cannot_be_watched_costs_itself_only(self, docs: Watched, bench: Bench) -> None:
        body = json.dumps({"error": {"errors": [{"reason": "pushNotSupportedForRequestedResource"}]}})
        bench.double.faults.script(Status(400, body=body), path="changes/watch")
        done = docs.renew()
        assert (done.made, len(done.errors)) == (2, 1)
        assert "pushNotSupportedForRequestedResource" in str(*done.errors.values())


class TestSetting:
    """Who may be asked for notifications, and how it is told."""

    def test_other_connectors_have_none(self, workspace: Workspace) -> None:
        docs = Watched(workspace, datetime.now())
        error = docs.renew()
        assert isinstance(error, UsageError)
        assert "sharepoint and google_drive, not for filesystem" in str(error)

    @pytest.mark.parametrize(
        "address", ["http://rag.example.com", "https://u:p@rag.example.com", "rag", "https://"]
    )
    def test_an_address_that_no_vendor_takes_is_refused(self, workspace: Workspace, address: str) -> None:
        workspace.document["sources"]["docs"]["triggers"] = {
            "webhook": {"secret": SECRET, "address": address}
        }
        with pytest.raises(ConfigError, match="address"):
            _ = workspace.settings

    def test_the_command_says_what_it_did_and_fails_where_something_failed(
        self, workspace: Workspace, call: Callable[..., Result]
    ) -> None:
        Watched(workspace, datetime.now())
        answer = call("source", "subscribe")
        assert answer.exit_code != 0
        assert "take it out" in answer.output
        del workspace.document["sources"]["docs"]["triggers"]
        assert call("source", "subscribe").exit_code == 0
        assert "triggers.webhook.address" in call("source", "subscribe", "docs").output
