"""How searches were answered, kept in the database: figures that outlive the process, of all processes.

What belongs here: counting, and writing what was counted now and then. What does not: the metrics of this
process (`metrics`), and what is made of the rows (`monitoring`). No question and no caller is kept.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping

import msgspec

from rag_pipelines.embedding.base import Embedder
from rag_pipelines.errors import RagError
from rag_pipelines.gates.canary import SideFigures
from rag_pipelines.query.hits import Result
from rag_pipelines.store.database import Database, query
from rag_pipelines.store.ledger import Meter, add_spent

EVERY = 15.0
"""Seconds between two writings; what a killed process counted since the last is lost."""

log = logging.getLogger(__name__)


class Served:
    """Counts the searches of one process by index, and what their questions took of models.

    Safe to use from several threads.

    Args:
        database: the catalogue, by a login that may write to it.
        embedders: the model of each index.
    """

    def __init__(self, database: Database, embedders: Mapping[str, Embedder]) -> None:
        self._database = database
        self._figures: dict[str, SideFigures] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._writer: threading.Thread | None = None
        indexes: dict[int, list[str]] = {}
        for index, embedder in embedders.items():
            indexes.setdefault(id(embedder), []).append(index)
        self._meters = [(Meter(embedders[names[0]]), names) for names in indexes.values()]

    def record(self, index: str, result: Result | None) -> None:
        """One search of `index` has its result, or None where it failed."""
        with self._lock:
            figures = self._figures.setdefault(index, SideFigures())
            if result is None:
                figures.record_failure()
            else:
                figures.record_answer(len(result.hits), result.embed_ms + result.search_ms)

    def start(self) -> None:
        """Write every `EVERY` seconds from now on, until `close`."""
        self._writer = threading.Thread(target=self._keep_writing, name="served", daemon=True)
        self._writer.start()

    def write(self) -> None:
        """Add what was counted to the database; where that fails it is counted on."""
        with self._lock:
            counted, self._figures = self._figures, {}
        if not counted:
            return
        try:
            with self._database.transaction() as connection:
                for index, figures in counted.items():
                    params = msgspec.structs.asdict(figures)
                    query(connection, "add_served", {"index_name": index, **params})
        except RagError as error:
            log.warning("cannot write how searches were answered: %s", error)
            with self._lock:
                for index, figures in counted.items():
                    self._figures[index] = self._figures.get(index, SideFigures()).plus(figures)
            return
        self._write_spent()

    def close(self) -> None:
        """Write what is left, and stop."""
        self._closed.set()
        if self._writer is not None:
            self._writer.join()
        self.write()

    def _write_spent(self) -> None:
        try:
            with self._database.transaction() as connection:
                for meter, indexes in self._meters:
                    add_spent(connection, "search", meter, indexes=indexes)
        except RagError as error:
            log.warning("cannot write what questions took of models: %s", error)

    def _keep_writing(self) -> None:
        while not self._closed.wait(EVERY):
            try:
                self.write()
            except Exception:
                log.exception("writing how searches were answered failed; it is tried again")
