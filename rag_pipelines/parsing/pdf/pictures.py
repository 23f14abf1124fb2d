"""Pictures on pages of a PDF that have text: a screenshot, a scanned table, a photo of a sign.

What belongs here: which of them are read, and the lines in them. What does not: pages that are pictures
(`recognised`), the place of a picture and of its lines among the text (`flow`), the engines (`parsing.ocr`).

A picture is read as the page shows it: the file may keep it without its mask, upside down or in strips.
Lines of the page that stand on it are not read again.
"""

from __future__ import annotations

import functools
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rag_pipelines.errors import CorruptDocumentError
from rag_pipelines.parsing.base import ParseRequest, RecognisedLine
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.losses import Loss
from rag_pipelines.parsing.pdf.engine import faults, mupdf
from rag_pipelines.parsing.pdf.lines import Box
from rag_pipelines.parsing.pdf.page import Page
from rag_pipelines.parsing.pdf.recognised import POINTS, take_lines

SMALLEST = 36.0
"""Points of a side below which a picture is an icon, a rule or an ornament."""

COARSEST = 0.5
"""Dots a point below which no letters can be told: a gradient, a pattern."""

CARRIES_TEXT = 0.05
"""The share of a picture that lines of the page cover where it is their ground, or the scan that they were
read from. A stamp on a picture and labels in it cover less."""

REPEATED = 3
"""A picture on so many pages is a logo or an ornament."""

MOST_DOTS = 16_000_000
"""Of a picture as it is read; A4 at 400 dpi."""

MOST_PARTS = 400
"""A page of more pictures is a drawing or a map put together of them."""

LEAST_LETTERS = 3
"""Letters and digits below which what an engine sees in a picture is no text: an arrow, a wheel."""

_SEAM = 1.0
"""Strips of one picture are at most so many points apart."""


@dataclass(slots=True)
class _Part:
    """An image on a page: its box, what its content is known by (None if it is not), and its dots a point."""

    box: Box
    content: bytes | None
    density: float


@dataclass(slots=True)
class _Picture:
    """What a reader sees as one picture: an image, or several side by side."""

    page: Page
    parts: list[_Part]
    box: Box

    @property
    def density(self) -> float:
        return max(part.density for part in self.parts)

    @property
    def key(self) -> tuple[bytes, ...] | None:
        """What the same picture elsewhere has too; None where that cannot be told."""
        contents = [part.content for part in self.parts if part.content is not None]
        return tuple(sorted(contents)) if len(contents) == len(self.parts) else None

    def share_with_text(self) -> float:
        return _covered(self.box, self.page) / _area(self.box)


def read_pictures(
    document: Any, pages: Sequence[Page], request: ParseRequest, builder: DocumentBuilder
) -> None:
    """Give the pages with text what is in their pictures, as `Page.pictures`, where something reads pictures.

    The first ``ocr.max_pictures`` are read, one that is shown again once; `Loss.IMAGES` counts the others and
    those without text. Counters: ``recognised_pictures``, ``pictures_over_ocr_limit``.
    """
    if request.recognise is None:
        return
    digest = functools.cache(lambda xref: hashlib.sha256(document.xref_stream_raw(xref) or b"").digest())
    of_text = (page for page in pages if page.lines and not page.recognised)
    pictures = [picture for page in of_text for picture in _pictures(document, page, digest)]
    shown_on: dict[tuple[bytes, ...], set[int]] = defaultdict(set)
    for picture in pictures:
        if picture.key is not None:
            shown_on[picture.key].add(picture.page.number)
    reader = _Reader(document, request, builder)
    for picture in pictures:
        if picture.key is None or len(shown_on[picture.key]) < REPEATED:
            inside = reader.read(picture)
            if inside is not None and inside.lines:
                picture.page.pictures.append((picture.box, inside))
            else:
                builder.lose(Loss.IMAGES)


