"""Rich Text Format, decoded by striprtf.

What belongs here: the structure that striprtf flattens. What does not: RTF's encodings and escapes,
which are that library's work.

striprtf gives plain text. To keep headings, list items and table cells, a private character is put into
the source behind each control word that tells of them (`\\outlinelevel`, `\\ilvl`, `\\cell`, ...);
striprtf passes these through as text, and they are taken out again here.
"""

from __future__ import annotations

import re

from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.zip_package import meaningful_title

MEDIA_TYPE = "application/rtf"

_CELL, _ROW_START, _ROW_END, _LIST_ITEM = "\ue000", "\ue001", "\ue002", "\ue003"
_HEADING, _DEPTH = 0xE010, 0xE020
_MARKS = re.compile("[\ue000-\ue02f]")
_HEADING_MARK = re.compile("[\ue010-\ue018]")
_DEPTH_MARK = re.compile("[\ue020-\ue028]")

_CONTROLS = re.compile(
    r"\\(?P<word>cell|nestcell|row|nestrow|trowd|listtext|pntext)(?![a-z])"
    r"|\\(?P<outline>outlinelevel)(?P<level>[0-8])(?!\d)"
    r"|\\ilvl(?P<depth>[0-8])(?!\d)"
    r"|\\s(?P<style>\d{1,4})(?!\d)"
)
_MARK_OF_WORD = {
    "cell": _CELL,
    "nestcell": " ",
    "row": _ROW_END,
    "nestrow": " ",
    "trowd": _ROW_START,
    "listtext": _LIST_ITEM,
    "pntext": _LIST_ITEM,
}
_REPLACED = {"cell", "nestcell", "row", "nestrow", "pntext"}
"""Control words that striprtf would turn into text of its own, or leave out with what they introduce."""

_STYLESHEET = re.compile(r"\{\\stylesheet(.*?\})\s*\}", re.DOTALL)
_STYLE = re.compile(r"\{\\s(\d{1,4})\b[^{}]*?\\outlinelevel([0-8])\b")
_INFO = {"title": re.compile(r"\{\\title ([^{}]*)\}"), "author": re.compile(r"\{\\author ([^{}]*)\}")}
_BULLET = re.compile(r"^(?:[•·▪◦‣o\-–*\uf0b7\uf0a7]|(\(?(?:\d+|[a-zA-Z]|[ivxlc]+)[.)]))?\s+")


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of an RTF document."""
    from striprtf.striprtf import rtf_to_text

    builder = DocumentBuilder.of(MEDIA_TYPE, request)
    source = request.data.decode("latin-1")
    text = rtf_to_text(_mark_controls(source), errors="replace")
    table: list[list[str]] = []
    for segment in text.split(_ROW_END):
        before, started, row = segment.partition(_ROW_START)
        if _CELL not in segment:
            before, row = segment, ""
        elif not started:
            before, row = "", segment
        if _MARKS.sub("", before).strip():
            _add_table(builder, table)
            _add_paragraphs(builder, before)
        if row:
            table.append([_MARKS.sub("", cell) for cell in row.split(_CELL)[:-1]])
    _add_table(builder, table)
    for name, pattern in _INFO.items():
        if found := pattern.search(source):
            builder.metadata[name] = rtf_to_text(rf"{{\rtf1 {found[1]}}}", errors="replace").strip()
    builder.title = meaningful_title(builder.metadata.get("title"))
    return builder.finish()


def _mark_controls(source: str) -> str:
    """The source with a mark behind, or in the place of, each control word that tells of structure."""
    stylesheet = _STYLESHEET.search(source)
    headings = dict(_STYLE.findall(stylesheet[1])) if stylesheet else {}

    def mark(match: re.Match[str]) -> str:
        if word := match["word"]:
            character = _MARK_OF_WORD[word]
        elif match["outline"]:
            character = chr(_HEADING + int(match["level"]))
        elif match["depth"]:
            character = chr(_DEPTH + int(match["depth"]))
        elif match["style"] in headings:
            character = chr(_HEADING + int(headings[match["style"]]))
        else:
            return match[0]
        return character if match["word"] in _REPLACED else f"{match[0]} {character}"

    start = stylesheet.end() if stylesheet else 0
    return source[:start] + _CONTROLS.sub(mark, source[start:])


def _add_table(builder: DocumentBuilder, rows: list[list[str]]) -> None:
    builder.add_table(rows, header_rows=int(len(rows) > 1))
    rows.clear()


def _add_paragraphs(builder: DocumentBuilder, text: str) -> None:
    for line in text.split("\n"):
        heading = _HEADING_MARK.findall(line)
        content = _MARKS.sub("", line).strip()
        if heading:
            builder.add(BlockKind.HEADING, content, level=ord(heading[-1]) - _HEADING + 1)
        elif _LIST_ITEM in line:
            depth = _DEPTH_MARK.findall(line)
            level = ord(depth[-1]) - _DEPTH + 1 if depth else 1
            builder.add(BlockKind.LIST_ITEM, _BULLET.sub(_without_bullet, content), level=level)
        else:
            builder.add(BlockKind.PARAGRAPH, content)


def _without_bullet(match: re.Match[str]) -> str:
    """A number stays in front of its item, a bullet goes."""
    return f"{match[1]} " if match[1] else ""
