"""The tasks that run in a worker: parse a document and chunk it, or chunk stored blocks again.

What belongs here: what goes into a worker and what comes back, kept small because it crosses a process
boundary. What does not: the parsers (`parsing.registry`), the chunkers, the workers (`workers.pool`).

    with WorkerPool(process, limits=limits) as pool:
        for outcome in pool.map(tasks): ...
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from functools import lru_cache

import msgspec

from rag_pipelines.chunking.base import Chunker
from rag_pipelines.embedding.specs import ChunkerSpec
from rag_pipelines.errors import ChunkingError, DocumentError, RagError
from rag_pipelines.fingerprint import sha256
from rag_pipelines.model import Chunk, ParsedDocument, Summary
from rag_pipelines.parsing.base import ParseLimits, ParseOptions, ParseRequest
from rag_pipelines.parsing.stored import decode_parsed, encode_parsed, summarise
from rag_pipelines.privacy.masks import Place
from rag_pipelines.privacy.profile import PrivacyProfile


class PrepareTask(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One document to parse and chunk. `name` and `declared_type` are hints; `title` is the system's own.

    Where `title` is None, the title found in the document is given to the chunkers. `known_blocks` is the
    SHA-256 of encoded blocks of which every chunk is known: where they come out, nothing is chunked.
    With `privacy` it is screened by that profile before it is chunked.
    `in_haste` has PDFs read without a look for tables beyond the alignment of their text.
    """

    data: bytes
    name: str = ""
    declared_type: str | None = None
    options: ParseOptions = ParseOptions()
    limits: ParseLimits = ParseLimits()
    title: str | None = None
    chunkers: tuple[ChunkerSpec, ...] = ()
    known_blocks: bytes | None = None
    in_haste: bool = False
    privacy: PrivacyProfile | None = None


