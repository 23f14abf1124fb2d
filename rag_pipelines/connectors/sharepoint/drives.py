"""What is in one library: its folders and files as the delta feed of Graph tells them.

What belongs here: reading a feed, where a file is, and which of the things above it has permissions of its
own. What does not: content (`contents`), and whom permissions let read (`principals`, `directory`).

learn.microsoft.com/graph/api/driveitem-delta, "Remarks": the last entry of a thing counts; feeds of
SharePoint leave out ``cTag`` and the path of the parent, and name what is gone without its name. "Scanning
permissions hierarchies": with ``Prefer: hierarchicalsharing`` the facet ``shared`` stands, even empty, on the
library and on what has permissions of its own, and on nothing else; without ``deltashowsharingchanges`` a
feed does not name what was shared anew and left as it is otherwise. Both need Sites.FullControl.All. After a
change of permissions high up Graph may refuse to go on (410), which lists everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from urllib.parse import quote

import msgspec

from rag_pipelines.connectors.base import Entry, Failure, Item, Removed
from rag_pipelines.connectors.sharepoint.contents import Contents, reference_to
from rag_pipelines.connectors.sharepoint.graph import GraphClient, Json, values_of
from rag_pipelines.connectors.sharepoint.nodes import FILE, FOLDER, PACKAGE, Node, Nodes
from rag_pipelines.connectors.sharepoint.options import SharePointOptions
from rag_pipelines.connectors.sharepoint.places import Place
from rag_pipelines.connectors.sharepoint.principals import Principals
from rag_pipelines.connectors.times import read_time
from rag_pipelines.errors import (
    CorruptDocumentError,
    DocumentError,
    ForbiddenEntityError,
    GoneError,
    RagError,
    TooLargeDocumentError,
    TransientError,
    UnsupportedDocumentError,
)
from rag_pipelines.model import CLOSED, AccessRule

ROOT = "root"
SHARING = {
    "Prefer": "hierarchicalsharing, deltashowsharingchanges, deltashowremovedasdeleted, "
    "deltatraversepermissiongaps"
}
"""Tell what has permissions of its own, and name what was only shared anew, which takes three words."""
_FIELDS = (
    "id,name,size,cTag,eTag,file,folder,root,package,remoteItem,deleted,shared,parentReference,"
    "lastModifiedDateTime,lastModifiedBy"
)
_LABEL = "listItem($expand=fields($select=_DisplayName))"
"""The name of the sensitivity label is a column of the library with this name."""
_UNREADABLE = (".one", ".onetoc2", ".loop", ".fluid", ".whiteboard")
_RESTARTS = 3
UNKNOWN = "?"
"""The parent of what is listed without one, and is not the library itself."""


class Library:
    """One reading of one library.

    Args:
        scopes: ids of what is known to have permissions of its own; None where that is not known.
    """

    def __init__(self, graph: GraphClient, place: Place, scopes: Iterable[str] | None = ()) -> None:
        self.place = place
        self.nodes = Nodes()
        self.gone: dict[str, None] = {}
        self.link = ""
        self.scopes: set[str] | None = None if scopes is None else set(scopes)
        self._graph = graph
        self._options = graph.options
        self._follows = False
        self._nameless = 0
        self._reshared = False
        self._folder_scopes: dict[str, str | None] = {}
        self._folder_paths: dict[str, tuple[str, ...]] = {}

    def read(self, link: str | None = None, first: Json | RagError | None = None) -> None:
        """Read everything, or what was touched since `link` was given.

        A listing of everything whose token expires in the middle is begun again. A feed does not name what
        is below a folder that got or lost permissions of its own, and is not trusted to say that something
        has lost them: then everything is read as well. `first` is the answer to `link` if it is there. Raises
        `GoneError` where `link` has expired.
        """
        self._follows = link is not None
        for attempt in range(_RESTARTS + 1):
            try:
                self._read(link, first)
                break
            except GoneError:
                if self._follows or attempt == _RESTARTS:
                    raise
                self.nodes, self.gone, self._nameless, self.scopes = Nodes(), {}, 0, set()
        if self._reshared:
            self._read_everything()
        elif self._follows:
            self._ask_above()
        elif self.scopes is not None and ROOT not in self.scopes:
            self.scopes = None

    def entries(self, contents: Contents, principals: Principals) -> Iterator[Entry]:
        """Every document as an item, what is gone, and what could not be listed."""
        if self._nameless:
            error = TransientError(f"{self._nameless} entries without an id were listed")
            yield Failure(error=error, entity=f"{self.place.url}, entries without an id")
        if self.scopes is None and self._options.access == "scopes":
            untold = ForbiddenEntityError(
                f"{self.place.url}: Graph does not tell what has permissions of its own, so nobody may "
                "see its documents; grant the app Sites.FullControl.All"
            )
            yield Failure(error=untold, entity=f"access of {self.place.url}", hides_documents=False)
        for node in self.nodes.documents():
            if self._options.label_policy(node.label) != "drop":
                yield self._entry(node, contents, principals)
            elif self._follows:
                yield Removed(self.place.external_id(node.id))
        for identity in self.gone:
            yield Removed(self.place.external_id(identity))

    def _read(self, link: str | None, first: Json | RagError | None) -> None:
        if isinstance(first, RagError):
            raise first
        path = link or f"{self.place.path}/root/delta"
        params = None if link else {**item_params(self._options), "$top": self._options.page_size}
        for page in self._graph.pages(path, params, feed_headers(self._options), first):
            for raw in values_of(path, page):
                self._take(raw)
            self.link = page.get("@odata.deltaLink") or ""
        if not self.link:
            raise TransientError(f"{self.place.url}: the feed ended without a link; it is not complete")

    def _take(self, raw: Json) -> None:
        node = read_node(raw)
        if node is None:
            self._nameless += 1
            return
        self.gone.pop(node.id, None)
        own = "shared" in raw and "deleted" not in raw
        if "deleted" in raw:
            self.nodes.discard(node.id)
            self.gone[node.id] = None
        else:
            self.nodes.put(node)
        if self.scopes is None:
            return
        if "root" in raw and not own:
            self.scopes = None
        elif "root" in raw:
            self.scopes.add(ROOT)
        elif own != (node.id in self.scopes):
            (self.scopes.add if own else self.scopes.discard)(node.id)
            settled = "deleted" in raw or (own and node.kind != FOLDER)
            self._reshared |= self._follows and not settled

    def _read_everything(self) -> None:
        """Take over what is there now; what was read of the feed says what is gone, and where to go on."""
        whole = Library(self._graph, self.place)
        whole.read()
        self.nodes, self.scopes, self._nameless = whole.nodes, whole.scopes, whole._nameless
        self.gone = {identity: None for identity in self.gone if identity not in whole.nodes}

    def _ask_above(self) -> None:
        """Ask for folders that a feed did not name, up to the library."""
        asked: set[str] = set()
        while missing := sorted(self.nodes.orphaned() - asked):
            asked.update(missing)
            fields = "$select=id,name,parentReference,root,folder"
            for answer in self._graph.batch([f"{self.place.path}/items/{id}?{fields}" for id in missing]):
                node = None if isinstance(answer, RagError) else read_node(answer)
                if node is not None:
                    self.nodes.put(msgspec.structs.replace(node, kind=FOLDER))

    def _entry(self, node: Node, contents: Contents, principals: Principals) -> Item | Failure:
        place = self.place
        identity = place.external_id(node.id)
        if (fault := self._fault(node)) is not None:
            return Failure(error=fault, external_id=identity, token=node.token)
        names = (*self._folders(node), node.name)
        metadata = {"type": FILE, "site": place.site.url, "library": place.name}
        if node.label:
            metadata["label"] = node.label
        assert node.token is not None
        return Item(
            external_id=identity,
            token=node.token,
            load=partial(contents.load_file, place, node.id, node.size),
            reference=reference_to(place, node.id, size=node.size),
            name=node.name,
            path="/".join([place.site.name, place.name, *names]),
            url="/".join([place.url, *map(quote, names)]),
            media_type=node.media_type,
            size=node.size,
            modified_at=read_time(node.when),
            author=node.author,
            access=self._access(node, principals),
            metadata=metadata,
        )

    def _fault(self, node: Node) -> DocumentError | None:
        """Why a document cannot be read, as far as its entry tells that."""
        limit = self._options.max_bytes
        if node.kind == PACKAGE or node.name.lower().endswith(_UNREADABLE):
            return UnsupportedDocumentError(
                f"{node.name!r}: OneNote notebooks, Loop pages and whiteboards cannot be read as files"
            )
        if node.token is None:
            return CorruptDocumentError(f"{node.name!r} was listed without hash and version of its content")
        if (node.size or 0) > limit:
            return TooLargeDocumentError(
                f"{node.name!r} has {node.size:,} bytes; raise max_bytes (now {limit:,})"
            )
        return None

    def _access(self, node: Node, principals: Principals) -> AccessRule | None:
        if self._options.access == "none":
            return None
        scope = self._scope(node)
        if scope is None:
            return CLOSED
        clauses = [(principals.scope(self.place, scope),)]
        if self._options.label_policy(node.label) == "restrict":
            clauses.append((f"group:label/{node.label}",))
        return AccessRule(tuple(clauses)).normalised()

    def _scope(self, node: Node) -> str | None:
        """The nearest thing with permissions of its own: an id, `ROOT`, or None where it is not known."""
        if self.scopes is None:
            return None
        if node.parent is None:
            return ROOT
        if node.id in self.scopes:
            return node.id
        if node.parent not in self._folder_scopes:
            self._folder_scopes[node.parent] = None  # holds for folders in a circle, which do not end
            above = self.nodes.above(node.parent)
            self._folder_scopes[node.parent] = None if above is None else self._scope(above)
        return self._folder_scopes[node.parent]

    def _folders(self, node: Node) -> tuple[str, ...]:
        """The names of the folders above, the topmost first, as far as they are known."""
        above = self.nodes.above(node.parent)
        if above is None or above.parent is None:
            return ()
        if above.id not in self._folder_paths:
            self._folder_paths[above.id] = ()
            self._folder_paths[above.id] = (*self._folders(above), above.name)
        return self._folder_paths[above.id]


def feed_headers(options: SharePointOptions) -> dict[str, str] | None:
    """What the feed of a library is asked with."""
    return SHARING if options.access == "scopes" else None


def item_params(options: SharePointOptions) -> dict[str, str]:
    """What is asked of an item: what decides whether it is a document, and what is said of it."""
    return {"$select": _FIELDS, "$expand": _LABEL} if options.labels else {"$select": _FIELDS}


def read_node(raw: Json) -> Node | None:
    """An entry of a feed, or None where it has no id.

    The token tells content alone: a hash where there is one, which a rename does not change; else what Graph
    has instead.
    """
    identity = raw.get("id")
    if not identity:
        return None
    file = raw.get("file")
    details: Json = file if isinstance(file, dict) else {}
    size = raw.get("size") if isinstance(raw.get("size"), int) else None
    content_hash = (details.get("hashes") or {}).get("quickXorHash")
    token = f"{content_hash}:{size}" if content_hash else raw.get("cTag") or raw.get("eTag")
    fields = (raw.get("listItem") or {}).get("fields") or {}
    by = ((raw.get("lastModifiedBy") or {}).get("user") or {}).get("displayName")
    return Node(
        str(identity),
        None if "root" in raw else (raw.get("parentReference") or {}).get("id") or UNKNOWN,
        str(raw.get("name") or identity),
        PACKAGE if "package" in raw else FILE if file is not None and "remoteItem" not in raw else FOLDER,
        size,
        token,
        raw.get("lastModifiedDateTime"),
        by if isinstance(by, str) else None,
        details["mimeType"] if isinstance(details.get("mimeType"), str) else None,
        fields.get("_DisplayName"),
    )
