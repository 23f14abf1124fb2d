"""The SharePoint connector: listing, following changes, looking up, loading.

What belongs here: the contract. What does not: requests (`graph`), where things are (`places`), what is in
them (`drives`, `lists`), access (`principals`, `scopes`, `directory`), bytes (`contents`).

External ids are ``drive/{drive}/item/{item}`` and ``list/{list}/item/{number}``: they outlive renames and
moves within a library. `changes` reads the delta feed of each library and list from where it was read last.
Such a feed does not name what lies below a folder that was renamed, moved or shared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from rag_pipelines.batching import blocks
from rag_pipelines.connectors.base import (
    Capabilities,
    Complete,
    Connector,
    Cursor,
    Entry,
    Failure,
    FeedGap,
    Finding,
    Group,
    Item,
    Window,
    read_cursor,
)
from rag_pipelines.connectors.sharepoint.contents import Contents
from rag_pipelines.connectors.sharepoint.directory import Directory
from rag_pipelines.connectors.sharepoint.drives import FOLDER, Library, feed_headers, item_params, read_node
from rag_pipelines.connectors.sharepoint.graph import BATCH, GraphClient, Json
from rag_pipelines.connectors.sharepoint.lists import Listing
from rag_pipelines.connectors.sharepoint.options import CURSOR, SharePointCursor, SharePointOptions
from rag_pipelines.connectors.sharepoint.places import DRIVE, Place, Places
from rag_pipelines.connectors.sharepoint.principals import Principals
from rag_pipelines.connectors.tally import Tally
from rag_pipelines.errors import (
    CredentialError,
    GoneError,
    MissingEntityError,
    RagError,
    TransientError,
    UsageError,
)


class _Begun(NamedTuple):
    """A feed that is to be followed: where from, its first page or why there is none, and known scopes."""

    link: str | None = None
    first: Json | RagError | None = None
    scopes: tuple[str, ...] | None = ()


class SharePointConnector(Connector):
    """Lists what one app may read of a tenant."""

    kind = "sharepoint"
    capabilities = Capabilities(
        changes=True,
        removals=True,
        feed_omits=frozenset({FeedGap.MOVES, FeedGap.ACCESS}),
        ids=True,
        permissions=True,
        groups=True,
        lookup=True,
    )
    options_type = SharePointOptions
    options: SharePointOptions

    def __init__(self, source: str, options: SharePointOptions) -> None:
        super().__init__(source, options)
        self._principals = Principals(options)
        if options.access == "none":
            self.capabilities = msgspec.structs.replace(self.capabilities, permissions=False, groups=False)
        self._opened: tuple[GraphClient, Contents] | None = None
        self._places: dict[str, Place] | None = None

    @property
    def graph(self) -> GraphClient:
        """What the tenant is read with; it counts its requests."""
        return self._open()[0]

    def items(self, window: Window = Window()) -> Iterator[Entry]:
        tally = Tally()
        links: dict[str, str] = {}
        scopes: dict[str, tuple[str, ...] | None] = {}
        for place in self._find(tally):
            if isinstance(place, Failure):
                yield place
                continue
            for entry in self._read(place, links, scopes):
                if isinstance(entry, Failure) or (
                    isinstance(entry, Item) and window.holds(entry.modified_at)
                ):
                    tally.add(entry)
                    yield entry
        cursor = None if window else self._cursor(links, scopes)
        yield Complete(tally.count, cursor, full=tally.whole and not window)

    def changes(self, cursor: Cursor) -> Iterator[Entry]:
        before = read_cursor(cursor, CURSOR)
        if before.options != self.options.selection():
            raise UsageError("the options of the source have changed since the last listing; list it fully")
        tally = Tally()
        links, scopes = dict(before.links), dict(before.scopes)
        found: set[str] = set()
        for block in blocks(self._find(tally), BATCH):
            yield from (one for one in block if isinstance(one, Failure))
            places = [one for one in block if isinstance(one, Place)]
            found.update(place.key for place in places)
            for place, begun in zip(places, self._begin(places, before), strict=True):
                for entry in self._read(place, links, scopes, begun):
                    if isinstance(entry, Item | Failure):
                        tally.add(entry)
                    yield entry
        if tally.whole and (missing := sorted(before.links.keys() - found)):
            raise UsageError(f"{missing[0]} is not there any more, or not chosen: list everything")
        yield Complete(tally.count, self._cursor(links, scopes), full=False)

    def existing(self, ids: Sequence[str]) -> set[str]:
        places, all_found = self._known_places()
        alive: set[str] = set()
        asked: list[tuple[str, Place, str]] = []
        for id in ids:
            key, _, identity = id.partition("/item/")
            if key in places:
                asked.append((id, places[key], identity))
            elif not all_found and identity:
                alive.add(id)
        paths = [_question(self.options, place, identity) for _, place, identity in asked]
        for (id, place, _), answer in zip(asked, self.graph.batch(paths), strict=True):
            if isinstance(answer, TransientError):
                raise answer
            if isinstance(answer, RagError):
                if not isinstance(answer, MissingEntityError | GoneError):
                    alive.add(id)
            elif place.kind != DRIVE or self._is_document(answer):
                alive.add(id)
        return alive

    def prefetch(self, items: Sequence[Item]) -> None:
        keys = (item.external_id.partition("/item/") for item in items)
        files = [
            (f"/drives/{key.removeprefix('drive/')}", id) for key, _, id in keys if key.startswith("drive/")
        ]
        self._contents.read_ahead(files)

    def load(self, reference: Mapping[str, Any]) -> bytes:
        """The file, page or entry that a listing found."""
        return self._contents.load(reference)

    def groups(self) -> Iterator[Group | Failure | Complete]:
        return Directory(self.graph, self._principals).groups()

    def check(self) -> list[Finding]:
        """Log in, find sites, and try each permission of the app on the first library."""
        try:
            found = list(Places(self.graph).find())
        except CredentialError as error:
            return [Finding("login", False, str(error))]
        places = [one for one in found if isinstance(one, Place)]
        failed = [one for one in found if isinstance(one, Failure)]
        login = Finding("login", True, f"{self.options.client_id} is logged in to {self.options.tenant_id}")
        findings = [login]
        for failure in failed:
            advice = "grant Sites.Read.All, or Sites.Selected and name the sites"
            findings.append(Finding(str(failure.entity), False, f"{failure.error}; {advice}"))
        if not failed:
            named = ", ".join(place.url for place in places[:5])
            detail = f"{len(places)} libraries and lists: {named}" if places else "nothing to list was found"
            findings.append(Finding("places", True, detail))
        try:
            for place in places[:1]:
                findings += self._check_place(place)
        except CredentialError as error:
            findings.append(Finding("login", False, str(error)))
        return findings

    def close(self) -> None:
        if self._opened is not None:
            self._opened[0].close()
            self._opened = None

    @property
    def _contents(self) -> Contents:
        return self._open()[1]

    def _open(self) -> tuple[GraphClient, Contents]:
        if self._opened is None:
            graph = GraphClient(self.options)
            self._opened = graph, Contents(graph)
        return self._opened

    def _find(self, tally: Tally) -> Iterator[Place | Failure]:
        for place in Places(self.graph).find():
            if isinstance(place, Failure):
                tally.add(place)
            yield place

    def _begin(self, places: Sequence[Place], before: SharePointCursor) -> Iterator[_Begun]:
        """The first page of the feed of each place that was read before, asked for together."""
        known = [before.links[place.key] for place in places if place.key in before.links]
        answers = iter(list(self.graph.batch(known, feed_headers(self.options))))
        for place in places:
            if place.key in before.links:
                yield _Begun(before.links[place.key], next(answers), before.scopes.get(place.key))
            else:
                yield _Begun()

    def _read(
        self,
        place: Place,
        links: dict[str, str],
        scopes: dict[str, tuple[str, ...] | None],
        begun: _Begun = _Begun(),
    ) -> Iterator[Entry]:
        """One library or list, everything or what was begun; notes up to where it was read.

        What cannot be read is a failure, and is read from where it was read last the next time.
        """
        link = begun.link
        reading: Library | Listing
        if place.kind == DRIVE:
            reading = Library(self.graph, place, begun.scopes)
        else:
            reading = Listing(self.graph, place)
        try:
            reading.read(link, begun.first)
        except CredentialError:
            raise
        except (GoneError, UsageError) as error:
            if link is not None:
                raise
            yield Failure(error=error, entity=place.url)
            return
        except RagError as error:
            yield Failure(error=error, entity=place.url)
            return
        yield from reading.entries(self._contents, self._principals)
        links[place.key] = reading.link
        if isinstance(reading, Library):
            scopes[place.key] = None if reading.scopes is None else tuple(sorted(reading.scopes))

    def _cursor(self, links: dict[str, str], scopes: dict[str, tuple[str, ...] | None]) -> Cursor:
        return CURSOR.encode(SharePointCursor(self.options.selection(), links, scopes))

    def _known_places(self) -> tuple[dict[str, Place], bool]:
        """The chosen places by key, and whether these are all. Raises where nothing can be said."""
        if self._places is not None:
            return self._places, True
        found = list(Places(self.graph).find())
        failed = [one for one in found if isinstance(one, Failure)]
        places = {one.key: one for one in found if isinstance(one, Place)}
        for failure in failed:
            if failure.whole or isinstance(failure.error, TransientError):
                raise TransientError(f"which documents exist cannot be asked: {failure.error}")
        if not failed:
            self._places = places
        return places, not failed

    def _is_document(self, raw: dict[str, object]) -> bool:
        node = read_node(raw)
        return node is not None and node.kind != FOLDER and self.options.label_policy(node.label) != "drop"

    def _check_place(self, place: Place) -> Iterator[Finding]:
        needed = "Files.Read.All" if place.kind == DRIVE else "Sites.Read.All"
        path = f"{place.path}/root/delta" if place.kind == DRIVE else f"{place.path}/items/delta"
        try:
            self.graph.get(path, {"$top": 1})
            yield Finding("files", True, f"{place.url} can be read")
        except CredentialError:
            raise
        except RagError as error:
            yield Finding("files", False, f"{error}; grant {needed}")
            return
        if self.options.access == "scopes":
            yield from Directory(self.graph, self._principals).check(place)


def _question(options: SharePointOptions, place: Place, identity: str) -> str:
    """The address at which one document is asked for."""
    if place.kind != DRIVE:
        return f"{place.path}/items/{quote(identity)}?$select=id"
    params = "&".join(f"{name}={value}" for name, value in item_params(options).items())
    return f"{place.path}/items/{quote(identity)}?{params}"
