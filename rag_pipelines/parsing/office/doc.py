"""Old binary Word documents (DOC, Word 97 to 2003): their paragraphs as blocks.

What belongs here: what a paragraph becomes. What does not: the text of a paragraph (`doc_text`), the binary
format (`doc_binary`, `ole`).

Why not `unstructured` here: it calls LibreOffice, which must be installed and takes seconds a file.
Text boxes follow the body, because only the layout says where they stand; notes and comments follow the
paragraph that refers to them. Of embedded objects those are read that keep their file as it was.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from rag_pipelines.errors import EncryptedDocumentError, UnsupportedDocumentError
from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.losses import LeftOut, Loss
from rag_pipelines.parsing.office.doc_binary import HEADING_STYLES, BinaryWord, ParagraphProperties
from rag_pipelines.parsing.office.doc_text import DocText
from rag_pipelines.parsing.office.ole import document_properties, embedded_objects, open_ole, read_stream
from rag_pipelines.parsing.parts import add_attachment
from rag_pipelines.parsing.witness import doc as witness
from rag_pipelines.text.titles import choose_title

MEDIA_TYPE = "application/msword"

_WORD_97 = 0x00C1
_ENCRYPTED, _SECOND_TABLE = 0x0100, 0x0200
_TITLE_STYLE, _CAPTION_STYLE = 62, 34
_CONTENTS_STYLES, _LIST_STYLES, _QUOTE_STYLES = range(19, 28), range(48, 58), range(180, 182)
_BODY_OUTLINE = 9

_PARAGRAPH = re.compile("([^\r\x07\x0c]*)([\r\x07\x0c])")
_OBJECTS = "ObjectPool"


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
        data = read_stream(container, "Data") if container.exists("Data") else b""
        builder.metadata = document_properties(container)
        embedded = list(embedded_objects(container, _OBJECTS))
    text = DocText(BinaryWord(main, table), data, builder)
    opening = _read(builder, text, "body")
    _read(builder, text, "boxes")
    for file in embedded:
        if file is None:
            builder.lose(Loss.ATTACHMENTS)
        else:
            add_attachment(builder, request, file.data, file.name)
    _add_furniture(builder, text)
    builder.title = choose_title(builder.title or opening, builder.metadata.get("title"))
    builder.account_for(witness.text(main))
    return builder.finish()


def _read(builder: DocumentBuilder, story: DocText, name: str) -> str | None:
    """Add all paragraphs and tables of a story; returns the heading that it opens with, if it does."""
    opening: str | None = None
    cell: list[str] = []
    row: list[str] = []
    rows: list[list[str]] = []
    for start, end, mark, paragraph in _paragraphs(story.document, *story.document.stories[name]):
        text = story.text(start, end)
        if text.strip() and paragraph.list_override:
            label = story.document.numbering.next_label(paragraph.list_override, paragraph.depth)
            text = f"{label} {text}" if label else text
        if paragraph.ends_row:
            rows.append(row)
            row = []
        elif paragraph.in_table or mark == "\x07":
            cell.append(text)
            if mark == "\x07":
                row.append("\n".join(cell))
                cell = []
            continue
        else:
            if rows:
                builder.add_table(rows, header_rows=int(len(rows) > 1))
                rows = []
            kind, level = _kind(paragraph)
            if kind is BlockKind.HEADING and not builder:
                opening = text.strip()
            if paragraph.style in _CONTENTS_STYLES:
                builder.leave_out(LeftOut.CONTENTS, text)
            else:
                builder.add(kind, text, level=level)
        if not rows:
            _add_remarks(builder, story)
    builder.add_table(rows, header_rows=int(len(rows) > 1))
    _add_remarks(builder, story)
    return opening


def _add_remarks(builder: DocumentBuilder, story: DocText) -> None:
    remarks, story.remarks = story.remarks, []
    for remark in remarks:
        builder.add(BlockKind.PARAGRAPH, remark)


def _add_furniture(builder: DocumentBuilder, story: DocText) -> None:
    """Add headers and footers, and the text boxes in them."""
    for start, end, is_footer in story.document.headers():
        builder.add(BlockKind.FOOTER if is_footer else BlockKind.HEADER, story.text(start, end))
    builder.add(BlockKind.HEADER, story.text(*story.document.stories["header boxes"]))


def _paragraphs(
    document: BinaryWord, start: int, end: int
) -> Iterator[tuple[int, int, str, ParagraphProperties]]:
    """Where each paragraph begins and ends, the character that ends it, and its properties."""
    for match in _PARAGRAPH.finditer(document.text, start, end):
        yield match.start(), match.end() - 1, match[2], document.paragraph_at(match.end() - 1)


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
    if paragraph.list_override or paragraph.style in _LIST_STYLES:
        return BlockKind.LIST_ITEM, paragraph.depth + 1
    return BlockKind.PARAGRAPH, None
