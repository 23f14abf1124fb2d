"""From hits to what a model is given to read: passages within a budget, numbered, with their sources.

What belongs here: merging, ordering, cutting, citing, and saying when there is nothing to answer from.
What does not: searching, and calling a model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import Literal

import msgspec

from rag_pipelines.embedding.tokenizer import CharacterTokenizer, TokenizerSpec
from rag_pipelines.errors import UsageError
from rag_pipelines.query.confidence import Calibration, signals_of
from rag_pipelines.query.hits import Hit, PassageLink
from rag_pipelines.query.instructions import Mark, marks
from rag_pipelines.query.ranges import TextRange, join_ranges
from rag_pipelines.text.boundaries import BLANK_LINE, LINE, SENTENCE, WORD
from rag_pipelines.text.canonical import one_line

TokenCounter = Callable[[Sequence[str]], Sequence[int]]
"""Tokens of each text; the `count` of any tokenizer of this project."""

Order = Literal["relevance", "reading"]

LEAST_TOKENS = 40
"""A passage is cut short to fit only if so much of it is left."""

ESTIMATE: TokenCounter = CharacterTokenizer(TokenizerSpec("characters", 0)).count
"""One token for every four characters; for models whose tokenizer is not at hand."""


class Citation(msgspec.Struct, frozen=True, kw_only=True):
    """Where a passage stands.

    `label` names it to people: title, section, page. `start` and `end` are offsets in the document's
    canonical text, pages count from 1, `as_of` is when the source was last listed. `links` are those in the
    passage.
    """

    number: int
    label: str
    title: str
    url: str | None
    source: str
    external_id: str
    document_id: int
    heading_path: tuple[str, ...]
    pages: tuple[int, int] | None
    start: int
    end: int
    version: int
    as_of: datetime | None
    links: tuple[PassageLink, ...] = ()

    @property
    def line(self) -> str:
        """Number, title, section and page, in one line."""
        return f"[{self.number}] {self.label}"


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """One numbered passage.

    `text` is the document's text at the citation's offsets; `context` is needed in front of it (the header
    of a table that was cut). `also` are documents that say the same word for word. `shortened` says that the
    end was cut off. `instructions` are ranges of `text` that look like instructions to a model:
    treat them as something that is quoted, never as something to do.
    """

    citation: Citation
    text: str
    context: str
    chunk_ids: tuple[str, ...]
    tokens: int
    also: tuple[Citation, ...] = ()
    shortened: bool = False
    instructions: tuple[Mark, ...] = ()

    @property
    def block(self) -> str:
        """The passage as it stands in the packed text: citation line, context, text."""
        return "\n".join(filter(None, (self.citation.line, self.context, self.text)))


class PackedContext(msgspec.Struct, frozen=True):
    """What to answer from. `answerable` is False where nothing is good enough; `reason` says why, or why so.

    `confidence` is the calibrated probability that the hits hold an answer. Without a calibration it is None,
    and so is `answerable` where there are passages: nothing is claimed.
    `left_out` counts passages over the token limit.
    """

    passages: tuple[Passage, ...]
    answerable: bool | None
    reason: str
    confidence: float | None
    tokens: int
    left_out: int

    @property
    def text(self) -> str:
        """All passages, separated by blank lines."""
        return "\n\n".join(passage.block for passage in self.passages)

    @property
    def citations(self) -> tuple[Citation, ...]:
        """The sources by their numbers, those of equal passages included."""
        return tuple(one for passage in self.passages for one in (passage.citation, *passage.also))

    @property
    def suspicious(self) -> tuple[Passage, ...]:
        """The passages that hold what looks like instructions to a model."""
        return tuple(passage for passage in self.passages if passage.instructions)


def pack_context(
    hits: Sequence[Hit],
    max_tokens: int,
    *,
    count: TokenCounter = ESTIMATE,
    calibration: Calibration | None = None,
    order: Order = "relevance",
    around: Sequence[Hit] = (),
) -> PackedContext:
    """The passages of `hits` that fit into `max_tokens`, with their sources.

    Overlapping and adjoining passages of one document become one; equal texts of several documents stand
    once. Room is given by relevance: the best first; what does not fit is cut at the end of a sentence if
    enough of it is left, else left out, and smaller ones behind it may still fit. Room that is left then goes
    to what stands around them.

    Args:
        hits: of one search, best first.
        around: chunks beside those of the hits, which widen their passages as far as there is room, in this
            order; as hits, with what they are to be cited by.
        max_tokens: of the whole `PackedContext.text`, citation lines included.
        count: counts tokens as the reading model does, or nearly.
        calibration: from `confidence.calibrate`; without it nothing is claimed.
        order: `relevance` puts the best first, `reading` keeps the passages of a document together as they
            stand in it, the document with the best passage first.

    Raises:
        UsageError: `max_tokens` is below 1.
    """
    if max_tokens < 1:
        raise UsageError(f"max_tokens is {max_tokens}; give a limit of at least 1 token")
    taken, passages = _fitting(hits, around, max_tokens, count, order)
    confidence = None if calibration is None or not hits else calibration.probability(signals_of(hits))
    answerable, reason = _judge_answerable(len(hits), len(passages), max_tokens, confidence, calibration)
    tokens = count(["\n\n".join(passage.block for passage in passages)])[0] if passages else 0
    marked = tuple(msgspec.structs.replace(one, instructions=tuple(marks(one.text))) for one in passages)
    return PackedContext(marked, answerable, reason, confidence, tokens, len(hits) - taken)


class _PackedHit(msgspec.Struct, frozen=True):
    """A hit that is packed; `rank` is its place among the hits, `shortened` whether its end was cut off."""

    hit: Hit
    rank: int
    shortened: bool = False

    @property
    def document(self) -> tuple[int, str]:
        """The document and the set of its chunks: pieces that share both have offsets in one text."""
        return self.hit.document_id, self.hit.chunk_id.partition("-")[0]

    @property
    def ordinal(self) -> int:
        """The place of the chunk among them."""
        return int(self.hit.chunk_id.partition("-")[2])


def _fitting(
    hits: Sequence[Hit], around: Sequence[Hit], max_tokens: int, count: TokenCounter, order: Order
) -> tuple[int, list[Passage]]:
    """How many hits are in, and the passages that they and what is `around` make, within the budget.

    A hit costs what the passages of its own document grow by. That is an estimate (of the width of numbers,
    of equal texts that later differ), so the whole is counted in the end and the worst hits leave again.
    """

    @cache
    def tokens(text: str) -> int:
        return count([text])[0]

    gap = tokens("\n\n")
    kept: dict[tuple[int, str], list[_PackedHit]] = {}
    costs: dict[tuple[int, str], int] = {}
    texts: dict[str, tuple[int, str]] = {}
    cut = False

    def cost(groups: Sequence[Sequence[_PackedHit]], document: tuple[int, str]) -> int:
        passages = [_passage(group, len(hits)) for group in groups]
        return sum(
            tokens(one.block) + gap for one in passages if texts.get(_plain(one.text), document) == document
        )

    for rank, hit in enumerate((*hits, *around)):
        piece = _PackedHit(hit, rank)
        before = kept.get(piece.document, [])
        groups = _merge_adjacent([*before, piece])
        room = max_tokens + gap - sum(costs.values()) + costs.get(piece.document, 0)
        if rank >= len(hits):
            price = costs.get(piece.document, 0) + tokens(hit.text) + gap
            if price <= room and len(groups) <= len(_merge_adjacent(before)):
                kept[piece.document], costs[piece.document] = [*before, piece], price
            continue
        if (price := cost(groups, piece.document)) > room:
            alone = len(groups) > len(_merge_adjacent(before))
            left = room - costs.get(piece.document, 0) - gap
            shorter = _shorten(hit, rank, left, tokens) if alone and not cut else None
            if shorter is None:
                continue
            piece, cut = shorter, True
            groups = _merge_adjacent([*before, piece])
            price = cost(groups, piece.document)
        kept[piece.document] = [*before, piece]
        costs[piece.document] = price
        texts |= {_plain(_passage(group, 1).text): piece.document for group in groups}
    pieces = sorted((piece for some in kept.values() for piece in some), key=lambda piece: piece.rank)
    passages = _passages(pieces, order)
    while passages and tokens("\n\n".join(passage.block for passage in passages)) > max_tokens:
        pieces.pop()
        passages = _passages(pieces, order)
    counted = [msgspec.structs.replace(passage, tokens=tokens(passage.block)) for passage in passages]
    return sum(piece.rank < len(hits) for piece in pieces), counted


def _shorten(hit: Hit, rank: int, room: int, tokens: Callable[[str], int]) -> _PackedHit | None:
    """The beginning of a hit that fits into `room`, ended at the best place; None if too little is left."""
    if room < LEAST_TOKENS:
        return None
    for place in (BLANK_LINE, SENTENCE, LINE, WORD):
        cuts = [match.start() for match in place.finditer(hit.text)]
        piece = None
        low, high = 0, len(cuts)
        while low < high:
            middle = (low + high) // 2
            end = cuts[middle]
            text = hit.text[:end]
            links = tuple(link for link in hit.links if link.text in one_line(text))
            cut = msgspec.structs.replace(hit, text=text, end=hit.start + end, links=links)
            candidate = _PackedHit(cut, rank, shortened=True)
            if tokens(_passages([candidate], "relevance")[0].block) <= room:
                piece, low = candidate, middle + 1
            else:
                high = middle
        if piece is not None and tokens(piece.hit.text) >= LEAST_TOKENS // 2:
            return piece
    return None


def _passages(pieces: Sequence[_PackedHit], order: Order) -> list[Passage]:
    """The passages of pieces, numbered in their order."""
    groups = _merge_adjacent(pieces)
    groups.sort(key=_best)
    if order == "reading":
        first: dict[int, int] = {}
        for group in groups:
            first.setdefault(group[0].hit.document_id, _best(group))
        groups.sort(key=lambda group: (first[group[0].hit.document_id], group[0].hit.start))
    passages: dict[str, Passage] = {}
    for number, group in enumerate(groups, 1):
        passage = _passage(group, number)
        text = _plain(passage.text)
        known = passages.get(text)
        if known is None:
            passages[text] = passage
        else:
            passages[text] = msgspec.structs.replace(known, also=(*known.also, passage.citation))
    return list(passages.values())


def _merge_adjacent(pieces: Sequence[_PackedHit]) -> list[list[_PackedHit]]:
    """Pieces of one document that overlap or adjoin, together; each group in the order of its text."""
    groups: list[list[_PackedHit]] = []
    end = 0
    ordered = sorted(pieces, key=lambda one: (one.document, one.hit.start, one.rank))
    for piece in ordered:
        if groups and _continues(groups[-1], end, piece):
            groups[-1].append(piece)
            end = max(end, piece.hit.end)
        else:
            groups.append([piece])
            end = piece.hit.end
    return groups


def _continues(group: Sequence[_PackedHit], end: int, piece: _PackedHit) -> bool:
    """Whether a piece overlaps what a group covers, or its chunk follows the chunk of one in the group."""
    if group[-1].document != piece.document:
        return False
    follows = any(one.ordinal + 1 == piece.ordinal and not one.shortened for one in group)
    return piece.hit.start < end or follows


def _plain(text: str) -> str:
    """What makes two texts equal: all but case and white space."""
    return " ".join(text.casefold().split())


def _best(group: Sequence[_PackedHit]) -> int:
    return min(piece.rank for piece in group)


def _passage(group: Sequence[_PackedHit], number: int) -> Passage:
    best = min(group, key=lambda piece: piece.rank).hit
    whole = join_ranges(TextRange(piece.hit.start, piece.hit.end, piece.hit.text) for piece in group)
    pages = [page for piece in group if piece.hit.pages for page in piece.hit.pages]
    span = (min(pages), max(pages)) if pages else None
    recognised = [piece.hit.confidence for piece in group if piece.hit.confidence is not None]
    citation = Citation(
        number=number,
        label=msgspec.structs.replace(best, pages=span, confidence=min(recognised, default=None)).citation,
        title=best.title,
        url=best.url,
        source=best.source,
        external_id=best.external_id,
        document_id=best.document_id,
        heading_path=best.heading_path,
        pages=span,
        start=whole.start,
        end=whole.end,
        version=best.version,
        as_of=best.as_of,
        links=tuple(dict.fromkeys(link for piece in group for link in piece.hit.links)),
    )
    return Passage(
        citation=citation,
        text=whole.text,
        context=group[0].hit.context,
        chunk_ids=tuple(piece.hit.chunk_id for piece in group),
        tokens=0,
        shortened=any(piece.shortened for piece in group),
    )


def _judge_answerable(
    hits: int, passages: int, max_tokens: int, confidence: float | None, calibration: Calibration | None
) -> tuple[bool | None, str]:
    """Whether there is something to answer from, and why."""
    if not hits:
        return False, "nothing was found"
    if not passages:
        return False, f"no passage fits into {max_tokens} tokens"
    if calibration is None or confidence is None:
        return None, "not judged: there is no calibration"
    learned = (
        f"learned from {calibration.answerable} answerable and {calibration.unanswerable} other questions"
    )
    side = "reaches" if confidence >= calibration.threshold else "is below"
    reason = f"the confidence {confidence:.2f} {side} the threshold {calibration.threshold:.2f}, {learned}"
    return confidence >= calibration.threshold, reason
