"""Fills the tables of a full build from the catalogue.

What belongs here: the order of these steps, and the moment that their result is of. What does not: their
statements (`storage`), sharing slices out (`slices`), the vector index and what comes after it (`build`).

Each slice is read and written in a transaction of its own: many sessions work at once, none sorts more than
a slice, and none keeps the server from removing what was deleted for longer than its slice takes. So slices
are of different moments. A document whose last change the snapshot of the outset shows was read after it, by
every slice; the others are read again in one transaction, before words are turned around, and all rows are of
that moment then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from rag_pipelines import tracing
from rag_pipelines.index.members import count_expected, listed_since
from rag_pipelines.index.slices import SLICE_ROWS, Slice, cut, session_count, work_through
from rag_pipelines.index.storage import Size, Storage
from rag_pipelines.index.versions import Version, hold_lease
from rag_pipelines.progress import Progress
from rag_pipelines.store.database import Database, Pg, query

SORT_MEMORY = 256 * 2**20
"""Bytes for sorting the words of a slice; less where the build is allowed less."""

LEAST_SORT_MEMORY = 4 * 2**20

TERMS = (1, 1_000_000_000)
"""What terms are numbered from and to (``rag.term_id``), evenly."""


Result = TypeVar("Result")


class Outset(NamedTuple):
    """What a load begins with: what the catalogue offers, in slices, and the snapshot that shows it."""

    expected: Size
    slices: list[Slice]
    snapshot: str


class Loaded(NamedTuple):
    """What the tables hold then: as many rows as were `expected`, as of the transaction `watermark`, from
    listings since `as_of`; the average lengths, of a passage and of a document, are in words and weight later
    rows too."""

    expected: Size
    watermark: str
    as_of: datetime | None
    average_length: float
    average_document_length: float


@tracing.spanned("look out")
def look_out(connection: Pg, version: Version, members: dict[str, Any]) -> Outset:
    """What there is to load.

    Args:
        members: `sources`, `chunker_id` and `model_id` of the build.
    """
    with _one_moment(connection, version) as snapshot:
        expected = count_expected(connection, members)
        rows = query(connection, "document_slices", {**members, "slice_rows": SLICE_ROWS})
        return Outset(expected, [Slice(**row) for row in rows], snapshot["snapshot"])


@dataclass(frozen=True)
class Load:
    """The load of one version, into tables that it makes and that nobody else may read yet.

    `k1` and `b` are BM25's, `memory` is in bytes for all sessions together.
    """

    database: Database
    connection: Pg
    version: Version
    storage: Storage
    members: dict[str, Any]
    k1: float
    b: float
    memory: int
    progress: Progress

    def run(self, outset: Outset) -> Loaded:
        """Make the tables and fill them."""
        with self.connection.transaction():
            hold_lease(self.connection, self.version)
            self.storage.create(self.connection)
        counted = self._slices("loading words", outset.slices, self._load_words)
        rows, words = (sum(each) for each in zip((0, 0), *counted, strict=True))
        weighting = {
            "average_length": words / rows if words else 1.0,
            "average_document_length": max(words, 1) / max(outset.expected.documents, 1),
            "k1": self.k1,
            "b": self.b,
        }
        params = {**self.members, **weighting}
        self.storage.index_lexical(self.connection)
        self._slices(
            "loading vectors",
            outset.slices,
            lambda connection, each: self.storage.load_vectors(connection, params, each),
        )
        self.storage.index_rows(self.connection)
        loaded = self._settle(outset, weighting)
        self._turn_around(loaded.expected.rows, weighting)
        return loaded

    def _load_words(self, connection: Pg, each: Slice) -> tuple[int, int]:
        return self.storage.load_words(connection, self.members, each)

    @tracing.spanned("settle")
    def _settle(self, outset: Outset, weighting: dict[str, Any]) -> Loaded:
        """Read again what has changed since the outset."""
        since = {"sources": self.members["sources"], "snapshot": outset.snapshot}
        with _one_moment(self.connection, self.version) as snapshot:
            if query(self.connection, "collect_unseen", since).rowcount:
                self.storage.replace_changed(self.connection, self.members, weighting)
            expected = count_expected(self.connection, self.members)
            as_of = listed_since(self.connection, self.members)
        lengths = (weighting["average_length"], weighting["average_document_length"])
        return Loaded(expected, snapshot["watermark"], as_of, *lengths)

    def _turn_around(self, rows: int, weighting: dict[str, Any]) -> None:
        """Let each word lead to its rows: within slices of rows first, then for slices of words over all."""
        storage = self.storage
        self._slices(
            "turning words around",
            cut(1, max(storage.last_slot(self.connection), 1), rows),
            lambda connection, each: storage.load_partials(connection, weighting, each),
        )
        storage.index_partials(self.connection)
        self._slices("building postings", cut(*TERMS, rows), storage.load_postings)
        storage.finish_postings(self.connection)

    def _slices(self, stage: str, slices: list[Slice], work: Callable[[Pg, Slice], Result]) -> list[Result]:
        """Do one step, slice by slice, and tell how many rows are done."""
        memory = max(min(SORT_MEMORY, self.memory // session_count(slices)), LEAST_SORT_MEMORY)

        def act(connection: Pg, each: Slice) -> Result:
            with connection.transaction():
                hold_lease(connection, self.version)
                self.storage.bound(connection, memory, is_one_of_many=len(slices) > 1)
                return work(connection, each)

        done, total = 0, sum(each.rows for each in slices)
        results: list[Result] = []
        self.progress(stage, 0, total)
        worked = closing(work_through(self.database, self.connection, slices, act))
        with tracing.span(stage, rows=total), worked as ended:
            for each, result in ended:
                done += each.rows
                results.append(result)
                self.progress(stage, done, total)
        return results


@contextmanager
def _one_moment(connection: Pg, version: Version) -> Iterator[dict[str, Any]]:
    """A transaction of the build whose statements all see the same moment, and what that is."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        hold_lease(connection, version)
        row = query(connection, "snapshot").fetchone()
        assert row is not None
        yield row
