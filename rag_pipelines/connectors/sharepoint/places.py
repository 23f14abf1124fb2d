"""Finds what the options choose: sites, their libraries and lists, and OneDrives.

What belongs here: the walk down to libraries and lists, and what it failed at. What does not: what is in them
(`drives`, `lists`).

A site that is locked (423) or not found (404) is a failure, not an absence: it may come back, and its
documents stay as they are. Libraries and lists of the system are left out: they hold no documents of
people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import msgspec

from rag_pipelines.batching import blocks
from rag_pipelines.connectors.base import Failure
from rag_pipelines.connectors.sharepoint.graph import BATCH, GraphClient, Json
from rag_pipelines.errors import CredentialError, MissingEntityError, RagError, TransientError

DRIVE, PAGES, LIST = "drive", "pages", "list"

_SYSTEM = frozenset(
    {"sharepointhomecachelist", "preservationholdlibrary", "style library", "formservertemplates"}
)
"""Last segments of the addresses of what belongs to the system; they are the same in every language."""
_PAGES_TEMPLATE = "webpagelibrary"
_FILES_TEMPLATES = frozenset({"documentlibrary", "mysitedocumentlibrary"})
_DRIVE_FIELDS = "id,name,webUrl,driveType,system"
_LIST_FIELDS = "id,name,displayName,webUrl,list,system"
_SITE_FIELDS = "id,name,displayName,webUrl,isPersonalSite,siteCollection"


class Site(msgspec.Struct, frozen=True):
    """A site. `collection` is the id of its site collection, whose SharePoint groups it shares."""

    id: str
    collection: str
    url: str
    name: str


class Place(msgspec.Struct, frozen=True):
    """A library or a list. `kind` says what is in it: files, site pages or entries."""

    kind: str
    id: str
    site: Site
    name: str
    url: str

    @property
    def key(self) -> str:
        """What the ids of its documents begin with, and its name in a cursor."""
        return f"{'drive' if self.kind == DRIVE else 'list'}/{self.id}"

    @property
    def path(self) -> str:
        """Where it is, for Graph."""
        return f"/drives/{self.id}" if self.kind == DRIVE else f"/sites/{self.site.id}/lists/{self.id}"

    def external_id(self, identity: str) -> str:
        """The id of a document in it."""
        return f"{self.key}/item/{identity}"


class Places:
    """One walk."""

    def __init__(self, graph: GraphClient) -> None:
        self._graph = graph
        self._options = graph.options
        self._seen: set[str] = set()

    def find(self) -> Iterator[Place | Failure]:
        """Every chosen library and list, each once."""
        for block in blocks(self.sites(), BATCH // 2):
            yield from (one for one in block if isinstance(one, Failure))
            yield from self._places_of([one for one in block if isinstance(one, Site)])
        yield from self._onedrives()

    def sites(self) -> Iterator[Site | Failure]:
        """The chosen sites, without OneDrives, each once."""
        seen: set[str] = set()
        for site in self._found_sites():
            if isinstance(site, Failure):
                yield site
            elif site.id not in seen:
                seen.add(site.id)
                yield site

    def _found_sites(self) -> Iterator[Site | Failure]:
        options = self._options
        for url in options.named_sites:
            if not options.excludes_site(url):
                yield from self._named(url)
        if not options.searches_sites:
            return
        try:
            for raw in self._graph.entries("/sites/getAllSites", {"$select": _SITE_FIELDS}):
                site = _site_of(raw)
                if site is None:
                    error = TransientError("a site without id or address was listed")
                    yield Failure(error=error, entity="an entry of the list of sites")
                elif not raw.get("isPersonalSite") and options.chooses_site(site.url):
                    yield site
        except CredentialError:
            raise
        except RagError as error:
            yield Failure(error=error, entity="sites", whole=not options.named_sites and not options.onedrive)

    def _named(self, url: str) -> Iterator[Site | Failure]:
        """The site at an address, and those below it."""
        parts = urlsplit(url)
        place = parts.netloc if not parts.path.strip("/") else f"{parts.netloc}:{quote(unquote(parts.path))}"
        try:
            site = _site_of(self._graph.get(f"/sites/{place}", {"$select": _SITE_FIELDS}))
            if site is None:
                raise TransientError(f"{url} was described without id or address")
            yield site
            if self._options.subsites:
                yield from self._below(site)
        except CredentialError:
            raise
        except RagError as error:
            yield Failure(error=error, entity=f"site {url}", whole=self._is_all(url))

    def _is_all(self, url: str) -> bool:
        return self._options.sites == (url,) and not self._options.onedrive

    def _below(self, site: Site) -> Iterator[Site]:
        for raw in self._graph.entries(f"/sites/{site.id}/sites", {"$select": _SITE_FIELDS}):
            inner = _site_of(raw)
            if inner is None:
                raise TransientError(f"a site below {site.url} was listed without id or address")
            if not self._options.excludes_site(inner.url):
                yield inner
                yield from self._below(inner)

    def _places_of(self, sites: Sequence[Site]) -> Iterator[Place | Failure]:
        """The libraries and lists of some sites, asked for together."""
        asked: list[tuple[Site, str, Callable[[Site, list[Json]], Iterator[Place]]]] = []
        for site in sites:
            asked.append((site, f"/sites/{site.id}/drives?$select={_DRIVE_FIELDS}", self._libraries))
            if self._options.pages or self._options.lists:
                asked.append((site, f"/sites/{site.id}/lists?$select={_LIST_FIELDS}", self._lists))
        answers = self._graph.batch_entries([path for _, path, _ in asked])
        failed: set[str] = set()
        for (site, _, read), answer in zip(asked, answers, strict=True):
            try:
                if isinstance(answer, RagError):
                    raise answer
                yield from self._new(read(site, answer))
            except CredentialError:
                raise
            except RagError as error:
                if site.id not in failed:
                    failed.add(site.id)
                    whole = self._is_all(site.url) and read == self._libraries
                    yield Failure(error=error, entity=f"site {site.url}", whole=whole)

    def _libraries(self, site: Site, drives: list[Json]) -> Iterator[Place]:
        for raw in drives:
            if not _is_system(raw) and self._options.chooses_library(raw.get("name") or ""):
                yield _place(DRIVE, site, raw)

    def _lists(self, site: Site, lists: list[Json]) -> Iterator[Place]:
        for raw in lists:
            about = raw.get("list") or {}
            template = str(about.get("template") or "").lower()
            if about.get("hidden") or _is_system(raw) or template in _FILES_TEMPLATES:
                continue
            if template == _PAGES_TEMPLATE:
                if self._options.pages:
                    yield _place(PAGES, site, raw)
            elif self._options.chooses_list(raw.get("displayName") or raw.get("name") or ""):
                yield _place(LIST, site, raw)

    def _new(self, places: Iterable[Place]) -> Iterator[Place]:
        for place in places:
            if place.key not in self._seen:
                self._seen.add(place.key)
                yield place

    def _onedrives(self) -> Iterator[Place | Failure]:
        """The OneDrives of the chosen users; one of all users may have none."""
        chosen = self._options.onedrive
        if not chosen:
            return
        everybody = "*" in chosen
        try:
            users = list(self._graph.entries("/users", {"$select": "id"})) if everybody else []
            names = [str(raw["id"]) for raw in users] if everybody else list(chosen)
            paths = [f"/users/{quote(name)}/drive?$select=id,name,webUrl,owner" for name in names]
            for name, answer in zip(names, self._graph.batch(paths), strict=True):
                if isinstance(answer, MissingEntityError) and everybody:
                    continue
                if isinstance(answer, RagError):
                    yield Failure(error=answer, entity=f"OneDrive of {name}")
                    continue
                yield from self._new([_place(DRIVE, _personal_site(answer), answer)])
        except CredentialError:
            raise
        except (RagError, KeyError) as error:
            known = error if isinstance(error, RagError) else TransientError(f"a user without {error}")
            yield Failure(error=known, entity="OneDrives", whole=not self._options.sites)


def _site_of(raw: Json) -> Site | None:
    id, url = raw.get("id"), raw.get("webUrl")
    if not id or not url:
        return None
    parts = str(id).split(",")
    collection = parts[1] if len(parts) == 3 else str(id)
    return Site(
        str(id), collection.lower(), str(url).rstrip("/"), raw.get("displayName") or raw.get("name") or ""
    )


def _personal_site(drive: Json) -> Site:
    """The site of a OneDrive, of which the drive's address tells as much as is needed."""
    url = str(drive.get("webUrl") or "").rpartition("/")[0]
    owner: Any = ((drive.get("owner") or {}).get("user") or {}).get("displayName")
    return Site(url, url.lower(), url, owner or "OneDrive")


def _place(kind: str, site: Site, raw: Json) -> Place:
    if not raw.get("id"):
        raise TransientError(f"a library or list of {site.url} was listed without its id")
    name = raw.get("displayName") or raw.get("name") or ""
    return Place(kind, str(raw["id"]), site, name, str(raw.get("webUrl") or site.url).rstrip("/"))


def _is_system(raw: Json) -> bool:
    last = unquote(str(raw.get("webUrl") or "")).rstrip("/").rpartition("/")[2].lower()
    return "system" in raw or last in _SYSTEM
