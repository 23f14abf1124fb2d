"""Rich Text Format: the structure that plain text extraction flattens."""

from __future__ import annotations

import pytest

from rag_pipelines_tests.unit.parsing.office import outline, parse, status, tables

FORM = rb"{\field{\*\fldinst FORM {\*\formfield{%b}}}{\fldrslt}}"
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


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (rb"10{\super 6} litres", "10^6 litres"),
        (rb"10\super 6\nosupersub  litres", "10^6 litres"),
        (rb"10{\up6 6}\plain  litres", "10^6 litres"),
        (rb"H{\sub 2}O", "H2O"),
        (rb"5 {\f1 \'b1}2, {\f1 b}{\f1\u-3920?}", "5 ±2, β°"),
        (rb"{\f2\'fe} agreed", "☑ agreed"),
        (rb"a{\v secret words}b", "ab"),
        (rb"a{\deleted gone}b", "ab"),
        (FORM % rb"\fftype1\ffres1" + b" yes", "☒ yes"),
        (FORM % rb"\fftype1\ffres25\ffdefres0" + b" yes", "☐ yes"),
        (FORM % rb"\fftype2\ffres1{\*\ffl Low}{\*\ffl High}", "High"),
        (rb'{\field{\*\fldinst SYMBOL 222 \\f "Symbol" \\s 10}{\fldrslt\f1}}next', "⇒next"),
    ],
)  # fmt: skip
def test_characters_read_as_they_look(body: bytes, shown: str) -> None:
    head = HEAD.replace(b"Arial;}", rb"Arial;}{\f1\fcharset2 Symbol;}{\f2\fnil\fcharset2 Wingdings;}")
    assert parse(rtf(rb"\pard " + body + rb"\par", head)).text == shown


def test_notes_and_comments_follow_their_paragraph_and_furniture_stands_last() -> None:
    body = (
        rb"{\header Acme\par}{\footerf Page 1\par}"
        rb"\pard Profit rose{\super\chftn{\footnote\pard\plain {\super\chftn} After tax.}} again{\*\atnid AB}"
        rb"{\*\annotation\pard Really?} and{\super\chftn{\footnote\ftnalt Later.}}.\par\pard Next.\par"
    )
    assert outline(parse(rtf(body))) == [
        ("paragraph", "Profit rose[1] again and[endnote 2]."),
        ("paragraph", "[1] After tax."),
        ("paragraph", "Comment by AB: Really?"),
        ("paragraph", "[endnote 2] Later."),
        ("paragraph", "Next."),
        ("header", "Acme"),
        ("footer", "Page 1"),
    ]


def test_text_boxes_are_read_once_after_their_paragraph() -> None:
    body = (
        rb"\pard Before{\shp{\*\shpinst{\sp{\sn shapeType}{\sv 202}}{\shptxt\pard boxed caf\'e9\par}}"
        rb"{\shprslt{\*\do\dptxbx{\dptxbxtext\pard boxed caf\'e9\par}}}} anchor.\par"
    )
    assert outline(parse(rtf(body))) == [("paragraph", "Before anchor."), ("paragraph", "boxed café")]


def test_pictures_objects_and_hidden_words_are_counted() -> None:
    picture = rb"{\*\shppict{\pict\pngblip 89504e47}}{\nonshppict{\pict\wmetafile8 0100}}"
    described = rb"{\pict{\*\picprop{\sp{\sn wzDescription}{\sv Map of the site}}}\pngblip 8950}"
    body = (
        rb"\pard See"
        + picture
        + described
        + rb"{\object\objemb{\*\objdata 0105}{\result "
        + picture
        + rb"}}{\v two words}.\par"
    )
    document = parse(rtf(body))
    assert [text for _, text in outline(document)] == ["See.", "Image: Map of the site"]
    assert document.counters == {
        "images_without_text": 1,
        "attachments_not_read": 1,
        "hidden_words": 2,
        "words_seen": 1,
    }


def test_binary_data_of_a_picture_is_no_source() -> None:
    assert parse(rtf(rb"\pard a{\pict\bin5 {}}\{}b\par")).text == "ab"