class ScreenTask(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Blocks to screen by a profile and to chunk; the rest as in `PrepareTask`. `counters` are those of the
    parse that made them, some of which the blocks do not hold."""

    encoded: bytes
    privacy: PrivacyProfile
    counters: dict[str, int]
    title: str | None = None
    chunkers: tuple[ChunkerSpec, ...] = ()
    known_blocks: bytes | None = None


class RechunkTask(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Blocks to chunk: `encoded` as `encode_parsed` returned it; the rest as in `PrepareTask`."""

    encoded: bytes
    title: str | None = None
    chunkers: tuple[ChunkerSpec, ...] = ()


Task = PrepareTask | ScreenTask | RechunkTask


class Seconds(msgspec.Struct, frozen=True):
    """Wall time of each stage, in seconds."""

    parse: float
    encode: float
    chunk: float
    screen: float = 0.0


Chunked = tuple[tuple[Chunk, ...] | None, ...]
"""The chunks by each chunker of a task, in its order; None where the chunker `needs_embedder`."""


class ScreeningResult(msgspec.Struct, frozen=True):
    """What a document was found to hold: the digest of its blocks before masks, the places in its text, and
    counts by kind with what was found elsewhere in it."""

    clear_sha256: bytes
    places: tuple[Place, ...]
    found: dict[str, int]


class Prepared(msgspec.Struct, frozen=True, tag=True):
    """A document ready to be stored: its encoded blocks (for the blob store), what they hold, its chunks.

    `chunks` is None where the blocks are those whose chunks were known, `screened` where there was no
    profile.
    """

    encoded: bytes
    summary: Summary
    chunks: Chunked | None
    seconds: Seconds
    screened: ScreeningResult | None = None


class Rechunked(msgspec.Struct, frozen=True, tag=True):
    """New chunks of stored blocks."""

    chunks: Chunked


IN_HASTE = "read_fast_after_timeout"
"""The counter of documents whose PDF was read in the ``fast`` way because the one asked for took too long."""

_PDF_MARKS = (b"%PDF-", b"JVBERi0")
"""How a PDF begins, as it is and in base64 (RFC 4648), as mails hold it."""

_SAMPLE = b"---\ntitle: Sample\n---\n# Heading\n\nSome *text* and `code`.\n\n- item\n\n| a |\n|---|\n| 1 |\n"


def preload() -> None:
    """Import and set up what most documents need; a worker does so while it waits for its first task."""
    from rag_pipelines.chunking import factory  # noqa: F401
    from rag_pipelines.parsing import registry

    registry.parse(ParseRequest(_SAMPLE, "sample.md"))


def process(task: Task) -> Prepared | Rechunked:
    """Any of the tasks, so that one pool serves all."""
    match task:
        case PrepareTask():
            return prepare(task)
        case ScreenTask():
            return screen_stored(task)
    return rechunk(task)


def prepare(task: PrepareTask) -> Prepared:
    """Parse one document and chunk it.

    Raises:
        DocumentError: this document cannot be parsed or chunked.
        ConfigError: a chunker cannot be built.
    """
    from rag_pipelines.parsing import registry

    start = time.perf_counter()
    options = replace(task.options, pdf="fast") if task.in_haste else task.options
    document = registry.parse(ParseRequest(task.data, task.name, task.declared_type, options, task.limits))
    if task.in_haste:
        document = _said_to_be_in_haste(document)
    return _prepared(document, task, time.perf_counter() - start)


def screen_stored(task: ScreenTask) -> Prepared:
    """Screen stored blocks, and chunk what comes of it. Raises what `prepare` raises."""
    start = time.perf_counter()
    made = _prepared(decode_parsed(task.encoded), task, time.perf_counter() - start)
    summary = msgspec.structs.replace(made.summary, counters=task.counters)
    return msgspec.structs.replace(made, summary=summary)


def _prepared(document: ParsedDocument, task: PrepareTask | ScreenTask, parsing: float) -> Prepared:
    start = time.perf_counter()
    document, screened = _screened(document, task.privacy) if task.privacy else (document, None)
    screened_at = time.perf_counter()
    encoded = encode_parsed(document)
    encoded_at = time.perf_counter()
    known = task.known_blocks is not None and sha256(encoded) == task.known_blocks
    chunks = None if known else _chunk(document, task.title, task.chunkers)
    chunked = time.perf_counter()
    seconds = Seconds(parsing, encoded_at - screened_at, chunked - encoded_at, screened_at - start)
    return Prepared(encoded, summarise(document), chunks, seconds, screened)


def _screened(document: ParsedDocument, profile: PrivacyProfile) -> tuple[ParsedDocument, ScreeningResult]:
    from rag_pipelines.privacy.screen import screen

    made = screen(document, profile)
    found = Counter(str(place.kind) for place in made.places) + Counter(made.elsewhere)
    return made.document, ScreeningResult(sha256(encode_parsed(document)), made.places, dict(found))


def quicker(task: Task) -> PrepareTask | None:
    """The task that reads PDFs in the ``fast`` way, for one that took too long otherwise; else None.

    A PDF may be the document, or in an archive, a mail or another document.
    """
    from rag_pipelines.parsing.detect import detect
    from rag_pipelines.parsing.signatures import ARCHIVES

    if not isinstance(task, PrepareTask) or task.in_haste or task.options.pdf == "fast":
        return None
    if not any(mark in task.data for mark in _PDF_MARKS):
        try:
            if detect(task.data, task.name, task.declared_type) not in ARCHIVES:
                return None
        except DocumentError:
            return None
    return msgspec.structs.replace(task, in_haste=True)


def _said_to_be_in_haste(document: ParsedDocument) -> ParsedDocument:
    warning = (
        "it took longer than limits.parse.seconds; tables of PDF are read by the alignment of their text only"
    )
    return msgspec.structs.replace(
        document,
        counters={**document.counters, IN_HASTE: 1},
        warnings=(*document.warnings, warning),
    )


def rechunk(task: RechunkTask) -> Rechunked:
    """Chunk stored blocks. Raises `ChunkingError`, or `ConfigError` when a chunker cannot be built."""
    return Rechunked(_chunk(decode_parsed(task.encoded), task.title, task.chunkers))


def _chunk(document: ParsedDocument, title: str | None, specs: tuple[ChunkerSpec, ...]) -> Chunked:
    title = title or document.title
    return tuple(None if spec.needs_embedder else _chunks(document, title, spec) for spec in specs)


def _chunks(document: ParsedDocument, title: str | None, spec: ChunkerSpec) -> tuple[Chunk, ...]:
    chunker = _chunker(spec)
    try:
        return tuple(chunker.chunk(document, title))
    except (RagError, MemoryError):
        raise
    except Exception as error:
        raise ChunkingError(f"the strategy {spec.options.strategy!r} failed: {error!r}") from error


@lru_cache(maxsize=32)
def _chunker(spec: ChunkerSpec) -> Chunker:
    from rag_pipelines.chunking.factory import make_chunker
    from rag_pipelines.embedding.tokenizer import load_tokenizer

    return make_chunker(spec.options, load_tokenizer(spec.tokenizer))
