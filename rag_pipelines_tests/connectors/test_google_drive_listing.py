"""What is listed of Google Drive, and what is loaded: kinds of files, shortcuts, options, checks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag_pipelines.errors import (
    ConfigError,
    CredentialError,
    EncryptedDocumentError,
    FetchError,
    ForbiddenEntityError,
    TooLargeDocumentError,
    UnsupportedDocumentError,
)
from rag_pipelines_tests.connectors.google_drive_bench import ADMIN, ANN, BOB, CAT, Bench, opened
from rag_pipelines_tests.connectors.google_drive_world import refusal
from rag_pipelines_tests.doubles.google_drive_items import DOC, FORM, SHEET, SLIDES, Grant
from rag_pipelines_tests.doubles.google_workspace import (
    DRIVE_SCOPE,
    GROUP_SCOPE,
    SERVICE_ACCOUNT,
    USER_SCOPE,
)

OFFICE = "application/vnd.openxmlformats-officedocument."
PDF = "application/pdf"
LARGE = 11 * 1024 * 1024


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    yield from opened(tmp_path)


# Kinds of files.


def test_every_kind_is_loaded_as_what_it_is_or_exported(bench: Bench) -> None:
    drive = bench.drive("Team")
    folder = bench.site.folder(drive.id, "Folder")
    kinds = {DOC: "text/markdown", SHEET: f"{OFFICE}spreadsheetml.sheet",
             SLIDES: f"{OFFICE}presentationml.presentation", PDF: PDF}  # fmt: skip
    for kind in kinds:
        bench.site.file(folder.id, kind.rpartition(".")[2], f"content of {kind}", mime=kind)
    listing = bench.listed()
    assert {item.metadata["type"]: item.media_type for item in listing.items.values()} == kinds
    for item in listing.items.values():
        assert item.load().decode() == f"content of {item.metadata['type']}"
        assert item.path == f"Team/Folder/{item.name}"
        is_editors = item.metadata["type"] != PDF
        assert (item.title, item.size is None) == (item.name if is_editors else None, is_editors)


def test_a_doc_as_html_is_another_content(bench: Bench) -> None:
    bench.site.file(bench.drive("Team").id, "Doc", "<p>x</p>", mime=DOC)
    (markdown,) = bench.listed().items.values()
    (html,) = bench.listed(docs_format="html").items.values()
    assert (markdown.media_type, html.media_type) == ("text/markdown", "text/html")
    assert markdown.token != html.token


def test_an_edit_changes_a_docs_token_and_sharing_or_commenting_does_not(bench: Bench) -> None:
    doc = bench.site.file(bench.drive("Team").id, "Doc", "# 1", mime=DOC)
    before = bench.listed().tokens()
    bench.site.tick()
    bench.site.share(doc, Grant("user", ANN))
    assert bench.listed().tokens() == before
    bench.site.edit(doc, "# 2")
    assert bench.listed().tokens() != before


def test_what_has_no_export_or_is_encrypted_says_so(bench: Bench) -> None:
    drive = bench.drive("Team")
    bench.site.file(drive.id, "Survey", mime=FORM)
    bench.site.file(drive.id, "Locked", mime=PDF).encrypted = True
    listing = bench.listed()
    kinds = {str(one.error).split("'")[1]: type(one.error) for one in listing.failures}
    assert kinds == {"Survey": UnsupportedDocumentError, "Locked": EncryptedDocumentError}
    assert all(one.external_id and one.token for one in listing.failures)
    assert listing.is_full


def test_an_export_above_googles_limit_is_read_by_its_link(bench: Bench) -> None:
    doc = bench.site.file(bench.drive("Team").id, "Doc", "# Long", mime=DOC)
    doc.export_bytes = LARGE
    (item,) = bench.listed().items.values()
    assert len(item.load()) == LARGE
    assert len(bench.double.requests("/feeds/download/")) == 1


def test_an_export_that_has_no_way_out_is_too_large(bench: Bench) -> None:
    doc = bench.site.file(bench.drive("Team").id, "Doc", "# Long", mime=DOC)
    doc.export_bytes = LARGE
    (item,) = bench.listed().items.values()
    bench.double.faults.script(refusal(403, "forbidden"), path="/feeds/download/")
    with pytest.raises(TooLargeDocumentError, match="10 MB"):
        item.load()


def test_an_export_is_read_up_to_the_limit_and_no_further(bench: Bench) -> None:
    doc = bench.site.file(bench.drive("Team").id, "Doc", "# Long", mime=DOC)
    for size in (9_000_000, LARGE):
        doc.export_bytes = size
        (item,) = bench.listed(max_bytes=1_000_000).items.values()
        with pytest.raises(TooLargeDocumentError):
            item.load()


def test_a_file_above_the_limit_is_told_by_the_listing(bench: Bench) -> None:
    bench.site.file(bench.drive("Team").id, "big", b"x" * 2000)
    (failure,) = bench.listed(max_bytes=1000).failures
    assert isinstance(failure.error, TooLargeDocumentError)


def test_what_may_not_be_loaded_fails_that_document_only(bench: Bench) -> None:
    item = bench.site.file(bench.drive("Team").id, "virus", "x")
    (listed,) = bench.listed().items.values()
    bench.double.faults.script(refusal(403, "cannotDownloadAbusiveFile"), path="alt=media")
    with pytest.raises(ForbiddenEntityError):
        listed.load()
    bench.site.purge(item)
    with pytest.raises(FetchError):
        listed.load()


def test_comments_are_documents_below_their_file(bench: Bench) -> None:
    drive = bench.drive("Team", Grant("user", ANN))
    doc = bench.site.file(drive.id, "Doc", "# Plan", mime=DOC)
    comment = bench.site.comment(doc, "Bob", "Why?", quoted="Plan")
    comment.replies.append(("Ann", "Because."))
    listing = bench.listed(comments=True)
    item = listing.items[f"file/{doc.id}/comment/c1"]
    assert item.load().decode() == "“Plan”\n\nBob: Why?\n\nAnn: Because."
    assert item.access == listing.items[f"file/{doc.id}"].access
    assert item.author == "Bob"
    connector = bench.connector(comments=True)
    asked = [f"file/{doc.id}/comment/{one}" for one in ("c1", "c2")]
    assert connector.existing(asked) == {f"file/{doc.id}/comment/c1"}
    assert set(bench.listed().items) == {f"file/{doc.id}"}


# Shortcuts.


def test_what_a_shortcut_leads_to_is_listed_once_with_its_own_readers(bench: Bench) -> None:
    site = bench.site
    top, drive = site.roots[ANN], bench.drive("Team")
    theirs = site.file(site.roots[CAT], "theirs", "text", Grant("user", ANN, "writer"), Grant("user", BOB))
    inside = site.file(drive.id, "inside")
    for target in (theirs, theirs, inside):
        site.shortcut(top, target.id)
    options: dict[str, Any] = {"users": [ANN]}
    listing = bench.listed(**options)
    assert {item.name for item in listing.items.values()} == {"theirs", "inside"}
    assert listing.items[f"file/{theirs.id}"].load() == b"text"
    assert bench.visible(BOB, **options) == {"theirs"}
    assert bench.connector(**options).existing([f"file/{theirs.id}"]) == {f"file/{theirs.id}"}
    assert bench.names(users=[ANN], shortcuts=False) == {"inside"}


def test_a_folder_that_a_shortcut_leads_to_is_walked_over_in_whatever_circles(bench: Bench) -> None:
    site = bench.site
    folder = site.folder(site.roots[CAT], "Theirs", Grant("user", ANN, "writer"))
    inner = site.folder(folder.id, "Inner")
    item = site.file(inner.id, "deep")
    site.shortcut(inner.id, folder.id)
    site.shortcut(site.roots[ANN], folder.id)
    options: dict[str, Any] = {"users": [ANN], "shared_drives": []}
    assert bench.names(**options) == {"deep"}
    assert bench.connector(**options).existing([f"file/{item.id}"]) == {f"file/{item.id}"}


def test_a_link_that_needs_a_resource_key_is_followed_with_it(bench: Bench) -> None:
    site = bench.site
    theirs = site.file(site.roots[CAT], "theirs", "text", Grant("anyone", "", discoverable=False))
    theirs.resource_key = "0-key"
    site.shortcut(site.roots[ANN], theirs.id)
    (item,) = bench.listed(users=[ANN], shared_drives=[]).items.values()
    assert item.load() == b"text"


def test_a_shortcut_to_what_is_gone_is_nothing(bench: Bench) -> None:
    site = bench.site
    gone = site.file(site.roots[CAT], "gone", "x", Grant("user", ANN))
    site.shortcut(site.roots[ANN], gone.id)
    site.purge(gone)
    listing = bench.listed(users=[ANN], shared_drives=[])
    assert (listing.items, listing.failures, listing.is_full) == ({}, [], True)


def test_what_a_shortcut_leads_to_is_followed_and_goes_with_the_shortcut(bench: Bench) -> None:
    site = bench.site
    theirs = site.file(site.roots[CAT], "theirs", "text", Grant("user", ANN, "writer"))
    shortcut = site.shortcut(site.roots[ANN], theirs.id)
    options: dict[str, Any] = {"users": [ANN], "shared_drives": []}
    before = bench.listed(**options)
    site.edit(theirs, "other")
    changed = bench.followed(before, **options)
    assert changed.items[f"file/{theirs.id}"].load() == b"other"
    site.trash(shortcut)
    assert set(bench.followed(changed, **options).removed) == {f"file/{shortcut.id}", f"file/{theirs.id}"}


# Options.


def test_folders_choose_what_is_below_them(bench: Bench) -> None:
    site, drive = bench.site, bench.drive("Team")
    chosen = site.folder(drive.id, "Chosen")
    left_out = site.folder(chosen.id, "Left out")
    for place in (drive.id, chosen.id, left_out.id, site.folder(chosen.id, "Deep").id):
        site.file(place, f"in {site.items[place].name}")
    options: dict[str, Any] = {"folders": [chosen.id], "exclude_folders": [left_out.id]}
    before = bench.listed(**options)
    assert {item.name for item in before.items.values()} == {"in Chosen", "in Deep"}
    moved = next(one for one in site.items.values() if one.name == "in Deep")
    site.move(moved, drive.id)
    site.edit(next(one for one in site.items.values() if one.name == "in Team"), "x")
    after = bench.followed(before, **options)
    assert after.items == {}
    assert f"file/{moved.id}" in after.removed


def test_drives_and_users_are_chosen_and_left_out_by_id_and_address(bench: Bench) -> None:
    site = bench.site
    one, two = bench.drive("One"), bench.drive("Two")
    for place in (one.id, two.id, site.roots[ANN], site.roots[BOB]):
        site.file(place, f"in {place}")
    everything = {f"in {place}" for place in (one.id, two.id, site.roots[ANN], site.roots[BOB])}
    assert bench.names(users=["*"]) == everything
    assert bench.names(shared_drives=[one.id]) == {f"in {one.id}"}
    assert bench.names(exclude_shared_drives=[one.id], users=["*"], exclude_users=[BOB]) == {
        f"in {two.id}",
        f"in {site.roots[ANN]}",
    }


def test_a_chosen_drive_that_is_not_there_is_a_failure(bench: Bench) -> None:
    listing = bench.listed(shared_drives=["0Agone"])
    assert [one.entity for one in listing.failures] == ["shared drive 0Agone"]
    assert not listing.is_full


def test_a_service_account_reads_the_drives_it_is_a_member_of(bench: Bench) -> None:
    drive = bench.site.drive("Team", Grant("user", SERVICE_ACCOUNT, "reader"))
    bench.site.file(drive.id, "plan", "text")
    (item,) = bench.listed(subject=None).items.values()
    assert (item.name, item.load()) == ("plan", b"text")


def test_one_account_is_read_by_its_refresh_token(bench: Bench) -> None:
    bench.double.refresh_tokens["r"] = ANN
    bench.site.file(bench.site.roots[ANN], "mine", "text")
    login = {"client_id": "c", "client_secret": "s", "refresh_token": "r"}
    options = {"service_account_file": None, "subject": None, "token_url": f"{bench.double.url}/token"}
    (item,) = bench.listed(**options, **login, users=["me"]).items.values()
    assert (item.path, item.load()) == (f"{ANN}/mine", b"text")


def test_requests_name_whom_google_counts_them_for(bench: Bench) -> None:
    bench.site.file(bench.drive("Team").id, "plan")
    bench.listed(quota_user="rag").texts()
    assert len(bench.double.requests("quotaUser=rag")) == len(bench.double.requests("/drive/v3/"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"service_account_file": None}, "exactly one login"),
        ({"client_id": "x"}, "exactly one login"),
        ({"subject": None, "users": [ANN]}, "domain-wide delegation"),
        ({"subject": None, "domain_admin": True}, "domain_admin needs subject"),
        ({"shared_drives": []}, "nothing is chosen"),
        ({"users": ["ann"]}, "not an e-mail address"),
        ({"domains": ["example"]}, "not a domain"),
    ],
)
def test_options_that_do_not_fit_are_refused(bench: Bench, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        bench.connector(**options)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"type": "authorized_user"}'])
def test_a_key_file_that_is_none_is_told_without_its_content(
    bench: Bench, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "other.json"
    path.write_text(content)
    (finding,) = bench.connector(service_account_file=str(path)).check()
    assert not finding.ok
    assert "other.json" in finding.detail


def test_a_private_key_that_is_spoilt_is_told_without_it(bench: Bench, tmp_path: Path) -> None:
    connector = bench.connector()
    path = Path(connector.options.service_account_file or "")
    key = json.loads(path.read_text())
    path.write_text(json.dumps({**key, "private_key": "-----BEGIN s3cret"}))
    findings = connector.check()
    assert not findings[-1].ok
    assert "s3cret" not in findings[-1].detail


# Checks.


def test_a_source_that_is_whole_passes_its_check(bench: Bench) -> None:
    bench.drive("Team")
    findings = bench.connector(users=[ANN], domain_admin=True).check()
    assert all(one.ok for one in findings)
    assert {one.name for one in findings} >= {"login", "users", "groups", "drives", "Team", ANN}


@pytest.mark.parametrize("scope", [DRIVE_SCOPE, USER_SCOPE, GROUP_SCOPE])
def test_a_scope_that_is_missing_is_named_with_where_to_grant_it(bench: Bench, scope: str) -> None:
    bench.double.delegated.discard(scope)
    failed = [one for one in bench.connector().check() if not one.ok]
    assert failed
    assert any(scope in one.detail and "1234567890" in one.detail for one in failed)


def test_an_account_without_privileges_is_told_which_it_needs(bench: Bench) -> None:
    bench.drive("Team")
    bench.double.admins.clear()
    failed = {one.name: one.detail for one in bench.connector().check() if not one.ok}
    assert failed.keys() == {"users", "groups"}
    assert "Users > Read" in failed["users"]
    assert ADMIN in failed["users"]


def test_a_login_that_is_refused_says_what_google_says(bench: Bench) -> None:
    bench.double.revoked = True
    (finding,) = bench.connector().check()
    assert not finding.ok
    assert "invalid_grant" in finding.detail
    with pytest.raises(CredentialError):
        bench.connector().existing(["file/1"])


# Labels.


def test_labels_and_choices_go_by_the_names_that_the_options_give_them(bench: Bench) -> None:
    drive = bench.drive("Team")
    chosen = {"class": {"level": ["c1"]}, "draft": {}, "unasked": {}}
    for name, labels in {
        "both": chosen,
        "unnamed": {"class": {"level": ["c9"]}},
        "open": {"class": {}},
        "none": {},
    }.items():
        bench.site.file(drive.id, name, "text").labels = labels

    listing = bench.listed(labels={"class": {"c1": "secret"}, "draft": "draft"})

    found = {item.name: item.metadata.get("labels") for item in listing.items.values()}
    assert found == {"both": ["draft", "secret"], "unnamed": ["c9"], "open": ["class"], "none": None}


def test_without_names_no_label_is_asked_for(bench: Bench) -> None:
    bench.site.file(bench.drive("Team").id, "file", "text").labels = {"class": {"level": ["c1"]}}
    (item,) = bench.listed().items.values()
    assert "labels" not in item.metadata
    assert bench.double.requests("includeLabels") == []


def test_the_log_of_changes_tells_labels_too(bench: Bench) -> None:
    file = bench.site.file(bench.drive("Team").id, "file", "text")
    names = {"labels": {"class": {"c1": "secret"}}}
    before = bench.listed(**names)
    file.labels = {"class": {"level": ["c1"]}}
    bench.site.rename(file, "another")

    (item,) = bench.followed(before, **names).items.values()

    assert item.metadata["labels"] == ["secret"]
