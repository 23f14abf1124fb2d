"""Whether a server can listen where it is to, before anything is opened for it.

What belongs here: the port and what is said of one that is taken. What does not: the servers.
"""

from __future__ import annotations

import socket

from rag_pipelines.errors import UsageError


def require_port(host: str, port: int) -> None:
    """Raises `UsageError` unless this process can listen there; port 0 is always free."""
    if reason := why_not(host, port):
        raise UsageError(f"cannot listen on {host}:{port}: {reason}; choose another --port")


def why_not(host: str, port: int) -> str | None:
    """What the system says against listening there, if anything."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        return (error.strerror or str(error)).partition(" (while ")[0]
    return None
