"""The section ``database``: where Postgres is.

What belongs here: addresses and their form. What does not: connecting (`store.address`).
"""

from __future__ import annotations

import re

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from rag_pipelines.config.section import Section

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SCHEMES = ("postgresql", "postgres")
_VALID = "an address of Postgres such as postgresql://user:password@host:5432/database"


class DatabaseSettings(Section):
    """Where Postgres is. Without a URL the embedded server under `data_dir` is used.

    Where `url` leads to a pooler in transaction mode, `session_url` is the server itself: runs, builds and
    migrations need sessions of their own. `reader_url` is the same database by a login that row-level
    security holds for; where it is set, searches use it (`rag-pipelines access reader` makes one). It may
    lead to a pooler too, and to a streaming replica.
    """

    url: SecretStr | None = None
    session_url: SecretStr | None = None
    reader_url: SecretStr | None = None
    pool_size: int = Field(default=8, ge=1, le=200)

    @field_validator("url", "session_url", "reader_url")
    @classmethod
    def _is_address(cls, url: SecretStr | None) -> SecretStr | None:
        """What the driver can read. Its own words are not repeated: they quote the address."""
        if url is None:
            return None
        scheme = _SCHEME.match(url.get_secret_value())
        if scheme and scheme[1] not in _SCHEMES:
            raise ValueError(f"{_VALID}, not one that begins with {scheme[0]}")
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict

        try:
            conninfo_to_dict(url.get_secret_value())
        except ProgrammingError:
            raise ValueError(f"{_VALID}, in which a password has %40 for @, %2F for /, %25 for %") from None
        return url

    @field_validator("session_url")
    @classmethod
    def _check_session_url(cls, session_url: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if session_url is not None and info.data.get("url") is None:
            raise ValueError("nothing without 'url', which leads to a pooler")
        return session_url
