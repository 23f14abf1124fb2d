"""The words of Office Open XML files: Word, PowerPoint, Excel.

What belongs here: which parts and elements of a package a reader sees. What does not: opening it safely
(`zip_package`). Documents are read in two ways: `runs` is the quicker, and enough where nothing is missing,
`paragraphs` tells what is shown and where words end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from rag_pipelines.parsing.witness.tags import characters, utf8, without
from rag_pipelines.parsing.zip_package import OfficePackage

_TEXT = re.compile(
    rb"<(?:[wmax]:)?t(?: [^>]*)?(?:>|\Z)([^<]*)"
    rb"|</(?:m:r|(?:[wax]:)?(?:p|si|is|text))>|<[wa]:(?:br|tab|cr|txbxContent)[ />]"
)
"""The text of a run; or, without the group, what parts words: ends of paragraphs and of runs of equations,
tabs, line breaks, text boxes. The prefixes are those that all writers use."""

_RUN = re.compile(rb"<[wma]:t(?: [^<>]*)?>([^<]+)")

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
_SHEET_EXTRA = re.compile(
    r"xl/(?:(?:comments/)?comment[^/]*|drawings/drawing\d*|charts/chart\d*|diagrams/data\d*)\.xml"
)
_CHART_PART = re.compile(r"(?:word|ppt)/charts/chart[^/]*\.xml")

_SHEET = re.compile(rb"<(?:\w+:)?sheet\s[^>]{0,2000}>")
_STATE = re.compile(rb'\sstate="(?:veryH|h)idden"')
_RELATION_ID = re.compile(rb'\s\w+:id="([^"]*)"')
_RELATION = re.compile(rb"<Relationship\s[^>]{0,8000}>")
_ID, _TARGET = re.compile(rb'\sId="([^"]*)"'), re.compile(rb'\sTarget="([^"]*)"')
_SHARED = re.compile(rb"</(?:\w+:)?si>")
_PLAIN_STRING = re.compile(rb"<si><t(?: [^<>]*)?>([^<]*)</t></si>")
_SHARED_CELL = re.compile(rb't="s"[^>]{0,200}>\s*<(?:\w+:)?v>(\d+)<')
_TEXT_OF_FORMULA = re.compile(
    rb't="str"[^>]{0,200}>\s*(?:<(?:\w+:)?f[^>]*/>|<(?:\w+:)?f[^>]*>[^<]*</(?:\w+:)?f>)?\s*<(?:\w+:)?v[^>]*>([^<]*)'
)
_PLAIN_NUMBER = re.compile(rb'<c(?: r="\w+")?(?: s="0")?(?: t="n")?><v>(\d{1,11})<')
_ESCAPED = re.compile(r"_x[0-9A-Fa-f]{4}_")


def runs(part: bytes) -> str:
    """The runs of a part, each on a line of its own, with some that are not shown."""
    return characters(b"\n".join(_RUN.findall(utf8(part))))


def paragraphs(part: bytes) -> str:
    """The runs of a part that are shown, those of one paragraph joined, so that words are whole."""
    return _joined(without(utf8(part), _NOT_SHOWN, _MARKS_NOT_SHOWN))


def _joined(part: bytes) -> str:
    return characters(b"".join([text or b"\n" for text in _TEXT.findall(part)]))


def word_text(package: OfficePackage, read: Callable[[bytes], str] = runs) -> str:
    """The text of a DOCX file: body, headers, footers, notes, comments, charts, diagrams."""
    names = [name for name in package.names if _WORD_PART.fullmatch(name)]
    return "\n".join([*(read(package.read(name)) for name in sorted(names)), *_charts(package, read)])


def slides_text(package: OfficePackage, read: Callable[[bytes], str] = runs) -> str:
    """The text of a PPTX file: the slides it lists with hidden ones, notes, comments, charts, diagrams."""
    slides = {f"ppt/{path}" for path in _targets(package, "ppt/_rels/presentation.xml.rels").values()}
    texts: list[str] = []
    for name in sorted(package.names, key=lambda name: (len(name), name)):
        if (name in slides and name.startswith("ppt/slides/")) or _SLIDE_PART.fullmatch(name):
            part = package.read(name)
            texts.append(read(part))
            texts += map(characters, _PLAIN_COMMENT.findall(part))
        elif _NOTES_PART.fullmatch(name):
            texts.append(read(without(package.read(name), _FIELD, (b"<a:fld",))))
    return "\n".join([*texts, *_charts(package, read)])


def sheets_text(package: OfficePackage) -> str:
    """The texts and plain whole numbers in the cells of the visible sheets, comments, and drawn text.

    Formatted numbers and dates are not among them: they show otherwise than they are stored.
    """
    shared = _shared_strings(package)
    texts: list[str] = []
    for name in _visible_sheets(package):
        cells = package.read(name)
        indices = map(int, _SHARED_CELL.findall(cells))
        texts += [shared[index] for index in indices if index < len(shared)]
        if b't="str"' in cells:
            texts += map(characters, _TEXT_OF_FORMULA.findall(cells))
        texts += [number.decode() for number in _PLAIN_NUMBER.findall(cells)]
        if b"inlineStr" in cells:
            texts.append(paragraphs(cells))
    texts += [paragraphs(package.read(name)) for name in package.names if is_beside_cells(name)]
    return _ESCAPED.sub(" ", "\n".join(texts))


def is_beside_cells(name: str) -> bool:
    """Whether a part of a workbook holds what stands beside the cells of a sheet."""
    return _SHEET_EXTRA.fullmatch(name) is not None


def _charts(package: OfficePackage, read: Callable[[bytes], str]) -> Iterator[str]:
    """The titles of charts, and the names of their series and categories."""
    for name in package.names:
        if _CHART_PART.fullmatch(name):
            part = package.read(name)
            yield read(part)
            yield from {
                characters(b"\n".join(_VALUE.findall(found))) for found in _CACHED_NAMES.findall(part)
            }


def _shared_strings(package: OfficePackage) -> list[str]:
    if "xl/sharedStrings.xml" not in package.names:
        return []
    part = without(utf8(package.read("xl/sharedStrings.xml")), _NOT_SHOWN, _MARKS_NOT_SHOWN)
    plain = _PLAIN_STRING.findall(part)
    if len(plain) == part.count(b"</si>") == part.count(b"<t"):
        return list(map(characters, plain))
    return [_joined(one) for one in _SHARED.split(part)[:-1]]


def _visible_sheets(package: OfficePackage) -> Iterator[str]:
    """The parts of the sheets that the workbook lists and does not hide."""
    if "xl/workbook.xml" not in package.names:
        return
    targets = _targets(package, "xl/_rels/workbook.xml.rels")
    for sheet in _SHEET.findall(utf8(package.read("xl/workbook.xml"))):
        related = _RELATION_ID.search(sheet)
        if related and not _STATE.search(sheet):
            name = targets.get(related[1].decode(), "")
            name = name.lstrip("/") if name.startswith("/") else f"xl/{name}"
            if name.startswith("xl/worksheets/") and name in package.names:
                yield name


def _targets(package: OfficePackage, name: str) -> dict[str, str]:
    """The targets of the relations in a part, by their ids."""
    found: dict[str, str] = {}
    if name in package.names:
        for relation in _RELATION.findall(utf8(package.read(name))):
            related, target = _ID.search(relation), _TARGET.search(relation)
            if related and target:
                found[related[1].decode()] = target[1].decode()
    return found
