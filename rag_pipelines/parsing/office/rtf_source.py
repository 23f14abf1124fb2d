"""The source of an RTF file, made ready for striprtf, which flattens it.

What belongs here: what striprtf would drop or merge: superscripts, hidden text, symbol fonts, form fields,
notes, text boxes, headers. What does not: encodings and escapes (striprtf), blocks (`rtf`).

Private characters are put into the source where characters begin and end to look otherwise; groups that
are no part of the running text are taken out, and a numbered mark left where they are referred to.
Control words are those of the RTF Specification 1.9.1. Links are marked as `parsing.links` says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from rag_pipelines.parsing.links import LINK, anchor, end_of_link
from rag_pipelines.parsing.office.fields import target_of
from rag_pipelines.parsing.office.images import alternative_text
from rag_pipelines.text.superscripts import join_runs
from rag_pipelines.text.symbol_fonts import read_symbols

FONTS = ("Symbol", "Wingdings", "Wingdings 2", "Wingdings 3", "Webdings")

_RAISED, _HIDDEN, _FONT = 0xE030, 0xE040, 0xE050
_LOOK = re.compile("[\ue030\ue031\ue040\ue041\ue050-\ue05f]")
_ASIDE = re.compile("\ue060(\\d+)\ue061")
_TOKEN = re.compile(r"\\'[0-9a-fA-F]{2}|\\([a-zA-Z]+)(-?\d+)? ?|\\[^a-zA-Z]|[{}]|[^\\{}]+", re.DOTALL)
_FONT_NAME = re.compile(r"\\f(\d+)\b[^;{}]*?(?:\{[^{}]*\}[^;{}]*?)*? ([^;{}\\]+);")
_SYMBOL_FIELD = re.compile(r'SYMBOL\s+(0x[0-9a-fA-F]+|\d+)(?:.*?\\\\f\s*"?([^"\\{}]+))?', re.DOTALL)
_DESCRIPTION = re.compile(r"\\sn wzDescription\}\s*\{\\sv ([^{}]*)\}")
_FORM_NUMBER = re.compile(r"\\ff(type|res|defres)(\d+)")
_CHOICE = re.compile(r"\{\\\*\\ffl ([^{}]*)\}")
_DESTINATION = re.compile(r"\A\s*(?:\\\*\s*)?\\[a-zA-Z]+-?\d* ?")
_SPECIAL = re.compile(r"[\\{}]")
_PLAIN = re.compile(r"\\[a-zA-Z]+-?\d* ?|[{}\r\n]")

_NOTES = {"footnote", "annotation", "shptxt", "dptxbxtext"}
_FURNITURE = {f"{kind}{page}": kind for kind in ("header", "footer") for page in ("", "l", "r", "f")}
_DROPPED = {"nonshppict", "shprslt", "mmathPict", "pict", "object", "shp", "shpgrp", "shpinst", "do"}
_SECOND_COPIES = {"nonshppict", "shprslt", "mmathPict"}
_NAMED = {"atnid", "atnauthor"}
_DESTINATIONS = {*_NOTES, *_FURNITURE, *_DROPPED, *_NAMED, "fldinst", "bkmkstart"}
_UNDEFINED = "25"


@dataclass
class Aside:
    """A group out of the running text: the control word that begins it, its source, who wrote it."""

    kind: str
    source: str
    author: str = ""


@dataclass
class Prepared:
    """The source of the running text, what was taken out of it, and what cannot be read."""

    source: str = ""
    asides: list[Aside] = field(default_factory=list)
    furniture: list[Aside] = field(default_factory=list)
    descriptions: list[str] = field(default_factory=list)
    images: int = 0
    objects: int = 0


@dataclass
class _Group:
    """A group that is open: where it begins in the output, and how its characters look so far."""

    start: int
    kind: str = ""
    raised: bool = False
    hidden: bool = False
    font: int | None = None
    target: str = ""
    lost_before: tuple[int, int, int] = (0, 0, 0)


def prepare(source: str) -> Prepared:
    """`source` with its asides taken out and its looks marked."""
    return _Preparation(source).run()


class _Preparation:
    """One pass over the source of a file."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._prepared = Prepared()
        self._out: list[str] = []
        self._groups = [_Group(0)]
        self._author = ""
        names = [(number, name.strip().title()) for number, name in _FONT_NAME.findall(source)]
        self._fonts = {number: FONTS.index(name) for number, name in names if name in FONTS}

    def run(self) -> Prepared:
        at = 0
        while (token := _TOKEN.match(self._source, at)) is not None:
            at = token.end()
            text, word, argument = token[0], token[1], token[2]
            if text == "{":
                self._open()
            elif text == "}" and len(self._groups) > 1:
                self._close()
            elif word == "bin":
                at += max(int(argument or 0), 0)
            else:
                self._out.append(text)
                if word is not None:
                    self._take(word, argument)
        while len(self._groups) > 1:  # cut short
            self._close()
        self._prepared.source = "".join(self._out) + self._source[at:]
        return self._prepared

    def _open(self) -> None:
        outer = self._groups[-1]
        lost = self._prepared.images, self._prepared.objects, len(self._prepared.descriptions)
        self._groups.append(
            _Group(len(self._out), "", outer.raised, outer.hidden, outer.font, lost_before=lost)
        )
        self._out.append("{")

    def _take(self, word: str, argument: str | None) -> None:
        """Take up a control word: it begins a destination, or changes how what follows it looks."""
        group = self._groups[-1]
        if not group.kind and word in _DESTINATIONS:
            group.kind = word
        elif word in ("super", "up"):
            self._turn("raised", argument != "0", _RAISED)
        elif word in ("nosupersub", "sub", "dn"):
            self._turn("raised", False, _RAISED)
        elif word in ("v", "deleted"):
            self._turn("hidden", argument != "0", _HIDDEN)
        elif word == "f" and argument is not None:
            self._set_font(self._fonts.get(argument))
        elif word == "plain":
            self._turn("raised", False, _RAISED)
            self._turn("hidden", False, _HIDDEN)
            self._set_font(None)

    def _turn(self, name: str, value: bool, mark: int) -> None:
        group = self._groups[-1]
        if getattr(group, name) != value:
            setattr(group, name, value)
            self._out.append(chr(mark if value else mark + 1))

    def _set_font(self, font: int | None) -> None:
        group = self._groups[-1]
        if group.font != font:
            group.font = font
            self._out.append(chr(_FONT + (len(FONTS) if font is None else font)))

    def _close(self) -> None:
        """End the innermost group: it stays, is put aside, or is dropped."""
        group = self._groups[-1]
        if group.kind and group.kind != "fldinst":
            self._groups.pop()
            content = _DESTINATION.sub("", "".join(self._out[group.start + 1 :]), count=1)
            del self._out[group.start :]
            self._put_aside(group, content)
            return
        outer = self._groups[-2]
        self._turn("raised", outer.raised, _RAISED)
        self._turn("hidden", outer.hidden, _HIDDEN)
        self._set_font(outer.font)
        self._groups.pop()
        if group.target:
            self._out.append(_escape(end_of_link(group.target)))
        self._out.append("}")
        if group.kind:
            instruction = "".join(self._out[group.start :])
            outer.target = target_of(_unescape(instruction))
            if outer.target:
                self._out[group.start :] = [LINK]
            else:
                self._out.append(_shown_field(instruction))

    def _put_aside(self, group: _Group, content: str) -> None:
        prepared, kind = self._prepared, group.kind
        if kind == "bkmkstart":
            self._out.append(_escape(anchor(_unescape(content).strip())))
        elif kind in _NAMED:
            self._author = _PLAIN.sub("", content).strip() or self._author
        elif kind in _NOTES:
            self._out.append(f"\ue060{len(prepared.asides)}\ue061")
            prepared.asides.append(Aside(kind, content, self._author))
            self._author = ""
        elif kind in _FURNITURE:
            prepared.furniture.append(Aside(_FURNITURE[kind], content))
        elif kind in _SECOND_COPIES:
            prepared.images, prepared.objects, described = group.lost_before
            del prepared.descriptions[described:]
        elif kind == "pict":
            description = _DESCRIPTION.search(content)
            if said := alternative_text(description[1] if description else None):
                prepared.descriptions.append(said)
            else:
                prepared.images += 1
        elif kind == "object":
            prepared.images, _, _ = group.lost_before
            prepared.objects += 1
        else:
            self._out += [mark[0] for mark in _ASIDE.finditer(content)]


