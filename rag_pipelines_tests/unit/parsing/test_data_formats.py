"""CSV, JSON and XML as readable text."""

from __future__ import annotations

import csv
import io
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_pipelines.errors import TooLargeDocumentError
from rag_pipelines.parsing.base import ParseLimits, ParseRequest
from rag_pipelines.parsing.registry import parse
from rag_pipelines.text.delimited_rows import delimited_rows
from rag_pipelines_tests.unit.parsing.reading import read, shown, tables


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter):
    rows = [("name", "note"), ("apple", "1.5 each"), ("pear", "green")]
    document = read("\n".join(delimiter.join(row) for row in rows), "a.csv")
    assert tables(document) == [rows]
    assert document.blocks[0].header_rows == 1


def test_quoted_cells_hold_delimiters_and_line_breaks():
    document = read('a,b\n"x, y","line\nbreak"\n"say ""hi""",2\n', "a.csv")
    assert tables(document) == [[("a", "b"), ("x, y", "line break"), ('say "hi"', "2")]]


def test_a_quote_that_is_never_closed_does_not_swallow_the_rest():
    assert len(tables(read('a,b\n5" pipe,1\n"x,2\ny,3\n', "a.csv"))[0]) == 4


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "stray",
    ['pipe 3"', '3" pipe', '"pipe', 'say "yes', '""pipe', '"'],
)
def test_a_stray_quote_costs_no_other_cell_its_place(delimiter, stray):
    rows = [["size", "who", "town"], *([f"{n}", f'"Doe{delimiter}J{n}"', "Rome"] for n in range(9))]
    rows[5][0] = stray
    table = tables(read("\n".join(map(delimiter.join, rows)), "a.csv"))[0]
    assert len(table) == 10
    names = [f"Doe{delimiter}J{n}".replace("\t", " ") for n in range(9)]
    assert [row[1:] for row in table[1:]] == [(name, "Rome") for name in names]


def test_a_stray_quote_inside_a_quoted_cell_is_a_character():
    text = 'a,b,c\n1,"x",2\n"pipe 3" steel, long","y",3\n4,z,5\n'
    assert tables(read(text, "a.csv"))[0][2] == ('pipe 3" steel, long', "y", "3")


def test_cells_of_many_lines_stay_whole_beside_a_stray_quote():
    text = 'a,b,c\n1,"one\ntwo, three\n\nfour",x\n2,3" pipe,y\n"3,six,z\n4,"seven\neight",w\n'
    assert tables(read(text, "a.csv"))[0][1:] == [
        ("1", "one two, three four", "x"),
        ("2", '3" pipe', "y"),
        ('"3', "six", "z"),
        ("4", "seven eight", "w"),
    ]


def test_a_quote_behind_a_space_opens_a_cell_too():
    assert tables(read('a, b\n1, "x, y"\n2, z\n', "a.csv"))[0][1] == ("1", "x, y")


def test_quoted_cells_of_a_single_column_lose_their_quotes():
    assert tables(read('note\n"Hello, you"\n"two\nlines"\n', "a.csv"))[0] == [
        ("note",),
        ("Hello, you",),
        ("two lines",),
    ]


def test_a_byte_order_mark_before_a_quoted_header_is_no_text():
    assert tables(read('\ufeff"a, b",c\n1,2\n'.encode(), "a.csv"))[0][0] == ("a, b", "c")


def test_many_stray_quotes_are_read_in_little_time():
    rows = 30_000
    table = tables(read("a,b\n" + f'"x,{7}\n' * rows, "a.csv"))[0]
    assert len(table) == rows + 1


@given(
    st.lists(
        st.lists(st.text('ab,;" \n', max_size=6).map(str.strip), min_size=2, max_size=2),
        min_size=1,
        max_size=8,
    )
)
def test_what_a_writer_quotes_is_read_back(rows):
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows(rows)
    assert [row for _, row in delimited_rows(io.StringIO(out.getvalue(), newline=""), ",")] == rows


@given(st.text('ab," \n', max_size=40))
def test_no_line_of_delimited_text_is_lost(text):
    rows = list(delimited_rows(io.StringIO(text, newline=""), ","))
    letters = Counter(char for char in text if char in "ab")
    assert Counter(char for _, row in rows for cell in row for char in cell if char in "ab") == letters
    assert [number for number, _ in rows] == sorted({number for number, _ in rows})


@pytest.mark.parametrize(
    ("text", "header_rows"),
    [
        ("id,price\n1,2\n2,3\n", 1),
        ("1,2\n3,4\n5,6\n", 0),
        ("Country,2019,2020\nNorway,5,6\n", 1),
        ("apple,1\npear,2\n", 0),
        ("A,A,A\nA,A,A\n", 0),
        ("name,colour\napple,red\n", 1),
    ],
)
def test_the_header_is_recognised(text, header_rows):
    assert read(text, "a.csv").blocks[0].header_rows == header_rows


def test_a_line_above_the_header_is_a_caption():
    document = read("Stanley Cups,,\nTeam,City,Cups\nBlues,STL,1\n", "a.csv")
    assert shown(document) == [("caption", "Stanley Cups"), ("table", "Team | City | Cups\nBlues | STL | 1")]


def test_shift_jis_and_excel_separator_lines_are_understood():
    assert tables(read("名前,年齢\r\n佐藤,30\r\n".encode("shift_jis"), "a.csv"))[0][1] == ("佐藤", "30")
    assert tables(read("sep=;\na;b\n1;2\n", "a.csv")) == [[("a", "b"), ("1", "2")]]


