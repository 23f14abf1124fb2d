"""A connector of Google Drive beside the double that it reads, for tests.

What belongs here: logging in, listing, and who sees what by rules and groups. What does not: tests.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from rag_pipelines.connectors.base import Failure, Group
from rag_pipelines.connectors.google_drive.connector import GoogleDriveConnector
from rag_pipelines.connectors.registry import make_connector
from rag_pipelines.model import EVERYONE, AccessRule
from rag_pipelines_tests.connectors.conformance import Listing
from rag_pipelines_tests.doubles.google_drive import GoogleDrive
from rag_pipelines_tests.doubles.google_drive_items import Drive, Grant
from rag_pipelines_tests.doubles.google_drive_state import Workspace
from rag_pipelines_tests.doubles.google_workspace import SERVICE_ACCOUNT

ADMIN = "admin@example.com"
ANN, BOB, CAT = "ann@example.com", "bob@example.com", "cat@example.com"
EVE = "eve@partner.example"
ALWAYS = 10**9


@cache
def private_key() -> str:
    """A key of a service account; made once, because that takes a while."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def write_key(folder: Path, double: GoogleDrive) -> Path:
    """The file that Google gives with a key."""
    path = folder / "service-account.json"
    key = {
        "type": "service_account",
        "client_id": "1234567890",
        "client_email": SERVICE_ACCOUNT,
        "private_key_id": "k1",
        "private_key": private_key(),
        "token_uri": f"{double.url}/token",
    }
    path.write_text(json.dumps(key))
    return path


def options_of(double: GoogleDrive, folder: Path) -> dict[str, Any]:
    """Everything is read on behalf of an administrator, and little is waited for."""
    return {
        "service_account_file": str(write_key(folder, double)),
        "subject": ADMIN,
        "api_url": double.url,
        "directory_url": double.url,
        "export_url": double.url,
        "retries": 3,
        "retry_delay": 0.01,
        "max_wait": 2.0,
        "read_timeout": 2.0,
    }


class Bench:
    """A double with an administrator, three people and a stranger, and connectors on it."""

    def __init__(self, folder: Path, now: datetime | None = None) -> None:
        self.site = Workspace(now=now or datetime.now(UTC).replace(microsecond=0))
        self.double = GoogleDrive(self.site)
        for email in (ADMIN, ANN, BOB, CAT):
            self.site.person(email)
        self.site.person(EVE, external=True)
        self.double.admins.add(ADMIN)
        self.double.start()
        self._folder = folder
        self._connectors: list[GoogleDriveConnector] = []

    def close(self) -> None:
        for one in self._connectors:
            one.close()
        self.double.stop()

    def drive(self, name: str, *members: Grant) -> Drive:
        """A shared drive that the administrator manages."""
        return self.site.drive(name, Grant("user", ADMIN, "organizer"), *members)

    def connector(self, **options: Any) -> GoogleDriveConnector:
        whole = {**options_of(self.double, self._folder), **options}
        given = {name: value for name, value in whole.items() if value is not None}
        connector = make_connector("docs", "google_drive", given)
        assert isinstance(connector, GoogleDriveConnector)
        self._connectors.append(connector)
        return connector

    def listed(self, **options: Any) -> Listing:
        connector = self.connector(**options)
        return Listing.of(connector.items(), connector)

    def followed(self, listing: Listing, **options: Any) -> Listing:
        assert listing.complete is not None
        assert listing.complete.cursor is not None
        connector = self.connector(**options)
        return Listing.of(connector.changes(listing.complete.cursor), connector)

    def names(self, **options: Any) -> set[str]:
        """Names of what is listed."""
        return {item.name for item in self.listed(**options).items.values()}

    def visible(self, email: str, **options: Any) -> set[str]:
        """Names of what somebody sees, by the rules and groups of a whole sync."""
        rules = {item.name: item.access for item in self.listed(**options).items.values()}
        mine = principals_of(email, list(self.groups(**options)))
        return {name for name, rule in rules.items() if rule is not None and admits(rule, mine)}

    def groups(self, **options: Any) -> Iterator[Group]:
        return (one for one in self.connector(**options).groups() if isinstance(one, Group))

    def failures_of_groups(self, **options: Any) -> list[Failure]:
        return [one for one in self.connector(**options).groups() if isinstance(one, Failure)]


def principals_of(email: str, groups: list[Group]) -> set[str]:
    """What a caller has: itself, and every group that it is in by any number of steps."""
    holders: dict[str, set[str]] = {}
    for group in groups:
        for member in group.members:
            holders.setdefault(member, set()).add(group.principal)
    found = {f"user:{email}", EVERYONE}
    open_ = list(found)
    while open_:
        new = holders.get(open_.pop(), set()) - found
        found |= new
        open_ += new
    return found


def admits(rule: AccessRule, principals: set[str]) -> bool:
    return all(principals.intersection(clause) for clause in rule.clauses) and not principals.intersection(
        rule.deny
    )


def opened(folder: Path) -> Iterator[Bench]:
    bench = Bench(folder)
    yield bench
    bench.close()
    assert bench.double.problems == [], "held against Google's discovery documents"
