"""The settings of the HTTP service: where it listens, who may log in, what one request may cost.

What belongs here: fields, defaults and bounds of `serving`. What does not: checking a login, and limits of
a run over a source (`settings.LimitSettings`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from rag_pipelines.config.section import Section
from rag_pipelines.config.values import Duration, Name
from rag_pipelines.parameters import Size

Principal = Annotated[str, Field(pattern=r"^\S(.*\S)?$", max_length=500)]
Tenant = Annotated[str, Field(min_length=1)]
Prefix = Annotated[str, Field(pattern=r"^[a-z]+:\S*$")]
"""The namespace of principals, such as ``user:`` or ``group:login.acme.example/``."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


def _some(value: timedelta) -> timedelta:
    if not value:
        raise ValueError("a duration above zero")
    return value


def _page_address(value: str) -> str:
    host = urlsplit(value).hostname
    if value.startswith("http://") and host not in ("localhost", "127.0.0.1", "::1"):
        raise ValueError("an https:// address; browsers keep no session over plain HTTP but with localhost")
    return value.rstrip("/")


def _at_most_a_week(value: timedelta) -> timedelta:
    if value > timedelta(days=7):
        raise ValueError("a duration of at most 7d; groups are read again only at the next sign-in")
    return value


Positive = Annotated[Duration, AfterValidator(_some)]


class ApiKey(Section):
    """A key that a program logs in with, and whom it stands for.

    `sha256` is the digest of the key in hexadecimal digits; the key itself is known to its owner only
    (`rag-pipelines serve --new-key` makes both). `push` are the sources that it may send documents to.
    """

    sha256: SecretStr
    tenant: Tenant
    principals: tuple[Principal, ...] = ()
    push: tuple[Name, ...] = ()

    @field_validator("sha256")
    @classmethod
    def _digest(cls, value: SecretStr) -> SecretStr:
        if not _DIGEST.fullmatch(value.get_secret_value()):
            raise ValueError("64 hexadecimal digits; `rag-pipelines serve --new-key` makes a key and them")
        return value


