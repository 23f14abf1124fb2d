"""Table quality of the PDF parser against the EU part of the ICDAR 2013 table competition.

What belongs here: reading the truth, the metric, and the printed report. What does not: any parsing
(everything measured comes out of `rag_pipelines.parsing.pdf.parse`, as an index would get it).

The metric is the cell adjacency relation of Göbel, Hassan, Oro and Orsi, "A methodology for evaluating
algorithms for table understanding in PDF documents" (DocEng 2012), used by the ICDAR 2013 competition:
a table is the multiset of (text, neighbour's text, direction) over its cells with text, where the
neighbour is the nearest cell with text to the right or below, blank cells skipped. Relations are
pooled over the pages of a document, so tables that are not there cost precision and missed ones
recall. Text is compared without white space, case and compatibility forms. Cells come from the parser
as plain rows; a text repeated in neighbouring cells of the header rows, or down the first column,
is read as one spanning cell, because that is how the parser writes spans.

Run with::

    python benchmarks/icdar_tables.py [--mode fast --mode auto --mode layout] [--documents]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import unicodedata
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from history import Figures

from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseOptions, ParseRequest
from rag_pipelines.parsing.pdf.parse import parse

FIGURES = Figures("icdar_tables")

DATA = Path(os.environ.get("RAG_DATA_DIR", Path(__file__).resolve().parents[2] / "shared" / "data"))
DATASET = DATA / "icdar2013-tables" / "competition-dataset-eu"
Mode = Literal["fast", "auto", "layout"]
MODES: tuple[Mode, ...] = ("fast", "auto", "layout")


@dataclass(frozen=True)
class Cell:
    """A cell and the inclusive grid range that it covers."""

    text: str
    row: int
    column: int
    last_row: int
    last_column: int


Relation = tuple[str, str, str]


def normalised(text: str) -> str:
    """`text` without white space, in compatibility form, case folded."""
    return "".join(unicodedata.normalize("NFKC", text).split()).casefold()


def relations(cells: Iterable[Cell]) -> Iterator[Relation]:
    """The adjacency relations of one table, each pair of neighbours once per direction."""
    grid: dict[tuple[int, int], int] = {}
    kept = [cell for cell in cells if cell.text]
    for number, cell in enumerate(kept):
        for row in range(cell.row, cell.last_row + 1):
            for column in range(cell.column, cell.last_column + 1):
                grid[row, column] = number
    last_row = max((cell.last_row for cell in kept), default=-1)
    last_column = max((cell.last_column for cell in kept), default=-1)
    seen: set[tuple[int, int, str]] = set()
    for number, cell in enumerate(kept):
        rows, columns = range(cell.row, cell.last_row + 1), range(cell.column, cell.last_column + 1)
        right = [[(row, at) for at in range(cell.last_column + 1, last_column + 1)] for row in rows]
        below = [[(at, column) for at in range(cell.last_row + 1, last_row + 1)] for column in columns]
        for direction, paths in (("right", right), ("below", below)):
            for path in paths:
                neighbour = next((grid[place] for place in path if place in grid), None)
                if neighbour is not None and (number, neighbour, direction) not in seen:
                    seen.add((number, neighbour, direction))
                    yield cell.text, kept[neighbour].text, direction


def truths(document: Path) -> list[list[list[Cell]]]:
    """The true table regions of a document, once per opinion: ``eu-009`` has two equally valid files."""
    stem = document.stem.rstrip("ab")
    return [
        [
            [_true_cell(cell) for cell in region.iter("cell")]
            for region in ElementTree.parse(path).getroot().iter("region")
        ]
        for path in sorted(DATASET.glob(f"{stem}*-str.xml"))
    ]


def _true_cell(cell: ElementTree.Element) -> Cell:
    row, column = int(cell.attrib["start-row"]), int(cell.attrib["start-col"])
    return Cell(
        normalised(cell.findtext("content") or ""),
        row,
        column,
        int(cell.attrib.get("end-row", row)),
        int(cell.attrib.get("end-col", column)),
    )


def spanned(rows: Sequence[Sequence[str]], header_rows: int) -> list[Cell]:
    """The cells of parsed rows, with repeated texts of the header and of the first column joined."""
    texts = [[normalised(text) for text in row] for row in rows]
    cells: list[Cell] = []
    taken: set[tuple[int, int]] = set()
    for row, line in enumerate(texts):
        for column, text in enumerate(line):
            if not text or (row, column) in taken:
                continue
            last_row, last_column = row, column
            if row < header_rows:
                while last_column + 1 < len(line) and line[last_column + 1] == text:
                    last_column += 1
                while last_row + 1 < header_rows and texts[last_row + 1][column : last_column + 1] == (
                    [text] * (last_column + 1 - column)
                ):
                    last_row += 1
            elif column == 0:
                while last_row + 1 < len(texts) and texts[last_row + 1][0] == text:
                    last_row += 1
            taken.update((r, c) for r in range(row, last_row + 1) for c in range(column, last_column + 1))
            cells.append(Cell(text, row, column, last_row, last_column))
    return cells


@dataclass(frozen=True)
class Score:
    """Counts of things found, true, and both; rates are 0 where their denominator is."""

    both: int
    found: int
    true: int

    @property
    def precision(self) -> float:
        return self.both / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        return self.both / self.true if self.true else 0.0

    @property
    def f1(self) -> float:
        return 2 * self.both / (self.found + self.true) if self.found + self.true else 0.0


def agreement(found: Counter[Any], true: Counter[Any]) -> Score:
    """The multisets' sizes and that of their intersection."""
    return Score((found & true).total(), found.total(), true.total())


