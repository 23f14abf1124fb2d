"""As whom Drive is asked: the account itself, or anybody in whose name a service account may ask.

What belongs here: keys, scopes, one client for each account. What does not: requests (`api`).

Scopes, each the narrowest that Google's discovery documents name for the calls made:
``drive.readonly`` (files, exports, permissions, changes, comments, shared drives; ``drive.metadata.readonly``
reads no content), ``admin.directory.user.readonly`` and ``admin.directory.group.readonly`` (groups and their
members). Tokens of Drive and of the directory are asked for apart, because Google refuses a request in which
one scope was not delegated as a whole.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from rag_pipelines.connectors.google_drive.options import GoogleDriveOptions
from rag_pipelines.connectors.rest import RestClient
from rag_pipelines.errors import ConfigError

if TYPE_CHECKING:
    from rag_pipelines.http.oauth import TokenSource

DRIVE_SCOPE = "https://www.googleapis.com/auth/drive.readonly"
USER_SCOPE = "https://www.googleapis.com/auth/admin.directory.user.readonly"
GROUP_SCOPE = "https://www.googleapis.com/auth/admin.directory.group.readonly"

SELF = ""
"""The account that logs in, not on behalf of anybody."""

_OPEN = 64
"""So many clients are kept open: one for each account that was asked last."""


class Logins:
    """The clients of one run; threads share it.

    Args:
        transport: replaces clock or shared state in tests (`Transport`'s arguments).
    """

    def __init__(self, options: GoogleDriveOptions, **transport: Any) -> None:
        self._options = options
        self._transport = transport
        self._key = _read_key(options.service_account_file) if options.service_account_file else None
        self._clients: OrderedDict[tuple[str, str], RestClient] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def main(self) -> str:
        """The account that is asked where any will do."""
        return self._options.subject or SELF

    @property
    def client_number(self) -> str:
        """The number under which an administrator delegates scopes to the service account."""
        return str((self._key or {}).get("client_id", ""))

    @property
    def name(self) -> str:
        """Who logs in, for people."""
        return self._options.subject or str((self._key or {}).get("client_email", "the account"))

    def drive(self, account: str) -> RestClient:
        """Reads Drive as `account` (an address, or `SELF`)."""
        options = self._options
        return self._client(account, DRIVE_SCOPE, options.api_url, options.export_url)

    def directory(self) -> RestClient:
        """Reads the Admin Directory as the subject."""
        return self._client(self.main, f"{USER_SCOPE} {GROUP_SCOPE}", self._options.directory_url)

    def close(self) -> None:
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def _client(self, account: str, scope: str, *urls: str) -> RestClient:
        from rag_pipelines.http.credentials import BearerCredential

        with self._lock:
            client = self._clients.pop((account, scope), None)
            if client is None:
                credential = BearerCredential(urls, self._tokens(account, scope))
                client = RestClient(urls[0], self._options, credential, **self._transport)
            self._clients[account, scope] = client
            if len(self._clients) > _OPEN:
                _, oldest = self._clients.popitem(last=False)
                oldest.close()
            return client

    def _tokens(self, account: str, scope: str) -> TokenSource:
        from rag_pipelines.http.oauth import jwt_bearer, refresh_token

        options = self._options
        shared = {"patience": options.patience, "verify": options.verify, **self._transport}
        if self._key is None:
            assert options.client_id is not None
            assert options.client_secret is not None
            assert options.refresh_token is not None
            token, secret = options.refresh_token, options.client_secret.get_secret_value()
            return refresh_token(
                options.token_url, options.client_id, token.get_secret_value(), secret, **shared
            )
        claims = {"iss": self._key["client_email"], "scope": scope}
        if account:
            claims["sub"] = account
        headers = {"kid": self._key["private_key_id"]} if self._key.get("private_key_id") else None
        return jwt_bearer(self._key["token_uri"], self._key["private_key"], claims, headers=headers, **shared)


def _read_key(path: str) -> dict[str, str]:
    """A service account's key. Raises `ConfigError` without quoting it."""
    try:
        with open(path, encoding="utf-8") as file:
            key = json.load(file)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise ConfigError(f"service_account_file {path} cannot be read: {reason}") from None
    needed = ("client_email", "private_key", "token_uri")
    if not isinstance(key, dict) or key.get("type") != "service_account" or not all(map(key.get, needed)):
        raise ConfigError(
            f"{path} is not the key of a service account: valid is the JSON file that Google Cloud gives "
            f"under IAM, Service accounts, Keys, with {', '.join(needed)}"
        )
    return key
