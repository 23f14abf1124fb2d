"""A local endpoint that speaks the embeddings protocol of OpenAI, with faults on order, and a fake clock."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

DIMENSIONS = 8


@dataclass
class Fault:
    """An answer in place of embeddings."""

    status: int
    body: str = '{"error": {"message": "no"}}'
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Endpoint:
    """What the server was asked, and what it shall answer next."""

    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    azure_keys: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    traces: list[str | None] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    refuse: Callable[[str], bool] = lambda text: False
    encode: str = "base64"
    reverse: bool = False
    dimensions: int = DIMENSIONS
    at_once: int = 0
    most_at_once: int = 0
    barrier: threading.Barrier | None = None


def vector(text: str, dimensions: int = DIMENSIONS) -> np.ndarray:
    """The unit vector this endpoint has for a text."""
    values = np.random.default_rng(sum(text.encode())).normal(size=dimensions).astype("<f4")
    return values / np.linalg.norm(values)


@contextmanager
def serve() -> Iterator[Endpoint]:
    state = Endpoint()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                state.requests.append(body)
                state.keys.append(self.headers.get("Authorization"))
                state.azure_keys.append(self.headers.get("api-key"))
                state.paths.append(self.path)
                state.traces.append(self.headers.get("traceparent"))
                state.at_once += 1
                state.most_at_once = max(state.most_at_once, state.at_once)
                fault = state.faults.pop(0) if state.faults else None
            if state.barrier:
                state.barrier.wait(timeout=10)
            if any(state.refuse(text) for text in body["input"]):
                fault = Fault(400, '{"error": {"message": "invalid input"}}')
            with lock:
                state.at_once -= 1
            if fault:
                self.answer(fault.status, fault.body, fault.headers)
            else:
                self.answer(200, json.dumps(self.embeddings(body["input"])), {})

        def embeddings(self, texts: list[str]) -> dict[str, Any]:
            data: list[dict[str, Any]] = []
            for index, text in enumerate(texts):
                values = vector(text, state.dimensions) * 3  # not at length 1, as some models give them
                packed = base64.b64encode(values.tobytes()).decode()
                data.append(
                    {"index": index, "embedding": packed if state.encode == "base64" else values.tolist()}
                )
            if state.reverse:
                data.reverse()
            return {"data": data, "usage": {"total_tokens": 10 * len(texts)}}

        def answer(self, status: int, body: str, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body.encode()))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class FakeClock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.at = 1_800_000_000.0
        self.naps: list[float] = []

    def monotonic(self) -> float:
        return self.at

    def time(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.at += seconds
