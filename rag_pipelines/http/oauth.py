"""Tokens of OAuth 2.0 that renew themselves: the ways in which a service without a person gets them.

What belongs here: the grants, and when a token is renewed. What does not: sending it (`credentials`), where a
vendor's token endpoint is (its connector).

Not msal or google-auth: each knows one vendor, brings its own retries, and refuses endpoints that tests could
stand in for. Signatures are PyJWT's.

Grants: client credentials (RFC 6749, 4.4) with a secret or an assertion that a key signs (RFC 7523, 2.2), a
token file of the platform as assertion (workload identity federation), JWT bearer (RFC 7523, 2.1), and
refresh tokens (RFC 6749, 6).
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import requests

from rag_pipelines.errors import ConfigError, CredentialError, RagError, TransientError
from rag_pipelines.fingerprint import fingerprint
from rag_pipelines.http.answers import decode_json, place_of
from rag_pipelines.http.credentials import Anonymous
from rag_pipelines.http.pacing import Patience
from rag_pipelines.http.session import HttpSession, Transport
from rag_pipelines.http.throttle import Clock

EARLY = 300.0
"""Seconds before its end at which a token is renewed; a shorter-lived one at half of its life."""

ASSERTION_LIFE = 600
"""Seconds for which an assertion is valid; vendors allow an hour at most."""

PATIENCE = Patience(retries=4, max_wait=60.0)
"""By default."""

_JWT_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"

Form = Mapping[str, str]


class _Granted(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: float = 3600.0
    refresh_token: str | None = None


class TokenSource:
    """Tokens of one account, one at a time; threads share it.

    Args:
        token_url: where tokens are granted.
        form: makes the fields of a request, anew for each.
        account: what tells this account from others; hashed.
        patience: how long one request is tried; a source gives its own.
        verify: as of `HttpSession`.
        as_json: the fields are sent as JSON, which Zendesk asks for, and not as a form (RFC 6749, 4.4.2).
        transport: replaces clock or shared state in tests (`Transport`'s arguments).
    """

    def __init__(
        self,
        token_url: str,
        form: Callable[[], Form],
        account: tuple[str, ...],
        *,
        patience: Patience = PATIENCE,
        verify: bool | str = True,
        as_json: bool = False,
        clock: Clock = time,
        **transport: Any,
    ) -> None:
        self.identity = fingerprint([token_url, *account])
        self._url = token_url
        self._form = form
        self._sent_as = "json" if as_json else "data"
        self._clock = clock
        self._lock = threading.Lock()
        self._token: str | None = None
        self._renew_at = 0.0
        self._refresh: str | None = None
        self._failures = 0
        self._failure: RagError | None = None
        anonymous = Anonymous(token_url)
        self._session = HttpSession(
            anonymous, Transport(anonymous, patience, clock=clock, **transport), verify
        )

    def token(self) -> str:
        """A token that is valid for some time yet.

        Who waits while another thread asks is told what that one is: a hanging endpoint is waited for once.

        Raises:
            CredentialError: the account was refused.
            TransientError: the endpoint does not answer.
        """
        failures = self._failures
        with self._lock:
            if self._token is not None and self._clock.monotonic() < self._renew_at:
                return self._token
            if self._failure is not None and failures != self._failures:
                raise self._failure
            try:
                self._token = self._grant()
            except RagError as error:
                self._failures, self._failure = self._failures + 1, error
                raise
            return self._token

    def renew(self, refused: str) -> bool:
        """Forget a token that was refused before its time; another thread may have done so already."""
        with self._lock:
            if self._token == refused:
                self._token = None
        return self.token() != refused

    def _grant(self) -> str:
        form = dict(self._form())
        if self._refresh is not None:
            form["refresh_token"] = self._refresh
        headers = {"Accept": "application/json"}
        request = requests.Request("POST", self._url, headers=headers, **{self._sent_as: form})
        where = place_of(self._url)
        try:
            answer = self._session.exchange(request, reads=True)
            granted = msgspec.convert(decode_json(answer.content), _Granted, strict=False)
        except TransientError:
            raise
        except (RagError, ValueError) as error:
            raise CredentialError(f"no token from {where}: {_without_secrets(str(error), form)}") from None
        self._refresh = granted.refresh_token or self._refresh
        life = granted.expires_in
        self._renew_at = self._clock.monotonic() + max(life - EARLY, life / 2)
        return granted.access_token


def client_credentials(
    token_url: str, client_id: str, secret: str, scope: str = "", **options: Any
) -> TokenSource:
    """Tokens of an application that has a secret. `options` are those of `TokenSource`."""
    form = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": secret,
        **({"scope": scope} if scope else {}),
    }
    return TokenSource(token_url, lambda: form, (client_id, scope), **options)


def signed_client_credentials(
    token_url: str,
    client_id: str,
    private_key: str,
    scope: str = "",
    *,
    headers: Mapping[str, str] | None = None,
    algorithm: str = "RS256",
    **options: Any,
) -> TokenSource:
    """Tokens of an application that signs with its key.

    Args:
        private_key: in PEM format.
        headers: of the assertion; Entra asks for ``x5t#S256``, the certificate's SHA-256 thumbprint.
    """
    sign = _signer(private_key, algorithm, headers)

    def form() -> Form:
        claims = {"iss": client_id, "sub": client_id, "aud": token_url, "jti": str(uuid.uuid4())}
        return {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_assertion_type": _JWT_ASSERTION,
            "client_assertion": sign(claims),
            **({"scope": scope} if scope else {}),
        }

    return TokenSource(token_url, form, (client_id, scope), **options)


def workload_identity(
    token_url: str, client_id: str, token_file: str | Path, scope: str = "", **options: Any
) -> TokenSource:
    """Tokens of an application whose platform proves who it is: by a token that it writes to `token_file`.

    The file is read for each request, because the platform replaces it.
    """

    def form() -> Form:
        try:
            assertion = Path(token_file).read_text().strip()
        except OSError as error:
            raise CredentialError(f"{token_file} cannot be read: {error.strerror}") from error
        return {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_assertion_type": _JWT_ASSERTION,
            "client_assertion": assertion,
            **({"scope": scope} if scope else {}),
        }

    return TokenSource(token_url, form, (client_id, scope), **options)


def jwt_bearer(
    token_url: str,
    private_key: str,
    claims: Mapping[str, str],
    *,
    headers: Mapping[str, str] | None = None,
    algorithm: str = "RS256",
    **options: Any,
) -> TokenSource:
    """Tokens for who signs a statement of who it is: a service account of Google (claims iss, scope, sub)."""
    sign = _signer(private_key, algorithm, headers)

    def form() -> Form:
        return {"grant_type": _JWT_BEARER, "assertion": sign({"aud": token_url, **claims})}

    account = tuple(f"{name}={value}" for name, value in sorted(claims.items()))
    return TokenSource(token_url, form, account, **options)


def refresh_token(
    token_url: str, client_id: str, token: str, secret: str | None = None, **options: Any
) -> TokenSource:
    """Tokens of a person who agreed once; a new refresh token in an answer takes the place of `token`."""
    form = {
        "grant_type": "refresh_token",
        "client_id": client_id,
        "refresh_token": token,
        **({"client_secret": secret} if secret else {}),
    }
    return TokenSource(token_url, lambda: form, (client_id, token), **options)


@lru_cache(maxsize=16)
def read_key(private_key: str, algorithm: str = "RS256") -> Any:
    """A private key in PEM format, kept for all who sign with it: to check one takes longer than to sign.

    Raises `ConfigError` for an unusable key.
    """
    try:
        import jwt
    except ImportError as error:
        raise ConfigError(
            "a login by key needs PyJWT, which is not installed; run `pip install 'rag-pipelines[oauth]'`"
        ) from error
    try:
        return jwt.get_algorithm_by_name(algorithm).prepare_key(private_key)
    except (ValueError, TypeError, jwt.PyJWTError) as error:
        raise ConfigError(
            f"the private key cannot be used: {type(error).__name__}; valid is an unencrypted key in PEM "
            f"format for {algorithm}"
        ) from None


def _signer(
    private_key: str, algorithm: str, headers: Mapping[str, str] | None
) -> Callable[[Mapping[str, str]], str]:
    """What signs claims, with the times of an assertion. Raises `ConfigError` for an unusable key."""
    key = read_key(private_key, algorithm)

    def sign(claims: Mapping[str, str]) -> str:
        import jwt

        now = int(time.time())
        whole = {**claims, "iat": now, "nbf": now, "exp": now + ASSERTION_LIFE}
        return jwt.encode(whole, key, algorithm, headers=dict(headers or {}))

    return sign


def _without_secrets(text: str, form: Form) -> str:
    for name in ("client_secret", "client_assertion", "assertion", "refresh_token"):
        if form.get(name):
            text = text.replace(form[name], "**********")
    return text
