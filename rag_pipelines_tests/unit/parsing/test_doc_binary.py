"""Old binary Word documents: fields, form fields, looks and numbers from the bytes that keep them."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.parsing.office.doc_characters import CharacterLook, form_value, read_fonts, read_look
from rag_pipelines.parsing.office.doc_numbering import BinaryNumbering
from rag_pipelines.parsing.office.doc_text import _shown
from rag_pipelines.parsing.office.list_levels import Counters, Level


def shown(text: str) -> str:
    return "".join(text[start:end] for start, end in _shown(text, 0, len(text)))


@pytest.mark.parametrize(
    ("stored", "seen"),
    [
        ("plain", "plain"),
        ("a\x13 PAGE \x147\x15b", "a7\x15b"),
        ("a\x13 IF \x13 MERGEFIELD x \x14unseen\x15 \x14yes\x15b", "ayes\x15b"),
        ("a\x13 REF \x15b", "ab"),
        ("a\x13 FORMCHECKBOX \x01\x14\x15b", "a\x01\x15b"),
        ("the end\x15 of one, and \x13 no end", "the end\x15 of one, and \x13 no end"),
    ],
)
def test_the_instruction_of_a_field_is_not_shown(stored: str, seen: str) -> None:
    assert shown(stored) == seen


@given(st.text(alphabet="ab\x01\x13\x14\x15", max_size=30))
def test_any_nesting_of_fields_shows_parts_in_order(text: str) -> None:
    spans = list(_shown(text, 0, len(text)))
    assert all(start < end for start, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


def xstz(text: str) -> bytes:
    return struct.pack("<H", len(text)) + text.encode("utf-16-le") + b"\0\0"


def form(kind: int, result: int, default: int, choices: tuple[str, ...] = ()) -> bytes:
    data = struct.pack("<IHHH", 0xFFFFFFFF, kind | result << 2, 0, 0) + xstz("Name")
    data += struct.pack("<H", default) + xstz("") * 5
    if choices:
        data += struct.pack("<HHH", 0xFFFF, len(choices), 0)
        data += b"".join(struct.pack("<H", len(one)) + one.encode("utf-16-le") for one in choices)
    return b"..." + struct.pack("<IH", 0, 0x44) + bytes(0x44 - 6) + data


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (form(1, 1, 0), "☒"),
        (form(1, 0, 1), "☐"),
        (form(1, 25, 1), "☒"),
        (form(2, 1, 0, ("Low", "High")), "High"),
        (form(2, 25, 0, ("Low", "High")), "Low"),
        (form(0, 0, 0), None),
        (form(2, 1, 0, ("Low", "High"))[:-30], None),
        (b"", None),
    ],
)
def test_a_form_field_says_what_is_filled_in(data: bytes, value: str | None) -> None:
    found = form_value(data, 3)
    assert found == value or (value is None and not found)


def test_looks_are_read_from_modifiers() -> None:
    fonts = ["Arial", "Symbol"]

    def look(*modifiers: tuple[int, bytes]) -> CharacterLook:
        return read_look(iter(modifiers), fonts)

    assert look((0x2A48, b"\1")).raised
    assert not look((0x2A48, b"\2")).raised
    assert look((0x4845, b"\x08\0")).raised
    assert not look((0x4845, b"\xf8\xff")).raised
    assert look((0x083C, b"\1")).hidden
    assert look((0x4A4F, b"\1\0")).font == "Symbol"
    assert look((0x4A4F, b"\0\0")).font is None
    assert look((0x6A09, b"\1\0\xb0\xf0"))[2:4] == ("Symbol", "\uf0b0")


def test_a_font_table_gives_the_names_of_fonts() -> None:
    entries = []
    for name in ("Times New Roman", "Symbol"):
        body = bytes(39) + name.encode("utf-16-le") + b"\0\0"
        entries.append(bytes([len(body)]) + body)
    assert read_fonts(struct.pack("<HH", 2, 0) + b"".join(entries)) == ["Times New Roman", "Symbol"]


def level(code: int, text: str, start: int = 1, flags: int = 0, limit: int = 0) -> bytes:
    head = struct.pack("<iBB", start, code, flags) + bytes(18) + bytes([0, 0, limit, 0])
    return head + struct.pack("<H", len(text)) + text.encode("utf-16-le")


def numbering(levels: list[bytes], overrides: list[list[tuple[int, int]]]) -> BinaryNumbering:
    """One list of `levels`, and for each override the levels that it makes begin with another number."""
    lists = struct.pack("<h", 1) + struct.pack("<ii", 77, 0) + bytes(18) + bytes([0, 0])
    lists += b"".join(levels) + level(0, "") * (9 - len(levels))
    heads = b"".join(struct.pack("<iIIBBBB", 77, 0, 0, len(starts), 0, 0, 0) for starts in overrides)
    data = b"".join(
        bytes(4) + b"".join(struct.pack("<iI", start, place | 0x10) for place, start in starts)
        for starts in overrides
    )
    return BinaryNumbering(
        b"\0" + lists + struct.pack("<I", len(overrides)) + heads + data, 1, 1 + len(lists)
    )


def test_numbers_count_by_level_and_begin_where_an_override_says() -> None:
    lists = numbering([level(0, "\0."), level(4, "\0.\1)"), level(23, "\uf0b7")], [[], [(0, 9)]])
    found = [
        lists.next_label(*one) for one in ((1, 0), (1, 1), (1, 1), (1, 2), (1, 0), (2, 0), (1, 0), (9, 0))
    ]
    assert found == ["1.", "1.a)", "1.b)", "", "2.", "9.", "10.", ""]


def test_a_level_may_go_on_behind_the_one_above_it() -> None:
    lists = numbering([level(0, "\0"), level(0, "\1", flags=0x08, limit=0)], [[]])
    assert [lists.next_label(1, place) for place in (0, 1, 0, 1)] == ["1", "1", "2", "2"]


def test_an_override_of_a_level_waits_for_that_level() -> None:
    counters, levels = Counters(), [Level("%1"), Level("%1.%2")] + [Level()] * 7
    assert [counters.next_label("l", levels, place, {}) for place in (0, 0)] == ["1", "2"]
    starts = {0: 1, 1: 99}
    assert counters.next_label("l", levels, 1, starts) == "2.99"
    assert counters.next_label("l", levels, 1, starts) == "2.100"
    assert counters.next_label("l", levels, 0, starts) == "1"


@given(st.binary(max_size=300), st.integers(0, 9))
def test_damaged_lists_number_nothing_or_something(table: bytes, place: int) -> None:
    assert isinstance(BinaryNumbering(table, 1, len(table) // 2).next_label(1, place), str)
