"""Loads the content of listed documents that are new or changed, and stores it with their rows.

What belongs here: which of them are due, and the transaction that keeps them. What does not: reading
their bytes (`origin`), finding out that they are new or changed (`listing`), parsing (`advance`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from rag_pipelines import tracing
from rag_pipelines.batching import batches
from rag_pipelines.connectors.base import Item
from rag_pipelines.errors import RagError
from rag_pipelines.model import AccessRule
from rag_pipelines.store.database import Pg, Row, query
from rag_pipelines.store.documents import (
    Loaded,
    QuarantineEntry,
    attribute_params,
    put_documents,
    set_attributes,
)
from rag_pipelines.sync.diff import DocumentChange, compare_attributes
from rag_pipelines.sync.origin import Fetched, SourceOrigin, loader_version
from rag_pipelines.sync.run import SourceRun


class Wanted(NamedTuple):
    """A listed item whose content has to be loaded, beside the row that is stored of it."""

    item: Item
    tenant: str
    attributes: UUID
    rule: AccessRule | None
    access_id: int
    known: Row | None
    masked_by: str | None = None

    def about(self, digest: bytes) -> tuple[Any, ...]:
        """What a decision on it rests on, when its content is `digest`."""
        return self.item.token, self.attributes.hex, msgspec.to_builtins(self.rule), digest.hex()


class Loading:
    """What one listing loads, in batches that are committed one by one.

    Args:
        begins: called before content is loaded.
    """

    def __init__(
        self, run: SourceRun, origin: SourceOrigin, begins: Callable[[], None] | None = None
    ) -> None:
        self._run = run
        self._origin = origin
        self._begins = begins
        self._loader = loader_version(run)

    def load(self, wanted: Sequence[Wanted], *, full: bool = False) -> None:
        """Load, store and commit what is due, or all of it. What fails ends in quarantine."""
        limits = self._run.settings.limits
        due = wanted if full else self.due(wanted)
        if self._begins and due:
            self._begins()
        made = list(batches(due, limits.batch_documents, limits.batch_bytes, lambda one: one.item.size or 0))
        items = ([one.item for one in batch] for batch in made)
        with closing(self._origin.fetch(items)) as fetched:
            for batch, answers in zip(made, tracing.each("load", fetched), strict=True):
                self._keep(batch, answers)

    def due(self, wanted: Sequence[Wanted]) -> Sequence[Wanted]:
        """Those that should be loaded now; what failed before waits for its time, and counts as failed."""
        if not wanted:
            return wanted
        late = self._origin.late([one.item for one in wanted])
        for external_id in sorted(late):
            self._run.decide(DocumentChange.FAILED, external_id, "not due")
        return [one for one in wanted if one.item.external_id not in late]

    @tracing.spanned("commit")
    def _keep(self, batch: list[Wanted], answers: list[Fetched | RagError]) -> None:
        """Commit one batch of new or changed content, which is stored."""
        run = self._run
        loaded: list[Loaded] = []
        same: list[dict[str, Any]] = []
        failures: list[QuarantineEntry] = []
        decided: list[tuple[DocumentChange, str, Any]] = []
        for one, answer in zip(batch, answers, strict=True):
            row, item = one.known, one.item
            if not isinstance(answer, Fetched):
                failures.append(
                    QuarantineEntry(
                        "fetch", answer, item.external_id, content=item.token, code_version=self._loader
                    )
                )
                decided.append((DocumentChange.FAILED, item.external_id, type(answer).__name__))
                continue
            digest, size = answer
            run.report.bytes_loaded += size
            if row is not None and bytes(row["raw_sha256"]) == digest:
                change = compare_attributes(one.attributes, one.access_id, row)
                params = attribute_params(item, one.tenant, one.attributes, one.access_id, one.masked_by)
                same.append({"document_id": row["document_id"], **params})
            else:
                change = DocumentChange.ADDED if row is None else DocumentChange.CHANGED
                about = (one.attributes, one.access_id, digest, size, one.masked_by)
                loaded.append(Loaded(item, one.tenant, *about))
            decided.append((change, item.external_id, one.about(digest)))
        with run.writing() as connection:
            stale = self._claim(connection, batch)
            purged = run.forgotten(one.item.external_id for one in batch)
            passed = stale | purged
            kept = [one for one in loaded if one.item.external_id not in passed]
            same = [one for one in same if one["external_id"] not in stale]
            put_documents(connection, run.source_id, kept)
            set_attributes(connection, same)
            run.quarantine(one for one in failures if one.external_id not in stale)
            unchanged = [one["external_id"] for one in same]
            query(connection, "trust_content", {"source_id": run.source_id, "ids": unchanged})
            fetched = [one.item.external_id for one in kept] + unchanged
            query(connection, "resolve_listing_failures", {"source_id": run.source_id, "ids": fetched})
            self._drop(one.raw_sha256 for one in loaded if one.item.external_id in purged)
        if kept and run.purged_beside():
            self._fetch_again([one.item for one in kept if not run.blobs.holds("raw", one.raw_sha256)])
        for change, external_id, about in decided:
            if external_id not in passed:
                run.decide(change, external_id, about)

    def _claim(self, connection: Pg, batch: Sequence[Wanted]) -> set[str]:
        """In the transaction that keeps a batch, before all else: ids of what must not be kept."""
        return set()

    def _fetch_again(self, items: list[Item]) -> None:
        """Store content that went with a purge of another document before it was named."""
        for _ in self._origin.fetch([items] if items else []):
            pass

    def _drop(self, digests: Iterable[bytes]) -> None:
        """Remove what was loaded of documents that were purged before it was kept, unless others hold it."""
        loaded = set(digests)
        if loaded:
            connection = self._run.connection
            query(connection, "ensure_removal")
            query(connection, "begin_removal")
            known = query(connection, "known_raw", {"digests": list(loaded)})
            for digest in loaded - {bytes(row["digest"]) for row in known}:
                self._run.blobs.delete("raw", digest)
            query(connection, "end_removal")
