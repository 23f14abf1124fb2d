from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.message import EmailMessage

import msgspec
import pytest

from rag_pipelines.chunking.base import ChunkOptions
from rag_pipelines.embedding.specs import ChunkerSpec
from rag_pipelines.embedding.tokenizer import TokenizerSpec
from rag_pipelines.errors import ConfigError, EmptyDocumentError, RagError
from rag_pipelines.fingerprint import sha256
from rag_pipelines.model import Block, BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseOptions
from rag_pipelines.parsing.pdf.engine import mupdf
from rag_pipelines.parsing.stored import decode_parsed, encode_parsed, summarise
from rag_pipelines.sync.prepare import (
    IN_HASTE,
    Prepared,
    PrepareTask,
    Rechunked,
    RechunkTask,
    prepare,
    process,
    quicker,
)
from rag_pipelines.workers.pool import WorkerPool

WORDS = TokenizerSpec("characters", max_tokens=64)
STRUCTURE = ChunkerSpec(ChunkOptions(), WORDS)
SMALL = ChunkerSpec(ChunkOptions(max_tokens=32, min_tokens=4), WORDS)
SEMANTIC = ChunkerSpec(ChunkOptions(strategy="semantic"), WORDS)

HANDBOOK = b"""# Leave

Employees accrue 25 days of paid leave a year.

## Sick leave

Tell your manager before ten o'clock. A note is needed from the third day on.

| Country | Days |
|---|---|
| Germany | 30 |
| France  | 27 |
"""


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool[PrepareTask, Prepared]]:
    with WorkerPool(prepare, workers=1) as pool:
        yield pool


def test_a_pdf_that_took_too_long_is_read_in_the_fast_way_and_counted() -> None:
    document = mupdf().open()
    page = document.new_page()
    page.insert_text((72, 72), "The rent is due on Monday.")
    slow = PrepareTask(data=document.tobytes(), name="a.pdf")
    hasty = quicker(slow)
    assert hasty is not None
    parsed = decode_parsed(prepare(hasty).encoded)
    assert parsed.text == "The rent is due on Monday."
    assert parsed.counters[IN_HASTE] == 1
    assert "took longer than limits.parse.seconds" in parsed.warnings[-1]
    assert IN_HASTE not in decode_parsed(prepare(slow).encoded).counters
    assert quicker(hasty) is None
    assert quicker(msgspec.structs.replace(slow, options=ParseOptions(pdf="fast"))) is None
    assert quicker(handbook()) is None


def in_a_mail(pdf: bytes) -> PrepareTask:
    mail = EmailMessage()
    mail["Subject"] = "The rent"
    mail.set_content("See the attachment.")
    mail.add_attachment(pdf, maintype="application", subtype="pdf", filename="rent.pdf")
    return PrepareTask(data=mail.as_bytes(), name="rent.eml")


def in_an_archive(pdf: bytes) -> PrepareTask:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("letters/rent.pdf", pdf)
    return PrepareTask(data=data.getvalue(), name="letters.zip")


@pytest.mark.parametrize("enclosed", [in_a_mail, in_an_archive])
def test_a_pdf_in_another_document_is_read_in_the_fast_way_too(
    enclosed: Callable[[bytes], PrepareTask],
) -> None:
    document = mupdf().open()
    page = document.new_page()
    page.insert_text((72, 72), "The rent is due on Monday.")
    hasty = quicker(enclosed(document.tobytes()))
    assert hasty is not None
    parsed = decode_parsed(prepare(hasty).encoded)
    assert "The rent is due on Monday." in parsed.text
    assert parsed.counters[IN_HASTE] == 1


def handbook(*chunkers: ChunkerSpec, title: str | None = None) -> PrepareTask:
    return PrepareTask(data=HANDBOOK, name="leave.md", title=title, chunkers=chunkers)


def test_a_document_comes_back_ready_to_be_stored(pool: WorkerPool[PrepareTask, Prepared]) -> None:
    (outcome,) = pool.map([handbook(STRUCTURE, SMALL)])
    assert outcome.error is None
    assert outcome.value is not None
    document = decode_parsed(outcome.value.encoded)
    summary = outcome.value.summary
    assert summary == summarise(document)
    assert summary.media_type == "text/markdown"
    assert summary.characters == len(document.text)
    assert summary.blocks["table"] == 1
    for chunks in outcome.value.chunks:
        assert chunks
        assert all(document.text[chunk.start : chunk.end] == chunk.text for chunk in chunks)
    assert outcome.value.seconds.parse > 0


