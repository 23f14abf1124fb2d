"""Pages drawn for tests, each with the lines that stand on it in the order in which a person reads them.

What belongs here: what a page may consist of, and putting it on the page. What does not: what is asked of the
parser (`test_pdf_pages`).

Every line begins with a word of its own, so that its place in a text can be found.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rag_pipelines.parsing.pdf.engine import mupdf

WIDTH, HEIGHT = 595.0, 842.0
TOP, LEFT, RIGHT, GAP = 70.0, 56.0, 539.0, 22.0
_WORDS = """
the of and to in that is for with as on by this are from be at which has its an or not have was were but they
been their more will can all into other some time between over such new only under most also after report
system value number result process energy policy region change method figure growth account contract delivery
customer supply measure section office transport project
""".split()  # noqa: SIM905
_SYLLABLES = [
    "ba",
    "de",
    "ki",
    "lo",
    "mu",
    "na",
    "pe",
    "ri",
    "so",
    "tu",
    "va",
    "we",
    "zo",
    "fi",
    "gra",
    "ste",
]


@dataclass
class Drawn:
    """A piece of a column: a line of text at a place. `said` is whether a person reads it in its order."""

    text: str
    indent: float = 0.0
    size: float = 10.0
    font: str = "helv"
    after: float = 3.0
    said: bool = True


@dataclass
class Facts:
    """What is known of a page: its lines in order, rows of tables, headings, and lines that have no order."""

    order: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    headings: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)


class Page:
    """A page that is being drawn; words come from a seed, so that it is the same each time."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.facts = Facts()
        self._document = mupdf().open()
        self.page = self._document.new_page(width=WIDTH, height=HEIGHT)
        self._numbers = itertools.count(17 * seed)

    def bytes(self) -> bytes:
        data: bytes = self._document.tobytes()
        return data

    def own_word(self) -> str:
        """A word that stands nowhere else; all of them begin with the same letters, as no other does."""
        number, word = next(self._numbers), "qu"
        for _ in range(4):
            number, rest = divmod(number, len(_SYLLABLES))
            word += _SYLLABLES[rest]
        return word

    def words(self, count: int) -> str:
        return " ".join(self.random.choice(_WORDS) for _ in range(count))

    def line(self, width: float, size: float = 10.0, font: str = "helv", share: float = 1.0) -> str:
        """A line that fills so much of a width, beginning with its own word."""
        text = self.own_word()
        while True:
            longer = f"{text} {self.random.choice(_WORDS)}"
            if mupdf().get_text_length(longer, fontname=font, fontsize=size) > share * width:
                return text
            text = longer

    def text(self, x: float, y: float, text: str, size: float = 10.0, font: str = "helv") -> None:
        self.page.insert_text((x, y), text, fontsize=size, fontname=font)

    def column(self, x: float, y: float, pieces: list[Drawn]) -> float:
        """Draw pieces below each other from `y`; where the last one ends."""
        for piece in pieces:
            y += piece.size
            self.text(x + piece.indent, y, piece.text, piece.size, piece.font)
            if piece.said:
                self.facts.order.append(piece.text)
            else:
                self.facts.present.append(piece.text)
            y += piece.after
        return y


Maker = Callable[[Page, float, int], list[Drawn]]


def prose(page: Page, width: float, count: int) -> list[Drawn]:
    """Paragraphs of five lines, of which the last is short."""
    pieces = []
    for number in range(count):
        ends = number % 5 == 4 or number == count - 1
        text = page.line(width, share=0.5 if ends else 1.0)
        if number % 5 == 0:
            text = text.capitalize()
        pieces.append(Drawn(text + ("." if ends else ""), after=9 if ends else 3))
    return pieces


def bullets(page: Page, width: float, count: int) -> list[Drawn]:
    """A list whose items have one or two lines."""
    pieces = []
    for number in range(count):
        if number % 3 == 0:
            pieces.append(Drawn(f"\u2022 {page.line(width - 14, share=0.9)}"))
        elif number % 3 == 1:
            pieces.append(Drawn(page.line(width - 14, share=0.5), indent=12, after=5))
        else:
            pieces.append(Drawn(f"\u2022 {page.line(width - 14, share=0.4)}", after=5))
    return pieces


