"""The contract of a connector: what it can do, what it yields, and how it says that it is done.

What belongs here: the types every connector shares. What does not: diffing, deleting, retrying,
storing (the sync engine does those), or any system's own code.

A connector lists *items*: cheap to make, each with an equality token and a deferred `load`. The
engine compares tokens with what it stored and loads only what changed. Failures are items too, not
exceptions: only `CredentialError` and bugs may end a listing by raising. A listing that has seen
everything ends with `Complete`; without it nothing is ever deleted.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo

from rag_pipelines.errors import (
    ConfigError,
    CredentialError,
    RagError,
    StoredFormError,
    TransientError,
    UnlistableError,
    UsageError,
)
from rag_pipelines.model import AccessRule
from rag_pipelines.stored import Form

Cursor = Mapping[str, Any]
"""A connector's own position, JSON-like; opaque to everyone else. Use `read_cursor` to get it back typed."""


class FeedGap(StrEnum):
    """What a change feed may keep to itself. A full listing has to find it."""

    MOVES = "moves"
    """It does not name what lies below a folder that was moved or renamed."""
    ACCESS = "access"
    """It does not name documents whose access was changed above them."""


class Capabilities(msgspec.Struct, frozen=True):
    """What a connector can do. `items` (full listing) is common to all."""

    changes: bool = False
    """Can list what changed since a cursor."""
    removals: bool = False
    """`changes` names removed documents; without it only a full listing shows them."""
    feed_omits: frozenset[FeedGap] = frozenset()
    """What `changes` does not name."""
    ids: bool = False
    """Can list ids alone, cheaper than items."""
    permissions: bool = False
    """Items carry access rules from the system itself."""
    moves: bool = False
    """Knows renames itself (`Item.moved_from`)."""
    groups: bool = False
    """Lists groups and their members, apart from documents."""
    lookup: bool = False
    """Can say which of some ids still exist, apart from any listing."""

    @property
    def feed_tells_all(self) -> bool:
        """Whether someone who follows the change feed never needs another full listing."""
        return self.changes and self.removals and not self.feed_omits


class Window(msgspec.Struct, frozen=True):
    """A half-open range of modification times, [since, until); None leaves the side open."""

    since: datetime | None = None
    until: datetime | None = None

    def __bool__(self) -> bool:
        return self.since is not None or self.until is not None

    def holds(self, moment: datetime | None) -> bool:
        """Whether `moment` is inside; an undated item is inside, because leaving it out would lose it."""
        if moment is None:
            return True
        return (self.since is None or moment >= self.since) and (self.until is None or moment < self.until)


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One document as the listing saw it.

    `token` is equal as long as the content is (etag, size and mtime, blob id). `load` returns the
    content; it raises `DocumentError`, `ForbiddenEntityError` or `TransientError`. `title` is set only
    where the system itself has titles, never made from a file name. `access` None means that the
    system says nothing, so the source's default holds; `CLOSED` means unknown or unreadable.
    `path` is the place a person would look (folders, slashes). `metadata` holds JSON values.
    `reference` holds JSON values with which `Connector.load` gives the same content in another process; None
    where it has to be loaded here.
    """

    external_id: str
    token: str
    load: Callable[[], bytes]
    name: str = ""
    path: str = ""
    url: str | None = None
    title: str | None = None
    media_type: str | None = None
    size: int | None = None
    modified_at: datetime | None = None
    author: str | None = None
    tenant: str | None = None
    access: AccessRule | None = None
    metadata: Mapping[str, Any] = {}
    moved_from: str | None = None
    reference: Mapping[str, Any] | None = None


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Something that could not be listed: one document (`external_id`) or an entity (a folder, a range).

    A failed document stays alive; a failed entity may hide documents, so a connector that yields one
    must not end with a `Complete` that claims everything was seen. `hides_documents` False marks an
    entity that holds none (an access sidecar, a second row with the same id): it is only reported.
    `whole` marks the source itself, when nothing of it can be listed: the run fails, and deletes nothing.
    """

    error: RagError
    external_id: str | None = None
    entity: str | None = None
    token: str | None = None
    hides_documents: bool = True
    whole: bool = False


def source_failure(source: str, failure: Failure) -> RagError:
    """What ends a run over `source`, of which nothing can be listed (`Failure.whole`)."""
    error = failure.error
    if isinstance(error, ConfigError | CredentialError | TransientError):
        return error
    return UnlistableError(f"source {source!r} cannot be listed: {error}")


class Removed(msgspec.Struct, frozen=True):
    """A change feed says that this document is gone. Of this and an `Item` with one id the later counts.

    `children`: and with it what lies below it, which the feed does not name: documents whose ids begin with
    `external_id` and a slash (`connectors.children`).
    """

    external_id: str
    children: bool = False


class Complete(msgspec.Struct, frozen=True):
    """The last thing of a listing that saw everything: how many documents, and where to continue from.

    `count` is the number of distinct documents yielded (items and failed documents). `full` is
    False at the end of a change feed, of a listing narrowed by a window, and of one in which a failed
    entity may hide documents: these say nothing about documents they did not name. `cursor` None
    means that there is no position to continue from: the stored one stays.
    """

    count: int
    cursor: Cursor | None = None
    full: bool = True


