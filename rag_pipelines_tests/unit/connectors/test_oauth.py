"""Tokens of OAuth 2.0: how they are asked for, when they are renewed, what a refusal says."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from rag_pipelines.errors import ConfigError, CredentialError, TransientError
from rag_pipelines.http import oauth
from rag_pipelines.http.credentials import BearerCredential
from rag_pipelines.http.pacing import Pacers, Patience
from rag_pipelines_tests.doubles.faults import Status
from rag_pipelines_tests.doubles.server import Answer, Server, json_answer
from rag_pipelines_tests.unit.connectors.test_http_session import FakeClock, NoJitter


class Endpoint(Server):
    """Grants the tokens t1, t2, ... and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[dict[str, str]] = []
        self.more: dict[str, Any] = {"expires_in": 3600}
        self.refusal: Answer | None = None
        self.route("/token", self._grant, "POST")

    def _grant(self, request: Any) -> Any:
        self.asked.append({name: values[0] for name, values in parse_qs(request.body.decode()).items()})
        return self.refusal or {"access_token": f"t{len(self.asked)}", "token_type": "Bearer", **self.more}


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def options(clock: FakeClock | None = None) -> dict[str, Any]:
    return {"clock": clock or FakeClock(), "rng": NoJitter(), "pacers": Pacers()}


def test_a_token_is_asked_for_once_and_renewed_before_its_end(endpoint: Endpoint) -> None:
    clock = FakeClock()
    tokens = oauth.client_credentials(endpoint.url + "/token", "app", "s3cret", "all", **options(clock))
    assert {tokens.token() for _ in range(5)} == {"t1"}
    assert endpoint.asked == [
        {"grant_type": "client_credentials", "client_id": "app", "client_secret": "s3cret", "scope": "all"}
    ]
    clock.now += 3600 - oauth.EARLY - 1
    assert tokens.token() == "t1"
    clock.now += 2
    assert tokens.token() == "t2"


def test_a_token_with_a_short_life_is_used_for_half_of_it(endpoint: Endpoint) -> None:
    endpoint.more = {"expires_in": "60"}
    clock = FakeClock()
    tokens = oauth.client_credentials(endpoint.url + "/token", "app", "s3cret", **options(clock))
    assert tokens.token() == "t1"
    clock.now += 29
    assert tokens.token() == "t1"
    clock.now += 2
    assert tokens.token() == "t2"


def test_threads_whose_token_was_refused_renew_it_once(endpoint: Endpoint) -> None:
    tokens = oauth.client_credentials(endpoint.url + "/token", "app", "s3cret", **options())
    tokens.token()
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: tokens.renew("t1"), range(20)))
    assert len(endpoint.asked) == 2


class CountedLock:
    """A lock that knows how many threads came to it."""

    def __init__(self) -> None:
        self.came = threading.Semaphore(0)
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self.came.release()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_an_endpoint_that_fails_is_waited_for_once_by_all_threads(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = oauth.client_credentials(endpoint.url + "/token", "app", "s3cret", **options())
    lock = CountedLock()
    monkeypatch.setattr(tokens, "_lock", lock)

    def await_all() -> None:
        for _ in range(16):
            lock.came.acquire(timeout=30)

    endpoint.before(1, await_all, "/token")
    endpoint.refusal = json_answer({"error": "invalid_client"}, status=401)
    with ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(tokens.token) for _ in range(16)]
    assert all(isinstance(one.exception(), CredentialError) for one in asked)
    assert len(endpoint.requests("/token")) == 1
    endpoint.refusal = None
    assert tokens.token() == "t2"


def test_what_is_struck_out_of_errors_is_what_was_sent_and_asks_for_nothing(endpoint: Endpoint) -> None:
    tokens = oauth.client_credentials(endpoint.url + "/token", "app", "s3cret", **options())
    credential = BearerCredential([endpoint.url], tokens)
    assert credential.secrets == ()
    for _ in range(3):
        request = requests.Request("GET", endpoint.url, auth=credential).prepare()
        assert tokens.renew(request.headers["Authorization"].removeprefix("Bearer "))
    assert credential.secrets == ("t2", "t3")
    assert len(endpoint.asked) == 4


