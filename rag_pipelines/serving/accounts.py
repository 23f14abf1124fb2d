"""People who signed in with a browser: its cookies, and the session that a request comes with.

What belongs here: cookies, and which requests their session counts for. What does not: the exchange with the
provider (`sign_in`), sessions in the database (`sessions`), routes (`sign_in_routes`).
"""

from __future__ import annotations

from http.cookies import SimpleCookie
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from rag_pipelines.config.serving import SignInSettings
from rag_pipelines.serving.auth import LoginError
from rag_pipelines.serving.limits import Workers
from rag_pipelines.serving.sessions import Sessions
from rag_pipelines.serving.sign_in import Begun, SignIn

PENDING_SECONDS = 600
"""For so long somebody may take at the provider."""


class Accounts:
    """What a service needs for people who sign in.

    Both cookies are sent over TLS only (or to localhost) and never seen by scripts; ``__Host-``, which
    browsers allow over TLS, keeps other hosts of the domain from setting them. The session's is not sent with
    anything that another site began (`SameSite=Strict`), and counts for what the page itself asked: a browser
    says so in ``Sec-Fetch-Site``, which no script can set. That of a sign-in is sent when the provider sends
    the browser back.
    """

    def __init__(self, settings: SignInSettings, provider: SignIn, sessions: Sessions, waiting: int) -> None:
        prefix = "__Host-" if urlsplit(settings.url).scheme == "https" else ""
        self._session = f"{prefix}rag_session"
        self._pending = f"{prefix}rag_sign_in"
        self._lasts = int(settings.session.total_seconds())
        self.page = f"{settings.url}/"
        self.provider = provider
        self.sessions = sessions
        self.asking = Workers(2, waiting)
        """For what waits for the provider, so that nothing else does."""

    def token_of(self, request: Request) -> str | None:
        """The token of the request's session, if it comes with one.

        Raises:
            LoginError: it was not the page that asked.
        """
        token = request.cookies.get(self._session)
        if token and request.headers.get("sec-fetch-site") != "same-origin":
            raise LoginError("a session counts for what the search page asks, and for nothing else")
        return token or None

    def keep_session(self, response: Response, token: str) -> None:
        """Have the browser come with the session from now on."""
        response.headers.append("Set-Cookie", _cookie(self._session, token, self._lasts, "strict"))

    @property
    def without_session(self) -> str:
        """The header ``Set-Cookie`` with which a browser forgets its session."""
        return _cookie(self._session, "", 0, "strict")

    def keep_begun(self, response: Response, begun: Begun | None) -> None:
        """Have the browser keep what it began with, or forget it."""
        value = ".".join(begun) if begun else ""
        cookie = _cookie(self._pending, value, PENDING_SECONDS if begun else 0, "lax")
        response.headers.append("Set-Cookie", cookie)

    def begun_of(self, request: Request) -> Begun | None:
        """What the browser began with, if it began anything."""
        kept = request.cookies.get(self._pending, "").split(".")
        return Begun(*kept) if len(kept) == len(Begun._fields) else None

    def close(self) -> None:
        """Take nothing more."""
        self.asking.close()


def _cookie(name: str, value: str, seconds: int, site: str) -> str:
    made: SimpleCookie = SimpleCookie({name: value})
    about = {"path": "/", "secure": "true", "httponly": "true", "samesite": site, "max-age": str(seconds)}
    made[name].update(about)
    return made.output(header="").strip()
