"""How a question is read before it is asked: what of it is read, and which parts of it are quoted.

What belongs here: the length and the characters of a question, the marks that quote, what they quote, and how
that may be written. What does not: the words of a question, which Postgres reads as it reads texts
(`sql/objects/01_words.sql`), and what is changed in it (`rewriting`).

A hit of a lexical or hybrid search holds every quoted phrase: its words next to each other in this order,
each in any inflection; stop words between them are not compared, but keep their places. An identifier is
quoted like a phrase of its parts. A phrase may be written with other joints in the text (`readings`), never
with other words. In a dense search quotes mean nothing. The question itself keeps its marks: no model minds
them, and Postgres reads them as spaces.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from rag_pipelines.errors import UsageError
from rag_pipelines.text.canonical import clean

MAX_QUESTION = 10_000
"""Characters; what is behind them is not read."""

QUOTED = re.compile(
    "|".join(
        (
            # not the inches of: a 5" pipe on a 6" pipe; scripts without spaces quote inside a sentence
            r'(?<![0-9A-Za-z\u00c0-\u024f])"(?=\S)([^"]*[^"\s])"(?![0-9A-Za-z\u00c0-\u024f])',
            "“([^“”]+)”",
            "「([^「」]+)」",
            "『([^『』]+)』",
            "＂([^＂]+)＂",
            "„([^„“”]+)[“”]",
            "«([^«»]+)»",
            "»([^«»]+)«",
        )
    )
)
"""A phrase with its marks; exactly one group holds it without them."""

_WORD = re.compile(r"[^\W_]")


def phrases(question: str) -> tuple[str, ...]:
    """What a question quotes, without the marks, each once; a mark without its other is a character."""
    found = (next(filter(None, match.groups())).strip() for match in QUOTED.finditer(question))
    return tuple(dict.fromkeys(phrase for phrase in found if _WORD.search(phrase)))


def read_question(text: str) -> tuple[str, tuple[str, ...]]:
    """The question as it is asked, and what its asker is told of that.

    Raises:
        UsageError: nothing in it can be looked for: no letter, digit or symbol that a person can see.
    """
    asked = clean(text)
    if not any(_can_be_asked(character) for character in asked):
        received = (
            f"of its {len(text):,} characters none is a letter, a digit or a symbol" if text.strip() else ""
        )
        raise UsageError(f"the question is empty; {received and received + '; '}give some words to look for")
    if len(asked) <= MAX_QUESTION:
        return asked, ()
    head = asked[:MAX_QUESTION].rsplit(None, 1)[0]
    return head, (f"of the question's {len(asked):,} characters the first {len(head):,} were asked",)


def stop_words_note(*, meant: int) -> str:
    """What is told of a question of stop words only; `meant` counts the passages that were found yet."""
    by = "passages were found by their meaning alone" if meant else "nothing was found by words"
    return f"the question has no word to look up but such as are in every text (what, is, the): {by}"


def _can_be_asked(character: str) -> bool:
    return character == "§" or unicodedata.category(character)[0] in "LNS"


class Reading(NamedTuple):
    """A way to write a phrase. `words` are those that it has in place of what was typed.

    It counts only where one of them at least is a word to the index: "to-do list" without its hyphen would be
    any list.
    """

    text: str
    words: str = ""


_LETTER = r"[^\W\d_]"
_HYPHEN = "[-\u2010\u2011]"
_HYPHENED = re.compile(rf"{_LETTER}+(?:{_HYPHEN}{_LETTER}+)+")
_OTHERWISE = tuple(
    (re.compile(pattern), re.compile(joint), instead)
    for pattern, joint, instead in (
        (_HYPHENED.pattern, _HYPHEN, " "),  # pre-authorization: pre authorization
        (_HYPHENED.pattern, _HYPHEN, ""),  # e-mail: email
        (rf"{_LETTER}{{2,}}['\u2019\u02bc]s\b", "['\u2019\u02bc]", ""),  # employee's: employees
        (r"\b(?:[A-Z]\.){2,}", r"\.", ""),  # U.S.: US
        (r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,.])", ",", ""),  # 3,000: 3000
        (r"\bv\d+(?:\.\d+)+\b", "v", ""),  # v3.11.2: 3.11.2
        (r"(?<![\w.])\d+(?:\.\d+)+\b", r"\A", "v"),
    )
)
"""What is written otherwise, its joint, and what stands for that."""
_GAP = re.compile(rf"(?<={_LETTER}) (?={_LETTER})")
MOST_GAPS = 12
"""Between words, each of which is tried with a hyphen; a phrase with more is a citation."""


def readings(phrase: str) -> tuple[Reading, ...]:
    """How a text may write `phrase` with the same words: as it was typed first, then with other joints.

    One joint at a time, and all hyphens together.
    """
    hyphened = " ".join(_HYPHENED.findall(phrase))
    found: dict[str, Reading] = {phrase: Reading(phrase)}
    for one in (*_one_otherwise(phrase), Reading(_apart(phrase), _apart(hyphened))):
        found.setdefault(one.text, one)
    return tuple(found.values())


def _apart(text: str) -> str:
    return _HYPHENED.sub(lambda match: re.sub(_HYPHEN, " ", match[0]), text)


def _one_otherwise(phrase: str) -> Iterator[Reading]:
    for pattern, joint, instead in _OTHERWISE:
        for match in pattern.finditer(phrase):
            words = joint.sub(instead, match[0])
            yield Reading(phrase[: match.start()] + words + phrase[match.end() :], words)
    gaps = list(_GAP.finditer(phrase))
    for gap in gaps if len(gaps) <= MOST_GAPS else ():
        yield Reading(f"{phrase[: gap.start()]}-{phrase[gap.end() :]}")
