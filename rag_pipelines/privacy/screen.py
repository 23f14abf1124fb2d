"""Screens one parsed document: what it holds, and, where the profile says so, the document without it.

What belongs here: every text of a document, so that none is forgotten. What does not: finding (`find`),
what a run does with documents that hold something (`sync`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from rag_pipelines.errors import SensitiveDocumentError
from rag_pipelines.model import Block, BlockKind, Link, ParsedDocument, TableRow
from rag_pipelines.privacy.find import Beside, Finder, finder_of
from rag_pipelines.privacy.kinds import Finding
from rag_pipelines.privacy.masks import MaskedText, Place
from rag_pipelines.privacy.profile import PrivacyProfile

_CELL_SEPARATOR = " | "
_HEADED = (BlockKind.TITLE, BlockKind.HEADING)


class Screened(NamedTuple):
    """A document as it is to be chunked, and what was found.

    `places` are in its text; `elsewhere` counts by kind what is in its title, its metadata and its links
    and not in the text.
    """

    document: ParsedDocument
    places: tuple[Place, ...]
    elsewhere: Mapping[str, int]


def screen(document: ParsedDocument, profile: PrivacyProfile) -> Screened:
    """Look through `document`, and mask it where the profile masks.

    Raises:
        SensitiveDocumentError: the profile blocks documents that hold what was found.
        UsageError: a package that the profile needs is not installed.
    """
    finder = finder_of(profile)
    found = [
        piece
        for finding in finder.find(document.text, column_heads(document))
        for piece in _inside_blocks(finding, document.blocks)
    ]
    rest = _Rest(finder)
    if profile.masks:
        return _mask(document, found, rest)
    rest.look_through(document)
    if profile.mode == "block" and (found or rest.counts):
        counts = Counter(str(finding.kind) for finding in found) + rest.counts
        held = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
        raise SensitiveDocumentError(
            f"it holds {held}, and the privacy profile of its source blocks such documents; remove that from "
            "the document, or use a profile that masks"
        )
    places = [Place(one.kind, one.start, one.end, one.score, one.end - one.start) for one in found]
    return Screened(document, tuple(places), dict(rest.counts))


def mask_text(text: str, profile: PrivacyProfile) -> str:
    """A text that stands alone, such as a title, without what is found in it. Raises `UsageError` as
    `screen`."""
    return _Rest(finder_of(profile)).masked(text)


def mask_value(value: Any, profile: PrivacyProfile) -> Any:
    """A value of metadata with all of its texts masked, names of entries included. Raises as `mask_text`."""
    return _Rest(finder_of(profile)).masked_value(value)


class _Rest:
    """What a document says outside of its text."""

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self.counts: Counter[str] = Counter()

    def look_through(self, document: ParsedDocument) -> None:
        """Count what is found."""
        headings = {document.text[one.start : one.end] for one in document.blocks if one.kind in _HEADED}
        targets = {link.target for block in document.blocks for link in block.links}
        for text in {document.title or "", *targets} - headings:
            self.masked(text)
        self.masked_value(document.metadata)

    def masked(self, text: str) -> str:
        """`text` without what is found in it."""
        found = self._finder.find(text) if text else ()
        if not found:
            return text
        self.counts.update(str(one.kind) for one in found)
        return MaskedText(text, [(one.start, one.end, one.kind) for one in found]).text

    def masked_value(self, value: Any) -> Any:
        """The same of the texts in a value as JSON has it; a number is read with the name of its entry."""
        match value:
            case str():
                return self.masked(value)
            case Mapping():
                return {self.masked(str(name)): self._entry(str(name), one) for name, one in value.items()}
            case list() | tuple():
                return [self.masked_value(one) for one in value]
            case bool() | None:
                return value
            case int():
                masked = self.masked(str(value))
                return value if masked == str(value) else masked
        return value

    def _entry(self, name: str, value: Any) -> Any:
        if not isinstance(value, str | int) or isinstance(value, bool):
            return self.masked_value(value)
        head = f"{name}: "
        found = [one for one in self._finder.find(f"{head}{value}") if one.start >= len(head)]
        if not found:
            return value
        self.counts.update(str(one.kind) for one in found)
        spans = [(one.start - len(head), one.end - len(head), one.kind) for one in found]
        return MaskedText(str(value), spans).text


def _mask(document: ParsedDocument, found: Sequence[Finding], rest: _Rest) -> Screened:
    masked = MaskedText(document.text, [(one.start, one.end, one.kind) for one in found])
    headings = {
        document.text[block.start : block.end]: masked.text[
            masked.offset(block.start) : masked.offset(block.end)
        ]
        for block in document.blocks
        if block.kind in _HEADED
    }

    def heading(text: str) -> str:
        return headings[text] if text in headings else rest.masked(text)

    def link(one: Link) -> Link:
        target = one.target
        place = target.startswith("#") and target[1:] in headings
        return Link(rest.masked(one.text), f"#{heading(target[1:])}" if place else rest.masked(target))

    def row(one: TableRow) -> TableRow:
        start, cells = one.start, []
        for cell in one.cells:
            cells.append(masked.text[masked.offset(start) : masked.offset(start + len(cell))])
            start += len(cell) + len(_CELL_SEPARATOR)
        return TableRow(tuple(cells), masked.offset(one.start), masked.offset(one.end))

    blocks = tuple(
        msgspec.structs.replace(
            block,
            start=masked.offset(block.start),
            end=masked.offset(block.end),
            heading_path=tuple(map(heading, block.heading_path)),
            rows=tuple(map(row, block.rows)),
            links=tuple(map(link, block.links)),
        )
        for block in document.blocks
    )
    places = tuple(
        Place(
            one.kind,
            (start := masked.offset(one.start)),
            start + len(one.kind.mask),
            one.score,
            one.end - one.start,
        )
        for one in found
    )
    without = msgspec.structs.replace(
        document,
        text=masked.text,
        blocks=blocks,
        title=heading(document.title) if document.title else document.title,
        metadata=rest.masked_value(document.metadata),
        warnings=tuple(map(rest.masked, document.warnings)),
    )
    return Screened(without, places, dict(rest.counts))


def _inside_blocks(finding: Finding, blocks: Sequence[Block]) -> Iterator[Finding]:
    """The parts of a finding that lie in blocks: a key that a parser has cut into paragraphs is masked in
    each."""
    at = max(bisect_right(blocks, finding.start, key=lambda block: block.start) - 1, 0)
    while at < len(blocks) and blocks[at].start < finding.end:
        start, end = max(finding.start, blocks[at].start), min(finding.end, blocks[at].end)
        if start < end:
            yield finding._replace(start=start, end=end)
        at += 1


def column_heads(document: ParsedDocument) -> Beside:
    """The head of the column that an offset is in, where it is in a table with one."""
    tables = [block for block in document.blocks if block.header_rows and block.rows]
    starts = [block.start for block in tables]

    def beside(place: int) -> str:
        number = bisect_right(starts, place) - 1
        if number < 0 or place >= tables[number].end:
            return ""
        rows, headed = tables[number].rows, tables[number].header_rows
        row = rows[bisect_right(rows, place, key=lambda one: one.start) - 1]
        column = document.text.count(_CELL_SEPARATOR, row.start, place)
        return " ".join(one.cells[column] for one in rows[:headed] if column < len(one.cells))

    return beside
