"""Superscripts in plain text: the one form in which all formats write them.

What belongs here: how raised characters are written so that they do not merge with what they stand behind
("10^6", not "106"). What does not: finding them, which is each format's own matter. Subscripts stay as they
are: "H2O" and "x1" read the same on the line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import groupby
from operator import itemgetter

_OPENING = frozenset("([{<^/\"'“‘«„‚¿¡-‐‑–—")
"""Behind these a digit begins a word of its own; "^" itself needs no second one."""

_ORDINALS = frozenset({
    "st", "nd", "rd", "th", "e", "er", "re", "ère", "ers", "es", "de", "nde", "ème", "eme", "ième", "ieme",
    "ste", "bis", "ter", "o", "os", "as", "ro", "ra", "do", "da", "to", "ta", "vo", "va", "mo", "ma",
})  # fmt: skip
_SERVICE_SIGNS = {"tm": "™", "sm": "℠"}
_ABBREVIATION = re.compile(r"(?<!\w)(?:[IVXLCDM]+|[Nn])\Z")
"""A Roman numeral or the N of "number", which one small letter makes an ordinal: "XIXe", "No"."""

_LETTERS = re.compile(r"[^\W\d_]+")
_OPERATOR = re.compile(r"(?<=.)[-+*/=·×÷±−^](?=.)", re.S)
_PHRASE = re.compile(r"[^\W\d_]\s+\S|\S\s+[^\W\d_]{2}")
_NOTE = re.compile(r"\d{1,3}|[^\W\d_]|[^\w\s]{1,3}")
_BRACKETED = re.compile(r"[\[(].*[\])]", re.S)
_TAIL = 20
"""Characters in front of a superscript that decide how it is written."""

_MOST_NESTED = 3


def raised(before: str, text: str) -> str:
    """The superscript `text` as it is written directly behind `before`, which stands on the same line.

    Behind a word or a bracket, a number, a sign or one letter gets a "^": "10^6", "m^2", "10^-3", "x^n",
    "Ca^2+", "profit^1"; more characters with an operator between them stand in brackets: "x^(n+1)". What a
    reader takes for a part of the word stays one with it: "1st", "XIXe", "Mme", "word*", "word[1]". A
    trademark sign is written as one, and a phrase stands behind a space. At the start of a line (`before`
    is blank) a note mark is kept apart from the note: "1 Source".
    """
    core = text.rstrip()
    if not core or core[0].isspace():
        return text
    tail = before[-_TAIL:]
    if not tail or tail.isspace():
        return f"{core} " if _NOTE.fullmatch(core) else text
    if tail[-1].isspace() or tail[-1] in _OPENING:
        return text
    return _behind(tail, core) + text[len(core) :]


def join_runs(runs: Iterable[tuple[str, bool]]) -> str:
    """The text of runs, each with whether it is raised; raised neighbours are one superscript.

    Runs that begin with a noncharacter are marks for others, as in `Line`.
    """
    parts: list[str] = []
    line = ""
    for is_raised, group in groupby(runs, key=itemgetter(1)):
        pieces = [text for text, _ in group]
        text = "".join(pieces)
        if is_raised:
            text = raised(line, text)
        parts.append(text)
        seen = "".join([piece for piece in pieces if not _is_mark(piece)]) if "\ufdd2" in text else text
        line = f"{line}{seen}".rpartition("\n")[2][-_TAIL:]
    return "".join(parts)


def note_mark(text: str) -> str:
    """The mark of a note as it is written behind its word: "[1]", or as it is where it has brackets."""
    mark = text.strip()
    return mark if not mark or _BRACKETED.fullmatch(mark) else f"[{mark}]"


def _behind(tail: str, core: str) -> str:
    """`core` as it is written behind the end of a line, which is no space and no opening bracket."""
    if _PHRASE.search(core):
        return f" {core}"
    if _LETTERS.fullmatch(core):
        return _letters_behind(tail, core)
    if not any(character.isalnum() for character in core):
        return f"^{core}" if core in "+-−" and (tail[-1].isalnum() or tail[-1] in ")]}") else core
    if _BRACKETED.fullmatch(core):
        return core
    return f"^({core})" if _OPERATOR.search(core) else f"^{core}"


def _letters_behind(tail: str, letters: str) -> str:
    folded = letters.casefold()
    if folded in _SERVICE_SIGNS:
        return _SERVICE_SIGNS[folded]
    if tail[-1].isdecimal():
        return letters if folded in _ORDINALS else f"^{letters}"
    if len(letters) > 1:
        return letters
    return letters if letters in "eo" and _ABBREVIATION.search(tail) else f"^{letters}"


class Line:
    """Text that is gathered piece by piece from a format that says where superscripts begin and end.

    Pieces that begin with a noncharacter are marks for others: superscripts are written as if they were not.
    """

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._starts: list[int | None] = []
        self.add: Callable[[str], None] = self._pieces.append
        """Add a text as it is."""

    def begin_raised(self) -> None:
        """What is added from here to the next `end_raised` is a superscript; deep nests are read as text."""
        nested = len(self._starts) >= _MOST_NESTED
        self._starts.append(None if nested else len(self._pieces))

    def end_raised(self, *, note: bool = False) -> None:
        """End the innermost superscript, a known note mark perhaps; nothing where none is open any more."""
        start = self._starts.pop() if self._starts else None
        if start is None:
            return
        end = len(self._pieces)
        while start < end and _is_mark(self._pieces[start]):
            start += 1
        while start < end and _is_mark(self._pieces[end - 1]):
            end -= 1
        text = "".join(self._pieces[start:end])
        self._pieces[start:end] = [note_mark(text) if note else raised(self._tail(start), text)]

    def take(self) -> str:
        """All that was added, which begins a new line; superscripts that are still open end as text."""
        if not self._pieces:
            return ""
        text = "".join(self._pieces)
        self._pieces.clear()
        self._starts.clear()
        return text

    def _tail(self, end: int) -> str:
        """The last characters of the pieces before `end`, as many as decide."""
        tail = ""
        while end > 0 and len(tail) < _TAIL:
            end -= 1
            if not _is_mark(self._pieces[end]):
                tail = self._pieces[end] + tail
        return tail


def _is_mark(piece: str) -> bool:
    """Whether a piece is no text but a mark, such as the end of a link (`parsing.links`)."""
    return "\ufdd0" <= piece[:1] <= "\ufdef"
