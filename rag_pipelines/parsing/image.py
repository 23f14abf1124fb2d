"""Pictures: the text that optical character recognition finds in them.

What belongs here: pictures as documents. What does not: the engines (`ocr`), pages of a PDF (`pdf`),
pictures in other documents (`parts.add_picture`, which hands them over).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce

from rag_pipelines.errors import CorruptDocumentError, EmptyDocumentError
from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest, RecognisedLine
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.losses import Loss
from rag_pipelines.parsing.pdf.engine import mupdf
from rag_pipelines.parsing.signatures import IMAGES, unsupported_error
from rag_pipelines.text.boundaries import join_pieces

SMALLEST = 40
"""Pixels of a side below which a picture is an icon or a rule, and is not read."""

PARAGRAPH_GAP = 0.8
"""White between two lines, in heights of a line, above which another paragraph begins."""


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
    builder: DocumentBuilder, request: ParseRequest, lines: Iterable[RecognisedLine], *, page: int | None
) -> None:
    """Add recognised lines as paragraphs; those that the engine is not sure of are counted."""
    sure = []
    for line in lines:
        if line.confidence >= request.options.ocr.min_confidence:
            sure.append(line)
        else:
            builder.lose(Loss.CHARACTERS, len(line.text))
    for paragraph in _paragraphs(sure):
        text = reduce(join_pieces, [line.text for line in paragraph])
        confidence = sum(line.confidence for line in paragraph) / len(paragraph)
        builder.add(BlockKind.PARAGRAPH, text, page=page, confidence=confidence)


def _paragraphs(lines: Iterable[RecognisedLine]) -> Iterator[list[RecognisedLine]]:
    """Lines that stand close below each other in letters of one size."""
    paragraph: list[RecognisedLine] = []
    for line in lines:
        if paragraph and not _goes_on(paragraph[-1], line):
            yield paragraph
            paragraph = []
        paragraph.append(line)
    if paragraph:
        yield paragraph


def _goes_on(above: RecognisedLine, below: RecognisedLine) -> bool:
    (left, top, right, bottom), (next_left, next_top, next_right, next_bottom) = above.box, below.box
    height, next_height = bottom - top, next_bottom - next_top
    gap = next_top - bottom
    return (
        -height < gap < PARAGRAPH_GAP * height
        and next_top > top
        and next_left < right
        and left < next_right
        and max(height, next_height) < 1.5 * min(height, next_height)
    )


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
