"""A world of the kit behind the real engine: catalogue, index and search on an empty database.

What belongs here: what the engine's promises share. What does not: worlds, promises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rag_pipelines.config.settings import Settings
from rag_pipelines.connectors.base import Connector, Entry, Item
from rag_pipelines.gates import access_proof
from rag_pipelines.store.blobs import BlobStore
from rag_pipelines.sync.report import SyncReport
from rag_pipelines_tests.connectors.conformance import World, divert
from rag_pipelines_tests.connectors.emptied import EmptiedDatabase
from rag_pipelines_tests.integration.workspace import Workspace


class Killed(BaseException):
    """Ends a run where it stands, as a kill does."""


class Pipeline(Workspace):
    """One source `docs`, which is a world, feeding the index `main`. Every run lists in full.

    The gates of access and recall ask one question each, as they have tests of their own."""

    def __init__(
        self, world: World, folder: Path, database: EmptiedDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        database.empty()
        source = {
            "connector": world.kind,
            "options": world.options(),
            "access": "public",
            "delete_guard": {"share": 1.0},
            "full_listing": "0s",
            "group_listing": "0s",
        }
        super().__init__(folder, database.url, sources={"docs": source})
        self.document["indexes"]["main"]["gates"]["recall_sample"] = 1
        self.database = database.sessions
        self.world = world
        self._loaded: tuple[dict[str, Any], Settings] | None = None
        self._through: Callable[[Iterator[Entry]], Iterator[Entry]] | None = None
        monkeypatch.setattr(Settings, "connector", lambda settings, source: self._connector())
        monkeypatch.setattr(access_proof, "QUESTIONS", 1)

    @property
    def settings(self) -> Settings:
        """The configuration as it stands, read again where it was changed."""
        if self._loaded is None or self._loaded[0] != self.document:
            self._loaded = deepcopy(self.document), super().settings
        return self._loaded[1]

    def listing_in_full_rarely(self) -> None:
        """From now on a run follows the changes, where the connector can."""
        self.document["sources"]["docs"]["full_listing"] = "24h"

    def held(self) -> dict[str, str]:
        """Every document that is served: external id to the text that is stored of it."""
        blobs = BlobStore(self.settings.blobs_url)
        rows = self.rows("SELECT external_id, raw_sha256 FROM rag.document WHERE state <> 'tombstoned'")
        return {
            row["external_id"]: self.world.text_of(blobs.get("raw", bytes(row["raw_sha256"]))) for row in rows
        }

    def seen(self, word: str, user: str = "ann") -> set[str]:
        """The external ids of what a search for `word` on behalf of `user` finds."""
        hits = self.search(word, principals=self.world.caller(user), mode="lexical", k=100)
        return {hit.external_id for hit in hits}

    def quarantined(self) -> list[dict[str, Any]]:
        """What is in quarantine."""
        return self.rows("SELECT * FROM rag.quarantine")

    def identities(self) -> dict[str, int]:
        """External id to the row that stands for the document, whatever its id becomes."""
        rows = self.rows("SELECT external_id, document_id FROM rag.document WHERE state <> 'tombstoned'")
        return {row["external_id"]: row["document_id"] for row in rows}

    def kill_while_listing(self, entries: int) -> None:
        """Kill the next run when its connector has yielded so many entries."""

        def killed(listing: Iterator[Entry]) -> Iterator[Entry]:
            yield from islice(listing, entries)
            raise Killed

        self._through = killed

    def watch_loads(self, kill_at: int | None = None) -> list[str]:
        """The external ids whose content the next run loads; it is killed at the one of that number."""
        loaded: list[str] = []

        def watched(item: Item) -> Item:
            def load() -> bytes:
                if len(loaded) == kill_at:
                    raise Killed
                loaded.append(item.external_id)
                return item.load()

            return msgspec.structs.replace(item, load=load)

        def through(listing: Iterator[Entry]) -> Iterator[Entry]:
            return (watched(entry) if isinstance(entry, Item) else entry for entry in listing)

        self._through = through
        return loaded

    def sync(self, **options: Any) -> SyncReport:
        """Ingest and publish."""
        report = self.ingest(**options)
        self.publish()
        return report

    def _connector(self) -> Connector:
        connector = self.world.connector()
        if self._through is not None:
            divert(connector, self._through)
            self._through = None
        return connector

    def close(self) -> None:
        """Give the search's connections back; those of the database stay."""
        if self._searcher is not None:
            self._searcher.close()