def numbered(page: Page, width: float, count: int) -> list[Drawn]:
    return [
        Drawn(f"{number + 1}. {page.line(width - 20, share=0.35 + 0.1 * (number % 5))}", after=4)
        for number in range(count)
    ]


def short_lines(page: Page, width: float, count: int) -> list[Drawn]:
    """A poem or an address."""
    return [
        Drawn(page.line(width, share=0.3 + 0.07 * (number % 4)), after=12 if number % 4 == 3 else 3)
        for number in range(count)
    ]


def listing(page: Page, width: float, count: int) -> list[Drawn]:
    return [
        Drawn(
            page.line(width - 18 * (number % 3), size=8, font="cour", share=0.45 + 0.1 * (number % 4)),
            indent=9.6 * (number % 3),
            size=8,
            font="cour",
            after=4.5,
        )
        for number in range(count)
    ]


def figure(page: Page, width: float, count: int) -> list[Drawn]:
    """Labels of a drawing, in no order, and its caption below."""
    labels = [
        Drawn(page.own_word(), indent=width * (0.1 + 0.22 * (number % 4)), size=7, after=6, said=False)
        for number in range(max(count - 4, 2))
    ]
    caption = [
        Drawn(f"Figure 1: {page.line(width - 50, size=9)}", size=9),
        Drawn(page.line(width, size=9, share=0.5), size=9),
    ]
    return [*labels, *caption]


def headed(page: Page, width: float, count: int) -> list[Drawn]:
    """Sections of few lines under headings."""
    pieces: list[Drawn] = []
    while len(pieces) < count:
        heading = page.own_word().capitalize() + " " + page.words(2 if width > 200 else 1)
        page.facts.headings.append(heading)
        pieces.append(Drawn(heading, size=12, font="hebo", after=5))
        pieces += prose(page, width, 3)
    return pieces[:count] if len(pieces) > count and pieces[count - 1].font == "helv" else pieces


def references(page: Page, width: float, count: int) -> list[Drawn]:
    pieces = []
    for number in range(count):
        if number % 2 == 0:
            pieces.append(Drawn(f"[{number // 2 + 1}] {page.line(width - 22, size=9, share=0.95)}", size=9))
        else:
            pieces.append(Drawn(page.line(width - 20, size=9, share=0.6) + ".", indent=16, size=9, after=4))
    return pieces


KINDS: dict[str, Maker] = {
    "prose": prose, "bullets": bullets, "numbered": numbered, "short lines": short_lines,
    "listing": listing, "figure": figure, "headed": headed, "references": references,
}  # fmt: skip


def in_columns(
    seed: int, *kinds: str, title: bool = False, lines: int = 24, page_lines: bool = False
) -> Page:
    """A page with a column of each kind, read one after the other."""
    page = Page(seed)
    y = TOP
    if page_lines:
        page.text(LEFT, 40, f"{page.words(3)}", 8)
        page.text(RIGHT - 10, HEIGHT - 30, "12", 8)
    if title:
        heading = f"{page.own_word().capitalize()} {page.words(3)}"
        page.facts.headings.append(heading)
        y = page.column(LEFT + 60, y, [Drawn(heading, size=18, font="hebo", after=14)])
        y = page.column(LEFT, y, [Drawn(page.line(RIGHT - LEFT) + ".", after=16)])
    width = (RIGHT - LEFT - GAP * (len(kinds) - 1)) / len(kinds)
    for number, kind in enumerate(kinds):
        page.column(LEFT + number * (width + GAP), y, KINDS[kind](page, width, lines))
    return page


def with_table(seed: int, *, ruled: bool, columns: int = 4, rows: int = 6, figures: bool = True) -> Page:
    """Prose, a table over the width, prose."""
    page = Page(seed)
    y = page.column(LEFT, TOP, prose(page, RIGHT - LEFT, 5)) + 16
    step = (RIGHT - LEFT) / columns
    table = [[page.own_word() for _ in range(columns)]]
    for _ in range(rows):
        first = page.own_word()
        rest = [
            f"{page.random.randint(1, 99)},{page.random.randint(100, 999)}" if figures else page.own_word()
            for _ in range(columns - 1)
        ]
        table.append([first, *rest])
    for row in table:
        for number, cell in enumerate(row):
            page.text(LEFT + number * step + 4, y + 11, cell, 9)
            if ruled:
                page.page.draw_rect((LEFT + number * step, y, LEFT + (number + 1) * step, y + 16), width=0.6)
        y += 16
    page.facts.rows = table
    page.column(LEFT, y + 20, prose(page, RIGHT - LEFT, 5))
    return page


