"""What a document shows and its parsed text does not hold, by kind.

What belongs here: the closed list of losses and of what is left out on purpose, and the words that are
compared. What does not: finding them (each parser), reading a file a second time (`witness`), keeping account
during a parse (`builder`), judging a source by them (`quality`).

Every kind is a counter of the parsed document under its own name, so that it is kept with the parse and can
be summed over a source.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from itertools import chain


class Loss(StrEnum):
    """What a reader sees and a search cannot find. The value is the name of the counter."""

    WORDS = "words_missing"
    CHARACTERS = "characters_without_text"
    IMAGES = "images_without_text"
    PARTS = "parts_not_read"
    ATTACHMENTS = "attachments_not_read"
    FORMULAS = "formulas_without_value"
    VALUES = "values_not_read"


class LeftOut(StrEnum):
    """What is in the file and left out on purpose, in words. The value is the name of the counter."""

    HIDDEN = "hidden_words"
    CONTENTS = "contents_words"
    BOILERPLATE = "boilerplate_words"
    ALTERNATIVE = "alternative_words"


WORDS_SEEN = "words_seen"
"""The counter of the words that a parser was held to account for (`DocumentBuilder.account_for`)."""

_NO_SPACES = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_NO_SPACES}]|[^\W_{_NO_SPACES}]+")
_ALONE = re.compile(f"[{_NO_SPACES}]")
_NOT_SEEN = re.compile("[\xad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff]")
_MOST_COMPARED = 500_000_000
"""Words times characters. Where more are written otherwise it is no matter of hyphens any more, and looking
for each would take seconds."""
_LONGEST_WORD, _LONGEST_PART = 200, 50
"""Characters of a word that is sought in its parts, and of a part."""


def words(text: str) -> list[str]:
    """The words of `text`: runs of letters and digits, width and case folded.

    Of scripts without spaces between words (Chinese, Japanese) each character is one.
    """
    if not text.isascii():
        text = _NOT_SEEN.sub("", unicodedata.normalize("NFKC", text))
    return _WORD.findall(text.casefold())


class Account:
    """The words that a document is held to, against those it has.

    Words are compared by number and not by place. Lines are taken apart only where the two sides differ, and
    what is between spaces likewise, so that the account of a sound parse costs little.
    """

    def __init__(self) -> None:
        self._seen: list[str] = []
        self._explained: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._seen)

    def see(self, text: str) -> None:
        """Add what the file shows."""
        if text:
            self._seen.append(text)

    def explain(self, text: str) -> None:
        """Add what is in the file and rightly not in the document."""
        self._explained.append(text)

    def settle(self, text: str) -> tuple[int, int]:
        """The number of words seen, and of those that are neither in `text` nor explained.

        A word counts as found where only the spaces differ: "inter-" and "national" for "international",
        "10" and "6" for "106".
        """
        lacking: Iterable[str] = self._seen
        more: Iterable[str] = (text, *self._explained)
        for parts in (_lines, str.split, words):
            one = Counter(chain.from_iterable(map(parts, lacking)))
            other = Counter(chain.from_iterable(map(parts, more)))
            if not (left := one - other):
                break
            lacking, more = left.elements(), (other - one).elements()
        missing = _written_otherwise(left, other - one).total() if left else 0
        seen = sum(map(count_words, self._seen))
        return seen, min(seen, missing)


def count_words(text: str) -> int:
    """How many words `text` has, counted at its spaces, and the characters of scripts without them."""
    return len(text.split()) + (0 if text.isascii() else len(_ALONE.findall(text)))


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line]


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