class SignInSettings(Section):
    """Sign-in of people on the search page: the authorization code flow of OpenID Connect, with PKCE.

    `url` is the address of the search page as browsers have it; the provider has to know
    ``URL/auth/callback`` as a redirect URI. Without a `client_secret` the client is a public one. A session
    lasts for `session`, whatever happens to the person's groups meanwhile. `end_at_provider` signs people out
    there too, where the provider has a page for it.
    """

    url: Annotated[str, Field(pattern=r"^https?://[^/?#@]+[^?#]*$"), AfterValidator(_page_address)]
    client_id: str = Field(min_length=1)
    client_secret: SecretStr | None = None
    scopes: tuple[Annotated[str, Field(pattern=r"^\S+$")], ...] = ("openid", "email", "profile")
    session: Annotated[Positive, AfterValidator(_at_most_a_week)] = timedelta(hours=8)
    end_at_provider: bool = False

    @field_validator("scopes")
    @classmethod
    def _openid(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in value:
            raise ValueError("a list with openid, without which the provider says not who signed in")
        return value


class OidcSettings(Section):
    """Whose tokens are accepted, and what their claims say about the bearer.

    Bearer tokens are accepted for `audience`, and none without it; people sign in on the search page where
    there is `sign_in`. `jwks` is a URL or a file with the issuer's public keys; by default the issuer's own
    description says where they are. The tenant is `tenant`, or what the claim `tenant_claim` holds,
    translated by `tenants` where that is given. `principals` maps claims (a text or a list of them) to a
    namespace: with ``{email: "user:", groups: "group:"}`` the group ``hr`` is the principal ``group:hr``.
    """

    issuer: str = Field(pattern=r"^https?://")
    audience: Annotated[str, Field(min_length=1)] | None = None
    sign_in: SignInSettings | None = None
    jwks: str | None = None
    algorithms: tuple[
        Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"], ...
    ] = Field(default=("RS256", "ES256"), min_length=1)
    leeway: Duration = timedelta(seconds=30)
    tenant: Tenant | None = None
    tenant_claim: str | None = None
    tenants: Mapping[str, Tenant] = {}
    principals: Mapping[str, Prefix] = {"email": "user:", "groups": "group:"}

    @field_validator("jwks")
    @classmethod
    def _absolute(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None or value.startswith(("https://", "http://")):
            return value
        return str((info.context or {}).get("base", Path.cwd()) / Path(value).expanduser())

    @model_validator(mode="after")
    def _some_use(self) -> OidcSettings:
        if self.audience is None and self.sign_in is None:
            raise ValueError("'audience', for bearer tokens, or 'sign_in', for people on the search page")
        return self

    @model_validator(mode="after")
    def _one_tenant(self) -> OidcSettings:
        if (self.tenant is None) == (self.tenant_claim is None):
            raise ValueError("either 'tenant', one for all, or 'tenant_claim', the claim that names it")
        if self.tenants and self.tenant_claim is None:
            raise ValueError("'tenants' translates what 'tenant_claim' holds; give that too")
        return self


class AnonymousSettings(Section):
    """What a caller without a login may see: the public documents of `tenant`."""

    tenant: Tenant


class AdminSettings(Section):
    """Who sees how sources and indexes stand, and who decides on deletions: principals of logins.

    They see names and paths of all documents of their tenant that failed or wait, whoever may read these.
    """

    read: tuple[Principal, ...] = ()
    decide: tuple[Principal, ...] = ()


class RequestLimits(Section):
    """What one caller and one request may cost.

    A caller has `requests_per_minute` on average and `burst` at once. `searches` run at a time (by default
    as many as `database.pool_size`), `waiting` more may wait, and any further one is sent away. A request
    that has not ended after `time` is answered with an error. `body` is the size of its body, `push_body` of
    one that brings documents.
    """

    requests_per_minute: float = Field(default=120, gt=0)
    burst: int = Field(default=30, ge=1)
    searches: int | None = Field(default=None, ge=1, le=200)
    waiting: int = Field(default=32, ge=0)
    time: Positive = timedelta(seconds=10)
    body: Size = Field(default=64_000, ge=256)
    push_body: Size = Field(default=32_000_000, ge=256)
    question: int = Field(default=2_000, ge=1, le=10_000)
    k: int = Field(default=100, ge=1, le=1000)


class ServingSettings(Section):
    """The HTTP service. Without `api_keys`, `oidc` or `anonymous` nobody could log in, and it does not start.

    `url` is its address as browsers have it, by default that of `oidc.sign_in`; links in Dagster lead there.
    `cors` are the origins of other sites whose pages may call it. `trusted_proxies` are the addresses whose
    ``X-Forwarded-For`` is believed. `docs` shows the description at ``/docs``, `mcp` answers the
    Model Context Protocol at ``/mcp``. `log_questions` writes
    questions into the access log. `drain` is how long requests may take to end once the service is told to
    stop.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65_535)
    url: Annotated[str, Field(pattern=r"^https?://[^/?#@]+[^?#]*$")] | None = None
    api_keys: dict[Name, ApiKey] = Field(default_factory=dict)
    oidc: OidcSettings | None = None
    anonymous: AnonymousSettings | None = None
    admin: AdminSettings | None = None
    limits: RequestLimits = RequestLimits()
    cors: tuple[Annotated[str, Field(pattern=r"^https?://[^/*]+$")], ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    log_questions: bool = False
    docs: bool = True
    mcp: bool = False
    drain: Duration = timedelta(seconds=20)

    @property
    def page_url(self) -> str | None:
        """Where people open the search page; None where nothing says so."""
        sign_in = self.oidc.sign_in if self.oidc else None
        known = self.url or (sign_in.url if sign_in else None)
        return known.rstrip("/") + "/" if known else None

    @property
    def has_login(self) -> bool:
        """Whether there is anybody whom the service would answer."""
        return bool(self.api_keys or self.oidc or self.anonymous)
