"""How a question is read before it is asked: which parts of it are quoted.

What belongs here: the marks that quote, and what they quote. What does not: the words of a question, which
Postgres reads as it reads texts (`sql/objects/01_words.sql`), and what is changed in it (`rewriting`).

A hit of a lexical or hybrid search holds every quoted phrase: its words next to each other in this order,
each in any inflection; stop words between them are not compared, but keep their places. An identifier is
quoted like a phrase of its parts. In a dense search quotes mean nothing. The question itself keeps its marks:
no model minds them, and Postgres reads them as spaces.
"""

from __future__ import annotations

import re

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
