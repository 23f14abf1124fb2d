"""The line of jobs between the caller of a worker pool and its workers.

What belongs here: waiting, handing out, settling. What does not: children and what their loss means
(`pool`), or anything that knows what a task is.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from contextvars import copy_context
from typing import Any, Generic, TypeVar, cast

import msgspec

from rag_pipelines.errors import DocumentError

Item = TypeVar("Item")
Result = TypeVar("Result")


class JobOutcome(msgspec.Struct, Generic[Item, Result]):
    """What became of one item: a value or an error, or neither where there was nothing to run.

    `seconds` is the wall time the task took, `cpu_seconds` the processor time of its child, which is 0
    when the child was lost. Both are 0 when the task never reached one. `ended` is when that was known, in
    nanoseconds since 1970.
    """

    item: Item
    value: Result | None = None
    error: DocumentError | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    ended: int = 0


class Job:
    """A task on its way: its item, its encoded form and, in the end, its outcome.

    `context` is that of the caller, which the log of a worker's death carries. `alone` says that nothing
    else is to run beside it.
    """

    __slots__ = ("alone", "context", "item", "outcome", "payload", "size")

    def __init__(self, item: Any) -> None:
        self.item = item
        self.alone = False
        self.context = copy_context()
        self.payload = b""
        self.size = 0
        self.outcome: JobOutcome[Any, Any] | None = None


class Jobs:
    """The jobs that wait for a worker, and the meeting point of the caller and the workers."""

    def __init__(self) -> None:
        self._waiting: deque[Job] = deque()
        self._waiting_alone: deque[Job] = deque()
        self._at_work = 0
        self._lonely = False
        self._lock = threading.Lock()
        self._available = threading.Condition(self._lock)
        self._settled = threading.Condition(self._lock)
        self._awaited: Job | None = None
        self._idle_workers = 0
        self._fault: BaseException | None = None
        self._closed = False

    def add(self, job: Job) -> bool:
        """Put a job in line; True if no worker is free to take it."""
        with self._lock:
            self._waiting.append(job)
            self._available.notify()
            return len(self._waiting) > self._idle_workers

    def put_back(self, jobs: Iterable[Job]) -> None:
        """Put jobs that were taken back in front of the line."""
        with self._lock:
            taken = list(jobs)
            self._at_work -= len(taken)
            self._waiting.extendleft(reversed(taken))
            self._available.notify_all()

    def put_alone(self, job: Job) -> None:
        """Put a job that was taken aside, until no other waits and none is at work."""
        with self._lock:
            job.alone = True
            self._lonely = False
            self._at_work -= 1
            self._waiting_alone.append(job)
            self._available.notify_all()

    def take(self) -> Job | None:
        """The next job, as soon as there is one; None when the pool is closed."""
        with self._lock:
            self._idle_workers += 1
            self._available.wait_for(lambda: self._closed or self._line())
            self._idle_workers -= 1
            if self._closed:
                return None
            job = self._line().popleft()
            self._at_work += 1
            self._lonely = job.alone
            return job

    def take_small(self, max_size: int) -> Job | None:
        """The next job if there is one now and it is no larger than `max_size` bytes."""
        with self._lock:
            if self._waiting and self._waiting[0].size <= max_size and not self._lonely:
                self._at_work += 1
                return self._waiting.popleft()
            return None

    def _line(self) -> deque[Job]:
        """The line of which the next job may be taken now; an empty one where none may."""
        if self._lonely:
            return deque()
        return self._waiting if self._waiting or self._at_work else self._waiting_alone

    def settle(self, job: Job, outcome: JobOutcome[Any, Any], size: int) -> None:
        """Give a job its outcome, which takes `size` bytes."""
        with self._lock:
            job.payload, job.size, job.outcome = b"", size, outcome
            self._at_work -= 1
            if self._waiting_alone or job.alone:
                self._lonely = False
                self._available.notify_all()
            if job is self._awaited:
                self._settled.notify()

    def wait(self, job: Job) -> JobOutcome[Any, Any]:
        """The outcome of a job, as soon as it has one. Raises what a worker failed with."""
        with self._lock:
            self._awaited = job
            self._settled.wait_for(lambda: job.outcome or self._fault)
            if job.outcome is None:
                raise cast(BaseException, self._fault)
            return job.outcome

    def fail(self, fault: BaseException) -> None:
        """Make the caller raise `fault`."""
        with self._lock:
            self._fault = self._fault or fault
            self._settled.notify()

    def close(self) -> None:
        """Send the workers home."""
        with self._lock:
            self._closed = True
            self._available.notify_all()
