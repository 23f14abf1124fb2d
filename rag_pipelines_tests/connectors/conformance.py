"""The kit that every connector is tested with: a world to change, and a replica that must follow it.

What belongs here: what is true of every system. What does not: any one system (the worlds that
`worlds` lists), and the promises themselves (`test_conformance`, `test_conformance_engine`).

To test a new connector, write a `World` and add it to `WORLDS` in `worlds`. A document has a *name*
of the form ``folder/document``; the world maps it to whatever the system has (a path, a page in a
space, a row) and `id_of` tells under which external id it is listed. The users are ``ann`` and
``bob``, and there is one group, ``hr``, in which nobody is at first. A case or a promise that makes
no sense for a system is listed in `not_applicable` with the reason. The table of connectors and
cases stands at the end of::

    pytest rag_pipelines_tests/connectors -k conformance
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

from rag_pipelines.connectors.base import Complete, Connector, Cursor, Entry, Failure, Item, Removed, Window
from rag_pipelines.connectors.registry import make_connector

START = datetime(2026, 1, 1, tzinfo=UTC)

USERS = ("ann", "bob")
GROUP = "hr"


class Case(StrEnum):
    """A column of the table: what happens to a source. Every promise is marked with one."""

    CREATE = "create"
    EDIT = "edit"
    RENAME = "rename"
    MOVE = "move"
    DELETE = "delete"
    RESTORE = "restore"
    DELETE_PARENT = "delete a parent"
    ACCESS_CHANGE = "access change"
    GROUP_CHANGE = "group change"
    EMPTY_SOURCE = "empty source"
    MANY_IDS = "many ids"
    DUPLICATE_IDS = "duplicate ids"
    ITEM_FAILURE = "item failure"
    PAGE_FAILURE = "page failure"
    THROTTLING = "throttling"
    EXPIRED_CREDENTIAL = "expired credential"
    CRASH_AND_RESUME = "crash and resume"
    INCOMPLETE_LISTING = "incomplete listing"
    RACING_EDITS = "racing edits"
    PROTOCOL = "protocol"
    """What holds whatever happens: tokens, windows, cursors, values that can be stored."""


NOT_APPLICABLE = "not applicable"
"""How the reason of a skipped promise begins."""


OWN_GROUPS = "the system has no directory: callers bring their groups with them"
"""Why a change of groups does not apply to a system without accounts."""

MAX_BYTES = 10_000
TOO_MUCH = "x" * (MAX_BYTES + 1)
"""The text of a document that is too large, for connectors that see sizes in the listing."""


class World(ABC):
    """One source that a test changes, and the connector that reads it.

    `documents` is the truth: name to text. The methods up to `expected` keep it and call the hooks
    below them. Every change happens one hour after the one before, from `START` on, so that no test
    waits for a clock. A hook that a system has no use for stays as it is: the promises that call it
    are then `not_applicable`.
    """

    name: ClassVar[str]
    """The row of the table."""
    kind: ClassVar[str]
    """The connector's kind in the registry."""
    not_applicable: ClassVar[Mapping[str, str]] = {}
    """Name of a case, or of one test, to the reason why it does not apply here."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.documents: dict[str, str] = {}
        self._now = START
        self._during: Callable[[], None] | None = None
        self._connectors: list[Connector] = []

    @classmethod
    def build(cls, folder: Path, request: pytest.FixtureRequest) -> World:
        """A new, empty source in `folder`; `request` gives access to fixtures such as ``postgres``."""
        return cls(folder)

    def close(self) -> None:
        """Close the connectors that were made; a world that started a server also stops it."""
        for connector in self._connectors:
            connector.close()

    def put(self, name: str, text: str) -> datetime:
        """Create or edit one document; returns its time of change."""
        self._now += timedelta(hours=1)
        self.documents[name] = text
        self.write(name, text, self._now)
        return self._now

    def put_many(self, documents: Mapping[str, str]) -> None:
        """Create many documents (up to 12,500) at one moment, in a few seconds."""
        self._now += timedelta(hours=1)
        self.documents.update(documents)
        for name, text in documents.items():
            self.write(name, text, self._now)

    def delete(self, name: str) -> None:
        """Delete a document as a user of the system does it, into the trash if there is one."""
        self._now += timedelta(hours=1)
        del self.documents[name]
        self.remove(name)

    def restore(self, name: str, text: str) -> None:
        """Bring a deleted document back as the system does it, with the `text` it had."""
        self._now += timedelta(hours=1)
        self.documents[name] = text
        self.bring_back(name, text, self._now)

    def rename(self, old: str, new: str) -> None:
        """Give a document another name, or another folder."""
        self._now += timedelta(hours=1)
        self.documents[new] = self.documents.pop(old)
        self.relocate(old, new, self._now)

    def delete_folder(self, folder: str) -> None:
        """Delete a folder with what is in it; a world whose system keeps the children says so here."""
        self._now += timedelta(hours=1)
        for name in [name for name in self.documents if name.startswith(f"{folder}/")]:
            del self.documents[name]
        self.remove_folder(folder)

    def expected(self) -> dict[str, str]:
        """What a complete replica holds: external id to text."""
        return {**self.own(), **{self.id_of(name): text for name, text in self.documents.items()}}

    def connector(self) -> Connector:
        """A new connector on the source as it is now."""
        self.publish()
        connector = make_connector("docs", self.kind, self.options())
        if self._during is not None:
            action, self._during = self._during, None
            divert(connector, partial(self._interrupted, action=action))
        self._connectors.append(connector)
        return connector

    def _interrupted(self, entries: Iterator[Entry], action: Callable[[], None]) -> Iterator[Entry]:
        for number, entry in enumerate(entries):
            yield entry
            if number == 0:
                action()
                self.publish()

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """The connector's options as a configuration file would hold them (plain YAML values)."""

    def publish(self) -> None:  # noqa: B027 (most changes are visible at once)
        """Make what changed visible to readers (a commit, a file that is written as a whole)."""

    # What the source holds.

    @abstractmethod
    def id_of(self, name: str) -> str:
        """The external id of a document, also of one that was deleted."""

    def text_of(self, data: bytes) -> str:
        """The text of a document as the test put it, from what its item loads."""
        return data.decode()

    def own(self) -> dict[str, str]:
        """Documents that the system has of itself (a space's home page): external id to `text_of`."""
        return {}

    @property
    def requests(self) -> int:
        """How many requests the source has been asked so far; 0 where nobody counts them."""
        return 0

    # How it changes.

    @abstractmethod
    def write(self, name: str, text: str, at: datetime) -> None:
        """Create or overwrite a document."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Delete a document."""

    def bring_back(self, name: str, text: str, at: datetime) -> None:
        """Take a document out of the trash; where there is none, it is written again."""
        self.write(name, text, at)

    @abstractmethod
    def relocate(self, old: str, new: str, at: datetime) -> None:
        """Rename or move a document."""

    def remove_folder(self, folder: str) -> None:
        """Remove a folder as the system does it: in one step."""
        raise NotImplementedError

    def duplicate(self, name: str) -> None:
        """Make the source name a document twice: a second one with the id of the first, or one that
        two pages of results name (then the promise that the second is reported does not apply)."""
        raise NotImplementedError

    # Who may see it. Before `restrict`, everybody may see everything.

    def restrict(self, name: str, who: str) -> None:
        """Let only `who`, a user or the group, see the document, without touching its content."""
        raise NotImplementedError

    def release(self, name: str) -> None:
        """Take back what `restrict` did."""
        raise NotImplementedError

    def add_member(self, user: str) -> None:
        """Put a user into the group, in the system's own directory."""
        raise NotImplementedError

    def remove_member(self, user: str) -> None:
        """Take a user out of the group."""
        raise NotImplementedError

    def principal_of(self, who: str) -> str:
        """The principal by which access rules name a user or the group."""
        return f"group:{who}" if who == GROUP else f"user:{who}@example.com"

    def caller(self, user: str) -> list[str]:
        """The principals that a search on behalf of `user` is made with."""
        return [f"user:{user}@example.com"]

    # What goes wrong. Each lasts until `mend`, unless it says otherwise.

    def mend(self) -> None:
        """Undo every fault: the source is whole again, its documents are as `documents` says."""
        raise NotImplementedError

    def break_document(self, name: str) -> None:
        """Make one document impossible to list, its id still visible."""
        raise NotImplementedError

    def vanish(self, name: str) -> None:
        """Make the content of a document that was listed impossible to load."""
        raise NotImplementedError

    def break_part(self, folder: str) -> None:
        """Make a part of the source impossible to list (a folder, a page of results, a line)."""
        raise NotImplementedError

    def break_source(self) -> None:
        """Make the whole source impossible to list."""
        raise NotImplementedError

    def cut_short(self) -> None:
        """Make a listing end early without saying so: `legal` and what follows it is left out, no
        answer is an error, and the source still has the documents when it is asked for them."""
        raise NotImplementedError

    def throttle(self, requests: int) -> None:
        """Answer the next so many requests with the system's word for slow down."""
        raise NotImplementedError

    def expire_credential(self) -> None:
        """Refuse the credential from now on."""
        raise NotImplementedError

    def during_listing(self, action: Callable[[], None]) -> None:
        """Call `action` once in the middle of the next listing.

        Here: behind its first entry. A world whose listing comes in pages does it between two pages.
        """
        self._during = action


