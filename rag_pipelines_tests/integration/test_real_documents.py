"""What holds for every document that real parser test suites have to offer, whatever its format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rag_pipelines.chunking.base import ChunkOptions
from rag_pipelines.embedding.specs import ChunkerSpec
from rag_pipelines.embedding.tokenizer import TokenizerSpec
from rag_pipelines.errors import PoisonDocumentError
from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseOptions
from rag_pipelines.parsing.builder import CELL_SEPARATOR
from rag_pipelines.parsing.stored import decode_parsed
from rag_pipelines.sync.prepare import Prepared, PrepareTask, prepare
from rag_pipelines.text.canonical import clean
from rag_pipelines.workers.jobs import JobOutcome
from rag_pipelines.workers.pool import WorkerPool

BUDGET = 256
CHUNKER = ChunkerSpec(ChunkOptions(), TokenizerSpec("characters", max_tokens=BUDGET))
LARGEST = 300_000
"""Bytes; larger files are left to benchmarks/parse_statuses.py."""


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool[PrepareTask, Prepared]]:
    with WorkerPool(prepare, workers=2) as pool:
        yield pool


@pytest.mark.parametrize(
    "suite",
    ["unstructured-docs", "docling-testdata", "markitdown-testfiles", "pypdf-sample-files", "pdf-misc"],
)
def test_every_file_ends_with_exact_blocks_and_chunks_or_with_its_own_error(
    suite: str, pool: WorkerPool[PrepareTask, Prepared], data_set: Callable[[str], Path]
) -> None:
    benchmark = pytest.importorskip("benchmarks.parse_statuses")
    data_set(suite)
    files = [file for file in benchmark.files(suite) if file.path.stat().st_size < LARGEST]

    def task(file: Any) -> PrepareTask:
        options = ParseOptions(pdf="fast")
        return PrepareTask(
            data=file.path.read_bytes(), name=file.path.name, options=options, chunkers=(CHUNKER,)
        )

    outcomes = list(pool.map(files, task=task))

    assert [outcome.item for outcome in outcomes] == files
    broken = {outcome.item.label: faults for outcome in outcomes if (faults := list(_faults(outcome)))}
    assert broken == {}


def _faults(outcome: JobOutcome[Any, Prepared]) -> Iterator[str]:
    """What is wrong with the outcome of a `File` of the benchmark, which has the statuses it may end with."""
    status = outcome.error.status if outcome.error else "ok"
    if outcome.item.expected and status not in outcome.item.expected:
        yield f"ends as {status} ({outcome.error}), expected {' or '.join(outcome.item.expected)}"
    if outcome.error is not None:
        if isinstance(outcome.error, PoisonDocumentError) or outcome.error.status == "failed":
            yield repr(outcome.error)
        return
    assert outcome.value is not None
    document = decode_parsed(outcome.value.encoded)
    yield from _faults_of_blocks(document)
    for chunk in outcome.value.chunks[0] or ():
        if document.text[chunk.start : chunk.end] != chunk.text:
            yield f"chunk {chunk.ordinal} is not verbatim"
        if chunk.tokens > BUDGET:
            yield f"chunk {chunk.ordinal} has {chunk.tokens} tokens"


def _faults_of_blocks(document: ParsedDocument) -> Iterator[str]:
    if clean(document.text) != document.text:
        yield "the text is not canonical"
    end = 0
    for block in document.blocks:
        if block.start < end:
            yield f"{block} overlaps the one before"
        end = block.end
        if not document.text[block.start : block.end].strip():
            yield f"{block} is blank"
        if (block.kind is BlockKind.TABLE) != bool(block.rows):
            yield f"{block} has rows and is no table, or the reverse"
        if block.page is not None and not 1 <= block.page <= (document.pages or block.page):
            yield f"{block} is on a page that the document does not have"
        for row in block.rows:
            if CELL_SEPARATOR.join(row.cells) != document.text[row.start : row.end]:
                yield f"{row} is not where it says"
