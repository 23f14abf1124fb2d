"""Who is calling: API keys and what an OIDC issuer signed become a tenant and principals.

What belongs here: checking what a caller shows. What does not: what the caller may then read (the database
decides it), and HTTP. Nothing here says why a login failed beyond what its owner can mend.

A login that is shown and not valid is refused; it never falls back to what anonymous callers may see.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeGuard

import msgspec

from rag_pipelines.config.serving import OidcSettings, ServingSettings
from rag_pipelines.errors import ConfigError, RagError, TransientError, UsageError
from rag_pipelines.model import user_principal
from rag_pipelines.secrets.references import current

KEYS_KEPT = 3600.0
"""Seconds after which the issuer is asked for its keys again; a key that it withdrew is trusted no longer."""
KEYS_PAUSE = 30.0
"""Seconds between two requests for the issuer's keys, however many unknown ones are shown to us."""
MAX_LOGIN = 16_384
"""Characters of a key or token; more is refused unread."""
MAX_PRINCIPALS = 2_000

log = logging.getLogger(__name__)


class RequestCaller(msgspec.Struct, frozen=True):
    """Who asks. `name` is for logs and rates: ``key:intranet``, ``user:SUBJECT``, ``anonymous:ADDRESS``."""

    name: str
    tenant: str
    principals: tuple[str, ...] = ()
    push: tuple[str, ...] = ()
    """The sources that it may send documents to."""


class LoginError(RagError):
    """The login is missing or not valid."""


class Logins:
    """Every way to log in that is configured. Safe to use from several threads."""

    def __init__(self, settings: ServingSettings, *, tokens: Tokens | None = None) -> None:
        if not settings.has_login:
            raise UsageError(
                "serving has no way to log in; give 'api_keys' or 'oidc', or 'anonymous' for public documents"
            )
        self._keys = {
            key.sha256.get_secret_value(): RequestCaller(f"key:{name}", key.tenant, key.principals, key.push)
            for name, key in settings.api_keys.items()
        }
        if len(self._keys) < len(settings.api_keys):
            raise ConfigError("two of serving.api_keys have the same sha256; give each a key of its own")
        self.tokens = tokens or (Tokens(settings.oidc) if settings.oidc else None)
        self._bears = settings.oidc is not None and settings.oidc.audience is not None
        self._anonymous = settings.anonymous

    @property
    def by_header(self) -> bool:
        """Whether a key or a token with each request is a way to log in."""
        return bool(self._keys) or self._bears

    @property
    def serves_anybody(self) -> bool:
        """Whether callers without a login are served."""
        return self._anonymous is not None

    @property
    def ways(self) -> str:
        """What a program may do to log in, for people."""
        ways = ["an API key as X-API-Key"] if self._keys else []
        ways += ["a token as Authorization: Bearer"] if self._bears else []
        return " or ".join(ways) or "none, only callers without a login are served"

    def of_key(self, key: str) -> RequestCaller:
        """Whom an API key stands for. Raises `LoginError`.

        Looked up by digest: what an attacker could learn from timing is about digests of their own guesses.
        """
        shown = digest(key) if len(key) <= MAX_LOGIN else None
        caller = next((caller for known, caller in self._keys.items() if current(known) == shown), None)
        if caller is None:
            raise LoginError("the API key is not known")
        return caller

    def may_push(self, key: str) -> bool:
        """Whether an API key may send documents anywhere."""
        try:
            return bool(self.of_key(key).push)
        except LoginError:
            return False

    def of_token(self, token: str) -> RequestCaller:
        """Whom a bearer token stands for; may ask the issuer for its keys.

        Raises:
            LoginError: it is not valid, or not for us.
            TransientError: the issuer's keys cannot be had.
        """
        if self.tokens is None or not self._bears:
            raise LoginError(f"bearer tokens are not accepted; valid: {self.ways}")
        return self.tokens.caller(token)

    def of_nobody(self, address: str) -> RequestCaller:
        """Whom a caller without a login stands for. Raises `LoginError` where there is no such caller."""
        if self._anonymous is None:
            raise LoginError(f"a login is needed; valid: {self.ways}")
        return RequestCaller(f"anonymous:{address}", self._anonymous.tenant)


