"""The lines of one page as paragraphs and tables in reading order.

What belongs here: which lines make a paragraph, and how they are joined. What does not: finding columns
(`columns`) or tables (`tables`), or what a paragraph is in the document (`structure`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rag_pipelines.parsing.pdf.columns import Row, columns
from rag_pipelines.parsing.pdf.lines import MARKER, Box, Line, rows
from rag_pipelines.parsing.pdf.page import Page
from rag_pipelines.parsing.pdf.recognised import confidence_of
from rag_pipelines.parsing.pdf.tables import PageTable, find_aligned_tables
from rag_pipelines.text.boundaries import join_pieces

LEADING = 0.75
CODE_LEADING = 2.0
"""White space between two lines of one paragraph or listing, at most, in font sizes."""

SHORT_LINE = 0.3
"""A line that ends before this share of the column is left was broken on purpose (an address, a form)."""

_HYPHENS = ("-", "\u2010", "\u00ad")
_CUT_WORD = re.compile(r"\u00ad$|(?<![\w-])[^\W\d_]{2,}[-\u2010]$")
_LOWER_START = re.compile(r"[a-zß-öø-ÿ]")
_SENTENCE_END = re.compile(r"[.!?:;…]['\"»”’)]*$")


@dataclass(slots=True)
class Paragraph:
    """Lines that belong together. `box` and `size` are in upright points; `page` counts from 1.

    `marker` is the bullet or number of a list item, which `text` no longer holds. `in_picture` says that it
    stands in a picture among the text; its `box` is then one in the picture.
    """

    text: str
    box: Box
    size: float
    page: int
    bold: bool = False
    mono: bool = False
    label: str | None = None
    marker: str | None = None
    lines: int = 1
    column_width: float = 0.0
    confidence: float | None = None
    in_picture: bool = False

    @property
    def whole(self) -> str:
        """The text with its marker."""
        return f"{self.marker} {self.text}" if self.marker else self.text


def in_reading_order(page: Page, tables: Sequence[PageTable]) -> Iterator[Paragraph | PageTable]:
    """The paragraphs and tables of a page and of its pictures as a person reads them.

    What was recognised has its confidence. Lines inside a table are its own, if it has their words; its cells
    take the superscripts from them. Text in another direction than the page's follows at the end.
    """
    by_direction: dict[tuple[int, int], list[Line]] = {(1, 0): []}
    for line in page.lines:
        if line.direction != (1, 0) or not any(table.takes(line) for table in tables):
            by_direction.setdefault(line.direction, []).append(line.upright())
    for direction, lines in by_direction.items():
        here = tables if direction == (1, 0) else ()
        pictures = page.pictures if direction == (1, 0) else ()
        placed: list[tuple[Line, PageTable | Page]] = [(Line("", table.box, 0.0), table) for table in here]
        placed += [(Line("", box, 0.0), picture) for box, picture in pictures]
        stand_ins = {id(line): item for line, item in placed}
        by_top = sorted(rows(lines) + [[line] for line, _ in placed], key=lambda row: row[0].box.y0)
        for strip in columns(by_top):
            for item in _blocks(strip, stand_ins, page.number):
                if isinstance(item, Page):
                    yield from _inside(item)
                else:
                    if page.recognised:
                        item.confidence = confidence_of(page, item.box)
                    yield item


def _inside(picture: Page) -> Iterator[Paragraph | PageTable]:
    for item in in_reading_order(picture, find_aligned_tables(picture)):
        if isinstance(item, Paragraph):
            item.in_picture = True
        yield item


def _blocks(
    strip: list[Row], stand_ins: dict[int, PageTable | Page], page: int
) -> Iterator[Paragraph | PageTable | Page]:
    """The paragraphs of one column, from consecutive rows that look and stand alike, and what is among them.

    A picture beside a paragraph follows it.
    """
    texts = [row for row in strip if id(row[0]) not in stand_ins]
    left = min((line.box.x0 for row in texts for line in row), default=0.0)
    right = max((line.box.x1 for row in texts for line in row), default=0.0)
    current: Paragraph | None = None
    last: Row = []
    beside: list[Page] = []
    for row in strip:
        item = stand_ins.get(id(row[0]))
        if isinstance(item, Page) and current is not None:
            beside.append(item)
        elif item is not None:
            if current is not None:
                yield current
            yield from beside
            yield item
            current, beside = None, []
        elif current is not None and _continues(current, last, row, right):
            _extend(current, row, broken=_breaks(last[0], left, right))
            last = row
        else:
            if current is not None:
                yield current
            yield from beside
            current, beside = _begin(row, page, right - left), []
            last = row
    if current is not None:
        yield current
    yield from beside


def _begin(row: Row, page: int, column_width: float) -> Paragraph:
    first = max(row, key=lambda line: len(line.text))
    box = row[0].box
    for line in row[1:]:
        box = box.union(line.box)
    text = _row_text(row)
    marker = None
    head, _, rest = text.partition(" ")
    if rest and MARKER.fullmatch(head):
        marker, text = head, rest.strip()
    return Paragraph(
        text, box, first.size, page, all(line.bold for line in row), first.mono, first.label, marker,
        column_width=column_width,
    )  # fmt: skip


def _extend(paragraph: Paragraph, row: Row, broken: bool) -> None:
    """Add a row; `broken` says that the row above ended early, so that the line break means something."""
    for line in row:
        paragraph.box = paragraph.box.union(line.box)
    paragraph.bold = paragraph.bold and all(line.bold for line in row)
    paragraph.lines += 1
    if paragraph.mono:
        indent = round((row[0].box.x0 - paragraph.box.x0) / (0.6 * max(paragraph.size, 1.0)))
        paragraph.text += "\n" + " " * max(0, indent) + _row_text(row)
    elif len(row) > 1 or (broken and not paragraph.text.endswith(_HYPHENS)):
        paragraph.text += "\n" + _row_text(row)
    else:
        paragraph.text = join_text(paragraph.text, row[0].text)


def _row_text(row: Row) -> str:
    return " ".join(line.text for line in row)


def _breaks(line: Line, left: float, right: float) -> bool:
    """Whether a line of a column ends on purpose: early, or with the page number of a table of contents."""
    return line.box.x1 < right - SHORT_LINE * (right - left) or " … " in line.text


def join_text(first: str, second: str) -> str:
    """Two successive lines of a paragraph as one text; a word cut by a hyphen at the line end is whole.

    The hyphen stays in compounds that have another one or begin with a single letter (x-ray).
    """
    if first.endswith(_HYPHENS) and _LOWER_START.match(second):
        return (first[:-1] if _CUT_WORD.search(first) else first) + second
    return join_pieces(first, second)


def ends_sentence(text: str) -> bool:
    """Whether `text` ends as a sentence or a list lead does."""
    return _SENTENCE_END.search(text) is not None


def starts_lower(text: str) -> bool:
    """Whether `text` begins with a small letter, so that it is likely to continue a sentence."""
    return _LOWER_START.match(text) is not None


def _continues(paragraph: Paragraph, last: Row, row: Row, right: float) -> bool:
    """Whether `row` belongs to the paragraph whose lowest row is `last`."""
    line, above = row[0], last[0]
    gap = line.box.y0 - above.box.y1
    if line.label != paragraph.label or line.mono != paragraph.mono:
        return False
    if abs(line.size - paragraph.size) > 0.1 * paragraph.size:
        return False
    if line.mono:
        return gap < CODE_LEADING * paragraph.size
    if gap > LEADING * paragraph.size:
        return False
    head, _, rest = line.text.partition(" ")
    if rest and MARKER.fullmatch(head) and not (len(head) == 1 and head.isalpha()):
        return False
    if len(row) > 1 or len(last) > 1:
        return len(row) == len(last) and paragraph.marker is None
    short = above.box.x1 < right - 0.15 * paragraph.column_width
    if line.bold != above.bold and (short or ends_sentence(above.text) or not starts_lower(line.text)):
        return False
    if short and ends_sentence(above.text) and not starts_lower(line.text):
        return False
    indented = line.box.x0 > paragraph.box.x0 + 0.9 * line.size and paragraph.marker is None
    return not (indented and paragraph.lines > 1 and not starts_lower(line.text))
