"""The bytes of documents: files as they are, site pages and list entries as HTML.

What belongs here: loading, and what was read ahead. What does not: listing (`drives`, `lists`).

A file is read at an address that Graph gives for about an hour. It is asked for in bulk before a batch is
loaded, and anew where it has expired (learn.microsoft.com/graph/api/driveitem-get-content). A page is the
HTML of its text, in the order of its sections and columns (resources/canvaslayout); of other web parts,
what SharePoint itself holds for its search.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from html import escape
from typing import Any

from rag_pipelines.connectors.ahead import Kept
from rag_pipelines.connectors.sharepoint.graph import GraphClient, Json
from rag_pipelines.connectors.sharepoint.places import DRIVE, PAGES, Place, Site
from rag_pipelines.errors import (
    FetchError,
    GoneError,
    MissingEntityError,
    RagError,
    TooLargeDocumentError,
    UnsupportedDocumentError,
    UsageError,
)

ADDRESS = "@microsoft.graph.downloadUrl"
HTML = "text/html"
_FIELDS = f"$select=id,size,{ADDRESS}"


class Contents:
    """Loads documents of one run; `load_*` may run in several threads at once."""

    def __init__(self, graph: GraphClient) -> None:
        self._graph = graph
        self._ahead: Kept[str, str] = Kept()
        self._columns: dict[str, list[Json]] = {}

    def read_ahead(self, files: Sequence[tuple[str, str]]) -> None:
        """Ask for the addresses of files, by their place's path and id."""
        found: dict[str, str] = {}
        paths = [f"{place}/items/{id}?{_FIELDS}" for place, id in files]
        for (place, id), answer in zip(files, self._graph.batch(paths), strict=True):
            if not isinstance(answer, RagError) and answer.get(ADDRESS):
                found[f"{place}/{id}"] = answer[ADDRESS]
        self._ahead.keep(found)

    def load(self, reference: Mapping[str, Any]) -> bytes:
        """What `reference_to` stands for."""
        site = Site(reference["site"], "", "", "")
        place = Place(reference["kind"], reference["place"], site, "", "")
        if place.kind == DRIVE:
            return self.load_file(place, reference["item"], reference["size"])
        if place.kind == PAGES:
            return self.load_page(place, reference["item"], reference["guid"])
        return self.load_entry(place, reference["item"])

    def load_file(self, place: Place, id: str, size: int | None) -> bytes:
        """The bytes of a file. Raises what `Item.load` may raise."""
        if address := self._ahead.take(f"{place.path}/{id}"):
            with suppress(FetchError):
                return self._graph.download(address, size)
        described = self._ask(f"{place.path}/items/{id}?{_FIELDS}", place.external_id(id))
        now, limit = described.get("size"), self._graph.options.max_bytes
        if isinstance(now, int) and now > limit:
            raise TooLargeDocumentError(f"it has {now:,} bytes; raise max_bytes (now {limit:,})")
        if not described.get(ADDRESS):
            raise FetchError(f"{place.external_id(id)}: Graph gives no address to download it from")
        return self._graph.download(described[ADDRESS], now if isinstance(now, int) else None)

    def load_page(self, place: Place, id: str, guid: str) -> bytes:
        """A site page as HTML."""
        path = f"/sites/{place.site.id}/pages/{guid}/microsoft.graph.sitePage?$expand=canvasLayout"
        raw = self._ask(path, place.external_id(id))
        level = str((raw.get("publishingState") or {}).get("level") or "").lower()
        if level != "published":
            raise UnsupportedDocumentError(
                f"{place.external_id(id)} is being edited ({level or 'unknown'}); Graph gives the draft only"
            )
        return page_html(raw).encode("utf-8", "replace")

    def load_entry(self, place: Place, id: str) -> bytes:
        """An entry of a list as HTML."""
        raw = self._ask(f"{place.path}/items/{id}?$expand=fields", place.external_id(id))
        return entry_html(raw.get("fields") or {}, self._columns_of(place)).encode("utf-8", "replace")

    def _ask(self, path: str, identity: str) -> Json:
        try:
            return self._graph.get(path)
        except (MissingEntityError, GoneError, UsageError) as error:
            raise FetchError(f"{identity} was listed and cannot be read: {error}") from error

    def _columns_of(self, place: Place) -> list[Json]:
        if place.id not in self._columns:
            found = self._graph.entries(f"{place.path}/columns")
            self._columns[place.id] = [one for one in found if not one.get("hidden")]
        return self._columns[place.id]


def reference_to(place: Place, id: str, **more: Any) -> dict[str, Any]:
    """A document for `Contents.load` in another process: a file with its `size`, a page with its `guid`."""
    return {"kind": place.kind, "place": place.id, "site": place.site.id, "item": id, **more}


def page_html(raw: Json) -> str:
    """The HTML of a ``sitePage`` with its ``canvasLayout``."""
    title = escape(str(raw.get("title") or raw.get("name") or ""))
    layout = raw.get("canvasLayout") or {}
    sections = [*(layout.get("horizontalSections") or ())]
    parts = [
        part for section in sections for column in section.get("columns") or () for part in _parts(column)
    ]
    parts += _parts(layout.get("verticalSection") or {})
    head = f"<html><head><title>{title}</title></head><body>\n<h1>{title}</h1>\n"
    return head + "\n".join(text for part in parts for text in _part_html(part)) + "\n</body></html>\n"


def entry_html(fields: Mapping[str, Any], columns: Iterable[Json]) -> str:
    """The HTML of a list entry: its title, then a paragraph for each column that holds something."""
    title = escape(str(fields.get("Title") or ""))
    lines = [f"<html><head><title>{title}</title></head><body>", f"<h1>{title}</h1>"]
    for column in columns:
        name = str(column.get("name") or "")
        value = fields.get(name)
        if name in ("Title", "LinkTitle") or value is None or value == "":
            continue
        label = escape(str(column.get("displayName") or name))
        if (column.get("text") or {}).get("textType") == "richText":
            lines.append(f"<h2>{label}</h2>\n<div>{value}</div>")
        else:
            lines.append(f"<p><b>{label}:</b> {escape(', '.join(_words(value)))}</p>")
    return "\n".join([*lines, "</body></html>", ""])


def _parts(column: Json) -> list[Json]:
    return [part for part in column.get("webparts") or () if isinstance(part, dict)]


def _part_html(part: Json) -> Iterator[str]:
    if isinstance(part.get("innerHtml"), str):
        yield f"<div>{part['innerHtml']}</div>"
        return
    data = part.get("data") or {}
    held = data.get("serverProcessedContent") or {}
    if data.get("title"):
        yield f"<h2>{escape(str(data['title']))}</h2>"
    for pair in held.get("searchablePlainTexts") or ():
        yield f"<p>{escape(str(pair.get('value') or ''))}</p>"
    for pair in held.get("htmlStrings") or ():
        yield f"<div>{pair.get('value') or ''}</div>"
    for pair in held.get("links") or ():
        address = escape(str(pair.get("value") or ""))
        yield f'<p><a href="{address}">{address}</a></p>'


def _words(value: Any) -> list[str]:
    """What a person sees of a column's value: choices, people, lookups, links."""
    if isinstance(value, list):
        return [word for one in value for word in _words(one)]
    if isinstance(value, dict):
        named = [
            value[name] for name in ("LookupValue", "Label", "Description", "Url", "Email") if value.get(name)
        ]
        return [str(one) for one in dict.fromkeys(named)]
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    return [str(value)]
