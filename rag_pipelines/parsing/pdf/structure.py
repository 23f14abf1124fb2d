"""What the paragraphs of a whole PDF are: furniture, title, headings, list items, captions, code.

What belongs here: decisions that need the statistics of the document (the size of its body text, what
repeats on its pages, its outline). What does not: geometry of one page (`flow`).
"""

from __future__ import annotations

import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple

from rag_pipelines.parsing.pdf.flow import Paragraph, starts_lower
from rag_pipelines.parsing.pdf.lines import Line, rows
from rag_pipelines.parsing.pdf.page import Page
from rag_pipelines.parsing.pdf.tables import PageTable
from rag_pipelines.text.titles import choose_title, is_boilerplate, may_be_title, words_of

MARGIN = 0.12
OUTERMOST_MARGIN = 0.2
"""Running heads and feet stand in this share of the page height from the edge; the first and last row of
a page may stand further in."""

SAME_PLACE = 12.0
"""Repeated furniture stands within so many points of the same height."""

LARGER = 1.12
"""Text larger than the body by this factor may be a heading."""

COVER_SHARE = 0.5
FEW_WORDS = 2
"""A title of so few words goes on in lines of the same size, on a cover of this share of it."""

HEADING_CHARACTERS = 200
HEADING_LINES = 3
DEEPEST_LEVEL = 6

_NUMBER = re.compile(r"\d+")
_ROMAN = re.compile(r"^[ivxlc]{1,7}(?=\s|$)|(?<=\s)[ivxlc]{1,7}$")
_PAGE_NUMBER = re.compile(
    r"(?:page|seite|p\.|s\.)?[\s\-–—|/]*#(?:[\s\-–—|/]*(?:of|von|de|sur|page)?[\s\-–—|/]*#?)"
)
_CAPTION = re.compile(
    r"(?:table|figure|fig\.?|chart|exhibit|box|graph|tabelle|abbildung|abb\.|tableau|tabla|figura)"
    r"\s+(?:\d+(?:[.\-]\d+)*|[A-Z]|[IVX]+)\s*(?:[.:–—-]|$|\s[A-Z])",
    re.IGNORECASE,
)
_NOT_A_HEADING_END = re.compile(r"[.,;]$")
_LABEL_AND_VALUE = re.compile(r":\s+\S")
_NUMBERED = re.compile(r"(?:\d{1,3}(?:\.\d+)*[.)]?|[A-Z][.)]|[IVX]{2,}[.)]?)\s")
_WORD = re.compile(r"[^\W\d_]{2}")


@dataclass(slots=True)
class Furniture:
    """Running heads and feet: each distinct text once with its first page, and the lines to leave out."""

    headers: dict[str, int] = field(default_factory=dict)
    footers: dict[str, int] = field(default_factory=dict)
    lines: set[int] = field(default_factory=set)

    def add(self, at_top: bool, group: Sequence[_Place]) -> None:
        """Add the same text on several pages."""
        texts = self.headers if at_top else self.footers
        texts.setdefault("  ".join(line.text for line in group[0].row), group[0].page.number)
        for page, row, *_ in group:
            self.lines.update(
                id(line) for line in page.lines if any(part.box.holds(line.box) for part in row)
            )


