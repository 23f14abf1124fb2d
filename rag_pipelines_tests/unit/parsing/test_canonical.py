"""Canonical text: clean for any input, and spans that are exact for any sequence of blocks."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from datetime import date

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.errors import TooLargeDocumentError
from rag_pipelines.model import BlockKind
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.text.canonical import clean

ANY_TEXT = st.text(st.characters(), max_size=60) | st.text(
    st.sampled_from("a é\n\r\t\0\x0b\x85\u2028\u200b\u200d\u0301\ud83d\ude00\ufeff\u202e\xad\u1780 |"),
    max_size=30,
)
FORBIDDEN = re.compile("[\0\r\x0b\x0c\x85\u2028\u2029\ud800-\udfff\u202a-\u202e\u2066-\u2069\x80-\x9f]")


@given(ANY_TEXT)
def test_clean_text_is_nfc_without_control_characters_and_stays_as_it_is(text):
    cleaned = clean(text)

    assert clean(cleaned) == cleaned
    assert unicodedata.is_normalized("NFC", cleaned)
    assert not FORBIDDEN.search(cleaned)
    cleaned.encode("utf-8")


def test_a_character_is_mended_alike_in_plain_text_and_in_any_other():
    for character in map(chr, (*range(0xD800), *range(0xE000, 0x10000))):
        assert clean(f"{character}中") == clean(character) + "中", hex(ord(character))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("one\r\ntwo\rthree\u2028four\x0bfive\x85six", "one\ntwo\nthree\nfour\nfive\nsix"),
        ("tab\tstays", "tab\tstays"),
        ("👩\u200d💻 and \u0915\u094d\u200d\u0937", "👩\u200d💻 and \u0915\u094d\u200d\u0937"),
        ("می\u200cخواهم ❤\ufe0f", "می\u200cخواهم ❤\ufe0f"),
        ("e\u0301", "é"),
        ("o\ufb03ce of \ufb01rst aid", "office of first aid"),
        ("\ufee3\ufeaa\ufefb", "\u0645\u062f\u0644\u0627"),
        ("\ufdf3 a\ufe70", "\u0627\u0643\u0628\u0631 a\u064b"),
        ("\ufb4f \ufb21", "\u05d0\u05dc \u05d0"),
        ("Ⅳ ② ½", "Ⅳ ② ½"),
        ("pass\u200bword co\xadoperate \ufeffBOM", "password cooperate BOM"),
        (
            "\u1797\u17b6\u179f\u17b6\u200b\u1781\u17d2\u1798\u17c2\u179a",
            "\u1797\u17b6\u179f\u17b6\u200b\u1781\u17d2\u1798\u17c2\u179a",
        ),
        ("abc\u202efed\u202c", "abcfed"),
        ("\ud83d\ude00 \ud83d lone", "😀 \ufffd lone"),
        ("nul\0 and \x1b[31mred", "nul and [31mred"),
        ("hidden \U000e0041\U000e0042 tags", "hidden  tags"),
    ],
)
def test_what_a_reader_sees_stays_and_the_rest_goes(raw, expected):
    assert clean(raw) == expected


def test_what_was_mended_is_counted_by_kind():
    counters: Counter[str] = Counter()
    clean("a\0b\0c\u202ed\xad\ud800", counters)
    assert counters == {"nul_removed": 2, "bidi_removed": 1, "invisible_removed": 1, "surrogates_replaced": 1}


MARKS = (
    "\u0301\u0327\u0344\u0958\u0f73\u0338\u093c\u20d2\u0591\u3099\u200d\U0001d165e\u00e9\u1f82\u2260\uac00"
)


@given(
    st.text(st.sampled_from(MARKS), max_size=90), st.sampled_from(["", "\u0301", "\u0327\u0301", "\u0f73"])
)
def test_no_pile_of_marks_is_higher_than_thirty_and_lower_ones_stay(text, pile):
    text += pile * 40
    counters: Counter[str] = Counter()
    cleaned = clean(text, counters)

    assert clean(cleaned) == cleaned
    assert unicodedata.is_normalized("NFC", cleaned)
    assert highest_pile(cleaned) <= 30
    if highest_pile(text) <= 30:
        assert cleaned == unicodedata.normalize("NFC", text)
        assert not counters
    else:
        assert counters["marks_removed"]


def highest_pile(text):
    """The largest number of non-starters in succession, decomposed."""
    starters = re.sub(
        ".", lambda c: "m" if unicodedata.combining(c[0]) else " ", unicodedata.normalize("NFD", text)
    )
    return max(map(len, starters.split()), default=0)


def test_every_mark_of_unicode_is_bounded():
    marks = [
        chr(code)
        for code in range(0x110000)
        if unicodedata.combining(unicodedata.normalize("NFD", chr(code))[0])
    ]
    assert [
        mark for mark in marks if clean("a" + mark * 31) == unicodedata.normalize("NFC", "a" + mark * 31)
    ] == []


def test_a_pile_of_marks_takes_linear_time():
    text = "Text a" + "\u0327\u0301" * 100_000 + " end."
    assert clean(text) == "Text \u00e1\u0327" + "\u0327" * 14 + "\u0301" * 14 + " end."


BLOCKS = st.lists(
    st.tuples(st.sampled_from(BlockKind), ANY_TEXT, st.integers(1, 6))
    | st.tuples(st.just("table"), st.lists(st.lists(ANY_TEXT, max_size=3), max_size=4), st.integers(0, 2)),
    max_size=12,
)


@given(BLOCKS)
def test_every_span_is_exact_and_rows_lie_inside_their_table(calls):
    builder = DocumentBuilder("text/plain")
    for kind, content, number in calls:
        if kind == "table":
            builder.add_table(content, header_rows=number)
        elif kind is not BlockKind.TABLE:
            builder.add(kind, content, level=number)
    document = builder.finish()

    assert clean(document.text) == document.text
    end = 0
    for block in document.blocks:
        assert block.start == (end + 2 if end else 0)
        text = document.text[block.start : block.end]
        assert text.strip("\n")
        assert block.header_rows <= len(block.rows)
        if block.rows:
            assert text == "\n".join(" | ".join(row.cells) for row in block.rows)
        for row in block.rows:
            assert document.text[row.start : row.end] == " | ".join(row.cells)
        end = block.end
    assert end == len(document.text)
    assert msgspec.json.decode(msgspec.json.encode(document), type=type(document)) == document


def test_a_heading_closes_the_headings_of_its_level_and_deeper():
    builder = DocumentBuilder("text/plain")
    for level, heading in ((1, "Guide"), (2, "Install"), (3, "Linux"), (2, "Use")):
        builder.add(BlockKind.HEADING, heading, level=level)
    builder.add(BlockKind.PARAGRAPH, "Start it.")

    assert builder.finish().blocks[-1].heading_path == ("Guide", "Use")


def test_page_furniture_stands_once_behind_the_body():
    builder = DocumentBuilder("text/plain")
    for page in (1, 2):
        builder.add(BlockKind.HEADER, "ACME handbook", page=page)
        builder.add(BlockKind.PARAGRAPH, f"Page {page}.", page=page)

    assert builder.finish().text == "Page 1.\n\nPage 2.\n\nACME handbook"


def test_blank_header_rows_are_not_counted_as_headers():
    builder = DocumentBuilder("text/plain")
    builder.add_table([["", ""], ["Name", "Price"], ["Apple", "2"]], header_rows=2)
    (table,) = builder.finish().blocks
    assert (table.header_rows, len(table.rows)) == (1, 2)


def test_metadata_becomes_plain_json_values():
    builder = DocumentBuilder("text/plain")
    builder.metadata = {"date": date(2024, 5, 1), "tags": {"a\0"}, "n": 2**70, "deep": [[[[[["lost"]]]]]]}
    metadata = builder.finish().metadata

    assert metadata["date"] == "2024-05-01"
    assert metadata["tags"] == ["a"]
    assert metadata["n"] == str(2**70)
    assert "lost" not in str(metadata)


@pytest.mark.parametrize("cells", [["x" * 60], ["y"] * 60])
def test_text_above_the_limit_is_refused_before_it_is_assembled(cells):
    builder = DocumentBuilder("text/plain", max_characters=50)

    def rows():
        yield cells
        pytest.fail("read on behind the limit")

    with pytest.raises(TooLargeDocumentError, match="max_characters"):
        builder.add_table(rows())
    with pytest.raises(TooLargeDocumentError):
        DocumentBuilder("text/plain", max_characters=50).add(BlockKind.PARAGRAPH, "x" * 51)


def test_a_long_run_of_blanks_costs_linear_time():
    builder = DocumentBuilder("text/plain")
    builder.add(BlockKind.PARAGRAPH, "a" + " " * 2_000_000 + "b")
    assert len(builder.finish().text) == 2_000_002
