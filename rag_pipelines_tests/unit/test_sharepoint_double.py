"""The double of Graph answers in the shapes that Microsoft documents, and says what the real one says.

What belongs here: the double itself. What does not: the connector.

``RAG_GRAPH_MOCKS`` names a file of sample answers collected from Microsoft's reference
(github.com/waldekmastykarz/graph-mocks, graph-v1_0-proxy-mocks.json): where it is set, the table of shapes is
held against it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from rag_pipelines_tests.doubles import sharepoint_json as shapes
from rag_pipelines_tests.doubles.sharepoint import CLIENT, SECRET
from rag_pipelines_tests.doubles.sharepoint_feeds import RESYNC_APPLY, RESYNC_UPLOAD
from rag_pipelines_tests.doubles.sharepoint_oracle import STRANGER, LinkPolicy, readers
from rag_pipelines_tests.doubles.sharepoint_rest import SharePoint
from rag_pipelines_tests.doubles.sharepoint_shapes import PATHS, SHAPES, faults_of
from rag_pipelines_tests.doubles.sharepoint_state import (
    ADD_ONLY,
    EMPLOYEES,
    GROUP,
    LIMITED,
    OWNERS,
    READ,
    SITE_GROUP,
    USER,
    Grant,
    Tenant,
)

Json = dict[str, Any]


class Office:
    """A small tenant behind a started double, read as an app reads it."""

    def __init__(self) -> None:
        self.tenant = Tenant()
        self.double = SharePoint(self.tenant).start()
        self.ann = self.tenant.person("ann")
        self.bob = self.tenant.person("bob")
        self.site = self.tenant.site("sites/hr")
        self.site.groups["5"][1].append((USER, self.ann.key))
        self.library = self.tenant.library(self.site.key, "Documents")
        form = {
            "client_id": CLIENT,
            "client_secret": SECRET,
            "grant_type": "client_credentials",
            "scope": "https://graph.microsoft.com/.default",
        }
        answer = requests.post(f"{self.double.url}/t/oauth2/v2.0/token", data=form, timeout=5)
        self.headers = {
            "Authorization": f"Bearer {answer.json()['access_token']}",
            "Prefer": "hierarchicalsharing",
        }

    def get(self, path: str) -> requests.Response:
        url = path if path.startswith("http") else self.double.graph_url + path
        return requests.get(url, headers=self.headers, timeout=5)

    def feed(self, path: str) -> tuple[list[Json], str]:
        """Everything that a feed names, and the link to go on from."""
        found: list[Json] = []
        while True:
            answer = self.get(path).json()
            found += answer["value"]
            if "@odata.deltaLink" in answer:
                return found, answer["@odata.deltaLink"]
            path = answer["@odata.nextLink"]


@pytest.fixture
def office() -> Iterator[Office]:
    made = Office()
    yield made
    made.double.stop()


def test_the_double_answers_in_the_shapes_that_are_documented(office: Office) -> None:
    tenant, library = office.tenant, office.library
    folder = tenant.folder(library, "2026")
    file = tenant.file(library, "leave.docx", parent=folder)
    tenant.package(library, "Notes")
    gone = tenant.file(library, "old.txt")
    tenant.delete(library, gone)
    group = tenant.group("staff", [(USER, office.ann.key)], [office.ann.key])
    tenant.share(
        library,
        file,
        [
            Grant(who=(GROUP, group.key)),
            Grant(who=(OWNERS, group.key)),
            Grant(who=(SITE_GROUP, "5")),
            Grant(who=(EMPLOYEES, "")),
            Grant(link="users", people=((USER, office.bob.key),)),
        ],
    )
    pages = tenant.listing(office.site.key, "Site Pages", template="webPageLibrary")
    page = tenant.page(pages, "Home", [])
    id = shapes.site_id(office.double, office.site)
    asked = {
        "/sites/getAllSites": "site",
        f"/sites/{id}/drives": "drive",
        f"/sites/{id}/lists": "list",
        f"/sites/{id}/lists/{pages.key}/columns": "columnDefinition",
        f"/sites/{id}/lists/{pages.key}/items/delta?$expand=fields": "listItem",
        f"/sites/{id}/pages/{shapes.guid_of(pages, page)}/microsoft.graph.sitePage?$expand=canvasLayout": (
            "sitePage"
        ),
        f"/drives/{library.key}/root/delta": "driveItem",
        f"/drives/{library.key}/items/{file.key}?$expand=listItem($expand=fields)": "driveItem",
        f"/drives/{library.key}/items/{file.key}/permissions": "permission",
        f"/drives/{library.key}/root/permissions": "permission",
        "/users": "user",
        f"/groups/{group.key}/transitiveMembers": "user",
        f"/groups/{group.key}/owners": "user",
    }
    for path, resource in asked.items():
        answer = office.get(path)
        assert answer.status_code == 200, path
        body = answer.json()
        entries = body.get("value", [body])
        assert entries, path
        assert [fault for one in entries for fault in faults_of(resource, one, all_known=True)] == []


def test_the_table_of_shapes_agrees_with_published_samples() -> None:
    given = os.environ.get("RAG_GRAPH_MOCKS")
    if not given:
        pytest.skip("RAG_GRAPH_MOCKS names no file of sample answers")
    met: set[str] = set()
    faults: list[str] = []
    for mock in json.loads(Path(given).read_text())["mocks"]:
        body = mock["response"].get("body")
        if mock["request"].get("method", "GET") != "GET" or not isinstance(body, dict):
            continue
        for pattern, resource in PATHS.items():
            if re.search(pattern, mock["request"]["url"]):
                for entry in body.get("value", [body]):
                    known = {name: value for name, value in entry.items() if name in SHAPES[resource]}
                    faults += faults_of(resource, known, all_known=True)
                    met.add(resource)
    assert faults == []
    assert met == SHAPES.keys()


def test_a_feed_names_what_was_touched_with_the_folders_above_and_what_is_gone_without_a_name(
    office: Office,
) -> None:
    tenant, library = office.tenant, office.library
    folder = tenant.folder(library, "2026")
    file = tenant.file(library, "a.txt", parent=folder)
    other = tenant.file(library, "b.txt", parent=folder)
    _, link = office.feed(f"/drives/{library.key}/root/delta")
    tenant.edit(library, file, b"new")
    tenant.delete(library, other)
    named, after = office.feed(link)
    assert [one["id"] for one in named] == [library.root.key, folder.key, file.key, other.key]
    assert named[-1]["deleted"] == {"state": "deleted"}
    assert "name" not in named[-1]
    tenant.rename(library, folder, "2027")
    named, after = office.feed(after)
    assert [one["id"] for one in named] == [library.root.key, folder.key], "its children are not named"
    assert office.feed(after)[0] == []


def test_the_last_page_of_a_feed_is_empty_and_holds_the_link(office: Office) -> None:
    office.tenant.file(office.library, "a.txt")
    first = office.get(f"/drives/{office.library.key}/root/delta").json()
    assert (len(first["value"]), "@odata.deltaLink" in first) == (2, False)
    last = office.get(first["@odata.nextLink"]).json()
    assert (last["value"], "@odata.deltaLink" in last) == ([], True)


@pytest.mark.parametrize("code", [RESYNC_APPLY, RESYNC_UPLOAD])
def test_an_expired_token_is_refused_with_the_address_to_begin_anew(office: Office, code: str) -> None:
    _, link = office.feed(f"/drives/{office.library.key}/root/delta")
    office.double.feeds.expire(code)
    answer = office.get(link)
    assert (answer.status_code, answer.json()["error"]["code"]) == (410, code)
    assert office.feed(answer.headers["Location"])[0]


def test_sharing_is_told_of_those_that_have_permissions_of_their_own(office: Office) -> None:
    tenant, library = office.tenant, office.library
    folder = tenant.folder(library, "closed")
    tenant.file(library, "inside.txt", parent=folder)
    tenant.share(library, folder, [Grant(who=(USER, office.bob.key))])
    named, _ = office.feed(f"/drives/{library.key}/root/delta")
    assert {one["name"] for one in named if "shared" in one} == {"root", "closed"}


def test_a_batch_answers_each_part_by_itself_in_any_order(office: Office) -> None:
    file = office.tenant.file(office.library, "a.txt")
    paths = [f"/drives/{office.library.key}/items/{file.key}", "/drives/none/items/x"]
    parts = [{"id": str(n), "method": "GET", "url": path} for n, path in enumerate(paths)]
    answer = requests.post(
        f"{office.double.graph_url}/$batch", json={"requests": parts}, headers=office.headers, timeout=5
    )
    assert {one["id"]: one["status"] for one in answer.json()["responses"]} == {"0": 200, "1": 404}


def test_a_download_takes_no_token_and_ends_with_its_hour(office: Office) -> None:
    file = office.tenant.file(office.library, "a.txt", b"hello")
    item = office.get(f"/drives/{office.library.key}/items/{file.key}").json()
    url = item["@microsoft.graph.downloadUrl"]
    assert requests.get(url, timeout=5).content == b"hello"
    assert office.get(url).status_code == 401
    office.double.expire_downloads()
    assert requests.get(url, timeout=5).status_code == 401


def test_the_nearest_permissions_decide_alone(office: Office) -> None:
    tenant, library, ann, bob = office.tenant, office.library, office.ann.key, office.bob.key
    folder = tenant.folder(library, "closed")
    file = tenant.file(library, "a.txt", parent=folder)
    assert readers(tenant, library, file) == {ann}
    tenant.share(library, folder, [Grant(who=(USER, bob)), Grant(LIMITED, (USER, ann))])
    assert readers(tenant, library, file) == {bob}
    tenant.share(library, file, [Grant(ADD_ONLY, (USER, bob)), Grant(link="anonymous")])
    assert readers(tenant, library, file) == set()
    assert readers(tenant, library, file, LinkPolicy(anonymous=True)) == {ann, bob, STRANGER}


def test_people_are_found_through_groups_in_groups_and_in_circles(office: Office) -> None:
    tenant, ann = office.tenant, office.ann.key
    inner = tenant.group("inner", [(USER, ann)])
    outer = tenant.group("outer", [(GROUP, inner.key)])
    inner.members.append((GROUP, outer.key))
    file = tenant.file(office.library, "a.txt")
    tenant.share(office.library, file, [Grant(READ, (GROUP, outer.key))])
    assert readers(tenant, office.library, file) == {ann}
