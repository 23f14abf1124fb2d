"""The settings of a SharePoint source, and the position from which its changes are followed.

What belongs here: options and cursor. What does not: requests (`graph`).

Addresses of the national clouds: learn.microsoft.com/graph/deployments.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import ClassVar, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec
from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from rag_pipelines.connectors.base import from_config_folder
from rag_pipelines.connectors.rest import HttpOptions
from rag_pipelines.fingerprint import fingerprint
from rag_pipelines.stored import Form


class Cloud(NamedTuple):
    """Where one of Microsoft's clouds lets apps log in, and where its Graph is."""

    login: str
    graph: str


CLOUDS = {
    "global": Cloud("https://login.microsoftonline.com", "https://graph.microsoft.com/v1.0"),
    "us_gov": Cloud("https://login.microsoftonline.us", "https://graph.microsoft.us/v1.0"),
    "us_gov_high": Cloud("https://login.microsoftonline.us", "https://dod-graph.microsoft.us/v1.0"),
    "china": Cloud("https://login.chinacloudapi.cn", "https://microsoftgraph.chinacloudapi.cn/v1.0"),
}

_WILD = frozenset("*?[")

Policy = Literal["closed", "open"]
LabelPolicy = Literal["index", "restrict", "drop"]


class SharePointOptions(HttpOptions):
    """Settings of a SharePoint source. Secrets come from the environment: ``${SHAREPOINT_SECRET}``."""

    must_exist: ClassVar[tuple[str, ...]] = ("certificate", "token_file")

    tenant_id: str = Field(description="of the app's registration: a GUID or a domain of the tenant")
    client_id: str = Field(description="of the app's registration")
    client_secret: SecretStr | None = Field(
        None,
        description="of the app; SharePoint's own interface takes none: site groups need another login",
    )
    certificate: str | None = Field(
        None, description="file in PEM format with the app's certificate and its unencrypted private key"
    )
    token_file: str | None = Field(
        None, description="file to which the platform writes the app's token (workload identity federation)"
    )
    cloud: Literal["global", "us_gov", "us_gov_high", "china"] = Field(
        "global", description="us_gov: GCC High, us_gov_high: DoD, china: operated by 21Vianet"
    )
    graph_url: str | None = Field(None, description="address of Graph, instead of the cloud's")
    login_url: str | None = Field(None, description="address of the login, instead of the cloud's")
    sites: tuple[str, ...] = Field(
        (),
        description="addresses of sites, or patterns such as https://acme.sharepoint.com/sites/hr-*; none "
        "means all",
    )
    exclude_sites: tuple[str, ...] = Field((), description="addresses or patterns; wins over sites")
    subsites: bool = Field(True, description="whether sites below an address in sites are listed too")
    onedrive: tuple[str, ...] = Field(
        (), description="users, by user principal name, whose OneDrive is listed; '*' means all"
    )
    libraries: tuple[str, ...] = Field((), description="names or patterns of libraries; none means all")
    exclude_libraries: tuple[str, ...] = Field((), description="names or patterns; wins over libraries")
    pages: bool = Field(True, description="whether site pages and news are documents")
    lists: tuple[str, ...] = Field(
        (), description="names or patterns of lists whose entries are documents; none means none"
    )
    access: Literal["scopes", "none"] = Field(
        "scopes", description="none: no permissions are read, the source's own access holds for everything"
    )
    organization_links: Policy = Field(
        "closed", description="open: what has a link for the whole organisation is for all its members"
    )
    anonymous_links: Policy = Field(
        "closed", description="open: what has a link for anybody is for everybody"
    )
    labels: dict[str, LabelPolicy] = Field(
        default_factory=dict,
        description="what becomes of documents by the name of their sensitivity label: index (as metadata), "
        "restrict (only for callers with the principal group:label/NAME too), drop",
    )
    email: Literal["mail", "upn"] = Field(
        "mail", description="which address a person is known by: mail or the user principal name"
    )
    max_bytes: int = Field(100_000_000, gt=0, description="a larger file is a failed document")
    page_size: int = Field(1000, ge=1, le=5000, description="entries asked for at once; Graph may give fewer")
    directory: str = Field("graph", min_length=1, description="namespace of users, groups and scopes")

    @field_validator("certificate", "token_file")
    @classmethod
    def _path(cls, value: str | None, info: ValidationInfo) -> str | None:
        return value and from_config_folder(value, info)

    @field_validator("graph_url", "login_url")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        if value is not None and (
            urlsplit(value).scheme not in ("https", "http") or not urlsplit(value).netloc
        ):
            raise ValueError("must be an address such as https://graph.microsoft.com/v1.0")
        return value and value.rstrip("/")

    @field_validator("sites", "exclude_sites")
    @classmethod
    def _sites(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            if urlsplit(value).scheme not in ("https", "http"):
                raise ValueError(
                    f"{value!r} is not the address of a site, such as https://acme.sharepoint.com/sites/hr"
                )
        return tuple(value.rstrip("/") for value in values)

    @model_validator(mode="after")
    def _one_login(self) -> SharePointOptions:
        ways = [name for name in ("client_secret", "certificate", "token_file") if getattr(self, name)]
        if len(ways) != 1:
            received = " and ".join(ways) or "none"
            raise ValueError(
                f"give exactly one login: client_secret, certificate or token_file; received {received}"
            )
        return self

    @property
    def graph(self) -> str:
        """The address of Graph."""
        return self.graph_url or CLOUDS[self.cloud].graph

    @property
    def token_url(self) -> str:
        """Where tokens are granted."""
        return f"{self.login_url or CLOUDS[self.cloud].login}/{self.tenant_id}/oauth2/v2.0/token"

    @property
    def named_sites(self) -> list[str]:
        """Addresses of single sites; the others are patterns."""
        return [one for one in self.sites if not _WILD & set(one)]

    @property
    def searches_sites(self) -> bool:
        """Whether sites have to be looked for among all."""
        return len(self.named_sites) < len(self.sites) or (not self.sites and not self.onedrive)

    def chooses_site(self, url: str) -> bool:
        """Whether a site that was found among all is wanted, by its address."""
        return (not self.sites or _matches(url, self.sites)) and not self.excludes_site(url)

    def excludes_site(self, url: str) -> bool:
        return _matches(url, self.exclude_sites)

    def chooses_library(self, name: str) -> bool:
        """Whether a library is wanted, by its name."""
        return (not self.libraries or _matches(name, self.libraries)) and not _matches(
            name, self.exclude_libraries
        )

    def chooses_list(self, name: str) -> bool:
        """Whether the entries of a list are wanted, by its name."""
        return _matches(name, self.lists)

    def label_policy(self, label: str | None) -> LabelPolicy:
        """What becomes of a document with this sensitivity label."""
        return self.labels.get(label, "index") if label else "index"

    def selection(self) -> str:
        """A fingerprint of what decides which documents there are and what is said of them."""
        described = SharePointOptions.model_fields.keys() - HttpOptions.model_fields.keys()
        secret = {"client_id", "client_secret", "certificate", "token_file", "login_url", "page_size"}
        return fingerprint(self.model_dump(mode="json", include=set(described) - secret))


def _matches(value: str, patterns: tuple[str, ...]) -> bool:
    """Whether `value` is one of, or matches one of `patterns`, in whatever case and however encoded."""
    plain = unquote(value).rstrip("/").lower()
    return any(fnmatchcase(plain, unquote(pattern).lower()) for pattern in patterns)


class SharePointCursor(msgspec.Struct, frozen=True):
    """Up to where each library and list was read: its delta link, by its key.

    `scopes` are the ids of what has permissions of its own in a library; None where Graph does not tell.
    `options` is a fingerprint of the options it was listed with.
    """

    options: str
    links: dict[str, str]
    scopes: dict[str, tuple[str, ...] | None]


CURSOR = Form("cursor of sharepoint", SharePointCursor)
