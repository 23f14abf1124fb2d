"""The parts of an XLSX workbook, and the frame of a sheet around its cells.

What belongs here: which parts there are and how they refer to each other, and the XML of a sheet that follows
its cells, which openpyxl does not give while it streams. What does not: the cells (`xlsx`), and what is drawn
or remarked on a sheet (`xlsx_remarks`).
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from rag_pipelines.errors import CorruptDocumentError
from rag_pipelines.parsing.office.merged_cells import Merge
from rag_pipelines.parsing.zip_package import parse_xml, read_part

if TYPE_CHECKING:
    from lxml.etree import _Element

S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_RELATIONSHIP = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"

_CHUNK = 1 << 20
_OVERLAP = 256
_ROOT = re.compile(rb"<(?:\w+:)?(?:work|chart|macro|dialog)sheet\b[^>]*>")
_DATA_END = re.compile(rb"</(?:\w+:)?sheetData\s*>|<(?:\w+:)?sheetData\s*/>")
_CELL = re.compile(r"\$?([A-Z]{1,3})\$?(\d{1,7})")
_RANGE = re.compile(r"\$?([A-Z]{1,3})\$?(\d+):\$?([A-Z]{1,3})\$?(\d+)")


class Relation(NamedTuple):
    """What a part refers to: the last word of the relation's type, and the part."""

    kind: str
    part: str


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


def sheet_parts(package: zipfile.ZipFile) -> list[SheetPart]:
    """The sheets of a workbook whose parts are there."""
    workbook = next((one.part for one in relations(package, "").values() if one.kind == "officeDocument"), "")
    targets = relations(package, workbook)
    names = set(package.namelist())
    found = []
    for sheet in parse_xml(read_part(package, workbook), workbook).iterfind(f"{S}sheets/{S}sheet"):
        target = targets.get(sheet.get(f"{R}id") or "")
        if target is not None and target.part in names:
            visible = sheet.get("state", "visible") == "visible"
            found.append(SheetPart(sheet.get("name") or "", visible, target.kind, target.part))
    return found


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
            addresses = _addresses(package, part)
        place = link.get("location") or ""
        target = addresses.get(link.get(f"{R}id") or "", "") + (f"#{place}" if place else "")
        if target and (match := _CELL.match(link.get("ref") or "")):
            found[int(match[2]), _column(match[1]) + 1] = target
    return found


def _addresses(package: zipfile.ZipFile, part: str) -> dict[str, str]:
    """What `part` refers to outside the package, by the id of the relation."""
    folder, name = posixpath.split(part)
    listing = posixpath.join(folder, "_rels", f"{name}.rels")
    if listing not in package.namelist():
        return {}
    rels = parse_xml(read_part(package, listing), listing).iter(_RELATIONSHIP)
    return {
        one.get("Id") or "": one.get("Target") or "" for one in rels if one.get("TargetMode") == "External"
    }


def merges_of(frame: _Element) -> Iterator[Merge]:
    for element in frame.iterfind(f"{S}mergeCells/{S}mergeCell"):
        if match := _RANGE.fullmatch(element.get("ref") or ""):
            yield Merge(int(match[2]) - 1, int(match[4]) - 1, _column(match[1]), _column(match[3]))


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - 64
    return number - 1
