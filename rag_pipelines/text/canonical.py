"""Canonical text: the one definition of clean text.

What belongs here: characters. What does not: blocks (`parsing.builder`), and anything that knows a format.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from datetime import date, time
from typing import Any

_LINE_BREAKS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")


_SURROGATE_PAIR = re.compile("([\ud800-\udbff])([\udc00-\udfff])")


_SURROGATE = "\ud800-\udfff"


_BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"


_INVISIBLE = "\xad\u180e\u2060-\u2064\u206a-\u206f\ufeff"


_CONTROL = "\x01-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufff9-\ufffb\U000e0000-\U000e007f"


_ZERO_WIDTH_SPACE = "(?<![\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])\u200b"
"""Kept behind a Thai, Lao, Burmese or Khmer letter, where it is the only mark between words."""


_MENDED = re.compile(f"[\0\r\x0b\x0c\x85\u200b\u2028\u2029{_SURROGATE}{_BIDI}{_INVISIBLE}{_CONTROL}]")


_STAYS_ASCII = bytes([*b"\n\t", *range(0x20, 0x7F)])


_MAY_CHANGE = re.compile("[^\n\t\x20-\x7e\xa0-\xac\xae-\u02ff\u2010-\u2027\u2030-\u205e\ufdd0-\ufdd4]")
"""Every character but those that canonical text has as they stand, whatever stands beside them: printable
ASCII, Latin letters, punctuation, and the marks of `parsing.links`."""


_MENDING = (
    ("nul_removed", "", re.compile("\0")),
    ("surrogates_replaced", "\ufffd", re.compile(f"[{_SURROGATE}]")),
    ("bidi_removed", "", re.compile(f"[{_BIDI}]")),
    ("control_removed", "", re.compile(f"[{_CONTROL}]")),
    ("invisible_removed", "", re.compile(f"[{_INVISIBLE}]")),
    ("invisible_removed", "", re.compile(_ZERO_WIDTH_SPACE)),
)


_MOST_MARKS = 30
"""More non-starters in succession are not for people, and normalising them takes time in their square.
The bound of the Stream-Safe Text Format (UAX #15, section 13)."""


_MARKS_AND_MORE = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u1dff\u20d0-\u20ff\u2cef-\u2dff\u302a-\u302f\u3099\u309a\ua66f-\uabff"
    "\ufb1e\ufe20-\ufe2f\U00010100-\U0001efff"
)


_MAY_BE_MARKS = re.compile(rf"[{_MARKS_AND_MORE}](?:(?!\w)[{_MARKS_AND_MORE}]){{13,}}")
"""Holds every run of non-starters that may exceed the bound: of marks, each of which may stand for two,
behind a letter, which may hold three."""


_FORMS = re.compile("[\ufb00-\ufb06\ufb13-\ufb17\ufb1d-\ufdff\ufe70-\ufefc]")
"""Presentation forms: letters of Arabic and Hebrew in the shape for their place in a word, and ligatures."""


_METADATA_DEPTH = 5


def clean(text: str, counters: Counter[str] | None = None) -> str:
    """`text` as canonical text; what was mended is added to `counters` by kind.

    NFC; every line break is a newline; NUL, bidirectional and other control characters, Unicode tags
    and invisible characters (soft hyphen, word joiner, zero-width space) are removed, because a person
    does not see them and so they can only mislead. What joins or shapes letters stays: zero-width
    joiner and non-joiner and variation selectors, which emoji, Persian and Indic scripts need. A
    surrogate pair becomes its character; a lone surrogate becomes U+FFFD, so that its loss shows.
    Presentation forms (U+FB00-FDFF, U+FE70-FEFC), which no keyboard writes, are the letters they stand for.
    Of a pile of combining marks the first 30 stay. Idempotent.
    """
    if text.isascii():
        if not text.encode().translate(None, _STAYS_ASCII):
            return text
    elif not _MAY_CHANGE.search(text):
        return text
    if not _MENDED.search(text):
        return _compose(text, counters)
    text = _LINE_BREAKS.sub("\n", text)
    text = _SURROGATE_PAIR.sub(lambda pair: _join_surrogates(pair[1], pair[2]), text)
    for name, replacement, pattern in _MENDING:
        text, count = pattern.subn(replacement, text)
        if count and counters is not None:
            counters[name] += count
    return _compose(text, counters)


def _compose(text: str, counters: Counter[str] | None) -> str:
    """`text` in NFC, without presentation forms and without the combining marks beyond the bound."""
    text = _FORMS.sub(_plain_form, text)
    bounded = _MAY_BE_MARKS.sub(_limit_marks, text)
    if counters is not None and len(bounded) < len(text):
        counters["marks_removed"] += len(text) - len(bounded)
    return unicodedata.normalize("NFC", bounded)


def _plain_form(form: re.Match[str]) -> str:
    """The letters of a presentation form; a vowel sign has a space to stand on only where it stands alone."""
    return unicodedata.normalize("NFKC", form[0]).removeprefix(" ")


def _limit_marks(run: re.Match[str]) -> str:
    """The characters of `run` without the marks that come after 30 in succession.

    Marks are counted as decomposed, so that the count is the same before and after composition.
    """
    kept: list[str] = []
    before = run.string[run.start() - 1 : run.start()]
    count = max(len(unicodedata.normalize("NFD", before)) - 1, 0)
    for character in run[0]:
        parts = unicodedata.normalize("NFD", character)
        if not unicodedata.combining(parts[0]):
            count = len(parts) - 1
        elif count + len(parts) > _MOST_MARKS:
            continue
        else:
            count += len(parts)
        kept.append(character)
    return "".join(kept)


def _join_surrogates(high: str, low: str) -> str:
    """The character that a UTF-16 surrogate pair stands for."""
    return chr(0x10000 + ((ord(high) - 0xD800) << 10) + (ord(low) - 0xDC00))


def one_line(text: str) -> str:
    """`text` with every run of white space as one space, stripped."""
    return " ".join(text.split())


def plain_metadata(value: Any, counters: Counter[str] | None = None, depth: int = _METADATA_DEPTH) -> Any:
    """`value` as JSON can carry it: clean strings, ISO dates; what lies deeper than `depth` is dropped."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean(value, counters)
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if depth == 0:
        return None
    if isinstance(value, dict):
        return {
            clean(str(key), counters): plain_metadata(item, counters, depth - 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [plain_metadata(item, counters, depth - 1) for item in value]
    return clean(str(value), counters)
