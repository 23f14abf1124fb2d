"""A site that answers every fifth request with a fault: the sync ends complete, at a bounded price.

`benchmarks/confluence_storm.py` prints the figures for 5,000 pages.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rag_pipelines.sync.report import SyncReport
from rag_pipelines_tests.connectors.google_drive_bench import options_of
from rag_pipelines_tests.doubles import confluence_sample, confluence_state, jira_sample, jira_state
from rag_pipelines_tests.doubles.confluence_cloud import ConfluenceCloud
from rag_pipelines_tests.doubles.confluence_data_center import ConfluenceDataCenter
from rag_pipelines_tests.doubles.faults import Status, Truncate
from rag_pipelines_tests.doubles.google_drive import GoogleDrive
from rag_pipelines_tests.doubles.google_drive_items import Grant
from rag_pipelines_tests.doubles.google_drive_sample import ADMIN, sample_drive
from rag_pipelines_tests.doubles.google_drive_state import Workspace as Organisation
from rag_pipelines_tests.doubles.jira_cloud import JiraCloud
from rag_pipelines_tests.doubles.jira_data_center import JiraDataCenter
from rag_pipelines_tests.doubles.server import Server
from rag_pipelines_tests.doubles.servicenow import ServiceNow
from rag_pipelines_tests.doubles.servicenow_sample import sample_instance
from rag_pipelines_tests.doubles.servicenow_state import Instance
from rag_pipelines_tests.doubles.sources import LOGINS, source_of
from rag_pipelines_tests.doubles.zendesk import Zendesk
from rag_pipelines_tests.doubles.zendesk_sample import sample_desk
from rag_pipelines_tests.doubles.zendesk_state import Desk
from rag_pipelines_tests.integration.workspace import Workspace

SHARE = 0.2
FILES = r"/media/|/download/|/attachment/|/article_attachments/|alt=media"


class Case(NamedTuple):
    """A system to sync: its double, what it holds, what people change in it, and how many they delete."""

    double: Callable[[Any], Server]
    source: Callable[[Server, Path], dict[str, Any]]
    site: Callable[[], Any]
    change: Callable[[Any], int]
    expires: str | None = None
    """Requests of a feed, the second of which is told that its position is not known any more."""


def change_confluence(site: confluence_state.Site) -> int:
    pages = [one for one in site.contents.values() if one.type == confluence_state.PAGE]
    for page in pages[50:80]:
        site.edit(page.id, f"<p>Edited {page.id}</p>")
    for page in pages[80:90]:
        site.restrict(page.id, people=("user3",))
    before = sum(map(site.alive, site.contents.values()))
    for page in pages[100:130]:
        site.trash(page.id)
    return before - sum(map(site.alive, site.contents.values()))


def change_jira(site: jira_state.Site) -> int:
    issues = list(site.issues.values())
    for issue in issues[50:80]:
        site.edit(issue.id, summary="Edited")
    for issue in issues[100:130]:
        site.delete(issue.id)
    return sum(1 + len(issue.attachments) for issue in issues[100:130])


def change_servicenow(site: Instance) -> int:
    articles = list(site.tables["kb_knowledge"].values())
    for article in articles[50:80]:
        site.edit(article, text="<p>Edited</p>")
    attached = {one["table_sys_id"] for one in site.tables["sys_attachment"].values()}
    used = {one["knowledge"] for one in site.tables["m2m_kb_knowledge_to_block"].values()}
    for article in articles[100:130]:
        site.delete(article)
    return sum(
        1 + (article["sys_id"] in attached) + (article["sys_id"] in used) for article in articles[100:130]
    )


def change_zendesk(desk: Desk) -> int:
    articles = list(desk.articles.values())
    for article in articles[50:80]:
        desk.translate(article, "en-us", body="<p>Edited</p>")
    for article in articles[80:90]:
        desk.show_to(article, [desk.staff])
    attached = {one["article_id"] for one in desk.attachments.values()}
    for article in articles[100:130]:
        desk.archive(article)
    tickets = list(desk.tickets.values())
    desk.comment(tickets[0], desk.users[tickets[0]["requester_id"]], "It is over.")
    for ticket in tickets[1:3]:
        desk.delete_ticket(ticket)
    desk.tick()
    gone = articles[100:130]
    translated = sum(len(desk.translations[article["id"]]) for article in gone)
    files = sum(article["id"] in attached for article in gone)
    return translated + files + 2 * 2  # a ticket and its private comments


def change_drive(site: Organisation) -> int:
    files = [item for item in site.items.values() if item.name.startswith("case")]
    for item in files[50:80]:
        site.edit(item, "Edited.")
    for item in files[80:90]:
        site.share(item, Grant("user", "cat@example.com"))
    for item in files[100:130]:
        site.trash(item)
    return 30


def source(connector: str, *, cloud: bool = True) -> Callable[[Server, Path], dict[str, Any]]:
    """How a source that is listed fully by each run is configured."""
    return lambda server, folder: source_of(connector, server, cloud=cloud, full_listing="0s")


def drive_source(server: Server, folder: Path) -> dict[str, Any]:
    """It follows its feed."""
    assert isinstance(server, GoogleDrive)
    server.admins.add(ADMIN)
    server.cap = 20
    folder.mkdir()
    options = {**options_of(server, folder), "users": ["ann@example.com"], **PATIENT}
    return {"connector": "google_drive", "options": options, "access": "public"}


PATIENT = {"retries": 6, "max_wait": 60.0, "read_timeout": 0.5}
EXPIRED = Status(
    400, body='{"error": {"code": 400, "errors": [{"reason": "invalid", "location": "pageToken"}]}}'
)

CASES = {
    "confluence-cloud": Case(
        partial(ConfluenceCloud, logins=LOGINS),
        source("confluence"),
        lambda: confluence_sample.sample_site(320),
        change_confluence,
    ),
    "confluence-data-center": Case(
        partial(ConfluenceDataCenter, logins=LOGINS),
        source("confluence", cloud=False),
        lambda: confluence_sample.sample_site(320),
        change_confluence,
    ),
    "jira-cloud": Case(
        partial(JiraCloud, logins=LOGINS),
        source("jira"),
        lambda: jira_sample.sample_site(250, cloud=True),
        change_jira,
    ),
    "jira-data-center": Case(
        partial(JiraDataCenter, logins=LOGINS),
        source("jira", cloud=False),
        lambda: jira_sample.sample_site(250, cloud=False),
        change_jira,
    ),
    "servicenow": Case(
        partial(ServiceNow, logins=LOGINS),
        source("servicenow"),
        lambda: sample_instance(250),
        change_servicenow,
    ),
    "zendesk": Case(
        partial(Zendesk, logins=LOGINS), source("zendesk"), lambda: sample_desk(150), change_zendesk
    ),
    "google-drive": Case(GoogleDrive, drive_source, lambda: sample_drive(150), change_drive),
    "google-drive-cursor-expires": Case(
        GoogleDrive,
        drive_source,
        lambda: sample_drive(150),
        change_drive,
        expires=r"/drive/v3/changes\?.*pageToken",
    ),
}


class Pair:
    """Two sources of one site in one catalogue, each with a server of its own: `calm` has no faults."""

    def __init__(self, case: Case, folder: Path, database_url: str) -> None:
        self.site = case.site()
        self.servers = {name: case.double(self.site).start() for name in ("stormy", "calm")}
        sources = {name: case.source(server, folder / name) for name, server in self.servers.items()}
        self._workspace = Workspace(
            folder, database_url, sources=sources, indexes={"main": {"sources": list(sources)}}
        )

    def sync(self) -> tuple[dict[str, SyncReport], float]:
        """Run both; their reports, and how many requests the storm took for each of the calm."""
        for server in self.servers.values():
            server.log.clear()
        reports = {name: self._workspace.ingest(name) for name in self.servers}
        return reports, len(self.servers["stormy"].log) / len(self.servers["calm"].log)

    def held(self, source: str) -> dict[str, Any]:
        """What is served of a source: external id to the hash of its bytes and its access rule."""
        rows = self._workspace.rows(
            "SELECT d.external_id, d.raw_sha256, d.access_id FROM rag.document d "
            "JOIN rag.source s USING (source_id) WHERE s.name = %s AND d.state <> 'tombstoned'",
            source,
        )
        return {row["external_id"]: (bytes(row["raw_sha256"]), row["access_id"]) for row in rows}

    def close(self) -> None:
        self._workspace.close()
        for server in self.servers.values():
            server.stop()


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_storm_costs_less_than_twice_the_requests_and_loses_nothing(
    case: Case, tmp_path: Path, database_url: str
) -> None:
    pair = Pair(case, tmp_path, database_url)
    weather = pair.servers["stormy"].faults
    weather.storm(SHARE, seed=5)
    weather.script(Truncate(framing="close"), path=FILES, times=4)
    for change in (lambda site: 0, case.change):
        deleted = change(pair.site)
        for server in pair.servers.values():
            if deleted and case.expires:
                server.faults.script(EXPIRED, nth=2, path=case.expires)
        reports, ratio = pair.sync()
        assert {report.outcome for report in reports.values()} == {"complete"}
        assert reports["stormy"].changes == reports["calm"].changes
        assert reports["stormy"].changes.get("deleted", 0) == deleted
        assert not reports["stormy"].failed
        assert pair.held("stormy") == pair.held("calm")
        assert 1 < ratio < 2
    assert sum(weather.met.values()) >= 12
    pair.close()
