"""Who asks: what is sent as a login, to where, and whether it can be renewed.

What belongs here: logins as the transport sees them. What does not: how a token is obtained (`oauth`).
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

import requests
from requests.auth import AuthBase

from rag_pipelines.fingerprint import sha256


class Credential(AuthBase):
    """An Authorization header, sent to the origins (scheme, host, port) of `urls` only and never shown."""

    def __init__(self, url: str, authorization: str) -> None:
        self.url = url
        self.identity = sha256(authorization.encode()).hex()
        self._authorization = authorization

    @property
    def secrets(self) -> tuple[str, ...]:
        """Forms in which a server might echo it."""
        kind, _, value = self._authorization.partition(" ")
        if kind != "Basic":
            return (value,)
        return value, base64.b64decode(value).decode().partition(":")[2]

    def belongs_to(self, url: str) -> bool:
        """Whether it may be sent to `url`."""
        return origin_of(url) == origin_of(self.url)

    def renew(self, request: requests.PreparedRequest) -> bool:
        """Give a refused `request` a new login; False where there is none."""
        return False

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.belongs_to(request.url or ""):
            request.headers["Authorization"] = self._authorization
        return request

    def __repr__(self) -> str:
        return f"{type(self).__name__}(**********)"


class Anonymous(Credential):
    """No login, for whatever is public."""

    def __init__(self, url: str = "") -> None:
        super().__init__(url, "")

    @property
    def secrets(self) -> tuple[str, ...]:
        """None."""
        return ()

    def belongs_to(self, url: str) -> bool:
        """To everything, because nothing is sent."""
        return True

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class Tokens(Protocol):
    """Where bearer tokens come from; shared between threads (`oauth.TokenSource`)."""

    @property
    def identity(self) -> str:
        """Equal for the same account."""

    def token(self) -> str:
        """One that is valid for some time yet."""

    def renew(self, refused: str) -> bool:
        """Get another than the one that was `refused`; False where that cannot be."""


class BearerCredential(Credential):
    """A bearer token that is renewed, sent to the origins of `urls` only."""

    def __init__(self, urls: Sequence[str], tokens: Tokens) -> None:
        super().__init__(urls[0], "")
        self.identity = tokens.identity
        self._origins = {origin_of(url) for url in urls}
        self._tokens = tokens
        self._sent: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The two tokens that were sent last; asking for one here could fail."""
        return self._sent

    def belongs_to(self, url: str) -> bool:
        """Whether it may be sent to `url`."""
        return origin_of(url) in self._origins

    def renew(self, request: requests.PreparedRequest) -> bool:
        """Give a refused `request` a new token; False where it had none, or no other is to be had."""
        refused = str(request.headers.get("Authorization", "")).removeprefix("Bearer ")
        if not refused or not self._tokens.renew(refused):
            return False
        self(request)
        return True

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.belongs_to(request.url or ""):
            token = self._tokens.token()
            if token not in self._sent:
                self._sent = (*self._sent, token)[-2:]
            request.headers["Authorization"] = f"Bearer {token}"
        return request


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of `url`."""
    parts = urlsplit(url)
    return _origin(parts.scheme, parts.netloc)


@lru_cache
def _origin(scheme: str, place: str) -> tuple[str, str, int | None]:
    parts = SplitResult(scheme, place, "", "", "")
    default = {"https": 443, "http": 80}.get(scheme)
    return scheme, (parts.hostname or "").lower(), parts.port or default
