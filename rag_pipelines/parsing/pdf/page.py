"""One page of a PDF as upright lines of text and the vector shapes around them.

What belongs here: reading a MuPDF page into values of our own, in one native pass. What does not:
what a line is (`lines`), order, paragraphs (`flow`), tables (`tables`) or anything that needs another page.

Coordinates are points from the upper left corner of the page turned so that most of its text runs
left to right; the page's own rotation is ignored, because producers set it wrongly. Lines in another
direction (a sideways note, vertical Japanese) keep that direction; `upright` turns a line so that its
own text runs left to right and its successors stand below, and reading order is found there.

What is kept and what is not: text outside the page is clipped away, and text smaller than a point
cannot be read by a person and is dropped and counted. Text printed twice, to look bold or to throw a
shadow, stands once. Glyphs that the file maps to no character are counted, and a line of little else is
dropped. Invisible text is kept, because that is how a scan carries its recognised text, and so is white
text, because it may stand on a dark ground.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rag_pipelines.parsing.pdf.engine import faults, mupdf
from rag_pipelines.parsing.pdf.fonts import UNMAPPED, size_of, take_out_garbled
from rag_pipelines.parsing.pdf.forms import NOT_TICKED, TICKED, read_fields, signs_of
from rag_pipelines.parsing.pdf.glyphs import in_doubt, read_glyphs
from rag_pipelines.parsing.pdf.lines import (
    LEADERS,
    MARKER,
    Box,
    Line,
    line_of,
    nearest_direction,
    printed_over,
)
from rag_pipelines.parsing.pdf.links import PageLink, read_links

SMALLEST_READABLE = 1.0
"""Font size in points below which text is not for people."""

FIELD_SIZE = 10.0
"""The font size of text in a field without an appearance is not known; this is the usual one."""

PICTURE = 0.25
"""An image that covers so much of a page without text is what there is to read on it."""

FEW_LETTERS = 8
"""So many letters more in the glyphs than in the tags are an abbreviation or a hyphen, no lost words."""

_TEXT_BLOCK, _VECTOR_BLOCK = 0, 3


@dataclass(slots=True)
class Page:
    """What one page holds. `number` counts from 1; `shapes` are the bounding boxes of vector graphics.

    `unmapped` is the number of glyphs that have no character, `words` what MuPDF reads on the page, and
    `hidden` the text that is not for people or printed over. `recognised` are the lines that were recognised
    in the picture of the page, with how sure the engine is of each, and `pictures` those among its text, each
    with its box and as a page of its own.
    """

    number: int
    width: float
    height: float
    lines: list[Line] = field(default_factory=list)
    shapes: list[Box] = field(default_factory=list)
    tiny_lines: int = 0
    unmapped: int = 0
    words: str = ""
    hidden: list[str] = field(default_factory=list)
    recognised: list[tuple[Box, float]] = field(default_factory=list)
    pictures: list[tuple[Box, Page]] = field(default_factory=list)
    links: list[PageLink] = field(default_factory=list)

    @property
    def upright_lines(self) -> list[Line]:
        """The lines that run left to right."""
        return [line for line in self.lines if line.direction == (1, 0)]


def read_page(page: Any, replaced_text: bool = True) -> Page:
    """The lines and shapes of a MuPDF page, which is left turned the way its text runs.

    `replaced_text` has MuPDF read the text that tags give in the place of glyphs.
    """
    glyphs = page.get_textpage(flags=_flags(replaced_text))
    links = read_links(page, glyphs)
    content, words = _content(page, glyphs)
    weights = Counter[tuple[int, int]]()
    for raw in _raw_lines(content):
        if not raw["wmode"]:
            weights[nearest_direction(raw["dir"])] += sum([len(span["text"]) for span in raw["spans"]])
    main = weights.most_common(1)[0][0] if weights else (1, 0)
    turn = {(1, 0): 0, (0, -1): 90, (-1, 0): 180, (0, 1): 270}[main]
    if page.rotation != turn:
        page.set_rotation(turn)
    matrix = page.rotation_matrix
    result = Page(
        page.number + 1,
        page.rect.width,
        page.rect.height,
        words=words,
        links=links,
    )
    for raw in _raw_lines(content):
        for span in raw["spans"]:
            span["size"] = size_of(span, raw["dir"])
        spans = [span for span in raw["spans"] if span["size"] >= SMALLEST_READABLE]
        if raw["spans"] and not spans:
            result.tiny_lines += 1
            result.hidden.extend(span["text"] for span in raw["spans"])
        for span in spans:
            if (shown := signs_of(span["font"], span["text"])) != span["text"]:
                result.hidden.append(span["text"])
                span["text"] = shown
        line = line_of(raw, spans) if spans else None
        if line is None:
            continue
        if UNMAPPED in line.text and not MARKER.fullmatch(line.text.partition(" ")[0]):
            result.unmapped += (unmapped := line.text.count(UNMAPPED))
            if unmapped > sum(map(str.isalnum, line.text)):
                continue
        if line.text.count(".") > 4 or not line.text.isascii() or "_____" in line.text:
            line.text = LEADERS.sub(" … ", line.text).strip()
        if turn:
            dx, dy = line.direction
            line.direction = (
                round(dx * matrix.a + dy * matrix.c),
                round(dx * matrix.b + dy * matrix.d),
            )
            line.box = _rotate(line.box, matrix)
        result.lines.append(line)
    _fill_in_fields(page, result)
    over = printed_over(result.lines)
    if over:
        result.lines = [line for line in result.lines if id(line) not in over]
        result.hidden.extend(line.text for line in over.values())
    for block in content["blocks"]:
        if block["type"] == _VECTOR_BLOCK:
            result.shapes.append(_rotate(block["bbox"], matrix) if turn else Box(*block["bbox"]))
    return result


def readable_pages(document: Any) -> Iterator[Any]:
    """The pages of a document that can be loaded; the others are counted where their text is read."""
    for number in range(document.page_count):
        try:
            page = document.load_page(number)
        except faults():
            continue
        yield page


def tags_hide_words(page: Any, words: str) -> bool:
    """Whether tags give less text for the glyphs of a MuPDF page than these show; `words` is what was read.

    An /ActualText replaces what it is on (ISO 32000-1, 14.9.4), and Word puts a blank on more than blanks.
    """

    def letters(replaced_text: bool) -> int:
        flags = _flags(replaced_text) & ~mupdf().TEXT_COLLECT_VECTORS
        return sum(map(str.isalnum, page.get_text(flags=flags)))

    few = letters(replaced_text=False) - FEW_LETTERS
    return few > sum(map(str.isalnum, words)) and few > letters(replaced_text=True)


def _fill_in_fields(page: Any, result: Page) -> None:
    """Put what is ticked and chosen in the fields of a form in the place of the signs drawn in them."""
    for place, tick, values, options in read_fields(page):
        box = Box(*place)
        if tick:
            signs = [line for line in result.lines if len(line.text) < 3 and box.holds(line.box)]
            result.hidden.extend(line.text for line in signs)
            result.lines = [line for line in result.lines if not any(line is sign for sign in signs)]
            result.lines.append(Line(tick, box, min(box.height, FIELD_SIZE)))
        elif options:
            for line in result.lines:
                if box.holds(line.box):
                    line.text = f"{TICKED if line.text in values else NOT_TICKED} {line.text}"
        elif not any(box.meets(line.box) for line in result.lines):
            height = box.height / max(len(values), 1)
            for number, text in enumerate(values):
                top = box.y0 + number * height
                place_of_line = Box(box.x0, top, box.x1, top + height)
                result.lines.append(Line(text, place_of_line, min(height, FIELD_SIZE)))


def _content(page: Any, glyphs: Any) -> tuple[dict[str, Any], str]:
    """The page as MuPDF's ``dict``, where lines in doubt are read by their glyphs, and the text of all."""
    content: dict[str, Any] = page.get_text("dict", textpage=glyphs)
    take_out_garbled(_raw_lines(content))
    texts = [_plain(line) for line in _raw_lines(content)]
    words = "\n".join(texts)
    if not in_doubt(words):
        return content, words
    doubtful = [in_doubt(text) for text in texts]
    if not any(doubtful):
        return content, words
    of_glyphs = _raw_lines(page.get_text("rawdict", textpage=glyphs))
    for line, with_glyphs, doubt in zip(_raw_lines(content), of_glyphs, doubtful, strict=True):
        if doubt and UNMAPPED not in _plain(line):
            line["spans"] = read_glyphs(with_glyphs)
    return content, "\n".join(map(_plain, _raw_lines(content)))


