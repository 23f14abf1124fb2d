"""What an HTTP answer means: the error of the project's tree that it stands for, or that it is fine.

What belongs here: judging one complete answer. What does not: sending, waiting, trying again
(`http_session`, `http_pacing`), or what an answer's content means to a connector.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec

from rag_pipelines.errors import (
    CredentialError,
    ForbiddenEntityError,
    GoneError,
    MissingEntityError,
    RagError,
    ThrottledError,
    TransientError,
    UsageError,
)

_EXCERPT = 300
_PASSING = frozenset({408, 425, 429})
_PERMANENT = frozenset({501, 505})
_DENIED_LOGINS = frozenset({"AUTHENTICATION_DENIED", "AUTHENTICATED_FAILED"})
_LOGIN_PATH = re.compile(r"/(login|signin|sso|saml|oauth2?|authorize|adfs)\b", re.IGNORECASE)
_LOGIN_FORM = re.compile(rb"type=[\"']?password|SAMLRequest|os_destination|login-form", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Answer:
    """An answer whose body was read to its end. `wants_json` says what the request asked for."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    wants_json: bool

    @property
    def place(self) -> str:
        """The URL without its query, which may hold a token of another service."""
        return place_of(self.url)

    @property
    def is_html(self) -> bool:
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return kind in ("text/html", "application/xhtml+xml")


def place_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def fault_of(answer: Answer, wait: float | None = None) -> RagError | None:
    """The error that `answer` stands for, or None; `wait` is what it asks for, in seconds.

    A `TransientError` is worth another try. A rejected login is recognised on every status, because
    Jira and Confluence answer 200 with what anonymous people may see when a token has expired.
    """
    where, status = answer.place, answer.status
    said = f"{where} answered {status}" + (f": {words}" if (words := _words(answer)) else "")
    if status == 401:
        return CredentialError(f"{said}; the login was refused: renew the token, or check whose it is")
    if reason := _denied_login(answer):
        return CredentialError(f"{said}; {reason}")
    if status == 403:
        return ForbiddenEntityError(f"{said}; the login is valid but may not read this")
    if status == 404:
        return MissingEntityError(said)
    if status == 410:
        return GoneError(said)
    if status in _PASSING or (status >= 500 and status not in _PERMANENT):
        throttled = status == 429 or wait is not None
        return ThrottledError(said, wait) if throttled else TransientError(said)
    if status >= 400:
        return UsageError(said)
    if status >= 300 or not answer.wants_json:
        return None
    if answer.is_html:
        return TransientError(f"{said}; that is a web page instead of JSON, perhaps of a proxy")
    return _json_fault(answer)


def _denied_login(answer: Answer) -> str | None:
    """Why an answer shows that the login was not accepted, or None."""
    login = answer.headers.get("X-Seraph-LoginReason", "")
    if any(part.strip() in _DENIED_LOGINS for part in login.split(",")):
        return f"the login was refused ({login}): renew the token, or log in once by hand to clear a captcha"
    if denied := answer.headers.get("X-Authentication-Denied-Reason"):
        return f"the login is blocked ({denied[:_EXCERPT]}): log in once by hand to clear the captcha"
    if answer.headers.get("X-AUSERNAME", "").lower() == "anonymous":
        return "the server took us for anonymous: renew the token, or check whose it is"
    if answer.status >= 500 or not answer.is_html:
        return None
    if _LOGIN_PATH.search(urlsplit(answer.url).path) or (
        (answer.wants_json or answer.status == 403) and _LOGIN_FORM.search(answer.body)
    ):
        return "that is a login page: the URL or a proxy in front of it wants single sign-on, not this login"
    return None


def _json_fault(answer: Answer) -> RagError | None:
    """A body that is cut off although no header says so, which only its syntax shows."""
    try:
        msgspec.json.decode(answer.body)
    except msgspec.DecodeError as error:
        return TransientError(
            f"{answer.place} answered {answer.status} with {len(answer.body):,} bytes not JSON: {error}"
        )
    return None


def _words(answer: Answer) -> str:
    """What the server says for people, cut short: fields of Atlassian's error bodies, or a page's title."""
    if answer.status < 400 and not answer.is_html:
        return ""
    text = answer.body[:65_536].decode("utf-8", "replace")
    try:
        found = " ".join(_messages(msgspec.json.decode(answer.body)))
    except msgspec.DecodeError:
        title = _TITLE.search(text)
        found = title.group(1) if title else ("" if answer.is_html else text)
    return " ".join(found.split())[:_EXCERPT]


def _messages(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [message for entry in value for message in _messages(entry)]
    if not isinstance(value, dict):
        return []
    named = [
        value[name] for name in ("message", "errorMessages", "title", "detail", "errors") if name in value
    ]
    return [message for entry in named for message in _messages(entry)]
