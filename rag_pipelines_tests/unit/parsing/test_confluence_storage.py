"""Confluence pages: what a reader of the page sees, in order and with its structure, whatever its state."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rag_pipelines.errors import DocumentError, EmptyDocumentError
from rag_pipelines.model import ParsedDocument
from rag_pipelines.parsing.detect import CONFLUENCE, detect
from rag_pipelines_tests.unit.parsing.reading import calls_of, read, shown, tables


def page(markup: str) -> ParsedDocument:
    return read(markup, declared_type=CONFLUENCE)


@pytest.mark.parametrize(
    "content", ["<html><p>x</p></html>", "%PDF-1.7 is a format", "# A title", "PK\x03\x04"]
)
def test_the_declared_type_wins_because_content_cannot_tell(content):
    assert detect(content.encode(), "page.md", f"{CONFLUENCE}; charset=utf-8") == CONFLUENCE


@pytest.mark.parametrize(
    "markup", [" \n", "<p />", "<p>&nbsp;</p>", '<ac:structured-macro ac:name="toc" />', "<ac:layout />"]
)
def test_a_page_without_text_is_empty(markup):
    with pytest.raises(EmptyDocumentError):
        page(markup)


def test_headings_lists_quotes_and_breaks_are_those_of_html():
    document = page(
        "<h1>1. Scope</h1><p>One<br/>two</p><h2>Rules</h2>"
        "<ol><li><p>Open</p><ul><li>lid</li></ul></li><li>Close</li></ol>"
        "<blockquote><p>To be</p></blockquote>"
    )
    assert shown(document) == [
        ("heading", "1. Scope"),
        ("paragraph", "One\ntwo"),
        ("heading", "Rules"),
        ("list_item", "1. Open"),
        ("list_item", "lid"),
        ("list_item", "2. Close"),
        ("quote", "To be"),
    ]
    assert document.blocks[-1].heading_path == ("1. Scope", "Rules")


def test_entities_of_html_are_characters_and_those_in_cdata_are_not():
    document = page(
        "<p>It&rsquo;s&nbsp;1&thinsp;&lt;&thinsp;2&hellip; &eacute;&#233;&#x20AC;&apos;</p>"
        "<ac:structured-macro ac:name='code'><ac:plain-text-body><![CDATA[a &amp;&nbsp; b]]>"
        "</ac:plain-text-body></ac:structured-macro>"
    )
    assert shown(document) == [("paragraph", "It’s 1 < 2… éé€'"), ("code", "a &amp;&nbsp; b")]


def test_merged_cells_and_what_confluence_puts_in_cells():
    document = page(
        """<table class="wrapped"><colgroup><col style="width: 10px" /></colgroup><tbody>
        <tr><th rowspan="2"><p>City</p></th><th colspan="2"><p>Fee</p></th></tr>
        <tr><th>2023</th><th>2024</th></tr>
        <tr><td rowspan="2"><div class="content-wrapper"><p>Oslo</p></div></td>
            <td><ac:structured-macro ac:name="status"><ac:parameter ac:name="colour">Green</ac:parameter>
                <ac:parameter ac:name="title">PAID</ac:parameter></ac:structured-macro></td>
            <td><ac:task-list><ac:task><ac:task-status>incomplete</ac:task-status>
                <ac:task-body>ask <ac:link><ri:user ri:account-id="5:7" /></ac:link></ac:task-body>
                </ac:task></ac:task-list></td></tr>
        <tr><td><ac:structured-macro ac:name="code"><ac:plain-text-body><![CDATA[x = 1]]></ac:plain-text-body>
            </ac:structured-macro></td><td><time datetime="2024-05-01" /></td></tr></tbody></table>"""
    )
    assert tables(document) == [
        [
            ("City", "Fee", "Fee"),
            ("City", "2023", "2024"),
            ("Oslo", "PAID", "[ ] ask 5:7"),
            ("Oslo", "x = 1", "2024-05-01"),
        ]
    ]
    assert document.blocks[0].header_rows == 2


def test_a_table_in_a_cell_is_the_text_of_the_cell_and_one_that_only_arranges_is_read_through():
    inner = "<table><tbody><tr><td>x</td><td>y</td></tr></tbody></table>"
    document = page(
        f"<table><tbody><tr><th>A</th><th>B</th></tr><tr><td>1</td><td>{inner}</td></tr></tbody></table>"
        f"<table><tbody><tr><td><h2>Left</h2></td><td>{inner}</td></tr></tbody></table>"
    )
    assert tables(document) == [[("A", "B"), ("1", "x y")], [("x", "y")]]


def test_the_cells_of_a_layout_are_read_one_after_the_other():
    document = page(
        '<ac:layout><ac:layout-section ac:type="two_equal"><ac:layout-cell><p>left</p>bare</ac:layout-cell>'
        "<ac:layout-cell><p>right</p></ac:layout-cell></ac:layout-section>"
        "<ac:layout-section><ac:layout-cell>below</ac:layout-cell></ac:layout-section></ac:layout>"
    )
    assert [text for _, text in shown(document)] == ["left", "bare", "right", "below"]


PAGE = '<ri:page ri:content-title="T" ri:space-key="X" />'


@pytest.mark.parametrize(
    ("link", "text"),
    [
        ('<ri:page ri:content-title="R&amp;D" ri:space-key="X" />', "R&D"),
        ('<ri:blog-post ri:content-title="News" ri:posting-day="2024/01/02" />', "News"),
        ('<ri:attachment ri:filename="a.pdf"><ri:page ri:content-title="Other" /></ri:attachment>', "a.pdf"),
        ('<ri:user ri:account-id="557:1" />', "557:1"),
        ('<ri:user ri:account-id="557:1" ri:display-name="Ann Lee" />', "Ann Lee"),
        ('<ri:space ri:space-key="DOC" />', "DOC"),
        ('<ri:page ri:content-title="@self" />', "top"),
        (f"{PAGE}<ac:plain-text-link-body><![CDATA[a <b>]]></ac:plain-text-link-body>", "a <b>"),
        (f"{PAGE}<ac:link-body>a <strong>bo</strong>ld</ac:link-body>", "a bold"),
        (f"{PAGE}<ac:plain-text-link-body><![CDATA[]]></ac:plain-text-link-body>", "T"),
        ("", "top"),
    ],
)
def test_a_link_is_its_text_or_the_name_of_what_it_leads_to(link, text):
    document = page(f'<p>See <ac:link ac:anchor="top">{link}</ac:link>.</p>')
    assert document.text == f"See {text}."


def test_an_image_is_its_description_its_file_and_its_caption():
    document = page(
        '<p>Here:<ac:image ac:alt="A plan"><ri:attachment ri:filename="plan.png" /><ac:caption><p>The '
        '<em>new</em> plan</p></ac:caption></ac:image></p><ac:image><ri:attachment ri:filename="b.png" />'
        '</ac:image><ac:image ac:title="Logo"><ri:url ri:value="https://acme.example/x.png" /></ac:image>'
    )
    assert shown(document) == [
        ("paragraph", "Here: A plan (plan.png)"),
        ("caption", "The new plan"),
        ("paragraph", "b.png Logo"),
    ]


def test_tasks_are_items_with_their_state():
    document = page(
        """<ac:task-list><ac:task><ac:task-id>1</ac:task-id><ac:task-uuid>ab-1</ac:task-uuid>
        <ac:task-status>complete</ac:task-status><ac:task-body><span class="x">Write <b>it</b></span>
          <ac:task-list><ac:task><ac:task-id>2</ac:task-id><ac:task-status>incomplete</ac:task-status>
          <ac:task-body><p>Read it</p></ac:task-body></ac:task></ac:task-list></ac:task-body></ac:task>
        <ac:task><ac:task-id>3</ac:task-id><ac:task-status>incomplete</ac:task-status>
        <ac:task-body>Ship it</ac:task-body></ac:task></ac:task-list>"""
    )
    assert shown(document) == [
        ("list_item", "[x] Write it"),
        ("list_item", "[ ] Read it"),
        ("list_item", "[ ] Ship it"),
    ]
    assert [block.level for block in document.blocks] == [1, 2, 1]


def test_emoticons_dates_and_comment_markers_are_part_of_their_line():
    document = page(
        '<p>Done <ac:emoticon ac:name="tick" /> <ac:emoticon ac:name="x" ac:emoji-fallback="🥳" /> on '
        '<time datetime="2024-05-01" />, '
        '<ac:inline-comment-marker ac:ref="1">real</ac:inline-comment-marker>ly.</p>'
    )
    assert document.text == "Done :tick: 🥳 on 2024-05-01, really."


def test_what_the_new_editor_wrote_is_read_once():
    document = page(
        '<ac:adf-extension><ac:adf-node type="panel">'
        '<ac:adf-attribute key="panel-type">note</ac:adf-attribute>'
        '<ac:adf-attribute key="title">Mind</ac:adf-attribute><ac:adf-content><p>the gap</p></ac:adf-content>'
        "</ac:adf-node><ac:adf-fallback><div><p>the gap</p></div></ac:adf-fallback></ac:adf-extension>"
        "<ac:adf-extension><ac:adf-fallback><p>old only</p></ac:adf-fallback></ac:adf-extension>"
    )
    assert [text for _, text in shown(document)] == ["Mind", "the gap", "old only"]


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("<p>one<p>two", ["one", "two"]),
        ("<p>one <b>two</p> three", ["one two", "three"]),
        (
            '<ac:link><ri:page ri:content-title="T"><ac:link-body>body</ac:link></p><p>after</p>',
            ["T", "body", "after"],
        ),
        (
            "<ac:task-list><ac:task><ac:task-status>complete<ac:task-body>do</ac:task></ac:task-list>",
            ["complete", "do"],
        ),
        ("<x:y xmlns:x='urn:x'>odd</x:y><z:w/>end", ["oddend"]),
        ("<p>a < b & c</p>", ["a < b & c"]),
        ("<ac:plain-text-body><![CDATA[never closed", ["never closed"]),
        ("h1. Wiki\n\n* markup", ["h1. Wiki * markup"]),
    ],
)
def test_a_broken_page_keeps_its_words(markup, expected):
    assert [text for _, text in shown(page(markup))] == expected


DEEP = [
    "<ac:structured-macro ac:name='panel'><ac:rich-text-body>",
    "<ac:structured-macro ac:name='x'><ac:parameter ac:name='t'>",
    "<ac:structured-macro ac:name='code'><ac:plain-text-body>",
    "<ac:task-list><ac:task><ac:task-status>complete</ac:task-status><ac:task-body>",
    "<ac:link><ac:link-body>",
    "<ac:image><ac:caption>",
    "<ri:page ri:content-title='x'>",
    "<ac:adf-extension><ac:adf-node><ac:adf-content>",
    "<table><tbody><tr><td>",
]


@pytest.mark.parametrize("nested", DEEP)
@pytest.mark.slow
def test_ten_thousand_nested_elements_are_read(nested):
    assert "deep" in page(nested * (10_000 // nested.count("<")) + "deep").text


@pytest.mark.parametrize("nested", DEEP)
def test_the_work_grows_with_the_depth_and_not_with_its_square(nested):
    def work(depth):
        return calls_of(lambda: page(nested * depth + "deep"))

    work(1)
    assert work(800) < 5 * work(200)


OPENING = [
    "<p>", "<ul>", "<li>", "<h2>", "<blockquote>", "<strong>", "<span>", "<pre>", "<ac:layout-cell>",
    "<ac:link>", "<ac:link-body>", "<ac:image ac:alt='x'>", "<ac:caption>", "<ac:task-list>", "<ac:task>",
    "<ac:task-body>", "<ac:structured-macro ac:name='info'>", "<ac:structured-macro ac:name='code'>",
    "<ac:macro ac:name='odd'>", "<ac:structured-macro ac:name='include'>", "<ac:structured-macro>",
    "<ac:rich-text-body>", "<ac:plain-text-body>", "<ac:parameter ac:name='title'>", "<ri:user>",
    "<ri:page ri:content-title='x'>", "<ac:inline-comment-marker>", "<ac:emoticon>", "<ac:adf-node>",
    "<ac:adf-content>", "<time>", "<odd:one>",
]  # fmt: skip
CLOSING = sorted({f"</{tag.strip('<>').split()[0]}>" for tag in OPENING})
TABLES = ["<table>", "<tbody>", "<tr>", "<td rowspan='3'>", "<th colspan='2'>", "</td>", "</tr>", "</table>"]
OTHER = [
    "<br/>", "<hr/>", "<p />", "<ac:link/>", "<![CDATA[", "]]>", "&nbsp;", "&bogus;", "&#0;", "&", "<!--",
    "-->", "<?xml version='1.0'?>", "<ac:task-status>complete</ac:task-status>", "<ac:task-id>1",
    "<ac:adf-fallback>", "<ac:parameter ac:name='colour'>", "<p style='display: none'>",
]  # fmt: skip


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from([*OPENING, *CLOSING, *TABLES, *OTHER, "text", "é\u0301\0"]), max_size=40))
def test_any_markup_ends_with_a_sound_document_or_a_document_error(parts):
    try:
        document = page(" word ".join(parts))
    except DocumentError:
        return
    at = 0
    for block in document.blocks:
        assert at <= block.start < block.end <= len(document.text)
        text = document.text[block.start : block.end]
        assert text.strip()
        assert not document.text[at : block.start].strip()
        for row in block.rows:
            assert document.text[row.start : row.end] == " | ".join(row.cells)
        at = block.end
    assert at == len(document.text)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from([*OPENING, *CLOSING, "<br/>", "<p />", "&nbsp;"]), min_size=1, max_size=40))
@example(["<ac:structured-macro ac:name='info'>", "<ac:parameter ac:name='title'>", "<ac:rich-text-body>"])
@example(["<ac:structured-macro ac:name='include'>", "<ac:rich-text-body>", "<ac:plain-text-body>"])
def test_no_word_is_lost_however_the_elements_are_nested_and_closed(parts):
    words = [f"word{number}" for number in range(len(parts))]
    markup = "".join(f"{part} {word} " for part, word in zip(parts, words, strict=True))
    text = page(markup).text.split()
    assert [word for word in words if word not in text] == []
