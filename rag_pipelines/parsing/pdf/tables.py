"""Tables of one PDF page: whether there may be any, where they come from, and their rows.

What belongs here: the decision when the models are worth their cost, the three ways to find a table,
and turning cells with spans into plain rows. What does not: text outside tables.

From cheap to dear:

* `find_aligned_tables` reads consecutive lines whose pieces stand in columns. No further look at the page;
  the only way in ``fast``.
* Ruled tables come from MuPDF's line finder (about 60 ms a page).
* The layout and table models find borderless tables too (about 290 ms a page on one core).

In ``auto`` a page goes to the line finder when it shows rulings in a grid and to the models when it
shows columns of short texts or rulings that the line finder did not explain. Measured on 573 pages of
test suites and manuals: the evidence lets 32 % of the pages through, among them 130 of the 141 on which
the models, asked everywhere, see a table; most of the other 11 are forms and vertical text.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from rag_pipelines.parsing.pdf.columns import Row, columns
from rag_pipelines.parsing.pdf.engine import load_models
from rag_pipelines.parsing.pdf.finder import reading_once
from rag_pipelines.parsing.pdf.lines import (
    LAM_ALEF,
    LIGATURES,
    MARKER,
    Box,
    Line,
    is_right_to_left,
    rows,
    words_as_read,
)
from rag_pipelines.parsing.pdf.page import Page
from rag_pipelines.text.canonical import one_line

SHORT_PIECE = 0.28
"""A piece of a row narrower than this share of the page width may be a table cell."""

TABULAR_RUN = 3
"""So many rows of short pieces in succession are evidence of a table."""

MOST_SHAPES = 3_000
"""A page with more vector shapes is a drawing or a map, and the cost of the finders explodes: 0.8 s at
6,181 shapes, over a minute at 18,560. The densest page of tables in the test suites has 1,466."""

RULE_THICKNESS = 3.0
"""A vector shape thinner than so many points is a rule."""

GRID_RULES = 3
"""So many rules of the same width, or rules in both directions, are evidence of a ruled table."""

SPLIT_CELLS = 0.02
"""The share of cells holding side by side pieces above which a ruled grid misses its columns."""

_FIGURE = re.compile(r"[\s$€£¥%()+\-–.,\d]*\d[\s$€£¥%()+\-–.,\d]*")
_CONTINUES = re.compile(r"[a-zß-öø-ÿ(&/]")
_WORDS = re.compile(r"[^\W_]+")
_SIGN = re.compile(r"(?<!\S)\ufffd+(?!\S)")
_HYPHENATED = re.compile(r"(?<=[^\W\d_])[-\u2010\u00ad]\n(?=[a-zß-öø-ÿ])")


class Cost(NamedTuple):
    """Nominal seconds of one core: for a page, and for each of its lines and shapes."""

    page: float
    line: float
    shape: float

    def of(self, page: Page) -> float:
        """The cost of a page."""
        return self.page + self.line * len(page.lines) + self.shape * len(page.shapes)


LINE_FINDER = Cost(0.01, 0.00025, 0.00017)
MODELS = Cost(0.12, 0.0013, 0.00026)
"""With the line finder that goes with them. Fitted by least squares on 162 pages of the test suites (R² 0.88
for the line finder, 0.94 for the models), where a page took between 0.15 and 2.7 s."""


@dataclass(slots=True)
class PageTable:
    """A table on a page; every row has the same number of cells, spans are resolved. `confidence` is that of
    its text where this was recognised."""

    box: Box
    rows: list[list[str]]
    header_rows: int = 0
    confidence: float | None = None
    _letters: str = field(default="", init=False, repr=False, compare=False)

    def takes(self, line: Line) -> bool:
        """Whether a line stands in the table and its words in the cells, which take over how it is written:
        superscripts, and lam before alef, which are one glyph, and which the finder turns round."""
        if not self.box.holds(line.box):
            return False
        if "^" in line.text:
            self._mend(line.text.replace("^", ""), line.text)
        for word in line.text.split() if LAM_ALEF.search(line.text) else ():
            self._mend(LAM_ALEF.sub(r"\2\1", word), word)
        if not self._letters:
            self._letters = "".join(filter(str.isalnum, "".join(itertools.chain.from_iterable(self.rows))))
        return all(word in self._letters for word in _WORDS.findall(line.text))

    def _mend(self, given: str, right: str) -> None:
        self.rows = [[cell.replace(given, right) for cell in row] for row in self.rows]
        self._letters = ""


@dataclass(slots=True)
class Region:
    """What the layout model calls a part of the page, such as ``caption`` or ``page-footer``."""

    box: Box
    label: str


@dataclass(slots=True)
class Findings:
    """The tables of a page, what the layout model said about the rest, and what it cost to know.

    `used_rules` says that the line finder alone found the tables. `seconds` is the nominal cost.
    """

    tables: list[PageTable] = field(default_factory=list)
    regions: list[Region] = field(default_factory=list)
    used_rules: bool = False
    used_models: bool = False
    seconds: float = 0.0


@dataclass(slots=True)
class TableEvidence:
    """What speaks for a table: the longest run of tabular rows, and rulings in a grid."""

    run: int
    ruled: bool

    @property
    def any(self) -> bool:
        return self.ruled or self.run >= TABULAR_RUN


def evidence(page: Page) -> TableEvidence:
    """The cheap signs of a table, from lines and shapes that are read already."""
    return TableEvidence(_longest_run(page.upright_lines, page.width), _grid_of_rules(page.shapes))


def find(mupdf_page: Any, page: Page, mode: str) -> Findings:
    """The tables of a page in ``auto`` or ``layout`` mode; for ``fast`` see `find_aligned_tables`."""
    signs = evidence(page)
    seconds = 0.0
    if mode == "auto" and not signs.any:
        return Findings()
    with reading_once(mupdf_page):
        if mode == "auto" and signs.ruled:
            ruled = _find_ruled_tables(mupdf_page)
            seconds = LINE_FINDER.of(page)
            if ruled and _explain(ruled, page):
                return Findings([table for table, _ in ruled], used_rules=True, seconds=seconds)
        return _by_models(mupdf_page, signs, seconds + MODELS.of(page))


def _find_ruled_tables(mupdf_page: Any) -> list[tuple[PageTable, list[Box]]]:
    """Tables of MuPDF's line finder, each with the boxes of its cells."""
    finder = mupdf_page.find_tables(use_layout=False, strategy="lines_strict", refine=True)
    return list(_tables_of(finder))


