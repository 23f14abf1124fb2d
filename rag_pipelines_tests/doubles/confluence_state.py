"""What a Confluence site holds, and what people do to it: the state behind both deployments' doubles.

What belongs here: spaces, content, people, the trash, the search index and its lag. What does not:
HTTP and the shapes of answers (`confluence_cloud`, `confluence_data_center`).

Time is `now`, moved by the test. Every edit makes a new version and enters the search index at once,
unless `lagging` is set: then it waits for `reindex`. Moves, restrictions, labels, trashing and restoring
make no version and leave no trace in the time of the last change, as in the real thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

PAGE, BLOG_POST, COMMENT, ATTACHMENT, FOLDER = "page", "blogpost", "comment", "attachment", "folder"


@dataclass(slots=True)
class Person:
    """An account; `name` is the user name on Data Center."""

    key: str
    name: str
    display_name: str
    email: str = ""


@dataclass(slots=True)
class Readers:
    """Who may read something: people and groups by key, and on a space perhaps anybody."""

    people: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    anonymous: bool = False


@dataclass(slots=True)
class Space:
    id: int
    key: str
    name: str
    status: str = "current"
    readers: Readers = field(default_factory=Readers)


@dataclass(slots=True)
class Content:
    """A page, blog post, comment, attachment or folder; `parent` is a page, folder or comment."""

    id: int
    type: str
    title: str
    space: str
    when: datetime
    by: str
    body: str = ""
    parent: int | None = None
    container: int | None = None
    version: int = 1
    status: str = "current"
    labels: tuple[str, ...] = ()
    readers: Readers | None = None
    location: str = "footer"
    media_type: str = ""
    data: bytes = b""

    @property
    def identity(self) -> str:
        """The id as the API writes it."""
        return f"att{self.id}" if self.type == ATTACHMENT else str(self.id)


class Site:
    """One Confluence site. Methods are named for what a person does; each returns what it changed."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC), zone: tzinfo = UTC) -> None:
        self.now = now
        self.zone = zone
        """The time zone that the server reads dates of a query in."""
        self.spaces: dict[str, Space] = {}
        self.contents: dict[int, Content] = {}
        self.people: dict[str, Person] = {}
        self.groups: dict[str, tuple[str, list[str]]] = {}
        """Group id to its name and its members' keys; on Data Center id and name are the same."""
        self.lagging = False
        """Whether the search index waits for `reindex`."""
        self.hidden: set[int] = set()
        """Content that the account of the connector may not see."""
        self.hidden_spaces: set[str] = set()
        self._indexed: dict[int, datetime] = {}
        self._next_id = 1000
        self.generation = 0
        """Grows with every change, so that what was computed of the state can be kept until then."""
        self._answers: dict[tuple[object, ...], tuple[int, list[Content]]] = {}
        self.person("author", "Ann Author")

    def person(self, key: str, display_name: str, email: str = "") -> Person:
        self.people[key] = Person(key, key, display_name, email)
        return self.people[key]

    def group(self, key: str, *members: str, name: str = "") -> None:
        """Create a group or set its members."""
        self.groups[key] = (name or key, list(members))

    def space(self, key: str, name: str = "", readers: Readers | None = None) -> Space:
        one = Space(self._new_id(), key, name or key.title(), readers=readers or Readers())
        self.spaces[key] = one
        return one

    def delete_space(self, key: str) -> None:
        del self.spaces[key]
        for content in [one for one in self.contents.values() if one.space == key]:
            self.purge(content.id)

    def page(
        self, space: str, title: str, body: str = "", parent: int | None = None, status: str = "current"
    ) -> Content:
        return self._add(PAGE, title, space, body=body, parent=parent, status=status)

    def blog_post(self, space: str, title: str, body: str = "") -> Content:
        return self._add(BLOG_POST, title, space, body=body)

    def folder(self, space: str, title: str, parent: int | None = None) -> Content:
        return self._add(FOLDER, title, space, parent=parent)

    def comment(self, on: int, body: str, location: str = "footer", reply_to: int | None = None) -> Content:
        page = self.contents[on]
        return self._add(
            COMMENT, f"Re: {page.title}", page.space, body=body, container=on, parent=reply_to,
            location=location,
        )  # fmt: skip

    def attach(self, to: int, name: str, data: bytes, media_type: str) -> Content:
        space = self.contents[to].space
        return self._add(ATTACHMENT, name, space, container=to, data=data, media_type=media_type)

    def edit(self, id: int, body: str | bytes | None = None, title: str | None = None) -> Content:
        """A new version: of the body, the title, or an attachment's bytes."""
        content = self.contents[id]
        if isinstance(body, bytes):
            content.data = body
        elif body is not None:
            content.body = body
        content.title = title if title is not None else content.title
        content.version += 1
        content.when = self.now
        return self._changed(content)

    def move(self, id: int, parent: int | None = None, space: str | None = None) -> Content:
        """To another parent, and with everything below it to another space."""
        content = self.contents[id]
        content.parent = parent
        if space is not None:
            for one in [content, *self.below(id)]:
                one.space = space
        return self._changed(content, versioned=False)

    def label(self, id: int, *labels: str) -> Content:
        content = self.contents[id]
        content.labels = labels
        return self._changed(content, versioned=False)

    def restrict(self, id: int, people: tuple[str, ...] = (), groups: tuple[str, ...] = ()) -> Content:
        """Let only these read it; none of either lifts the restriction."""
        content = self.contents[id]
        content.readers = Readers(list(people), list(groups)) if people or groups else None
        return self._changed(content, versioned=False)

    def archive(self, id: int) -> Content:
        content = self.contents[id]
        content.status = "archived"
        return self._changed(content, versioned=False)

    def trash(self, id: int, *, whole_tree: bool = False) -> None:
        """Pages below a trashed page move up to its parent, unless the whole tree goes."""
        content = self.contents[id]
        for one in [c for c in self.contents.values() if c.parent == id and c.type in (PAGE, FOLDER)]:
            if whole_tree:
                self.trash(one.id, whole_tree=True)
            else:
                one.parent = content.parent
        content.status = "trashed"
        self._changed(content, versioned=False)

    def restore(self, id: int) -> Content:
        content = self.contents[id]
        content.status = "current"
        return self._changed(content, versioned=False)

    def purge(self, id: int) -> None:
        """Gone for good, with the comments and attachments it contains."""
        for one in [c for c in self.contents.values() if c.container == id]:
            self.purge(one.id)
        self.contents.pop(id, None)
        self._indexed.pop(id, None)
        self.generation += 1

    def reindex(self) -> None:
        """The search index catches up."""
        self._indexed = {one.id: one.when for one in self.contents.values()}
        self.generation += 1

    def below(self, id: int) -> Iterator[Content]:
        """Everything that a page contains, to any depth."""
        for one in self.contents.values():
            if one.parent == id or one.container == id:
                yield one
                yield from self.below(one.id)

    def ancestors(self, content: Content) -> list[Content]:
        """From the top of the space down to the parent, whatever their status."""
        found: list[Content] = []
        parent = self.contents.get(content.parent) if content.parent is not None else None
        while parent is not None:
            found.insert(0, parent)
            parent = self.contents.get(parent.parent) if parent.parent is not None else None
        return found

    def visible(self, id: int) -> Content | None:
        """The content, unless it is not there for the connector's account."""
        content = self.contents.get(id)
        if content is None or id in self.hidden or content.space in self.hidden_spaces:
            return None
        return content

    def alive(self, content: Content) -> bool:
        """Whether neither it nor its container is in the trash."""
        container = self.contents.get(content.container) if content.container is not None else content
        return container is not None and "trashed" not in (content.status, container.status)

    def listing(self, type: str, statuses: frozenset[str], space: str | None = None) -> list[Content]:
        """Visible content in the order of ids."""
        return self.kept(
            (type, statuses, space),
            lambda: [
                one
                for one in self.contents.values()
                if one.type == type
                and one.status in statuses
                and (space is None or one.space == space)
                and self.visible(one.id) is not None
                and (self.alive(one) or "trashed" in statuses)
            ],
        )

    def kept(self, question: tuple[object, ...], compute: Callable[[], list[Content]]) -> list[Content]:
        """What `compute` says, computed once for as long as nothing changes."""
        generation, found = self._answers.get(question, (-1, []))
        if generation != self.generation:
            found = compute()
            self._answers[question] = self.generation, found
        return found

    def indexed_at(self, content: Content) -> datetime | None:
        """The time of its last change as the search index knows it; None: not in the index."""
        return self._indexed.get(content.id)

    def refresh(self) -> None:
        """Say that something was changed by hand."""
        self.generation += 1

    def tick(self, by: timedelta = timedelta(hours=1)) -> datetime:
        self.now += by
        return self.now

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id

    def _add(self, type: str, title: str, space: str, **values: object) -> Content:
        content = Content(self._new_id(), type, title, space, self.now, "author", **values)  # type: ignore[arg-type]
        self.contents[content.id] = content
        return self._changed(content)

    def _changed(self, content: Content, *, versioned: bool = True) -> Content:
        self.generation += 1
        if versioned and not self.lagging:
            self._indexed[content.id] = content.when
        return content
