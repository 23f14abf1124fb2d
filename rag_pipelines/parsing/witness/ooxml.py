"""The words of Office Open XML files: Word, PowerPoint, Excel.

What belongs here: which parts and elements of a package a reader sees. What does not: opening it safely
(`zip_package`). The bytes are those that `zip_package.validate_ooxml` let pass.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterator

from rag_pipelines.parsing.witness.tags import characters, utf8, without

_TEXT = re.compile(
    rb"<(?:[wmax]:)?t(?: [^>]*)?(?:>|\Z)([^<]*)"
    rb"|</(?:m:r|(?:[wax]:)?(?:p|si|is|text))>|<[wa]:(?:br|tab|cr|txbxContent)[ />]"
)
"""The text of a run; or, without the group, what parts words: ends of paragraphs and of runs of equations,
tabs, line breaks, text boxes. The prefixes are those that all writers use."""

_NOT_SHOWN = re.compile(
    rb"<(mc:Fallback|w:moveFrom|w:rt|rPh)(?=[\s>])(?:[^>]*[^/>])?(?:>|\Z).*?(?:</\1>|\Z)", re.DOTALL
)
_MARKS_NOT_SHOWN = (b"<mc:Fallback", b"<w:moveFrom", b"<w:rt>", b"<rPh")
_FIELD = re.compile(rb"<a:fld\s.*?(?:</a:fld>|\Z)", re.DOTALL)
_CACHED_NAMES = re.compile(rb"<c:strCache>.*?(?:</c:strCache>|\Z)", re.DOTALL)
_VALUE = re.compile(rb"<c:v>([^<]*)")
_PLAIN_COMMENT = re.compile(rb"<p:text>([^<]*)")

_WORD_PART = re.compile(
    r"word/(?:document\d*|header\d*|footer\d*|footnotes\d*|endnotes\d*|comments|diagrams/data\d*)\.xml"
)
_SLIDE_PART = re.compile(r"ppt/(?:diagrams/data\d*|comments/[^/]*)\.xml")
_NOTES_PART = re.compile(r"ppt/notesSlides/[^/]*\.xml")
_SHEET_EXTRA = re.compile(r"xl/(?:comments[^/]*|drawings/drawing\d*|charts/chart\d*|diagrams/data\d*)\.xml")
_CHART_PART = re.compile(r"(?:word|ppt)/charts/chart[^/]*\.xml")

_SHEET = re.compile(rb"<(?:\w+:)?sheet\s[^>]{0,2000}>")
_STATE = re.compile(rb'\sstate="(?:veryH|h)idden"')
_RELATION_ID = re.compile(rb'\s\w+:id="([^"]*)"')
_RELATION = re.compile(rb"<Relationship\s[^>]{0,8000}>")
_ID, _TARGET = re.compile(rb'\sId="([^"]*)"'), re.compile(rb'\sTarget="([^"]*)"')
_SHARED = re.compile(rb"</(?:\w+:)?si>")
_SHARED_CELL = re.compile(rb't="s"[^>]{0,200}>\s*<(?:\w+:)?v>(\d+)<')
_TEXT_OF_FORMULA = re.compile(
    rb't="str"[^>]{0,200}>\s*(?:<(?:\w+:)?f[^>]*/>|<(?:\w+:)?f[^>]*>[^<]*</(?:\w+:)?f>)?\s*<(?:\w+:)?v[^>]*>([^<]*)'
)
_PLAIN_NUMBER = re.compile(rb'<c(?: r="\w+")?(?: s="0")?(?: t="n")?><v>(\d{1,11})<')
_ESCAPED = re.compile(r"_x[0-9A-Fa-f]{4}_")


def word_text(data: bytes) -> str:
    """The text of a DOCX file: body, headers, footers, notes, comments, charts, diagrams."""
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        names = package.namelist()
        texts = [_runs(package.read(name)) for name in names if _WORD_PART.fullmatch(name)]
        return "\n".join([*texts, *_charts(package, names)])


def slides_text(data: bytes) -> str:
    """The text of a PPTX file: the slides it lists with hidden ones, notes, comments, charts, diagrams."""
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        names = package.namelist()
        slides = {f"ppt/{path}" for path in _targets(package, "ppt/_rels/presentation.xml.rels").values()}
        texts: list[str] = []
        for name in names:
            if (name in slides and name.startswith("ppt/slides/")) or _SLIDE_PART.fullmatch(name):
                part = package.read(name)
                texts.append(_runs(part))
                texts += map(characters, _PLAIN_COMMENT.findall(part))
            elif _NOTES_PART.fullmatch(name):
                texts.append(_runs(without(package.read(name), _FIELD, (b"<a:fld",))))
        return "\n".join([*texts, *_charts(package, names)])


def sheets_text(data: bytes) -> str:
    """The texts and plain whole numbers in the cells of the visible sheets, comments, and drawn text.

    Formatted numbers and dates are not among them: they show otherwise than they are stored.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        names = package.namelist()
        shared = _shared_strings(package, names)
        texts = [_runs(package.read(name)) for name in names if _SHEET_EXTRA.fullmatch(name)]
        for name in _visible_sheets(package, names):
            cells = package.read(name)
            for index, number in Counter(_SHARED_CELL.findall(cells)).items():
                if int(index) < len(shared):
                    texts += [shared[int(index)]] * number
            texts += map(characters, _TEXT_OF_FORMULA.findall(cells))
            texts += [number.decode() for number in _PLAIN_NUMBER.findall(cells)]
            if b"inlineStr" in cells:
                texts.append(_runs(cells))
    return _ESCAPED.sub(" ", "\n".join(texts))


def _runs(part: bytes) -> str:
    """The runs of a part, those of one paragraph joined, so that words are whole."""
    part = without(utf8(part), _NOT_SHOWN, _MARKS_NOT_SHOWN)
    return characters(b"".join([text or b"\n" for text in _TEXT.findall(part)]))


def _charts(package: zipfile.ZipFile, names: list[str]) -> Iterator[str]:
    """The titles of charts, and the names of their series and categories."""
    for name in names:
        if _CHART_PART.fullmatch(name):
            part = package.read(name)
            yield _runs(part)
            yield from {
                characters(b"\n".join(_VALUE.findall(found))) for found in _CACHED_NAMES.findall(part)
            }


def _shared_strings(package: zipfile.ZipFile, names: list[str]) -> list[str]:
    if "xl/sharedStrings.xml" not in names:
        return []
    return [_runs(one) for one in _SHARED.split(utf8(package.read("xl/sharedStrings.xml")))[:-1]]


def _visible_sheets(package: zipfile.ZipFile, names: list[str]) -> Iterator[str]:
    """The parts of the sheets that the workbook lists and does not hide."""
    if "xl/workbook.xml" not in names:
        return
    targets = _targets(package, "xl/_rels/workbook.xml.rels")
    for sheet in _SHEET.findall(utf8(package.read("xl/workbook.xml"))):
        related = _RELATION_ID.search(sheet)
        if related and not _STATE.search(sheet):
            name = targets.get(related[1].decode(), "")
            name = name.lstrip("/") if name.startswith("/") else f"xl/{name}"
            if name.startswith("xl/worksheets/") and name in names:
                yield name


def _targets(package: zipfile.ZipFile, name: str) -> dict[str, str]:
    """The targets of the relations in a part, by their ids."""
    found: dict[str, str] = {}
    if name in package.namelist():
        for relation in _RELATION.findall(utf8(package.read(name))):
            related, target = _ID.search(relation), _TARGET.search(relation)
            if related and target:
                found[related[1].decode()] = target[1].decode()
    return found
