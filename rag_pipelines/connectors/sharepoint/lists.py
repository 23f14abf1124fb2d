"""What is in one list: entries, or the site pages that are entries of a list too.

What belongs here: reading a feed, and which of the entries has permissions of its own. What does not: content
(`contents`), and whom permissions let read (`principals`, `directory`).

learn.microsoft.com/graph/api/listitem-delta. Graph does not tell permissions of entries; SharePoint's own
interface does (``HasUniqueRoleAssignments``), and the folders of a list inherit like those of a library.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

import msgspec

from rag_pipelines.connectors.base import Entry, Failure, Item, Removed
from rag_pipelines.connectors.sharepoint.contents import HTML, Contents, reference_to
from rag_pipelines.connectors.sharepoint.drives import ROOT
from rag_pipelines.connectors.sharepoint.graph import GraphClient, Json, values_of
from rag_pipelines.connectors.sharepoint.places import PAGES, Place
from rag_pipelines.connectors.sharepoint.principals import Principals
from rag_pipelines.connectors.times import read_time
from rag_pipelines.errors import (
    CorruptDocumentError,
    CredentialError,
    GoneError,
    RagError,
    TransientError,
    UnsupportedDocumentError,
)
from rag_pipelines.model import CLOSED, AccessRule

_FOLDER_TYPE, _PAGE_TYPE = "0x0120", "0x0101009d1cb255"
"""How the ids of the content types Folder and Site Page begin, in every language."""
_EXPAND = "fields($select=Title,FileLeafRef,_UIVersionString)"
_UNIQUE = "Id,FileSystemObjectType,FileRef,FileDirRef,HasUniqueRoleAssignments"
_ETAG = re.compile(r'"?\{?(?P<guid>[0-9a-fA-F-]{36})\}?,(?P<version>\d+)"?')
_RESTARTS = 3


class Scopes(msgspec.Struct, frozen=True):
    """The entries of a list that have permissions of their own, and what the others inherit from."""

    own: frozenset[str]
    inherited: dict[str, str]
    """Of those in a folder: the id of the nearest folder with permissions of its own."""

    def of(self, id: str) -> str:
        """The nearest thing with permissions of its own: an entry, a folder, or the list."""
        return id if id in self.own else self.inherited.get(id, ROOT)


class Listing:
    """One reading of one list."""

    def __init__(self, graph: GraphClient, place: Place) -> None:
        self.place = place
        self.link = ""
        self._graph = graph
        self._options = graph.options
        self._raw: dict[str, Json] = {}
        self._nameless = 0
        self._scopes: Scopes | None = None
        self._untold: RagError | None = None

    def read(self, link: str | None = None, first: Json | RagError | None = None) -> None:
        """As `Library.read`; what inherits from what is read anew each time."""
        for attempt in range(_RESTARTS + 1):
            try:
                self._read(link, first)
                break
            except GoneError:
                if link is not None or attempt == _RESTARTS:
                    raise
                self._raw.clear()
                self._nameless = 0
        if self._options.access == "scopes" and any("deleted" not in raw for raw in self._raw.values()):
            try:
                self._scopes = read_scopes(self._graph, self.place)
            except CredentialError:
                raise
            except RagError as error:
                self._untold = error

    def entries(self, contents: Contents, principals: Principals) -> Iterator[Entry]:
        """Every document as an item, what is gone, and what could not be listed."""
        if self._nameless:
            error = TransientError(f"{self._nameless} entries without an id were listed")
            yield Failure(error=error, entity=f"{self.place.url}, entries without an id")
        if self._untold is not None:
            entity = f"access of {self.place.url}"
            yield Failure(error=self._untold, entity=entity, hides_documents=False)
        for id, raw in self._raw.items():
            if "deleted" in raw:
                yield Removed(self.place.external_id(id))
            elif not _type_of(raw).startswith(_FOLDER_TYPE):
                yield from self._entry(id, raw, contents, principals)

    def _read(self, link: str | None, first: Json | RagError | None) -> None:
        if isinstance(first, RagError):
            raise first
        path = link or f"{self.place.path}/items/delta"
        params = None if link else {"$expand": _EXPAND, "$top": self._options.page_size}
        for page in self._graph.pages(path, params, first=first):
            for raw in values_of(path, page):
                if raw.get("id"):
                    self._raw.pop(str(raw["id"]), None)
                    self._raw[str(raw["id"])] = raw
                else:
                    self._nameless += 1
            self.link = page.get("@odata.deltaLink") or ""
        if not self.link:
            raise TransientError(f"{self.place.url}: the feed ended without a link; it is not complete")

    def _entry(self, id: str, raw: Json, contents: Contents, principals: Principals) -> Iterator[Entry]:
        place, fields = self.place, raw.get("fields") or {}
        identity = place.external_id(id)
        tag = _ETAG.fullmatch(str(raw.get("eTag") or ""))
        title = str(fields.get("Title") or fields.get("FileLeafRef") or "")
        if tag is None:
            error = CorruptDocumentError(f"{title!r} was listed without its version")
            yield Failure(error=error, external_id=identity)
            return
        if place.kind == PAGES:
            name = str(fields.get("FileLeafRef") or title)
            token = str(fields.get("_UIVersionString") or "").partition(".")[0]
            guid = tag["guid"].lower()
            load, reference = partial(contents.load_page, place, id, guid), reference_to(place, id, guid=guid)
            if not _type_of(raw).startswith(_PAGE_TYPE):
                classic = UnsupportedDocumentError(f"{name!r} is a classic page, which Graph does not read")
                yield Failure(error=classic, external_id=identity, token=tag["version"])
                return
            if token in ("", "0"):
                return  # never published
        else:
            name, token = title, tag["version"]
            load, reference = partial(contents.load_entry, place, id), reference_to(place, id)
        by = ((raw.get("lastModifiedBy") or {}).get("user") or {}).get("displayName")
        yield Item(
            external_id=identity,
            token=token,
            load=load,
            reference=reference,
            name=name,
            path="/".join([place.site.name, place.name, name]),
            url=raw.get("webUrl"),
            title=title or None,
            media_type=HTML,
            modified_at=read_time(raw.get("lastModifiedDateTime")),
            author=by,
            access=self._access(id, principals),
            metadata={"type": place.kind, "site": place.site.url, "list": place.name},
        )

    def _access(self, id: str, principals: Principals) -> AccessRule | None:
        if self._options.access == "none":
            return None
        if self._scopes is None:
            return CLOSED
        return AccessRule(((principals.scope(self.place, self._scopes.of(id)),),))


def read_scopes(graph: GraphClient, place: Place) -> Scopes:
    """Which entries of a list have permissions of their own. Raises where SharePoint does not tell."""
    params = {"$select": _UNIQUE, "$top": 1000}
    own: set[str] = set()
    folders: dict[str, str] = {}
    inside: list[tuple[str, str]] = []
    for raw in graph.rest(place.site.url, f"/lists(guid'{place.id}')/items", params):
        try:
            id, unique = str(raw["Id"]), bool(raw["HasUniqueRoleAssignments"])
            inside.append((id, str(raw["FileDirRef"])))
        except KeyError as error:
            raise TransientError(f"{place.url}: an entry was told without {error}") from error
        if unique:
            own.add(id)
            if raw.get("FileSystemObjectType") == 1:
                folders[str(raw["FileRef"])] = id
    inherited = {}
    for id, folder in inside:
        while folder and folder not in folders:
            folder = folder.rpartition("/")[0]
        if folder:
            inherited[id] = folders[folder]
    return Scopes(frozenset(own), inherited)


def _type_of(raw: Json) -> str:
    return str((raw.get("contentType") or {}).get("id") or "").lower()
