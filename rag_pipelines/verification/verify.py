"""Re-derives the truth about a source from a fresh listing of ids and from the live indexes; certifies it.

What belongs here: looking and comparing. What does not: what a finding means (`drift`), mending (`repair`).

The source's lease is held meanwhile, so that nothing changes between the listing and the comparison. Nothing
but certificates is written.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from rag_pipelines import logs
from rag_pipelines.batching import blocks
from rag_pipelines.config.settings import Settings
from rag_pipelines.connectors.base import Complete, Connector, Failure, source_failure
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.errors import MissingContentError
from rag_pipelines.index.versions import Version, live_version
from rag_pipelines.progress import Progress, no_progress
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.blobs import BlobStore, Kind
from rag_pipelines.store.database import Part, Pg, Row, query
from rag_pipelines.store.inbox import open_connector
from rag_pipelines.store.lease import source_lease
from rag_pipelines.stored import FORMAT, split_form
from rag_pipelines.sync.targets import Targets, source_targets
from rag_pipelines.verification.drift import CERTIFICATE, Certificate, CertificateRecord, Drift

log = logs.get(__name__)

SAMPLES = 10
"""Ids kept of each kind of drift."""

BLOCK = 5_000
"""Ids and digests sent to the database at once."""

KEPT = 100
"""Certificates kept of one source."""


def verify_source(
    runtime: Runtime,
    source: str,
    *,
    deep: bool = False,
    progress: Progress = no_progress,
) -> list[Certificate]:
    """Compare a source, the catalogue, the blob store and the live versions; the certificates are kept.

    The first certificate is that of the catalogue; one follows for the live version of each index it feeds.

    Args:
        deep: read every object of the source's documents and compare it with its name; damaged ones are
            reported as lost. Otherwise objects only have to be there.

    Raises:
        UsageError: there is no such source, or a run holds it.
        CredentialError, TransientError, UnlistableError: the source cannot be listed at all.
    """
    connector_kind = runtime.settings.source(source).connector
    with (
        source_lease(runtime.database, source, connector_kind) as lease,
        closing(open_connector(runtime.settings, source, lease.connection)) as connector,
    ):
        look = _Verification(
            lease.connection, lease.source_id, runtime.settings, source, runtime.embedders, progress
        )
        certificates = [look.catalogue(connector, deep=deep), *look.versions()]
        with lease.connection.transaction():
            for one in certificates:
                found = CERTIFICATE.encode(CertificateRecord(one.counts, one.drift))
                put = {
                    "source_id": lease.source_id,
                    "version_id": one.version,
                    "complete": one.complete,
                    "counts": Jsonb({FORMAT: found[FORMAT], **found["counts"]}),
                    "drift": Jsonb(found["drift"]),
                }
                query(lease.connection, "put_certificate", put)
            query(lease.connection, "prune_certificates", {"source_id": lease.source_id, "keep": KEPT})
    for one in certificates:
        log.log(
            logging.INFO if one.complete else logging.WARNING,
            "verified",
            source=source,
            index=one.index,
            version=one.version,
            complete=one.complete,
            drifted=sum(drift.documents for drift in one.drift),
        )
    return certificates


def newest_certificates(connection: Pg, source: str) -> list[Certificate]:
    """What the newest verification of a source certified, the catalogue first; empty before the first."""
    certificates = []
    for row in query(connection, "certificates", {"source": source}):
        number, counts = split_form(row["counts"])
        found = CERTIFICATE.decode({FORMAT: number, "counts": counts, "drift": row["drift"]})
        certificates.append(Certificate(**{**row, "counts": found.counts, "drift": found.drift}))
    return certificates


def list_stored_blobs(connection: Pg, store: BlobStore) -> None:
    """Fill the temporary table `stored_blob` with the addresses of all objects of the store."""
    query(connection, "make_stored_blobs")
    kinds: tuple[Kind, ...] = ("raw", "blocks")
    for kind in kinds:
        for digests in blocks(store.digests(kind), BLOCK):
            query(connection, "add_stored_blobs", {"kind": kind, "digests": digests})
    query(connection, "analyze_temporary")


def find_damaged_blobs(connection: Pg, source_id: int, store: BlobStore) -> Iterator[tuple[Kind, bytes]]:
    """Read every stored object of a source's documents; those that are not what their name says."""
    after: dict[str, Any] = {"kind": "", "digest": b""}
    params = {"source_id": source_id, "limit": BLOCK}
    while rows := query(connection, "source_blobs", {**params, **after}).fetchall():
        for row in rows:
            try:
                store.get(row["kind"], bytes(row["digest"]))
            except MissingContentError:
                yield row["kind"], bytes(row["digest"])
        after = rows[-1]


