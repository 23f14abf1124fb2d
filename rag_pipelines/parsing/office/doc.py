"""Old binary Word documents (DOC, Word 97 to 2003): their paragraphs as blocks.

What belongs here: what a paragraph becomes. What does not: the binary format (`doc_binary`, `ole`).

Why not `unstructured` here: it calls LibreOffice, which must be installed and takes seconds a file.
Footnotes, headers and text boxes are not read.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from rag_pipelines.errors import EncryptedDocumentError, UnsupportedDocumentError
from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.office.doc_binary import HEADING_STYLES, BinaryWord, ParagraphProperties
from rag_pipelines.parsing.office.ole import document_properties, open_ole, read_stream
from rag_pipelines.parsing.zip_package import meaningful_title

MEDIA_TYPE = "application/msword"

_WORD_97 = 0x00C1
_ENCRYPTED, _SECOND_TABLE = 0x0100, 0x0200
_TITLE_STYLE, _CAPTION_STYLE = 62, 34
_CONTENTS_STYLES, _LIST_STYLES, _QUOTE_STYLES = range(19, 28), range(48, 58), range(180, 182)
_BODY_OUTLINE = 9

_PARAGRAPH = re.compile("([^\r\x07\x0c]*)([\r\x07\x0c])")
_FIELD_CODE = re.compile("\x13[^\x13\x14\x15]*[\x14\x15]")
_CHARACTERS = str.maketrans({"\x0b": "\n", "\x1e": "-", **dict.fromkeys("\x01\x02\x05\x08\x13\x14\x15\x1f")})


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of a Word 97 to 2003 document.

    Raises:
        EncryptedDocumentError: the document has a password.
        UnsupportedDocumentError: it was written before Word 97.
        CorruptDocumentError: it has no text, or streams are missing.
    """
    builder = DocumentBuilder.of(MEDIA_TYPE, request)
    with open_ole(request.data) as container:
        main = read_stream(container, "WordDocument")
        version, flags = struct.unpack_from("<2xH6xH", main)
        if flags & _ENCRYPTED:
            raise EncryptedDocumentError("the document is protected with a password")
        if version < _WORD_97:
            raise UnsupportedDocumentError(
                "a Word document from before 1997; save it as DOCX to have it read"
            )
        table = read_stream(container, "1Table" if flags & _SECOND_TABLE else "0Table")
        builder.metadata = document_properties(container)
    opening = _read(builder, BinaryWord(main, table))
    builder.title = builder.title or meaningful_title(builder.metadata.get("title")) or opening
    return builder.finish()


def _read(builder: DocumentBuilder, document: BinaryWord) -> str | None:
    """Add all paragraphs and tables; returns the heading that the document opens with, if it does."""
    opening: str | None = None
    cell: list[str] = []
    row: list[str] = []
    rows: list[list[str]] = []
    for text, end, paragraph in _paragraphs(document):
        if paragraph.ends_row:
            rows.append(row)
            row = []
        elif paragraph.in_table or end == "\x07":
            cell.append(text)
            if end == "\x07":
                row.append("\n".join(cell))
                cell = []
        else:
            if rows:
                builder.add_table(rows, header_rows=int(len(rows) > 1))
                rows = []
            kind, level = _kind(paragraph)
            if kind is BlockKind.HEADING and not builder:
                opening = text.strip()
            if paragraph.style in _CONTENTS_STYLES:
                builder.counters["contents_lines_dropped"] += 1
            else:
                builder.add(kind, text, level=level)
    builder.add_table(rows, header_rows=int(len(rows) > 1))
    return opening


def _paragraphs(document: BinaryWord) -> Iterator[tuple[str, str, ParagraphProperties]]:
    """The text of each paragraph, the character that ends it, and its properties."""
    for match in _PARAGRAPH.finditer(document.text):
        text = match[1]
        while "\x13" in text and (shorter := _FIELD_CODE.sub("", text)) != text:
            text = shorter
        yield text.translate(_CHARACTERS), match[2], document.paragraph_at(match.end() - 1)


def _kind(paragraph: ParagraphProperties) -> tuple[BlockKind, int | None]:
    if paragraph.style in HEADING_STYLES:
        return BlockKind.HEADING, paragraph.style
    if paragraph.outline is not None and paragraph.outline < _BODY_OUTLINE:
        return BlockKind.HEADING, paragraph.outline + 1
    if paragraph.style == _TITLE_STYLE:
        return BlockKind.TITLE, None
    if paragraph.style == _CAPTION_STYLE:
        return BlockKind.CAPTION, None
    if paragraph.style in _QUOTE_STYLES:
        return BlockKind.QUOTE, None
    if paragraph.is_listed or paragraph.style in _LIST_STYLES:
        return BlockKind.LIST_ITEM, paragraph.depth + 1
    return BlockKind.PARAGRAPH, None
