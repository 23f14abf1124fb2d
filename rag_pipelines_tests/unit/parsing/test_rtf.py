"""Rich Text Format: the structure that plain text extraction flattens."""

from __future__ import annotations

import pytest

from rag_pipelines_tests.unit.parsing.office import outline, parse, status, tables

HEAD = rb"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0 Arial;}}"


def rtf(body: bytes, head: bytes = HEAD) -> bytes:
    return head + body + b"}"


def test_headings_are_known_by_outline_level_and_by_style() -> None:
    styles = rb"{\stylesheet{\s0 Normal;}{\s15\sbasedon0\outlinelevel1 heading 2;}}"
    body = rb"\pard\outlinelevel0 One\par\pard text\par\pard\s15 Two\par\pard\s0 more\par"
    assert outline(parse(rtf(styles + body))) == [
        ("heading 1", "One"),
        ("paragraph", "text"),
        ("heading 2", "Two"),
        ("paragraph", "more"),
    ]


def test_list_items_keep_their_number_and_depth_and_lose_their_bullet() -> None:
    body = rb"\pard{\listtext 1.\tab}first\par\pard{\listtext\'b7\tab}\ilvl1 second\par\pard after\par"
    assert outline(parse(rtf(body))) == [
        ("list_item 1", "1. first"),
        ("list_item 2", "second"),
        ("paragraph", "after"),
    ]


def test_list_items_of_older_programs_are_known_too() -> None:
    assert outline(parse(rtf(rb"\pard{\pntext\f0 2.\tab}item\par"))) == [("list_item 1", "2. item")]


@pytest.mark.parametrize(
    "row",
    [
        rb"\trowd\cellx1\cellx2\pard\intbl %b\cell %b\cell\row ",
        rb"\trowd\cellx1\cellx2\pard\intbl %b\cell\pard %b\cell\pard{\trowd\cellx1\cellx2\row}",
    ],
)
def test_rows_and_cells_stay_a_table(row: bytes) -> None:
    body = rb"\pard before\par " + row % (b"A", b"B") + row % (rb"1\par x", b"2") + rb"\pard after\par"
    document = parse(rtf(body))
    assert tables(document) == [[("A", "B"), ("1 x", "2")]]
    assert [kind for kind, _ in outline(document)] == ["paragraph", "paragraph"]


def test_characters_of_other_code_pages_are_decoded() -> None:
    assert parse(rtf(rb"caf\'e9 \u8364? \u-3913?x")).text.startswith("café €")
    assert parse(rtf(rb"\uc0 \u8364 5", rb"{\rtf1\ansi ")).text == "€5"


def test_title_and_author_come_from_the_file() -> None:
    document = parse(rtf(rb"{\info{\title Leave policy}{\author Ann}}text"))
    assert (document.title, document.metadata["author"], document.text) == ("Leave policy", "Ann", "text")


@pytest.mark.parametrize(
    "data", [b"{\\rtf1 " + b"{" * 50_000, b"{\\rtf1 open", b"{\\rtf1}}}}", rtf(b"\\u99999999999? x")]
)
def test_broken_files_end_as_a_document_or_its_error(data: bytes) -> None:
    assert status(data) in ("parsed", "empty", "corrupt")
