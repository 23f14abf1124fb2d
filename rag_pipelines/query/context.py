"""From hits to what a model is given to read: passages within a budget, numbered, with their sources.

What belongs here: merging, ordering, cutting, citing, and saying when there is nothing to answer from.
What does not: searching, and calling a model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from rag_pipelines.chunking.boundaries import BLANK_LINE, LINE, SENTENCE, WORD
from rag_pipelines.embedding.tokenizer import CharacterTokenizer, TokenizerSpec
from rag_pipelines.errors import UsageError
from rag_pipelines.query.confidence import Calibration, signals_of
from rag_pipelines.query.hits import Hit
from rag_pipelines.query.instructions import Mark, marks
from rag_pipelines.query.ranges import Range, joined

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
    canonical text, pages count from 1, `as_of` is when the source was last listed.
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

    @property
    def line(self) -> str:
        """Number, title, section and page, in one line."""
        return f"[{self.number}] {self.label}"


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """One numbered passage.

    `text` is the document's text at the citation's offsets; `context` is needed in front of it (the header
    of a table that was cut). `also` are documents that say the same word for word. `shortened` says that the
    end is missing for want of room. `instructions` are ranges of `text` that look like orders to a model:
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

    `confidence` is the calibrated probability that the hits hold an answer, None without a calibration.
    `left_out` counts passages for which there was no room.
    """

    passages: tuple[Passage, ...]
    answerable: bool
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
) -> PackedContext:
    """The passages of `hits` that fit into `max_tokens`, with their sources.

    Overlapping and adjoining passages of one document become one; equal texts of several documents stand
    once. Room is given by relevance: the best first; what does not fit is cut at the end of a sentence if
    enough of it is left, else left out, and smaller ones behind it may still fit.

    Args:
        hits: of one search, best first.
        max_tokens: of the whole `PackedContext.text`, citation lines included.
        count: counts tokens as the reading model does, or nearly.
        calibration: from `confidence.calibrate`; without it any hit counts as an answer.
        order: `relevance` puts the best first, `reading` keeps the passages of a document together as they
            stand in it, the document with the best passage first.

    Raises:
        UsageError: `max_tokens` is below 1.
    """
    if max_tokens < 1:
        raise UsageError(f"max_tokens is {max_tokens}; give the room that there is, at least 1 token")
    taken, passages = _fitting(hits, max_tokens, count, order)
    confidence = None if calibration is None or not hits else calibration.probability(signals_of(hits))
    answerable, reason = _judged(len(hits), len(passages), max_tokens, confidence, calibration)
    tokens = count(["\n\n".join(passage.block for passage in passages)])[0] if passages else 0
    marked = tuple(msgspec.structs.replace(one, instructions=tuple(marks(one.text))) for one in passages)
    return PackedContext(marked, answerable, reason, confidence, tokens, len(hits) - taken)


class _Piece(msgspec.Struct, frozen=True):
    """A hit that is packed; `rank` is its place among the hits, `shortened` whether its end was cut off."""

    hit: Hit
    rank: int
    shortened: bool = False

    @property
    def chunk(self) -> tuple[str, int]:
        """The chunk set and the ordinal in it."""
        key, _, ordinal = self.hit.chunk_id.partition("-")
        return key, int(ordinal)


def _fitting(
    hits: Sequence[Hit], max_tokens: int, count: TokenCounter, order: Order
) -> tuple[int, list[Passage]]:
    """How many hits are in, and the passages that they make; the whole is within the budget."""
    counted: dict[str, int] = {}

    def tokens(text: str) -> int:
        if text not in counted:
            counted[text] = count([text])[0]
        return counted[text]

    def total(passages: Sequence[Passage]) -> int:
        gaps = tokens("\n\n") * max(len(passages) - 1, 0)
        return sum(tokens(passage.block) for passage in passages) + gaps

    pieces: list[_Piece] = []
    passages: list[Passage] = []
    for rank, hit in enumerate(hits):
        trial = [*pieces, _Piece(hit, rank)]
        packed = _passages(trial, order)
        room = max_tokens - total(passages) - tokens("\n\n")
        if total(packed) > max_tokens:
            piece = None if any(one.shortened for one in pieces) else _shortened(hit, rank, room, tokens)
            if piece is None or _touches(piece, pieces):
                continue
            trial = [*pieces, piece]
            packed = _passages(trial, order)
        pieces, passages = trial, packed
    while passages and tokens("\n\n".join(passage.block for passage in passages)) > max_tokens:
        pieces.pop()
        passages = _passages(pieces, order)
    counts = [msgspec.structs.replace(passage, tokens=tokens(passage.block)) for passage in passages]
    return len(pieces), counts


def _shortened(hit: Hit, rank: int, room: int, tokens: Callable[[str], int]) -> _Piece | None:
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
            cut = msgspec.structs.replace(hit, text=hit.text[:end], end=hit.start + end)
            candidate = _Piece(cut, rank, shortened=True)
            if tokens(_passages([candidate], "relevance")[0].block) <= room:
                piece, low = candidate, middle + 1
            else:
                high = middle
        if piece is not None and tokens(piece.hit.text) >= LEAST_TOKENS // 2:
            return piece
    return None


def _passages(pieces: Sequence[_Piece], order: Order) -> list[Passage]:
    """The passages of pieces, numbered in their order."""
    groups = _merged(pieces)
    groups.sort(key=_best)
    if order == "reading":
        first: dict[int, int] = {}
        for group in groups:
            first.setdefault(group[0].hit.document_id, _best(group))
        groups.sort(key=lambda group: (first[group[0].hit.document_id], group[0].hit.start))
    passages: dict[str, Passage] = {}
    for number, group in enumerate(groups, 1):
        passage = _passage(group, number)
        text = " ".join(passage.text.casefold().split())
        known = passages.get(text)
        if known is None:
            passages[text] = passage
        else:
            passages[text] = msgspec.structs.replace(known, also=(*known.also, passage.citation))
    return list(passages.values())


def _merged(pieces: Sequence[_Piece]) -> list[list[_Piece]]:
    """Pieces of one document that overlap or adjoin, together; each group in the order of its text."""
    groups: list[list[_Piece]] = []
    end = 0
    ordered = sorted(pieces, key=lambda one: (one.hit.document_id, one.chunk[0], one.hit.start, one.rank))
    for piece in ordered:
        if groups and _continues(groups[-1], end, piece):
            groups[-1].append(piece)
            end = max(end, piece.hit.end)
        else:
            groups.append([piece])
            end = piece.hit.end
    return groups


def _continues(group: Sequence[_Piece], end: int, piece: _Piece) -> bool:
    """Whether a piece overlaps what a group covers, or its chunk follows the chunk of one in the group."""
    last = group[-1]
    if (last.hit.document_id, last.chunk[0]) != (piece.hit.document_id, piece.chunk[0]):
        return False
    follows = any(one.chunk[1] + 1 == piece.chunk[1] and not one.shortened for one in group)
    return piece.hit.start < end or follows


def _touches(piece: _Piece, pieces: Sequence[_Piece]) -> bool:
    return len(_merged([*pieces, piece])) <= len(_merged(pieces))


def _best(group: Sequence[_Piece]) -> int:
    return min(piece.rank for piece in group)


def _passage(group: Sequence[_Piece], number: int) -> Passage:
    best = min(group, key=lambda piece: piece.rank).hit
    whole = joined(Range(piece.hit.start, piece.hit.end, piece.hit.text) for piece in group)
    pages = [page for piece in group if piece.hit.pages for page in piece.hit.pages]
    span = (min(pages), max(pages)) if pages else None
    citation = Citation(
        number=number,
        label=msgspec.structs.replace(best, pages=span).citation,
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
    )
    return Passage(
        citation=citation,
        text=whole.text,
        context=group[0].hit.context,
        chunk_ids=tuple(piece.hit.chunk_id for piece in group),
        tokens=0,
        shortened=any(piece.shortened for piece in group),
    )


def _judged(
    hits: int, passages: int, max_tokens: int, confidence: float | None, calibration: Calibration | None
) -> tuple[bool, str]:
    """Whether there is something to answer from, and why."""
    if not hits:
        return False, "nothing was found"
    if not passages:
        return False, f"no passage fits into {max_tokens} tokens"
    if calibration is None or confidence is None:
        return True, "not judged: no calibration was given"
    learned = (
        f"learned from {calibration.answerable} answerable and {calibration.unanswerable} other questions"
    )
    side = "reaches" if confidence >= calibration.threshold else "is below"
    reason = f"the confidence {confidence:.2f} {side} the threshold {calibration.threshold:.2f}, {learned}"
    return confidence >= calibration.threshold, reason
