"""What an XLSX sheet shows beside its cells: text boxes, charts, check boxes, comments, page headers.

What belongs here: reading those parts into blocks, and finding pictures. What does not: cells and the inside
of pictures (`xlsx`), finding parts (`xlsx_parts`), the inside of a chart (`ooxml_charts`).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from rag_pipelines.model import BlockKind
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.losses import LeftOut, Loss
from rag_pipelines.parsing.office.hidden_cells import Hidden
from rag_pipelines.parsing.office.images import alternative_text
from rag_pipelines.parsing.office.ooxml_charts import chart_rows, chart_title
from rag_pipelines.parsing.office.ooxml_diagrams import DIAGRAM, diagram_items
from rag_pipelines.parsing.office.ooxml_text import MC, body_text
from rag_pipelines.parsing.office.xlsx_parts import CELL, R, Relation, S, column_of, relations
from rag_pipelines.parsing.zip_package import parse_xml, read_part

if TYPE_CHECKING:
    from lxml.etree import _Element

_XDR = "{http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_CX = "{http://schemas.microsoft.com/office/drawing/2014/chartex}"
_THREADED = "{http://schemas.microsoft.com/office/spreadsheetml/2018/threadedcomments}"
PAGE_CODE = re.compile(r'&(?:&|"[^"]*"|K[0-9A-Fa-f]{6}|K\d\d[+-]\d{3}|\d{1,3}|[A-Za-z])')
_PAGE_PARTS = (
    (BlockKind.HEADER, "firstHeader", "oddHeader", "evenHeader"),
    (BlockKind.FOOTER, "firstFooter", "oddFooter", "evenFooter"),
)
_GIVEN_NAME = re.compile(r"[^\W\d_]+ \d+")
"""What programs call a picture that nobody described, as ``Picture 1``."""

_CHECKABLE = ("CheckBox", "Radio")


class Picture(NamedTuple):
    """A picture on a sheet: its part, where the package has it, and what its author wrote about it."""

    part: str | None
    description: str


Remark = tuple[BlockKind, str]


def remarks_of(
    package: zipfile.ZipFile, part: str, frame: _Element, builder: DocumentBuilder, hidden: Hidden
) -> Iterator[Remark | Picture]:
    """What stands on the sheet in `part` beside its cells: drawn text, pictures, comments, page furniture.

    Drawings without text are counted as lost with `builder`, comments on `hidden` cells as left out.
    """
    targets = relations(package, part)
    controls = dict(_controls(package, frame, targets))
    names = set(package.namelist())
    for kind, target in targets.values():
        if kind == "drawing" and target in names:
            yield from drawn(package, target, builder, controls)
    for place, text in _comments(package, [one for one in targets.values() if one.part in names], builder):
        cell = CELL.fullmatch(place)
        if cell and hidden.holds(int(cell[2]) - 1, column_of(cell[1])):
            builder.leave_out(LeftOut.HIDDEN, text)
        else:
            yield BlockKind.PARAGRAPH, text
    for kind, *places in _PAGE_PARTS:
        for place in places:
            code = frame.findtext(f"{S}headerFooter/{S}{place}") or ""
            for line in re.split("&[LCR]", code):
                yield kind, PAGE_CODE.sub(lambda match: "&" if match[0] == "&&" else " ", line).strip()


def drawn(
    package: zipfile.ZipFile, part: str, builder: DocumentBuilder, controls: Mapping[str, str] = {}
) -> Iterator[Remark | Picture]:
    """What the drawing in `part` shows; `controls` are what is written before the labels of form controls."""
    names = set(package.namelist())
    targets = relations(package, part)
    for shape in _shapes(parse_xml(read_part(package, part), part)):
        about = shape.find(f".//{_XDR}cNvPr")
        control = controls.get("" if about is None else about.get("id") or "")
        if control is None and about is not None and about.get("hidden") in ("1", "true"):
            continue
        if shape.tag == f"{_XDR}pic":
            description = "" if about is None else alternative_text(about.get("descr"), about.get("title"))
            blip = shape.find(f"{_XDR}blipFill/{{*}}blip")
            target = targets.get("" if blip is None else blip.get(f"{R}embed") or "")
            yield Picture(
                target.part if target and target.part in names else None,
                "" if _GIVEN_NAME.fullmatch(description) else description,
            )
        elif shape.tag == f"{_XDR}graphicFrame":
            yield from _framed(package, shape, targets, builder)
        else:
            text = body_text(shape.find(f"{_XDR}txBody"))
            yield BlockKind.PARAGRAPH, text and f"{control or ''}{text}"


def _framed(
    package: zipfile.ZipFile, frame: _Element, targets: dict[str, Relation], builder: DocumentBuilder
) -> Iterator[Remark]:
    """A chart, whose values are cells, as its titles and the names of its series; a diagram as its points."""

    def related(reference: str | None) -> _Element | None:
        target = targets.get(reference or "")
        if target is None or target.part not in package.namelist():
            return None
        return parse_xml(read_part(package, target.part), target.part)

    found = next(frame.iter(f"{_C}chart", f"{_CX}chart", f"{DIAGRAM}relIds"), None)
    part = None if found is None else related(found.get(f"{R}id") or found.get(f"{R}dm"))
    if found is None or part is None:
        builder.lose(Loss.PARTS)
    elif found.tag == f"{DIAGRAM}relIds":
        yield BlockKind.PARAGRAPH, "\n".join(text for text, _ in diagram_items(part, related))
    else:
        labels = chart_title(part), *next(chart_rows(part))
        yield BlockKind.CAPTION, "; ".join(filter(None, labels))


def _shapes(drawing: _Element) -> Iterator[_Element]:
    """The shapes, pictures and frames of a drawing in its order, without what is for older programs."""
    for shape in drawing.iter(f"{_XDR}sp", f"{_XDR}cxnSp", f"{_XDR}pic", f"{_XDR}graphicFrame"):
        if next(shape.iterancestors(f"{MC}Fallback"), None) is None:
            yield shape


def _controls(
    package: zipfile.ZipFile, frame: _Element, targets: dict[str, Relation]
) -> Iterator[tuple[str, str]]:
    """The id of the shape of each form control, and what is written before its label."""
    names = set(package.namelist())
    for control in frame.iter(f"{S}control"):
        target = targets.get(control.get(f"{R}id") or "")
        if target is None or target.kind != "ctrlProp" or target.part not in names:
            continue
        properties = parse_xml(read_part(package, target.part), target.part)
        mark = "[x] " if properties.get("checked") == "Checked" else "[ ] "
        checkable = properties.get("objectType") in _CHECKABLE
        yield control.get("shapeId") or "", mark if checkable else ""


def _comments(
    package: zipfile.ZipFile, targets: list[Relation], builder: DocumentBuilder
) -> Iterator[tuple[str, str]]:
    """Comments by their cell, each with author and cell: threads, and notes, which a thread repeats for older
    programs."""
    threaded: set[str] = set()
    for part in (one.part for one in targets if one.kind == "threadedComment"):
        people = _people(package)
        for comment in parse_xml(read_part(package, part), part).iter(f"{_THREADED}threadedComment"):
            place = comment.get("ref") or ""
            threaded.add(place)
            author = people.get(comment.get("personId") or "", "")
            yield place, _remark(author, place, comment.findtext(f"{_THREADED}text") or "")
    for part in (one.part for one in targets if one.kind == "comments"):
        root = parse_xml(read_part(package, part), part)
        authors = [one.text or "" for one in root.iterfind(f"{S}authors/{S}author")]
        for comment in root.iterfind(f"{S}commentList/{S}comment"):
            place = comment.get("ref") or ""
            number = comment.get("authorId") or "0"
            author = authors[int(number)] if number.isdecimal() and int(number) < len(authors) else ""
            text = "".join(one.text or "" for one in comment.iter(f"{S}t"))
            if place in threaded and author.startswith("tc="):
                builder.leave_out(LeftOut.ALTERNATIVE, text)
            else:
                yield place, _remark(author, place, text)


def _people(package: zipfile.ZipFile) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in package.namelist():
        if part.startswith("xl/persons/") and part.endswith(".xml"):
            for person in parse_xml(read_part(package, part), part).iter(f"{_THREADED}person"):
                found[person.get("id") or ""] = person.get("displayName") or ""
    return found


def _remark(author: str, place: str, text: str) -> str:
    return text.strip() and f"Comment{author and f' by {author}'} on {place}: {text.strip()}"
