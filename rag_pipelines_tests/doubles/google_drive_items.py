"""The things that Google Drive is made of: people, groups, permissions that were given, items, shared drives.

What belongs here: plain values. What does not: what people do to them (`google_drive_state`), what the
server says of them (`google_drive`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

FOLDER = "application/vnd.google-apps.folder"
SHORTCUT = "application/vnd.google-apps.shortcut"
DOC = "application/vnd.google-apps.document"
SHEET = "application/vnd.google-apps.spreadsheet"
SLIDES = "application/vnd.google-apps.presentation"
FORM = "application/vnd.google-apps.form"
TEXT = "text/plain"

RANKS = ("reader", "commenter", "writer", "fileOrganizer", "organizer", "owner")


@dataclass(slots=True)
class Person:
    """An account; `external` is one of another organisation, which our directory does not list."""

    email: str
    name: str
    suspended: bool = False
    external: bool = False
    aliases: tuple[str, ...] = ()


@dataclass(slots=True)
class Group:
    email: str
    name: str
    members: list[str] = field(default_factory=list)
    """Addresses of people and of groups."""


@dataclass(slots=True)
class Grant:
    """One permission that was given directly: `type` is user, group, domain or anyone, `who` its address."""

    type: str
    who: str
    role: str = "reader"
    expires: datetime | None = None
    discoverable: bool = True
    deleted: bool = False

    @property
    def id(self) -> str:
        return f"{self.type}-{self.who}" if self.who else "anyoneWithLink"


@dataclass(slots=True)
class Comment:
    id: str
    author: str
    text: str
    when: datetime
    quoted: str = ""
    replies: list[tuple[str, str]] = field(default_factory=list)
    """Who answered, and what."""


@dataclass(slots=True)
class Item:
    """A file, folder or shortcut. `drive` is a shared drive's id; else somebody's, the `owner`'s."""

    id: str
    number: int
    name: str
    mime: str
    parent: str | None
    drive: str | None
    owner: str
    when: datetime
    data: bytes = b""
    grants: list[Grant] = field(default_factory=list)
    withheld: set[str] = field(default_factory=set)
    """Whose inherited access was taken away here, as was possible in My Drive for long."""
    limited: bool = False
    trashed: bool = False
    version: int = 1
    target: str | None = None
    resource_key: str | None = None
    comments: list[Comment] = field(default_factory=list)
    encrypted: bool = False
    labels: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """Choices by label and field."""
    export_bytes: int | None = None
    """Of an export, where a test wants it to be larger than it is."""


@dataclass(slots=True)
class Drive:
    id: str
    name: str
    members: list[Grant] = field(default_factory=list)
    members_only: bool = False
    hidden: bool = False