def _by_models(mupdf_page: Any, signs: TableEvidence, seconds: float) -> Findings:
    """Tables and regions by the layout model, whose grids are fused with those of the line finder."""
    load_models()
    upright = mupdf_page.rotation == 0
    regions: list[Region] = []
    if upright:
        mupdf_page.get_layout(return_raw=True)
        regions.extend(
            Region(Box(*group["group_bbox"][:4]), group["class_name"])
            for group in mupdf_page.layout_information or ()
        )
        if not signs.ruled and all(region.label != "table" for region in regions):
            return Findings([], regions, used_models=True, seconds=seconds)
    finder = mupdf_page.find_tables(union=True, refine=True)
    tables = [table for table, _ in _tables_of(finder)]
    return Findings(tables, regions, used_models=True, seconds=seconds)


def _tables_of(finder: Any) -> Iterator[tuple[PageTable, list[Box]]]:
    """The tables of a finder that have at least two rows and two columns of text."""
    for found in finder.tables if finder else ():
        placements = found.placements
        if not placements:
            continue
        table = PageTable(Box(*found.bbox), *_plain_rows(placements, found.header_rows or 0))
        if len(table.rows) > 1 and len(table.rows[0]) > 1:
            yield table, [Box(*cell.bbox) for row in placements for cell in row if cell.bbox]


