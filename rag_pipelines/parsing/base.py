"""The contract of a parser, and the request that reaches it.

What belongs here: the types that every format module shares. What does not: finding the parser
(`registry`), guarding it (`workers.pool`), or any format's own code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec

from rag_pipelines.errors import UnsupportedDocumentError
from rag_pipelines.model import ParsedDocument
from rag_pipelines.parameters import Secret, Size


@dataclass(frozen=True)
class ParseLimits:
    """What one document may cost. Times in seconds, sizes in bytes unless the name says otherwise.

    `seconds` bounds the processor time, and apart from it the time that passes while the document neither
    works nor waits for a processor. A document that needs more is tried again alone, with twice of it, and a
    PDF that needs more still in the ``fast`` way.
    """

    seconds: float = 60.0
    memory_mb: int = 2048
    max_bytes: Size = 200_000_000
    max_pages: int = 5_000
    max_characters: int = 20_000_000
    max_expansion_bytes: Size = 1_000_000_000


Engine = Literal["native", "unstructured"]


@dataclass(frozen=True)
class Engines:
    """Which library reads a format: this package's own parsers, or `unstructured` (an extra)."""

    docx: Engine = "native"
    pptx: Engine = "native"
    html: Engine = "native"


@dataclass(frozen=True)
class Ocr:
    """Optical character recognition of pages and pictures that have no text of their own.

    `engine`: ``auto`` is Tesseract where it is installed, else RapidOCR. `languages` are named as Tesseract
    names them; RapidOCR has one model for all of its own. Pages are rendered at `dpi`. Lines below
    `min_confidence` (0 to 1) are left out and counted. Of one PDF or picture `max_pages` pages are read, and
    of the pictures on the other pages of a PDF `max_pictures`; one takes a second or two, which
    `ParseLimits.seconds` has to allow.
    """

    engine: Literal["off", "auto", "tesseract", "rapidocr"] = "off"
    languages: tuple[str, ...] = ("eng",)
    dpi: int = 200
    min_confidence: float = 0.5
    max_pages: int = 200
    max_pictures: int = 40


@dataclass(frozen=True)
class ParseOptions:
    """The parser profile: everything that changes what a parser returns for the same bytes.

    `pdf_table_seconds` is how long one PDF may be searched for tables beyond the alignment of its text,
    at the nominal cost of each page (`pdf.tables`). It does not follow from `ParseLimits.seconds`, so
    that a limit decides whether a document is read, and what is found in it only where it says so. Whoever
    raises it leaves at least as much again below that limit for the text, and for slower machines.
    With an engine other than the native one, options of that format have no effect. With `links` as
    ``text``, the text names where links lead, "the handbook (https://acme.example/handbook)"; else that is
    known of each block only.
    """

    pdf: Literal["fast", "auto", "layout"] = "auto"
    pdf_table_seconds: float = 20.0
    html_main_content: bool = True
    engines: Engines = Engines()
    links: Literal["metadata", "text"] = "metadata"
    ocr: Ocr = Ocr()
    passwords: tuple[Secret, ...] = field(default=(), repr=False)


def refuse_part(request: ParseRequest) -> ParsedDocument:
    """What reads the parts of a document where nobody said what does."""
    raise UnsupportedDocumentError(
        f"the part {request.name!r} was not read: its document came without a registry"
    )


class RecognisedLine(NamedTuple):
    """A line of text in a picture; `confidence` is from 0 to 1, `box` left, top, right, bottom in pixels."""

    text: str
    confidence: float
    box: tuple[float, float, float, float]


class ParseRequest(msgspec.Struct, frozen=True):
    """One document to parse. `name` and `declared_type` are hints only; the content decides.

    `parse_part` reads a document inside the document, such as an attachment, whatever its format is, and
    `recognise` the lines of a picture, where the options have an engine for it; the registry sets both.
    """

    data: bytes
    name: str = ""
    declared_type: str | None = None
    options: ParseOptions = ParseOptions()
    limits: ParseLimits = ParseLimits()
    parse_part: Callable[[ParseRequest], ParsedDocument] = refuse_part
    recognise: Callable[[bytes], list[RecognisedLine]] | None = None
