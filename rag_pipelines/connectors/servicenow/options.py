"""The settings of a ServiceNow source.

What belongs here: options and their validation. What does not: how to reach an instance (`site`).
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from rag_pipelines.connectors.rest import HttpOptions, SiteAddress, Trimmed

_SITE = SiteAddress("https://acme.service-now.com", "username and password", (".service-now.com",))


class ServiceNowOptions(HttpOptions):
    """Which articles and items are listed, and how to log in. Secrets come from the environment.

    Give ``username`` with ``password``, or ``client_id`` with ``client_secret`` (the OAuth 2.0 client
    credentials grant, for which the instance needs an OAuth application with a user of its own).
    """

    url: Annotated[str, AfterValidator(_SITE.read)] = Field(
        description="of the instance: https://acme.service-now.com"
    )
    username: Trimmed = Field(None, description="user name of the account; with password")
    password: SecretStr | None = Field(None, description="of the account; with username")
    client_id: Trimmed = Field(None, description="of the OAuth application; with client_secret")
    client_secret: SecretStr | None = Field(None, description="of the OAuth application; with client_id")
    directory: Trimmed = Field(
        None,
        description="namespace of users and groups, shared by sources of one instance; default: its host",
    )
    bases: tuple[str, ...] = Field(
        (), description="titles or sys_ids of knowledge bases to include; none means every one"
    )
    exclude_bases: tuple[str, ...] = Field(
        (), description="titles or sys_ids of knowledge bases to exclude; wins over bases"
    )
    languages: tuple[str, ...] = Field(
        (), description="languages of articles to include, as en or de; none means every one"
    )
    undated: bool = Field(
        False,
        description="whether articles without a Valid to date count, which ServiceNow's search leaves out",
    )
    blocks: bool = Field(True, description="whether the blocks that articles use are documents")
    attachments: bool = Field(True, description="whether attachments of articles are documents")
    catalogue: bool = Field(False, description="whether the items of the service catalogue are documents")
    max_bytes: int = Field(100_000_000, gt=0, description="a larger attachment is a failed document")
    page_size: int = Field(
        1000, ge=1, le=10_000, description="rows asked for at once; the instance may give fewer"
    )
    overlap: float = Field(
        5.0, ge=0, description="minutes an incremental poll goes back, for changes that are committed late"
    )

    @field_validator("bases", "exclude_bases", "languages")
    @classmethod
    def _names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if any(not name.strip() or "^" in name for name in names):
            raise ValueError("a name is empty or holds '^'")
        return tuple(name.strip() for name in names)

    @model_validator(mode="after")
    def _one_login(self) -> ServiceNowOptions:
        pairs = {
            "username with password": (self.username, self.password),
            "client_id with client_secret": (self.client_id, self.client_secret),
        }
        given = [name for name, pair in pairs.items() if any(pair)]
        if len(given) != 1 or not all(pairs[given[0]]):
            received = " and ".join(
                name for name in ("username", "password", "client_id", "client_secret") if getattr(self, name)
            )
            raise ValueError(f"give exactly one login: {' or '.join(pairs)}; received {received or 'none'}")
        return self

    @property
    def directory_name(self) -> str:
        """The namespace of principals: ``group:<directory>/…``."""
        return self.directory or f"servicenow/{urlsplit(self.url).hostname or ''}"
