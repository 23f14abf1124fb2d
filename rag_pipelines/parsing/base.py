"""The contract of a parser, and the request that reaches it.

What belongs here: the types that every format module shares. What does not: finding the parser
(`registry`), guarding it (`workers.pool`), or any format's own code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from rag_pipelines.errors import UnsupportedDocumentError
from rag_pipelines.model import ParsedDocument
from rag_pipelines.parameters import Secret, Size


@dataclass(frozen=True)
class ParseLimits:
    """What one document may cost. Times in seconds, sizes in bytes unless the name says otherwise.

    `seconds` bounds the processor time, and apart from it the time that passes while the document neither
    works nor waits for a processor. A document that needs more is tried again alone, with twice of it.
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
class ParseOptions:
    """The parser profile: everything that changes what a parser returns for the same bytes.

    `pdf_table_seconds` is how long one PDF may be searched for tables beyond the alignment of its text,
    at the nominal cost of each page (`pdf.tables`). It does not follow from `ParseLimits.seconds`, so
    that a limit decides whether a document is read and never what is found in it. Whoever raises it
    leaves at least as much again below that limit for the text, and for slower machines.
    With an engine other than the native one, options of that format have no effect. With `links` as
    ``text``, the text names where links lead, "the handbook (https://acme.example/handbook)"; else that is
    known of each block only.
    """

    pdf: Literal["fast", "auto", "layout"] = "auto"
    pdf_table_seconds: float = 20.0
    html_main_content: bool = True
    engines: Engines = Engines()
    links: Literal["metadata", "text"] = "metadata"
    passwords: tuple[Secret, ...] = field(default=(), repr=False)


def refuse_part(request: ParseRequest) -> ParsedDocument:
    """What reads the parts of a document where nobody said what does."""
    raise UnsupportedDocumentError(
        f"the part {request.name!r} was not read: its document came without a registry"
    )


class ParseRequest(msgspec.Struct, frozen=True):
    """One document to parse. `name` and `declared_type` are hints only; the content decides.

    `parse_part` reads a document inside the document, such as an attachment, whatever its format is; the
    registry sets it.
    """

    data: bytes
    name: str = ""
    declared_type: str | None = None
    options: ParseOptions = ParseOptions()
    limits: ParseLimits = ParseLimits()
    parse_part: Callable[[ParseRequest], ParsedDocument] = refuse_part
