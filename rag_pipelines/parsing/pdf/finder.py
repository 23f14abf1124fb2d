"""MuPDF's table finder without the work whose results are not read.

What belongs here: reading a page and judging a cell once in all the looks that the finder takes at them. What
does not: when it is asked, and what becomes of its tables (`tables`).

The finder reads a page anew for its characters, words, spans and turned lines, once for rulings alone and
again beside the models, pictures included; and it judges the text of a cell many times over when it looks for
the header. Its answers are the same as without this module, in half the time.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rag_pipelines.parsing.pdf.engine import mupdf

CELLS_REMEMBERED = 4_096
"""Texts of cells whose kind is remembered, as many as some large tables have."""

_OF_TEXT = ("cell_type", "count_alpha", "count_digit", "date_or_period_like", "numeric_like")
_OF_ROW = ("row_features", "row_vector")
"""Functions of the finder of headers that depend on nothing but the text of a cell, and of a row's cells."""

_WHOLE_PAGE = ("words", "dict", "rawdict")


@contextmanager
def reading_once(page: Any) -> Iterator[None]:
    """Within, the table finder reads `page` once; nothing else may change the page.

    A turned page is another object to the finder, and is read as ever.
    """
    _remember_cells()
    finder, read_anew = mupdf().table, page.get_text
    text_page: list[Any] = []
    answers: dict[str, Any] = {}
    characters: list[dict[str, Any]] = []
    characters_page: list[Any] = []

    def get_text(option: str = "text", **settings: Any) -> Any:
        if settings or option not in _WHOLE_PAGE:
            return read_anew(option, **settings)
        if option not in answers:
            if not text_page:
                text_page.append(page.get_textpage(flags=mupdf().TEXTFLAGS_WORDS))
            answers[option] = read_anew(option, textpage=text_page[0])
        return answers[option]

    def make_chars(same_page: Any, clip: Any = None) -> Any:
        if not characters_page:
            characters_page.append(same_page.get_textpage(clip=clip, flags=finder.FLAGS))
            characters.extend(_characters(same_page, characters_page[0]))
        finder.CHARS.extend(characters)
        return characters_page[0]

    read_characters = finder.make_chars
    page.get_text = get_text
    if page.rotation == 0:
        finder.make_chars = make_chars
    try:
        yield
    finally:
        finder.make_chars = read_characters
        del page.get_text


def _characters(page: Any, text_page: Any) -> Iterator[dict[str, Any]]:
    """What the finder of rulings asks of each character: text, place from the top, and from the bottom."""
    matrix = page.transformation_matrix
    for block in page.get_text("rawdict", textpage=text_page)["blocks"]:
        for line in block["lines"]:
            for span in line["spans"]:
                for char in span["chars"]:
                    x0, top, x1, bottom = char["bbox"]
                    ends = top * matrix.d + matrix.f, bottom * matrix.d + matrix.f
                    yield {
                        "text": char["c"],
                        "x0": x0,
                        "x1": x1,
                        "top": top,
                        "bottom": bottom,
                        "y0": min(ends),
                        "y1": max(ends),
                    }


@functools.cache
def _remember_cells() -> None:
    """Have the finder of headers judge equal cells and rows once."""
    mupdf()
    from pymupdf import _table_headers as headers

    for name in _OF_TEXT:
        setattr(headers, name, functools.lru_cache(CELLS_REMEMBERED)(getattr(headers, name)))
    for name in _OF_ROW:
        setattr(headers, name, _of_row(getattr(headers, name)))


def _of_row(judge: Callable[[list[str]], dict[str, float]]) -> Callable[[list[str]], dict[str, float]]:
    remembered = functools.lru_cache(CELLS_REMEMBERED)(lambda cells: judge(list(cells)))
    return functools.wraps(judge)(lambda cells: dict(remembered(tuple(cells))))
