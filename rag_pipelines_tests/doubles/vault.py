"""A stand-in for HashiCorp Vault: reading secrets, and logging in by AppRole and as a pod.

What belongs here: the paths and answers of Vault's HTTP API that are asked of it
(https://developer.hashicorp.com/vault/api-docs). What does not: any other of its engines.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

from rag_pipelines_tests.doubles.server import Answer, Request, Server, json_answer

TOKEN = "hvs.root-of-all"


class Vault(Server):
    """Its stores by path: `versioned` ones are of version 2, under ``MOUNT/data/NAME``."""

    def __init__(self) -> None:
        super().__init__()
        self.versioned: dict[str, dict[str, Any]] = {}
        self.plain: dict[str, dict[str, Any]] = {}
        self.tokens = {TOKEN}
        self.roles: dict[str, Any] = {}
        """Body of a login by the path of its method."""
        self._numbers = itertools.count(1)
        self.route("/v1/auth/{method}/login", self._log_in, "POST")
        self.route("/v1/{path*}", self._read)

    def _log_in(self, request: Request, method: str) -> Answer:
        if self.roles.get(method) != json.loads(request.body):
            return json_answer({"errors": ["invalid role or secret ID"]}, 403)
        token = f"hvs.{next(self._numbers)}"
        self.tokens.add(token)
        return json_answer({"auth": {"client_token": token, "policies": ["rag"], "lease_duration": 3600}})

    def _read(self, request: Request, path: str) -> Answer:
        if request.headers.get("X-Vault-Token") not in self.tokens:
            return json_answer({"errors": ["permission denied"]}, 403)
        if path in self.versioned:
            data = {"data": self.versioned[path], "metadata": {"version": 1, "destroyed": False}}
            return json_answer({"lease_id": "", "renewable": False, "data": data})
        if path in self.plain:
            return json_answer({"lease_id": f"{path}/1", "renewable": True, "data": self.plain[path]})
        return json_answer({"errors": []}, 404)
