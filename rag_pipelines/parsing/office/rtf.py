"""Rich Text Format, decoded by striprtf.

What belongs here: the structure that striprtf flattens. What does not: RTF's encodings and escapes, which
are that library's work, and what it would drop or merge (`rtf_source`).

striprtf gives plain text. To keep headings, list items and table cells, a private character is put into
the source behind each control word that tells of them (`\\outlinelevel`, `\\ilvl`, `\\cell`, ...);
striprtf passes these through as text, and they are taken out again here.
"""

from __future__ import annotations

import re

from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.losses import LeftOut, Loss
from rag_pipelines.parsing.office.rtf_source import Aside, prepare, read_line, replace_marks
from rag_pipelines.parsing.witness import rtf as witness
from rag_pipelines.text.titles import choose_title

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
_CODE_PAGE = re.compile(r"\\ansicpg\d+(?:\\deff\d+)?")
_ENDNOTE = re.compile(r"\s*\\ftnalt")
_BULLET = re.compile(r"^(?:[•·▪◦‣o\-–*\uf0b7\uf0a7]|(\(?(?:\d+|[a-zA-Z]|[ivxlc]+)[.)]))?\s+")


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of an RTF document."""
    builder = DocumentBuilder.of(MEDIA_TYPE, request)
    source = request.data.decode("latin-1")
    reader = _RtfReader(builder, source)
    reader.read(reader.prepared.source)
    reader.end()
    for name, pattern in _INFO.items():
        if found := pattern.search(source):
            builder.metadata[name] = _convert(rf"{{\rtf1 {found[1]}}}").strip()
    builder.title = choose_title(builder.opening_heading, builder.metadata.get("title"))
    builder.account_for(witness.text(source))
    return builder.finish()


class _RtfReader:
    """One walk over a document; holds what a line leaves to be said after it."""

    def __init__(self, builder: DocumentBuilder, source: str) -> None:
        self.builder = builder
        self.prepared = prepare(source)
        self._head = _head(source)
        self._pending: list[int] = []
        self._marks: dict[int, str] = {}
        self._notes = 0

    def read(self, source: str) -> None:
        """Add the blocks of `source`: paragraphs and, between them, tables."""
        table: list[list[str]] = []
        for segment in _convert(_mark_controls(source)).split(_ROW_END):
            before, started, row = segment.partition(_ROW_START)
            if _CELL not in segment:
                before, row = segment, ""
            elif not started:
                before, row = "", segment
            if _MARKS.sub("", before).strip():
                self._add_table(table)
                self._add_paragraphs(before)
            if row:
                table.append([self._shown(cell) for cell in row.split(_CELL)[:-1]])
        self._add_table(table)

    def end(self) -> None:
        """Add headers and footers, and count what could not be read."""
        for part in self.prepared.furniture:
            kind = BlockKind.HEADER if part.kind == "header" else BlockKind.FOOTER
            self.builder.add(kind, self._text_of(part.source))
        for description in self.prepared.descriptions:
            self.builder.add(BlockKind.PARAGRAPH, f"Image: {description}")
        self.builder.lose(Loss.IMAGES, self.prepared.images)
        self.builder.lose(Loss.ATTACHMENTS, self.prepared.objects)

    def _add_table(self, rows: list[list[str]]) -> None:
        self.builder.add_table(rows, header_rows=int(len(rows) > 1))
        rows.clear()
        self._flush()

    def _add_paragraphs(self, text: str) -> None:
        for line in text.split("\n"):
            heading = _HEADING_MARK.findall(line)
            content = self._shown(line).strip()
            if heading:
                self.builder.add(BlockKind.HEADING, content, level=ord(heading[-1]) - _HEADING + 1)
            elif _LIST_ITEM in line:
                depth = _DEPTH_MARK.findall(line)
                level = ord(depth[-1]) - _DEPTH + 1 if depth else 1
                self.builder.add(BlockKind.LIST_ITEM, _BULLET.sub(_without_bullet, content), level=level)
            else:
                self.builder.add(BlockKind.PARAGRAPH, content)
            self._flush()

    def _shown(self, line: str) -> str:
        """A line as a reader sees it; what it refers to waits to be said after its block."""
        shown, hidden = read_line(_MARKS.sub("", line), self._pending)
        self.builder.leave_out(LeftOut.HIDDEN, hidden)
        for number in self._pending:
            if number not in self._marks and number < len(self.prepared.asides):
                self._marks[number] = self._mark(self.prepared.asides[number])
        return replace_marks(shown, self._marks)

    def _mark(self, aside: Aside) -> str:
        if aside.kind != "footnote":
            return ""
        self._notes += 1
        return f"[{'endnote ' if _ENDNOTE.match(aside.source) else ''}{self._notes}]"

    def _flush(self) -> None:
        """Add the notes, comments and text boxes of the block just read."""
        pending, self._pending = self._pending, []
        for number in pending:
            if number >= len(self.prepared.asides):
                continue
            aside = self.prepared.asides[number]
            if aside.kind == "footnote":
                self.builder.add(BlockKind.PARAGRAPH, f"{self._marks[number]} {self._text_of(aside.source)}")
            elif aside.kind == "annotation":
                who = f" by {aside.author}" if aside.author else ""
                self.builder.add(BlockKind.PARAGRAPH, f"Comment{who}: {self._text_of(aside.source)}")
            else:
                self.read(f"{self._head}{aside.source}}}")

    def _text_of(self, source: str) -> str:
        """The text of a group by itself, one paragraph a line."""
        text = _convert(_mark_controls(f"{self._head}{source}}}"))
        lines = (self._shown(line).strip() for line in text.split("\n"))
        return "\n".join(line for line in lines if line)


def _convert(source: str) -> str:
    from striprtf.striprtf import rtf_to_text

    text: str = rtf_to_text(source, errors="replace")
    return text


def _head(source: str) -> str:
    """What a group needs before it to be read by itself: its code page and fonts."""
    from striprtf.striprtf import font_table_group

    page = _CODE_PAGE.search(source)
    return rf"{{\rtf1\ansi{page[0] if page else ''}{font_table_group(source)}"


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


def _without_bullet(match: re.Match[str]) -> str:
    """A number stays in front of its item, a bullet goes."""
    return f"{match[1]} " if match[1] else ""
