"""What another process has had of the processor: the time it worked and the time it stood in line.

What belongs here: reading these two from the system. What does not: what they are held against (`child`).
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import NamedTuple


class ProcessTimes(NamedTuple):
    """Seconds since the process began, `worked` by all of its threads, `waited` by its first one.

    `at` is when they were read, on `time.monotonic`.
    """

    worked: float
    waited: float
    at: float


class ProcessClock:
    """The times of a running process, from /proc.

    Where the system does not tell (it is no Linux, or was built without scheduler statistics), a process
    is taken to have worked all the time, or to have waited as long as the load of the machine makes likely.
    """

    def __init__(self, pid: int) -> None:
        self._stat = _open(f"/proc/{pid}/stat")
        self._schedule = _open(f"/proc/{pid}/schedstat")

    def read(self) -> ProcessTimes:
        """The times until now; those of a process that has ended are 0."""
        now = time.monotonic()
        # proc(5): utime and stime are fields 14 and 15; the second, a name, may hold blanks.
        after_name = _read(self._stat).rpartition(b")")[2].split()
        worked = sum(map(int, after_name[11:13])) / os.sysconf("SC_CLK_TCK")
        # sched-stats: time on the processor, time on the run queue, in nanoseconds.
        waited = int((_read(self._schedule).split() or [b"0"] * 2)[1]) / 1e9
        return ProcessTimes(worked, waited, now)

    def since(self, before: ProcessTimes) -> tuple[float, float]:
        """The seconds worked and waited since `before`."""
        now = self.read()
        passed = now.at - before.at
        worked = now.worked - before.worked if self._stat is not None else passed
        if self._schedule is not None:
            return worked, max(0.0, now.waited - before.waited)
        crowd = os.getloadavg()[0] / (os.cpu_count() or 1)
        return worked, passed * (1 - 1 / crowd) if crowd > 1 else 0.0

    def close(self) -> None:
        """Close what is open. May be called twice."""
        for file in (self._stat, self._schedule):
            if file is not None:
                os.close(file)
        self._stat = self._schedule = None


def _open(path: str) -> int | None:
    with contextlib.suppress(OSError):
        return os.open(path, os.O_RDONLY)
    return None


def _read(file: int | None) -> bytes:
    with contextlib.suppress(OSError):
        return os.pread(file, 1024, 0) if file is not None else b""
    return b""