def test_a_huge_file_stops_at_the_character_limit():
    data = b"id,name\n" + b"1,apple\n" * 200_000
    with pytest.raises(TooLargeDocumentError):
        parse(ParseRequest(data, "a.csv", limits=ParseLimits(max_characters=10_000)))


def test_a_list_of_flat_objects_is_a_table():
    document = read('[{"sku": "A", "price": 2}, {"sku": "B", "new": true}]', "a.json")
    assert tables(document) == [[("sku", "price", "new"), ("A", "2", ""), ("B", "", "true")]]


def test_an_object_is_lines_and_sections():
    document = read(
        '{"title": "Shop", "open": true, "none": null, "owner": {"name": "Ann", "at": {"city": "Oslo"}}, '
        '"tags": ["a", "b"]}',
        "a.json",
    )
    assert document.title == "Shop"
    assert shown(document) == [
        ("paragraph", "title: Shop\nopen: true"),
        ("heading", "owner"),
        ("paragraph", "name: Ann"),
        ("heading", "at"),
        ("paragraph", "city: Oslo"),
        ("heading", "tags"),
        ("list_item", "a"),
        ("list_item", "b"),
    ]


def test_nested_records_are_a_paragraph_each():
    document = read('{"id": 1, "who": {"name": "Ann"}, "to": [1, 2]}\n\nbroken {\n{"id": 2}\n', "a.ndjson")
    assert shown(document) == [
        ("paragraph", "id: 1\nwho.name: Ann\nto: 1, 2"),
        ("list_item", "broken {"),
        ("paragraph", "id: 2"),
    ]
    assert document.counters == {"invalid_lines": 1}


def test_what_is_nested_very_deep_is_a_line_of_json():
    document = read('{"id": 1, "deep": ' + '{"x": ' * 60 + '["end", null]' + "}" * 61, "a.json")
    assert '{"x":["end",null]}' in document.text


@pytest.mark.parametrize("text", ['{"a": 1, // comment\n}', "[" * 100_000, '{"a": [1, 2'])
def test_what_is_no_json_is_kept_as_text_with_a_warning(text):
    document = read(text, "a.json")
    assert shown(document) == [("code", text)]
    assert "not valid JSON" in document.warnings[0]


def test_a_notebook_is_its_prose_and_code():
    document = read(
        """{"cells": [{"cell_type": "markdown", "source": ["# Study\\n", "\\n", "Some *words*."]},
        {"cell_type": "code", "source": "print(1)", "outputs": [{"data": {"image/png": "iVBORw0KGgo"}}]}],
        "metadata": {"language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 5}""",
        "study.ipynb",
    )
    assert document.title == "Study"
    assert shown(document) == [("heading", "Study"), ("paragraph", "Some words."), ("code", "print(1)")]
    assert document.blocks[2].language == "python"


def test_xml_records_are_a_table():
    document = read(
        "<r><c><name>Oslo</name><fee>1</fee></c><c><name>Bergen</name><fee>2</fee></c></r>", "a.xml"
    )
    assert tables(document) == [[("name", "fee"), ("Oslo", "1"), ("Bergen", "2")]]


def test_xml_elements_of_attributes_only_are_a_table_too():
    document = read(
        '<r><c name="Oslo" fee="1"/><c name="Bergen"/><site>acme</site><mail>a@b</mail></r>', "a.xml"
    )
    assert shown(document) == [
        ("table", "name | fee\nOslo | 1\nBergen | "),
        ("paragraph", "site: acme\nmail: a@b"),
    ]


def test_xml_prose_keeps_sections_lists_and_tables():
    document = read(
        """<article xml:lang="de"><title>Guide</title><sec><title>Install</title><p>Run <b>make</b> now.</p>
        <list><list-item><p>one</p></list-item></list><code>a\n  b</code>
        <sec><title>Linux</title><p>x</p></sec>
        <table><thead><tr><th>A</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table></sec></article>""",
        "a.xml",
    )
    assert (document.title, document.language) == ("Guide", "de")
    assert shown(document) == [
        ("heading", "Guide"),
        ("heading", "Install"),
        ("paragraph", "Run make now."),
        ("list_item", "one"),
        ("code", "a\n  b"),
        ("heading", "Linux"),
        ("paragraph", "x"),
        ("table", "A\n1"),
    ]
    assert [block.level for block in document.blocks if block.kind.value == "heading"] == [1, 1, 2]


def test_entities_are_neither_expanded_nor_loaded(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("password")
    levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    document = read(
        f'<!DOCTYPE r [<!ENTITY e0 "lol">{levels}<!ENTITY x SYSTEM "{secret.as_uri()}">]>'
        "<r><p>a &x; b &e11; c</p></r>",
        "a.xml",
    )
    assert "password" not in document.text
    assert len(document.text) < 100


def test_xml_in_another_encoding_than_it_says_is_read():
    document = read('<?xml version="1.0" encoding="UTF-8"?><r><p>Größe</p></r>'.encode("utf-16"), "a.xml")
    assert document.text == "Größe"


def test_broken_xml_is_read_as_far_as_possible():
    document = read("<?xml version='1.0'?><r><p>one</p><p>two & three</p>", "a.xml")
    assert "one" in document.text
    assert "not well-formed" in document.warnings[0]


def test_html_in_a_feed_is_its_text():
    document = read(
        "<rss><channel><title>Blog</title><item>"
        "<description>&lt;p&gt;Big &lt;b&gt;news&lt;/b&gt;&lt;/p&gt;</description>"
        "</item></channel></rss>",
        "a.xml",
    )
    assert shown(document) == [("heading", "Blog"), ("paragraph", "Big news")]
