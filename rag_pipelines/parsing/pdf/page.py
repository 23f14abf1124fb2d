"""One page of a PDF as upright lines of text and the vector shapes around them.

What belongs here: reading a MuPDF page into values of our own, in one native pass. What does not:
order, paragraphs (`flow`), tables (`tables`) or anything that needs another page.

Coordinates are points from the upper left corner of the page turned so that most of its text runs
left to right; the page's own rotation is ignored, because producers set it wrongly. Lines in another
direction (a sideways note, vertical Japanese) keep that direction; `upright` turns a line so that its
own text runs left to right and its successors stand below, and reading order is found there.

What is kept and what is not: text outside the page is clipped away, and text smaller than a point
cannot be read by a person and is dropped and counted. Invisible text is kept, because that is how a
scan carries its recognised text, and so is white text, because it may stand on a dark ground.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from rag_pipelines.parsing.pdf.engine import mupdf

SMALLEST_READABLE = 1.0
"""Font size in points below which text is not for people."""

JOIN_GAP = 0.5
"""Pieces on one baseline closer than this many font sizes are one piece; wider gaps may be gutters."""

MARKER = re.compile(
    r"(?:[\x00-\x1f\x7f-\x9f\ue000-\uf8ff\ufffd•‣◦▪▫●○■□◆◇►▶➢➤✓✔❖⁃∙·]|[-–—*])"
    r"|(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)]|\((?:\d{1,3}|[a-zA-Z]|[ivx]{1,5})\)"
)
"""What stands in front of a list item: a bullet (in symbol fonts often a private, control or unknown
character), or a number or letter with a point or bracket."""

LEADERS = re.compile(r"\s*(?:(?:\.\s?){5,}|…{2,}|_{5,})\s*")
"""Dots or strokes that lead the eye to a page number, kept as an ellipsis."""

LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"})
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")

_BOLD, _MONO = 16, 8
_TEXT_BLOCK, _VECTOR_BLOCK = 0, 3


class Box(NamedTuple):
    """A rectangle: left, top, right, bottom."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        return self.y1 - self.y0

    @property
    def middle(self) -> float:
        return (self.y0 + self.y1) / 2

    def holds(self, other: Box) -> bool:
        """Whether the centre of `other` lies inside."""
        return (
            self.x0 <= (other.x0 + other.x1) / 2 <= self.x1
            and self.y0 <= (other.y0 + other.y1) / 2 <= self.y1
        )

    def union(self, other: Box) -> Box:
        """The smallest rectangle around both."""
        return Box(
            min(self.x0, other.x0), min(self.y0, other.y0), max(self.x1, other.x1), max(self.y1, other.y1)
        )


@dataclass(slots=True)
class Line:
    """A run of text on one baseline without a wide gap. `size` is the font size in points.

    `label` is what the layout model calls the region around it, where the model ran.
    """

    text: str
    box: Box
    size: float
    bold: bool = False
    mono: bool = False
    direction: tuple[int, int] = (1, 0)
    label: str | None = None

    def upright(self) -> Line:
        """The line with coordinates turned so that its text runs left to right."""
        dx, dy = self.direction
        if (dx, dy) == (1, 0):
            return self
        corners = [(self.box.x0, self.box.y0), (self.box.x1, self.box.y1)]
        xs = sorted(x * dx + y * dy for x, y in corners)
        ys = sorted(y * dx - x * dy for x, y in corners)
        return replace(self, box=Box(xs[0], ys[0], xs[1], ys[1]))


@dataclass(slots=True)
class Page:
    """What one page holds. `number` counts from 1; `shapes` are the bounding boxes of vector graphics."""

    number: int
    width: float
    height: float
    lines: list[Line] = field(default_factory=list)
    shapes: list[Box] = field(default_factory=list)
    tiny_lines: int = 0
    words: str = ""

    @property
    def upright_lines(self) -> list[Line]:
        """The lines that run left to right."""
        return [line for line in self.lines if line.direction == (1, 0)]