def find_furniture(pages: Sequence[Page], tables: Sequence[Sequence[PageTable]]) -> Furniture:
    """The text in the margins that repeats from page to page, with its page numbers.

    A row is furniture when the same text stands at the same height on three pages (on two in a document
    of two or three, or where the layout model calls it furniture, or where left and right pages take turns
    with two texts), or would but for a number that counts the pages, or when it is a page number. Pages that
    say the same between their margins count as one, because there everything repeats. What stands once is
    content, whatever the model calls it: the number of an invoice, a heading on the first line. A document of
    which nothing else would be left has no furniture.
    """
    places: defaultdict[tuple[bool, str], list[_Place]] = defaultdict(list)
    for page, found in zip(pages, tables, strict=True):
        body = _body_of(page)
        for at_top, row in _marginal_rows(page, found):
            height = row[0].box.middle if at_top else page.height - row[0].box.middle
            places[at_top, _pattern(row)].append(_Place(page, row, height, body or page.number))
    result = Furniture()
    twice: list[tuple[bool, list[_Place]]] = []
    for (at_top, pattern), seen in places.items():
        for group, is_enough in _find_repeated(pattern, seen, len(pages)):
            if is_enough:
                result.add(at_top, group)
            else:
                twice.append((at_top, group))
    for at_top, group in twice:
        if any(at_top == top and _take_turns(group, other) for top, other in twice):
            result.add(at_top, group)
    return (
        result if any(id(line) not in result.lines for page in pages for line in page.lines) else Furniture()
    )


class _Place(NamedTuple):
    """A row of text in the margin; `height` is its distance from the edge of its margin.

    `body` is what the page says between its margins, or its number where that is nothing.
    """

    page: Page
    row: list[Line]
    height: float
    body: tuple[str, ...] | int


def _find_repeated(pattern: str, seen: Sequence[_Place], pages: int) -> Iterator[tuple[list[_Place], bool]]:
    """Places with the same text, or the same but for a number that counts pages; whether they are enough.

    Those that are not are on two pages.
    """
    usual = statistics.median(place.height for place in seen)
    same = [place for place in seen if abs(place.height - usual) <= SAME_PLACE]
    if _PAGE_NUMBER.fullmatch(pattern):
        if len(same) > 1 or (same and pages == 1):
            yield same, True
        return
    groups: defaultdict[object, list[_Place]] = defaultdict(list)
    for place in same:
        text = " ".join(line.text for line in place.row)
        groups[text].append(place)
        for position, number in enumerate(_NUMBER.findall(text)):
            groups[position, int(number) - place.page.number].append(place)
    for group in groups.values():
        least = 2 if pages <= 3 or all(_is_labelled(place.row) for place in group) else 3
        bodies = len({place.body for place in group})
        if bodies >= 2:
            yield group, bodies >= least


def _take_turns(first: Sequence[_Place], second: Sequence[_Place]) -> bool:
    """Whether two texts stand by turns on pages that follow each other, at the same height."""
    numbers = sorted(place.page.number for place in (*first, *second))
    return (
        len(numbers) == 4
        and numbers == list(range(numbers[0], numbers[0] + 4))
        and abs(first[0].page.number - first[1].page.number) == 2
        and abs(first[0].height - second[0].height) <= SAME_PLACE
    )


def _marginal_rows(page: Page, tables: Sequence[PageTable]) -> Iterator[tuple[bool, list[Line]]]:
    """The rows in the upper and lower margin, outside tables, and sideways text; whether at the top."""
    page_rows = rows(
        [line for line in page.upright_lines if not any(table.box.holds(line.box) for table in tables)]
    )
    for number, row in enumerate(page_rows):
        margin = OUTERMOST_MARGIN if number in (0, len(page_rows) - 1) else MARGIN
        place = row[0].box.middle / page.height
        if not margin < place < 1 - margin:
            yield place < 0.5, row
    for line in page.lines:
        if line.direction != (1, 0):
            yield False, [line]


def _body_of(page: Page) -> tuple[str, ...]:
    """The lines between the margins of a page, in any order."""
    return tuple(
        sorted(line.text for line in page.lines if MARGIN < line.box.middle / page.height < 1 - MARGIN)
    )


def _pattern(row: Sequence[Line]) -> str:
    """What a running head has in common over pages: its text with numbers as ``#``."""
    return _ROMAN.sub("#", _NUMBER.sub("#", " ".join(line.text for line in row).casefold()))


def _is_labelled(row: Sequence[Line]) -> bool:
    return all(line.label in ("page-header", "page-footer") for line in row)


def title_of(named: str | None, pages: Sequence[Page], headings: Headings) -> str | None:
    """The title of a document: what its first page shows, or what its file names it; see `choose_title`."""
    first_page = "".join(line.text for page in pages[:1] for line in page.lines)
    return choose_title(headings.title, named, first_page)


