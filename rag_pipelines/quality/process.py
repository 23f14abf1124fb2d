"""Great Expectations in a process of its own: it imports the library while its owner does other work.

What belongs here: both ends of the pipe. What does not: how a suite is run (`library`). The library
needs 2 s of a core and 250 MB; a run that starts this process when it begins waits for neither, and gives the
memory back when it ends. The process ends with the pipe, so also with a killed owner.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from threading import Lock
from typing import Any

import msgspec

from rag_pipelines.errors import RagError
from rag_pipelines.quality.library import ExpectationResult, load_library, run_suite
from rag_pipelines.quality.suites import Suite


class _Request(msgspec.Struct):
    """One suite to run. The URL travels here and not on the command line, which others can read."""

    url: str
    suite: Suite
    params: dict[str, Any]


class _Reply(msgspec.Struct):
    results: list[ExpectationResult] = []
    error: str | None = None


class SuiteProcess:
    """A started process that runs one suite after the other. Use as a context manager, or `close` it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rag_pipelines.quality.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )

    def __enter__(self) -> SuiteProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, url: str, suite: Suite, params: Mapping[str, Any]) -> list[ExpectationResult]:
        """What `library.run_suite` gives, from the other process.

        Raises:
            RagError: the process died, or the suite failed there; the message says how.
        """
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with self._lock:
            try:
                process.stdin.write(msgspec.json.encode(_Request(url, suite, dict(params))) + b"\n")
                process.stdin.flush()
            except BrokenPipeError:
                pass
            line = process.stdout.readline()
        if not line:
            raise RagError(f"the quality process ended with code {process.wait()}: {self._last_words()}")
        reply = msgspec.json.decode(line, type=_Reply)
        if reply.error:
            raise RagError(f"the suite {suite.name!r} could not be run: {reply.error}")
        return reply.results

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._log):
            assert pipe is not None
            pipe.close()

    def _last_words(self) -> str:
        self._log.seek(0)
        return self._log.read().decode("utf-8", "replace").strip()[-2000:] or "it left no message"


def main() -> None:
    """The process: answer requests from standard input until it closes."""
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)
        gc.disable()  # a quarter of the import is spent looking for garbage among what will stay
        load_library()
        gc.freeze()
        gc.enable()
        for line in sys.stdin.buffer:
            answers.write(msgspec.json.encode(_answer(line)) + b"\n")
            answers.flush()


def _answer(line: bytes) -> _Reply:
    request = msgspec.json.decode(line, type=_Request)
    try:
        return _Reply(run_suite(request.url, request.suite, request.params))
    except Exception as error:
        return _Reply(error=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
