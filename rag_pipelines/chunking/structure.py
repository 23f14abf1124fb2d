"""The `structure` strategy: chunks follow the document's own sections and blocks.

A heading begins a section, and each section is packed by itself, so an edit in one section leaves the
chunks of the others as they are. Tiny sections join a neighbour. Blocks stay whole where they fit;
else a table is cut between rows and repeats its header, code at blank lines or lines, prose at sentences.

Text that no heading divides is packed tighter: nothing says where its subject changes, and a chunk of several
subjects is near to no question. `benchmarks/chunk_evaluation.py` compares it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rag_pipelines.chunking.body import Body, BodyChunker, ChunkSpan
from rag_pipelines.model import Block, BlockKind
from rag_pipelines.text.boundaries import CODE, LINE, PROSE, ROW

HEADINGS = frozenset({BlockKind.HEADING, BlockKind.TITLE})
HEADER_SHARE = 2
"""A table header that takes more than one part in this many of the room is not repeated."""
UNHEADED_SHARE = 0.6
"""Of the budget, to which blocks are packed, and prose is cut, where no heading divides them."""


class StructureChunker(BodyChunker):
    """Packs the blocks of each section to the token budget."""

    def spans(self, body: Body) -> Iterator[ChunkSpan]:
        for section in self._merge_tiny(body, _sections(body.blocks)):
            yield from self._pack(body, section)

    def _merge_tiny(self, body: Body, sections: Iterable[list[Block]]) -> list[list[Block]]:
        """Sections of which as few as possible are below `min_tokens`.

        A tiny section joins the one that follows it, unless that one stands higher in the outline;
        what is then still tiny joins the one before it, if both are under the same parent.
        """
        forward: list[list[Block]] = []
        for section in sections:
            if forward and self._tiny(body, forward[-1]) and _depth(section) >= _depth(forward[-1]):
                forward[-1] += section
            else:
                forward.append(section)
        merged: list[list[Block]] = []
        for section in forward:
            if merged and self._tiny(body, section) and _same_parent(merged[-1], section):
                merged[-1] += section
            else:
                merged.append(section)
        return merged

    def _tiny(self, body: Body, blocks: Sequence[Block]) -> bool:
        return body.ruler.tokens(blocks[0].start, blocks[-1].end) < self.options.min_tokens

    def _pack(self, body: Body, blocks: Sequence[Block]) -> Iterator[ChunkSpan]:
        """Spans of one section, filled with whole blocks where they fit."""
        held: list[Block] = []
        start = blocks[0].start
        whole = _has_heading(blocks) or body.fits(start, blocks[-1].end)
        share = 1.0 if whole else UNHEADED_SHARE
        for block in blocks:
            if not held:
                start = block.start
            fits = self._joins(body, start, held, block, share)
            while held and not fits and self._closes(body, start, held, block):
                kept = _without_trailing_headings(held)
                yield ChunkSpan(start, kept[-1].end)
                held = held[len(kept) :]
                start = held[0].start if held else block.start
                fits = self._joins(body, start, held, block, share)
            if fits:
                held.append(block)
                continue
            *full, rest = self._split(body, start, block, share)
            yield from full
            if rest.context or rest.forced:
                yield rest
                held = []
            else:
                start, held = rest.start, [block]
        if held:
            yield ChunkSpan(start, held[-1].end)

    def _joins(self, body: Body, start: int, held: Sequence[Block], block: Block, share: float) -> bool:
        """Whether the open span may hold `block` too; it has the whole budget alone, or behind a tiny one."""
        tiny = not held or body.ruler.tokens(start, held[-1].end) < self.options.min_tokens
        return body.fits(start, block.end, share=1.0 if tiny else share)

    def _closes(self, body: Body, start: int, held: Sequence[Block], block: Block) -> bool:
        """Whether the open span ends before `block`, which does not fit into it whole.

        A span that is still tiny or only headings takes a part of the block instead, unless the block
        is code that can stay whole.
        """
        has_text = any(one.kind not in HEADINGS for one in held)
        if has_text and body.ruler.tokens(start, held[-1].end) >= self.options.min_tokens:
            return True
        return block.kind is BlockKind.CODE and body.fits(block.start, block.end)

    def _split(self, body: Body, start: int, block: Block, share: float) -> list[ChunkSpan]:
        """The spans of a block that is above the budget, with what the open span holds in front of it."""
        least = self.options.min_tokens
        if block.rows:
            return list(_split_table(body, start, block))
        if block.kind is BlockKind.TABLE:
            return list(body.split(start, block.end, (LINE, *ROW), least=least))
        if block.kind is BlockKind.CODE:
            spans = body.split(start, block.end, CODE, least=least)
            return [_with_indentation(body.text, span) for span in spans]
        return list(body.split(start, block.end, PROSE, least=least, share=share))


def _split_table(body: Body, start: int, table: Block) -> Iterator[ChunkSpan]:
    """Spans of whole rows, with the table's header as context of all but the first."""
    header = "\n".join(body.text[row.start : row.end] for row in table.rows[: table.header_rows])
    header_tokens = body.count(f"{header}\n") if header else 0
    if header_tokens > body.room(table.start) // HEADER_SHARE:
        header, header_tokens = "", 0

    context, context_tokens = "", 0
    end = start
    for number, row in enumerate(table.rows):
        if body.fits(start, row.end, context_tokens):
            end = row.end
            continue
        if end > start and (number > table.header_rows or body.fits(row.start, row.end, header_tokens)):
            yield ChunkSpan(start, end, context)
            start, context, context_tokens = row.start, header, header_tokens
        if body.fits(start, row.end, context_tokens):
            end = row.end
            continue
        for span in body.split(start, row.end, ROW, context=context, context_tokens=context_tokens):
            yield span._replace(forced=True)
        if number + 1 < len(table.rows):
            start = end = table.rows[number + 1].start
            context, context_tokens = header, header_tokens
        else:
            return
    yield ChunkSpan(start, end, context)


def _sections(blocks: Iterable[Block]) -> Iterator[list[Block]]:
    """Runs of blocks of which each begins at a heading."""
    section: list[Block] = []
    for block in blocks:
        if section and block.kind in HEADINGS:
            yield section
            section = []
        section.append(block)
    yield section


def _has_heading(section: Sequence[Block]) -> bool:
    """Whether a section stands under a heading, or holds one."""
    return any(block.kind in HEADINGS or block.heading_path for block in section)


def _depth(section: Sequence[Block]) -> int:
    """The heading level of a section; 0 for a title and for text before the first heading."""
    return section[0].level or 1 if section[0].kind is BlockKind.HEADING else 0


def _same_parent(before: Sequence[Block], section: Sequence[Block]) -> bool:
    """Whether `before` ends under the heading under which `section` begins."""
    parent = section[0].heading_path
    return before[-1].heading_path[: len(parent)] == parent


def _without_trailing_headings(blocks: Sequence[Block]) -> Sequence[Block]:
    """The blocks up to the last that is not a heading; all if all are headings."""
    last = len(blocks)
    while last and blocks[last - 1].kind in HEADINGS:
        last -= 1
    return blocks[: last or len(blocks)]


def _with_indentation(text: str, span: ChunkSpan) -> ChunkSpan:
    """The span with the white space in front of its first line of code."""
    start = span.start
    while start and text[start - 1] in " \t":
        start -= 1
    return span._replace(start=start) if start == 0 or text[start - 1] == "\n" else span