Entry = Item | Failure | Removed | Complete


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A principal that other principals stand behind: a group, a role, who may view a space, an account.

    `principal` is what access rules name, unique beyond the source (``group:acme.atlassian.net/8f1c``);
    `members` are principals too: users, `EVERYONE`, or groups, whose members count. An account whose
    e-mail address is known is a group with the member ``user:ann@example.com``. A group that no member
    stands behind is listed with none. `name` is for people.
    """

    principal: str
    name: str = ""
    members: tuple[str, ...] = ()


class Finding(msgspec.Struct, frozen=True):
    """One line of `source check`: what was tried, whether it worked, and what to do if not."""

    name: str
    ok: bool
    detail: str = ""


class Options(BaseModel):
    """Base of a connector's settings; a field that is a secret has type `pydantic.SecretStr`.

    `must_exist` names the fields that may hold a path on this machine, of what has to be there already.
    """

    must_exist: ClassVar[tuple[str, ...]] = ()

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


def from_config_folder(path: str, info: ValidationInfo) -> str:
    """A local `path`, relative to the folder that the validation's context names as ``base``, if any."""
    base = (info.context or {}).get("base")
    return path if base is None else os.path.abspath(os.path.join(base, os.path.expanduser(path)))


def _path_or_url(place: str, info: ValidationInfo) -> str:
    return place if "://" in place else from_config_folder(place, info)


PathOrUrl = Annotated[str, AfterValidator(_path_or_url)]
"""An option that is an fsspec URL or a local path, relative to the configuration file."""


class Connector(ABC):
    """One configured source of one system. Made per run, closed after it.

    The engine calls it from one thread, unless `concurrent_loads` is above 1: then so many calls of
    `Item.load` run at once, each in a thread, and a listing is read ahead in a thread of its own while
    `prefetch` and loads go on.
    """

    kind: ClassVar[str]
    capabilities: Capabilities = Capabilities()
    """What the system offers; an instance whose options offer less sets its own."""
    options_type: ClassVar[type[Options]]

    def __init__(self, source: str, options: Any) -> None:
        self.source = source
        self.options = options

    @property
    def concurrent_loads(self) -> int:
        """How many items may be loaded at once, each in a thread: the option of this name, or 1."""
        return getattr(self.options, "concurrent_loads", 1)

    @abstractmethod
    def check(self) -> list[Finding]:
        """Try settings and credentials without listing everything; never raises for a user's mistake."""

    @abstractmethod
    def items(self, window: Window = Window()) -> Iterator[Entry]:
        """List everything (or, as a hint, what was modified in `window`), ending with `Complete`.

        A listing narrowed by `window` ends with ``Complete(full=False)``.
        """

    def changes(self, cursor: Cursor) -> Iterator[Entry]:
        """List what changed since `cursor`.

        Raises `GoneError` or `UsageError` when the cursor cannot be continued, at once or in the middle: then
        everything is listed in the same run.
        """
        raise NotImplementedError(f"{self.kind} does not declare the capability 'changes'")

    def named(self, names: Sequence[str]) -> Iterator[Entry] | None:
        """List only the documents that events named, ending with ``Complete(full=False)``.

        `names` are what messages said (`triggers.messages`), of documents or of anything else. None, at once,
        where a name may mean more than a document of this source, or cannot be understood: then the source is
        listed as ever. What this source would not list is not yielded; what is gone is `Removed`, which
        deletes nothing here: the next listing finds it.
        """
        return None

    def ids(self) -> Iterator[str | Failure | Complete]:
        """List ids alone; by default taken from `items`."""
        for entry in self.items():
            if isinstance(entry, Item):
                yield entry.external_id
            elif not isinstance(entry, Removed):
                yield entry

    def prefetch(self, items: Sequence[Item]) -> None:  # noqa: B027 (most connectors read one at a time)
        """Called before the items of a batch are loaded, so that one request may read many.

        What was read is kept for the items' `load` and given up with it (`ahead.Kept`): the next batch is
        announced while the items of this one are still loaded. Raises nothing but `CredentialError`: what
        could not be read here is read, or fails, item by item.
        """

    def load(self, reference: Mapping[str, Any]) -> bytes:
        """The content behind an `Item.reference`, which a listing in another process gave.

        Called as `Item.load` is, by so many threads at once as `concurrent_loads` says, and raises what that
        raises. `prefetch` gets items whose `load` is this.
        """
        raise NotImplementedError(f"{self.kind} gives no references")

    def existing(self, ids: Sequence[str]) -> set[str]:
        """Which of `ids` (at most a few hundred) a listing of this source should name.

        That is: what the system still holds and the options still choose (not another space or filter).

        Asked before documents that a listing did not name are deleted, because a listing by offsets
        skips what moves while it is read. An id that cannot be judged (a forbidden entity) counts as
        existing. Raises `TransientError` or `CredentialError` when nothing can be said.
        """
        raise NotImplementedError(f"{self.kind} does not declare the capability 'lookup'")

    def groups(self) -> Iterator[Group | Failure | Complete]:
        """List every group with its members; ends with `Complete`, whose count is that of the groups.

        A group whose members cannot be read is a `Failure` with the principal as `entity`: it keeps the
        members it had. ``Complete(full=False)`` says that groups may be missing: none is removed then.
        """
        raise NotImplementedError(f"{self.kind} does not declare the capability 'groups'")

    def close(self) -> None:  # noqa: B027 (most connectors hold nothing)
        """Release connections and temporary files."""


C = TypeVar("C")


def read_cursor(cursor: Cursor, form: Form[C]) -> C:
    """`cursor` as the connector's own value, which ``form.encode`` wrote.

    Raises `UsageError` when it cannot be read: then everything is listed.
    """
    try:
        return form.decode(cursor)
    except StoredFormError as error:
        raise UsageError(str(error)) from error
