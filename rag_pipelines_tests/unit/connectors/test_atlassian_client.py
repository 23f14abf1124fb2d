"""Settings of a site, and pages turned to the last through the real client library over real sockets."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pydantic import ValidationError

from rag_pipelines.connectors.atlassian_client import AtlassianClient, AtlassianOptions
from rag_pipelines.errors import CredentialError, GoneError, TooLargeDocumentError, TransientError
from rag_pipelines.http.pacing import Pacers
from rag_pipelines_tests.doubles.faults import Status
from rag_pipelines_tests.doubles.server import Answer, Request, Server

PAT = "pat-1"


def options(**given: Any) -> AtlassianOptions:
    return AtlassianOptions.model_validate(
        {"url": "https://wiki.example.com", "personal_access_token": PAT, **given}
    )


def client_of(server: Server, context: str = "", **given: Any) -> AtlassianClient:
    settings = {"url": server.url, "retry_delay": 0.001, "read_timeout": 2.0, **given}
    return AtlassianClient(options(**settings), context, pacers=Pacers())


def entries(pages: Iterator[dict[str, Any]], name: str = "results") -> list[Any]:
    return [entry for page in pages for entry in page[name]]


@pytest.mark.parametrize(
    ("login", "authorization"),
    [
        (
            {"username": "ann@example.com", "api_token": "t1"},
            "Basic " + base64.b64encode(b"ann@example.com:t1").decode(),
        ),
        ({"personal_access_token": "p1"}, "Bearer p1"),
        ({"oauth_token": " o1\n"}, "Bearer o1"),
    ],
    ids=["basic", "pat", "oauth"],
)
def test_every_way_of_login_reaches_the_server(login: dict[str, str], authorization: str) -> None:
    with Server(logins={authorization: "ann"}) as server:
        server.route("/rest/api/user/current", lambda request: {"user": request.user})
        chosen = AtlassianOptions.model_validate({"url": server.url, **login})
        client = AtlassianClient(chosen)
        assert client.get_json("/rest/api/user/current") == {"user": "ann"}
        client.close()


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"personal_access_token": None}, "exactly one login.*received none"),
        ({"personal_access_token": ""}, "exactly one login.*received none"),
        ({"oauth_token": "o"}, "received personal_access_token and oauth_token"),
        ({"personal_access_token": None, "api_token": "t"}, "api_token needs username"),
        ({"username": "ann"}, "username goes with api_token only"),
        ({"url": "wiki.example.com"}, "must be like https://"),
        ({"url": "https://wiki.example.com:x"}, "must be like https://"),
        ({"url": "https://ann:pw@wiki.example.com"}, "credentials do not belong into the URL"),
        ({"url": "https://wiki.example.com/?os=1"}, "without"),
        ({"url": "http://acme.atlassian.net"}, "https only"),
        ({"url": "https://api.atlassian.com/ex/jira/1"}, "give directory"),
        ({"ca_bundle": "ca.pem", "verify_tls": False}, "give one of them"),
        ({"timeout": 3}, "Extra inputs"),
    ],
)
def test_settings_that_do_not_fit_are_told(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem) as caught:
        options(**given)
    assert PAT not in str(caught.value)


def test_no_settings_show_a_secret() -> None:
    chosen = options(personal_access_token=None, username="ann", api_token="hunter2")
    assert "hunter2" not in f"{chosen!r} {chosen} {chosen.model_dump_json()}"


@pytest.mark.parametrize(
    ("given", "cloud"),
    [
        ({"url": "https://acme.atlassian.net"}, True),
        ({"url": "https://api.atlassian.com/ex/confluence/1", "directory": "acme.atlassian.net"}, True),
        ({"url": "https://wiki.example.com/confluence"}, False),
        ({"url": "https://wiki.example.com", "deployment": "cloud"}, True),
        ({"url": "https://acme.atlassian.net", "deployment": "data_center"}, False),
    ],
)
def test_the_deployment_is_told_by_the_host_unless_it_is_given(given: dict[str, Any], cloud: bool) -> None:
    assert options(**given).is_cloud is cloud


def test_the_directory_is_the_host_unless_it_is_given() -> None:
    assert options(url="https://Wiki.example.com:8443/c").directory_name == "wiki.example.com"
    assert options(directory="acme").directory_name == "acme"


def test_a_ca_bundle_is_found_from_the_folder_of_the_configuration(tmp_path: Path) -> None:
    given = {"url": "https://wiki.example.com", "personal_access_token": PAT, "ca_bundle": "ca.pem"}
    chosen = AtlassianOptions.model_validate(given, context={"base": tmp_path})
    assert chosen.ca_bundle == str(tmp_path / "ca.pem")


def test_settings_load_no_http_library() -> None:
    """A configuration is checked in a command that must start at once."""
    code = (
        "import sys; import rag_pipelines.connectors.atlassian_client;"
        "sys.exit(bool({'requests', 'atlassian', 'urllib3'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def cursor_route(link: Callable[[int, int], str], total: int = 60, cap: int = 25) -> Callable[[Request], Any]:
    """Pages as Confluence v2 gives them, at most `cap` entries each whatever was asked for."""

    def pages(request: Request) -> dict[str, Any]:
        start, limit = request.number("cursor", 0), min(request.number("limit", 25), cap)
        end = min(start + limit, total)
        links = {"next": link(end, limit)} if end < total else {}
        return {"results": [{"id": str(number)} for number in range(start, end)], "_links": links}

    return pages


@pytest.mark.parametrize(
    ("context", "prefix"),
    [("/wiki", "/wiki"), ("/wiki", ""), ("/confluence", "/confluence"), ("", "")],
    ids=["cloud", "without-context", "data-center", "root"],
)
def test_cursors_are_followed_whatever_their_links_begin_with(context: str, prefix: str) -> None:
    with Server(context, logins={f"Bearer {PAT}": "ann"}) as server:
        path = "/api/v2/pages"
        server.route(
            path, cursor_route(lambda end, limit: f"{prefix}{path}?cursor={end}&limit={limit}&space-id=7")
        )
        client = client_of(server)
        listed = entries(client.follow_links(path, {"limit": 250, "space-id": ["7", "8"], "status": None}))
        assert [entry["id"] for entry in listed] == [str(number) for number in range(60)]
        assert [entry.query for entry in server.log] == [
            "limit=250&space-id=7&space-id=8",
            "cursor=25&limit=25&space-id=7",
            "cursor=50&limit=25&space-id=7",
        ]
        client.close()


def test_a_cursor_arrives_as_it_was_given() -> None:
    """Cursors are base64 of something, and the library strips slashes at the end of an address."""
    cursor = "eyJpZCI6/+8=/"
    with Server("/wiki") as server:

        def pages(request: Request) -> dict[str, Any]:
            asked = request.one("cursor")
            assert asked in ("", cursor)
            link = f"/wiki/pages?limit=9&cursor={quote(cursor, safe='/')}"
            return {"results": [asked], "_links": {} if asked else {"next": link}}

        server.route("/pages", pages)
        client = client_of(server)
        assert entries(client.follow_links("/pages")) == ["", cursor]
        client.close()


def test_links_that_name_the_host_are_followed_on_the_sites_own() -> None:
    """A site behind a proxy names itself by its base URL, which need not be how it is reached."""
    with Server("/confluence") as server:
        link = "https://wiki.example.com/confluence/rest/api/content?cursor={}&limit={}"
        server.route("/rest/api/content", cursor_route(link.format))
        client = client_of(server)
        assert len(entries(client.follow_links("rest/api/content"))) == 60
        client.close()


def test_a_context_is_added_once() -> None:
    assert AtlassianClient(options(url="https://acme.atlassian.net"), "/wiki").url.endswith(".net/wiki")
    assert AtlassianClient(options(url="https://acme.atlassian.net/wiki/"), "/wiki").url.endswith(".net/wiki")


def test_links_through_the_gateway_lose_the_context_they_hold() -> None:
    chosen = options(url="https://api.atlassian.com/ex/confluence/1", directory="acme.atlassian.net")
    client = AtlassianClient(chosen, "/wiki")
    assert client.url == "https://api.atlassian.com/ex/confluence/1/wiki"
    assert client.relative("/wiki/api/v2/pages?cursor=a") == "/api/v2/pages?cursor=a"
    assert client.relative("/wikipedia") == "/wikipedia"


def test_empty_pages_before_the_last_are_passed_over() -> None:
    """A search leaves out what the login may not see, after it has cut the pages."""
    with Server() as server:

        def pages(request: Request) -> dict[str, Any]:
            start = request.number("start", 0)
            links = {"next": f"/search?start={start + 10}"} if start < 30 else {}
            return {"results": [{"id": start}] if start in (0, 30) else [], "_links": links}

        server.route("/search", pages)
        client = client_of(server)
        assert [entry["id"] for entry in entries(client.follow_links("/search"))] == [0, 30]
        client.close()


def test_a_cursor_that_repeats_ends_the_listing_with_an_error() -> None:
    with Server() as server:
        server.route("/pages", lambda request: {"results": [], "_links": {"next": "/pages?cursor=a"}})
        client = client_of(server)
        with pytest.raises(TransientError, match=r"repeats the page.*not complete"):
            list(client.follow_links("/pages"))
        client.close()


def test_an_expired_cursor_is_told_apart() -> None:
    with Server() as server:
        server.route("/pages", cursor_route(lambda end, limit: f"/pages?cursor={end}&limit={limit}"))
        server.faults.script(Status(410, body='{"message": "cursor expired"}'), nth=2)
        client = client_of(server)
        pages = client.follow_links("/pages")
        assert len(next(pages)["results"]) == 25
        with pytest.raises(GoneError, match="cursor expired"):
            next(pages)
        assert len(entries(client.follow_links("/pages"))) == 60
        client.close()


@pytest.mark.parametrize("end", ["total", "isLast", "both", "neither"])
def test_offsets_are_counted_by_what_came_not_by_what_was_asked_for(end: str) -> None:
    with Server() as server:

        def pages(request: Request) -> dict[str, Any]:
            start = request.number("startAt", 0)
            stop = min(start + min(request.number("maxResults", 50), 20), 70)
            page: dict[str, Any] = {"issues": [{"id": number} for number in range(start, stop)]}
            if end in ("total", "both"):
                page |= {"total": 70, "startAt": start, "maxResults": 20}
            if end in ("isLast", "both"):
                page["isLast"] = stop >= 70
            return page

        server.route("/rest/api/2/search", pages)
        client = client_of(server)
        listed = entries(client.offset("/rest/api/2/search", {"jql": "order by id"}, "issues"), "issues")
        assert [entry["id"] for entry in listed] == list(range(70))
        client.close()


def test_a_bare_list_ends_with_an_empty_one() -> None:
    with Server() as server:
        server.route(
            "/users", lambda request: [{"id": n} for n in range(65)][request.number("startAt", 0) :][:30]
        )
        client = client_of(server)
        assert len(entries(client.offset("/users", results=None), "values")) == 65
        client.close()


@pytest.mark.parametrize(
    "page",
    [
        {"values": [], "total": 10},
        {"values": [], "isLast": False},
        {"values": [{"id": 1}], "isLast": False},
        [{"id": 1}],
    ],
    ids=["total", "isLast", "the-same-again", "an-endpoint-without-pages"],
)
def test_offsets_that_lead_nowhere_end_with_an_error(page: Any) -> None:
    with Server() as server:
        server.route("/values", lambda request: page)
        client = client_of(server)
        with pytest.raises(TransientError, match=r"before the last page.*not complete"):
            list(client.offset("/values"))
        client.close()


def test_page_tokens_are_followed_to_the_last() -> None:
    with Server() as server:

        def search(request: Request) -> dict[str, Any]:
            start = int(request.one("nextPageToken", "t0")[1:])
            page: dict[str, Any] = {"issues": [{"id": n} for n in range(start, min(start + 20, 50))]}
            last = start + 20 >= 50
            return page | ({"isLast": True} if last else {"isLast": False, "nextPageToken": f"t{start + 20}"})

        server.route("/rest/api/3/search/jql", search)
        client = client_of(server)
        listed = entries(client.tokens("/rest/api/3/search/jql", {"jql": "project = A"}), "issues")
        assert [entry["id"] for entry in listed] == list(range(50))
        assert "nextPageToken" not in server.log[0].query
        client.close()


@pytest.mark.parametrize(
    "page",
    [{"issues": [], "isLast": False}, {"issues": [], "isLast": False, "nextPageToken": "t"}],
    ids=["missing", "repeated"],
)
def test_a_page_token_that_leads_nowhere_ends_the_listing_with_an_error(page: dict[str, Any]) -> None:
    with Server() as server:
        server.route("/search", lambda request: page)
        client = client_of(server)
        with pytest.raises(TransientError, match="nextPageToken before the last page"):
            list(client.tokens("/search"))
        client.close()


def test_a_page_that_is_no_object_is_a_passing_fault() -> None:
    with Server() as server:
        server.route("/pages", lambda request: Answer(200, b"null", {"Content-Type": "application/json"}))
        client = client_of(server)
        with pytest.raises(TransientError, match="NoneType instead of a page"):
            list(client.follow_links("/pages"))
        client.close()


def test_a_storm_loses_nothing_and_costs_less_than_twice_the_requests() -> None:
    with Server() as server:
        server.route(
            "/pages",
            cursor_route(lambda end, limit: f"/pages?cursor={end}&limit={limit}", total=5_000, cap=25),
        )
        server.faults.storm(0.2, seed=7)
        client = client_of(server, read_timeout=0.1)
        assert len({entry["id"] for entry in entries(client.follow_links("/pages"))}) == 5_000
        assert 200 < client.traffic.requests < 400
        assert client.traffic.requests == len(server.log)
        assert len(server.faults.met) >= 7
        client.close()


def test_attachments_are_read_up_to_their_limit() -> None:
    with Server("/wiki") as server:
        server.route("/download/attachments/1/a b.png", lambda request: Answer(200, b"\x89PNG" * 10))
        client = client_of(server)
        assert client.get_bytes("/download/attachments/1/a%20b.png?version=2", 40) == b"\x89PNG" * 10
        assert server.log[0].query == "version=2"
        with pytest.raises(TooLargeDocumentError):
            client.get_bytes("/wiki/download/attachments/1/a%20b.png", 39)
        assert client.traffic.requests == 2
        client.close()


def test_a_token_that_expires_on_the_way_ends_the_listing() -> None:
    with Server(logins={f"Bearer {PAT}": "ann"}) as server:
        server.route("/pages", cursor_route(lambda end, limit: f"/pages?cursor={end}&limit={limit}"))
        assert server.logins is not None
        server.before(2, server.logins.clear)
        client = client_of(server)
        with pytest.raises(CredentialError, match="renew the token"):
            list(client.follow_links("/pages"))
        client.close()
