"""A transport that connects to public addresses only, whatever name leads there.

What belongs here: which addresses are public, and looking before each connection. What does not: redirects
(each is a connection of its own). A proxy of the environment connects for itself and is not looked at.

The name is resolved once, and the connection goes to the address that was looked at: a name that resolves to
something else a moment later leads nowhere else.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from rag_pipelines.errors import ForbiddenEntityError
from rag_pipelines.http.session import Transport

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, also where it wraps one of another kind."""
    one = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(one, ipaddress.IPv6Address):
        wrapped = one.ipv4_mapped or one.sixtofour
        if one in _NAT64:
            wrapped = ipaddress.IPv4Address(int(one) & 0xFFFFFFFF)
        if wrapped is not None:
            return is_public(str(wrapped))
    return one.is_global and not one.is_multicast


class PublicTransport(Transport):
    """A `Transport` that raises `ForbiddenEntityError` for hosts that are not public."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}


@contextmanager
def _looking(connection: HTTPConnection) -> Iterator[None]:
    """Let `connection` be made to the address that was looked at, whatever its name leads to later."""
    name = connection._dns_host
    try:
        found = socket.getaddrinfo(name, connection.port, type=socket.SOCK_STREAM)
    except OSError:
        # The connection says itself why a name leads nowhere.
        found = []
    for *_, address in found:
        if not is_public(str(address[0])):
            raise ForbiddenEntityError(
                f"{name} leads to {address[0]}, which is not a public address; if the site is inside of "
                "your network, set private_addresses: true"
            )
    connection._dns_host = str(found[0][4][0]) if found else name
    try:
        yield
    finally:
        connection._dns_host = name


class _HttpConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        with _looking(self):
            return super()._new_conn()


class _HttpsConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        with _looking(self):
            return super()._new_conn()


class _HttpPool(HTTPConnectionPool):
    ConnectionCls: Any = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls: Any = _HttpsConnection