def table_beside_prose(seed: int, *, ruled: bool) -> Page:
    """A column of prose, and beside it prose with a table among it."""
    page = Page(seed)
    width = (RIGHT - LEFT - GAP) / 2
    page.column(LEFT, TOP, prose(page, width, 24))
    x = LEFT + width + GAP
    y = page.column(x, TOP, prose(page, width, 6)) + 6
    for number in range(5):
        row = [page.own_word(), f"{page.random.randint(10, 99)}.{number}", f"{page.random.randint(100, 999)}"]
        page.facts.rows.append(row)
        for place, cell in enumerate(row):
            page.text(x + place * width / 3 + 3, y + 10, cell, 8)
            if ruled:
                page.page.draw_rect(
                    (x + place * width / 3, y, x + (place + 1) * width / 3, y + 14), width=0.6
                )
        y += 14
    page.column(x, y + 10, prose(page, width, 8))
    return page


def form(seed: int) -> Page:
    """A filled form: labels in small print in ruled boxes, values below them, and text between the boxes."""
    page = Page(seed)
    y = page.column(LEFT, TOP, prose(page, RIGHT - LEFT, 4)) + 6
    step = (RIGHT - LEFT) / 3
    for _ in range(5):
        for number in range(3):
            left = LEFT + number * step
            page.page.draw_rect((left, y, left + step, y + 30), width=0.6)
            label, value = page.own_word(), page.own_word()
            page.text(left + 3, y + 9, f"{label} {page.words(2)}", 7)
            page.text(left + 8, y + 24, value, 11, "cour")
            page.facts.present += [label, value]
        y += 30
        note = page.line(RIGHT - LEFT - 10, size=8, share=0.8)
        page.text(LEFT, y + 11, note, 8)
        page.facts.present.append(note)
        y += 18
    return page


def print_list(seed: int) -> Page:
    """A list as a mainframe prints it: one font of one width, columns by blanks."""
    page = Page(seed)
    y = TOP
    header = f"{'ACCOUNT':<10}{'NAME':<22}{'CITY':<14}{'BALANCE':>10}"
    page.text(LEFT, y, header, 9, "cour")
    for number in range(12):
        row = [
            str(4700 + 13 * number),
            page.own_word().upper(),
            page.own_word().upper(),
            f"{1000 + 7 * number}.50",
        ]
        y += 12
        page.text(LEFT, y, f"{row[0]:<10}{row[1]:<22}{row[2]:<14}{row[3]:>10}", 9, "cour")
        page.facts.rows.append(row)
    return page


def pages() -> Iterator[tuple[str, Page]]:
    """All pages, each with its name."""
    seeds = itertools.count(1)
    for left, right in itertools.product(KINDS, KINDS):
        yield f"{left} beside {right}", in_columns(next(seeds), left, right, page_lines=True)
    for kind in KINDS:
        yield f"a title over {kind} beside prose", in_columns(next(seeds), kind, "prose", title=True)
        yield f"a title over prose beside {kind}", in_columns(next(seeds), "prose", kind, title=True)
        yield f"{kind} alone", in_columns(next(seeds), kind)
    for kinds in (("prose",) * 3, ("prose", "bullets", "prose"), ("headed", "prose", "references")):
        yield f"three columns: {', '.join(kinds)}", in_columns(next(seeds), *kinds)
    for ruled in (True, False):
        for columns, figures in ((3, True), (4, True), (6, True), (4, False)):
            look = "ruled" if ruled else "borderless"
            name = f"a {look} table of {columns} columns {'with' if figures else 'without'} figures"
            yield name, with_table(next(seeds), ruled=ruled, columns=columns, figures=figures)
        yield (
            f"a {'ruled' if ruled else 'borderless'} table in a column",
            table_beside_prose(next(seeds), ruled=ruled),
        )
    for number in range(3):
        yield f"form {number + 1}", form(next(seeds))
        yield f"print list {number + 1}", print_list(next(seeds))
