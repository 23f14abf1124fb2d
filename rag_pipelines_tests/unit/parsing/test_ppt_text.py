"""Old binary presentations: characters and paragraphs as they look, from the bytes of their properties."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.parsing.office.ppt_text import read_lines

FONTS = ["Arial", "Symbol", "Wingdings"]


def paragraphs(*runs: tuple[int, int]) -> bytes:
    """Runs of so many characters at a depth, the first fields of each in use."""
    return b"".join(
        struct.pack("<IHIHHH", count, depth, 0x0 | 0x800 | 0x1 | 0x80, 1, 0x2022, 0) for count, depth in runs
    )


def characters(*runs: tuple[int, int, bytes]) -> bytes:
    return b"".join(struct.pack("<II", count, masks) + fields for count, masks, fields in runs)


def texts(text: str, style: bytes, extension: bytes = b"") -> list[str]:
    return [line.text for line in read_lines(text, style, extension, FONTS)]


def test_text_without_properties_is_its_paragraphs() -> None:
    assert texts("One\rTwo", b"") == ["One", "Two"]


@pytest.mark.parametrize(
    ("masks", "fields", "shown"),
    [
        (0x80000, struct.pack("<h", 30), "10^6 l"),
        (0x80000, struct.pack("<h", -25), "106 l"),
        (0x10000, struct.pack("<H", 1), "106 l"),
        (0x90001, struct.pack("<HHh", 1, 0, 30), "10^6 l"),
        (0x60000, struct.pack("<HI", 24, 0), "106 l"),
    ],
)
def test_raised_characters_are_kept_apart(masks: int, fields: bytes, shown: str) -> None:
    style = paragraphs((6, 0)) + characters((2, 0, b""), (1, masks, fields), (3, 0, b""))
    assert texts("106 l", style) == [shown]


def test_a_symbol_is_what_its_font_shows() -> None:
    style = paragraphs((6, 0)) + characters(
        (2, 0x10000, struct.pack("<H", 1)), (4, 0x800000, struct.pack("<H", 2))
    )
    assert texts("ab\uf0fec", style) == ["αβ☑c"]


def bullets(*numbers: tuple[int, int] | None) -> bytes:
    entries = []
    for number in numbers:
        has = b"" if number is None else struct.pack("<HHH", 1, *number)
        entries.append(struct.pack("<I", 0 if number is None else 0x3000000) + has + bytes(8))
    return b"".join(entries)


def test_paragraphs_stand_behind_their_automatic_numbers() -> None:
    text = "one\rtwo\rplain\rthree"
    looks = [(8, 1), (6, 0), (6, 2)]
    style = paragraphs((4, 0), (4, 1), (6, 0), (6, 0))
    style += characters(*((count, 0x400, struct.pack("<H", place << 10)) for count, place in looks))
    lines = read_lines(text, style, bullets(None, (3, 1), (1, 4)), FONTS)
    assert [(line.text, line.depth, line.is_numbered) for line in lines] == [
        ("1. one", 0, True),
        ("1. two", 1, True),
        ("plain", 0, False),
        ("D. three", 0, True),
    ]


@given(st.text(max_size=20), st.binary(max_size=60), st.binary(max_size=60))
def test_damaged_properties_lose_no_characters(text: str, style: bytes, extension: bytes) -> None:
    kept = "".join(line.text for line in read_lines(text, style, extension, []))
    assert sum(map(len, text.split("\r"))) <= len(kept)