Style = tuple[float, bool]


class Headings:
    """Which paragraphs are headings, and of which level.

    A heading is short, does not end like a sentence, and is larger than the body text or bold where the
    body is not, or the outline or the layout model names it. Levels follow the outline where it names
    headings of the same style, else the styles in order of size; a style used once opens no level.

    The title is the largest text of the first page; where that are two words (a company, a series), with what
    stands beside it in the same size, or on a cover in half of it. Where the largest text recurs, it is the
    heading that opens the page.

    Pages without text are covers where they come before all text or say the title again: what they show in
    large letters (a half title, a publisher) heads nothing, unless it is numbered or in the outline.
    """

    def __init__(
        self,
        paragraphs: Sequence[Paragraph],
        outline: Iterable[tuple[int, str, int]],
        pages_with_tables: Iterable[int] = (),
    ) -> None:
        weights: Counter[float] = Counter()
        bold = mono = 0
        for paragraph in paragraphs:
            weights[paragraph.size] += len(paragraph.text)
            bold += len(paragraph.text) * paragraph.bold
            mono += len(paragraph.text) * paragraph.mono
        self.body_size = weights.most_common(1)[0][0] if weights else 0.0
        self.bold_body = 2 * bold > weights.total()
        self.mono_body = 2 * mono > weights.total()
        self._outline = {(page, _letters(title)): level for level, title, page in outline}
        candidates = [paragraph for paragraph in paragraphs if self._may_be(paragraph)]
        self._largest = self._largest_of(candidates)
        alike = [one for one in candidates if self._largest and one.size >= self._largest.size]
        self._title = self._largest if len(alike) == 1 else None
        may_be = {id(one) for one in candidates}
        with_text = {one.page for one in paragraphs if id(one) not in may_be}.union(pages_with_tables)
        self._covers = self._covers_among(candidates, with_text)
        self._title_lines = self._lines_of_title(paragraphs, candidates)
        self._levels = self._levels_of([one for one in candidates if one is not self._title])

    def level(self, paragraph: Paragraph) -> int | None:
        """The level of a heading, from 1, or None for another paragraph."""
        if not self._may_be(paragraph):
            return None
        named = self._outline_level(paragraph)
        if paragraph.page in self._covers and not (
            named or paragraph is self._title or _NUMBERED.match(paragraph.whole)
        ):
            return None
        return min(named or self._levels.get(_style(paragraph), 1), DEEPEST_LEVEL)

    def is_title(self, paragraph: Paragraph) -> bool:
        """Whether this is the title: the largest text of the first page, in a size used only there."""
        return paragraph is self._title

    @property
    def title(self) -> str | None:
        """What the document shows as its title."""
        return " – ".join(one.whole for one in self._title_lines) or None

    def _may_be(self, paragraph: Paragraph) -> bool:
        text = paragraph.text
        if len(text) > HEADING_CHARACTERS or paragraph.lines > HEADING_LINES or "\n" in text:
            return False
        if not _WORD.search(text) or _CAPTION.match(text):
            return False
        if is_boilerplate(text):
            return False
        if self._outline_level(paragraph) or paragraph.label in ("section-header", "title"):
            return True
        if _NOT_A_HEADING_END.search(text) or paragraph.mono or starts_lower(text):
            return False
        if paragraph.size >= LARGER * self.body_size:
            return True
        bolder = paragraph.bold and not self.bold_body and paragraph.size >= 0.95 * self.body_size
        return bolder and not _LABEL_AND_VALUE.search(text)

    def _outline_level(self, paragraph: Paragraph) -> int | None:
        """The level that the outline gives."""
        for text in (paragraph.whole, paragraph.text):
            if level := self._outline.get((paragraph.page, _letters(text))):
                return level
        return None

    def _levels_of(self, candidates: Sequence[Paragraph]) -> dict[Style, int]:
        named: defaultdict[Style, Counter[int]] = defaultdict(Counter)
        for paragraph in candidates:
            if level := self._outline_level(paragraph):
                named[_style(paragraph)][level] += 1
        counts = Counter(map(_style, candidates))
        recurring = {style for style, count in counts.items() if count > 1}
        levels: dict[Style, int] = {}
        above = 0
        for style in sorted(counts, reverse=True):
            levels[style] = named[style].most_common(1)[0][0] if named[style] else above + 1
            if style in recurring or named[style]:
                above = max(above, levels[style])
        return levels

    def _covers_among(self, candidates: Sequence[Paragraph], with_text: Collection[int]) -> set[int]:
        first_text = min(with_text, default=0)
        title = _letters(self._largest.whole) if self._largest else ""
        return {
            one.page
            for one in candidates
            if one.page not in with_text
            and (one.page < first_text or (title and _letters(one.whole) == title))
        }

    def _largest_of(self, candidates: Sequence[Paragraph]) -> Paragraph | None:
        """The largest heading of the first page that is larger than the body and has no number."""
        on_first = [one for one in candidates if one.page == 1 and may_be_title(one.text)]
        largest = max(on_first, key=lambda paragraph: paragraph.size, default=None)
        if largest is None or largest.size < LARGER * self.body_size or _NUMBERED.match(largest.whole):
            return None
        return largest

    def _lines_of_title(
        self, paragraphs: Sequence[Paragraph], candidates: Sequence[Paragraph]
    ) -> Sequence[Paragraph]:
        """What makes the title, in reading order."""
        largest = self._largest
        if largest is None:
            return []
        may_be = {
            id(one)
            for one in candidates
            if one.page == 1 and may_be_title(one.text) and not _NUMBERED.match(one.whole)
        }
        lines = [largest]
        if len(words_of(largest.whole)) <= FEW_WORDS:
            least = largest.size * (COVER_SHARE if 1 in self._covers else 1)

            def belongs(one: Paragraph) -> bool:
                return one.size >= least and id(one) in may_be

            at = next(number for number, one in enumerate(paragraphs) if one is largest)
            above = [*takewhile(belongs, reversed(paragraphs[:at]))]
            lines = [*reversed(above), largest, *takewhile(belongs, paragraphs[at + 1 :])]
        recurs = sum(_style(one) == _style(largest) for one in candidates) > 1
        return paragraphs[:1] if recurs and lines == [largest] and id(paragraphs[0]) in may_be else lines