def pooled(scores: Iterable[Score]) -> Score:
    """The sums of all counts."""
    scores = list(scores)
    return Score(sum(s.both for s in scores), sum(s.found for s in scores), sum(s.true for s in scores))


def judge(parsed: ParsedDocument, opinions: Sequence[Sequence[Sequence[Cell]]]) -> tuple[Score, Score]:
    """Relations and cell texts of a parsed document against the opinion that it agrees with most."""
    tables = [
        spanned([row.cells for row in block.rows], block.header_rows)
        for block in parsed.blocks
        if block.kind is BlockKind.TABLE
    ]
    found = Counter(relation for cells in tables for relation in relations(cells))
    texts = Counter(cell.text for cells in tables for cell in cells)
    judged = []
    for regions in opinions:
        true = Counter(relation for cells in regions for relation in relations(cells))
        true_texts = Counter(cell.text for cells in regions for cell in cells if cell.text)
        judged.append((agreement(found, true), agreement(texts, true_texts)))
    return max(judged, key=lambda pair: pair[0].f1)


def measure(mode: Mode, each_document: bool) -> None:
    """Parse the data set in one mode and print its line of the report."""
    relation_scores: list[Score] = []
    cell_scores: list[Score] = []
    counters: Counter[str] = Counter()
    seconds = 0.0
    for path in sorted(DATASET.glob("*.pdf")):
        request = ParseRequest(path.read_bytes(), path.name, options=ParseOptions(pdf=mode))
        started = time.perf_counter()
        parsed = parse(request)
        seconds += time.perf_counter() - started
        counters.update(parsed.counters)
        relation, cell = judge(parsed, truths(path))
        relation_scores.append(relation)
        cell_scores.append(cell)
        if each_document:
            by_models = parsed.counters["layout_pages"]
            print(
                f"  {path.stem:8} {relation.both:5} right of {relation.found:5} found"
                f" and {relation.true:5} true, F1 {relation.f1:.3f}, {by_models} pages by models"
            )
    for name, scores in (("relations", relation_scores), ("cells", cell_scores)):
        whole = pooled(scores)
        by_document = sum(score.f1 for score in scores) / len(scores)
        FIGURES.ratio(f"F1 of {name}, {mode}", whole.f1)
        print(
            f"{mode:7} {name:10} precision {whole.precision:.3f}  recall {whole.recall:.3f}"
            f"  F1 {whole.f1:.3f}  mean F1 of a document {by_document:.3f}"
        )
    FIGURES.context(f"pages/s, {mode}", counters["pages"] / seconds)
    print(
        f"{mode:7} {counters['pages'] / seconds:.1f} pages/s; of {counters['pages']} pages "
        f"{counters['ruled_pages']} by the line finder alone, {counters['layout_pages']} by the models"
    )


def main() -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mode", action="append", choices=MODES, help="may be repeated; default all")
    parser.add_argument("--documents", action="store_true", help="also one line for each document")
    arguments = parser.parse_args()
    if not DATASET.is_dir():
        sys.exit(f"icdar2013-tables not found in {DATA}; set RAG_DATA_DIR")
    for mode in arguments.mode or MODES:
        measure(mode, arguments.documents)
    FIGURES.record(modes=arguments.mode or MODES)


if __name__ == "__main__":
    main()
