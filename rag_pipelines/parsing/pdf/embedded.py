"""Files inside a PDF: attachments of the document or of a place on a page, and the files of a portfolio.

What belongs here: finding them (ISO 32000-1, 7.11.4 and 12.5.6.15). What does not: reading them (`parts`).

The pages of a portfolio are a cover sheet that asks for another program; what it is about stands in its
files.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.losses import Loss
from rag_pipelines.parsing.parts import add_attachment
from rag_pipelines.parsing.pdf.engine import faults, mupdf
from rag_pipelines.parsing.pdf.page import readable_pages


def add_embedded_files(builder: DocumentBuilder, document: Any, request: ParseRequest) -> None:
    """Add each file in `document` as a section of its own; what cannot be read is counted and warned of."""
    for name, data, page in _files(document, builder):
        builder.metadata.setdefault("attachments", []).append(name)
        add_attachment(builder, request, data, name, page=page)


def _files(document: Any, builder: DocumentBuilder) -> Iterator[tuple[str, bytes, int | None]]:
    """The files of the whole document, then those that hang on a page: name, bytes, page from 1.

    The same file is often in both places and comes once.
    """
    seen: set[bytes] = set()
    for name, data, page in chain(_of_document(document, builder), _of_pages(document, builder)):
        if data and data not in seen:
            seen.add(data)
            yield name, data, page


def _of_document(document: Any, builder: DocumentBuilder) -> Iterator[tuple[str, bytes, int | None]]:
    errors = faults()
    try:
        count = document.embfile_count()
    except errors as error:
        _lose(builder, "the list of embedded files", error)
        return
    for number in range(count):
        try:
            about = document.embfile_info(number)
            data = document.embfile_get(number)
        except errors as error:
            _lose(builder, f"embedded file {number + 1}", error)
            continue
        yield about.get("ufilename") or about.get("filename") or about["name"], data, None


def _of_pages(document: Any, builder: DocumentBuilder) -> Iterator[tuple[str, bytes, int | None]]:
    errors = faults()
    try:
        if not document.has_annots():
            return
    except errors:
        pass  # a page that cannot be found is counted where pages are read; the others may hold some
    for page in readable_pages(document):
        number = page.number + 1
        try:
            notes = list(page.annots(types=[mupdf().PDF_ANNOT_FILE_ATTACHMENT]))
        except errors as error:
            _lose(builder, f"files on page {number}", error)
            continue
        for note in notes:
            try:
                name, data = note.file_info["filename"], note.get_file()
            except errors as error:
                _lose(builder, f"file on page {number}", error)
                continue
            yield name, data, number


def _lose(builder: DocumentBuilder, what: str, error: Exception) -> None:
    builder.lose(Loss.ATTACHMENTS)
    builder.warnings.append(f"{what} cannot be taken out: {error}")