class Tokens:
    """The tokens of one OIDC issuer. `fetch` reads a JSON document at a URL or path."""

    def __init__(
        self,
        settings: OidcSettings,
        *,
        fetch: Callable[[str], Mapping[str, Any]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._fetch = fetch or _fetch
        self._clock = clock
        self._keys: Mapping[str, Any] = {}
        self._asked = self._fetched = float("-inf")
        self._lock = threading.Lock()

    def caller(self, token: str) -> RequestCaller:
        """Whom a token stands for. Raises `LoginError`, `TransientError`."""
        return self.caller_of(self.claims(token, str(self._settings.audience)))

    def caller_of(self, claims: Mapping[str, Any]) -> RequestCaller:
        """Whom checked claims stand for. Raises `LoginError`."""
        tenant = self._tenant(claims)
        principals = principals_of(claims, self._settings.principals)
        return RequestCaller(f"user:{claims['sub']}", tenant, principals)

    def describe(self) -> Mapping[str, Any]:
        """What the issuer says of itself, such as its endpoints (OpenID Connect Discovery 1.0, section 4).

        Raises `ValueError`, and whatever reading it raises.
        """
        issuer = self._settings.issuer
        about = self._fetch(issuer.rstrip("/") + "/.well-known/openid-configuration")
        if about.get("issuer") != issuer:
            raise ValueError(f"it describes the issuer {about.get('issuer')!r}, not {issuer!r}")
        return about

    def claims(self, token: str, audience: str) -> dict[str, Any]:
        """What the issuer says in a token for `audience`. Raises `LoginError`, `TransientError`."""
        import jwt

        chosen = self._settings
        if len(token) > MAX_LOGIN:
            raise LoginError(f"the token has more than {MAX_LOGIN:,} characters")
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in chosen.algorithms:
                raise LoginError(
                    f"the token is signed by another algorithm than {', '.join(chosen.algorithms)}"
                )
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key(header.get("kid")),
                algorithms=list(chosen.algorithms),
                audience=audience,
                issuer=chosen.issuer,
                leeway=chosen.leeway,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise LoginError("the token has expired; log in again") from None
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise LoginError(f"the token is not valid here: {error}") from None
        return claims

    def _key(self, kid: str | None) -> Any:
        """The issuer's key of that name; of an issuer with one key, that one may be left unnamed."""
        key = self._find_key(kid)
        if key is None or self._stale():
            self._refresh(kid)
            key = self._find_key(kid)
        if key is None:
            raise LoginError("the token is signed with a key that its issuer does not have")
        return key

    def _find_key(self, kid: str | None) -> Any:
        keys = self._keys
        return next(iter(keys.values())) if kid is None and len(keys) == 1 else keys.get(kid or "")

    def _stale(self) -> bool:
        return self._clock() - self._fetched >= KEYS_KEPT

    def _refresh(self, kid: str | None) -> None:
        with self._lock:
            if self._find_key(kid) is not None and not self._stale():
                return
            if self._clock() - self._asked >= KEYS_PAUSE:
                self._asked = self._clock()
                self._keys = self._fetch_keys()
                self._fetched = self._clock()
            elif self._stale():
                raise TransientError("the issuer's keys cannot be read now; try again later")

    def _fetch_keys(self) -> dict[str, Any]:
        import jwt

        chosen = self._settings
        try:
            place = chosen.jwks or self.describe()["jwks_uri"]
            found = jwt.PyJWKSet.from_dict(dict(self._fetch(place)))
        except Exception as error:
            log.warning("the keys of %s cannot be read: %s: %s", chosen.issuer, type(error).__name__, error)
            raise TransientError("the issuer's keys cannot be read now; try again later") from error
        signing = [key for key in found.keys if key.public_key_use in (None, "sig")]
        return {key.key_id or "": key for key in signing if key.key_type != "oct"}

    def _tenant(self, claims: Mapping[str, Any]) -> str:
        chosen = self._settings
        if chosen.tenant is not None:
            return chosen.tenant
        value = claims.get(str(chosen.tenant_claim))
        tenant = (chosen.tenants.get(str(value)) if chosen.tenants else value) if _sound(value) else None
        if not isinstance(tenant, str):
            raise LoginError(f"the token's claim {chosen.tenant_claim!r} names no tenant that is served here")
        return tenant


def principals_of(claims: Mapping[str, Any], namespaces: Mapping[str, str]) -> tuple[str, ...]:
    """The principals that claims stand for, sorted. An e-mail address that is not verified stands for none.

    Raises:
        LoginError: there are more than `MAX_PRINCIPALS`.
    """
    found: set[str] = set()
    for claim, prefix in namespaces.items():
        if claim == "email" and claims.get("email_verified") is False:
            continue
        value = claims.get(claim)
        values = value if isinstance(value, list) else [value]
        sound = [one for one in values if _sound(one)]
        found.update(user_principal(one) if prefix == "user:" else prefix + one for one in sound)
    if len(found) > MAX_PRINCIPALS:
        raise LoginError(
            f"the token stands for {len(found):,} principals; at most {MAX_PRINCIPALS:,} are read"
        )
    return tuple(sorted(found))


def new_key() -> tuple[str, str]:
    """A new API key with 256 random bits, and its digest for the configuration."""
    key = f"rag_{secrets.token_urlsafe(32)}"
    return key, digest(key)


def digest(key: str) -> str:
    """The SHA-256 of a key in hexadecimal digits; enough for keys as random as those of `new_key`."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _sound(value: Any) -> TypeGuard[str]:
    """Whether a claim's value can be a name in the database."""
    return isinstance(value, str) and 0 < len(value) <= 500 and value.isprintable() and value == value.strip()


def _fetch(place: str) -> Mapping[str, Any]:
    """The JSON object at a URL or a path."""
    if not place.startswith(("https://", "http://")):
        found = json.loads(Path(place).read_text(encoding="utf-8"))
    else:
        import httpx

        answer = httpx.get(place, timeout=5, follow_redirects=False)
        answer.raise_for_status()
        found = answer.json()
    if not isinstance(found, dict):
        raise ValueError(f"{place} holds no JSON object")
    return found