def test_the_worker_makes_what_the_function_makes(pool: WorkerPool[PrepareTask, Prepared]) -> None:
    here = prepare(handbook(STRUCTURE))
    (there,) = pool.map([handbook(STRUCTURE)])
    assert there.value is not None
    assert (there.value.encoded, there.value.summary, there.value.chunks) == (
        here.encoded,
        here.summary,
        here.chunks,
    )


def test_a_cheap_tokenizer_needs_no_numpy() -> None:
    script = (
        "import sys\n"
        "from rag_pipelines.chunking.base import ChunkOptions\n"
        "from rag_pipelines.embedding.tokenizer import TokenizerSpec\n"
        "from rag_pipelines.sync.prepare import ChunkerSpec, PrepareTask, prepare\n"
        "chunker = ChunkerSpec(ChunkOptions(), TokenizerSpec('characters', max_tokens=64))\n"
        "assert prepare(PrepareTask(data=b'# Leave', name='a.md', chunkers=(chunker,))).chunks[0]\n"
        "print('numpy' in sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"


def test_stored_blocks_chunk_as_the_document_did() -> None:
    with WorkerPool(process, workers=1) as pool:
        (first,) = pool.map([handbook(STRUCTURE, SMALL)])
        assert isinstance(first.value, Prepared)
        (again,) = pool.map([RechunkTask(encoded=first.value.encoded, chunkers=(STRUCTURE, SMALL))])
    assert isinstance(again.value, Rechunked)
    assert again.value.chunks == first.value.chunks


def test_the_systems_title_goes_before_the_documents_own() -> None:
    (given,) = prepare(handbook(STRUCTURE, title="Time off")).chunks
    (found,) = prepare(handbook(STRUCTURE)).chunks
    assert given is not None
    assert found is not None
    assert "Time off" in given[0].embedding_input
    assert "Time off" not in found[0].embedding_input


def test_chunks_that_need_the_model_are_left_to_the_process_that_holds_it() -> None:
    semantic, structure = prepare(handbook(SEMANTIC, STRUCTURE)).chunks
    assert semantic is None
    assert structure


def test_a_document_without_text_is_an_error_of_its_own(pool: WorkerPool[PrepareTask, Prepared]) -> None:
    (outcome,) = pool.map([PrepareTask(data=b" \n", name="empty.txt", chunkers=(STRUCTURE,))])
    assert isinstance(outcome.error, EmptyDocumentError)


def test_an_impossible_chunker_ends_the_run_instead_of_failing_every_document() -> None:
    impossible = ChunkerSpec(ChunkOptions(max_tokens=4), WORDS)
    with WorkerPool(prepare, workers=1) as pool, pytest.raises(ConfigError):
        list(pool.map([handbook(impossible)]))


def test_nothing_is_chunked_where_the_blocks_are_known() -> None:
    task = handbook(STRUCTURE)
    first = prepare(task)
    assert first.chunks is not None
    again = prepare(msgspec.structs.replace(task, known_blocks=sha256(first.encoded)))
    assert (again.encoded, again.summary, again.chunks) == (first.encoded, first.summary, None)
    other = prepare(msgspec.structs.replace(task, known_blocks=sha256(b"other blocks")))
    assert other.chunks == first.chunks


def test_equal_documents_have_equal_encodings_whatever_the_order_of_their_metadata() -> None:
    def document(metadata: dict[str, object]) -> ParsedDocument:
        return ParsedDocument("text/plain", "a", (Block(BlockKind.PARAGRAPH, 0, 1),), metadata=metadata)

    assert encode_parsed(document({"a": 1, "b": 2})) == encode_parsed(document({"b": 2, "a": 1}))


def test_metadata_of_any_type_survives_as_text() -> None:
    strange = ParsedDocument(
        "text/plain", "", (), metadata={"when": datetime(2024, 5, 1, tzinfo=UTC), "what": 1j}
    )
    assert decode_parsed(encode_parsed(strange)).metadata["what"] == "1j"
    assert summarise(strange).metadata == {"when": "2024-05-01T00:00:00Z", "what": "1j"}


def test_damaged_blocks_are_told_from_a_document() -> None:
    with pytest.raises(RagError, match="damaged"):
        decode_parsed(encode_parsed(ParsedDocument("text/plain", "text", ()))[:-3])
