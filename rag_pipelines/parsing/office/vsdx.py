"""Visio drawings (VSDX): the text of their shapes, page by page.

What belongs here: pages, shapes and masters ([MS-VSDX]). What does not: opening the package (`zip_package`).

Shapes are read from top to bottom and from left to right, those of a group together. A shape without text of
its own shows that of its master. What stands on a background is furniture of the pages before it.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rag_pipelines.errors import CorruptDocumentError
from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.office.xlsx_parts import R, relations
from rag_pipelines.parsing.zip_package import (
    core_properties,
    parse_xml,
    read_part,
    validate_ooxml,
)
from rag_pipelines.text.titles import choose_title

if TYPE_CHECKING:
    from lxml.etree import _Element

MEDIA_TYPE = "application/vnd.ms-visio.drawing.main+xml"
_PAGES = "visio/pages/pages.xml"
_MASTERS = "visio/masters/masters.xml"
V = "{http://schemas.microsoft.com/office/visio/2012/main}"
_SAME_HEIGHT = 4
"""Shapes whose middles differ by less than a quarter of an inch stand side by side."""

Masters = dict[tuple[str, str], str]


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of a drawing: each page a heading over the texts of its shapes.

    Raises:
        CorruptDocumentError, EncryptedDocumentError, TooLargeDocumentError: see `zip_package`.
    """
    office_file = validate_ooxml(request.data, request.limits)
    builder = DocumentBuilder.of(MEDIA_TYPE, request)
    with zipfile.ZipFile(io.BytesIO(office_file.data)) as package:
        if _PAGES not in package.NameToInfo:
            raise CorruptDocumentError("a Visio drawing without pages")
        masters = _masters(package)
        number = 0
        for page, content in _parts(package, _PAGES, "Page"):
            texts = list(_texts(content.find(f"{V}Shapes"), masters))
            if page.get("Background") == "1":
                for text in texts:
                    builder.add(BlockKind.HEADER, text)
                continue
            number += 1
            if texts:
                name = page.get("Name") or page.get("NameU") or f"Page-{number}"
                builder.add(BlockKind.HEADING, name, level=1, page=number)
            for text in texts:
                builder.add(BlockKind.PARAGRAPH, text, page=number)
        builder.pages = number
    builder.metadata = core_properties(office_file)
    builder.language = builder.metadata.pop("language", None)
    builder.title = choose_title(None, builder.metadata.get("title"))
    return builder.finish()


def _parts(package: zipfile.ZipFile, listing: str, kind: str) -> Iterator[tuple[_Element, _Element]]:
    """The entries of a listing of pages or masters, each with the root of its part."""
    targets = relations(package, listing)
    for one in parse_xml(read_part(package, listing), listing).iterchildren(f"{V}{kind}"):
        reference = one.find(f"{V}Rel")
        target = None if reference is None else targets.get(reference.get(f"{R}id") or "")
        if target is not None and target.part in package.NameToInfo:
            yield one, parse_xml(read_part(package, target.part), target.part)


def _masters(package: zipfile.ZipFile) -> Masters:
    """The texts of masters, by their id and that of the shape; the first shape also without its own."""
    found: Masters = {}
    if _MASTERS in package.NameToInfo:
        for master, content in _parts(package, _MASTERS, "Master"):
            identity = master.get("ID") or ""
            for number, shape in enumerate(content.iter(f"{V}Shape")):
                found[identity, shape.get("ID") or ""] = _text(shape)
                if number == 0:
                    found[identity, ""] = _text(shape)
    return found


def _texts(shapes: _Element | None, masters: Masters, master: str = "") -> Iterator[str]:
    """The texts of shapes in reading order; `master` is that of the group around them."""
    if shapes is None:
        return
    for shape in sorted(shapes.iterchildren(f"{V}Shape"), key=_place):
        own = shape.get("Master") or master
        if shape.find(f"{V}Text") is not None:
            text = _text(shape)
        else:
            text = masters.get((own, shape.get("MasterShape") or ""), "") if own else ""
        if text:
            yield text
        yield from _texts(shape.find(f"{V}Shapes"), masters, own)


def _place(shape: _Element) -> tuple[int, float]:
    """From the top, and from the left; drawings count from the lower left corner, in inches."""
    at = {cell.get("N"): cell.get("V") for cell in shape.iterchildren(f"{V}Cell")}
    try:
        return -round(_SAME_HEIGHT * float(at.get("PinY") or 0)), float(at.get("PinX") or 0)
    except ValueError:
        return 0, 0.0


def _text(shape: _Element) -> str:
    text = shape.find(f"{V}Text")
    return "" if text is None else "".join(text.itertext()).replace("\u2028", "\n").strip()
