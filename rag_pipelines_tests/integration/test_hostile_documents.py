"""Every hostile document ends with a result or its own error, inside the limits, and costs only itself."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator

import pytest

from rag_pipelines.chunking.base import ChunkOptions
from rag_pipelines.embedding.specs import ChunkerSpec
from rag_pipelines.embedding.tokenizer import TokenizerSpec
from rag_pipelines.errors import DocumentError, ParseCrashError, ParseMemoryError, ParseTimeoutError
from rag_pipelines.parsing.base import ParseLimits
from rag_pipelines.parsing.stored import decode_parsed
from rag_pipelines.sync.prepare import Prepared, PrepareTask, prepare
from rag_pipelines.workers.jobs import JobOutcome
from rag_pipelines.workers.pool import WorkerPool
from rag_pipelines_tests.integration.hostile import DOCUMENTS, Lure

LIMITS = ParseLimits(
    seconds=4.0, memory_mb=1024, max_pages=500, max_characters=5_000_000, max_expansion_bytes=30_000_000
)
GRACE = 60.0
"""Seconds beyond the limit that starting a fresh child and building a task take on no machine: a hang."""

CHUNKER = ChunkerSpec(ChunkOptions(), TokenizerSpec("characters", max_tokens=256))
INNOCENT = b"# Leave\n\nEmployees accrue 25 days of paid leave a year.\n"
CONFESSION = "the secret of the file system"

Pool = WorkerPool[PrepareTask, Prepared]
Outcome = JobOutcome[PrepareTask, Prepared]
Ending = tuple[Prepared | None, DocumentError | None]


def task(name: str, data: bytes) -> PrepareTask:
    return PrepareTask(data=data, name=name, limits=LIMITS, chunkers=(CHUNKER,))


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with WorkerPool(prepare, workers=1, limits=LIMITS) as pool:
        yield pool


@pytest.fixture(scope="module")
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.fixture(scope="module")
def lure(tmp_path_factory: pytest.TempPathFactory, listener: socket.socket) -> Lure:
    secret = tmp_path_factory.mktemp("secret") / "secret.txt"
    secret.write_text(CONFESSION)
    host, port = listener.getsockname()
    return Lure(str(secret).encode(), f"{host}:{port}".encode())


@pytest.fixture(scope="module")
def endings() -> dict[str, Ending]:
    """What became of documents that were tried, for the tests that only look at it."""
    return {}


@pytest.fixture
def ending_of(endings: dict[str, Ending], pool: Pool, lure: Lure) -> Callable[[str], Ending]:
    """What becomes of a document, which is tried where it has not been."""

    def find(name: str) -> Ending:
        if name not in endings:
            (outcome,) = pool.map([task(name, DOCUMENTS[name](lure))])
            endings[name] = outcome.value, outcome.error
        return endings[name]

    return find


def text_of(outcome: Outcome) -> str:
    return decode_parsed(outcome.value.encoded).text if outcome.value else str(outcome.error)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_hostile_document_costs_only_itself(
    name: str, pool: Pool, lure: Lure, listener: socket.socket, endings: dict[str, Ending]
) -> None:
    data = DOCUMENTS[name](lure)
    innocent = task("leave.md", INNOCENT)

    start = time.monotonic()
    before, hostile, after = pool.map([innocent, task(name, data), innocent])
    elapsed = time.monotonic() - start
    endings[name] = hostile.value, hostile.error

    assert (hostile.value is None) != (hostile.error is None)
    assert not isinstance(hostile.error, ParseCrashError), hostile.error
    assert elapsed < LIMITS.seconds + GRACE
    assert CONFESSION not in text_of(hostile)
    with pytest.raises(BlockingIOError):
        listener.accept()
    for outcome in (before, after):
        assert "25 days" in text_of(outcome)


@pytest.mark.parametrize(
    "name",
    [
        "pictures.html",
        "pictures.md",
        "pictures.docx",
        "external-entity.html",
        "nested-tables.html",
        "nested-divs.html",
        "unclosed-tags.html",
        "quotes.md",
        "one-word.txt",
        "combining-marks.txt",
        "headers.eml",
        "far-cell.xlsx",
        "far-column.xlsx",
        "merged-over-all.xlsx",
        "far-cell.ods",
        "repeated-blanks.ods",
    ],
)
def test_what_is_only_suspicious_is_still_read(name: str, ending_of: Callable[[str], Ending]) -> None:
    value, error = ending_of(name)
    assert error is None
    assert value is not None
    assert value.chunks is not None
    assert value.chunks[0]


@pytest.mark.parametrize("name", ["zip-bomb.docx", "zip-that-lies-about-its-sizes.docx"])
def test_an_inflating_archive_is_refused_before_it_fills_the_memory(
    name: str, ending_of: Callable[[str], Ending]
) -> None:
    _, error = ending_of(name)
    assert isinstance(error, DocumentError)
    assert not isinstance(error, ParseMemoryError | ParseTimeoutError)
