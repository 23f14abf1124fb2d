"""The words of a flat ODF document by what holds them, and its table rows.

What belongs here: walking what LibreOffice stored (OASIS OpenDocument 1.3, part 3). What does not: deciding
what of it a viewer shows; only the PDF of the same document says that, and `hidden` sheets, rows and columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lxml import etree

MOST_REPEATED = 2000
"""Repeats of a filled cell or row that are followed; a sheet may repeat one to its last row."""

_NAMESPACE = "urn:oasis:names:tc:opendocument:xmlns:"
_TEXT = f"{{{_NAMESPACE}text:1.0}}"
_TABLE = f"{{{_NAMESPACE}table:1.0}}"
_DRAW = f"{{{_NAMESPACE}drawing:1.0}}"
_OFFICE = f"{{{_NAMESPACE}office:1.0}}"
_STYLE = f"{{{_NAMESPACE}style:1.0}}"
_PRESENTATION = f"{{{_NAMESPACE}presentation:1.0}}"
_SVG = f"{{{_NAMESPACE}svg-compatible:1.0}}"
_MATH = "{http://www.w3.org/1998/Math/MathML}"
_DUBLIN_CORE = "{http://purl.org/dc/elements/1.1/}"

HIDDEN = "hidden"
COMMENT = "comment"
NOTES = "speaker notes"
CONTENTS = "contents"
DELETED = "deleted"
FIELD = "field"
CHART_DATA = "chart data"
FORMULA = "formula"
IMAGE = "image text"
SHEET = "sheet name"
UNSEEN = frozenset({HIDDEN, COMMENT, NOTES, CONTENTS, DELETED, FIELD, CHART_DATA, IMAGE})
"""Kinds that no reader is asked for: not on the page, generated, or shown on request only."""

_BLANK = {f"{_TEXT}s", f"{_TEXT}tab", f"{_TEXT}line-break", f"{_TEXT}soft-page-break"}
_FIELDS = {
    f"{_TEXT}{name}"
    for name in (
        *("page-number", "page-count", "date", "time", "file-name", "sheet-name", "creation-date"),
        *("creation-time", "modification-date", "print-date", "author-name", "page-continuation"),
    )
}
_INDEXES = {
    f"{_TEXT}{name}"
    for name in ("table-of-content", "illustration-index", "table-index", "alphabetical-index", "user-index")
}
_KINDS = {
    f"{_TEXT}tracked-changes": DELETED,
    f"{_TEXT}list": "list",
    f"{_TEXT}note": "note",
    f"{_TEXT}bibliography": "contents",
    f"{_OFFICE}annotation": COMMENT,
    f"{_PRESENTATION}notes": NOTES,
    f"{_DRAW}object": "chart",
    f"{_SVG}title": IMAGE,
    f"{_SVG}desc": IMAGE,
    f"{_STYLE}header": "header",
    f"{_STYLE}header-left": "header",
    f"{_STYLE}header-first": "header",
    f"{_STYLE}footer": "footer",
    f"{_STYLE}footer-left": "footer",
    f"{_STYLE}footer-first": "footer",
} | dict.fromkeys(_INDEXES, CONTENTS)
_KEPT = UNSEEN | {"header", "footer", "note", "chart"}
"""Kinds that stay the same for whatever is inside."""


@dataclass
class Flat:
    """What a document holds: pieces as (kind, text) in file order, table rows, texts of merged cells."""

    pieces: list[tuple[str, str]] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    spans: list[str] = field(default_factory=list)


def read(path: Path) -> Flat:
    """A kept flat ODF file; an empty one, of what LibreOffice could not open, holds nothing."""
    data = path.read_bytes()
    if not data:
        return Flat()
    root = etree.fromstring(data, etree.XMLParser(huge_tree=True, recover=True))
    walk = _Walk(_hidden_tables(root))
    for part in (f"{_OFFICE}master-styles", f"{_OFFICE}body"):
        for element in root.iterchildren(part):
            walk.block(element, "body")
    return walk.flat


def _hidden_tables(root: etree._Element) -> set[str]:
    """Names of the table styles of hidden sheets."""
    return {
        style.get(f"{_STYLE}name", "")
        for style in root.iter(f"{_STYLE}style")
        for properties in style.iterchildren(f"{_STYLE}table-properties")
        if properties.get(f"{_TABLE}display") == "false"
    }


class _Walk:
    def __init__(self, hidden_tables: set[str]) -> None:
        self.flat = Flat()
        self._hidden_tables = hidden_tables
        self._furniture: set[str] = set()

    def block(self, element: etree._Element, kind: str) -> None:
        """Whatever is no paragraph."""
        for child in element:
            if not isinstance(child.tag, str):
                continue
            if child.tag in (f"{_TEXT}p", f"{_TEXT}h"):
                inner = "heading" if child.tag == f"{_TEXT}h" and kind == "body" else kind
                self._paragraph(child, inner)
            elif child.tag == f"{_TABLE}table":
                self._table(child, kind)
            elif child.tag == f"{_PRESENTATION}notes" or child.tag in _KINDS:
                self.block(child, self._inner(child, kind))
                if child.tag in (f"{_SVG}title", f"{_SVG}desc"):
                    self._piece(IMAGE, child.text or "")
            elif child.tag == f"{_DRAW}frame" or child.tag.startswith(_DRAW):
                self.block(child, kind if kind in _KEPT else "text box")
            elif child.tag == f"{_MATH}math":
                for leaf in child.iter(f"{_MATH}mi", f"{_MATH}mn", f"{_MATH}mo", f"{_MATH}mtext"):
                    self._piece(FORMULA, leaf.text or "")
            elif child.tag == f"{_DUBLIN_CORE}creator":
                self._piece(kind, child.text or "")
            elif child.tag == f"{_OFFICE}binary-data":
                continue
            else:
                self.block(child, kind)

    def _inner(self, element: etree._Element, kind: str) -> str:
        return kind if kind in _KEPT else _KINDS[str(element.tag)]

    def _piece(self, kind: str, text: str) -> None:
        """Keep a piece. Page styles that look alike hold a header each: equal ones are one."""
        if kind in ("header", "footer"):
            if text in self._furniture:
                return
            self._furniture.add(text)
        if text.strip():
            self.flat.pieces.append((kind, text))

    def _paragraph(self, element: etree._Element, kind: str) -> None:
        """One paragraph; what is anchored in it stands before it, as its own pieces."""
        text: list[str] = []
        self._inline(element, kind, text)
        self._piece(kind, "".join(text))

    def _inline(self, element: etree._Element, kind: str, text: list[str]) -> None:
        text.append(element.text or "")
        for child in element:
            if not isinstance(child.tag, str):
                pass
            elif child.tag in _BLANK:
                text.append(" ")
            elif child.tag in _FIELDS:
                self._piece(kind if kind in UNSEEN else FIELD, "".join(child.itertext()))
            elif child.tag in (f"{_TEXT}note", f"{_OFFICE}annotation"):
                self.block(child, self._inner(child, kind))
                text.append(" ")
            elif child.tag.startswith(_DRAW) and child.tag != f"{_DRAW}a":
                self.block_of(child, kind)
            else:
                self._inline(child, kind, text)
            text.append(child.tail or "")

    def block_of(self, element: etree._Element, kind: str) -> None:
        """A drawn thing in a paragraph."""
        self.block(element, kind if kind in _KEPT else "text box")

    def _table(self, table: etree._Element, kind: str) -> None:
        if kind == "chart":
            inner = CHART_DATA
        elif kind in _KEPT:
            inner = kind
        elif table.get(f"{_TABLE}style-name") in self._hidden_tables:
            inner = HIDDEN
        else:
            inner = "table"
        if table.getparent().tag == f"{_OFFICE}spreadsheet":
            self._piece(inner if inner == HIDDEN else SHEET, table.get(f"{_TABLE}name", ""))
        for shapes in table.iterchildren(f"{_TABLE}shapes"):
            self.block(shapes, "body" if inner == "table" else inner)
        columns = list(_hidden_columns(table))
        reaching: dict[int, int] = {}
        for row in _own(table, f"{_TABLE}table-row"):
            visible = row.get(f"{_TABLE}visibility") in (None, "visible")
            self._row(row, inner if visible else HIDDEN, columns, reaching)
            ended = int(row.get(f"{_TABLE}number-rows-repeated", 1))
            reaching = {column: left - ended for column, left in reaching.items() if left > ended}

    def _row(self, row: etree._Element, kind: str, columns: list[bool], reaching: dict[int, int]) -> None:
        """A row; `reaching` says of columns how many rows, from this one, a cell above still covers.

        Such a cell stands between its neighbours, and two empty columns of a sheet between tables: the row is
        parted there.
        """
        is_sheet = next(row.iterancestors(f"{_OFFICE}spreadsheet"), None) is not None
        parts: list[list[str]] = [[]]
        below: dict[int, int] = {}
        gap = column = 0
        nested = False
        first = len(self.flat.pieces)
        for cell in row:
            if cell.tag not in (f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"):
                continue
            repeated = int(cell.get(f"{_TABLE}number-columns-repeated", 1))
            here = range(column, column + repeated)
            hidden = column < len(columns) and columns[column]
            column += repeated
            if cell.tag == f"{_TABLE}covered-table-cell":
                parts[-1].append("")
                if any(one in reaching for one in here):
                    parts.append([])
                continue
            if (down := int(cell.get(f"{_TABLE}number-rows-spanned", 1))) > 1:
                across = int(cell.get(f"{_TABLE}number-columns-spanned", 1))
                below.update(dict.fromkeys(range(here.start, here.start + across), down))
            gap = 0 if len(cell) else gap + repeated
            if len(cell) == 0:
                parts[-1].append("")
                if is_sheet and gap > 1:
                    parts.append([])
                continue
            nested = nested or next(cell.iterdescendants(f"{_TABLE}table"), None) is not None
            inner = HIDDEN if hidden else kind
            told = (inner, _KINDS[f"{_TEXT}list"])
            for _ in range(min(repeated, MOST_REPEATED)):
                before = len(self.flat.pieces)
                self.block(cell, inner)
                text = "\n".join(piece for found, piece in self.flat.pieces[before:] if found in told)
                parts[-1].append("" if inner in UNSEEN else text)
            for _ in range(_spanned(cell) - 1):
                self.flat.spans.append(text)
        made = self.flat.pieces[first:]
        repeated = min(int(row.get(f"{_TABLE}number-rows-repeated", 1)), MOST_REPEATED) if made else 1
        self.flat.pieces.extend(made * (repeated - 1))
        if kind not in UNSEEN and not nested:
            self.flat.rows.extend([cells for cells in parts if any(cells)] * repeated)
        reaching.update(below)


def _own(table: etree._Element, tag: str) -> Iterator[etree._Element]:
    """The rows or columns of a table, through row groups, without those of tables in its cells."""
    for child in table:
        if child.tag == tag:
            yield child
        elif isinstance(child.tag, str) and child.tag.startswith(_TABLE) and child.tag != f"{_TABLE}shapes":
            yield from _own(child, tag)


def _hidden_columns(table: etree._Element) -> Iterator[bool]:
    for column in _own(table, f"{_TABLE}table-column"):
        hidden = column.get(f"{_TABLE}visibility") not in (None, "visible")
        yield from [hidden] * min(int(column.get(f"{_TABLE}number-columns-repeated", 1)), MOST_REPEATED)


def _spanned(cell: etree._Element) -> int:
    rows = int(cell.get(f"{_TABLE}number-rows-spanned", 1))
    columns = int(cell.get(f"{_TABLE}number-columns-spanned", 1))
    return min(rows * columns, MOST_REPEATED)
