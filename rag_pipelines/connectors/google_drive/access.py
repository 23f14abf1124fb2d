"""Who may read a file: Drive's permissions as principals and clauses.

What belongs here: pure mapping. What does not: asking for permissions (`listing`), members (`directory`).

A file of a shared drive is read by whom its container lets in, and by whom it was shared with itself. Its
container is the nearest folder above it that has permissions of its own, or the drive: a principal whose
members are synced apart, so that sharing a folder changes no document. A file of My Drive is read by whom its
own permissions name, which Drive tells whole with the file: what a folder hands down can be withheld there.

    user:<directory>/<address>           an account of the organisation; others are user:<address>
    group:<directory>/<address>          a Google group
    group:<directory>/domain/<domain>    everybody in a domain
    group:<directory>/drive/<id>         the members of a shared drive
    group:<directory>/folder/<id>        who may read a folder that has permissions of its own

A permission does not let anybody read if its account was deleted, if it ends soon (`expiry_margin`), or if it
is limited to a view: ``metadata`` shows the name of a folder with limited access, ``published`` a published
copy (developers.google.com/workspace/drive/api/guides/ref-roles#views). What is shared by link
(`allowFileDiscovery` false) is read by nobody for that, unless `link_sharing` says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from rag_pipelines.connectors.google_drive.files import Permission
from rag_pipelines.connectors.google_drive.options import GoogleDriveOptions
from rag_pipelines.model import CLOSED, EVERYONE, AccessRule

READING = frozenset({"owner", "organizer", "fileOrganizer", "writer", "commenter", "reader"})
_HEADS = frozenset({"owner", "organizer"})
"""Whom limited access does not keep out."""


class Policy(msgspec.Struct, frozen=True):
    """How permissions are read at one moment.

    Args:
        domains: whose accounts are known from the directory.
        links: `GoogleDriveOptions.link_sharing`.
        until: permissions that end before do not count.
    """

    directory: str
    domains: frozenset[str]
    links: str
    until: datetime

    @classmethod
    def of(cls, options: GoogleDriveOptions, now: datetime) -> Policy:
        until = now + timedelta(hours=options.expiry_margin)
        return cls(options.directory, options.own_domains, options.link_sharing, until)

    def user(self, address: str) -> str:
        address = address.lower()
        own = address.partition("@")[2] in self.domains
        return f"user:{self.directory}/{address}" if own else f"user:{address}"

    def group(self, address: str) -> str:
        return f"group:{self.directory}/{address.lower()}"

    def domain(self, name: str) -> str:
        return f"group:{self.directory}/domain/{name.lower()}"

    def drive(self, id: str) -> str:
        return f"group:{self.directory}/drive/{id}"

    def folder(self, id: str) -> str:
        return f"group:{self.directory}/folder/{id}"

    def reader(self, permission: Permission) -> str | None:
        """The principal that may read by a permission; None: nobody may."""
        one = permission
        if one.deleted or one.view is not None or one.role not in READING:
            return None
        if one.expiration_time is not None and one.expiration_time <= self.until:
            return None
        by_link = one.allow_file_discovery is not True
        if one.type == "anyone":
            return EVERYONE if self.links == "open" or not by_link else None
        if one.type == "domain" and one.domain:
            return self.domain(one.domain) if self.links != "closed" or not by_link else None
        if not one.email_address:
            return None
        if one.type == "group":
            return self.group(one.email_address)
        return self.user(one.email_address) if one.type == "user" else None

    def readers(self, permissions: Iterable[Permission]) -> tuple[str, ...]:
        """Everybody who may read by some permission."""
        return _sorted(self.reader(one) for one in permissions)

    def added(self, permissions: Iterable[Permission]) -> tuple[str, ...]:
        """Those who were added where the permissions are read, whoever may read by what is above."""
        return _sorted(self.reader(one) for one in permissions if one.is_direct)

    def admitted(self, permissions: Iterable[Permission]) -> tuple[str, ...]:
        """Who may open a folder with limited access: managers, its owner, and who was added there."""
        return _sorted(self.reader(one) for one in permissions if one.is_direct or one.role in _HEADS)


def rule_of(*clauses: Iterable[str]) -> AccessRule:
    """The rule of some clauses; one that names nobody closes it."""
    found = tuple(_sorted(clause) for clause in clauses)
    return AccessRule(found) if all(found) else CLOSED


def _sorted(principals: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({one for one in principals if one is not None}))
