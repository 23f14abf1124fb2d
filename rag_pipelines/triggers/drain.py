"""Emptying the queues of the configured sources into hints.

What belongs here: the order (a message is deleted after its hints are committed), and queues that several
sources share. What does not: what is done about hints.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import closing

from rag_pipelines import logs
from rag_pipelines.config.settings import Settings
from rag_pipelines.config.triggers import QueueTrigger, SqsTrigger
from rag_pipelines.errors import RagError
from rag_pipelines.store.database import Database
from rag_pipelines.store.hints import put_hints
from rag_pipelines.triggers.messages import named_objects
from rag_pipelines.triggers.queue import Queue

BATCHES = 100
"""Of one queue at a time. What is left waits for the next drain; one hint is enough to start a run."""

log = logs.get(__name__)


def drain_queues(database: Database, settings: Settings, names: Collection[str]) -> dict[str, RagError]:
    """Turn the messages of the queues of the sources `names` into hints.

    A queue's message hints at every source that names the queue. A queue that cannot be read does not stop
    the others; returns what went wrong, by source.
    """
    readers: dict[QueueTrigger, list[str]] = {}
    for name, source in settings.sources.items():
        for trigger in source.triggers.queues:
            readers.setdefault(trigger, []).append(name)
    errors: dict[str, RagError] = {}
    for trigger, sources in readers.items():
        if any(name in names for name in sources):
            try:
                with closing(open_queue(trigger)) as queue:
                    messages = drain(database, queue, sources)
                log.info("queue drained", sources=sources, messages=messages)
            except RagError as error:
                log.warning("queue not drained", sources=sources, reason=str(error))
                errors |= dict.fromkeys(sources, error)
    return errors


def drain(database: Database, queue: Queue, sources: Sequence[str]) -> int:
    """Turn the messages of `queue` into hints at `sources`; how many there were."""
    drained = 0
    for _ in range(BATCHES):
        messages = queue.receive()
        if not messages:
            break
        named = [key for message in messages for key in named_objects(message.body)]
        with database.transaction() as connection:
            put_hints(connection, sources, named)
        queue.delete(messages)
        drained += len(messages)
    return drained


def open_queue(trigger: QueueTrigger) -> Queue:
    """The queue that a source names."""
    if isinstance(trigger, SqsTrigger):
        from rag_pipelines.triggers.sqs import SqsQueue

        return SqsQueue(trigger)
    from rag_pipelines.triggers.azure_queue import AzureQueue

    return AzureQueue(trigger)
