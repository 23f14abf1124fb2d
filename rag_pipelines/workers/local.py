"""The worker pool without processes: runs each task in the process and the thread of the caller.

What belongs here: the same tasks, windows, errors and wire format as in `pool`, and nothing around them. What
does not: limits of time and memory and the sandbox, which only another process can have. It is for a parser
that is being debugged or profiled, and for tests that are not about processes; never for documents that
are not trusted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from rag_pipelines.workers.jobs import Job, JobOutcome
from rag_pipelines.workers.loop import answer, wire_types
from rag_pipelines.workers.pool import Result, Task, WorkerPool, outcome_of


class LocalPool(WorkerPool[Task, Result]):
    """A `WorkerPool` that starts no process.

    A task is run when its outcome is asked for. Of the limits, the function still sees to its own (size,
    pages, characters); `seconds` and `memory_mb` bound nothing.
    """

    def __init__(self, function: Callable[[Task], Result]) -> None:
        super().__init__(function, workers=1)
        self._function = function
        self._decode_task = msgspec.msgpack.Decoder(wire_types(function)[0])

    def warm(self) -> None:
        """Nothing: there is no child to start."""

    def _enqueue(self, job: Job) -> None:
        pass

    def _settle(self, job: Job) -> JobOutcome[Any, Result]:
        if job.outcome is None:
            reply = answer(self._function, self._decode_task, msgspec.msgpack.Encoder(), job.payload)
            job.outcome = outcome_of(job.item, reply, self._decode_result)
        return job.outcome
