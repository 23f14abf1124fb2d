"""A source in memory with every capability and every fault, to test the engine against by the thousand.

It behaves as the hardest systems do: listings come by offsets, so that what is deleted while one is read
makes it skip a document; its change feed knows edits only, not moves, restores, restrictions or deletions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, ClassVar

from rag_pipelines.connectors.base import (
    Capabilities,
    Complete,
    Connector,
    Cursor,
    Entry,
    Failure,
    Finding,
    Group,
    Item,
    Options,
    Window,
)
from rag_pipelines.errors import CredentialError, FetchError, ThrottledError, TransientError
from rag_pipelines.model import AccessRule
from rag_pipelines_tests.connectors.conformance import GROUP, USERS, World

PAGE = 2
"""Documents on one page of a listing."""


@dataclass
class Page:
    """One document as the system holds it."""

    name: str
    text: str
    edited: int
    at: datetime
    who: str | None = None
    trashed: bool = False


@dataclass
class Faults:
    """What goes wrong until it is mended."""

    documents: set[str] = field(default_factory=set)
    contents: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    source: bool = False
    short: bool = False
    credential: bool = False
    throttled: int = 0


class MemoryConnector(Connector):
    """Reads a `MemoryWorld`."""

    kind = "memory"
    options_type = Options
    capabilities = Capabilities(changes=True, ids=True, permissions=True, groups=True, lookup=True)

    def __init__(self, source: str, options: Options, world: MemoryWorld | None = None) -> None:
        super().__init__(source, options)
        assert world is not None
        self._world = world

    def check(self) -> list[Finding]:
        return []

    def items(self, window: Window = Window()) -> Iterator[Entry]:
        world, seen = self._world, 0
        self._answer()
        full = True
        names: set[str] = set()
        while page := world.listed()[seen : seen + PAGE]:
            seen += len(page)
            for identity, one in page:
                if one.name.partition("/")[0] in world.faults.folders:
                    full = False
                elif one.name in world.faults.documents:
                    names.add(identity)
                    yield Failure(error=FetchError("broken"), external_id=identity)
                elif identity not in names:
                    names.add(identity)
                    yield self._item(identity, one)
            world.interrupt()
            if world.faults.source:
                raise TransientError("the source went away")
            if world.faults.short and seen >= len(world.pages) // 2:
                break
        for folder in sorted(world.faults.folders):
            yield Failure(error=TransientError("broken"), entity=folder)
        yield Complete(count=len(names), cursor={"edit": world.edits}, full=full)

    def changes(self, cursor: Cursor) -> Iterator[Entry]:
        world = self._world
        self._answer()
        edits = world.edits
        for identity, one in world.listed():
            if one.edited > cursor["edit"] and one.name.partition("/")[0] not in world.faults.folders:
                yield self._item(identity, one)
        if world.faults.folders:
            yield Failure(error=TransientError("broken"), entity="changes")
            edits = cursor["edit"]
        yield Complete(count=0, cursor={"edit": edits}, full=False)

    def existing(self, ids: Sequence[str]) -> set[str]:
        self._answer()
        return {one for one in ids if one in self._world.pages and not self._world.pages[one].trashed}

    def groups(self) -> Iterator[Group | Failure | Complete]:
        self._answer()
        members = tuple(self._world.principal_of(user) for user in sorted(self._world.members))
        yield Group(principal=self._world.principal_of(GROUP), members=members)
        yield Complete(count=1)

    def _answer(self) -> None:
        faults = self._world.faults
        if faults.credential:
            raise CredentialError("expired")
        if faults.throttled:
            faults.throttled -= 1
            raise ThrottledError("slow down", retry_after=1.0)

    def _item(self, identity: str, page: Page) -> Item:
        access = AccessRule() if page.who is None else AccessRule(((self._world.principal_of(page.who),),))
        return Item(
            external_id=identity,
            token=str(page.edited),
            load=partial(self._load, identity),
            name=page.name.rpartition("/")[2] + ".md",
            path=page.name,
            modified_at=page.at,
            access=access,
        )

    def _load(self, identity: str) -> bytes:
        page = self._world.pages[identity]
        if page.name in self._world.faults.contents or page.trashed:
            raise FetchError("its content is gone")
        return page.text.encode()


class MemoryWorld(World):
    """The source."""

    name = "memory"
    kind = "memory"
    not_applicable: ClassVar[dict[str, str]] = {}

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.pages: dict[str, Page] = {}
        self.members: set[str] = set()
        self.faults = Faults()
        self.edits = 0

    def listed(self) -> list[tuple[str, Page]]:
        """The documents that are not in the trash, in the order of their ids."""
        return sorted((identity, one) for identity, one in self.pages.items() if not one.trashed)

    def interrupt(self) -> None:
        """Do once what `during_listing` asked for."""
        action, self._during = self._during, None
        if action is not None:
            action()

    def options(self) -> dict[str, Any]:
        return {}

    def connector(self) -> Connector:
        return MemoryConnector("docs", Options(), self)

    def id_of(self, name: str) -> str:
        return max((i for i, one in self.pages.items() if one.name == name), default="")

    def write(self, name: str, text: str, at: datetime) -> None:
        self.edits += 1
        identity = self._alive(name)
        if identity is None:
            self.pages[f"{len(self.pages):04}"] = Page(name, text, self.edits, at)
        else:
            page = self.pages[identity]
            page.text, page.edited, page.at = text, self.edits, at

    def _alive(self, name: str) -> str | None:
        return next((identity for identity, one in self.listed() if one.name == name), None)

    def remove(self, name: str) -> None:
        self.pages[self._alive(name) or ""].trashed = True

    def bring_back(self, name: str, text: str, at: datetime) -> None:
        self.pages[self.id_of(name)].trashed = False

    def relocate(self, old: str, new: str, at: datetime) -> None:
        self.pages[self._alive(old) or ""].name = new

    def remove_folder(self, folder: str) -> None:
        for _, one in self.listed():
            if one.name.startswith(f"{folder}/"):
                one.trashed = True

    def restrict(self, name: str, who: str) -> None:
        self.pages[self._alive(name) or ""].who = who

    def release(self, name: str) -> None:
        self.pages[self._alive(name) or ""].who = None

    def add_member(self, user: str) -> None:
        assert user in USERS
        self.members.add(user)

    def remove_member(self, user: str) -> None:
        self.members.discard(user)

    def mend(self) -> None:
        self.faults = Faults()

    def break_document(self, name: str) -> None:
        self.faults.documents.add(name)

    def vanish(self, name: str) -> None:
        self.faults.contents.add(name)

    def break_part(self, folder: str) -> None:
        self.faults.folders.add(folder)

    def break_source(self) -> None:
        self.faults.source = True

    def cut_short(self) -> None:
        self.faults.short = True

    def throttle(self, requests: int) -> None:
        self.faults.throttled = requests

    def expire_credential(self) -> None:
        self.faults.credential = True

    def during_listing(self, action: Callable[[], None]) -> None:
        self._during = action
