"""The text of an old binary Word document's paragraphs, and the notes that hang on them.

What belongs here: what a run of stored characters reads as: fields, symbols, form fields, raised and hidden
characters, references. What does not: the binary format (`doc_binary`, `doc_characters`).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise

from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.links import LINK, anchor, end_of_link
from rag_pipelines.parsing.losses import LeftOut, Loss
from rag_pipelines.parsing.office.doc_binary import BinaryWord, Note
from rag_pipelines.parsing.office.doc_characters import CharacterLook, form_value
from rag_pipelines.parsing.office.fields import target_of
from rag_pipelines.text.superscripts import join_runs
from rag_pipelines.text.symbol_fonts import read_symbols

FIELD_BEGIN, FIELD_RESULT, FIELD_END = "\x13", "\x14", "\x15"

_FIELD_MARK = re.compile("[\x13\x14\x15]")
_PICTURE = "\x01"
_REFERENCES = "\x02\x05"
_CHARACTERS = str.maketrans({
    "\x0b": "\n", "\x1e": "-", "\r": "\n", "\x07": "\n", "\x0c": "\n",
    **dict.fromkeys("\x01\x02\x03\x04\x05\x08\x13\x14\x15\x1f"),
})  # fmt: skip


class DocText:
    """Reads paragraphs one after the other; `remarks` are the notes and comments they leave to be said.

    Args:
        data: the data stream, which keeps form fields.
    """

    def __init__(self, document: BinaryWord, data: bytes, builder: DocumentBuilder) -> None:
        self.document = document
        self.remarks: list[str] = []
        self._data = data
        self._builder = builder
        self._notes = {kind: document.notes(kind) for kind in ("footnotes", "endnotes", "comments")}
        self._numbers = dict.fromkeys(self._notes, 0)
        self._bookmarks = document.bookmarks()
        self._bookmarked = sorted(self._bookmarks)

    def text(self, start: int, end: int) -> str:
        """What a reader sees of the characters from `start` to `end`, with marks of links and bookmarks."""
        marks = dict(_link_marks(self.document.text, start, end))
        reached = slice(bisect_left(self._bookmarked, start), bisect_left(self._bookmarked, end))
        runs = [
            (anchor(name), False)
            for place in self._bookmarked[reached]
            for name in self._bookmarks.pop(place, ())
        ]
        for first, last in _shown(self.document.text, start, end):
            for begin, stop, look in self.document.looks(first, last):
                places = (place for place in marks if begin < place < stop)
                for one, following in pairwise((begin, *sorted(places), stop)):
                    if mark := marks.get(one):
                        runs.append((mark, False))
                    if look.hidden:
                        self._builder.leave_out(LeftOut.HIDDEN, self.document.text[one:following])
                    elif (text := self._read(one, following, look)).strip("\x13\x14\x15"):
                        runs.append((text.translate(_CHARACTERS), look.raised))
        return join_runs(runs)

    def _read(self, start: int, end: int, look: CharacterLook) -> str:
        text = self.document.text[start:end]
        if look.symbol is not None:
            seen = read_symbols(look.symbol, look.font)
            if "\ue000" <= seen <= "\uf8ff":
                self._builder.lose(Loss.CHARACTERS, len(text))
                return ""
            return seen * len(text)
        if look.is_form and look.picture is not None and _PICTURE in text:
            return form_value(self._data, look.picture) or ""
        if look.font is not None:
            return read_symbols(text, look.font)
        if _PICTURE in text and look.picture is not None:
            self._builder.lose(Loss.IMAGES, text.count(_PICTURE))
        if any(mark in text for mark in _REFERENCES):
            return "".join([self._refer(start + place, mark) for place, mark in enumerate(text)])
        return text

    def _refer(self, place: int, character: str) -> str:
        """The mark of a note where `character` refers to one; puts its text aside."""
        if character not in _REFERENCES:
            return character
        for kind, notes in self._notes.items():
            if (note := notes.pop(place, None)) is not None:  # once, so that a note in itself ends
                return self._mark(kind, note)
        return ""

    def _mark(self, kind: str, note: Note) -> str:
        body = self.text(note.start, note.end).strip()
        if kind == "comments":
            self.remarks.append(f"Comment{f' by {note.mark}' if note.mark else ''}: {body}")
            return ""
        if note.mark is not None:
            self.remarks.append(body)
            return note.mark
        self._numbers[kind] += 1
        mark = f"[{'endnote ' if kind == 'endnotes' else ''}{self._numbers[kind]}]"
        self.remarks.append(f"{mark} {body}")
        return mark


def _link_marks(text: str, start: int, end: int) -> Iterator[tuple[int, str]]:
    """Where links begin and end, with what marks it; of links in one another, the outer one."""
    if text.find(FIELD_BEGIN, start, end) < 0:
        return
    opened: list[tuple[int, int]] = []
    for mark in _FIELD_MARK.finditer(text, start, end):
        if mark[0] == FIELD_BEGIN:
            opened.append((mark.end(), -1))
        elif mark[0] == FIELD_RESULT and opened:
            opened[-1] = opened[-1][0], mark.start()
        elif mark[0] == FIELD_END and opened:
            begin, result = opened.pop()
            if not opened and result >= 0 and (target := target_of(text[begin:result])):
                yield result + 1, LINK
                yield mark.start(), end_of_link(target)


def _shown(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts from `start` to `end` that are not the instruction of a field (2.8.25).

    The picture in an instruction, which stands for a form field, is shown. An instruction that does not end
    here is shown, so that damage hides nothing.
    """
    if text.find(FIELD_BEGIN, start, end) < 0:
        if start < end:
            yield start, end
        return
    opened: list[int] = []
    hidden: list[tuple[int, int]] = []
    for mark in _FIELD_MARK.finditer(text, start, end):
        if mark[0] == FIELD_BEGIN:
            opened.append(mark.start())
        elif opened and opened[-1] >= 0:
            hidden.append((opened[-1], mark.end()))
            opened[-1] = -1
            if mark[0] == FIELD_END:
                opened.pop()
        elif opened and mark[0] == FIELD_END:
            opened.pop()
    at = start
    for first, last in sorted(hidden):
        if last <= at:
            continue
        if at < first:
            yield at, first
        at = max(at, first)
        while (picture := text.find(_PICTURE, at, last)) >= 0:
            yield picture, picture + 1
            at = picture + 1
        at = last
    if at < end:
        yield at, end
