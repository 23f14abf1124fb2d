"""Settings of the embedded Postgres, by the memory and cores of this machine.

What belongs here: what the server is started with. What does not: starting it, and settings that a
connection makes for itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def server_settings() -> dict[str, str | int | float]:
    """Settings for bulk loads and vector index builds; half of the memory is left to everything else."""
    megabytes = memory_bytes() // 2**20
    cores = os.cpu_count() or 1
    settings: dict[str, str | int | float] = {
        "listen_addresses": "",
        "unix_socket_permissions": "0700",
        "cluster_name": "rag_pipelines",
        "max_connections": 100,
        "shared_buffers": f"{min(max(megabytes // 8, 64), 4096)}MB",
        "effective_cache_size": f"{max(megabytes // 2, 128)}MB",
        "maintenance_work_mem": f"{min(max(megabytes // 8, 64), 1024)}MB",
        "work_mem": "16MB",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "random_page_cost": 1.1,
        "jit": "off",
        "max_worker_processes": 8 + cores,
        "max_parallel_workers": cores,
        "max_parallel_maintenance_workers": max(cores - 1, 1),
        "log_min_messages": "warning",
    }
    if _shared_memory_bytes() < 2**30:
        settings["dynamic_shared_memory_type"] = "mmap"
    return settings


def memory_bytes() -> int:
    """The memory that this process may use: the machine's, or less by the limits of its control groups."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        groups = Path("/proc/self/cgroup").read_text()
    except OSError:
        groups = ""
    return min([total, *_group_limits(groups, Path("/sys/fs/cgroup"))])


def _group_limits(groups: str, root: Path) -> Iterator[int]:
    """The limits of the groups that ``/proc/self/cgroup`` names and of those above them.

    Of version 2, where one hierarchy has no name, and of version 1, where one is called ``memory``
    (cgroups(7)). In a container the root itself may be the group. A group without a limit says ``max``, or a
    number beyond any machine.
    """
    for line in groups.splitlines():
        _, controllers, name = line.split(":", 2)
        if controllers == "":
            base, file = root, "memory.max"
        elif "memory" in controllers.split(","):
            base, file = root / "memory", "memory.limit_in_bytes"
        else:
            continue
        own = base / name.lstrip("/")
        for group in (own, *own.parents):
            if group.is_relative_to(base):
                with suppress(OSError, ValueError):
                    yield int((group / file).read_text())


def _shared_memory_bytes() -> int:
    """The size of ``/dev/shm``: 64 MB in a container by default, too little for a parallel index build."""
    try:
        found = os.statvfs("/dev/shm")
    except OSError:
        return 0
    return found.f_frsize * found.f_blocks
