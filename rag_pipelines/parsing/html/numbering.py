"""The numbers of ordered lists as a browser shows them.

What belongs here: ``start``, ``reversed``, ``type`` and ``value`` (HTML standard, 4.4.5 and 4.4.8). What does
not: lists and their items as blocks (`parse`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bs4.element import Tag

_STYLE = re.compile(r"list-style(?:-type)?\s*:[^;]*?\b(none|(?:lower|upper)-(?:alpha|latin|roman))\b", re.I)
_STYLES = {
    "lower-alpha": "a",
    "lower-latin": "a",
    "upper-alpha": "A",
    "upper-latin": "A",
    "lower-roman": "i",
    "upper-roman": "I",
    "none": "",
}
_INTEGER = re.compile(r"\s*(-?[0-9]{1,6})(?![0-9])")
_ROMAN = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"),
    (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip
_MOST_ROMAN = 3_999


class Numbering:
    """Counts the items of one ``<ol>``."""

    def __init__(self, ordered: Tag) -> None:
        self._step = -1 if "reversed" in ordered.attrs else 1
        first = _integer(ordered.get("start"))
        if first is None:
            first = len(ordered.find_all("li", recursive=False)) if self._step < 0 else 1
        self._next = first
        self._kind = _kind(ordered, "1")

    def number(self, item: Tag) -> str:
        """The number of the next item with its full stop and a space; "" where the list shows none."""
        value = _integer(item.get("value"))
        number = self._next if value is None else value
        self._next = number + self._step
        kind = _kind(item, self._kind)
        return f"{_written(number, kind)}. " if kind else ""


def _kind(tag: Tag, inherited: str) -> str:
    """One of "1", "a", "A", "i", "I", or "" for no numbers."""
    style = _STYLE.search(str(tag.get("style") or ""))
    if style:
        return _STYLES[style[1].lower()]
    kind = str(tag.get("type") or "")
    return kind if kind in ("1", "a", "A", "i", "I") else inherited


def _integer(value: object) -> int | None:
    found = _INTEGER.match(str(value)) if value is not None else None
    return int(found[1]) if found else None


def _written(number: int, kind: str) -> str:
    if number < 1 or kind == "1" or (kind in "iI" and number > _MOST_ROMAN):
        return str(number)
    letters = _roman(number) if kind in "iI" else _letters(number)
    return letters if kind.islower() else letters.upper()


def _letters(number: int) -> str:
    """a to z, then aa, ab and so on."""
    letters = ""
    while number > 0:
        number, letter = divmod(number - 1, 26)
        letters = chr(ord("a") + letter) + letters
    return letters


def _roman(number: int) -> str:
    written = ""
    for value, letters in _ROMAN:
        count, number = divmod(number, value)
        written += letters * count
    return written