def _style(paragraph: Paragraph) -> Style:
    return paragraph.size, paragraph.bold


def _letters(text: str) -> str:
    """The letters and digits of `text`, case folded, for comparing headings with the outline."""
    return "".join(filter(str.isalnum, text.casefold()))


def is_caption(paragraph: Paragraph) -> bool:
    """Whether a paragraph is the caption of a table or figure, by its label or its first words."""
    return paragraph.label == "caption" or (
        len(paragraph.text) <= 300 and _CAPTION.match(paragraph.text) is not None
    )


def continue_table(table: PageTable, previous: PageTable | None) -> PageTable:
    """`table` with the header of `previous`, if it is its continuation on the next page without one.

    A continuation has as many columns at the same place, and is in a picture only if both are. A first row
    with figures in it is no header, whatever the finder took it for.
    """
    if (
        previous is None
        or not previous.header_rows
        or (previous.confidence is None) is not (table.confidence is None)
        or len(previous.rows[0]) != len(table.rows[0])
        or abs(previous.box.x0 - table.box.x0) > SAME_PLACE
        or abs(previous.box.x1 - table.box.x1) > SAME_PLACE
    ):
        return table
    header = previous.rows[: previous.header_rows]
    own = table.rows[: table.header_rows]
    has_header = own == header[: len(own)] or not any(char.isdigit() for text in own[0] for char in text)
    if own and has_header:
        return table
    return PageTable(table.box, header + table.rows, previous.header_rows, table.confidence)
