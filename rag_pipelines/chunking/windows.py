"""The `recursive` and `tokens` strategies: windows over the text, blind to its blocks.

`tokens` is the baseline of chunking studies, windows of as many tokens as fit, cut between words.
`recursive` cuts at the best place that still fits: blank line, line, sentence, word; these are the
separators of the recursive splitters in common use. In both an overlap begins between words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from re import Pattern

from rag_pipelines.chunking.base import ChunkOptions, Tokenizer
from rag_pipelines.chunking.body import Body, BodyChunker, ChunkSpan
from rag_pipelines.text.boundaries import PROSE, first_cut, last_cut, strip


class WindowChunker(BodyChunker):
    """Fills each chunk as far as the budget allows and cuts at the best of `places`."""

    def __init__(self, options: ChunkOptions, tokenizer: Tokenizer, places: Sequence[Pattern[str]]) -> None:
        super().__init__(options, tokenizer)
        self._places = places
        self._overlap_places = [place for place in places if place in PROSE]

    def spans(self, body: Body) -> Iterator[ChunkSpan]:
        start = covered = body.start
        while True:
            limit = body.ruler.reach(start, body.room(start))
            if limit >= body.end:
                yield ChunkSpan(start, body.end)
                return
            if limit <= covered:
                start = covered
                continue
            cut = last_cut(body.text, covered, limit, self._places)
            first, last = strip(body.text, start, cut or limit)
            yield ChunkSpan(first, last, forced=cut is None)
            covered, _ = strip(body.text, last, body.end)
            earliest = max(body.ruler.back(covered, self.options.overlap_tokens), first + 1)
            again = first_cut(body.text, earliest, covered, self._overlap_places) or covered
            start, _ = strip(body.text, again, covered)
