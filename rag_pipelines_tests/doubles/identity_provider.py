"""An OpenID provider on the loopback: description, authorization code flow with PKCE, keys, user information.

What belongs here: what a provider checks and says, and what a test may turn. What does not: people typing
passwords: whoever is sent here is `person`, already signed in.

OpenID Connect Core 1.0; PKCE is RFC 7636.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from rag_pipelines_tests.doubles.server import Answer, Request, Server, json_answer, redirect

CLIENT, SECRET = "search-page", "secret-of-the-client"


@dataclass
class IdentityProvider:
    """One provider with one client. A test may change everything while it runs.

    `person` are the claims of whoever signs in; those in `only_described` are left to the user information.
    `refuses` is an error that the authorization endpoint answers; `changed` are claims that an ID token has
    in place of the right ones, `described` what its description has.
    """

    redirect_uri: str = ""
    person: dict[str, Any] = field(
        default_factory=lambda: {"sub": "ann", "org": "acme", "name": "Ann Quetzal"}
    )
    only_described: set[str] = field(default_factory=set)
    refuses: str | None = None
    changed: dict[str, Any] = field(default_factory=dict)
    secret: str | None = SECRET
    described: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.server = Server()
        self._codes: dict[str, dict[str, str]] = {}
        self._access: set[str] = set()
        route = self.server.route
        route("/.well-known/openid-configuration", self._describe)
        route("/authorize", self._authorize)
        route("/token", self._give, "POST")
        route("/userinfo", self._tell)
        route("/keys", self._keys)
        route("/end", lambda request: Answer(200, b"signed out"))

    def __enter__(self) -> IdentityProvider:
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()

    @property
    def issuer(self) -> str:
        return self.server.url

    def settings(self, page: str, **more: Any) -> dict[str, Any]:
        """The section `oidc` that trusts it, with a sign-in on the page at this address."""
        self.redirect_uri = f"{page}/auth/callback"
        sign_in = {
            "url": page,
            "client_id": CLIENT,
            **({"client_secret": self.secret} if self.secret else {}),
        }
        return {
            "issuer": self.issuer,
            "tenant_claim": "org",
            "tenants": {"acme": "default", "globex": "globex"},
            "sign_in": {**sign_in, **more},
        }

    def _describe(self, request: Request) -> Any:
        url = self.server.url
        return {
            "issuer": url,
            "authorization_endpoint": f"{url}/authorize",
            "token_endpoint": f"{url}/token",
            "userinfo_endpoint": f"{url}/userinfo",
            "jwks_uri": f"{url}/keys",
            "end_session_endpoint": f"{url}/end",
            **self.described,
        }

    def _authorize(self, request: Request) -> Answer:
        asked = {name: values[0] for name, values in request.query.items()}
        if asked.get("redirect_uri") != self.redirect_uri or asked.get("client_id") != CLIENT:
            return json_answer({"error": "unknown client or redirect_uri"}, 400)
        if asked.get("response_type") != "code" or asked.get("code_challenge_method") != "S256":
            return json_answer({"error": "the code flow with PKCE is required"}, 400)
        if self.refuses:
            said = {"error": self.refuses, "state": asked["state"]}
        else:
            code = secrets.token_urlsafe(16)
            self._codes[code] = asked
            said = {"code": code, "state": asked["state"], "iss": self.issuer}
        return redirect(f"{self.redirect_uri}?{urlencode(said)}")

    def _give(self, request: Request) -> Answer:
        sent = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        asked = self._codes.pop(sent.get("code", ""), None)
        challenge = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
        proven = base64.urlsafe_b64encode(challenge).decode().rstrip("=")
        login = base64.b64encode(f"{CLIENT}:{self.secret}".encode()).decode()
        if self.secret and request.headers.get("Authorization") != f"Basic {login}":
            return json_answer({"error": "invalid_client"}, 401)
        if asked is None or asked["code_challenge"] != proven or sent["redirect_uri"] != self.redirect_uri:
            return json_answer({"error": "invalid_grant"}, 400)
        now = int(time.time())
        person = {name: value for name, value in self.person.items() if name not in self.only_described}
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        signed = jwt.encode({**claims, **person, **self.changed}, _key(), "RS256", {"kid": "one"})
        access = secrets.token_urlsafe(16)
        self._access.add(f"Bearer {access}")
        return json_answer({"access_token": access, "token_type": "Bearer", "id_token": signed})

    def _tell(self, request: Request) -> Answer:
        known = request.headers.get("Authorization") in self._access
        return json_answer(self.person if known else {"error": "invalid_token"}, 200 if known else 401)

    def _keys(self, request: Request) -> Any:
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(_key().public_key()))
        return {"keys": [{**public, "kid": "one", "use": "sig"}]}


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
