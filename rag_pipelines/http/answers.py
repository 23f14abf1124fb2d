"""What an HTTP answer means: the error of the project's tree that it stands for, or that it is fine.

What belongs here: judging one complete answer. What does not: what a status alone means (`statuses`),
sending, waiting, trying again (`session`, `pacing`), or what an answer's content means to a connector.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import msgspec

from rag_pipelines.errors import (
    CredentialError,
    RagError,
    ThrottledError,
    TransientError,
)
from rag_pipelines.http.statuses import error_of_status, is_passing

_EXCERPT = 300
_DENIED_LOGINS = frozenset({"AUTHENTICATION_DENIED", "AUTHENTICATED_FAILED"})
_LOGIN_PATH = re.compile(r"/(login|signin|sso|saml|oauth2?|authorize|adfs)\b", re.IGNORECASE)
_LOGIN_FORM = re.compile(rb"type=[\"']?password|SAMLRequest|os_destination|login-form", re.IGNORECASE)
_RATE_LIMITED = re.compile(rb'"reason"\s*:\s*"(userRateLimitExceeded|rateLimitExceeded)"')
"""Google's refusal of too many requests is a 403: https://developers.google.com/drive/api/guides/handle-errors."""
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class HttpResponse:
    """An answer whose body was read to its end. `wants_json` says what the request asked for.

    `secrets` are struck out of what an error quotes from the body, should a server echo them.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    wants_json: bool
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def is_html(self) -> bool:
        return _is_html(self.headers.get("Content-Type", ""))


def is_login_page(url: str, content_type: str) -> bool:
    """Whether the address and type of what a redirect led to are those of a login page."""
    return _is_html(content_type) and _LOGIN_PATH.search(urlsplit(url).path) is not None


def place_of(url: str) -> str:
    """`url` without its query, which may hold a token of another service."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def fault_of(answer: HttpResponse, wait: float | None = None) -> RagError | None:
    """The error that `answer` stands for, or None; `wait` is what it asks for, in seconds.

    A `TransientError` is worth another try. A rejected login is recognised on any other status,
    because Jira and Confluence answer 200 with what anonymous people may see when a token has expired.
    """
    where, status = place_of(answer.url), answer.status
    said = f"{where} answered {status}" + (f": {words}" if (words := _words(answer)) else "")
    if status == 403 and _RATE_LIMITED.search(answer.body):
        return ThrottledError(said, wait)
    if status != 401 and not is_passing(status) and (reason := _explain_denied_login(answer)):
        return CredentialError(f"{said}; {reason}")
    if status >= 400:
        return error_of_status(status, said, wait)
    if status >= 300 or not answer.wants_json:
        return None
    if answer.is_html:
        return TransientError(f"{said}; that is a web page instead of JSON, perhaps of a proxy")
    return _json_fault(answer)


def _is_html(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() in ("text/html", "application/xhtml+xml")


def _explain_denied_login(answer: HttpResponse) -> str | None:
    """Why an answer shows that the login was not accepted, or None."""
    login = answer.headers.get("X-Seraph-LoginReason", "")
    if any(part.strip() in _DENIED_LOGINS for part in login.split(",")):
        return f"the login was refused ({login}): renew the token, or log in once by hand to clear a captcha"
    if denied := answer.headers.get("X-Authentication-Denied-Reason"):
        return f"the login is blocked ({denied[:_EXCERPT]}): log in once by hand to clear the captcha"
    if answer.headers.get("X-AUSERNAME", "").lower() == "anonymous":
        return "the server treated the login as anonymous: renew the token, or check whose it is"
    if not answer.wants_json or not answer.is_html or answer.status not in (200, 403):
        return None
    if is_login_page(answer.url, "text/html") or _LOGIN_FORM.search(answer.body):
        return "that is a login page: the URL or a proxy in front of it wants single sign-on, not this login"
    return None


def decode_json(body: bytes) -> Any:
    """The value of a JSON body. Raises `ValueError` where it is cut off or no JSON.

    Halves of surrogate pairs and bytes that are not UTF-8, which servers leave where they cut a text
    short, become replacement marks.
    """
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        value = json.loads(body.decode("utf-8", "replace"))
        return msgspec.json.decode(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def _json_fault(answer: HttpResponse) -> RagError | None:
    """A body that is cut off although no header says so, which only its syntax shows."""
    try:
        decode_json(answer.body)
    except (ValueError, RecursionError) as error:
        return TransientError(
            f"{place_of(answer.url)} answered {len(answer.body):,} bytes that are not JSON: {error}"
        )
    return None


def _words(answer: HttpResponse) -> str:
    """What the server says for people, cut short: fields of common error bodies, or a page's title."""
    if answer.status < 400 and not answer.is_html:
        return ""
    text = answer.body[:65_536].decode("utf-8", "replace")
    if answer.is_html:
        title = _TITLE.search(text)
        text = title.group(1) if title else ""
    else:
        with suppress(ValueError, RecursionError):
            text = " ".join(_messages(decode_json(answer.body)))
    for secret in answer.secrets:
        text = text.replace(secret, "**********")
    return " ".join(text.split())[:_EXCERPT]


_TOLD = (
    "code", "message", "errorMessages", "title", "error", "error_description", "detail", "errors",
)  # fmt: skip
"""Fields that hold what is told: Atlassian's, OAuth's (RFC 6749, 5.2), Graph's, ServiceNow's, Google's."""


def _messages(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [message for entry in value for message in _messages(entry)]
    if not isinstance(value, dict):
        return []
    named = [value[name] for name in _TOLD if name in value]
    return list(dict.fromkeys(message for entry in named for message in _messages(entry)))
