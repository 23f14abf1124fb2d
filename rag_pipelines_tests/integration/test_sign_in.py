"""People sign in at an OpenID provider: what they may see then, and who cannot get in."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from rag_pipelines.errors import ConfigError
from rag_pipelines_tests.doubles.identity_provider import CLIENT, IdentityProvider
from rag_pipelines_tests.integration.serving import HR, made_app, served, texts, two_tenants
from rag_pipelines_tests.integration.workspace import Workspace

PAGE = "http://localhost:8080"
"""The address in the configuration; where the service really listens matters to nothing."""

FROM_THE_PAGE = {"Sec-Fetch-Site": "same-origin"}
QUESTION = {"query": "harbour", "index": "main"}


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    with IdentityProvider() as started:
        yield started


@pytest.fixture
def team(tmp_path: Path, database_url: str) -> Iterator[Workspace]:
    made = two_tenants(tmp_path, database_url)
    yield made
    made.close()


@contextmanager
def page(team: Workspace, provider: IdentityProvider, **more: Any) -> Iterator[httpx.Client]:
    """The service with that provider, and a client that keeps cookies as a browser does."""
    team.document["serving"]["oidc"] = provider.settings(PAGE, **more)
    with served(team, made_app(team)) as client:
        yield client


class Browser:
    """Follows redirects between page and provider, and keeps what the page sets. Cookies are kept here, since
    a client of the loopback's address would not send `Secure` ones."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.cookies: dict[str, str] = {}
        self.set: list[str] = []

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self._kept(self.client.get(path, headers={**self._sent(), **headers}))

    def post(self, path: str, json: Any = None, **headers: str) -> httpx.Response:
        return self._kept(self.client.post(path, json=json, headers={**self._sent(), **headers}))

    def sign_in(self) -> str:
        """Where the browser is in the end."""
        there = self.get("/auth/sign-in").headers["Location"]
        return self.come_back(httpx.get(there).headers["Location"])

    def come_back(self, address: str) -> str:
        assert address.startswith(f"{PAGE}/auth/callback?")
        answer = self.get(address.removeprefix(PAGE), **{"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 303
        return answer.headers["Location"]

    def search(self, **headers: str) -> httpx.Response:
        return self.post("/v1/search", QUESTION, **(headers or FROM_THE_PAGE))

    def _sent(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}

    def _kept(self, answer: httpx.Response) -> httpx.Response:
        self.client.cookies.clear()
        for line in answer.headers.get_list("Set-Cookie"):
            self.set.append(line)
            name, value = line.split(";")[0].split("=", 1)
            self.cookies[name] = value
            if "Max-Age=0" in line:
                del self.cookies[name]
        return answer


def problem_of(address: str) -> str:
    """What the page is told that went wrong; nothing where somebody is signed in."""
    assert address.startswith(f"{PAGE}/")
    return dict(parse_qsl(urlsplit(address).fragment)).get("sign-in", "")


def test_groups_and_mail_of_the_provider_are_what_a_person_may_see(
    team: Workspace, provider: IdentityProvider
) -> None:
    with page(team, provider) as client:
        stranger = Browser(client)
        assert stranger.search().status_code == 401
        provider.person |= {"groups": ["hr", "everything"], "email": "Ann@Acme.example"}
        ann = Browser(client)
        assert ann.sign_in() == f"{PAGE}/"
        seen = texts(ann.search())
        account = ann.get("/auth/account", **FROM_THE_PAGE).json()
        provider.person = {"sub": "bob", "org": "acme", "groups": []}
        bob = Browser(client)
        assert bob.sign_in() == f"{PAGE}/"
        seen_by_bob = texts(bob.search())
        provider.person = {"sub": "eve", "org": "globex", "groups": ["hr"]}
        eve = Browser(client)
        assert eve.sign_in() == f"{PAGE}/"
        seen_by_eve = texts(eve.search())
    assert "band 7" in seen
    assert "40 euro" in seen
    assert "Globex" not in seen
    assert account == {"by_header": True, "sign_in": True, "anonymous": False, "name": "Ann Quetzal"}
    assert "40 euro" in seen_by_bob
    assert "band 7" not in seen_by_bob
    assert "Globex buys the harbour" in seen_by_eve
    assert "band 7" not in seen_by_eve
    (kept,) = team.rows("SELECT name, tenant, principals FROM rag.session WHERE name = 'user:ann'")
    assert kept["principals"] == ["group:everything", "group:hr", "user:ann@acme.example"]


def test_what_the_id_token_leaves_out_is_asked_for(team: Workspace, provider: IdentityProvider) -> None:
    provider.person |= {
        "groups": ["hr"],
        "email": "ann@acme.example",
        "email_verified": False,
        "name": "A\0n",
    }
    provider.only_described = {"groups", "email", "email_verified", "org"}
    with page(team, provider) as client:
        ann = Browser(client)
        assert ann.sign_in() == f"{PAGE}/"
        assert "band 7" in texts(ann.search())
    (kept,) = team.rows("SELECT principals FROM rag.session")
    assert kept["principals"] == ["group:hr"]  # an address that is not verified stands for nobody


def test_cookies_are_out_of_reach_of_scripts_and_of_other_sites(
    team: Workspace, provider: IdentityProvider
) -> None:
    with page(team, provider) as client:
        ann = Browser(client)
        ann.sign_in()
        session = next(line for line in ann.set if line.startswith("rag_session="))
        begun = next(line for line in ann.set if line.startswith("rag_sign_in="))
        for line in (session, begun):
            assert {"HttpOnly", "Secure", "Path=/"} <= set(line.split("; "))
            assert "Domain" not in line
        assert "SameSite=strict" in session
        assert "SameSite=lax" in begun
        assert "rag_sign_in" not in ann.cookies
        for site in ("cross-site", "same-site", "none"):
            assert ann.search(**{"Sec-Fetch-Site": site}).status_code == 401
            assert ann.post("/auth/sign-out", **{"Sec-Fetch-Site": site}).status_code == 403
        assert ann.search(Origin="https://evil.example").status_code == 401
        assert ann.search().status_code == 200
    team.document["serving"]["oidc"] = provider.settings("https://search.acme.example")
    with served(team, made_app(team)) as client:
        line = client.get("/auth/sign-in").headers["Set-Cookie"]
    assert line.startswith("__Host-rag_sign_in=")


def test_a_session_ends_when_it_is_signed_out_of_and_when_its_time_is_over(
    team: Workspace, provider: IdentityProvider
) -> None:
    with page(team, provider, end_at_provider=True) as client:
        ann = Browser(client)
        ann.sign_in()
        stolen = dict(ann.cookies)
        left = ann.post("/auth/sign-out", **FROM_THE_PAGE).json()
        assert left["next"].startswith(f"{provider.issuer}/end?client_id={CLIENT}&post_logout_redirect_uri=")
        assert "rag_session" not in ann.cookies
        ann.cookies = stolen
        refused = ann.search()
        assert refused.status_code == 401
        assert "the session has ended; sign in again" in refused.json()["detail"]
        assert "rag_session" not in ann.cookies  # the answer had the browser forget it
        ann.sign_in()
        assert ann.search().status_code == 200
        team.rows("UPDATE rag.session SET expires_at = now() RETURNING 1")
        assert ann.search().status_code == 401
        ann.sign_in()
        assert len(team.rows("SELECT FROM rag.session")) == 1  # the one that had expired is gone


def test_the_database_holds_no_token_of_a_session(team: Workspace, provider: IdentityProvider) -> None:
    with page(team, provider) as client:
        ann = Browser(client)
        ann.sign_in()
        (row,) = team.rows("SELECT s::text AS text FROM rag.session s")
        assert ann.cookies["rag_session"] not in row["text"]


def test_an_answer_counts_once_and_in_the_browser_that_asked(
    team: Workspace, provider: IdentityProvider
) -> None:
    with page(team, provider) as client:
        ann, mallory = Browser(client), Browser(client)
        there = ann.get("/auth/sign-in").headers["Location"]
        back = httpx.get(there).headers["Location"]
        assert problem_of(mallory.come_back(back)) == "not-begun"
        mallory.get("/auth/sign-in")
        assert problem_of(mallory.come_back(back)) == "refused"
        kept = dict(ann.cookies)
        assert problem_of(ann.come_back(back)) == ""
        ann.cookies = kept
        assert problem_of(ann.come_back(back)) == "refused"  # the code is spent
        assert [row["name"] for row in team.rows("SELECT name FROM rag.session")] == ["user:ann"]


@pytest.mark.parametrize(
    "changed",
    [
        {"nonce": "another"},
        {"aud": "another-client"},
        {"aud": [CLIENT, "other"], "azp": "other"},
        {"iss": "https://evil.example"},
        {"exp": 1_700_000_000},
        {"org": "nobody-served-here"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_an_id_token_of_another_making_signs_nobody_in(
    team: Workspace, provider: IdentityProvider, changed: dict[str, Any]
) -> None:
    provider.changed = changed
    with page(team, provider) as client:
        ann = Browser(client)
        assert problem_of(ann.sign_in()) == "refused"
        assert "rag_session" not in ann.cookies
    assert not team.rows("SELECT FROM rag.session")


def test_a_provider_that_refuses_or_is_away_leads_back_to_the_page(
    team: Workspace, provider: IdentityProvider
) -> None:
    with page(team, provider) as client:
        provider.refuses = "access_denied"
        assert problem_of(Browser(client).sign_in()) == "refused"
        provider.refuses = None
        there = httpx.get(Browser(client).get("/auth/sign-in").headers["Location"])
        lying = re.sub(r"iss=[^&]+", "iss=https%3A%2F%2Fevil.example", there.headers["Location"])
        ann = Browser(client)
        ann.get("/auth/sign-in")
        assert problem_of(ann.come_back(lying)) == "refused"
    closed = socket.create_server(("127.0.0.1", 0))
    gone = f"http://127.0.0.1:{closed.getsockname()[1]}"
    closed.close()
    team.document["serving"]["oidc"]["issuer"] = gone
    with served(team, made_app(team)) as client:
        answer = client.get("/auth/sign-in")
    assert problem_of(answer.headers["Location"]) == "passing-fault"


def test_no_address_that_a_request_names_is_redirected_to(
    team: Workspace, provider: IdentityProvider
) -> None:
    wanted = "?next=https://evil.example/&redirect_uri=https://evil.example/&return_to=//evil.example"
    with page(team, provider) as client:
        ann = Browser(client)
        there = ann.get(f"/auth/sign-in{wanted}", Host="evil.example").headers["Location"]
        assert there.startswith(f"{provider.issuer}/authorize?")
        assert "evil" not in there
        back = httpx.get(there).headers["Location"]
        assert ann.come_back(f"{back}&{wanted[1:]}") == f"{PAGE}/"


def test_a_public_client_proves_itself_by_pkce_alone(team: Workspace, provider: IdentityProvider) -> None:
    provider.secret = None
    with page(team, provider) as client:
        assert problem_of(Browser(client).sign_in()) == ""


def test_a_key_goes_on_being_a_login_and_an_id_token_is_none(
    team: Workspace, provider: IdentityProvider
) -> None:
    with page(team, provider) as client:
        ann = Browser(client)
        ann.sign_in()
        assert "band 7" in texts(ann.search(**{"X-API-Key": HR}))
        wrong = ann.search(**{"X-API-Key": "wrong", **FROM_THE_PAGE})
        assert wrong.status_code == 401  # a login that is shown counts, and nothing beside it
        token = Browser(client).search(Authorization="Bearer ey.ey.ey")
        assert "bearer tokens are not accepted" in token.json()["detail"]


def test_without_a_provider_nobody_is_sent_anywhere(team: Workspace) -> None:
    with served(team) as client:
        assert client.get("/auth/sign-in").json()["type"].endswith("no-sign-in")
        assert client.get("/auth/account").json() == {
            "by_header": True,
            "sign_in": False,
            "anonymous": False,
            "name": None,
        }


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"url": "http://search.acme.example"}, "an https:// address"),
        ({"url": "https://search.acme.example/?next=1"}, "url"),
        ({"session": "30d"}, "at most 7d"),
        ({"scopes": ["email"]}, "a list with openid"),
    ],
)
def test_what_would_make_sessions_unsafe_is_refused(
    team: Workspace, provider: IdentityProvider, wrong: dict[str, Any], said: str
) -> None:
    team.document["serving"]["oidc"] = provider.settings(PAGE, **wrong)
    with pytest.raises(ConfigError, match=said):
        _ = team.settings
