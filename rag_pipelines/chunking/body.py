"""The body of a document, and its ranges made into chunks.

What belongs here: what every strategy needs: the blocks without page furniture, the room that the
title and the headings leave, and the last step from ranges to `Chunk`s that are within the budget.
What does not: where to cut (the strategies) and counting tokens (`ruler`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from re import Pattern
from typing import NamedTuple

import msgspec

from rag_pipelines.chunking.about import About, about
from rag_pipelines.chunking.base import ChunkOptions, Tokenizer
from rag_pipelines.chunking.links import PlacedLink, placed_links
from rag_pipelines.chunking.ruler import ruler_for
from rag_pipelines.model import Block, BlockKind, Chunk, Link, ParsedDocument
from rag_pipelines.text.boundaries import ANY, last_cut, strip

FURNITURE = frozenset({BlockKind.HEADER, BlockKind.FOOTER})
PREFIX_SHARE = 3
"""Title, lines about the document and headings may take one part in this many of the budget; then the lines
are left out, and outer headings."""
SAFETY_SHARE = 64
"""One part in this many is kept free where counts of ranges do not add up exactly."""
_FIRST_CHARACTERS = 64


class ChunkSpan(NamedTuple):
    """A range of the text that becomes a chunk; see `Chunk` for `context` and `forced`."""

    start: int
    end: int
    context: str = ""
    forced: bool = False


class _Prefix(NamedTuple):
    text: str
    tokens: int


class Body:
    """The body of one document: its blocks, their text measured by `ruler`, and the room for each chunk.

    The ruler may err by a token or two; `assemble` makes the final count exact.
    """

    def __init__(
        self, document: ParsedDocument, title: str | None, options: ChunkOptions, tokenizer: Tokenizer
    ) -> None:
        self.text = document.text
        self.blocks: Sequence[Block] = [block for block in document.blocks if block.kind not in FURNITURE]
        self.start = self.blocks[0].start if self.blocks else 0
        self.end = self.blocks[-1].end if self.blocks else 0
        self._title = title.strip() if title and "title" in options.context else ""
        self._about = (
            about(document, self.blocks, (title or "").strip()) if "about" in options.context else About()
        )
        self._with_headings = "headings" in options.context
        self._tokenizer = tokenizer
        self._limit = (options.max_tokens or tokenizer.max_tokens) - tokenizer.special_tokens
        self.capacity = self._limit if tokenizer.additive else self._limit - 1 - self._limit // SAFETY_SHARE
        self.ruler = ruler_for(self.text[: self.end], tokenizer)
        self._block_starts = [block.start for block in self.blocks]
        self._folded_title = self._title.casefold()
        self._prefixes: dict[tuple[tuple[str, ...], bool, tuple[str, ...]], _Prefix] = {}
        self._prefix_of_block: dict[int, _Prefix] = {}
        self._links: dict[int, list[PlacedLink]] = {}

    def room(self, start: int, share: float = 1.0) -> int:
        """Tokens of a share of the budget that a chunk from `start` may have beside what is in front."""
        return int(self.capacity * share) - self._prefix(start).tokens

    def fits(self, start: int, end: int, context_tokens: int = 0, *, share: float = 1.0) -> bool:
        """Whether a range can be one chunk within a share of the budget, with a context of so many tokens."""
        return self.ruler.tokens(start, end) + context_tokens <= self.room(start, share)

    def count(self, text: str) -> int:
        """Tokens of a text that is not a range of the document."""
        return self._tokenizer.count([text])[0]

    def split(
        self,
        start: int,
        end: int,
        places: Sequence[Pattern[str]],
        *,
        context: str = "",
        context_tokens: int = 0,
        least: int = 0,
        share: float = 1.0,
    ) -> Iterator[ChunkSpan]:
        """A range as spans that fit, cut at `places`, and inside a word only where nothing else is left.

        They fit into a `share` of the budget. `least` tokens stay for the last span where the cut can move.
        """
        while True:
            room = self.room(start, share) - context_tokens
            limit = min(end, self.ruler.reach(start, room))
            if limit >= end:
                yield ChunkSpan(start, end, context)
                return
            rest = self.ruler.tokens(limit, end)
            if rest < least:
                limit = max(self.ruler.reach(start, room - least + rest), start + 1)
            cut = last_cut(self.text, start, limit, places)
            forced = cut is None
            first, last = strip(self.text, start, cut or limit)
            yield ChunkSpan(first, last, context, forced)
            start, _ = strip(self.text, last, end)

    def assemble(self, spans: Iterable[ChunkSpan], *, bounded: bool = True) -> list[Chunk]:
        """The chunks of spans in order; if `bounded`, all within the budget by the tokenizer's own count."""
        chunks: list[Chunk] = []
        pending = list(spans)
        while pending:
            inputs = [self._embedding_input(span) for span in pending]
            counts = self._counts(pending, inputs)
            over: list[ChunkSpan] = []
            for span, embedding_input, tokens in zip(pending, inputs, counts, strict=True):
                if bounded and tokens > self._limit and span.end - span.start > 1:
                    over.extend(self._halves(span))
                else:
                    chunks.append(self._chunk(span, embedding_input, tokens))
            pending = over
        chunks.sort(key=lambda chunk: (chunk.start, chunk.end))
        return [msgspec.structs.replace(chunk, ordinal=n) if n else chunk for n, chunk in enumerate(chunks)]

    def _counts(self, spans: Sequence[ChunkSpan], inputs: Sequence[str]) -> list[int]:
        """Tokens of embedding inputs; added up where that is exact, else counted in one batch."""
        counts = [
            self._prefix(span.start).tokens + self.ruler.tokens(span.start, span.end)
            if self._adds_up(span)
            else -1
            for span in spans
        ]
        unknown = [n for n, count in enumerate(counts) if count < 0]
        if unknown:
            exact = self._tokenizer.count([inputs[n] for n in unknown])
            for n, count in zip(unknown, exact, strict=True):
                counts[n] = count
        return counts

    def _adds_up(self, span: ChunkSpan) -> bool:
        """Whether the tokens of the whole document tell the tokens of this span exactly."""
        text, (start, end, context, _) = self.text, span
        return (
            self.ruler.exact
            and not context
            and self.ruler.begins_token(start)
            and (start == 0 or text[start - 1].isspace())
            and (end == len(text) or text[end].isspace())
        )

    def _halves(self, span: ChunkSpan) -> Iterator[ChunkSpan]:
        """A span that came out above the budget, as two."""
        middle = (span.start + span.end) // 2
        cut = last_cut(self.text, span.start, middle, ANY)
        first, last = strip(self.text, span.start, cut or middle)
        yield ChunkSpan(first, last, span.context, span.forced or cut is None)
        start, end = strip(self.text, cut or middle, span.end)
        yield ChunkSpan(start, end, span.context, span.forced)

    def _chunk(self, span: ChunkSpan, embedding_input: str, tokens: int) -> Chunk:
        first = self._block_at(span.start)
        last = max(first, bisect_left(self._block_starts, span.end) - 1)
        blocks = self.blocks[first : last + 1]
        pages = [block.page for block in blocks if block.page is not None]
        recognised = [block.confidence for block in blocks if block.confidence is not None]
        return Chunk(
            ordinal=0,
            text=self.text[span.start : span.end],
            start=span.start,
            end=span.end,
            tokens=tokens + self._tokenizer.special_tokens,
            embedding_input=embedding_input,
            heading_path=self.blocks[first].heading_path,
            pages=(min(pages), max(pages)) if pages else None,
            context=span.context,
            forced=span.forced,
            confidence=min(recognised, default=None),
            links=tuple(dict.fromkeys(self._links_between(span.start, span.end, first, last))),
        )

    def _links_between(self, start: int, end: int, first: int, last: int) -> Iterator[Link]:
        """The links of the blocks `first` to `last` whose text lies in a range, in part at least."""
        for number in range(first, last + 1):
            block = self.blocks[number]
            if not block.links:
                continue
            if start <= block.start and block.end <= end:
                yield from block.links
                continue
            if number not in self._links:
                self._links[number] = list(placed_links(self.text, block))
            placed = self._links[number]
            for one in placed[bisect_right(placed, start, key=lambda one: one.end) :]:
                if one.start >= end:
                    break
                yield one.link

    def _embedding_input(self, span: ChunkSpan) -> str:
        context = span.context and span.context + "\n"
        return f"{self._prefix(span.start).text}{context}{self.text[span.start : span.end]}"

    def _block_at(self, offset: int) -> int:
        """The block that holds an offset, or the last one before it."""
        return max(0, bisect_right(self._block_starts, offset) - 1)

    def _prefix(self, start: int) -> _Prefix:
        """What stands in front of a chunk that begins at `start`: title, lines about the document, headings.

        A title that the first heading or the chunk itself repeats is left out.
        """
        number = self._block_at(start)
        prefix = self._prefix_of_block.get(number)
        if prefix is not None:
            return prefix
        path = self.blocks[number].heading_path if self._with_headings else ()
        repeats = self._is_below_title(path) if path else self._begins_with_title(start)
        lines = tuple(self._about.lines(number, "\n".join((self._title, *path))))
        prefix = self._prefixes.get((path, repeats, lines))
        if prefix is None:
            title = "" if repeats else self._title
            prefix = self._prefixes[path, repeats, lines] = self._fit_prefix(path, title, " · ".join(lines))
        if path:
            self._prefix_of_block[number] = prefix
        return prefix

    def _is_below_title(self, path: tuple[str, ...]) -> bool:
        return path[0].casefold() == self._folded_title

    def _begins_with_title(self, start: int) -> bool:
        """Compares the first characters before the whole, which may be as long as the document."""
        length = len(self._title)
        first = self.text[start : start + min(length, _FIRST_CHARACTERS)].casefold()
        return (
            self._folded_title.startswith(first)
            and self.text[start : start + length].casefold() == self._folded_title
        )

    def _fit_prefix(self, path: tuple[str, ...], title: str, lines: str) -> _Prefix:
        headings = " > ".join(path)
        candidates = dict.fromkeys(
            "\n".join(filter(None, parts))
            for parts in ((title, lines, headings), (title, headings), (headings,), path[-1:], (title,))
        )
        texts = [f"{candidate}\n\n" for candidate in candidates if candidate]
        for text, tokens in zip(texts, self._tokenizer.count(texts) if texts else (), strict=True):
            if tokens <= self._limit // PREFIX_SHARE:
                return _Prefix(text, tokens)
        return _Prefix("", 0)


class BodyChunker(ABC):
    """A strategy that cuts a `Body` into spans."""

    def __init__(self, options: ChunkOptions, tokenizer: Tokenizer) -> None:
        self.options = options
        self.tokenizer = tokenizer

    def chunk(self, document: ParsedDocument, title: str | None) -> list[Chunk]:
        """The chunks of `document` in order, none for a document without a body."""
        body = Body(document, title, self.options, self.tokenizer)
        return body.assemble(self.spans(body)) if body.blocks else []

    @abstractmethod
    def spans(self, body: Body) -> Iterable[ChunkSpan]:
        """The ranges of a body that become chunks, in order; stripped, and within `Body.room`."""
