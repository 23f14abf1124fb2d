"""The settings of a Google Drive source, and the position from which its changes are followed.

What belongs here: options and cursor. What does not: how to reach a server (`HttpOptions`), logging in
(`login`).
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec
from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator

from rag_pipelines.connectors.base import from_config_folder
from rag_pipelines.connectors.rest import HttpOptions
from rag_pipelines.fingerprint import fingerprint
from rag_pipelines.stored import Form

ALL = "*"
ME = "me"


def _address(value: str) -> str:
    value = value.strip().lower()
    if value.count("@") != 1 or not all(value.split("@")) or any(c.isspace() for c in value):
        raise ValueError(f"{value!r} is not an e-mail address")
    return value


Address = Annotated[str, AfterValidator(_address)]


class GoogleDriveOptions(HttpOptions):
    """Settings of a Google Drive source. Secrets come from the environment: ``${GOOGLE_REFRESH_TOKEN}``."""

    must_exist: ClassVar[tuple[str, ...]] = ("service_account_file",)

    service_account_file: str | None = Field(
        None, description="key of a service account, as Google gives it (JSON), relative to the configuration"
    )
    subject: Address | None = Field(
        None,
        description="on whose behalf the service account asks (domain-wide delegation): an administrator, "
        "where users, groups or all shared drives are to be read",
    )
    client_id: str | None = Field(None, description="of an OAuth client; with client_secret, refresh_token")
    client_secret: SecretStr | None = Field(None, description="of the OAuth client")
    refresh_token: SecretStr | None = Field(None, description="of the one account that is read")

    shared_drives: tuple[str, ...] = Field(
        (ALL,), description="ids of shared drives; '*' means all that can be listed"
    )
    exclude_shared_drives: tuple[str, ...] = Field((), description="ids of shared drives; wins")
    domain_admin: bool = Field(
        False,
        description="whether subject, an administrator, lists the shared drives of the whole organisation, "
        "each of which is then read on behalf of one of its managers",
    )
    users: tuple[str, ...] = Field(
        (), description="addresses of people whose My Drives are read; '*' means all, 'me' the account itself"
    )
    exclude_users: tuple[Address, ...] = Field((), description="addresses of people; wins over users")
    folders: tuple[str, ...] = Field((), description="ids of folders: only they and what is below them")
    exclude_folders: tuple[str, ...] = Field((), description="ids of folders to leave out; wins")
    shortcuts: bool = Field(
        True, description="whether what shortcuts lead to is read, where no chosen drive holds it"
    )
    comments: bool = Field(False, description="whether comments are documents; costs a request for each file")
    labels: dict[str, str | dict[str, str]] = Field(
        {},
        description="labels that are read, by id, with the name that the metadata 'labels' has for each; for "
        "one with choices the name of each choice, by its id",
    )
    docs_format: Literal["markdown", "html"] = Field("markdown", description="as what Docs are exported")
    max_bytes: int = Field(50_000_000, gt=0, description="a larger file, or export, is a failed document")

    link_sharing: Literal["closed", "domain", "open"] = Field(
        "closed",
        description="who may read what is shared by link. closed: only who is named; domain: a link for a "
        "domain counts as everybody in it; open: a link for anyone counts as everybody, too",
    )
    expiry_margin: float = Field(
        24.0,
        ge=0,
        description="hours before its end from which on a permission that expires does not count, so that "
        "none outlives a full listing",
    )
    read_directory: bool | None = Field(
        None,
        description="whether members of groups and suspended accounts are read from the Admin Directory; "
        "default: if there is a subject",
    )
    domains: tuple[str, ...] = Field(
        (), description="all domains of the organisation; default: that of subject"
    )
    directory: str = Field(
        "google", description="namespace of principals, shared by sources of one organisation"
    )

    page_size: int = Field(1000, ge=1, le=1000, description="entries asked for at once")
    quota_user: str | None = Field(
        None, max_length=40, description="whom requests are counted for by Google's quota (quotaUser)"
    )
    api_url: str = Field("https://www.googleapis.com", description="of the Drive API")
    directory_url: str = Field("https://admin.googleapis.com", description="of the Admin SDK")
    token_url: str = Field("https://oauth2.googleapis.com/token", description="where refresh tokens are used")
    export_url: str = Field("https://docs.google.com", description="where large exports are downloaded")

    @field_validator("service_account_file")
    @classmethod
    def _key_file(cls, value: str | None, info: ValidationInfo) -> str | None:
        return value and from_config_folder(value, info)

    @field_validator("users")
    @classmethod
    def _users(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(value if value in (ALL, ME) else _address(value) for value in values)

    @field_validator("domains")
    @classmethod
    def _domains(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [value for value in values if "." not in value or "@" in value]:
            raise ValueError(f"{wrong[0]!r} is not a domain, such as example.com")
        return tuple(value.strip().lower() for value in values)

    @model_validator(mode="after")
    def _one_login(self) -> GoogleDriveOptions:
        account = (self.client_id, self.client_secret, self.refresh_token)
        if bool(self.service_account_file) == any(account) or (any(account) and not all(account)):
            raise ValueError(
                "give exactly one login: service_account_file, or client_id with client_secret and "
                "refresh_token"
            )
        if any(account) and self.subject:
            raise ValueError("subject goes with service_account_file only")
        delegated = [user for user in self.users if user != ME]
        if delegated and not self.subject:
            raise ValueError(
                f"users {', '.join(delegated)} are read on their behalf, which takes a service account with "
                "domain-wide delegation: give service_account_file and subject; one account reads 'me'"
            )
        if self.domain_admin and not self.subject:
            raise ValueError("domain_admin needs subject, the administrator's address")
        if self.read_directory and not self.subject and self.service_account_file:
            raise ValueError("read_directory needs subject, an administrator's address")
        if not self.users and not self.shared_drives:
            raise ValueError("nothing is chosen: give shared_drives, users or both")
        return self

    @property
    def reads_directory(self) -> bool:
        """Whether groups and accounts are known from the Admin Directory."""
        return bool(self.subject) if self.read_directory is None else self.read_directory

    @property
    def own_domains(self) -> frozenset[str]:
        """The domains whose accounts the directory lists."""
        if not self.reads_directory:
            return frozenset()
        return frozenset(self.domains or (self.subject or "@").split("@")[1:])

    def chooses_drive(self, id: str) -> bool:
        """Whether a shared drive is wanted."""
        chosen = ALL in self.shared_drives or id in self.shared_drives
        return chosen and id not in self.exclude_shared_drives

    def selection(self) -> str:
        """A fingerprint of what decides which documents there are and what is said of them."""
        own = GoogleDriveOptions.model_fields.keys() - HttpOptions.model_fields.keys()
        others = {"service_account_file", "client_secret", "refresh_token", "page_size", "quota_user"}
        return fingerprint(self.model_dump(mode="json", include=set(own - others)))


class GoogleDriveCursor(msgspec.Struct, frozen=True):
    """The token from which the log of each drive is followed, and a fingerprint of the options.

    Keys are those of `scopes.Scope`; a drive without a token is listed from the beginning.
    """

    options: str
    tokens: dict[str, str]


CURSOR = Form("cursor of google drive", GoogleDriveCursor)