def _plain_rows(placements: Sequence[Sequence[Any]], header_rows: int) -> tuple[list[list[str]], int]:
    """Placed cells as rows of equal length, and how many of them are header.

    A cell that spans columns is repeated in them in the header, so that each column carries its whole
    label, and stands once in the body. A cell that spans rows is repeated in each. The columns of a table
    written right to left begin at the right; the finder gives words and columns from the left.
    """
    backwards = is_right_to_left(" ".join(cell.text or "" for placed in placements for cell in placed))
    grid: dict[tuple[int, int], str] = {}
    taken: set[tuple[int, int]] = set()
    for row, placed in enumerate(placements):
        column = 0
        for cell in placed:
            while (row, column) in taken:
                column += 1
            text = "\n".join(map(words_as_read, (cell.text or "").strip().split("\n")))
            first = cell.colspan - 1 if backwards else 0
            for down in range(cell.rowspan):
                for right in range(cell.colspan):
                    taken.add((row + down, column + right))
                    if right == first or row < header_rows:
                        grid[row + down, column + right] = text
            column += cell.colspan
    width = max((column for _, column in taken), default=-1) + 1
    across = range(width)[::-1] if backwards else range(width)
    plain = [[grid.get((row, column), "") for column in across] for row in range(len(placements))]
    body = [part for row in plain[header_rows:] for part in _split_merged_rows(row)]
    cleaned = [[cell_text(text) for text in row] for row in plain[:header_rows] + body]
    return _without_blanks(_join_wrapped_rows(cleaned, header_rows), header_rows)


def _split_merged_rows(row: list[str]) -> list[list[str]]:
    """The rows that a finder put into one: every cell has as many lines, and in one all are figures."""
    filled = [text.split("\n") for text in row if text]
    count = len(filled[0]) if filled else 0
    if len(filled) < 2 or count < 2 or any(len(lines) != count for lines in filled):
        return [row]
    if not any(all(_FIGURE.fullmatch(line) for line in lines) for lines in filled):
        return [row]
    return [[text.split("\n")[number] if text else "" for text in row] for number in range(count)]


def _join_wrapped_rows(grid: list[list[str]], header_rows: int) -> list[list[str]]:
    """A body row with one text that continues the sentence above it is part of the row above."""
    result: list[list[str]] = []
    for number, row in enumerate(grid):
        filled = [column for column, text in enumerate(row) if text]
        if number > header_rows and len(filled) == 1:
            column = filled[0]
            above = result[-1][column]
            if above and (above.endswith((",", "-")) or _CONTINUES.match(row[column])):
                result[-1][column] = cell_text(f"{above}\n{row[column]}")
                continue
        result.append(row)
    return result


def _without_blanks(grid: list[list[str]], header_rows: int) -> tuple[list[list[str]], int]:
    """The grid without blank rows and without columns that only the header fills."""
    header = [row for row in grid[:header_rows] if any(row)]
    body = [row for row in grid[header_rows:] if any(row)]
    width = len(grid[0]) if grid else 0
    kept = [column for column in range(width) if any(row[column] for row in body or header)]
    for row in header:
        for column in range(1, width):
            if column not in kept and row[column] and row[column] != row[column - 1]:
                left = max((other for other in kept if other < column), default=None)
                if left is not None:
                    row[left] = one_line(f"{row[left]} {row[column]}")
    return [[row[column] for column in kept] for row in header + body], len(header)


def cell_text(text: str) -> str:
    """The lines of a cell as one line, without hyphens at line ends and glyphs without a character."""
    return one_line(_HYPHENATED.sub("", _SIGN.sub("", text.translate(LIGATURES))))


def _explain(ruled: list[tuple[PageTable, list[Box]]], page: Page) -> bool:
    """Whether the ruled tables account for every sign of a table, and their columns are all ruled."""
    lines = page.upright_lines
    outside = [line for line in lines if not any(table.box.holds(line.box) for table, _ in ruled)]
    if _longest_run(outside, page.width) >= TABULAR_RUN:
        return False
    cells = [cell for _, boxes in ruled for cell in boxes]
    filled = split = 0
    for cell in cells:
        inside = [line for line in lines if cell.holds(line.box)]
        filled += bool(inside)
        split += any(len(row) > 1 for row in rows(inside))
    return split <= SPLIT_CELLS * filled


