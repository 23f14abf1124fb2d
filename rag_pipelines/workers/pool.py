"""The worker pool: runs one function on many untrusted tasks in processes that may die.

What belongs here: which task goes to which child, what the loss of a child means, bounded memory.
What does not: the line of jobs (`jobs`), one child (`child`), the sandbox (`sandbox`), what is done to
a document (`sync.prepare`).

A thread per worker feeds one child and waits for it, so children go on working while the caller is
busy with a batch. Short tasks are sent ahead, so that a child never waits for its next one. When a
child is lost, the oldest task it had is to blame and the others are given out again. A verdict of
crash or memory is passed only on the first task of a fresh child, because a task could otherwise pay
for what an earlier one broke or leaked; one of time only on a task that ran alone and with twice the time,
and for which there is no `quicker` one.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import msgspec

from rag_pipelines import logs
from rag_pipelines.errors import (
    DocumentError,
    ParseCrashError,
    ParseMemoryError,
    ParseTimeoutError,
    PoisonDocumentError,
    UsageError,
)
from rag_pipelines.parsing.base import ParseLimits
from rag_pipelines.workers.child import Child, Interrupted, Lost
from rag_pipelines.workers.jobs import Job, JobOutcome, Jobs
from rag_pipelines.workers.loop import Reply, WorkerSettings, error_of, wire_types

log = logs.get(__name__)

Task = TypeVar("Task")
Result = TypeVar("Result")
Item = TypeVar("Item")

_AHEAD_SECONDS = 0.02
"""How much work is sent to a child ahead: enough to cover the time its thread may wait for the GIL."""

_MAX_AHEAD = 64

_SECOND_TIME = 2.0
"""How many times `limits.seconds` a task has that took too long beside others and is tried again alone."""

_decode_reply = msgspec.msgpack.Decoder(Reply).decode


class WorkerPool(Generic[Task, Result]):
    """Child processes that run `function` on tasks, each within `limits`.

    Children are started when there is work for them and live until the pool is closed. Use it as a
    context manager, from one thread at a time.

    Args:
        function: a top-level function of one parameter; its annotations are types that msgspec can
            encode, because tasks and results travel as MessagePack.
        workers: how many children at most; by default one for each processor.
        limits: `seconds` (of processor time, and of time without it that is no waiting for it) and
            `memory_mb` bound each task; the function sees to the rest.
        recycle_after: a child is replaced after so many tasks, so that leaks do not add up.
        recycle_memory: a child is replaced when it keeps more than this share of `memory_mb`.
        quicker: makes of a task that took too long, also alone and with twice the time, one that does with
            less and is tried as long again; None where there is none.

    Raises:
        UsageError: `function` cannot be found by name from another process.
    """

    def __init__(
        self,
        function: Callable[[Task], Result],
        *,
        workers: int | None = None,
        limits: ParseLimits = ParseLimits(),
        recycle_after: int = 5_000,
        recycle_memory: float = 0.5,
        quicker: Callable[[Task], Task | None] | None = None,
    ) -> None:
        name = f"{function.__module__}:{function.__qualname__}"
        if function.__module__ == "__main__" or "<" in name:
            raise UsageError(
                f"{name} cannot be run by a worker; give a top-level function of an importable module"
            )
        self.limits = limits
        self._settings = WorkerSettings(name, limits, os.getpid())
        self._encode = msgspec.msgpack.Encoder().encode
        wanted, given = wire_types(function)
        self._read_task = msgspec.msgpack.Decoder(wanted).decode
        self._decode_result = msgspec.msgpack.Decoder(given).decode
        self._quicker = quicker
        self._workers = workers or os.cpu_count() or 1
        self._recycle_after = recycle_after
        self._recycle_bytes = int(recycle_memory * (limits.memory_mb << 20))

        self._jobs = Jobs()
        self._threads: list[_Worker] = []
        self._folder: Path | None = None
        self._wake: tuple[int, int] = (-1, -1)

    def __enter__(self) -> WorkerPool[Task, Result]:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def map(
        self,
        items: Iterable[Item],
        *,
        window: int = 64,
        window_bytes: int = 256 << 20,
        task: Callable[[Item], Task | None] | None = None,
    ) -> Generator[JobOutcome[Item, Result], None, None]:
        """The outcome of each item, in order.

        Args:
            items: pulled lazily, in the caller's thread.
            window: at most so many items have been pulled and not yet given back.
            window_bytes: nothing more is pulled while the tasks and results held take more than this.
            task: makes the task of an item, in the caller's thread; a `DocumentError` it raises becomes
                the item's outcome, and None says that nothing is to be run: an outcome without a value,
                in its place. By default the item is the task.

        Raises:
            RagError: an error of a task that is not a `DocumentError` (it says that the run is wrong,
                not the document), or a worker that cannot start.

        Leaving the iterator before its end stops the children.
        """
        source = iter(items)
        pending: deque[Job] = deque()
        exhausted = False
        try:
            while True:
                while (
                    not exhausted
                    and len(pending) < window
                    and sum(job.size for job in pending) <= window_bytes
                ):
                    try:
                        item = next(source)
                    except StopIteration:
                        exhausted = True
                    else:
                        pending.append(self._submit(item, task))
                if not pending:
                    return
                outcome = self._settle(pending[0])
                pending.popleft()
                yield outcome
        finally:
            if pending:
                self.close()

    def warm(self) -> None:
        """Start the children now, for work that is about to come."""
        while len(self._threads) < self._workers:
            self._start_worker(early=True)

    def close(self) -> None:
        """Stop all children at once, whatever they do. The pool may be used again."""
        if self._folder is None:
            return
        self._jobs.close()
        os.close(self._wake[1])
        for thread in self._threads:
            thread.join()
        os.close(self._wake[0])
        shutil.rmtree(self._folder, ignore_errors=True)
        self._jobs, self._threads, self._folder = Jobs(), [], None

    def _submit(self, item: Item, make_task: Callable[[Item], Task | None] | None) -> Job:
        job = Job(item)
        try:
            made = make_task(item) if make_task else item
        except DocumentError as error:
            job.outcome = JobOutcome(item, error=error)
            return job
        if made is None:
            job.outcome = JobOutcome(item)
            return job
        try:
            job.payload = self._encode(made)
        except UnicodeEncodeError as error:
            job.outcome = JobOutcome(
                item, error=DocumentError(f"the task holds text that is not Unicode: {error}")
            )
            return job
        job.size = len(job.payload)
        self._enqueue(job)
        return job

    def _enqueue(self, job: Job) -> None:
        """Give a job to whoever runs it."""
        if self._jobs.add(job) and len(self._threads) < self._workers:
            self._start_worker()

    def _settle(self, job: Job) -> JobOutcome[Any, Result]:
        """The outcome of a job, as soon as there is one."""
        return self._jobs.wait(job)

    def _start_worker(self, *, early: bool = False) -> None:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="rag-pipelines-"))
            self._wake = os.pipe()
        worker = _Worker(
            self._jobs,
            start_child=partial(Child, self._settings, self._folder, self._wake[0]),
            decode=self._decode_result,
            quicker=self._make_quicker,
            seconds=self.limits.seconds,
            recycle_after=self._recycle_after,
            recycle_bytes=self._recycle_bytes,
            early=early,
        )
        self._threads.append(worker)
        worker.start()

    def _make_quicker(self, payload: bytes) -> bytes | None:
        """The encoded task that does with less time than that in `payload`; None where there is none."""
        task = None if self._quicker is None else self._quicker(self._read_task(payload))
        return None if task is None else self._encode(task)


class _Worker(threading.Thread):
    """Feeds one child after another and settles the jobs they answer."""

    def __init__(
        self,
        jobs: Jobs,
        *,
        start_child: Callable[[], Child],
        decode: Callable[[msgspec.Raw], Any],
        quicker: Callable[[bytes], bytes | None],
        seconds: float,
        recycle_after: int,
        recycle_bytes: int,
        early: bool,
    ) -> None:
        super().__init__(name="parsing worker", daemon=True)
        self._jobs = jobs
        self._start_child = start_child
        self._decode = decode
        self._quicker = quicker
        self._seconds = seconds
        self._recycle_after = recycle_after
        self._recycle_bytes = recycle_bytes
        self._early = early
        self._child: Child | None = None
        self._answers = 0
        self._worn = False
        self._sent: deque[Job] = deque()
        self._began = 0.0
        self._task_seconds = _AHEAD_SECONDS

    def run(self) -> None:
        """Work until the pool is closed."""
        try:
            if self._early:
                self._child = self._start_child()
            while job := self._jobs.take():
                self._send(job)
                while self._sent:
                    self._send_ahead()
                    self._receive()
        except Interrupted:
            pass
        except BaseException as fault:
            self._jobs.fail(fault)
        finally:
            self._drop_child()

    def _send(self, job: Job) -> None:
        if self._child is None:
            self._child = self._start_child()
        if not self._sent:
            self._began = time.monotonic()
        self._sent.append(job)
        self._child.send(job.payload)

    def _send_ahead(self) -> None:
        """Send short tasks behind the one at work, as many as fit into a moment and into the pipe."""
        child = cast(Child, self._child)
        ahead = 0 if self._worn else min(_MAX_AHEAD, int(_AHEAD_SECONDS / self._task_seconds))
        while len(self._sent) <= ahead:
            job = self._jobs.take_small(child.capacity - sum(job.size for job in self._sent))
            if job is None:
                return
            self._send(job)

    def _receive(self) -> None:
        """Wait for the answer to the oldest job that was sent, and settle it."""
        child = cast(Child, self._child)
        try:
            room = _SECOND_TIME if self._sent[0].alone else 1.0
            answer = child.receive(self._began, room * self._seconds)
            reply = _decode_or_lose(_decode_reply, answer)
            if reply.error == ParseMemoryError.__name__:
                raise Lost(ParseMemoryError(reply.message))
            outcome = outcome_of(self._sent[0].item, reply, self._decode)
        except Lost as lost:
            self._lose_child(lost.error)
            return
        self._jobs.settle(self._sent.popleft(), outcome, len(answer))
        self._began = time.monotonic()
        self._answers += 1
        self._task_seconds = 0.8 * self._task_seconds + 0.2 * reply.seconds + 1e-5
        self._worn = self._answers >= self._recycle_after or child.memory > self._recycle_bytes
        if self._worn and not self._sent:
            self._drop_child()

    def _lose_child(self, error: PoisonDocumentError) -> None:
        """Blame the oldest job or try it once more, after a timeout alone; give the others back."""
        fresh, seconds = self._answers == 0, time.monotonic() - self._began
        self._drop_child()
        suspect = self._sent.popleft()
        slow = isinstance(error, ParseTimeoutError)
        blamed = suspect.alone if slow else fresh
        again = "alone and with more time" if slow else "in a fresh worker"
        if slow and blamed and (quicker := self._quicker(suspect.payload)):
            suspect.payload, suspect.size = quicker, len(quicker)
            blamed, again = False, "in a quicker way"
        suspect.context.run(
            log.warning,
            "worker died",
            error=type(error).__name__,
            reason=str(error),
            seconds=round(seconds, 3),
            then="its document failed" if blamed else f"its document is tried once more {again}",
        )
        self._jobs.put_back(self._sent)
        self._sent.clear()
        if blamed:
            lost = JobOutcome[Any, Any](suspect.item, error=error, seconds=seconds, ended=time.time_ns())
            self._jobs.settle(suspect, lost, 0)
        elif slow:
            self._jobs.put_alone(suspect)
        else:
            self._send(suspect)

    def _drop_child(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None
        self._answers, self._worn = 0, False


def outcome_of(item: Any, reply: Reply, decode: Callable[[msgspec.Raw], Any]) -> JobOutcome[Any, Any]:
    """The outcome that a reply means; an error that is not about the document is raised."""
    outcome: JobOutcome[Any, Any] = JobOutcome(
        item, seconds=reply.seconds, cpu_seconds=reply.cpu_seconds, ended=time.time_ns()
    )
    if reply.error is None:
        outcome.value = _decode_or_lose(decode, reply.value)
    else:
        error = error_of(reply)
        if not isinstance(error, DocumentError):
            raise error
        outcome.error = error
    return outcome


def _decode_or_lose(decode: Callable[[Any], Result], message: bytes | msgspec.Raw) -> Result:
    """Raises `Lost` for a message that no sane child sends."""
    try:
        return decode(message)
    except msgspec.MsgspecError as error:
        raise Lost(ParseCrashError(f"the worker sent a malformed reply: {error}")) from error
