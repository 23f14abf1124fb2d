"""What workers did, as spans of the run that waited for them.

What belongs here: which documents have spans of their own. What does not: what workers do (`prepare`), and
spans themselves (`tracing`).

A worker has no network and is not trusted: it says how long it took, and the run makes the spans. Of each
batch the slowest documents have some; of the others it is told how much they took together.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from rag_pipelines import tracing
from rag_pipelines.batching import blocks
from rag_pipelines.sync.commit import Spent, Work
from rag_pipelines.sync.prepare import Prepared, Rechunked
from rag_pipelines.workers.jobs import JobOutcome

SLOWEST = 4
"""Documents of a batch that have spans of their own."""


def spent_on(outcome: JobOutcome[Work, Prepared | Rechunked]) -> Spent | None:
    """What a worker spent on a document; None where none did anything, or nobody wants to know."""
    if not (outcome.ended and tracing.is_on()):
        return None
    chunk = outcome.value.seconds.chunk if isinstance(outcome.value, Prepared) else outcome.seconds
    return Spent(outcome.ended, outcome.seconds, 0.0 if outcome.value is None else chunk)


def traced_batches(works: Iterable[Work], size: int) -> Iterator[list[Work]]:
    """The same documents in batches; waiting for each is a span, with those of what workers did inside."""
    batches = blocks(works, size)
    while True:
        with tracing.span("parse") as span:
            batch = next(batches, None)
            if batch is not None and span.recording:
                _tell(span, batch)
        if batch is None:
            return
        yield batch


def _tell(span: tracing.Span, batch: list[Work]) -> None:
    worked = [(work.spent, work) for work in batch if work.spent is not None]
    span.set(
        documents=len(batch),
        worked_on=len(worked),
        parse_seconds=round(sum(spent.seconds - spent.chunk for spent, _ in worked), 4),
        chunk_seconds=round(sum(spent.chunk for spent, _ in worked), 4),
    )
    for spent, work in heapq.nlargest(SLOWEST, worked, key=lambda each: each[0].seconds):
        about = {
            "document": work.document_id,
            "media_type": work.summary.media_type if work.summary else None,
            "failed": work.error.status if work.error else None,
        }
        chunked = spent.ended - int(spent.chunk * 1e9)
        if spent.seconds > spent.chunk:
            tracing.past("parse document", chunked, spent.seconds - spent.chunk, **about)
        if spent.chunk:
            tracing.past("chunk document", spent.ended, spent.chunk, **about)
