"""Documents as `unstructured` reads them: `engines` of a parsing profile sends a format here.

What belongs here: the mapping of the library's elements to blocks. What does not: preparing the library
(`runtime`), and the checks of a package before anything opens it (`zip_package`).

Headings are the library's: for slides only what the slide declares as its title or begins with, for other
formats every element that it calls a title.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rag_pipelines.errors import UnsupportedDocumentError
from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing import signatures
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.encoding import charset_of, decode
from rag_pipelines.parsing.unstructured import runtime
from rag_pipelines.parsing.zip_package import core_properties, validate_ooxml
from rag_pipelines.text.titles import choose_title

if TYPE_CHECKING:
    from unstructured.documents.elements import Element

_KINDS = {
    "Header": BlockKind.HEADER,
    "Footer": BlockKind.FOOTER,
    "CodeSnippet": BlockKind.CODE,
    "FigureCaption": BlockKind.CAPTION,
}
_DEEPEST_HEADING = 6


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of a DOCX, PPTX or HTML document.

    Raises:
        UnsupportedDocumentError: the library is not installed.
        CorruptDocumentError, EncryptedDocumentError, TooLargeDocumentError: see `zip_package`.
    """
    media_type = (request.declared_type or "").partition(";")[0]
    builder = DocumentBuilder.of(media_type, request)
    try:
        if media_type in (signatures.DOCX, signatures.PPTX):
            package = validate_ooxml(request.data, request.limits)
            builder.metadata = core_properties(package)
            data = package.data
            builder.language = builder.metadata.pop("language", None)
            slides = media_type == signatures.PPTX
            elements = runtime.partition_pptx(data) if slides else runtime.partition_docx(data)
            builder.title = choose_title(None, builder.metadata.get("title"))
        else:
            slides = False
            elements = runtime.partition_html(decode(request.data, charset_of(request.declared_type)))
    except ImportError as error:
        raise UnsupportedDocumentError(f"{runtime.MISSING} ({error})") from error
    add_elements(builder, elements, slides=slides)
    if slides:
        builder.pages = max((element.metadata.page_number or 0 for element in elements), default=0)
    return builder.finish()


def add_elements(builder: DocumentBuilder, elements: Iterable[Element], *, slides: bool = False) -> None:
    """Add the library's elements as blocks; of `slides`, the first title of each is a heading."""
    titled: set[int | None] = set()
    for element in elements:
        page, depth = element.metadata.page_number, element.metadata.category_depth or 0
        first = page not in titled
        titled.add(page)
        if element.category == "PageBreak":
            continue
        if element.category == "Table" and element.metadata.text_as_html:
            builder.add_table(_cells(element.metadata.text_as_html), header_rows=1, page=page)
        elif element.category == "ListItem":
            builder.add(BlockKind.LIST_ITEM, element.text, level=depth + 1, page=page)
        elif element.category == "Title" and (first or not slides):
            level = 1 if slides else min(depth + 1, _DEEPEST_HEADING)
            builder.add(BlockKind.HEADING, element.text, level=level, page=page)
        else:
            builder.add(_KINDS.get(element.category, BlockKind.PARAGRAPH), element.text, page=page)


def _cells(html: str) -> list[list[str]]:
    """The cells of the plain grid that unstructured writes as HTML."""
    from lxml.html import fragment_fromstring

    table = fragment_fromstring(html)
    return [[cell.text_content() for cell in row.iter("td", "th")] for row in table.iter("tr")]
