"""Keys, claims and an issuer's keys, without a network."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError

from rag_pipelines.config.serving import ApiKey, OidcSettings, ServingSettings
from rag_pipelines.errors import ConfigError, TransientError, UsageError
from rag_pipelines.serving.auth import (
    KEYS_KEPT,
    KEYS_PAUSE,
    MAX_PRINCIPALS,
    LoginError,
    Logins,
    Tokens,
    digest,
    new_key,
    principals_of,
)

ISSUER = "https://login.example"
NAMESPACES = {"email": "user:", "groups": "group:"}


class Issuer:
    """An issuer whose documents are fetched from here, with a count and a switch to be out of reach."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {}
        self.fetched: list[str] = []
        self.reachable = True
        self.now = 0.0
        self.described_as = ISSUER

    def add(self, kid: str) -> None:
        self.keys[kid] = ec.generate_private_key(ec.SECP256R1())

    def fetch(self, place: str) -> Mapping[str, Any]:
        self.fetched.append(place)
        if not self.reachable:
            raise OSError("no route")
        if place.endswith("openid-configuration"):
            return {"issuer": self.described_as, "jwks_uri": "https://login.example/keys"}
        made = jwt.algorithms.ECAlgorithm.to_jwk
        return {"keys": [{**json.loads(made(k.public_key())), "kid": name} for name, k in self.keys.items()]}

    def token(self, kid: str | None) -> str:
        key = self.keys[kid or next(iter(self.keys))]
        said = {"iss": ISSUER, "aud": "rag", "sub": "ann", "exp": int(time.time()) + 60, "email": "Ann@X.org"}
        return jwt.encode(said, key, algorithm="ES256", headers={"kid": kid} if kid else None)

    def tokens(self, **settings: Any) -> Tokens:
        chosen = OidcSettings(issuer=ISSUER, audience="rag", tenant="acme", **settings)
        return Tokens(chosen, fetch=self.fetch, clock=lambda: self.now)


@pytest.fixture
def issuer() -> Issuer:
    made = Issuer()
    made.add("one")
    return made


def test_a_key_is_known_by_its_digest_only() -> None:
    key, sha256 = new_key()
    assert digest(key) == sha256 != digest(new_key()[0])
    settings = ServingSettings(api_keys={"a": ApiKey(sha256=sha256, tenant="t", principals=("group:x",))})
    caller = Logins(settings).of_key(key)
    assert (caller.name, caller.tenant, caller.principals) == ("key:a", "t", ("group:x",))
    for wrong in ("", key[:-1], sha256, key + " "):
        with pytest.raises(LoginError):
            Logins(settings).of_key(wrong)
    assert sha256 not in repr(settings)


def test_two_owners_of_one_key_and_a_digest_that_is_none_are_refused() -> None:
    same = ApiKey(sha256="0" * 64, tenant="t")
    with pytest.raises(ConfigError, match="same"):
        Logins(ServingSettings(api_keys={"a": same, "b": same}))
    with pytest.raises(ValidationError, match="64 hexadecimal digits"):
        ApiKey(sha256="my-password", tenant="t")
    with pytest.raises(UsageError, match="no way to log in"):
        Logins(ServingSettings())


def test_claims_become_principals_of_their_namespace() -> None:
    claims = {"email": "Ann@Example.com", "groups": ["hr", "it"], "roles": ["admin"]}
    assert principals_of(claims, NAMESPACES) == ("group:hr", "group:it", "user:ann@example.com")
    assert principals_of({"groups": "hr"}, NAMESPACES) == ("group:hr",)


@pytest.mark.parametrize(
    "value", [None, "", " hr", "a\nb", "a\0b", 7, {"a": 1}, [["hr"]], "x" * 501, "\ud800"]
)
def test_a_claim_that_is_no_name_stands_for_nothing(value: Any) -> None:
    assert principals_of({"groups": value}, NAMESPACES) == ()
    assert principals_of({"groups": [value, "hr"]}, NAMESPACES) == ("group:hr",)


def test_an_address_that_nobody_verified_stands_for_nobody() -> None:
    claims = {"email": "ceo@example.com", "email_verified": False}
    assert principals_of(claims, NAMESPACES) == ()
    assert principals_of({**claims, "email_verified": True}, NAMESPACES) == ("user:ceo@example.com",)


def test_a_token_with_too_many_groups_is_refused_rather_than_cut() -> None:
    with pytest.raises(LoginError, match="principals"):
        principals_of({"groups": [str(n) for n in range(MAX_PRINCIPALS + 1)]}, NAMESPACES)


def test_the_issuer_says_where_its_keys_are_and_is_asked_once(issuer: Issuer) -> None:
    tokens = issuer.tokens()
    for _ in range(3):
        assert tokens.caller(issuer.token("one")).principals == ("user:ann@x.org",)
    assert issuer.fetched == [f"{ISSUER}/.well-known/openid-configuration", f"{ISSUER}/keys"]
    assert tokens.caller(issuer.token(None)).tenant == "acme"


def test_a_new_key_is_looked_for_and_unknown_ones_do_not_make_us_ask_without_end(issuer: Issuer) -> None:
    tokens = issuer.tokens(jwks="https://login.example/keys")
    tokens.caller(issuer.token("one"))
    issuer.add("two")
    for _ in range(5):
        with pytest.raises(LoginError, match="does not have"):
            tokens.caller(issuer.token("two"))
    assert len(issuer.fetched) == 1
    issuer.now += KEYS_PAUSE
    tokens.caller(issuer.token("two"))
    assert len(issuer.fetched) == 2


def test_a_withdrawn_key_is_trusted_no_longer_than_keys_are_kept(issuer: Issuer) -> None:
    tokens = issuer.tokens()
    old = issuer.token("one")
    tokens.caller(old)
    del issuer.keys["one"]
    issuer.add("two")
    issuer.add("three")
    tokens.caller(old)
    issuer.now += KEYS_KEPT
    with pytest.raises(LoginError):
        tokens.caller(old)


def test_an_issuer_out_of_reach_is_a_passing_fault_and_its_known_keys_go_on(issuer: Issuer) -> None:
    tokens = issuer.tokens()
    issuer.reachable = False
    with pytest.raises(TransientError):
        tokens.caller(issuer.token("one"))
    issuer.reachable = True
    issuer.now += KEYS_PAUSE
    tokens.caller(issuer.token("one"))
    issuer.reachable = False
    issuer.now += KEYS_KEPT - 1
    tokens.caller(issuer.token("one"))
    issuer.now += 1
    for _ in range(2):
        with pytest.raises(TransientError):
            tokens.caller(issuer.token("one"))


def test_a_description_of_another_issuer_is_not_followed(issuer: Issuer) -> None:
    issuer.described_as = "https://evil.example"
    with pytest.raises(TransientError):
        issuer.tokens().caller(issuer.token("one"))


def test_secrets_shared_with_the_issuer_and_unknown_algorithms_cannot_be_configured() -> None:
    for algorithm in ("HS256", "none"):
        with pytest.raises(ValidationError):
            OidcSettings(issuer=ISSUER, audience="rag", tenant="t", algorithms=[algorithm])
    for tenant in ({}, {"tenant": "a", "tenant_claim": "b"}, {"tenant": "a", "tenants": {"b": "c"}}):
        with pytest.raises(ValidationError, match="tenant"):
            OidcSettings(issuer=ISSUER, audience="rag", **tenant)
    with pytest.raises(ValidationError):
        OidcSettings(issuer=ISSUER, audience="rag", tenant="t", principals={"sub": ""})
