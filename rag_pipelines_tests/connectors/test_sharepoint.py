"""Loading, site pages and list entries, options and the check of the SharePoint connector."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag_pipelines.connectors.base import Item
from rag_pipelines.connectors.registry import make_connector
from rag_pipelines.connectors.sharepoint.contents import entry_html, page_html
from rag_pipelines.connectors.sharepoint.graph import BATCH, GraphClient
from rag_pipelines.connectors.sharepoint.options import CLOUDS, SharePointOptions
from rag_pipelines.errors import (
    ConfigError,
    CredentialError,
    FetchError,
    TooLargeDocumentError,
    UnsupportedDocumentError,
)
from rag_pipelines.model import CLOSED
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.registry import parse
from rag_pipelines_tests.connectors.sharepoint_bench import Office, addresses, cursor_of, opened
from rag_pipelines_tests.doubles.faults import Status
from rag_pipelines_tests.doubles.sharepoint import FILES, FULL_CONTROL, MEMBERS, PEOPLE, SITES
from rag_pipelines_tests.doubles.sharepoint_state import ADD_ONLY, LIMITED, READ, USER, Grant, Place, Thing

ANN, BOB, EVE = "user:ann@example.com", "user:bob@example.com", "user:eve@example.com"
LOGIN = {"tenant_id": "t", "client_id": "c"}


@pytest.fixture
def office() -> Iterator[Office]:
    yield from opened()


def section(*columns: list[dict[str, Any]]) -> dict[str, Any]:
    return {"layout": "twoColumns", "columns": [{"width": 6, "webparts": parts} for parts in columns]}


def text(html: str) -> dict[str, Any]:
    return {"@odata.type": "#microsoft.graph.textWebPart", "innerHtml": html}


# Loading.


def test_files_are_read_without_a_token_at_addresses_asked_for_in_bulk(office: Office) -> None:
    for n in range(30):
        office.tenant.file(office.library, f"{n}.txt", b"%d" % n)
    listing = office.listed()
    listed = office.requests(r"\$batch")
    assert sorted(listing.texts().values(), key=int) == [str(n) for n in range(30)]
    assert office.requests(r"\$batch") == listed + 2
    assert office.requests(r"/v1.0/drives/[^/]+/items/") == 0
    assert all(entry.authorization is None for entry in office.double.requests("/dl/"))


def test_batches_are_asked_for_several_at_once(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [office.tenant.file(office.library, f"{n}.txt", b"text") for n in range(3 * BATCH)]
    connector = office.connector(concurrent_loads=3)
    items = [entry for entry in connector.items() if isinstance(entry, Item)]
    three, asked = threading.Barrier(3, timeout=30), GraphClient._batch

    def meet(graph: GraphClient, paths: Any, headers: Any) -> Any:
        three.wait()
        return asked(graph, paths, headers)

    monkeypatch.setattr(GraphClient, "_batch", meet)
    connector.prefetch(items)
    before = office.requests("/items/")
    assert [item.load() for item in items] == [b"text"] * len(files)
    assert office.requests("/items/") == before, "the addresses were read ahead"


def test_an_address_whose_hour_is_over_is_asked_for_anew(office: Office) -> None:
    file = office.tenant.file(office.library, "a.txt", b"hello")
    connector = office.connector()
    (item, _) = connector.items()
    connector.prefetch([item])
    office.double.expire_downloads()
    assert item.load() == b"hello"
    assert office.requests(f"/items/{file.key}") == 1


def test_an_address_that_is_always_refused_costs_its_file_alone(office: Office) -> None:
    office.tenant.file(office.library, "a.txt", b"hello")
    (item, _) = office.connector().items()
    office.double.faults.script(Status(401), path="/dl/", times=9)
    with pytest.raises(FetchError):
        item.load()


def test_a_file_that_has_grown_too_large_since_is_not_read(office: Office) -> None:
    file = office.tenant.file(office.library, "a.txt", b"hello")
    (item, _) = office.connector(max_bytes=10).items()
    office.tenant.edit(office.library, file, b"x" * 11)
    with pytest.raises(TooLargeDocumentError):
        item.load()
    assert office.requests("/dl/") == 0


def test_several_files_may_be_loaded_at_once(office: Office) -> None:
    assert office.connector(concurrent_loads=5).concurrent_loads == 5


# Pages.


@pytest.fixture
def pages(office: Office) -> Place:
    return office.tenant.listing(office.site.key, "Site Pages", template="webPageLibrary")


def test_a_page_is_its_title_and_the_text_of_its_parts_in_their_order(office: Office, pages: Place) -> None:
    image = {
        "@odata.type": "#microsoft.graph.standardWebPart",
        "data": {
            "title": "Team",
            "serverProcessedContent": {
                "searchablePlainTexts": [{"key": "caption", "value": "Ann & Bob"}],
                "links": [{"key": "link", "value": "https://example.com/?a=1&b=2"}],
            },
        },
    }
    sections = [
        section([text("<h2>Leave</h2><p>Thirty days.</p>")], [text("<p>Ask Ann.</p>")]),
        section([image]),
    ]
    page = office.tenant.page(pages, "Working <here>", sections)
    listing = office.listed()
    item = listing.items[office.id(page, pages)]
    assert (item.title, item.name, item.media_type) == ("Working <here>", "Working <here>.aspx", "text/html")
    parsed = parse(ParseRequest(item.load(), item.name, "text/html"))
    lines = [parsed.text[block.start : block.end] for block in parsed.blocks]
    assert lines == [
        "Working <here>",
        "Leave",
        "Thirty days.",
        "Ask Ann.",
        "Team",
        "Ann & Bob",
        "https://example.com/?a=1&b=2",
    ]


def test_a_vertical_section_stands_at_the_end_and_an_empty_page_has_its_title() -> None:
    raw = {
        "title": "Home",
        "canvasLayout": {
            "horizontalSections": [section([text("<p>first</p>")])],
            "verticalSection": {"webparts": [text("<p>last</p>")]},
        },
    }
    html = page_html(raw)
    assert html.index("first") < html.index("last")
    assert "<h1>Home</h1>" in page_html({"title": "Home", "canvasLayout": None})


def test_a_draft_of_a_published_page_changes_nothing_and_is_never_read(office: Office, pages: Place) -> None:
    tenant = office.tenant
    page = tenant.page(pages, "Leave", [section([text("<p>Thirty days.</p>")])])
    tenant.page(pages, "Secret plan", [], level="draft")
    before = office.listed()
    assert before.items.keys() == {office.id(page, pages)}
    page.level = "draft"
    tenant.edit(pages, page)
    after = office.followed(cursor_of(before))
    item = after.items[office.id(page, pages)]
    assert item.token == before.items[office.id(page, pages)].token
    with pytest.raises(UnsupportedDocumentError, match="draft"):
        item.load()


def test_pages_are_followed_with_what_is_gone(office: Office, pages: Place) -> None:
    tenant = office.tenant
    kept, gone = (tenant.page(pages, title, []) for title in ("Kept", "Gone"))
    cursor = cursor_of(office.listed())
    tenant.edit(pages, kept)
    tenant.delete(pages, gone)
    followed = office.followed(cursor)
    assert followed.items.keys() == {office.id(kept, pages)}
    assert followed.removed == [office.id(gone, pages)]
    found = office.connector().existing([office.id(kept, pages), office.id(gone, pages)])
    assert found == {office.id(kept, pages)}


def test_pages_can_be_left_out(office: Office, pages: Place) -> None:
    office.tenant.page(pages, "Home", [])
    assert office.listed(pages=False).items == {}


# List entries.


@pytest.fixture
def questions(office: Office) -> Place:
    place = office.tenant.listing(office.site.key, "Questions")
    place.columns = [("Title", "Title"), ("Answer", "Answer"), ("Topics", "Topics")]
    return place


def test_entries_of_chosen_lists_are_documents(office: Office, questions: Place) -> None:
    entry = office.tenant.entry(questions, "How many days?", Answer="Thirty", Topics=["leave", "pay"])
    office.tenant.folder(questions, "Old")
    assert office.listed().items == {}
    item = office.listed(lists=["quest*"]).items[office.id(entry, questions)]
    parsed = parse(ParseRequest(item.load(), item.name, "text/html"))
    lines = [parsed.text[block.start : block.end] for block in parsed.blocks]
    assert lines == ["How many days?", "Answer: Thirty", "Topics: leave, pay"]
    assert item.path == "Hr/Questions/How many days?"


def test_values_of_columns_are_written_as_people_see_them() -> None:
    columns = [
        {"name": name, "displayName": name.title(), **more}
        for name, more in (
            ("person", {}),
            ("done", {}),
            ("link", {}),
            ("empty", {}),
            ("note", {"text": {"textType": "richText"}}),
        )
    ]
    fields = {
        "Title": "A <b>",
        "person": {"LookupId": 7, "LookupValue": "Ann", "Email": "ann@example.com"},
        "done": True,
        "link": {"Description": "Wiki", "Url": "https://example.com"},
        "empty": "",
        "note": "<p>rich</p>",
    }
    html = entry_html(fields, columns)
    assert "<h1>A &lt;b&gt;</h1>" in html
    assert "<b>Person:</b> Ann, ann@example.com" in html
    assert "<b>Done:</b> yes" in html
    assert "<b>Link:</b> Wiki, https://example.com" in html
    assert "Empty" not in html
    assert "<div><p>rich</p></div>" in html


def test_entries_inherit_from_folders_with_permissions_of_their_own(office: Office, questions: Place) -> None:
    tenant = office.tenant
    folder = tenant.folder(questions, "Closed")
    inner = tenant.folder(questions, "Inner", folder)
    plain = tenant.entry(questions, "plain")
    inside = tenant.entry(questions, "inside", parent=inner)
    own = tenant.entry(questions, "own", parent=folder)
    tenant.share(
        questions, folder, [Grant(READ, (USER, office.ann.key)), Grant(LIMITED, (USER, office.bob.key))]
    )
    tenant.share(
        questions, own, [Grant(READ, (USER, office.eve.key)), Grant(ADD_ONLY, (USER, office.ann.key))]
    )
    office.double.cap = 2
    items = office.listed(lists=["*"]).items
    groups, failures, _ = office.groups(lists=["*"])
    assert failures == []

    def seen(thing: Thing) -> set[str]:
        rule = items[office.id(thing, questions)].access
        assert rule is not None
        ((principal,),) = rule.clauses
        return addresses(groups, principal)

    assert (seen(plain), seen(inside), seen(own)) == ({ANN, BOB}, {ANN}, {EVE})


def test_lists_are_closed_where_sharepoint_refuses_a_secret(office: Office, pages: Place) -> None:
    page = office.tenant.page(pages, "Home", [])
    office.double.with_certificate = True
    listing = office.listed()
    assert listing.items[office.id(page, pages)].access == CLOSED
    assert listing.is_full
    assert "certificate" in str(listing.failures[0].error)


# Logging in.


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificate")
    both = folder / "app.pem"
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-days", "2"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    both.write_text(key.read_text() + cert.read_text())
    return both


def test_a_certificate_opens_what_a_secret_does_not(office: Office, certificate: Path) -> None:
    office.double.with_certificate = True
    office.tenant.file(office.library, "a.txt")
    groups, failures, _ = office.groups(client_secret=None, certificate=str(certificate))
    assert failures == []
    assert addresses(groups, f"group:graph/{office.library.key}/root") == {ANN, BOB}


def test_a_platform_writes_the_token_of_an_app_without_a_secret(office: Office, tmp_path: Path) -> None:
    office.tenant.file(office.library, "a.txt")
    token = tmp_path / "token"
    token.write_text("of the platform")
    assert len(office.listed(client_secret=None, token_file=str(token)).items) == 1


@pytest.mark.parametrize("content", ["", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"])
def test_a_certificate_that_is_none_is_told(office: Office, tmp_path: Path, content: str) -> None:
    (tmp_path / "app.pem").write_text(content)
    with pytest.raises(ConfigError, match="certificate"):
        office.listed(client_secret=None, certificate=str(tmp_path / "app.pem"))


def test_a_token_that_expires_in_the_middle_is_renewed(office: Office) -> None:
    for n in range(4):
        office.tenant.file(office.library, f"{n}.txt")
    office.double.cap = 2
    office.double.before(2, office.double.expire_tokens, r"/root/delta")
    assert len(office.listed().items) == 4


def test_a_secret_that_is_wrong_ends_the_listing(office: Office) -> None:
    with pytest.raises(CredentialError):
        office.listed(client_secret="wrong")


# Options.


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "exactly one login"),
        ({"client_secret": "s", "certificate": "c.pem"}, "exactly one login"),
        ({"client_secret": "s", "sites": ["hr"]}, "not the address of a site"),
        ({"client_secret": "s", "graph_url": "graph"}, "must be an address"),
        ({"client_secret": "s", "cloud": "mars"}, "us_gov"),
        ({"client_secret": "s", "labels": {"Secret": "burn"}}, "restrict"),
    ],
)
def test_options_that_cannot_be_used_are_told(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        make_connector("office", "sharepoint", {**LOGIN, **options})


@pytest.mark.parametrize("cloud", CLOUDS)
def test_each_cloud_has_its_own_addresses(cloud: Any) -> None:
    options = SharePointOptions.model_validate({**LOGIN, "client_secret": "s", "cloud": cloud})
    assert options.graph.endswith("/v1.0")
    assert options.token_url == f"{CLOUDS[cloud].login}/t/oauth2/v2.0/token"


def test_what_is_listed_does_not_depend_on_the_login() -> None:
    one = SharePointOptions.model_validate({**LOGIN, "client_secret": "a"})
    other = SharePointOptions.model_validate({**LOGIN, "client_secret": "b", "retries": 1})
    assert one.selection() == other.selection()
    assert (
        one.selection()
        != SharePointOptions.model_validate({**LOGIN, "client_secret": "a", "pages": False}).selection()
    )


# The check.


def test_the_check_tries_each_permission_of_the_app(office: Office) -> None:
    office.tenant.file(office.library, "a.txt")
    findings = office.connector().check()
    assert all(one.ok for one in findings), findings
    expected = ["login", "places", "files", "permissions", "site groups", "groups", "people"]
    assert [one.name for one in findings] == expected


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        (SITES, "Sites.Read.All"),
        (FILES, "Files.Read.All"),
        (FULL_CONTROL, "Sites.FullControl.All"),
        (MEMBERS, "GroupMember.Read.All"),
        (PEOPLE, "User.Read.All"),
    ],
)
def test_the_check_names_the_permission_that_is_missing(office: Office, missing: str, named: str) -> None:
    group = office.tenant.group("staff", [(USER, office.ann.key)])
    file = office.tenant.file(office.library, "a.txt")
    grants = [Grant(who=("group", group.key)), Grant(who=(USER, office.eve.key))]
    office.tenant.share(office.library, file, grants)
    office.double.roles.discard(missing)
    bad = [one for one in office.connector().check() if not one.ok]
    assert any(named in one.detail for one in bad), bad


def test_the_check_asks_for_a_certificate_where_sharepoint_refuses_a_secret(office: Office) -> None:
    office.tenant.file(office.library, "a.txt")
    office.double.with_certificate = True
    bad = [one for one in office.connector().check() if not one.ok]
    assert [one.name for one in bad] == ["site groups"]
    assert "certificate" in bad[0].detail


def test_the_check_tells_a_login_that_is_refused(office: Office) -> None:
    (finding,) = office.connector(client_secret="wrong").check()
    assert (finding.name, finding.ok) == ("login", False)
