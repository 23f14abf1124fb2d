"""Quoted phrases that leave a search without a hit, and what is found without them.

What belongs here: which phrases stand in the way. What does not: what a phrase asks of a text (`statement`,
`question`), and asking (`search`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rag_pipelines.query.hits import Hit

MOST_ALONE = 5
"""Phrases that are tried one by one; with more of them all are left out."""


class Left(NamedTuple):
    """The phrases that were left out, those that every hit holds, and the hits."""

    phrases: tuple[str, ...]
    kept: tuple[str, ...]
    hits: tuple[Hit, ...]

    @property
    def note(self) -> str:
        """What the asker is told."""
        named = ", ".join(f'"{phrase}"' for phrase in self.phrases)
        what = "the phrase" if len(self.phrases) == 1 else "together the phrases"
        rest = "what was found without stands apart" if self.hits else "nothing was found without either"
        return f"no passage that you may see holds {what} {named}; {rest}"


def find_unquoted(quoted: Sequence[str], ask: Callable[[Sequence[str]], Sequence[Hit]]) -> Left | None:
    """What is found without the phrases that no passage holds, or without all where none holds the others.

    Args:
        quoted: the phrases of a question that has no hit.
        ask: gives the hits of the question that hold these phrases.
    """
    if not quoted:
        return None
    alone = quoted if 1 < len(quoted) <= MOST_ALONE else ()
    held = tuple(phrase for phrase in alone if ask([phrase]))
    missing = tuple(phrase for phrase in quoted if phrase not in held)
    hits = ask(held) if held and missing else ()
    if hits:
        return Left(missing, held, tuple(hits))
    return Left(tuple(quoted), (), tuple(ask(())))
