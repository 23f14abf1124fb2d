"""Pictures: the text that optical character recognition finds in them.

What belongs here: pictures as documents. What does not: the engines (`ocr`), pages of a PDF (`pdf`),
pictures in other documents (`parts.add_picture`, which hands them over).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from rag_pipelines.errors import CorruptDocumentError, EmptyDocumentError
from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest, RecognisedLine
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.losses import Loss
from rag_pipelines.parsing.pdf.engine import mupdf
from rag_pipelines.parsing.pdf.flow import Paragraph, in_reading_order
from rag_pipelines.parsing.pdf.page import Page
from rag_pipelines.parsing.pdf.recognised import take_lines
from rag_pipelines.parsing.pdf.tables import find_aligned_tables
from rag_pipelines.parsing.signatures import IMAGES, unsupported_error

SMALLEST = 40
"""Pixels of a side below which a picture is an icon or a rule, and is not read."""

LETTERS = 10.0
"""Points to which the lines of a picture are brought in most of its text, whatever its resolution."""


def parse(request: ParseRequest) -> ParsedDocument:
    """The text in a picture, each frame of it a page.

    Raises:
        UnsupportedDocumentError: the parsing profile has no recognition.
        CorruptDocumentError: it is no picture that can be opened.
        EmptyDocumentError: nothing in it reads as text.
    """
    media_type = (request.declared_type or "").partition(";")[0]
    if request.recognise is None:
        raise unsupported_error(f"{IMAGES[media_type]} and profiles.parsing has no ocr for it")
    builder = DocumentBuilder.of(media_type, request)
    for number, frame in enumerate(_frames(request), start=1):
        builder.pages = number
        add_recognised(builder, request, request.recognise(frame), page=number)
    if not builder:
        raise EmptyDocumentError("nothing in the picture was recognised as text")
    return builder.finish()


def add_recognised(
    builder: DocumentBuilder, request: ParseRequest, lines: Sequence[RecognisedLine], *, page: int
) -> None:
    """Add recognised lines as paragraphs and tables; those that the engine is not sure of are counted."""
    least = request.options.ocr.min_confidence
    heights = [bottom - top for _, confidence, (_, top, _, bottom) in lines if confidence >= least]
    inside = Page(page, 0.0, 0.0)
    builder.lose(Loss.CHARACTERS, take_lines(inside, lines, LETTERS / max(median(heights or [0]), 1), least))
    inside.width = max((line.box.x1 for line in inside.lines), default=0.0)
    for item in in_reading_order(inside, find_aligned_tables(inside)):
        if isinstance(item, Paragraph):
            builder.add(BlockKind.PARAGRAPH, item.whole, page=page, confidence=item.confidence)
        else:
            builder.add_table(item.rows, header_rows=item.header_rows, page=page, confidence=item.confidence)


def _frames(request: ParseRequest) -> Iterator[bytes]:
    """The frames of a picture as PNG in its own resolution, without icons; the first ``ocr.max_pages``."""
    pymupdf = mupdf()
    kind = (request.declared_type or "").partition(";")[0].rpartition("/")[2]
    try:
        with pymupdf.open(stream=request.data, filetype=kind) as document:
            for page in list(document)[: request.options.ocr.max_pages]:
                width = page.get_image_info()[0]["width"]
                zoom = width / page.rect.width
                if min(width, page.rect.height * zoom) >= SMALLEST:
                    yield page.get_pixmap(matrix=pymupdf.Matrix(zoom, zoom), alpha=False).tobytes("png")
    except (RuntimeError, ValueError, IndexError, pymupdf.mupdf.FzErrorBase) as error:
        raise CorruptDocumentError(f"MuPDF cannot open the picture: {error}") from error