def _plain(line: dict[str, Any]) -> str:
    return "".join([span["text"] for span in line["spans"]])


def count_pictures(page: Any) -> int:
    """The images on a MuPDF page that cover a good part of it each, as the scan of a page does."""
    area = abs(page.rect.width * page.rect.height)
    return sum(
        abs(mupdf().Rect(box) & page.rect) > PICTURE * area
        for kind, box in page.get_bboxlog()
        if kind in ("fill-image", "fill-imgmask")
    )


def _flags(replaced_text: bool) -> int:
    """Text as `get_text` has it but for images and white space runs, with the vector shapes."""
    pymupdf = mupdf()
    left_out = (
        pymupdf.TEXT_PRESERVE_IMAGES | pymupdf.TEXT_PRESERVE_WHITESPACE | pymupdf.TEXT_CID_FOR_UNKNOWN_UNICODE
    )
    added = pymupdf.TEXT_COLLECT_VECTORS | (0 if replaced_text else pymupdf.TEXT_IGNORE_ACTUALTEXT)
    return int(pymupdf.TEXTFLAGS_DICT & ~left_out | added)


def _raw_lines(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for block in content["blocks"]:
        if block["type"] == _TEXT_BLOCK:
            yield from block["lines"]


def _rotate(bbox: tuple[float, float, float, float], matrix: Any) -> Box:
    return Box(*(mupdf().Rect(bbox) * matrix))