def _grid_of_rules(shapes: Sequence[Box]) -> bool:
    """Whether thin shapes stand in a grid: several of one width below each other, or both directions."""
    across = {
        (round(box.x0 / 4), round(box.x1 / 4), round(box.y0))
        for box in shapes
        if box.height < RULE_THICKNESS and box.width > 20
    }
    down = {round(box.x0) for box in shapes if box.width < RULE_THICKNESS and box.height > 6}
    same_width = Counter((left, right) for left, right, _ in across)
    return max(same_width.values(), default=0) >= GRID_RULES or (
        len(across) >= GRID_RULES and len(down) >= GRID_RULES
    )


def _longest_run(lines: list[Line], width: float) -> int:
    """The longest succession of tabular rows within a column."""
    longest = 0
    for strip in columns(rows(lines)):
        for tabular, run in itertools.groupby(strip, lambda row: _is_tabular(row, width)):
            longest = max(longest, len(list(run)) if tabular else 0)
    return longest


def _is_tabular(row: Row, width: float) -> bool:
    short = sum(line.box.width < SHORT_PIECE * width for line in row)
    if len(row) < 2 or short < min(2, len(row) - 1):
        return False
    return not any(" … " in line.text or MARKER.fullmatch(line.text) for line in row)


def find_aligned_tables(page: Page) -> list[PageTable]:
    """Tables read off the alignment of text alone: runs of tabular rows whose pieces form columns.

    A row of one piece between two tabular rows belongs to the table: below the first column it is a
    label of its own, else the rest of the cell above it.
    """
    tables: list[PageTable] = []
    page_rows = rows(page.upright_lines)
    if sum(len(row) > 1 for row in page_rows) < TABULAR_RUN:
        return tables
    strips = columns(page_rows)
    for run in (run for strip in strips for run in _runs_with_single_pieces(strip, page.width)):
        slots = _slots(run)
        if len(slots) < 2:
            continue
        grid = [[""] * len(slots) for _ in run]
        for cells, row in zip(grid, run, strict=True):
            for line in row:
                at = next(number for number, (_, right) in enumerate(slots) if line.box.x0 <= right)
                cells[at] = one_line(f"{cells[at]} {line.text}")
        if is_right_to_left(" ".join(itertools.chain.from_iterable(grid))):
            grid = [row[::-1] for row in grid]
        box = run[0][0].box
        for row in run:
            for line in row:
                box = box.union(line.box)
        header_rows = int(_is_header(grid))
        tables.append(PageTable(box, *_without_blanks(_join_wrapped_rows(grid, header_rows), header_rows)))
    return tables


def _runs_with_single_pieces(page_rows: list[Row], width: float) -> list[list[Row]]:
    runs: list[list[Row]] = []
    run: list[Row] = []
    pending: list[Row] = []
    tabular = 0

    def close() -> None:
        nonlocal tabular
        if tabular >= TABULAR_RUN:
            runs.append(run[:])
        run.clear()
        pending.clear()
        tabular = 0

    for row in page_rows:
        near = not run or row[0].box.y0 - (pending or run)[-1][0].box.y1 < 2.5 * row[0].size
        if not near:
            close()
        if _is_tabular(row, width):
            run.extend(pending)
            pending.clear()
            run.append(row)
            tabular += 1
        elif run and len(row) == 1 and row[0].box.width < 2 * SHORT_PIECE * width and not pending:
            pending.append(row)
        else:
            close()
    close()
    return runs


def _slots(run: list[Row]) -> list[tuple[float, float]]:
    """Left and right of the columns: what the pieces of the tabular rows cover, seen from above."""
    spans = sorted((line.box.x0, line.box.x1) for row in run if len(row) > 1 for line in row)
    columns: list[tuple[float, float]] = []
    for left, right in spans:
        if columns and left <= columns[-1][1]:
            columns[-1] = columns[-1][0], max(right, columns[-1][1])
        else:
            columns.append((left, right))
    if columns:
        columns[-1] = columns[-1][0], float("inf")
    return columns


def _is_header(grid: list[list[str]]) -> bool:
    """Whether the first row labels the others: no figures in it, while the others have some."""
    figures = [any(char.isdigit() for char in text) for row in grid[1:] for text in row if text]
    return not any(char.isdigit() for text in grid[0] for char in text) and any(figures)
