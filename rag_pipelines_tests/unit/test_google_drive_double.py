"""The double of Google Drive is like Google's own description of it, and agrees with the oracle."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests

from rag_pipelines_tests.doubles.google_discovery import api, apply_mask, parse_mask
from rag_pipelines_tests.doubles.google_drive import GoogleDrive
from rag_pipelines_tests.doubles.google_drive_items import DOC, FORM, Grant
from rag_pipelines_tests.doubles.google_drive_oracle import ANYBODY, Oracle
from rag_pipelines_tests.doubles.google_drive_permissions import effective
from rag_pipelines_tests.doubles.google_drive_state import Workspace
from rag_pipelines_tests.doubles.google_workspace import DRIVE_SCOPE, GROUP_SCOPE, USER_SCOPE

ANN, BOB, EVE = "ann@example.com", "bob@example.com", "eve@partner.example"


@pytest.fixture
def double() -> Iterator[GoogleDrive]:
    site = Workspace()
    for email in (ANN, BOB):
        site.person(email)
    site.person(EVE, external=True)
    with GoogleDrive(site) as server:
        server.admins.add(ANN)
        yield server
        assert server.problems == []


def ask(double: GoogleDrive, me: str, path: str, **query: Any) -> requests.Response:
    """A GET on behalf of `me`; `fields` is everything unless it is given."""
    claims = {"iss": "sync", "sub": me, "scope": f"{DRIVE_SCOPE} {USER_SCOPE} {GROUP_SCOPE}"}
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": f"x.{part}.x"}
    token = requests.post(f"{double.url}/token", data=form, timeout=5).json()["access_token"]
    return requests.get(
        double.url + path,
        {"fields": "*", **query},
        headers={"Authorization": f"Bearer {token}"},
        timeout=5,
    )


def listed(double: GoogleDrive, me: str, **query: Any) -> list[str]:
    everything = {"supportsAllDrives": "true", "includeItemsFromAllDrives": "true"}
    answer = ask(double, me, "/drive/v3/files", **everything, **query)
    assert answer.status_code == 200, answer.text
    return [one["name"] for one in answer.json()["files"]]


def test_a_field_mask_keeps_what_it_names() -> None:
    mask = parse_mask("nextPageToken,files(id,owners/emailAddress,capabilities(canShare))")
    value = {"kind": "x", "files": [{"id": "1", "owners": [{"emailAddress": "a", "me": True}], "name": "n"}]}
    assert apply_mask(mask, value) == {"files": [{"id": "1", "owners": [{"emailAddress": "a"}]}]}


def test_what_google_does_not_know_is_found() -> None:
    drive = api("drive")
    assert list(drive.check_request("files.list", {"fields": ["files(id,nme)"]}))
    assert list(drive.check_request("files.list", {"supportsAllDrives": ["True"]}))
    assert list(drive.check_request("files.list", {"folder": ["1"]}))
    assert list(drive.check_request("files.export", {}))
    assert list(drive.check_answer("FileList", {"files": [{"size": 3}]}))
    assert list(drive.check_answer("FileList", {"files": [{"path": "x"}]}))
    assert not list(drive.check_answer("FileList", {"files": [{"size": "3", "trashed": False}]}))


def test_every_kind_of_answer_is_of_googles_shape(double: GoogleDrive) -> None:
    site = double.site
    drive = site.drive("Team", Grant("user", ANN, "organizer"), Grant("group", "staff@example.com"))
    site.group("staff@example.com", BOB, EVE)
    folder = site.folder(drive.id, "Closed", Grant("user", BOB, expires=site.now + timedelta(days=1)))
    site.limit(folder)
    doc = site.file(folder.id, "Plan", "# Plan", mime=DOC)
    site.shortcut(drive.id, doc.id)
    site.file(site.roots[ANN], "notes.txt", "notes", Grant("anyone", "", discoverable=False))
    site.file(site.roots[ANN], "Survey", mime=FORM).resource_key = "k"
    site.comment(doc, "Bob", "Why?", quoted="Plan").replies.append(("Ann", "Because."))
    assert listed(double, ANN, corpora="drive", driveId=drive.id) == ["Closed", "Plan", "To Plan"]
    assert listed(double, ANN) == ["notes.txt", "Survey"]
    for path in (
        f"/drive/v3/files/{doc.id}",
        f"/drive/v3/files/{folder.id}/permissions",
        f"/drive/v3/files/{doc.id}/comments",
        "/drive/v3/drives",
        f"/drive/v3/drives/{drive.id}",
        "/drive/v3/changes/startPageToken",
        "/drive/v3/about",
    ):
        assert ask(double, ANN, path).status_code == 200, path
    changes = ask(double, ANN, "/drive/v3/changes", pageToken="1", driveId=drive.id).json()
    assert {one.get("fileId") for one in changes["changes"]} >= {folder.id, doc.id}
    for path in ("users", "groups"):
        assert ask(double, ANN, f"/admin/directory/v1/{path}", customer="my_customer").status_code == 200
    members = ask(double, ANN, "/admin/directory/v1/groups/staff@example.com/members").json()["members"]
    assert [one["email"] for one in members] == [BOB, EVE]


def test_a_listing_in_pages_names_everything_once(double: GoogleDrive) -> None:
    site = double.site
    for n in range(7):
        site.file(site.roots[ANN], f"{n}.txt")
    everything = {"supportsAllDrives": "true", "includeItemsFromAllDrives": "true", "pageSize": "3"}
    names: list[str] = []
    token: dict[str, str] = {}
    while True:
        answer = ask(double, ANN, "/drive/v3/files", **everything, **token).json()
        names += [one["name"] for one in answer["files"]]
        if "nextPageToken" not in answer:
            break
        token = {"pageToken": answer["nextPageToken"]}
    assert names == [f"{n}.txt" for n in range(7)]
    refused = ask(double, ANN, "/drive/v3/files", **everything, pageToken="x")
    assert refused.json()["error"]["errors"][0]["location"] == "pageToken"


def test_a_limited_folder_shows_its_name_to_those_above_and_nothing_in_it(double: GoogleDrive) -> None:
    site = double.site
    drive = site.drive("Team", Grant("user", ANN, "organizer"), Grant("user", BOB, "writer"))
    folder = site.folder(drive.id, "Closed", limited=True)
    site.file(folder.id, "secret.txt")
    assert listed(double, ANN, corpora="drive", driveId=drive.id) == ["Closed", "secret.txt"]
    assert listed(double, BOB, corpora="drive", driveId=drive.id) == ["Closed"]
    answer = ask(double, ANN, f"/drive/v3/files/{folder.id}/permissions").json()["permissions"]
    assert [(one["emailAddress"], one.get("view")) for one in answer] == [(ANN, None), (BOB, "metadata")]


def test_the_log_of_a_drive_names_a_shared_folder_and_nothing_below_it(double: GoogleDrive) -> None:
    site = double.site
    drive = site.drive("Team", Grant("user", ANN, "organizer"))
    folder = site.folder(drive.id, "Plans")
    site.file(folder.id, "plan.txt")
    start = str(site.sequence + 1)
    site.share(folder, Grant("user", BOB))
    changes = ask(double, ANN, "/drive/v3/changes", pageToken=start, driveId=drive.id).json()
    assert [one["fileId"] for one in changes["changes"]] == [folder.id]


def test_lost_access_is_removed_from_the_log_of_who_lost_it_only(double: GoogleDrive) -> None:
    site = double.site
    item = site.file(site.roots[ANN], "plan.txt", "x", Grant("user", BOB))
    start = str(site.sequence + 1)
    site.unshare(item, BOB)
    for me, removed in ((ANN, False), (BOB, True)):
        changes = ask(double, me, "/drive/v3/changes", pageToken=start).json()["changes"]
        assert [one["removed"] for one in changes] == [removed]


@pytest.mark.parametrize("seed", range(20))
def test_permissions_as_the_server_shows_them_are_what_the_oracle_says(seed: int) -> None:
    """Two ways to the same readers: from the item up, and from the top down."""
    rng = random.Random(seed)
    site = Workspace()
    people = [f"p{n}@example.com" for n in range(5)]
    for one in people:
        site.person(one)
    site.group("g1@example.com", *people[:2])
    site.group("g2@example.com", "g1@example.com", people[4])
    names = [*people, "g1@example.com", "g2@example.com"]

    def grant() -> Grant:
        who = rng.choice(names)
        return Grant("group" if who.startswith("g") else "user", who, rng.choice(["reader", "writer"]))

    drive = site.drive("D", Grant("user", people[0], "organizer"), grant())
    places = [drive.id, site.roots[people[1]]]
    for n in range(20):
        parent = rng.choice(places)
        given = [grant() for _ in range(rng.randrange(2))]
        places.append(site.folder(parent, f"F{n}", *given, limited=rng.random() < 0.2).id)
        site.file(rng.choice(places), f"f{n}", "x", *[grant() for _ in range(rng.randrange(2))])
    oracle = Oracle(site)
    for item in site.items.values():
        shown = set()
        for permission in effective(site, item):
            if not permission.metadata_only:
                shown |= site.expand(permission.grant.who)
        assert shown == oracle.readers(item), item
    assert ANYBODY not in shown
