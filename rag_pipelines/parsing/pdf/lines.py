"""Lines of text on a page: what is written on one baseline, and the visual rows that lines make.

What belongs here: a line as MuPDF gives it turned into one of ours, and which pieces belong together. What
does not: reading a page (`page`), single glyphs (`glyphs`), paragraphs (`flow`).
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from rag_pipelines.text.superscripts import raised

JOIN_GAP = 0.5
"""Pieces on one baseline closer than this many font sizes are one piece; wider gaps may be gutters."""

MARKER = re.compile(
    r"(?:[\x00-\x1f\x7f-\x9f\ue000-\uf8ff\ufffd•‣◦▪▫●○■□◆◇►▶➢➤✓✔❖⁃∙·]|[-–—*])"
    r"|(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,5})[.)]|\((?:\d{1,3}|[a-zA-Z]|[ivx]{1,5})\)"
)
"""What stands in front of a list item: a bullet (in symbol fonts often a private, control or unknown
character), or a number or letter with a point or bracket."""

LEADERS = re.compile(r"\s*(?:(?:\.\s?){5,}|…{2,}|_{5,}|\ufffd{5,})\s*")
"""Dots or strokes that lead the eye to a page number, kept as an ellipsis."""

LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"})
WIDE = re.compile("[\u3000-\u30ff\u3400-\u9fff\uac00-\ud7af\uff00-\uffef]")
"""Chinese, Japanese and Korean characters, twice as wide as Latin ones."""

LAM_ALEF = re.compile("(\u0644)([\u0622\u0623\u0625\u0627])")
"""Two letters that Arabic fonts draw as one glyph."""

_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")

RAISED_SIZE = 0.85
RAISED_BY = (0.12, 0.75)
"""A superscript is smaller than the text beside it by this factor at least, and stands above its line by so
many of its font sizes."""

MOST_SIZES = 4
"""A line of more font sizes comes from character recognition, which knows no superscripts."""

SAME_PRINT = 0.25
"""Equal text no more than so many font sizes apart is printed twice."""

OVERPRINT = 3.0
"""Pieces of a row that overlap by more font sizes are two texts, not parts of a word or a formula."""

SPACE_WIDTH = 0.25
"""Of a space, in font sizes, where only the width of the text with it is known."""

_FRACTION_STROKES = ("/", "\u2044", "\u2215")
_BOLD, _MONO = 16, 8


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

    def meets(self, other: Box) -> bool:
        """Whether `other` has a part inside."""
        return self.x0 < other.x1 and other.x0 < self.x1 and self.y0 < other.y1 and other.y0 < self.y1

    def union(self, other: Box) -> Box:
        """The smallest rectangle around both."""
        return Box(
            min(self.x0, other.x0), min(self.y0, other.y0), max(self.x1, other.x1), max(self.y1, other.y1)
        )


@dataclass(slots=True)
class Line:
    """A run of text on one baseline without a wide gap. `size` is the font size in points.

    `label` is what the layout model calls the region around it, where the model ran. `blank_before` and
    `blank_after` say that the file has a space there, which `text` and `box` are without.
    """

    text: str
    box: Box
    size: float
    bold: bool = False
    mono: bool = False
    direction: tuple[int, int] = (1, 0)
    label: str | None = None
    blank_before: bool = False
    blank_after: bool = False

    def upright(self) -> Line:
        """The line with coordinates turned so that its text runs left to right."""
        dx, dy = self.direction
        if (dx, dy) == (1, 0):
            return self
        corners = [(self.box.x0, self.box.y0), (self.box.x1, self.box.y1)]
        xs = sorted(x * dx + y * dy for x, y in corners)
        ys = sorted(y * dx - x * dy for x, y in corners)
        return replace(self, box=Box(xs[0], ys[0], xs[1], ys[1]))


def line_of(raw: dict[str, Any], spans: list[dict[str, Any]]) -> Line | None:
    """A raw line as one of ours, before the page is turned; None without text."""
    whole = spans[0]["text"] if len(spans) == 1 else _text_of(raw, spans)
    text = (whole if whole.isascii() else whole.translate(LIGATURES)).strip()
    if not text:
        return None
    before, after = whole[0].isspace(), whole[-1].isspace()
    direction = nearest_direction(raw["dir"])
    return Line(
        text,
        _box_of_text(spans, direction) if before or after else Box(*raw["bbox"]),
        *_style(spans),
        direction,
        blank_before=before,
        blank_after=after,
    )


def _text_of(raw: dict[str, Any], spans: list[dict[str, Any]]) -> str:
    """The text of spans, with those that stand above the line written as superscripts."""
    sizes = {span["size"] for span in spans if span["text"].strip()}
    if len(sizes) < 2 or len(sizes) > MOST_SIZES or min(sizes) > RAISED_SIZE * max(sizes):
        return "".join([span["text"] for span in spans])
    main = max(spans, key=lambda span: span["size"] if span["text"].strip() else 0.0)
    dx, dy = raw["dir"]
    size, (x, y) = main["size"], main["origin"]
    text = ""
    for number, span in enumerate(spans):
        own = span["text"]
        rise = (span["origin"][0] - x) * dy - (span["origin"][1] - y) * dx
        if span["size"] > RAISED_SIZE * size or not RAISED_BY[0] * size < rise < RAISED_BY[1] * size:
            text += own.lstrip(" ") if text.endswith(" ") else own
        elif "".join(later["text"] for later in spans[number + 1 :]).startswith(_FRACTION_STROKES):
            text += f" {own}" if text[-1:].isdigit() else own
        else:
            text += raised(text, own)
    return text


def _box_of_text(spans: list[dict[str, Any]], direction: tuple[int, int]) -> Box:
    """The box of a line without the spaces at its ends; only where it runs left to right."""
    filled = spans if len(spans) == 1 else [span for span in spans if span["text"].strip()]
    box = Box(*filled[0]["bbox"])
    for span in filled[1:]:
        box = box.union(Box(*span["bbox"]))
    first, last = filled[0], filled[-1]
    if direction != (1, 0) or is_right_to_left(first["text"] + last["text"]):
        return box
    left = SPACE_WIDTH * first["size"] * (len(first["text"]) - len(first["text"].lstrip()))
    right = SPACE_WIDTH * last["size"] * (len(last["text"]) - len(last["text"].rstrip()))
    return box if left + right >= box.width else Box(box.x0 + left, box.y0, box.x1 - right, box.y1)


def printed_over(lines: list[Line]) -> dict[int, Line]:
    """The lines that repeat another one, or a part of it, in the place where it stands, by their id."""
    over: dict[int, Line] = {}
    by_middle = sorted([(line.box.middle, number) for number, line in enumerate(lines)])
    for place, (middle, number) in enumerate(by_middle):
        line = lines[number]
        box = line.box
        for below, other_number in itertools.islice(by_middle, place + 1, None):
            if below - middle > SAME_PRINT * line.size:
                break
            other = lines[other_number]
            if other.box.x0 < box.x1 and box.x0 < other.box.x1:
                long, short = (line, other) if len(line.text) >= len(other.text) else (other, line)
                if _repeats(long, short):
                    over[id(short)] = short
    return over


def _repeats(long: Line, short: Line) -> bool:
    """Whether `short` says what `long` says there; where a part of it stands is known roughly only."""
    at = long.text.find(short.text)
    if at < 0:
        return False
    expected = long.box.x0 + _width_of_first(at, long)
    return abs(expected - short.box.x0) < long.size * (SAME_PRINT if long.text == short.text else 1.0)


def _width_of_first(count: int, line: Line) -> float:
    """About how wide the first characters of a line are."""
    narrow = len(line.text) + len(WIDE.findall(line.text))
    return line.box.width * (count + len(WIDE.findall(line.text[:count]))) / narrow


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
            longer = line if marker or len(line.text) > len(last.text) else last
            joined[-1] = replace(
                longer,
                text=_join_texts(first, second, gap),
                box=last.box.union(line.box),
                blank_before=first.blank_before,
                blank_after=second.blank_after,
            )
        else:
            joined.append(line)
    return joined[::-1] if backwards else joined


def _join_texts(first: Line, second: Line, gap: float) -> str:
    """The text of two near pieces of a row.

    The second may be a superscript of the first, or begin where it is printed over the end of the first.
    Pieces that lie over each other and share nothing are different texts, as a label and the value on it.
    """
    over = first.box.x1 - second.box.x0
    if first.box.x0 < second.box.x0 and over > SAME_PRINT * second.size:
        for count in range(min(len(first.text), len(second.text)), 0, -1):
            same = first.text.endswith(second.text[:count])
            if same and abs(_width_of_first(count, second) - over) < 0.5 * second.size:
                return first.text + second.text[count:]
    apart = gap > 0.1 * second.size or gap < -OVERPRINT * second.size
    if apart or first.blank_after or second.blank_before:
        return f"{first.text} {second.text}"
    rise = first.box.y1 - second.box.y1
    if second.size <= RAISED_SIZE * first.size and rise > RAISED_BY[0] * first.size:
        return first.text + raised(first.text, second.text)
    return first.text + second.text


def is_right_to_left(text: str) -> bool:
    """Whether most letters of `text` are of a script written right to left."""
    return not text.isascii() and 2 * len(_RIGHT_TO_LEFT.findall(text)) > sum(map(str.isalpha, text))


def words_as_read(line: str) -> str:
    """The words of a line, given from left to right on the page, as they are read.

    In a line read from the right, words of other scripts beside each other keep their order (UAX #9, L2).
    """
    if not is_right_to_left(line):
        return line
    words = reversed(line.split())
    runs = itertools.groupby(words, lambda word: _RIGHT_TO_LEFT.search(word) is not None)
    return " ".join(word for backwards, run in runs for word in (run if backwards else [*run][::-1]))


def nearest_direction(direction: tuple[float, float]) -> tuple[int, int]:
    """The nearest of the four directions."""
    dx, dy = direction
    return (1 if dx >= 0 else -1, 0) if abs(dx) >= abs(dy) else (0, 1 if dy >= 0 else -1)


def _style(spans: list[dict[str, Any]]) -> tuple[float, bool, bool]:
    """The size in half points that most characters of a line have, and whether most are bold, and mono."""
    weights: dict[tuple[float, int], int] = {}
    for span in spans:
        look = span["size"], span["flags"]
        weights[look] = weights.get(look, 0) + len(span["text"].strip())
    if len(weights) == 1:
        size, flags = look
        return round(size * 2) / 2, bool(flags & _BOLD), bool(flags & _MONO)
    sizes, bolds, monos = Counter[float](), Counter[bool](), Counter[bool]()
    for (size, flags), weight in weights.items():
        sizes[round(size * 2) / 2] += weight
        bolds[bool(flags & _BOLD)] += weight
        monos[bool(flags & _MONO)] += weight
    return sizes.most_common(1)[0][0], bolds.most_common(1)[0][0], monos.most_common(1)[0][0]
