"""Sessions of people who signed in: a random token in a cookie, and whom it stands for in the database.

What belongs here: beginning, looking up and ending them. What does not: who may begin one (`sign_in`), and
cookies (`accounts`). The database holds a digest of the token only, so reading it gives nobody a session; any
process of the service knows a session, and one that was ended is ended everywhere.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import NamedTuple

from rag_pipelines.serving.auth import MAX_LOGIN, LoginError, RequestCaller
from rag_pipelines.serving.sign_in import SignedIn
from rag_pipelines.store.database import Database, query


class SessionEndedError(LoginError):
    """The session has ended, or never was."""


class Session(NamedTuple):
    """A session that holds `until` then."""

    caller: RequestCaller
    shown: str
    until: datetime


class Sessions:
    """The sessions of one database. Safe to use from several threads; all of it raises `RagError`."""

    def __init__(self, database: Database, lasts: timedelta) -> None:
        self._database = database
        self._lasts = lasts

    def begin(self, signed_in: SignedIn) -> str:
        """A new session's token; sessions that have expired leave the database."""
        token = secrets.token_urlsafe(32)
        caller = signed_in.caller
        params = {
            "digest": _digest(token),
            "name": caller.name,
            "tenant": caller.tenant,
            "principals": list(caller.principals),
            "shown": signed_in.shown,
            "lasts": self._lasts,
        }
        with self._database.transaction() as connection:
            query(connection, "drop_expired_sessions")
            query(connection, "put_session", params)
        return token

    def find(self, token: str) -> Session:
        """The session of a token. Raises `SessionEndedError`."""
        row = None
        if len(token) <= MAX_LOGIN:
            with self._database.connection() as connection:
                row = query(connection, "session", {"digest": _digest(token)}).fetchone()
        if row is None:
            raise SessionEndedError("the session has ended; sign in again")
        caller = RequestCaller(row["name"], row["tenant"], tuple(row["principals"]))
        return Session(caller, row["shown"], row["expires_at"])

    def end(self, token: str) -> None:
        """The token stands for nobody from now on."""
        with self._database.connection() as connection:
            query(connection, "end_session", {"digest": _digest(token)})


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
