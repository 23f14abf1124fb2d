"""Loads the content of listed documents that are new or changed, and stores it with their rows.

What belongs here: which of them are due, reading their bytes, and the transaction that keeps them. What does
not: finding out that they are new or changed (`listing`), parsing (`advance`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from rag_pipelines import __version__
from rag_pipelines.batching import batches
from rag_pipelines.connectors.base import Connector, Item
from rag_pipelines.errors import (
    CredentialError,
    DocumentError,
    FetchError,
    ForbiddenEntityError,
    TooLargeDocumentError,
    TransientError,
)
from rag_pipelines.fingerprint import fingerprint
from rag_pipelines.model import AccessRule
from rag_pipelines.store.database import Row, query
from rag_pipelines.store.documents import (
    Loaded,
    QuarantineEntry,
    attribute_params,
    documents_not_due,
    put_documents,
    quarantine,
    set_attributes,
)
from rag_pipelines.sync.diff import DocumentChange, compare_attributes
from rag_pipelines.sync.run import SourceRun


class Wanted(NamedTuple):
    """A listed item whose content has to be loaded, beside the row that is stored of it."""

    item: Item
    tenant: str
    attributes: UUID
    rule: AccessRule
    access_id: int
    known: Row | None

    def about(self, digest: bytes) -> tuple[Any, ...]:
        """What a decision on it rests on, when its content is `digest`."""
        return self.item.token, self.attributes.hex, msgspec.to_builtins(self.rule), digest.hex()


class Loading:
    """What one listing loads, in batches that are committed one by one.

    Args:
        begins: called before content is loaded.
    """

    def __init__(
        self, run: SourceRun, connector: Connector, begins: Callable[[], None] | None = None
    ) -> None:
        self._run = run
        self._connector = connector
        self._begins = begins
        self._loader = fingerprint([__version__, run.source.connector, run.settings.limits.parse.max_bytes])

    def load(self, wanted: Sequence[Wanted], *, full: bool = False) -> None:
        """Load, store and commit what is due, or all of it. What fails ends in quarantine."""
        limits = self._run.settings.limits
        due = wanted if full else self._due(wanted)
        for batch in batches(due, limits.batch_documents, limits.batch_bytes, lambda one: one.item.size or 0):
            self._load(batch)

    def _due(self, wanted: Sequence[Wanted]) -> Sequence[Wanted]:
        """Those that should be loaded now; what failed before waits for its time, and counts as failed."""
        if not wanted:
            return wanted
        run = self._run
        late = documents_not_due(
            run.connection,
            run.source_id,
            {one.item.external_id: one.item.token for one in wanted},
            code_version=self._loader,
            max_attempts=run.source.max_attempts,
        )
        for external_id in sorted(late):
            run.decide(DocumentChange.FAILED, external_id, "not due")
        return [one for one in wanted if one.item.external_id not in late]

    def _load(self, batch: list[Wanted]) -> None:
        """Load, store and commit one batch of new or changed content."""
        if self._begins:
            self._begins()
        run = self._run
        loaded: list[Loaded] = []
        same: list[dict[str, Any]] = []
        failures: list[QuarantineEntry] = []
        contents: list[tuple[Wanted, bytes]] = []
        decided: list[tuple[DocumentChange, str, Any]] = []
        self._connector.prefetch([one.item for one in batch])
        for one in batch:
            try:
                data = self._content(one.item)
            except (DocumentError, ForbiddenEntityError, TransientError) as error:
                identity, token = one.item.external_id, one.item.token
                failures.append(
                    QuarantineEntry("fetch", error, identity, content=token, code_version=self._loader)
                )
                decided.append((DocumentChange.FAILED, one.item.external_id, type(error).__name__))
                continue
            run.report.bytes_loaded += len(data)
            contents.append((one, data))
        digests = run.blobs.put_all("raw", [data for _, data in contents])
        for (one, data), digest in zip(contents, digests, strict=True):
            row, item = one.known, one.item
            if row is not None and bytes(row["raw_sha256"]) == digest:
                change = compare_attributes(one.attributes, one.access_id, row)
                params = attribute_params(item, one.tenant, one.attributes, one.access_id)
                same.append({"document_id": row["document_id"], **params})
            else:
                change = DocumentChange.ADDED if row is None else DocumentChange.CHANGED
                loaded.append(Loaded(item, one.tenant, one.attributes, one.access_id, digest, len(data)))
            decided.append((change, item.external_id, one.about(digest)))
        with run.writing() as connection:
            put_documents(connection, run.source_id, loaded)
            set_attributes(connection, same)
            quarantine(connection, run.source_id, failures)
            unchanged = [one["external_id"] for one in same]
            query(connection, "trust_content", {"source_id": run.source_id, "ids": unchanged})
            fetched = [one.item.external_id for one in loaded] + unchanged
            query(connection, "resolve_listing_failures", {"source_id": run.source_id, "ids": fetched})
        for change, external_id, about in decided:
            run.decide(change, external_id, about)

    def _content(self, item: Item) -> bytes:
        """The item's bytes; anything unforeseen that its connector raises costs this item alone."""
        limit = self._run.settings.limits.parse.max_bytes
        if item.size is not None and item.size > limit:
            raise TooLargeDocumentError(
                f"{item.size:,} bytes, the limit is {limit:,}; raise limits.parse.max_bytes to accept it"
            )
        try:
            return item.load()
        except (DocumentError, ForbiddenEntityError, TransientError, CredentialError):
            raise
        except Exception as error:
            raise FetchError(f"loading failed: {type(error).__name__}: {error}") from error
