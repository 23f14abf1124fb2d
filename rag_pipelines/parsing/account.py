"""The words that a document is held to, compared with those that its parsed text has.

What belongs here: what a word is, counting and comparing. What does not: what a missing word is called
(`losses`), reading a file a second time (`witness`), whom the words are asked of (`builder`).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import chain

_NO_SPACES = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_NO_SPACES}]|[^\W_{_NO_SPACES}]+")
_ALONE = re.compile(f"[{_NO_SPACES}]")
_NOT_SEEN = re.compile("[\xad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff]")
_MOST_COMPARED = 500_000_000
"""Words times characters. Where more are written otherwise it is no matter of hyphens any more, and looking
for each would take seconds."""
_LONGEST_WORD, _LONGEST_PART = 200, 50
"""Characters of a word that is sought in its parts, and of a part."""
_NEAR, _DISTINCT = 400, 24
"""How many characters may stand between lines that follow one another, and those of a line that is sought
farther away."""
_MOST_EFFORT = 16
"""How many times the text is searched for lines far away, which bounds the time."""
_MOST_KEPT = 0.7
"""The share of lines that may be left for looking once more at what is between to be worth it."""
_SPACES = b"\t\n\v\f\r \x1c\x1d\x1e\x1f"
_MAY_STAND_ALONE = bytes((*range(0xE3, 0xEA), 0xEF, 0xF0))
"""First bytes of the UTF-8 of `_ALONE`, and of some others."""
_SHAPES = bytes(
    ord(" " if byte in _SPACES else "z" if byte in _MAY_STAND_ALONE else "x") for byte in range(256)
)
"""What is a space, and what may be of a script without them, by bytes of UTF-8."""


def words(text: str) -> list[str]:
    """The words of `text`: runs of letters and digits, width and case folded.

    Of scripts without spaces between words (Chinese, Japanese) each character is one.
    """
    if not text.isascii():
        text = _NOT_SEEN.sub("", unicodedata.normalize("NFKC", text))
    return _WORD.findall(text.casefold())


class Account:
    """The words that a document is held to, against those it has.

    What a file shows is first looked for in its place: line after line, in the order of the text. That is all
    a sound parse needs, and takes a tenth of the time. Only lines that are not found so are compared
    by number and not by place: whole, then what is between spaces, then words.
    """

    def __init__(self) -> None:
        self._seen: list[tuple[str, Callable[[], str] | None]] = []
        self._explained: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._seen)

    def see(self, text: str, closer: Callable[[], str] | None = None) -> None:
        """Add what the file shows; `closer` reads it with more care, and is asked where words are missing."""
        if text:
            self._seen.append((text, closer))

    def explain(self, text: str) -> None:
        """Add what is in the file and rightly not in the document."""
        self._explained.append(text)

    def settle(self, text: str) -> tuple[int, int]:
        """The number of words seen, and of those that are neither in `text` nor explained.

        A word counts as found where only the spaces differ: "inter-" and "national" for "international",
        "10" and "6" for "106".
        """
        held = [text, *self._explained]
        seen, missing, cut = _compare((text for text, _ in self._seen), held)
        if not any(closer for _, closer in self._seen):
            return seen, missing
        if not missing:
            return seen - cut, 0
        return _compare((closer() if closer else text for text, closer in self._seen), held)[:2]


def count_words(text: str) -> int:
    """How many words `text` has, counted at its spaces, and the characters of scripts without them."""
    return _count(_bytes(text))


def _bytes(text: str) -> bytes:
    """`text` in UTF-8, which is searched faster, with spaces in the place of those that do not break."""
    return text.replace("\xa0", " ").encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _count(data: bytes) -> int:
    shape = data.translate(_SHAPES)
    words = shape.count(b" x") + shape.startswith(b"x")
    if b"z" in shape:
        words += shape.count(b" z") + shape.startswith(b"z") + len(_ALONE.findall(_text(data)))
    return words


def _lines(text: str) -> list[str]:
    return [line for line in map(str.strip, text.split("\n")) if line]


def _out_of_order(lines: list[bytes], text: bytes) -> tuple[list[bytes], list[bytes], int]:
    """The lines that do not stand in `text` one after the other, what stands between those that do, and how
    often two of them are one word.

    A line that comes soon is taken where it stands. The more are not found in a row, the farther one may be,
    but then the one after it must follow there, so that a phrase that comes again does not skip the rest.
    """
    left: list[bytes] = []
    between: list[bytes] = []
    cut = 0
    find = text.find
    at, reach, effort = 0, _NEAR, _MOST_EFFORT * len(text)
    for number, line in enumerate(lines, 1):
        size = len(line)
        place = find(line, at, at + size + _NEAR)
        if place < 0 and reach > _NEAR and size >= _DISTINCT:
            effort -= reach
            place = find(line, at, at + size + reach)
            if place >= 0 and number < len(lines):
                after = lines[number]
                if find(after, place + size, place + size + len(after) + _NEAR) < 0:
                    place = -1
        if place < 0:
            left.append(line)
            reach = min(2 * reach, len(text)) if effort > 0 else _NEAR
            continue
        if place > at:
            between.append(text[at:place])
        elif at and text[at - 1] not in _SPACES and text[at] not in _SPACES:
            cut += 1
        at, reach = place + size, _NEAR
    between.append(text[at:])
    return left, between, cut


def _compare(seen: Iterable[str], held: Iterable[str]) -> tuple[int, int, int]:
    """How many words `seen` has, how many of them `held` lacks, and how many stand on two lines in `seen`."""
    shown = b"\n".join(map(_bytes, seen))
    total, cut = _count(shown), 0
    lines = [line for line in map(bytes.strip, shown.split(b"\n")) if line]
    rest = list(map(_bytes, held))
    while lines:
        left, rest, more_cut = _out_of_order(lines, b"\n".join(rest))
        cut += more_cut
        if len(left) > _MOST_KEPT * len(lines):
            return total, min(total, _missing(map(_text, left), map(_text, rest))), cut
        lines = left
    return total, 0, cut


def _missing(lacking: Iterable[str], more: Iterable[str]) -> int:
    """How many words of `lacking` are not in `more`, by number and not by place."""
    left: Counter[str] = Counter()
    for parts in (_lines, str.split, words):
        one = Counter(chain.from_iterable(map(parts, lacking)))
        other = Counter(chain.from_iterable(map(parts, more)))
        if not (left := one - other):
            return 0
        lacking, more = left.elements(), (other - one).elements()
    return _written_otherwise(left, other - one).total()


def _written_otherwise(lacking: Counter[str], more: Counter[str]) -> Counter[str]:
    """`lacking` without what is part of a word in `more` or put together of such; each is used once."""
    pool = " ".join(more.elements())
    if not pool or len(lacking) * len(pool) > _MOST_COMPARED:
        return lacking
    left: Counter[str] = Counter()
    for word in sorted(lacking, key=lambda word: (-len(word), word)):
        number = lacking[word]
        found = min(number, pool.count(word))
        pool = pool.replace(word, " ", found)
        if found < number:
            left[word] = number - found
    parts = Counter(pool.split())
    for word in list(left):
        while left[word] and (used := _put_together(word, parts)):
            parts -= used
            left[word] -= 1
    return +left


def _put_together(word: str, parts: Counter[str]) -> Counter[str] | None:
    """The parts of which `word` consists, each time the longest that begins the rest; None if it does not."""
    if len(word) > _LONGEST_WORD:
        return None
    used: Counter[str] = Counter()
    at = 0
    while at < len(word):
        for end in range(min(len(word), at + _LONGEST_PART), at, -1):
            part = word[at:end]
            if parts[part] > used[part]:
                used[part] += 1
                at = end
                break
        else:
            return None
    return used