class _Verification:
    """One verification of one source, holding its lease."""

    def __init__(
        self,
        connection: Pg,
        source_id: int,
        settings: Settings,
        source: str,
        embedders: Embedders,
        progress: Progress,
    ) -> None:
        self._connection = connection
        self._source_id = source_id
        self._settings = settings
        self._source = source
        self._progress = progress
        self._targets: Targets = source_targets(connection, settings, source, embedders)

    def catalogue(self, connector: Connector, *, deep: bool) -> Certificate:
        """The source against the catalogue, and the catalogue against what it says it stores."""
        complete, unlisted = self._list(connector)
        params = {
            "source_id": self._source_id,
            "chunkers": [model.chunker_id for model in self._targets.models],
            "models": [model.profile_id for model in self._targets.models],
            "limit": SAMPLES,
        }
        drift = [] if complete else [Drift("listing", 0, unlisted)]
        found = self._drift("verify_listing", params)
        drift += [one for one in found if complete or one.kind == "not_stored"]
        drift += self._pending()
        drift += self._drift("verify_content", params)
        store = BlobStore.of(self._settings)
        list_stored_blobs(self._connection, store)
        if deep:
            for kind, digest in list(find_damaged_blobs(self._connection, self._source_id, store)):
                query(self._connection, "forget_stored_blob", {"kind": kind, "digest": digest})
        drift += self._drift("verify_blobs", params)
        counts = query(self._connection, "verify_counts", params).fetchone()
        assert counts is not None
        drift += self._access(connector, counts)
        drift += self._unbuilt(counts)
        return Certificate(self._source, None, None, counts, drift)

    def versions(self) -> Iterator[Certificate]:
        """The catalogue against the live version of each index."""
        for name in self._settings.indexes_of(self._source):
            version = live_version(self._connection, name)
            if version is not None:
                self._progress(f"compare {name}", 0, None)
                yield self._version(version)

    def _list(self, connector: Connector) -> tuple[bool, list[str]]:
        """Put the ids of a fresh listing into `listed`; whether it saw everything, and what it did not."""
        query(self._connection, "make_listed")
        complete: Complete | None = None
        unlisted: list[str] = []
        seen = 0
        for block in blocks(connector.ids(), BLOCK):
            ids: list[str] = []
            for entry in block:
                match entry:
                    case str():
                        ids.append(entry)
                    case Failure():
                        if entry.whole:
                            raise source_failure(self._source, entry)
                        if entry.external_id is not None:
                            ids.append(entry.external_id)
                        elif entry.hides_documents:
                            unlisted.append(entry.entity or "?")
                    case Complete():
                        complete = entry
            seen += query(self._connection, "add_listed", {"ids": ids}).rowcount
            self._progress("list", seen, None)
        whole = complete is not None and complete.full and complete.count == seen and not unlisted
        return whole, unlisted[:SAMPLES]

    def _drift(self, name: str, params: dict[str, Any], parts: dict[str, Any] | None = None) -> list[Drift]:
        rows = query(self._connection, name, params, parts)
        return [Drift(row["kind"], row["documents"], row["samples"]) for row in rows]

    def _pending(self) -> list[Drift]:
        """What a run would take up, as the run itself finds it; what failed and is due again is no drift."""
        targets = self._targets
        params = {
            **targets.lacking(targets.chunkers),
            "source_id": self._source_id,
            "bucket": None,
            "max_attempts": self._settings.source(self._source).max_attempts,
            "limit": BLOCK,
            "after": 0,
        }
        found: dict[str, list[str]] = {"not_parsed": [], "not_chunked": [], "not_quarantined": []}
        all_: dict[str, Part] = {"documents": sql.SQL("true")}
        while rows := query(self._connection, "pending_documents", params, all_).fetchall():
            for row in rows:
                if not row["attempts"]:
                    found[_lack(row)].append(row["external_id"])
            params["after"] = rows[-1]["document_id"]
        return [Drift(kind, len(ids), sorted(ids)[:SAMPLES]) for kind, ids in found.items() if ids]

    def _access(self, connector: Connector, counts: Row) -> list[Drift]:
        """Rules come with full listings, members with listings of groups; each has its own promise."""
        source, able = self._settings.source(self._source), connector.capabilities
        late = []
        if able.permissions and _late(counts["listing_age_s"], max(source.freshness, source.full_listing)):
            late.append("the last full listing")
        if able.groups and _late(counts["groups_age_s"], max(source.freshness, source.group_listing)):
            late.append("the last listing of groups")
        return [Drift("access", counts["stored"], late)] if late and counts["stored"] else []

    def _unbuilt(self, counts: Row) -> list[Drift]:
        """Indexes that should show documents of the source and have no live version."""
        names = self._settings.indexes_of(self._source)
        unbuilt = [name for name in names if live_version(self._connection, name) is None]
        return [Drift("no_version", counts["embedded"], [name]) for name in unbuilt if counts["embedded"]]

    def _version(self, version: Version) -> Certificate:
        params = {
            "source_id": self._source_id,
            "chunker_id": version.chunker_id,
            "model_id": version.model_id,
            "member": self._source in version.sources,
            "watermark": version.watermark,
            "limit": SAMPLES,
        }
        parts = {kind: f"{kind}_{version.storage}" for kind in ("vectors", "lexical", "documents")}
        rows = query(self._connection, "verify_version", params, parts).fetchall()
        sound = next((row for row in rows if row["kind"] is None), {"documents": 0})
        drift = [Drift(row["kind"], row["documents"], row["samples"]) for row in rows if row["kind"]]
        drift += self._drift("verify_strays", {"limit": SAMPLES}, parts)
        age = query(self._connection, "version_age", {"version_id": version.version_id}).fetchone()
        counts = {
            "indexed": sound["documents"],
            "rows": sum(row["rows"] for row in rows),
            "age_s": age["age_s"] if age else None,
        }
        return Certificate(self._source, version.index_name, version.version_id, counts, drift)


def _lack(row: Row) -> str:
    """Why a document is pending."""
    if row["parse_id"] is None:
        return "not_parsed"
    return "not_chunked" if row["status"] == "ok" else "not_quarantined"


def _late(seconds: int | None, allowed: timedelta) -> bool:
    return seconds is None or seconds > allowed.total_seconds()
