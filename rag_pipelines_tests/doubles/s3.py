"""moto's S3 in this process, with the faults that a store can have, bucket by bucket.

What belongs here: the server, its faults, and objects put straight into it with a time of their own.
What does not: what a reader makes of it. The answers in case of a fault are those of the S3 API
reference, "Error responses": https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from urllib.parse import parse_qs

from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends
from werkzeug.serving import WSGIRequestHandler, make_server


@dataclass
class Faults:
    """What a bucket meets; `refused` is the code of an error that answers every request."""

    refused: str | None = None
    throttled: int = 0
    """So many requests are asked to slow down."""
    closed: str | None = None
    """A policy lets nobody list what is below this prefix."""


REFUSALS = {
    "AccessDenied": 403,
    "ExpiredToken": 400,
    "InternalError": 500,
    "InvalidAccessKeyId": 403,
    "InvalidToken": 400,
    "NoSuchBucket": 404,
    "RequestTimeTooSkewed": 403,
    "SignatureDoesNotMatch": 403,
    "SlowDown": 503,
}
"""Code of an error to the HTTP status that it comes with."""


class S3:
    """A server on a free loopback port; use it as a context manager. Buckets are apart from each other."""

    def __init__(self) -> None:
        self.faults: defaultdict[str, Faults] = defaultdict(Faults)
        self.requests: defaultdict[str, int] = defaultdict(int)
        self._application = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=_Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._store = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        self._waiting: dict[str, threading.Barrier] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def storage_options(self) -> dict[str, Any]:
        """For fsspec; a request that is asked to slow down is not sent again by the driver's client."""
        return {
            "key": "key",
            "secret": "secret",
            "client_kwargs": {"endpoint_url": self.url, "region_name": "us-east-1"},
            "config_kwargs": {"retries": {"total_max_attempts": 1}},
        }

    def make(self, bucket: str) -> None:
        """A new, empty bucket."""
        self._store.create_bucket(bucket, "us-east-1")

    def put(self, bucket: str, key: str, data: bytes, at: datetime) -> None:
        """Put an object that was changed at a time (S3 keeps seconds)."""
        self._store.put_object(bucket, key, data).last_modified = at.replace(tzinfo=None)

    def copy(self, bucket: str, old: str, new: str, at: datetime) -> None:
        """Put a copy of an object beside it."""
        self.put(bucket, new, self._store.buckets[bucket].keys[old].value, at)

    def remove(self, bucket: str, key: str) -> None:
        self._store.delete_object(bucket, key)

    def keys(self, bucket: str) -> list[str]:
        return sorted(self._store.buckets[bucket].keys)

    def gather(self, bucket: str, reads: int) -> None:
        """From now on a read of an object waits until so many have arrived; fails after ten seconds."""
        self._waiting[bucket] = threading.Barrier(reads, timeout=10)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, environ: Mapping[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        bucket, _, key = environ["PATH_INFO"].lstrip("/").partition("/")
        self.requests[bucket] += 1
        refusal = self._refusal(bucket, environ)
        if refusal is None:
            if key and environ["REQUEST_METHOD"] == "GET" and bucket in self._waiting:
                self._waiting[bucket].wait()
            return self._application(environ, start)
        body = f"<Error><Code>{refusal}</Code><Message>{refusal}, it said</Message></Error>".encode()
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start(f"{REFUSALS[refusal]} Fault", [("Content-Type", "application/xml")])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]

    def _refusal(self, bucket: str, environ: Mapping[str, Any]) -> str | None:
        faults = self.faults[bucket]
        if faults.throttled:
            faults.throttled -= 1
            return "SlowDown"
        [prefix] = parse_qs(environ["QUERY_STRING"]).get("prefix", [""])
        if faults.closed is not None and prefix.startswith(faults.closed):
            return "AccessDenied"
        return faults.refused


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:
        """Nothing is printed."""
