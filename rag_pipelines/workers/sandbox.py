"""What a worker process gives up before it reads a document, and the environment it is given.

What belongs here: privileges, limits and variables of the child. What does not: the protocol
(`loop`), the parent's side (`child`, `pool`) or any parsing.

The walls, in the order of their strength:

- no network: a seccomp filter refuses ``socket(2)`` and io_uring (Linux on x86-64 and ARM64);
  elsewhere an audit hook refuses the calls that Python code can make
- no core dumps, bounded private memory (``RLIMIT_DATA``) and bounded files (``RLIMIT_FSIZE``)
- no secrets in the environment: only variables on a short list are passed
- no life of its own: the kernel kills the worker when its parent thread ends (``PR_SET_PDEATHSIG``)

They hold against documents that make a parser fetch, fill or leak. They are not a wall against code
that has taken over the process: it still has the user's file rights. Who needs that runs the whole
pipeline in a container with a read-only root.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
from collections.abc import Mapping

from rag_pipelines.parsing.base import ParseLimits

_PASSED = re.compile(
    "PATH|HOME|LANG|LANGUAGE|LC_.*|TZ|(DY)?LD_LIBRARY_PATH|VIRTUAL_ENV|XDG_CACHE_HOME|HF_HOME|HF_HUB_CACHE|NLTK_DATA"
)
_SET = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), "1"),
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
    "SCARF_NO_ANALYTICS": "true",
}

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_SECCOMP_MODE_FILTER = 2
_CALL_OFFSET, _ARCHITECTURE_OFFSET = 0, 4
"""Where ``struct seccomp_data`` has the number of the call and the architecture."""

_IO_URING_SETUP = 425
_X32_BIT = 0x4000_0000
_SOCKET_CALLS = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
"""Machine to (audit architecture, number of the system call `socket`)."""


def environment(inherited: Mapping[str, str], temporary: str) -> dict[str, str]:
    """The variables of a worker: an allow-list, one thread per library, and `temporary` as TMPDIR."""
    passed = {name: value for name, value in inherited.items() if _PASSED.fullmatch(name)}
    modules = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    return {**passed, **_SET, "TMPDIR": temporary, "PYTHONPATH": modules}


def enter(limits: ParseLimits, parent: int) -> None:
    """Put this process behind the walls above. Call it once, before any other thread is started.

    Args:
        limits: memory and file size are taken from here.
        parent: process id of the parent; if it has died already, this process exits.
    """
    _die_with(parent)
    _limit_resources(limits)
    if not _close_network_in_kernel():
        sys.addaudithook(_refuse_network)


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def _limit_resources(limits: ParseLimits) -> None:
    import resource

    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_DATA, limits.memory_mb << 20),
        (resource.RLIMIT_FSIZE, limits.max_expansion_bytes),
    ):
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


class _Instruction(ctypes.Structure):
    """``struct sock_filter`` of linux/filter.h."""

    _fields_ = (
        ("code", ctypes.c_uint16),
        ("jump_true", ctypes.c_uint8),
        ("jump_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    """``struct sock_fprog`` of linux/filter.h."""

    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction)))


def _close_network_in_kernel() -> bool:
    """Install the seccomp filter; False where the kernel or the machine does not offer it."""
    if sys.platform != "linux" or os.uname().machine not in _SOCKET_CALLS:
        return False
    architecture, socket_call = _SOCKET_CALLS[os.uname().machine]
    load, equal, at_least, answer = 0x20, 0x15, 0x35, 0x06
    allow, refuse = 0x7FFF0000, 0x00050000 | 13  # EACCES
    instructions = [
        _Instruction(load, 0, 0, _ARCHITECTURE_OFFSET),
        _Instruction(equal, 0, 5, architecture),
        _Instruction(load, 0, 0, _CALL_OFFSET),
        _Instruction(at_least, 3, 0, _X32_BIT),
        _Instruction(equal, 2, 0, socket_call),
        _Instruction(equal, 1, 0, _IO_URING_SETUP),
        _Instruction(answer, 0, 0, allow),
        _Instruction(answer, 0, 0, refuse),
    ]
    program = _Program(len(instructions), (_Instruction * len(instructions))(*instructions))
    prctl = ctypes.CDLL(None).prctl
    prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong)
    return (
        prctl(_PR_SET_NO_NEW_PRIVS, 1, None, 0, 0) == 0
        and prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(program), 0, 0) == 0
    )


def _refuse_network(event: str, arguments: tuple[object, ...]) -> None:
    if event.startswith("socket."):
        raise PermissionError(f"{event}: a parsing worker has no network")
