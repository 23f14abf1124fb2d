"""The parts of an XLSX workbook, and the frame of a sheet around its cells.

What belongs here: which parts there are and how they refer to each other, texts and formats that sheets
share, and the XML of a sheet that follows its cells. What does not: the cells (`xlsx`), and what is drawn or
remarked on a sheet (`xlsx_remarks`).
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from rag_pipelines.errors import CorruptDocumentError
from rag_pipelines.parsing.office.date_formats import EPOCH_1900, EPOCH_1904
from rag_pipelines.parsing.office.merged_cells import Merge
from rag_pipelines.parsing.office.number_formats import EAST_ASIAN_FORMATS, NumberFormat, number_format_of
from rag_pipelines.parsing.zip_package import parse_xml, read_part
from rag_pipelines.text.superscripts import join_runs

if TYPE_CHECKING:
    from lxml.etree import _Element

S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_RELATIONSHIP = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"

MAX_COLUMNS = 16_384
TRUE = frozenset({"1", "true"})
_T = f"{S}t"
_ESCAPE = re.compile("_x([0-9A-Fa-f]{4})_")
"""A character that XML cannot hold, as ``_x000D_`` (ECMA-376 part 1, 22.9.2.19)."""
_CHUNK = 1 << 20
_OVERLAP = 256
_ROOT = re.compile(rb"<(?:\w+:)?(?:work|chart|macro|dialog)sheet\b[^>]*>")
_DATA_END = re.compile(rb"</(?:\w+:)?sheetData\s*>|<(?:\w+:)?sheetData\s*/>")
CELL = re.compile(r"\$?([A-Z]{1,3})\$?(\d{1,7})")
_RANGE = re.compile(r"\$?([A-Z]{1,3})\$?(\d+):\$?([A-Z]{1,3})\$?(\d+)")


class Relation(NamedTuple):
    """What a part refers to: the last word of the relation's type, and the part."""

    kind: str
    part: str


class Workbook(NamedTuple):
    """What the sheets of a workbook share: texts by number, formats by style, the day of serial number 0."""

    sheets: list[SheetPart]
    strings: list[str]
    formats: list[NumberFormat]
    epoch: datetime


class SheetPart(NamedTuple):
    """A sheet in the order of its workbook; `kind` is ``worksheet``, ``chartsheet`` or one of macros."""

    name: str
    visible: bool
    kind: str
    part: str


def relations(package: zipfile.ZipFile, part: str) -> dict[str, Relation]:
    """What `part` refers to inside the package, by the id of the relation."""
    folder, name = posixpath.split(part)
    listing = posixpath.join(folder, "_rels", f"{name}.rels")
    if listing not in package.namelist():
        return {}
    found: dict[str, Relation] = {}
    for one in parse_xml(read_part(package, listing), listing).iter(_RELATIONSHIP):
        if one.get("TargetMode") != "External":
            target = posixpath.normpath(posixpath.join("/", folder, one.get("Target") or "")).lstrip("/")
            found[one.get("Id") or ""] = Relation((one.get("Type") or "").rpartition("/")[2], target)
    return found


def read_workbook(package: zipfile.ZipFile) -> Workbook:
    """The sheets whose parts are there, and what they share.

    Raises:
        CorruptDocumentError: there is no workbook, or a part of it is not well-formed.
    """
    part = next((one.part for one in relations(package, "").values() if one.kind == "officeDocument"), "")
    root = parse_xml(read_part(package, part), part)
    targets = relations(package, part)
    names = set(package.namelist())
    sheets = []
    for sheet in root.iterfind(f"{S}sheets/{S}sheet"):
        target = targets.get(sheet.get(f"{R}id") or "")
        if target is not None and target.part in names:
            visible = sheet.get("state", "visible") == "visible"
            sheets.append(SheetPart(sheet.get("name") or "", visible, target.kind, target.part))
    shared = {one.kind: one.part for one in targets.values() if one.part in names}
    properties = root.find(f"{S}workbookPr")
    counts_from_1904 = properties is not None and properties.get("date1904") in ("1", "true")
    return Workbook(
        sheets,
        list(_strings(package, shared["sharedStrings"])) if "sharedStrings" in shared else [],
        list(_formats(package, shared["styles"])) if "styles" in shared else [],
        EPOCH_1904 if counts_from_1904 else EPOCH_1900,
    )


def elements(package: zipfile.ZipFile, part: str, *tags: str) -> Iterator[_Element]:
    """The elements of a part that have one of the tags, one at a time, each with what is inside it.

    Raises:
        CorruptDocumentError: the part cannot be unpacked or is not well-formed.
    """
    from lxml import etree

    try:
        with package.open(part) as source:
            found = etree.iterparse(
                source, tag=tags, resolve_entities=False, load_dtd=False, no_network=True, huge_tree=True
            )
            for _, element in found:
                yield element
                element.clear()
                while (before := element.getprevious()) is not None:
                    element.getparent().remove(before)
    except (etree.XMLSyntaxError, OSError, zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise CorruptDocumentError(f"cannot read {part!r} from the package: {error}") from error


def string_text(element: _Element) -> str:
    """A shared or inline string: its runs without their reading aids, raised ones kept apart."""
    is_plain = len(element) == 1 and element[0].tag == _T
    text = (element[0].text or "") if is_plain else join_runs(_runs(element))
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text) if "_x" in text else text