def test_an_application_with_a_key_signs_who_it_is(endpoint: Endpoint, key: rsa.RSAPrivateKey) -> None:
    url = endpoint.url + "/token"
    tokens = oauth.signed_client_credentials(
        url, "app", pem(key), "all", headers={"x5t#S256": "thumb"}, **options()
    )
    assert tokens.token() == "t1"
    form = endpoint.asked[0]
    assert (form["grant_type"], form["client_id"], form["scope"]) == ("client_credentials", "app", "all")
    assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    claims = jwt.decode(form["client_assertion"], key.public_key(), ["RS256"], audience=url)
    assert (claims["iss"], claims["sub"]) == ("app", "app")
    assert 0 < claims["exp"] - time.time() <= oauth.ASSERTION_LIFE
    assert jwt.get_unverified_header(form["client_assertion"])["x5t#S256"] == "thumb"


def test_a_service_account_speaks_for_a_person(endpoint: Endpoint, key: rsa.RSAPrivateKey) -> None:
    url = endpoint.url + "/token"
    claims = {"iss": "robot@example.com", "scope": "read", "sub": "ann@example.com"}
    tokens = oauth.jwt_bearer(url, pem(key), claims, headers={"kid": "k1"}, **options())
    assert tokens.token() == "t1"
    form = endpoint.asked[0]
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    signed = jwt.decode(form["assertion"], key.public_key(), ["RS256"], audience=url)
    assert claims.items() <= signed.items()


def test_a_platform_token_is_read_anew_for_each_request(endpoint: Endpoint, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    clock = FakeClock()
    tokens = oauth.workload_identity(endpoint.url + "/token", "app", file, **options(clock))
    tokens.token()
    file.write_text("second")
    clock.now += 3600
    tokens.token()
    assert [form["client_assertion"] for form in endpoint.asked] == ["first", "second"]


def test_a_platform_token_that_is_not_there_is_named(endpoint: Endpoint, tmp_path: Path) -> None:
    tokens = oauth.workload_identity(endpoint.url + "/token", "app", tmp_path / "none", **options())
    with pytest.raises(CredentialError, match=r"none cannot be read: No such file"):
        tokens.token()


def test_a_refresh_token_gives_way_to_the_one_that_an_answer_brings(endpoint: Endpoint) -> None:
    endpoint.more = {"expires_in": 3600, "refresh_token": "r2"}
    clock = FakeClock()
    tokens = oauth.refresh_token(endpoint.url + "/token", "app", "r1", "s3cret", **options(clock))
    tokens.token()
    clock.now += 3600
    tokens.token()
    assert [form["refresh_token"] for form in endpoint.asked] == ["r1", "r2"]


def test_an_endpoint_that_stumbles_is_asked_again(endpoint: Endpoint) -> None:
    endpoint.faults.script(Status(503))
    tokens = oauth.client_credentials(endpoint.url + "/token", "app", "s3cret", **options())
    assert tokens.token() == "t1"


def test_an_endpoint_that_is_down_is_a_passing_fault(endpoint: Endpoint) -> None:
    tokens = oauth.client_credentials(endpoint.url + "/token", "app", "s3cret", **options())
    endpoint.stop()
    with pytest.raises(TransientError, match="did not answer"):
        tokens.token()


def test_a_source_says_how_long_its_endpoint_is_asked(endpoint: Endpoint) -> None:
    endpoint.faults.script(Status(503), times=9)
    patience = Patience(retries=2)
    tokens = oauth.client_credentials(
        endpoint.url + "/token", "app", "s3cret", patience=patience, **options()
    )
    with pytest.raises(TransientError):
        tokens.token()
    assert len(endpoint.log) == 3


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refusal_says_what_the_endpoint_says_without_the_secret(endpoint: Endpoint, status: int) -> None:
    told = {"error": "invalid_client", "error_description": "the secret 's3cret' has expired"}
    endpoint.refusal = json_answer(told, status)
    tokens = oauth.client_credentials(endpoint.url + "/token", "app", "s3cret", **options())
    with pytest.raises(CredentialError, match=r"invalid_client the secret .* has expired") as refused:
        tokens.token()
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("answer", [{"token": "x"}, ["x"], {"access_token": None}])
def test_an_answer_without_a_token_is_told(endpoint: Endpoint, answer: Any) -> None:
    endpoint.refusal = json_answer(answer)
    tokens = oauth.client_credentials(endpoint.url + "/token", "app", "s3cret", **options())
    with pytest.raises(CredentialError, match=r"no token from .*/token"):
        tokens.token()


def test_a_key_that_cannot_be_used_is_refused_before_anything_is_asked(endpoint: Endpoint) -> None:
    with pytest.raises(ConfigError, match="valid is an unencrypted key in PEM format"):
        oauth.jwt_bearer(endpoint.url + "/token", "no key", {"iss": "robot"}, **options())
    assert endpoint.asked == []
