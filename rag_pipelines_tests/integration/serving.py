"""A running service for tests: two tenants in one index, real sockets, an issuer of tokens.

What belongs here: set-up. What does not: assertions.
"""

from __future__ import annotations

import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import FastAPI
from jwt.utils import base64url_encode

from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.serving.app import create_app
from rag_pipelines.serving.auth import digest
from rag_pipelines.store.database import Database
from rag_pipelines_tests.integration.workspace import Workspace

ISSUER = "https://login.example"
HR, STAFF, GLOBEX = "key-of-hr", "key-of-staff", "key-of-globex"
CRM = "key-of-the-crm"

SEEN = {HR: {"travel/policy.md", "hr/pay.md"}, STAFF: {"travel/policy.md"}, GLOBEX: {"plan.md"}}
"""The documents of `two_tenants` with the word `harbour` that three users may see."""


def two_tenants(folder: Path, database_url: str) -> Workspace:
    """Tenant `default` with public and `group:hr` documents, tenant `globex` with a public one; all live."""
    other = folder / "globex"
    other.mkdir()
    (other / "plan.md").write_text("# Plan\n\nGlobex buys the harbour in spring.\n")
    made = Workspace(folder, database_url)
    made.document["sources"]["globex"] = {
        "connector": "filesystem",
        "options": {"root": str(other)},
        "access": "public",
        "tenant": "globex",
    }
    made.document["indexes"]["main"]["sources"] = ["docs", "globex"]
    made.document["indexes"]["private"] = {"sources": ["globex"]}
    made.write(
        "travel/policy.md",
        "# Travel policy\n\n[Meals](https://acme.example/meals) cost up to 40 euro; the harbour is near.\n",
    )
    made.write("hr/.access.yaml", "allow: [group:hr]\n")
    made.write("hr/pay.md", "# Pay bands\n\nThe harbour master earns band 7.\n")
    made.ingest("docs")
    made.ingest("globex")
    made.publish()
    made.document["serving"] = {
        "api_keys": {
            "hr": {"sha256": digest(HR), "tenant": "default", "principals": ["group:hr"]},
            "staff": {"sha256": digest(STAFF), "tenant": "default"},
            "globex": {"sha256": digest(GLOBEX), "tenant": "globex"},
        },
        "limits": {"requests_per_minute": 6000, "burst": 1000},
    }
    return made


def sent_to(team: Workspace) -> None:
    """Add a source `crm` that is sent to, by the key `CRM`."""
    team.document["sources"]["crm"] = {"connector": "push", "access": "public"}
    team.document["serving"]["api_keys"]["crm"] = {
        "sha256": digest(CRM),
        "tenant": "default",
        "push": ["crm"],
    }


class Issuer:
    """Signs tokens, and publishes its keys as a file."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "jwks.json"
        self.keys: dict[str, Any] = {}
        self.add("one")

    def add(self, kid: str) -> None:
        """Publish one more key."""
        self.keys[kid] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        published = [
            {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())), "kid": name, "use": "sig"}
            for name, key in self.keys.items()
        ]
        self.file.write_text(json.dumps({"keys": published}))

    @property
    def settings(self) -> dict[str, Any]:
        """The section `oidc` that trusts it."""
        return {
            "issuer": ISSUER,
            "audience": "rag",
            "jwks": str(self.file),
            "tenant_claim": "org",
            "tenants": {"acme": "default", "globex": "globex"},
        }

    def token(
        self,
        *,
        kid: str = "one",
        key: Any = None,
        algorithm: str = "RS256",
        unsigned: bool = False,
        **claims: Any,
    ) -> str:
        """A token of ann of acme; a claim that is None is left out."""
        now = int(time.time())
        said = {
            "iss": ISSUER,
            "aud": "rag",
            "sub": "ann",
            "org": "acme",
            "iat": now,
            "exp": now + 300,
            **claims,
        }
        said = {name: value for name, value in said.items() if value is not None}
        if unsigned:
            return jwt.encode(said, None, algorithm="none", headers={"kid": kid})
        return jwt.encode(said, key or self.keys[kid], algorithm=algorithm, headers={"kid": kid})

    def forged(self) -> str:
        """A good token's claims, signed with the public key as if it were a shared secret."""
        public = self.keys["one"].public_key()
        secret = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        claims = self.token().split(".")[1]
        header = base64url_encode(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "one"}).encode()).decode()
        signature = hmac.digest(secret, f"{header}.{claims}".encode(), "sha256")
        return f"{header}.{claims}.{base64url_encode(signature).decode()}"


def made_app(workspace: Workspace) -> FastAPI:
    """The application of a workspace's configuration."""
    settings = workspace.settings
    return create_app(settings, Database(workspace.url), Embedders(settings.data_dir))


@contextmanager
def served(workspace: Workspace, app: FastAPI | None = None, port: int = 0) -> Iterator[httpx.Client]:
    """The service on a port of the loopback, by default a free one, and a client of it."""
    listening = socket.create_server(("127.0.0.1", port))
    server = uvicorn.Server(uvicorn.Config(app or made_app(workspace), log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    host, port = listening.getsockname()
    with httpx.Client(base_url=f"http://{host}:{port}", timeout=30) as client:
        try:
            yield client
        finally:
            server.should_exit = True
            thread.join(timeout=30)
            listening.close()


def texts(answer: httpx.Response) -> str:
    """The texts of all hits of an answer."""
    assert answer.status_code == 200, answer.text
    return " ".join(hit["text"] for hit in answer.json()["hits"])