def _runs(element: _Element) -> Iterator[tuple[str, bool]]:
    for child in element:
        if child.tag == _T:
            yield child.text or "", False
        elif child.tag == f"{S}r":
            place = child.find(f"{S}rPr/{S}vertAlign")
            yield child.findtext(_T) or "", place is not None and place.get("val") == "superscript"


def _strings(package: zipfile.ZipFile, part: str) -> Iterator[str]:
    return map(string_text, elements(package, part, f"{S}si"))


def _formats(package: zipfile.ZipFile, part: str) -> Iterator[NumberFormat]:
    """The number format of each cell style; openpyxl knows the built-in ones but those of East Asia."""
    from openpyxl.styles.numbers import BUILTIN_FORMATS

    root = parse_xml(read_part(package, part), part)
    codes = {str(number): code for number, code in (BUILTIN_FORMATS | EAST_ASIAN_FORMATS).items()}
    for one in root.iterfind(f"{S}numFmts/{S}numFmt"):
        codes[one.get("numFmtId") or ""] = one.get("formatCode") or "General"
    for style in root.iterfind(f"{S}cellXfs/{S}xf"):
        yield number_format_of(codes.get(style.get("numFmtId") or "0", "General"))


def read_frame(package: zipfile.ZipFile, part: str) -> _Element:
    """The sheet in `part` without its cells: its root with all that follows them.

    Raises:
        CorruptDocumentError: the part cannot be unpacked, or what follows the cells is not well-formed.
    """
    root, tail, held = b"", b"", b""
    ended = False
    try:
        with package.open(part) as stream:
            while chunk := stream.read(_CHUNK):
                if ended:
                    tail += chunk
                    continue
                held += chunk
                if not root and (match := _ROOT.search(held)):
                    root = match[0]
                if end := _DATA_END.search(held):
                    ended, tail = True, held[end.end() :]
                else:
                    held = held[-_OVERLAP:]
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise CorruptDocumentError(f"cannot read {part!r} from the package: {error}") from error
    if not ended:
        root, tail = b"", read_part(package, part)
    return parse_xml(root + tail, part)


def targets_of(package: zipfile.ZipFile, part: str, frame: _Element) -> dict[tuple[int, int], str]:
    """Where links of a sheet lead (18.3.1.47), by row and column from 1.

    A link of a range is one of its first cell. A place of the workbook is ``#Sheet2!A1``.
    """
    addresses: dict[str, str] = {}
    found: dict[tuple[int, int], str] = {}
    for link in frame.iterfind(f"{S}hyperlinks/{S}hyperlink"):
        if not addresses:
            addresses = addresses_of(package, part)
        place = link.get("location") or ""
        target = addresses.get(link.get(f"{R}id") or "", "") + (f"#{place}" if place else "")
        if target and (match := CELL.match(link.get("ref") or "")):
            found[int(match[2]), column_of(match[1]) + 1] = target
    return found


def addresses_of(package: zipfile.ZipFile, part: str) -> dict[str, str]:
    """What `part` refers to outside the package, by the id of the relation."""
    folder, name = posixpath.split(part)
    listing = posixpath.join(folder, "_rels", f"{name}.rels")
    if listing not in package.namelist():
        return {}
    rels = parse_xml(read_part(package, listing), listing).iter(_RELATIONSHIP)
    return {
        one.get("Id") or "": one.get("Target") or "" for one in rels if one.get("TargetMode") == "External"
    }


def is_hidden_row(row: _Element) -> bool:
    """Whether a row (18.3.1.73) is hidden, or has no height, and in no group that a click unfolds."""
    return (row.get("hidden") in TRUE or row.get("ht") == "0") and row.get("outlineLevel") in (None, "0")


def hidden_columns(columns: _Element) -> Iterator[int]:
    """The columns, from 0, that are hidden or without width, and in no group (18.3.1.13)."""
    for one in columns.iterchildren(f"{S}col"):
        is_hidden = one.get("hidden") in TRUE or one.get("width") == "0"
        if is_hidden and one.get("outlineLevel") in (None, "0"):
            first, last = int(one.get("min") or 1), int(one.get("max") or 0)
            yield from range(first - 1, min(last, MAX_COLUMNS))


def filtered_rows(package: zipfile.ZipFile, part: str, frame: _Element) -> list[range]:
    """The rows, from 1, below the headers of the filters that are set, those of tables included (18.3.2)."""
    filters = list(frame.iterchildren(f"{S}autoFilter"))
    for target in relations(package, part).values():
        if target.kind == "table" and target.part in package.namelist():
            filters += parse_xml(read_part(package, target.part), target.part).iterchildren(f"{S}autoFilter")
    found = []
    for one in filters:
        match = _RANGE.fullmatch(one.get("ref") or "")
        if match and one.find(f"{S}filterColumn/*") is not None:
            found.append(range(int(match[2]) + 1, int(match[4]) + 1))
    return found


def merges_of(frame: _Element) -> Iterator[Merge]:
    for element in frame.iterfind(f"{S}mergeCells/{S}mergeCell"):
        if match := _RANGE.fullmatch(element.get("ref") or ""):
            yield Merge(int(match[2]) - 1, int(match[4]) - 1, column_of(match[1]), column_of(match[3]))


@lru_cache(maxsize=MAX_COLUMNS)
def column_of(letters: str) -> int:
    """The number of a column from 0: A is 0, AA is 26."""
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - 64
    return number - 1
