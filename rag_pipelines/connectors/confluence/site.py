"""Reading one Confluence site: what both deployments do alike, and the list of what they do not.

What belongs here: entries of paged answers, the content search (REST v1, the same on both), people.
What does not: endpoints of one deployment (`cloud`, `data_center`), and what to list (`census`).

Methods raise what `AtlassianClient` raises. An entry that cannot be understood comes as a `Failure` of
that document, so that it costs nothing but itself.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import quote

from rag_pipelines.batching import blocks
from rag_pipelines.connectors.atlassian_client import AtlassianClient
from rag_pipelines.connectors.base import Failure
from rag_pipelines.connectors.confluence.content import (
    ATTACHMENT,
    KINDS,
    Content,
    Json,
    Principals,
    Ref,
    Space,
    from_v1,
    identity,
    readers_of,
)
from rag_pipelines.connectors.confluence.options import ConfluenceOptions
from rag_pipelines.errors import (
    CorruptDocumentError,
    CredentialError,
    ForbiddenEntityError,
    GoneError,
    MissingEntityError,
    RagError,
    TransientError,
    UsageError,
)
from rag_pipelines.model import EVERYONE

IDS_AT_ONCE = 200
"""Named in one request, which keeps its URL below 4 kB."""
NAMES_AT_ONCE = 90
"""As `IDS_AT_ONCE`, for accounts and spaces, whose ids are longer."""
BODIES_AT_ONCE = 50
_RESTARTS = 3
_WEST = timedelta(hours=12)
"""The zone that is furthest behind UTC."""

RESTRICTIONS = "restrictions.read.restrictions.user,restrictions.read.restrictions.group"
DESCRIBED = f"version,space,ancestors,metadata.labels,{RESTRICTIONS}"
"""What tells all about a page but its body."""

ONE_CONTENT = (ForbiddenEntityError, MissingEntityError, GoneError, UsageError, CorruptDocumentError)
"""Refusals that say something of one content only, when one is asked for."""


class ListingPart(NamedTuple):
    """Something that is listed as a whole or not: its name, the spaces it is of, and its contents."""

    name: str
    spaces: tuple[str, ...]
    contents: Callable[[], Iterator[Content | Failure]]


class ConfluenceSite(ABC):
    """One site, asked by one account."""

    def __init__(self, client: AtlassianClient, options: ConfluenceOptions) -> None:
        self.client = client
        self.options = options
        self.principals = Principals(options.directory_name)
        self.search_fault: RagError | None = None
        """Why the content search cannot be used, if it cannot: everything is then asked one by one."""
        self._names: dict[str, str | None] = {}

    # What the deployments do differently.

    @abstractmethod
    def account(self) -> str:
        """The name of the account that asks."""

    @abstractmethod
    def spaces(self) -> Iterator[Space]:
        """The spaces that the options choose and the account sees."""

    @abstractmethod
    def is_archived(self, space: str) -> bool:
        """Whether a space, named by its key, is archived as a whole."""

    @abstractmethod
    def contents(self, space: Space, described: bool) -> Iterator[Content | Failure]:
        """Pages and posts of a space. `described` asks for labels and readers too, where that is free."""

    @abstractmethod
    def list_attached(self, spaces: Sequence[Space]) -> Iterator[ListingPart]:
        """Where the comments and attachments of spaces are listed, perhaps among those of others."""

    @abstractmethod
    def single(self, ref: Ref) -> Content:
        """One content, whatever its status, with labels but perhaps without readers."""

    @abstractmethod
    def standing(self, refs: Sequence[Ref]) -> Iterator[tuple[Ref, Content | RagError]]:
        """The state of contents now, for deciding whether they still exist; trashed ones among them."""

    @abstractmethod
    def bodies(self, refs: Sequence[Ref]) -> Iterator[tuple[Ref, str]]:
        """Storage-format bodies in bulk; what is not found is left out."""

    @abstractmethod
    def body(self, ref: Ref) -> str:
        """The storage-format body of one content."""

    @abstractmethod
    def download_path(self, ref: Ref, content: Content | None) -> str:
        """Where the bytes of an attachment are."""

    @abstractmethod
    def space_readers(self, space: Space) -> tuple[str, ...]:
        """The principals that may view a space."""

    @abstractmethod
    def members_path(self, group: Json) -> str:
        """Where the members of a group are listed."""

    @abstractmethod
    def people(self, ids: Sequence[str]) -> Iterator[Json]:
        """Accounts by the ids that content names them by; unknown ones are left out."""

    # What they do alike.

    def key_blocks(self) -> list[list[str] | None]:
        """The keys of the chosen spaces, as many as one request may name; None stands for all."""
        return [*blocks(self.options.spaces, NAMES_AT_ONCE)] or [None]

    def entries(self, path: str, params: dict[str, Any] | None = None) -> Iterator[tuple[Json, str]]:
        """Every entry of a paged answer, with the site's address for its links.

        A cursor that expires on the way (410) begins the range anew, so entries may come twice.
        """
        for attempt in range(_RESTARTS):
            begun = False
            try:
                for page in self.client.follow_links(path, params):
                    begun = True
                    results = page.get("results")
                    if results is None:
                        raise TransientError(
                            f"{path} answered without 'results'; the listing is not complete"
                        )
                    base = self.base_of(page)
                    for entry in results:
                        yield entry, base
                return
            except GoneError:
                if not begun or attempt == _RESTARTS - 1:
                    raise

    def base_of(self, answer: Json) -> str:
        """The address as people see it, which links of an answer are relative to."""
        return (answer.get("_links") or {}).get("base") or self.client.url

    def search(self, cql: str, expand: str, statuses: Sequence[str] = ()) -> Iterator[Content | Failure]:
        """What the search index finds, as the database has it. The index lags behind; drafts and
        archived pages are found only if `statuses` names them."""
        query = {"cql": cql, "cqlcontext": _context(statuses), "expand": expand}
        for raw, base in self.entries("/rest/api/content/search", query):
            yield self.read(raw, base)

    def list_changed(self, space: str, since: datetime | None) -> Iterator[Content | Failure]:
        """What was last modified at `since` or later, and some of what was before.

        A date in CQL is read in the time zone of the account or the server, which cannot be known for
        sure, and in whole minutes: written as it is twelve hours behind UTC, it is never too late.
        """
        kinds = ", ".join(filter(self.options.chooses_kind, KINDS))
        cql = f'space = "{space}" and type in ({kinds})'
        if since is not None:
            cql += f' and lastmodified >= "{(since.astimezone(UTC) - _WEST):%Y-%m-%d %H:%M}"'
        yield from self.search(cql, f"{DESCRIBED},container", self.search_statuses())

    def search_statuses(self) -> tuple[str, ...]:
        """For `search`: none is the default, and understood by every version."""
        return () if self.options.statuses == ("current",) else self.options.statuses

    def search_by_id(self, refs: Iterable[Ref], expand: str) -> Iterator[Content | Failure]:
        """Contents by their ids, as far as the search index knows them; none if it cannot be searched.

        Attachments are left out: whether CQL takes their ids (``att123``) is not documented.
        """
        if self.search_fault is not None:
            return
        for block in blocks((ref for ref in refs if ref.type != ATTACHMENT), IDS_AT_ONCE):
            ids = ", ".join(ref.id for ref in block)
            try:
                yield from self.search(f"id in ({ids})", expand, self.search_statuses())
            except (GoneError, UsageError, ForbiddenEntityError, MissingEntityError) as error:
                self.search_fault = error
                return

    def describe(self, refs: Sequence[Ref]) -> Iterator[tuple[Ref, Content | RagError]]:
        """Contents with ancestors, labels and readers, or why one cannot be had.

        In bulk through the search; what the index does not know yet is asked one by one.
        """
        missing = {ref.id: ref for ref in refs}
        for content in self.search_by_id(refs, DESCRIBED):
            if isinstance(content, Content) and content.readers is not None and content.ref.id in missing:
                yield missing.pop(content.ref.id), content
        yield from self.singly(missing.values())

    def singly(self, refs: Iterable[Ref]) -> Iterator[tuple[Ref, Content | RagError]]:
        """Each content asked for by itself, or why it cannot be had."""
        for ref in refs:
            try:
                yield ref, self.single(ref)
            except ONE_CONTENT as error:
                yield ref, error

    def readers(self, ref: Ref) -> tuple[str, ...]:
        """The principals that the read restriction of one content names, however many."""
        found: set[str] = set()
        start = 0
        while True:
            params = {
                "expand": "restrictions.user,restrictions.group",
                "start": start,
                "limit": IDS_AT_ONCE,
            }
            answer = self.client.get_json(f"/rest/api/content/{ref.id}/restriction/byOperation/read", params)
            page = readers_of(answer, self.principals)
            if page is None:
                raise CorruptDocumentError(f"the restriction of {ref.external_id} is not understood")
            named, full = page
            if not full or named <= found:
                return tuple(sorted(found | named))
            found |= named
            start += full

    def search_bodies(self, refs: Sequence[Ref]) -> Iterator[tuple[Ref, str]]:
        """Storage-format bodies of contents that the search index knows."""
        for block in blocks(refs, BODIES_AT_ONCE):
            query = {
                "cql": f"id in ({', '.join(ref.id for ref in block)})",
                "cqlcontext": _context(self.search_statuses()),
                "expand": "body.storage",
                "limit": BODIES_AT_ONCE,
            }
            for raw, _ in self.entries("/rest/api/content/search", query):
                with suppress(KeyError, TypeError):
                    yield Ref(raw["type"], identity(raw["type"], raw["id"])), raw["body"]["storage"]["value"]

    def list_viewers_in_v1(self, space: Space) -> tuple[str, ...]:
        """The principals that may view a space, as an expansion of the space tells."""
        raw = self.client.get_json(f"/rest/api/space/{quote(space.key)}", {"expand": "permissions"})
        found = set()
        for one in raw["permissions"]:
            if (one["operation"]["operation"], one["operation"]["targetType"]) != ("read", "space"):
                continue
            if one.get("anonymousAccess"):
                found.add(EVERYONE)
            subjects = one.get("subjects") or {}
            for kind, principal in (("user", self.principals.user), ("group", self.principals.group)):
                found.update(map(principal, (subjects.get(kind) or {}).get("results") or ()))
        return tuple(sorted(found))

    def groups(self) -> Iterator[Json]:
        """Every group of the site."""
        for raw, _ in self.entries("/rest/api/group"):
            yield raw

    def members(self, group: Json) -> Iterator[Json]:
        """The accounts in a group."""
        for raw, _ in self.entries(self.members_path(group)):
            yield raw

    def names(self, ids: Iterable[str | None]) -> dict[str, str]:
        """Display names of accounts, each asked for once; one that cannot be had is left out."""
        asked = {one for one in ids if one}
        wanted = sorted(asked - self._names.keys())
        try:
            for raw in self.people(wanted):
                for key in ("accountId", "userKey"):
                    if raw.get(key):
                        self._names[raw[key]] = raw.get("displayName") or raw.get("publicName")
            self._names.update({one: None for one in wanted if one not in self._names})
        except CredentialError:
            raise
        except RagError:
            pass
        return {one: name for one in asked if (name := self._names.get(one))}

    def read(self, raw: Json, base: str) -> Content | Failure:
        """An entry of REST v1, or the failure of the document that it names."""
        try:
            return from_v1(raw, self.principals, base)
        except CorruptDocumentError as error:
            return unreadable(raw.get("type") if isinstance(raw, dict) else None, raw, error)


def _context(statuses: Sequence[str]) -> str | None:
    return json.dumps({"contentStatuses": list(statuses)}) if statuses else None


def unreadable(kind: str | None, raw: Any, error: RagError) -> Failure:
    """The failure of an entry that was not understood; one without an id may stand for any document."""
    number = raw.get("id") if isinstance(raw, dict) else None
    if kind in KINDS and number:
        return Failure(error=error, external_id=Ref(kind, identity(kind, number)).external_id)
    return Failure(error=error, entity="an entry without an id")
