"""XPS and OpenXPS documents, which MuPDF turns into a PDF with the same pages."""

from __future__ import annotations

import msgspec

from rag_pipelines.errors import CorruptDocumentError
from rag_pipelines.model import ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.pdf import parse as pdf
from rag_pipelines.parsing.pdf.engine import faults, mupdf
from rag_pipelines.parsing.zip_package import open_package

MEDIA_TYPE = "application/oxps"


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of an XPS document, as those of a PDF.

    Raises:
        DocumentError: as for a PDF (`pdf.parse`), and for its package (`zip_package`).
    """
    open_package(request.data, request.limits).close()
    try:
        with mupdf().open(stream=request.data, filetype="xps") as document:
            pages = document.convert_to_pdf()
    except faults() as error:
        raise CorruptDocumentError(f"MuPDF cannot open it as XPS: {error}") from error
    parsed = pdf.parse(msgspec.structs.replace(request, data=pages))
    return msgspec.structs.replace(parsed, media_type=MEDIA_TYPE)
