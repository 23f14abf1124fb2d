"""Token counts of any range of a text, from one tokenisation.

What belongs here: measuring. What does not: blocks, budgets, cuts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from rag_pipelines.chunking.base import Tokenizer

LONGEST_TOKEN = 32
"""Characters; a token that is longer counts as several, so that it can be cut."""


class TokenRuler:
    """Measures by bisection in the places where tokens start.

    Counts add up exactly for ranges that begin at a token and end at white space, if `exact`.
    Elsewhere they err upwards by a token.
    """

    def __init__(self, starts: Sequence[int], length: int, *, additive: bool) -> None:
        divided = _divide_long_tokens(starts, length)
        self.exact = additive and divided is None
        self._starts = starts if divided is None else divided
        self._length = length

    def tokens(self, start: int, end: int) -> int:
        """Tokens of a range."""
        first = bisect_left(self._starts, start)
        count = bisect_left(self._starts, end, first) - first
        return count if self._token_at(first, start) else count + 1

    def reach(self, start: int, tokens: int) -> int:
        """The furthest offset such that the range from `start` has at most this many tokens."""
        first = bisect_left(self._starts, start)
        last = first + (tokens if self._token_at(first, start) else tokens - 1)
        return max(self._starts[last], start + 1) if last < len(self._starts) else self._length

    def back(self, end: int, tokens: int) -> int:
        """The earliest offset such that the range from it to `end` has at most this many tokens."""
        return self._starts[max(0, bisect_left(self._starts, end) - tokens)] if tokens else end

    def begins_token(self, offset: int) -> bool:
        """Whether a token starts here; none does at white space or at what the tokenizer drops."""
        return self._token_at(bisect_left(self._starts, offset), offset)

    def _token_at(self, place: int, offset: int) -> bool:
        return place < len(self._starts) and self._starts[place] == offset


class EvenRuler:
    """Measures by length where every token has the same; a range counts alike wherever it stands."""

    exact = False

    def __init__(self, width: int, length: int) -> None:
        self._width = width
        self._length = length

    def tokens(self, start: int, end: int) -> int:
        """Tokens of a range."""
        return -(-(end - start) // self._width)

    def reach(self, start: int, tokens: int) -> int:
        """The furthest offset such that the range from `start` has at most this many tokens."""
        return min(self._length, start + tokens * self._width)

    def back(self, end: int, tokens: int) -> int:
        """The earliest offset such that the range from it to `end` has at most this many tokens."""
        return max(0, end - tokens * self._width)

    def begins_token(self, offset: int) -> bool:
        """Whether a token starts here: one may start anywhere."""
        return True


def ruler_for(text: str, tokenizer: Tokenizer) -> TokenRuler | EvenRuler:
    """The ruler of a text."""
    starts = tokenizer.starts(text)
    if isinstance(starts, range):
        return EvenRuler(starts.step, len(text))
    return TokenRuler(starts, len(text), additive=tokenizer.additive)


def _divide_long_tokens(starts: Sequence[int], length: int) -> Sequence[int] | None:
    """Token starts with more put where two lie far apart, or None where none do.

    WordPiece calls a run of any length without a space one unknown token; without these places such
    a run could never be cut.
    """
    import numpy as np

    known = np.asarray(starts, dtype=np.int64)
    gaps = np.diff(known, append=length)
    far = np.flatnonzero(gaps > LONGEST_TOKEN)
    if not len(far):
        return None
    more = [np.arange(known[place], known[place] + gaps[place], LONGEST_TOKEN) for place in far]
    return np.unique(np.concatenate([known, *more])).tolist()
