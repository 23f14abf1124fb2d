"""A web site as the conformance kit changes it: a sitemap a folder, pages with what stands around them.

What belongs here: the world of the web connector. What does not: promises or assertions.
"""

from __future__ import annotations

import re
from datetime import datetime
from html import escape, unescape
from pathlib import Path
from typing import Any, ClassVar

from rag_pipelines_tests.connectors.conformance import MAX_BYTES, TOO_MUCH, Case, World
from rag_pipelines_tests.doubles.faults import Status
from rag_pipelines_tests.doubles.web_site import WebSite


class Web(World):
    name = "web"
    kind = "web"
    not_applicable: ClassVar = {
        Case.ACCESS_CHANGE: "a page does not say who may read it",
        Case.GROUP_CHANGE: "a site has no directory: callers bring their groups with them",
        Case.DUPLICATE_IDS: "an address is read once, however often it is named",
        Case.MANY_IDS: "each page is a request: 12,500 of them take a minute; a cache file holds them",
        "test_content_that_vanished_after_the_listing_fails_that_document_only": "a listed page was read",
        "test_a_document_that_cannot_be_loaded_is_served_as_it_was": "a listed page was read",
        "test_a_sync_without_changes_loads_nothing_and_asks_less": "each page is asked for, none is sent",
        "test_a_move_in_the_changes_names_the_place_before": "there is no change feed; content tells a move",
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._site = WebSite(logins={"Bearer open": "reader"}).start()
        self._short = False

    def close(self) -> None:
        super().close()
        self._site.stop()

    def options(self) -> dict[str, Any]:
        return {
            "sitemaps": [f"{self._site.url}/sitemap.xml"],
            "authorization": "Bearer open",
            "private_addresses": True,
            "max_bytes": MAX_BYTES,
            "retries": 2,
            "retry_delay": 0.01,
            "cache_dir": str(self.folder / "cache"),
        }

    def publish(self) -> None:
        folders: dict[str, list[str]] = {}
        for name in self.documents:
            folder = name.partition("/")[0]
            if not (self._short and folder == "legal"):
                folders.setdefault(folder, []).append(self.id_of(name))
        maps = [self._site.sitemap(f"/sitemap-{one}.xml", urls) for one, urls in folders.items()]
        self._site.sitemap("/sitemap.xml", maps, index=True)

    def id_of(self, name: str) -> str:
        return f"{self._site.url}/{name}"

    def text_of(self, data: bytes) -> str:
        found = re.search(r"<main><p>(.*)</p></main>", data.decode(), re.DOTALL)
        assert found is not None, data
        return unescape(found[1])

    @property
    def requests(self) -> int:
        return len(self._site.log)

    def write(self, name: str, text: str, at: datetime) -> None:
        self._site.moved.pop(f"/{name}", None)
        self._site.page(f"/{name}", f"<p>{escape(text, quote=False)}</p>", modified_at=at)

    def remove(self, name: str) -> None:
        del self._site.pages[f"/{name}"]

    def relocate(self, old: str, new: str, at: datetime) -> None:
        self._site.pages[f"/{new}"] = self._site.pages.pop(f"/{old}")
        self._site.moved[f"/{old}"] = (f"/{new}", 301)

    def remove_folder(self, folder: str) -> None:
        for path in [path for path in self._site.pages if path.startswith(f"/{folder}/")]:
            del self._site.pages[path]

    def mend(self) -> None:
        self._site.faults.clear()
        self._site.logins = {"Bearer open": "reader"}
        self._short = False
        for name, text in self.documents.items():
            self.write(name, text, self._now)

    def break_document(self, name: str) -> None:
        self.write(name, TOO_MUCH, self._now)

    def break_part(self, folder: str) -> None:
        self._site.faults.script(Status(500), path=f"/sitemap-{folder}", times=1_000)

    def break_source(self) -> None:
        self._site.faults.script(Status(503), times=1_000)

    def cut_short(self) -> None:
        self._short = True

    def throttle(self, requests: int) -> None:
        self._site.faults.script(Status(429, retry_after=0), times=requests)

    def expire_credential(self) -> None:
        self._site.logins = {"Bearer new": "reader"}
