"""One worker process as its parent sees it: start it, hand it tasks, read its replies, end it.

What belongs here: the process, its pipes, its limits of time and memory. What does not: which task goes
where and what a failure means for the tasks in line (`pool`), reading a process's times (`clock`), or the
child's own loop (`loop`).

A child belongs to the thread that made it: no other thread may call it, and the kernel kills the
child when that thread ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from rag_pipelines.errors import (
    ParseCrashError,
    ParseMemoryError,
    ParseTimeoutError,
    PoisonDocumentError,
    RagError,
)
from rag_pipelines.workers import sandbox
from rag_pipelines.workers.clock import ProcessClock, ProcessTimes
from rag_pipelines.workers.loop import HEADER_BYTES, MAX_REPLY_BYTES, WorkerSettings, where

_PIPE_BYTES = 1 << 20
_WATCH_SECONDS = 0.05
"""How often the memory of a busy child is looked at; at 2 GB/s it grows 100 MB in that time."""

_START_SECONDS = 60.0
_LAST_WORDS_SECONDS = 1.0
_LAST_WORDS_BYTES = 16_384
_ENVELOPE_BYTES = 16_384
"""What a reply may hold beside its value: times and a message."""

_FRAME = re.compile(r'File "([^"]+)", line (\d+) in (\S+)')


class Interrupted(Exception):
    """The wake-up pipe was closed while waiting for the child."""


class Lost(Exception):
    """The child is gone. `error` says what the task at hand did to it."""

    def __init__(self, error: PoisonDocumentError) -> None:
        super().__init__(str(error))
        self.error = error


class Child:
    """A running worker process.

    Args:
        settings: the function it runs and its limits.
        folder: an existing private folder; the child's TMPDIR and its error file go there.
        wake: read end of a pipe; when its other end is closed, `receive` raises `Interrupted`.

    Raises:
        RagError: the process ended before it was ready (the function cannot be imported).
    """

    def __init__(self, settings: WorkerSettings, folder: Path, wake: int) -> None:
        self._limits = settings.limits
        self._buffer = bytearray()
        self._temporary = Path(tempfile.mkdtemp(prefix="worker-", dir=folder))
        self._errors = self._temporary / "stderr"
        with self._errors.open("ab") as error_file:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "rag_pipelines.workers.loop", msgspec.json.encode(settings)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=error_file,
                bufsize=0,
                env=sandbox.environment(os.environ, str(self._temporary)),
                start_new_session=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._tasks, self._replies = self._process.stdin.fileno(), self._process.stdout.fileno()
        self.capacity = _widen(self._tasks) // 2
        self._poll = select.poll()
        self._poll.register(self._replies, select.POLLIN)
        self._poll.register(wake, select.POLLIN)
        self._memory = _MemoryGauge(self._process.pid)
        self._clock = ProcessClock(self._process.pid)
        try:
            self.receive(time.monotonic(), _START_SECONDS)
        except Lost as lost:
            words = self._last_words()
            self.close()
            raise RagError(f"a worker for {settings.function} could not start: {lost}\n{words}") from lost
        except Interrupted:
            self.close()
            raise

    def send(self, payload: bytes) -> None:
        """Hand over one task. Does not block if it is idle or what it was sent fits into `capacity`."""
        parts = [memoryview(len(payload).to_bytes(HEADER_BYTES)), memoryview(payload)]
        with contextlib.suppress(BrokenPipeError):  # its death is found when the reply is read
            while parts:
                written = os.writev(self._tasks, parts)
                while parts and written >= len(parts[0]):
                    written -= len(parts.pop(0))
                if parts:
                    parts[0] = parts[0][written:]

    def receive(self, began: float, seconds: float) -> bytes:
        """The next reply.

        A task has `seconds` of processor time, all threads together, and as much time without the
        processor, not counting while it stood in line for one: a busy machine kills no document.

        Args:
            began: when the task began, on `time.monotonic`.
            seconds: what the task may take of either time; beyond it the child is killed.

        Raises:
            Lost: the child hung, grew or died.
            Interrupted: the parent is stopping.
        """
        before: ProcessTimes | None = None
        while (reply := self._complete()) is None:
            if before is not None:
                worked, waited = self._clock.since(before)
                idle = time.monotonic() - began - waited
                if worked > seconds or idle > seconds:
                    raise Lost(self._kill_timed_out(seconds, worked))
            events = dict(self._poll.poll(1000 * _WATCH_SECONDS))
            before = before or self._clock.read()
            if self._replies in events:
                data = os.read(self._replies, _PIPE_BYTES)
                if not data:
                    raise Lost(self._explain_death())
                self._buffer += data
            elif events:
                raise Interrupted
            elif (used := self._memory.read()) > self._limits.memory_mb << 20:
                self._stop()
                raise Lost(ParseMemoryError(f"killed with {used >> 20:,} MB in memory{self._memory_limit}"))
        return reply

    @property
    def memory(self) -> int:
        """Bytes of the child in memory now; 0 where the system does not tell."""
        return self._memory.read()

    def close(self) -> None:
        """End the child and every process it started, and remove its files. May be called twice."""
        self._stop()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._memory.close()
        self._clock.close()
        shutil.rmtree(self._temporary, ignore_errors=True)

    def _stop(self) -> int:
        """Kill the process group; returns the exit status of the child as `subprocess` writes it.

        The group is killed before its leader is reaped: until then its number cannot be used anew. A
        leader that was already dying keeps its own status.
        """
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()

    def _complete(self) -> bytes | None:
        """The first frame of the buffer, taken out of it; None if it is not complete."""
        if len(self._buffer) < HEADER_BYTES:
            return None
        size = int.from_bytes(self._buffer[:HEADER_BYTES])
        if size > MAX_REPLY_BYTES + _ENVELOPE_BYTES:
            self._stop()
            raise Lost(ParseCrashError(f"the worker announced a reply of {size:,} bytes and was killed"))
        end = HEADER_BYTES + size
        if len(self._buffer) < end:
            return None
        with memoryview(self._buffer) as view:
            reply = bytes(view[HEADER_BYTES:end])
        del self._buffer[:end]
        return reply

    def _kill_timed_out(self, seconds: float, worked: float) -> ParseTimeoutError:
        """Kill the child; with SIGABRT first, on which `faulthandler` writes where it was."""
        os.kill(self._process.pid, signal.SIGABRT)
        self._poll.poll(1000 * _LAST_WORDS_SECONDS)
        self._stop()
        return ParseTimeoutError(
            f"killed after {seconds:g} s, {worked:.1f} s of it at work (limits.parse.seconds is "
            f"{self._limits.seconds:g}){self._where()}"
        )

    def _explain_death(self) -> PoisonDocumentError:
        """Why the child closed its pipe."""
        status = self._stop()
        if status >= 0:
            return ParseCrashError(f"the worker ended with exit status {status}{self._where()}")
        name = signal.Signals(-status).name
        if -status == signal.SIGKILL:
            return ParseMemoryError(
                f"the worker was killed by {name} from outside, as the system does when memory runs out"
                f"{self._memory_limit}"
            )
        if self._memory.highest > self._limits.memory_mb << 19:
            used = f"{self._memory.highest >> 20:,} MB"
            return ParseMemoryError(
                f"the worker died of {name} with {used} in memory{self._memory_limit}{self._where()}"
            )
        return ParseCrashError(f"the worker died of {name}{self._where()}")

    @property
    def _memory_limit(self) -> str:
        return f"; limits.memory_mb is {self._limits.memory_mb:,}"

    def _last_words(self) -> str:
        """The end of what the child printed while it worked on its latest task."""
        with self._errors.open("rb") as file:
            file.seek(-min(_LAST_WORDS_BYTES, file.seek(0, os.SEEK_END)), os.SEEK_END)
            return file.read().decode("utf-8", "replace").strip()

    def _where(self) -> str:
        """The place that `faulthandler` wrote down."""
        frames = _FRAME.findall(self._last_words())
        return where([(file, int(line), function) for file, line, function in frames])


class _MemoryGauge:
    """Resident memory of another process, from /proc; 0 on systems without it."""

    def __init__(self, pid: int) -> None:
        self.highest = 0
        self._file: int | None = None
        with contextlib.suppress(OSError):
            self._file = os.open(f"/proc/{pid}/statm", os.O_RDONLY)

    def read(self) -> int:
        if self._file is None:
            return 0
        try:
            resident = int(os.pread(self._file, 128, 0).split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            return 0
        self.highest = max(self.highest, resident)
        return resident

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _widen(pipe: int) -> int:
    """Give a pipe a large buffer where the system allows it; returns its size in bytes."""
    if not hasattr(fcntl, "F_SETPIPE_SZ"):
        return select.PIPE_BUF
    with contextlib.suppress(OSError):
        return fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ)
