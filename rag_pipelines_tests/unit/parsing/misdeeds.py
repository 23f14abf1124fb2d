"""Functions for the workers of the pool's tests: each misbehaves on purpose when its task says so."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable

import msgspec

from rag_pipelines import errors


class Deed(msgspec.Struct, frozen=True):
    """What to do, with one argument."""

    kind: str = "return"
    argument: str = ""


class Report(msgspec.Struct, frozen=True):
    """What was done, by which process."""

    text: str
    pid: int


_leak: list[bytearray] = []


def do(deed: Deed) -> Report:
    """Do it."""
    return Report(DEEDS[deed.kind](deed.argument), os.getpid())


def echo(number: int) -> int:
    """The cheapest task there is."""
    return number


def _hang(_: str) -> str:
    threading.Event().wait()
    return "never"


def _hang_without_the_gil(_: str) -> str:
    return str(ctypes.CDLL(None).pause())


def _work(seconds: str) -> str:
    """Keep the processor busy for so many seconds of its own time."""
    end = time.process_time() + float(seconds)
    while time.process_time() < end:
        pass
    return "worked"


def _work_the_second_time(mark: str) -> str:
    """Be too slow the first time."""
    if not os.path.exists(mark):
        with open(mark, "w", encoding="utf-8"):
            _work("60")
    return "worked"


def _segfault(_: str) -> str:
    return str(ctypes.string_at(0))


def _kill(name: str) -> str:
    os.kill(os.getpid(), signal.Signals[name])
    return "survived"


def _exit(status: str) -> str:
    os._exit(int(status))


def _allocate(megabytes: str) -> str:
    return str(len(bytearray(int(megabytes) << 20)))


def _swallow_memory_errors(_: str) -> str:
    """Allocates like a library that takes a failed allocation as a reason to go on."""
    kept = []
    while True:
        try:
            kept.append(b"x" * (1 << 20))
        except MemoryError:
            threading.Event().wait()


def _share_memory(megabytes: str) -> str:
    """Fills memory that does not count as data: a shared mapping."""
    import mmap

    size = int(megabytes) << 20
    with mmap.mmap(-1, size) as shared:
        for at in range(0, size, mmap.PAGESIZE):
            shared[at] = 1
        threading.Event().wait()
    return "filled"


def _leak_memory(megabytes: str) -> str:
    _leak.append(bytearray(b"x") * (int(megabytes) << 20))
    return "leaked"


def _tangle(megabytes: str) -> str:
    """Leave a cycle behind, as every parsed tree is one, after a quarter of a second."""
    knot: list[object] = [bytearray(b"x") * (int(megabytes) << 20)]
    knot.append(knot)
    end = time.monotonic() + 0.25
    while time.monotonic() < end:
        pass
    return "tangled"


def _recurse(_: str) -> str:
    return _recurse(_)


def _raise(name: str) -> str:
    raise getattr(errors, name)(f"raised {name} on purpose")


def _raise_foreign(_: str) -> str:
    raise KeyError("a bug \ud800")


def _flood(megabytes: str) -> str:
    return "x" * (int(megabytes) << 20)


def _shout(megabytes: str) -> str:
    sys.stdout.write("x" * (int(megabytes) << 20))
    sys.stdout.flush()
    return "shouted"


def _fill_disk(megabytes: str) -> str:
    with tempfile.TemporaryFile() as file:
        file.write(bytes(int(megabytes) << 20))
    return "filled"


def _start_child(path: str) -> str:
    """Starts a process that outlives the task, tells its number and hangs."""
    process = subprocess.Popen(["sleep", "600"])
    with open(path, "w") as file:
        file.write(f"{process.pid}\n")
    return _hang("")


def _announce(path: str) -> str:
    """Tells its process number through a named pipe and hangs."""
    with open(path, "w") as file:
        file.write(f"{os.getpid()}\n")
    return _hang("")


def _babble(words: str) -> str:
    """Writes to every descriptor it finds, as a parser would that has been taken over."""
    for descriptor in range(3, 20):
        with contextlib.suppress(OSError):
            os.write(descriptor, bytes.fromhex(words))
    return _hang("")


def _connect(address: str) -> str:
    host, port = address.rsplit(":", 1)
    socket.create_connection((host, int(port)), timeout=5)
    return "connected"


def _environment(_: str) -> str:
    return "\n".join(f"{name}={value}" for name, value in sorted(os.environ.items()))


def _temporary(_: str) -> str:
    return tempfile.mkdtemp()


def _descriptors(_: str) -> str:
    return " ".join(
        sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _open(fd))
    )


def _open(descriptor: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{descriptor}")


def _read_input(_: str) -> str:
    return repr(sys.stdin.read())


DEEDS: dict[str, Callable[[str], str]] = {
    "return": str,
    "hang": _hang,
    "hang_without_the_gil": _hang_without_the_gil,
    "work": _work,
    "work_the_second_time": _work_the_second_time,
    "segfault": _segfault,
    "kill": _kill,
    "exit": _exit,
    "allocate": _allocate,
    "swallow_memory_errors": _swallow_memory_errors,
    "share_memory": _share_memory,
    "leak": _leak_memory,
    "recurse": _recurse,
    "raise": _raise,
    "raise_foreign": _raise_foreign,
    "flood": _flood,
    "shout": _shout,
    "fill_disk": _fill_disk,
    "start_child": _start_child,
    "announce": _announce,
    "babble": _babble,
    "connect": _connect,
    "environment": _environment,
    "temporary": _temporary,
    "descriptors": _descriptors,
    "read_input": _read_input,
    "tangle": _tangle,
}