def divert(connector: Connector, through: Callable[[Iterator[Entry]], Iterator[Entry]]) -> None:
    """Make everything that `connector` lists go through a function."""
    items, changes = connector.items, connector.changes
    connector.items = lambda window=Window(): through(items(window))  # type: ignore[method-assign]
    connector.changes = lambda cursor: through(changes(cursor))  # type: ignore[method-assign]


@dataclass
class Listing:
    """A listing taken apart; making one checks the protocol itself."""

    items: dict[str, Item] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    complete: Complete | None = None
    connector: Connector | None = None

    @classmethod
    def of(cls, entries: Iterable[Entry], connector: Connector | None = None) -> Listing:
        listing = cls(connector=connector)
        for entry in entries:
            assert listing.complete is None, f"{entry} follows Complete"
            if isinstance(entry, Item):
                assert entry.external_id not in listing.items, f"{entry.external_id} is listed twice"
                listing.items[entry.external_id] = entry
            elif isinstance(entry, Failure):
                assert (entry.external_id is None) != (entry.entity is None), f"{entry} is of one thing"
                listing.failures.append(entry)
            elif isinstance(entry, Removed):
                listing.removed.append(entry.external_id)
            else:
                listing.complete = entry
        if listing.complete is not None:
            failed = {one.external_id for one in listing.failures if one.external_id is not None}
            assert listing.complete.count == len(listing.items.keys() | failed)
            hidden = any(one.entity is not None and one.hides_documents for one in listing.failures)
            assert not (hidden and listing.complete.full), "a failed entity may hide documents"
        return listing

    @property
    def is_full(self) -> bool:
        return self.complete is not None and self.complete.full

    def tokens(self) -> dict[str, str]:
        return {identity: item.token for identity, item in self.items.items()}

    def texts(self, text_of: Callable[[bytes], str] = bytes.decode) -> dict[str, str]:
        """The text of every item, loaded as the engine does it: announced in bulk, then one by one."""
        if self.connector is not None:
            self.connector.prefetch(list(self.items.values()))
        return {identity: text_of(item.load()) for identity, item in self.items.items()}


