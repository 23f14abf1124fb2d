"""What a Microsoft 365 tenant holds, and what people do to it: the state behind the double of Graph.

What belongs here: accounts, groups, sites, libraries, lists, what is shared with whom, and the log of
changes. What does not: HTTP and the shapes of answers (`sharepoint`, `sharepoint_rest`), and who may read
what in the end (`sharepoint_oracle`).

Time is `now`, moved by the test. What a delta feed names is what the real one names: the item that was
touched and the folders above it. A renamed, moved or shared folder does not name what is below it; a deleted
one does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

USER, GROUP, OWNERS, SITE_GROUP = "user", "group", "owners", "site group"
EMPLOYEES, ANYBODY = "everyone except external users", "everyone"
Who = tuple[str, str]
"""What kind of principal, and its key: an account, an Entra group or its owners, a SharePoint group."""

READ, WRITE, OWNER = "read", "write", "owner"
LIMITED, ADD_ONLY = "limited access", "add only"
"""Roles that do not let anybody read."""


@dataclass(slots=True)
class Person:
    key: str
    name: str
    mail: str
    guest: bool = False
    upn: str = ""


@dataclass(slots=True)
class EntraGroup:
    """`members` are accounts and groups, `owners` accounts; of a Microsoft 365 group both matter."""

    key: str
    name: str
    members: list[Who] = field(default_factory=list)
    owners: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Grant:
    """An entry of a permission list: a role of one principal, or with `link` a sharing link.

    `link` is the link's scope (users, organization, anonymous, existingAccess), `people` whom a link for
    certain people was given to. `until` is when it ends.
    """

    role: str = READ
    who: Who | None = None
    link: str | None = None
    people: tuple[Who, ...] = ()
    until: datetime | None = None
    password: bool = False


@dataclass(slots=True)
class Site:
    key: str
    collection: str
    path: str
    name: str
    grants: list[Grant] = field(default_factory=list)
    groups: dict[str, tuple[str, list[Who]]] = field(default_factory=dict)
    """SharePoint groups by number: title and members."""
    status: int = 200
    """What the site answers: 423 when it is locked, 404 when it is gone."""
    parent: str | None = None
    personal: str | None = None
    """Whose OneDrive it is."""


@dataclass(slots=True)
class Thing:
    """A file, folder or package of a library, or an entry of a list (`number` is its id there).

    `grants` None means that it inherits. `version` counts changes of content, `edition` all changes.
    """

    key: str
    place: str
    parent: str | None
    name: str
    kind: str = "file"
    data: bytes = b""
    media_type: str = "text/plain"
    version: int = 1
    edition: int = 1
    when: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    by: str = ""
    grants: list[Grant] | None = None
    label: str = ""
    fields: dict[str, object] = field(default_factory=dict)
    level: str = "published"
    sections: list[object] = field(default_factory=list)
    before: str = ""
    """The name before the last change, which a feed that names it twice tells first."""


@dataclass(slots=True)
class Place:
    """A library (`drive` is its id) or a list: a root, things by key, and a log of what was touched."""

    key: str
    site: str
    name: str
    root: Thing
    drive: bool = True
    template: str = "documentLibrary"
    hidden: bool = False
    system: bool = False
    things: dict[str, Thing] = field(default_factory=dict)
    columns: list[tuple[str, str]] = field(default_factory=list)
    log: list[tuple[int, str, bool]] = field(default_factory=list)
    """What was touched when, and whether it was only shared anew."""
    gone: dict[str, Thing] = field(default_factory=dict)
    """What was deleted; until it is restored it is in the recycle bin."""
    counter: int = 0


class Tenant:
    """One tenant. Methods are named for what a person does; each returns what it made or changed."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC), host: str = "contoso") -> None:
        self.now = now
        self.host = host
        self.id = str(UUID(int=1))
        self.people: dict[str, Person] = {}
        self.groups: dict[str, EntraGroup] = {}
        self.sites: dict[str, Site] = {}
        self.places: dict[str, Place] = {}
        self.sequence = 0
        self._next = 100

    # Who there is.

    def person(self, name: str, mail: str | None = None, guest: bool = False) -> Person:
        mail = f"{name}@example.com" if mail is None else mail
        upn = f"{mail.replace('@', '_')}#EXT#@contoso.example" if guest else f"{name}@contoso.example"
        one = Person(self.new_id(), name.title(), mail, guest, upn)
        self.people[one.key] = one
        return one

    def group(self, name: str, members: Iterable[Who] = (), owners: Iterable[str] = ()) -> EntraGroup:
        one = EntraGroup(self.new_id(), name, list(members), list(owners))
        self.groups[one.key] = one
        return one

    # Where it is.

    def site(self, path: str, parent: str | None = None, personal: str | None = None) -> Site:
        """A site with the three groups that every site has, in the language of its makers."""
        collection = self.sites[parent].collection if parent else self.new_id()
        one = Site(self.new_id(), collection, path, path.rpartition("/")[2], parent=parent, personal=personal)
        self.sites[one.key] = one
        if personal is not None:
            one.grants = [Grant(OWNER, (USER, personal))]
            return one
        one.groups = {"3": ("Besitzer", []), "4": ("Besucher", []), "5": ("Mitglieder", [])}
        roles = {"3": OWNER, "4": READ, "5": WRITE}
        one.grants = [Grant(role, (SITE_GROUP, number)) for number, role in roles.items()]
        return one

    def library(self, site: str, name: str, **values: bool) -> Place:
        return self._place(site, name, drive=True, **values)

    def listing(self, site: str, name: str, template: str = "genericList", **values: bool) -> Place:
        return self._place(site, name, drive=False, template=template, **values)

    def delete_place(self, key: str) -> None:
        del self.places[key]

    def delete_site(self, key: str) -> None:
        for place in [one for one in self.places.values() if one.site == key]:
            self.delete_place(place.key)
        del self.sites[key]

    # What is in it.

    def folder(self, place: Place, name: str, parent: Thing | None = None) -> Thing:
        return self._add(place, name, parent, kind="folder")

    def file(self, place: Place, name: str, data: bytes = b"text", parent: Thing | None = None) -> Thing:
        return self._add(place, name, parent, data=data)

    def package(self, place: Place, name: str, parent: Thing | None = None) -> Thing:
        return self._add(place, name, parent, kind="package")

    def entry(self, place: Place, title: str, parent: Thing | None = None, **fields: object) -> Thing:
        """An entry of a list."""
        return self._add(place, title, parent, kind="entry", fields={"Title": title, **fields})

    def page(self, place: Place, title: str, sections: Sequence[object], level: str = "published") -> Thing:
        """A site page; `sections` as `canvasLayout` has them."""
        return self._add(
            place,
            f"{title}.aspx",
            None,
            kind="page",
            fields={"Title": title},
            sections=list(sections),
            level=level,
        )

    # What happens to it.

    def edit(self, place: Place, thing: Thing, data: bytes | None = None, **values: object) -> Thing:
        """New content."""
        if data is not None:
            thing.data = data
        thing.fields.update(values)
        thing.version += 1
        return self._touch(place, thing)

    def rename(self, place: Place, thing: Thing, name: str) -> Thing:
        thing.before, thing.name = thing.name, name
        return self._touch(place, thing)

    def move(self, place: Place, thing: Thing, parent: Thing | None = None) -> Thing:
        """Into another folder of the library; what inherited takes over the access of the new place."""
        target = parent or place.root
        assert thing not in self.path(place, target), "a folder cannot be moved into itself"
        thing.parent = target.key
        return self._touch(place, thing)

    def delete(self, place: Place, thing: Thing) -> None:
        """Into the recycle bin, with everything below it."""
        for one in [*self.below(place, thing), thing]:
            place.gone[one.key] = place.things.pop(one.key)
            self._log(place, one)

    def restore(self, place: Place, thing: Thing) -> None:
        place.things[thing.key] = place.gone.pop(thing.key)
        self._touch(place, thing)

    def share(self, place: Place, thing: Thing, grants: Iterable[Grant] | None) -> Thing:
        """Let exactly `grants` hold for it and for what inherits from it; None: it inherits again."""
        thing.grants = None if grants is None else list(grants)
        self._log(place, thing, sharing=True)
        return thing

    def label(self, place: Place, thing: Thing, label: str) -> Thing:
        thing.label = label
        return self._touch(place, thing)

    # Looking.

    def below(self, place: Place, thing: Thing) -> Iterator[Thing]:
        for one in list(place.things.values()):
            if one.parent == thing.key:
                yield one
                yield from self.below(place, one)

    def path(self, place: Place, thing: Thing) -> list[Thing]:
        """From the thing up to the root, both included."""
        found = [thing]
        while found[-1].parent is not None:
            found.append(self.find(place, found[-1].parent))
        return found

    def find(self, place: Place, key: str) -> Thing:
        return place.root if key == place.root.key else place.things.get(key) or place.gone[key]

    def places_of(self, site: str, drive: bool) -> list[Place]:
        return [one for one in self.places.values() if one.site == site and one.drive == drive]

    def tick(self, by: timedelta = timedelta(hours=1)) -> datetime:
        self.now += by
        return self.now

    def new_id(self) -> str:
        self._next += 1
        return str(UUID(int=self._next))

    def _place(self, site: str, name: str, **values: object) -> Place:
        key = self.new_id()
        root = Thing(f"01ROOT{key[-12:]}", key, None, "root", kind="folder", when=self.now)
        one = Place(key, site, name, root, **values)  # type: ignore[arg-type]
        self.places[key] = one
        self._log(one, root)
        return one

    def _add(self, place: Place, name: str, parent: Thing | None, **values: object) -> Thing:
        place.counter += 1
        number = place.counter
        key = f"01{place.key[-6:].upper()}{number:010d}" if place.drive else str(number)
        thing = Thing(key, place.key, (parent or place.root).key, name, **values)  # type: ignore[arg-type]
        place.things[key] = thing
        return self._touch(place, thing, first=True)

    def _touch(self, place: Place, thing: Thing, first: bool = False) -> Thing:
        thing.edition += not first
        thing.when = self.now
        self._log(place, thing)
        return thing

    def _log(self, place: Place, thing: Thing, sharing: bool = False) -> None:
        self.sequence += 1
        place.log.append((self.sequence, thing.key, sharing))
