"""Has done what documents lack: orders, and who carries them out.

What belongs here: the order, and carrying it out now. What does not: the tasks themselves (`prepare`), which
documents need one (`advance`), or results that were made beforehand (`rehearsal`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import NamedTuple, Protocol, TypeVar
from uuid import UUID

import msgspec

from rag_pipelines.embedding.base import Embedder
from rag_pipelines.embedding.specs import ChunkerSpec
from rag_pipelines.fingerprint import text_key
from rag_pipelines.model import Chunk
from rag_pipelines.parsing.stored import decode_parsed
from rag_pipelines.store.blobs import BlobStore
from rag_pipelines.sync.commit import Work
from rag_pipelines.sync.prepare import Prepared, PrepareTask, Rechunked, Task
from rag_pipelines.sync.run import SourceRun
from rag_pipelines.workers.jobs import JobOutcome

T = TypeVar("T")


class Blocks(NamedTuple):
    """Encoded blocks by their digest; `encoded` is None where they are in the blob store."""

    digest: bytes
    encoded: bytes | None = None


class WorkOrder(NamedTuple):
    """A task for the workers, but for the bytes of its document: these have `digest` in the blob store."""

    digest: bytes
    task: Task

    @property
    def key(self) -> UUID:
        """Equal for orders with the same result."""
        return text_key(self.digest.hex(), repr(msgspec.to_builtins(self.task)))

    def filled(self, blobs: BlobStore) -> Task:
        """The task with its bytes; raises `MissingContentError`."""
        if isinstance(self.task, PrepareTask):
            return msgspec.structs.replace(self.task, data=blobs.get("raw", self.digest))
        return msgspec.structs.replace(self.task, encoded=blobs.get("blocks", self.digest))


Ordering = Callable[[T], WorkOrder | None]


class Preparer(Protocol):
    """Carries out orders."""

    def map(
        self, works: Iterable[Work], order: Ordering[Work]
    ) -> Generator[JobOutcome[Work, Prepared | Rechunked]]:
        """The outcome of each document's order, in order; of one that lacks nothing, one without a value."""

    def chunk_with_model(
        self, blocks: Blocks, title: str | None, spec: ChunkerSpec, embedder: Embedder
    ) -> Sequence[Chunk]:
        """Chunks of blocks by a strategy that needs the model. Raises `DocumentError`."""


class LivePreparer:
    """Carries out orders now, in the run's workers and in this process."""

    def __init__(self, run: SourceRun) -> None:
        self._run = run

    def map(self, works: Iterable[T], order: Ordering[T]) -> Generator[JobOutcome[T, Prepared | Rechunked]]:
        """As `Preparer.map`; workers run ahead of the caller by one batch."""
        limits = self._run.settings.limits

        def task(work: T) -> Task | None:
            made = order(work)
            return made.filled(self._run.blobs) if made else None

        yield from self._run.workers.map(
            works, window=limits.batch_documents, window_bytes=4 * limits.batch_bytes, task=task
        )

    def chunk_with_model(
        self, blocks: Blocks, title: str | None, spec: ChunkerSpec, embedder: Embedder
    ) -> Sequence[Chunk]:
        """As `Preparer.chunk_with_model`."""
        from rag_pipelines.chunking.factory import make_chunker

        chunker = make_chunker(spec.options, embedder.tokenizer, embedder)
        encoded = blocks.encoded or self._run.blobs.get("blocks", blocks.digest)
        document = decode_parsed(encoded)
        return chunker.chunk(document, title or document.title)