class _Reader:
    """Has pictures recognised, up to the limit, and knows those again on which nothing else stands."""

    def __init__(self, document: Any, request: ParseRequest, builder: DocumentBuilder) -> None:
        self._document = document
        self._request = request
        self._builder = builder
        self._known: dict[tuple[bytes, ...], tuple[int, list[RecognisedLine]]] = {}

    def read(self, picture: _Picture) -> Page | None:
        """The picture as a page of its own; None if it is one too many."""
        key = picture.key if not picture.share_with_text() else None
        if key is not None and key in self._known:
            width, lines = self._known[key]
        elif self._builder.counters["recognised_pictures"] >= self._request.options.ocr.max_pictures:
            self._builder.counters["pictures_over_ocr_limit"] += 1
            return None
        else:
            self._builder.counters["recognised_pictures"] += 1
            width, lines = self._recognised(picture)
            if key is not None:
                self._known[key] = width, lines
        box, least = picture.box, self._request.options.ocr.min_confidence
        inside = Page(picture.page.number, box.width, box.height)
        self._builder.lose(Loss.CHARACTERS, take_lines(inside, lines, box.width / width, least))
        _keep_text(inside, picture)
        return inside

    def _recognised(self, picture: _Picture) -> tuple[int, list[RecognisedLine]]:
        """The lines of a picture, in dots, and the dots of its width; none where it cannot be read."""
        recognise, dpi = self._request.recognise, self._request.options.ocr.dpi
        assert recognise is not None
        unreadable: tuple[type[Exception], ...] = (CorruptDocumentError, *faults())
        zoom = min(max(dpi / POINTS, picture.density), (MOST_DOTS / _area(picture.box)) ** 0.5)
        try:
            page = self._document.load_page(picture.page.number - 1)
            drawn = page.get_pixmap(matrix=mupdf().Matrix(zoom, zoom), clip=picture.box, alpha=False)
            return drawn.width, recognise(drawn.tobytes("png"))
        except unreadable:
            return 1, []


def _keep_text(inside: Page, picture: _Picture) -> None:
    """Take out of what was recognised what is no text, and lines of the page that stand on the picture."""
    left, top = picture.box.x0, picture.box.y0
    own = [
        Box(box.x0 - left, box.y0 - top, box.x1 - left, box.y1 - top)
        for box in (line.box for line in picture.page.lines)
        if picture.box.meets(box)
    ]
    inside.lines = [
        line
        for line in inside.lines
        if _letters(line.text) and not any(box.holds(line.box) or line.box.holds(box) for box in own)
    ]
    if sum(_letters(line.text) for line in inside.lines) < LEAST_LETTERS:
        inside.lines.clear()


def _letters(text: str) -> int:
    return sum(map(str.isalnum, text))


def _pictures(document: Any, page: Page, digest: Callable[[int], bytes]) -> list[_Picture]:
    """The pictures on a page with text that may hold more of it."""
    try:
        mupdf_page = document.load_page(page.number - 1)
        parts = list(_parts(mupdf_page, page, digest))
    except faults():
        return []
    pictures: list[_Picture] = []
    for part in parts if len(parts) <= MOST_PARTS else ():
        _put_together(pictures, _Picture(page, [part], part.box))
    return [
        picture
        for picture in pictures
        if min(picture.box.width, picture.box.height) >= SMALLEST
        and picture.density >= COARSEST
        and picture.share_with_text() < CARRIES_TEXT
    ]


def _put_together(pictures: list[_Picture], picture: _Picture) -> None:
    """Add `picture`, as one with those that it touches."""
    wide = Box(picture.box.x0 - _SEAM, picture.box.y0 - _SEAM, picture.box.x1 + _SEAM, picture.box.y1 + _SEAM)
    for other in pictures:
        if wide.meets(other.box):
            pictures.remove(other)
            whole = _Picture(picture.page, other.parts + picture.parts, other.box.union(picture.box))
            return _put_together(pictures, whole)
    pictures.append(picture)


def _parts(mupdf_page: Any, page: Page, digest: Callable[[int], bytes]) -> Iterator[_Part]:
    """The images on a page, as far as they are on it, without those that are the ground of its text."""
    shown: list[tuple[dict[str, Any], Any, Box]] = []
    for image in mupdf_page.get_image_info():
        whole = mupdf().Rect(image["bbox"]) * mupdf_page.rotation_matrix
        box = Box(*(whole & mupdf_page.rect))
        if box.width > 0 and box.height > 0 and _covered(box, page) < CARRIES_TEXT * _area(box):
            shown.append((image, whole, box))
    known: dict[tuple[int, int, int], set[bytes]] = defaultdict(set)
    for xref, _, width, height, bits, *_ in mupdf_page.get_images() if shown else ():
        known[width, height, bits].add(digest(xref))
    for image, whole, box in shown:
        dots = image["width"] * image["height"] / max(whole.width * whole.height, 1.0)
        same = known[image["width"], image["height"], image["bpc"]]
        yield _Part(box, next(iter(same)) if len(same) == 1 else None, dots**0.5)


def _covered(box: Box, page: Page) -> float:
    """The square points of `box` that lines of the page cover."""
    shared = [
        Box(*map(max, box[:2], line.box[:2]), *map(min, box[2:], line.box[2:]))
        for line in page.lines
        if box.meets(line.box)
    ]
    return sum(map(_area, shared))


def _area(box: Box) -> float:
    return box.width * box.height