def read_line(line: str, asides: list[int]) -> tuple[str, str]:
    """A line of converted text as it is shown, and the hidden words in it.

    The numbers of the asides that it refers to are added to `asides`; a footnote keeps its number as a mark.
    """
    runs: list[tuple[str, bool]] = []
    hidden: list[str] = []
    raised = is_hidden = False
    font: str | None = None
    at = 0
    for mark in [*_LOOK.finditer(line), None]:
        text = line[at : len(line) if mark is None else mark.start()]
        if is_hidden:
            hidden.append(text)
        elif text:
            is_raised = raised and not _ASIDE.search(text)
            runs.append((read_symbols(text, font) if font else text, is_raised))
        if mark is None:
            break
        at = mark.end()
        code = ord(mark[0])
        if code < _HIDDEN:
            raised = code == _RAISED
        elif code < _FONT:
            is_hidden = code == _HIDDEN
        else:
            font = FONTS[code - _FONT] if code - _FONT < len(FONTS) else None
    shown = join_runs(runs)
    asides += [int(number) for number in _ASIDE.findall(shown)]
    return shown, " ".join(hidden)


def replace_marks(text: str, marks: dict[int, str]) -> str:
    """`text` with the marks of asides as a reader sees them."""
    return _ASIDE.sub(lambda found: marks.get(int(found[1]), ""), text)


def _escape(text: str) -> str:
    """`text` as source: "C:\\a" is ``C:\\\\a``."""
    return _SPECIAL.sub(r"\\\g<0>", text)


def _unescape(source: str) -> str:
    """The characters of `source` without its control words and groups."""
    parts: list[str] = []
    for token in _TOKEN.finditer(source):
        if token[0].startswith("\\'"):
            parts.append(chr(int(token[0][2:], 16)))
        elif token[0].startswith("\\"):
            parts.append("" if token[1] or token[0] == "\\*" else token[0][1:])
        elif token[0] not in "{}":
            parts.append(token[0].replace("\r", "").replace("\n", ""))
    return "".join(parts)


def _shown_field(instruction: str) -> str:
    """What is shown for a field that keeps no result: form fields and symbols."""
    numbers = dict(_FORM_NUMBER.findall(instruction))
    result = numbers.get("res", _UNDEFINED)
    if result == _UNDEFINED:
        result = numbers.get("defres", "0")
    if numbers.get("type") == "1":
        return "☒" if result != "0" else "☐"
    if numbers.get("type") == "2":
        choices = _CHOICE.findall(instruction)
        return choices[int(result)] if int(result) < len(choices) else ""
    symbol = _SYMBOL_FIELD.search(instruction)
    if symbol is None:
        return ""
    code = int(symbol[1], 16 if symbol[1].startswith("0x") else 10)
    return read_symbols(chr(code), (symbol[2] or "").strip()) if code < 0x10000 else ""