def read_page(page: Any) -> Page:
    """The lines and shapes of a MuPDF page, which is left turned the way its text runs."""
    glyphs = page.get_textpage(flags=_flags())
    content = page.get_text("dict", textpage=glyphs)
    weights = Counter[tuple[int, int]]()
    for line in _raw_lines(content):
        if not line["wmode"]:
            weights[_direction(line["dir"])] += sum(len(span["text"]) for span in line["spans"])
    main = weights.most_common(1)[0][0] if weights else (1, 0)
    turn = {(1, 0): 0, (0, -1): 90, (-1, 0): 180, (0, 1): 270}[main]
    page.set_rotation(turn)
    matrix = page.rotation_matrix
    result = Page(
        page.number + 1, page.rect.width, page.rect.height, words=page.get_text("text", textpage=glyphs)
    )
    for line in _raw_lines(content):
        spans = [span for span in line["spans"] if span["size"] >= SMALLEST_READABLE]
        text = "".join(span["text"] for span in spans).translate(LIGATURES)
        text = LEADERS.sub(" … ", text).strip()
        if not text:
            result.tiny_lines += bool(line["spans"]) and not spans
            continue
        dx, dy = _direction(line["dir"])
        if turn:
            dx, dy = round(dx * matrix.a + dy * matrix.c), round(dx * matrix.b + dy * matrix.d)
        result.lines.append(
            Line(
                text,
                _rotate(line["bbox"], matrix) if turn else Box(*line["bbox"]),
                _dominant(spans, lambda span: round(span["size"] * 2) / 2),
                _dominant(spans, lambda span: bool(span["flags"] & _BOLD)),
                _dominant(spans, lambda span: bool(span["flags"] & _MONO)),
                (dx, dy),
            )
        )
    for block in content["blocks"]:
        if block["type"] == _VECTOR_BLOCK:
            result.shapes.append(_rotate(block["bbox"], matrix) if turn else Box(*block["bbox"]))
    return result


def rows(lines: list[Line]) -> list[list[Line]]:
    """Upright lines by visual row from the top, each row in reading direction, near pieces joined."""
    result: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: line.box.middle):
        row = result[-1] if result else None
        if row and line.box.middle - row[0].box.middle <= 0.4 * min(line.size, row[0].size):
            row.append(line)
        else:
            result.append([line])
    return [_join_pieces(row) for row in result]


def _join_pieces(row: list[Line]) -> list[Line]:
    """The pieces of a row left to right (right to left where the text is), with near ones made one."""
    row.sort(key=lambda line: line.box.x0)
    joined = row[:1]
    backwards = len(row) > 1 and is_right_to_left(" ".join(line.text for line in row))
    for line in row[1:]:
        last = joined[-1]
        gap = line.box.x0 - last.box.x1
        marker = MARKER.fullmatch(last.text) is not None and gap < 4 * line.size
        if gap < JOIN_GAP * min(line.size, last.size) or marker:
            first, second = (line, last) if backwards else (last, line)
            space = " " if gap > 0.1 * line.size else ""
            longer = line if marker or len(line.text) > len(last.text) else last
            joined[-1] = replace(longer, text=first.text + space + second.text, box=last.box.union(line.box))
        else:
            joined.append(line)
    return joined[::-1] if backwards else joined


def is_right_to_left(text: str) -> bool:
    """Whether most letters of `text` are of a script written right to left."""
    return 2 * len(_RIGHT_TO_LEFT.findall(text)) > sum(map(str.isalpha, text))


def _flags() -> int:
    """Text as `get_text` has it but for images and white space runs, with the vector shapes."""
    pymupdf = mupdf()
    left_out = pymupdf.TEXT_PRESERVE_IMAGES | pymupdf.TEXT_PRESERVE_WHITESPACE
    return int(pymupdf.TEXTFLAGS_DICT & ~left_out | pymupdf.TEXT_COLLECT_VECTORS)


def _raw_lines(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for block in content["blocks"]:
        if block["type"] == _TEXT_BLOCK:
            yield from block["lines"]


def _direction(direction: tuple[float, float]) -> tuple[int, int]:
    """The nearest of the four directions."""
    dx, dy = direction
    return (1 if dx >= 0 else -1, 0) if abs(dx) >= abs(dy) else (0, 1 if dy >= 0 else -1)


def _rotate(bbox: tuple[float, float, float, float], matrix: Any) -> Box:
    return Box(*(mupdf().Rect(bbox) * matrix))


def _dominant(spans: list[dict[str, Any]], of: Any) -> Any:
    """The property that most characters of a line have."""
    if len(spans) == 1:
        return of(spans[0])
    weights = Counter[Any]()
    for span in spans:
        weights[of(span)] += len(span["text"].strip())
    return weights.most_common(1)[0][0]
