"""Stand-ins for Azure Key Vault and Google Secret Manager, behind their own clients.

What belongs here: the one call that reads a secret, and the refusals that it meets. AWS has moto. Shapes:
https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret and
https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access
"""

from __future__ import annotations

import base64
import time
from typing import Any

from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import RequestsTransport
from azure.keyvault.secrets import SecretClient
from google.auth.credentials import AnonymousCredentials
from google.cloud.secretmanager import SecretManagerServiceClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceRestTransport,
)

from rag_pipelines_tests.doubles.server import Answer, Request, Server, json_answer


class KeyVault(Server):
    """One vault; a caller without a token is told where to get one."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: dict[str, str] = {}
        self.refusal: int | None = None
        self.route("/secrets/{name}", self._read)

    def client(self, url: str) -> SecretClient:
        """Azure's client of a vault, whose requests come here."""
        here = self.url

        class Here(RequestsTransport):
            def send(self, request: Any, **options: Any) -> Any:
                there, request.url = request.url, request.url.replace(url, here)
                try:
                    return super().send(request, **options)
                finally:
                    request.url = there

        class Identity:
            def get_token(self, *scopes: str, **_: Any) -> AccessToken:
                return AccessToken("a-token", int(time.time()) + 3600)

        return SecretClient(url, Identity(), transport=Here(), retry_total=0)

    def _read(self, request: Request, name: str) -> Answer:
        if request.headers.get("Authorization") != "Bearer a-token":
            where = 'Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault.azure.net"'
            return Answer(401, b"", {"WWW-Authenticate": where})
        if self.refusal:
            return json_answer({"error": {"code": "Refused", "message": "no"}}, self.refusal)
        if name not in self.secrets:
            return json_answer({"error": {"code": "SecretNotFound", "message": "not found"}}, 404)
        place = f"https://acme.vault.azure.net/secrets/{name}/1"
        return json_answer({"value": self.secrets[name], "id": place, "attributes": {"enabled": True}})


class SecretManager(Server):
    """Every project of Google's cloud, each secret by its full name."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: dict[str, bytes] = {}
        self.closed = False
        self.route("/v1/{name*}", self._read)

    def client(self) -> SecretManagerServiceClient:
        """Google's client, whose requests come here."""
        transport = SecretManagerServiceRestTransport(
            host=self.url.removeprefix("http://"), url_scheme="http", credentials=AnonymousCredentials()
        )
        return SecretManagerServiceClient(transport=transport)

    def _read(self, request: Request, name: str) -> Answer:
        found = self.secrets.get(name.removesuffix(":access"))
        if self.closed or found is None:
            status, word = (403, "PERMISSION_DENIED") if self.closed else (404, "NOT_FOUND")
            return json_answer({"error": {"code": status, "message": "no", "status": word}}, status)
        data = base64.b64encode(found).decode()
        return json_answer({"name": name, "payload": {"data": data}})
