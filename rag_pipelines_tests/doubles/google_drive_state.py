"""What a Google Workspace holds, and what people do to it: the state behind the double of Google Drive.

What belongs here: people, groups, drives, items, who was granted what, the trash, the logs of changes.
What does not: HTTP and the shapes of answers (`google_drive`), who may read what (`google_drive_oracle`).

Time is `now`, moved by the test. A change enters the logs of those whom it concerns directly: of the item's
shared drive, or of those who could or can see it in My Drive. What lies below a folder that was moved,
shared or trashed is named nowhere ("there will not be a separate entry in the change log for each of those
items": developers.google.com/workspace/drive/api/guides/about-changes).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from rag_pipelines_tests.doubles.google_drive_items import (
    FOLDER,
    SHORTCUT,
    TEXT,
    Comment,
    Drive,
    Grant,
    Group,
    Item,
    Person,
)
from rag_pipelines_tests.doubles.google_drive_permissions import effective


class Workspace:
    """One organisation. Methods are named for what a person does; each returns what it changed."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC), domain: str = "example.com") -> None:
        self.now = now
        self.domain = domain
        self.people: dict[str, Person] = {}
        self.groups: dict[str, Group] = {}
        self.drives: dict[str, Drive] = {}
        self.items: dict[str, Item] = {}
        self.order: list[Item] = []
        """Everything in the order in which it was made, also what is gone for good."""
        self.roots: dict[str, str] = {}
        """Of each person, the id of the top of My Drive."""
        self.sequence = 1
        self._positions: tuple[tuple[int, int], dict[str, list[int]]] = ((-1, -1), {})
        self.logs: dict[str, dict[str, int]] = {}
        """By ``drive/<id>`` or ``user/<address>``: item (or drive) id to the number of its last change."""

    # People.

    def person(self, email: str, *, suspended: bool = False, external: bool = False) -> Person:
        one = Person(email, email.partition("@")[0].title(), suspended, external)
        self.people[email] = one
        root = self._make(f"root-{email}", "My Drive", FOLDER, None, None, email)
        self.roots[email] = root.id
        return one

    def group(self, email: str, *members: str) -> Group:
        """Create a group or set its members."""
        one = self.groups.setdefault(email, Group(email, email.partition("@")[0]))
        with self._seen_by(None):
            one.members = list(members)
        return one

    def suspend(self, email: str, suspended: bool = True) -> None:
        self.people[email].suspended = suspended

    def delete_person(self, email: str) -> None:
        """An account is deleted with everything that it owns."""
        del self.people[email]
        root = self.roots.pop(email)
        for item in [one for one in self.items.values() if one.owner == email or one.id == root]:
            del self.items[item.id]

    def expand(self, address: str) -> set[str]:
        """The people behind an address."""
        found: set[str] = set()
        seen: set[str] = set()
        todo = [address]
        while todo:
            one = todo.pop()
            if one in seen:
                continue
            seen.add(one)
            if one in self.groups:
                todo += self.groups[one].members
            elif one in self.people:
                found.add(one)
        return found

    # Drives.

    def drive(self, name: str, *members: Grant) -> Drive:
        one = Drive(f"0A{name}", name, list(members))
        self.drives[one.id] = one
        self._make(one.id, name, FOLDER, None, one.id, "")
        self._note_drive(one)
        return one

    def set_members(self, drive: Drive, *members: Grant) -> None:
        drive.members = list(members)
        self._note_drive(drive)

    def delete_drive(self, drive: Drive) -> None:
        del self.drives[drive.id]
        for item in [one for one in self.items.values() if one.drive == drive.id]:
            del self.items[item.id]
        self._note_drive(drive)

    # Items.

    def folder(self, parent: str, name: str, *grants: Grant, owner: str = "", limited: bool = False) -> Item:
        return self._add(parent, name, FOLDER, owner, grants=list(grants), limited=limited)

    def file(
        self,
        parent: str,
        name: str,
        data: bytes | str = b"",
        *grants: Grant,
        mime: str = TEXT,
        owner: str = "",
    ) -> Item:
        content = data.encode() if isinstance(data, str) else data
        return self._add(parent, name, mime, owner, data=content, grants=list(grants))

    def shortcut(self, parent: str, target: str, owner: str = "") -> Item:
        named = self.items[target].name if target in self.items else "gone"
        return self._add(parent, f"To {named}", SHORTCUT, owner, target=target)

    def edit(self, item: Item, data: bytes | str) -> Item:
        item.data = data.encode() if isinstance(data, str) else data
        return self._touch(item)

    def rename(self, item: Item, name: str) -> Item:
        item.name = name
        return self._touch(item)

    def move(self, item: Item, parent: str) -> Item:
        """To another folder; into another drive it takes everything below it along, its grants too.

        What was withheld of inherited access comes back, because no shared drive knows of that.
        """
        with self._seen_by(item):
            item.parent = parent
            drive = self.items[parent].drive
            if drive != item.drive:
                owner = "" if drive else self._owner_of(parent)
                for one in [item, *self.below(item.id)]:
                    one.drive, one.owner = drive, owner
                    one.withheld.clear()
        return item

    def transfer(self, item: Item, owner: str) -> Item:
        """Give a file in My Drive to another owner, into the top of theirs."""
        with self._seen_by(item):
            item.owner = owner
            item.parent = self.roots[owner]
        return item

    def share(self, item: Item, *grants: Grant) -> Item:
        with self._seen_by(item):
            given = {grant.id for grant in grants}
            item.grants = [one for one in item.grants if one.id not in given] + list(grants)
        return item

    def unshare(self, item: Item, who: str = "") -> Item:
        """Take back what was granted directly to `who`, or everything."""
        with self._seen_by(item):
            item.grants = [one for one in item.grants if who and one.who != who]
        return item

    def withhold(self, item: Item, who: str) -> Item:
        """Take away what `who` has by a folder above, from an item in My Drive."""
        with self._seen_by(item):
            item.withheld.add(who)
        return item

    def limit(self, item: Item, limited: bool = True) -> Item:
        """Limited access: what is inherited does not count from this folder on."""
        with self._seen_by(item):
            item.limited = limited
        return item

    def trash(self, item: Item) -> Item:
        with self._seen_by(item):
            item.trashed = True
        return item

    def restore(self, item: Item) -> Item:
        with self._seen_by(item):
            item.trashed = False
        return item

    def purge(self, item: Item) -> None:
        """Gone for good, with everything below it, which no log names."""
        with self._seen_by(item):
            for one in [item, *self.below(item.id)]:
                self.items.pop(one.id, None)

    def comment(self, item: Item, author: str, text: str, quoted: str = "") -> Comment:
        one = Comment(f"c{len(item.comments) + 1}", author, text, self.now, quoted)
        item.comments.append(one)
        return one

    # What follows from it.

    def ancestors(self, item: Item) -> Iterator[Item]:
        """From the parent up to the top of the drive."""
        while item.parent is not None and item.parent in self.items:
            item = self.items[item.parent]
            yield item

    def below(self, id: str) -> Iterator[Item]:
        for one in list(self.items.values()):
            if one.parent == id:
                yield one
                yield from self.below(one.id)

    def positions(self, drive: str | None, owner: str | None) -> list[int]:
        """Where in `order` stands what is in a shared drive, or in somebody's or anybody's My Drive."""
        state = self.sequence, len(self.order)
        if self._positions[0] != state:
            found: dict[str, list[int]] = {}
            for number, item in enumerate(self.order):
                for key in (f"drive/{item.drive or ''}", f"user/{item.owner}"):
                    found.setdefault(key, []).append(number)
            self._positions = state, found
        key = f"drive/{drive or ''}" if owner is None else f"user/{owner}"
        return self._positions[1].get(key, [])

    def is_trashed(self, item: Item) -> bool:
        return item.trashed or any(one.trashed for one in self.ancestors(item))

    def people_of(self, item: Item) -> set[str]:
        """Who has it in their own view of Drive: by name or by group, not by link, and not suspended or not.

        What a limited folder leaves to those above it (its name) does not count.
        """
        found: set[str] = set()
        for one in effective(self, item):
            if one.grant.type in ("user", "group") and not one.metadata_only and not one.is_over(self.now):
                found |= self.expand(one.grant.who)
        return found

    def tick(self, by: timedelta = timedelta(hours=1)) -> datetime:
        self.now += by
        return self.now

    def note(self, item: Item, people: Iterable[str] = ()) -> None:
        """Enter a change into the logs that it concerns."""
        logs = [f"user/{one}" for one in people]
        if item.drive is not None:
            logs.append(f"drive/{item.drive}")
        for log in logs:
            self.sequence += 1
            entries = self.logs.setdefault(log, {})
            entries.pop(item.id, None)
            entries[item.id] = self.sequence

    def _note_drive(self, drive: Drive) -> None:
        self.sequence += 1
        self.logs.setdefault(f"drive/{drive.id}", {})[f"drive:{drive.id}"] = self.sequence

    def _owner_of(self, parent: str) -> str:
        return self.items[parent].owner

    def _make(
        self,
        id: str,
        name: str,
        mime: str,
        parent: str | None,
        drive: str | None,
        owner: str,
        **values: object,
    ) -> Item:
        item = Item(id, len(self.order), name, mime, parent, drive, owner, self.now, **values)  # type: ignore[arg-type]
        self.items[id] = item
        self.order.append(item)
        return item

    def _add(self, parent: str, name: str, mime: str, owner: str, **values: object) -> Item:
        drive = self.items[parent].drive
        owned = "" if drive else owner or self._owner_of(parent)
        item = self._make(f"f{len(self.order):06d}", name, mime, parent, drive, owned, **values)
        self.note(item, () if drive else self.people_of(item))
        return item

    def _touch(self, item: Item) -> Item:
        item.version += 1
        item.when = self.now
        self.note(item, () if item.drive else self.people_of(item))
        return item

    @contextmanager
    def _seen_by(self, item: Item | None) -> Iterator[None]:
        """A change of what people see of `item`: it enters the logs from before and from after."""
        if item is None:
            yield
            return
        drive, before = item.drive, self.people_of(item)
        yield
        item.version += 1
        after = self.people_of(item) if item.id in self.items else set()
        self.note(item, before | after)
        if drive is not None and drive != item.drive:
            self.sequence += 1
            entries = self.logs.setdefault(f"drive/{drive}", {})
            entries.pop(item.id, None)
            entries[item.id] = self.sequence
