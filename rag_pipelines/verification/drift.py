"""What a verification can find wrong, what each kind means, and what mends it; the certificate that says so.

What belongs here: these values. What does not: finding (`verify`) and mending (`repair`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from rag_pipelines.stored import Form


class Remedy(StrEnum):
    """What mends a kind of drift. Only a PERSON is asked; the rest is done by a repair."""

    INGEST = "ingest"
    REOPEN = "reopen"
    """Put back to work what is damaged, then ingest."""
    BUILD = "build"
    REBUILD = "rebuild"
    """A full build: what a version lacks without having been told cannot be caught up."""
    PERSON = "person"


class Kind(msgspec.Struct, frozen=True):
    """One kind of drift: which check it fails, what it means, what mends it."""

    check: str
    meaning: str
    remedy: Remedy


KINDS: Mapping[str, Kind] = {
    "listing": Kind("listed_is_stored", "the source could not be listed completely", Remedy.INGEST),
    "not_stored": Kind("listed_is_stored", "the source lists it, it is not stored", Remedy.INGEST),
    "gone": Kind("listed_is_stored", "it is stored, the source does not list it", Remedy.INGEST),
    "parked": Kind("listed_is_stored", "gone, and its deletion waits for a decision", Remedy.PERSON),
    "kept": Kind("listed_is_stored", "gone, and served on because its deletion was rejected", Remedy.PERSON),
    "not_parsed": Kind("stored_is_processed", "its bytes have not been parsed", Remedy.INGEST),
    "not_chunked": Kind("stored_is_processed", "its blocks have not been chunked", Remedy.INGEST),
    "not_embedded": Kind("stored_is_processed", "its chunks have not been embedded", Remedy.INGEST),
    "not_quarantined": Kind("stored_is_processed", "it failed, and is not in quarantine", Remedy.INGEST),
    "chunks_lost": Kind("content_is_there", "chunks are missing that were stored", Remedy.REOPEN),
    "vectors_lost": Kind("content_is_there", "vectors are missing that were stored", Remedy.REOPEN),
    "bytes_lost": Kind("content_is_there", "its bytes are not in the blob store", Remedy.REOPEN),
    "blocks_lost": Kind("content_is_there", "its blocks are not in the blob store", Remedy.REOPEN),
    "access": Kind("access_is_fresh", "its access rule was read longer ago than promised", Remedy.INGEST),
    "no_version": Kind("processed_is_indexed", "the index has no live version", Remedy.BUILD),
    "behind": Kind("processed_is_indexed", "it changed since the live version was built", Remedy.BUILD),
    "not_indexed": Kind("processed_is_indexed", "the live version lacks it", Remedy.REBUILD),
    "surplus": Kind(
        "processed_is_indexed", "the live version has chunks that are not its own", Remedy.REBUILD
    ),
    "vector_rows": Kind("processed_is_indexed", "the live version lacks some of its vectors", Remedy.REBUILD),
    "word_rows": Kind("processed_is_indexed", "the live version lacks some of its terms", Remedy.REBUILD),
    "stray": Kind("processed_is_indexed", "only the live version has it", Remedy.REBUILD),
}

OF_ANOTHER_RELEASE = Kind(
    "listed_is_stored", "another release found it, and this one has no such kind", Remedy.PERSON
)

CHECKS: Mapping[str, str] = {
    "listed_is_stored": "What the source lists and what is stored are the same documents.",
    "stored_is_processed": "Every stored document is parsed, chunked and embedded, or in quarantine.",
    "content_is_there": "Bytes, blocks, chunks and vectors that the catalogue counts are there.",
    "access_is_fresh": "Access rules were read from the source as recently as promised.",
    "processed_is_indexed": "The live version of each index has all chunks of every document, and no others.",
}
"""The checks that the kinds belong to, and what each asks."""

ADVICE: Mapping[Remedy, str] = {
    Remedy.INGEST: "rag-pipelines ingest {source}",
    Remedy.REOPEN: "rag-pipelines verify {source} --repair",
    Remedy.BUILD: "rag-pipelines index build {index}",
    Remedy.REBUILD: "rag-pipelines index build {index} --full",
    Remedy.PERSON: "rag-pipelines deletes list",
}


class Drift(msgspec.Struct, frozen=True):
    """Documents that drifted in one way: how many, and the ids of some."""

    kind: str
    documents: int
    samples: list[str] = []


class CertificateRecord(msgspec.Struct, frozen=True):
    """What a certificate says, as it is stored."""

    counts: dict[str, int | None]
    drift: list[Drift] = []


CERTIFICATE = Form("certificate", CertificateRecord)


class Certificate(msgspec.Struct, frozen=True):
    """What held of a source at one time: in the catalogue (`version` None), or in one index version.

    `counts` are documents along the stages, chunks or rows, and ages in seconds. Complete without drift.
    """

    source: str
    index: str | None
    version: int | None
    counts: dict[str, int | None]
    drift: list[Drift]
    made_at: datetime | None = None

    @property
    def complete(self) -> bool:
        """Whether everything is where it should be."""
        return not self.drift

    def advice(self, drift: Drift) -> str:
        """The command that mends `drift`."""
        if drift.kind not in KINDS:
            return f"rag-pipelines verify {self.source}"
        index = drift.samples[0] if drift.kind == "no_version" else self.index
        decided = " --all" if drift.kind == "kept" else ""
        return ADVICE[KINDS[drift.kind].remedy].format(source=self.source, index=index) + decided


def kind_of(drift: Drift) -> Kind:
    """What a drift means; a certificate may be of a release that knew other kinds."""
    return KINDS.get(drift.kind, OF_ANOTHER_RELEASE)


def remedies(certificates: Iterable[Certificate]) -> set[Remedy]:
    """What all drift together calls for."""
    return {kind_of(drift).remedy for one in certificates for drift in one.drift}
