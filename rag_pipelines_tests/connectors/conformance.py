"""The kit that every connector is tested with: a world to change, and a replica that must follow it.

What belongs here: what is true of every system. What does not: any one system (`worlds`), and the
promises themselves (`test_conformance`).

To test a new connector, write a `World` in `worlds` and add it to `WORLDS`. A document has a *name*
of the form ``folder/document``; the world maps it to whatever the system has (a path, a page below
a page, a row) and `id_of` tells under which external id it is listed. A promise that makes no sense
for a system is listed in `not_applicable` with the reason, which the test run prints.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pytest

from rag_pipelines.connectors.base import Complete, Connector, Cursor, Entry, Failure, Item, Removed, Window

START = datetime(2026, 1, 1, tzinfo=UTC)


class World(ABC):
    """One source that a test changes, and the connector that reads it.

    `documents` is the truth: name to text. The methods up to `delete_folder` keep it and call the
    hooks below them. Every change happens one hour after the one before, from `START` on, so that
    no test waits for a clock.
    """

    name: ClassVar[str]
    not_applicable: ClassVar[Mapping[str, str]] = {}
    """Name of a test to the reason why it does not apply here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.documents: dict[str, str] = {}
        self._now = START

    @classmethod
    def build(cls, folder: Path, request: pytest.FixtureRequest) -> World:
        """A new, empty source in `folder`; `request` gives access to fixtures such as ``postgres``."""
        return cls(folder)

    def put(self, name: str, text: str) -> datetime:
        """Create or edit one document; returns its time of change."""
        self._now += timedelta(hours=1)
        self.documents[name] = text
        self.write(name, text, self._now)
        return self._now

    def put_many(self, documents: Mapping[str, str]) -> None:
        """Create many documents at one moment."""
        self._now += timedelta(hours=1)
        self.documents.update(documents)
        for name, text in documents.items():
            self.write(name, text, self._now)

    def delete(self, name: str) -> None:
        del self.documents[name]
        self.remove(name)

    def rename(self, old: str, new: str) -> None:
        """Give a document another name, or another folder."""
        self._now += timedelta(hours=1)
        self.documents[new] = self.documents.pop(old)
        self.relocate(old, new, self._now)

    def delete_folder(self, folder: str) -> None:
        for name in [name for name in self.documents if name.startswith(f"{folder}/")]:
            del self.documents[name]
        self.remove_folder(folder)

    def expected(self) -> dict[str, str]:
        """What a complete replica holds: external id to text."""
        return {self.id_of(name): text for name, text in self.documents.items()}

    @abstractmethod
    def connector(self) -> Connector:
        """A new connector on the source as it is now."""

    @abstractmethod
    def id_of(self, name: str) -> str: ...

    @abstractmethod
    def write(self, name: str, text: str, at: datetime) -> None: ...

    @abstractmethod
    def remove(self, name: str) -> None: ...

    @abstractmethod
    def relocate(self, old: str, new: str, at: datetime) -> None: ...

    def remove_folder(self, folder: str) -> None:
        """Remove a folder as the system does it: in one step."""
        raise NotImplementedError

    def restrict(self, name: str, principal: str) -> None:
        """Let only `principal` see the document, without touching its content."""
        raise NotImplementedError

    def duplicate(self, name: str) -> None:
        """Add a second document with the id of the first."""
        raise NotImplementedError

    def break_document(self, name: str) -> None:
        """Make one document impossible to list, its id still visible."""
        raise NotImplementedError

    def break_part(self, folder: str) -> None:
        """Make a part of the source impossible to list (a folder, a page of results, a line)."""
        raise NotImplementedError

    def break_source(self) -> None:
        """Make the whole source impossible to list."""
        raise NotImplementedError

    def vanish(self, name: str) -> None:
        """Make the content of a document that was listed impossible to load."""
        raise NotImplementedError


@dataclass
class Listing:
    """A listing taken apart; making one checks the protocol itself."""

    items: dict[str, Item] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    complete: Complete | None = None

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Listing:
        listing = cls()
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

    def texts(self) -> dict[str, str]:
        return {identity: item.load().decode() for identity, item in self.items.items()}


@dataclass
class Replica:
    """The least sync engine: loads what has a new token, deletes only on a full listing's word."""

    texts: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    cursor: Cursor | None = None
    loads: int = 0

    def list_from(self, connector: Connector) -> Listing:
        listing = self._apply(connector.items())
        if listing.is_full:
            alive = listing.items.keys() | {one.external_id for one in listing.failures}
            for identity in set(self.texts) - alive:
                self._forget(identity)
        return listing

    def follow(self, connector: Connector) -> Listing:
        assert self.cursor is not None
        return self._apply(connector.changes(self.cursor))

    def _apply(self, entries: Iterator[Entry]) -> Listing:
        listing = Listing.of(entries)
        for identity in listing.removed:
            self._forget(identity)
        for identity, item in listing.items.items():
            if item.moved_from is not None and item.moved_from in self.texts:
                self.texts[identity] = self.texts[item.moved_from]
                self.tokens[identity] = self.tokens[item.moved_from]
                self._forget(item.moved_from)
            if self.tokens.get(identity) != item.token:
                self.texts[identity] = item.load().decode()
                self.tokens[identity] = item.token
                self.loads += 1
        if listing.complete is not None and listing.complete.cursor is not None:
            self.cursor = listing.complete.cursor
        return listing

    def _forget(self, identity: str) -> None:
        self.texts.pop(identity, None)
        self.tokens.pop(identity, None)


def listed(world: World, window: Window = Window()) -> Listing:
    """A full listing by a connector made for it."""
    connector = world.connector()
    try:
        return Listing.of(connector.items(window))
    finally:
        connector.close()
