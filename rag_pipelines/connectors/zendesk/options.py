"""The settings of a Zendesk source.

What belongs here: options and their validation. What does not: how to reach an account (`site`).
"""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from rag_pipelines.connectors.rest import HttpOptions, SiteAddress, Trimmed

_LOGINS = {
    "email with api_token": ("email", "api_token"),
    "oauth_token": ("oauth_token",),
    "client_id with client_secret": ("client_id", "client_secret"),
}


_SITE = SiteAddress("https://acme.zendesk.com", "email and api_token", (".zendesk.com",))


class ZendeskOptions(HttpOptions):
    """Which articles and tickets are listed, and how to log in. Secrets come from the environment.

    Give ``email`` with ``api_token``, an ``oauth_token``, or ``client_id`` with ``client_secret`` (the OAuth
    2.0 client credentials grant, with the scope ``read``).
    """

    url: Annotated[str, AfterValidator(_SITE.read)] = Field(
        description="of the account: https://acme.zendesk.com"
    )
    email: Trimmed = Field(None, description="of the account's user; with api_token")
    api_token: SecretStr | None = Field(None, description="with email")
    oauth_token: SecretStr | None = Field(None, description="an access token with the scope read")
    client_id: Trimmed = Field(None, description="of the OAuth client; with client_secret")
    client_secret: SecretStr | None = Field(None, description="of the OAuth client; with client_id")
    directory: Trimmed = Field(
        None,
        description="namespace of users and groups, shared by sources of one account; default: its host",
    )
    articles: bool = Field(True, description="whether articles of help centers are documents")
    brands: tuple[str, ...] = Field(
        (), description="addresses of the brands whose help centers are listed; none means that of url"
    )
    locales: tuple[str, ...] = Field(
        (), description="locales of translations to include, as en-us or de; none means every one"
    )
    sign_in: bool = Field(
        False,
        description="whether help centers require their users to sign in, so that articles for everybody "
        "are for these users",
    )
    segment: int | None = Field(
        None, description="id of the user segment that the help centers are restricted to, if they are"
    )
    attachments: bool = Field(True, description="whether attachments of articles are documents")
    tickets: bool = Field(False, description="whether tickets with their public comments are documents")
    private_comments: Literal["leave_out", "agents"] = Field(
        "leave_out",
        description="private comments of tickets: left out, or a document of their own that agents read",
    )
    max_bytes: int = Field(100_000_000, gt=0, description="a larger attachment is a failed document")
    page_size: int = Field(100, ge=1, le=100, description="rows asked for at once")
    overlap: float = Field(
        5.0, ge=0, description="minutes an incremental poll of articles goes back, for late changes"
    )

    @field_validator("brands")
    @classmethod
    def _brands(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(map(_SITE.read, values)))

    @field_validator("locales")
    @classmethod
    def _locales(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(value.strip().lower() for value in values)

    @model_validator(mode="after")
    def _consistent(self) -> ZendeskOptions:
        given = {name for names in _LOGINS.values() for name in names if getattr(self, name)}
        if not any(given == set(names) for names in _LOGINS.values()):
            received = " and ".join(sorted(given)) or "none"
            raise ValueError(f"give exactly one login: {', '.join(_LOGINS)}; received {received}")
        if not self.articles and not self.tickets:
            raise ValueError("neither articles nor tickets are listed; set one of them to true")
        if self.private_comments == "agents" and not self.tickets:
            raise ValueError("private_comments needs tickets: true")
        return self

    @property
    def directory_name(self) -> str:
        """The namespace of principals: ``group:<directory>/…``."""
        return self.directory or f"zendesk/{urlsplit(self.url).hostname or ''}"

    @property
    def help_centers(self) -> tuple[str, ...]:
        """Where articles are read."""
        return (self.brands or (self.url,)) if self.articles else ()