@dataclass
class Replica:
    """The least sync engine: loads what has a new token, deletes only on a full listing's word."""

    text_of: Callable[[bytes], str] = bytes.decode
    texts: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    cursor: Cursor | None = None
    loads: int = 0

    def list_from(self, connector: Connector) -> Listing:
        """List everything and take it over."""
        listing = self._apply(connector, connector.items())
        if listing.is_full:
            alive = listing.items.keys() | {one.external_id for one in listing.failures}
            for identity in set(self.texts) - alive:
                self._forget(identity)
        return listing

    def follow(self, connector: Connector) -> Listing:
        """List what changed since the last time and take it over."""
        assert self.cursor is not None
        return self._apply(connector, connector.changes(self.cursor))

    def _apply(self, connector: Connector, entries: Iterator[Entry]) -> Listing:
        listing = Listing.of(entries, connector)
        for identity in listing.removed:
            self._forget(identity)
        for identity, item in listing.items.items():
            if item.moved_from is not None and item.moved_from in self.texts:
                self.texts[identity] = self.texts[item.moved_from]
                self.tokens[identity] = self.tokens[item.moved_from]
                self._forget(item.moved_from)
        wanted = [one for one in listing.items.values() if self.tokens.get(one.external_id) != one.token]
        connector.prefetch(wanted)
        for item in wanted:
            self.texts[item.external_id] = self.text_of(item.load())
            self.tokens[item.external_id] = item.token
            self.loads += 1
        if listing.complete is not None and listing.complete.cursor is not None:
            self.cursor = listing.complete.cursor
        return listing

    def _forget(self, identity: str) -> None:
        self.texts.pop(identity, None)
        self.tokens.pop(identity, None)


def listed(world: World, window: Window = Window()) -> Listing:
    """A full listing by a connector made for it, which stays open as long as the world."""
    connector = world.connector()
    return Listing.of(connector.items(window), connector)


def seed(world: World) -> None:
    """Three documents in two folders, each with words of its own."""
    world.put("handbook/leave.md", "Thirty days of leave.")
    world.put("handbook/travel.md", "Second class by train.")
    world.put("legal/terms.md", "Terms of service.")


def declares(world: World, capability: str) -> None:
    """Skip unless the connector declares `capability`."""
    if not getattr(world.connector().capabilities, capability):
        pytest.skip(f"{NOT_APPLICABLE}: the connector does not declare {capability!r}")
