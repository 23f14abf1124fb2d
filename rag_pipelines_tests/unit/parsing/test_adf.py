"""Atlassian Document Format: every node as a reader sees it, and no tree that fails or loses words."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.atlassian import adf
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.html.parse import add_html
from rag_pipelines_tests.unit.parsing.reading import shown, tables


def node(kind: str, *content: Any, **attributes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"type": kind, "content": list(content)}
    return {**made, "attrs": attributes} if attributes else made


def text(words: str, *marks: dict[str, Any]) -> dict[str, Any]:
    return {"type": "text", "text": words, "marks": list(marks)}


def paragraph(*content: Any) -> dict[str, Any]:
    return node("paragraph", *[text(part) if isinstance(part, str) else part for part in content])


def item(*words: str) -> dict[str, Any]:
    return node("listItem", *[paragraph(word) for word in words])


def cell(words: str, kind: str = "tableCell", **attributes: Any) -> dict[str, Any]:
    return node(kind, paragraph(words), **attributes)


def read(*content: Any) -> ParsedDocument:
    builder = DocumentBuilder("text/html")
    add_html(builder, adf.to_html({"type": "doc", "version": 1, "content": list(content)}, builder.counters))
    return builder.finish()


def test_headings_paragraphs_and_rules_keep_their_order_and_levels():
    document = read(
        node("heading", text("Plan"), level=2),
        paragraph("One ", text("bold", {"type": "strong"}), " word"),
        node("rule"),
        paragraph("two", node("hardBreak"), "lines"),
    )
    assert shown(document) == [
        ("heading", "Plan"),
        ("paragraph", "One bold word"),
        ("paragraph", "two\nlines"),
    ]
    assert document.blocks[0].level == 2
    assert document.blocks[2].heading_path == ("Plan",)


def test_lists_are_nested_and_numbered_from_where_they_start():
    document = read(
        node(
            "bulletList",
            item("first"),
            node("listItem", paragraph("second"), node("bulletList", item("inner"))),
        ),
        node("orderedList", item("press", "and wait"), item("release"), order=3),
    )
    assert shown(document) == [
        ("list_item", "first"),
        ("list_item", "second"),
        ("list_item", "inner"),
        ("list_item", "3. press"),
        ("paragraph", "and wait"),
        ("list_item", "4. release"),
    ]
    assert [block.level for block in document.blocks][:3] == [1, 1, 2]


def test_tasks_show_whether_they_are_done():
    tasks = node(
        "taskList",
        node("taskItem", text("write"), state="DONE"),
        node("taskItem", text("test"), state="TODO"),
        node("taskList", node("taskItem", text("twice"), state="TODO")),
    )
    assert shown(
        read(tasks, node("decisionList", node("decisionItem", text("ship it"), state="DECIDED")))
    ) == [
        ("list_item", "[x] write"),
        ("list_item", "[ ] test"),
        ("list_item", "[ ] twice"),
        ("list_item", "ship it"),
    ]


def test_code_keeps_its_white_space_and_language():
    document = read(node("codeBlock", text("if a < b:\n    return '&amp;'\n"), language="Python"))
    assert shown(document) == [("code", "if a < b:\n    return '&amp;'")]
    assert document.blocks[0].language == "python"


def test_containers_show_their_title_and_what_they_hold():
    document = read(
        node("blockquote", paragraph("wise")),
        node("panel", paragraph("beware"), panelType="warning"),
        node("expand", paragraph("hidden"), title="More"),
        node(
            "layoutSection", node("layoutColumn", paragraph("left")), node("layoutColumn", paragraph("right"))
        ),
    )
    assert shown(document) == [
        ("quote", "wise"),
        ("paragraph", "beware"),
        ("paragraph", "More"),
        ("paragraph", "hidden"),
        ("paragraph", "left"),
        ("paragraph", "right"),
    ]


def test_merged_cells_of_a_table_are_repeated_where_a_row_would_miss_them():
    table = node(
        "table",
        node("tableRow", cell("City", "tableHeader"), cell("Year", "tableHeader", colspan=2)),
        node("tableRow", cell("Rome", rowspan=2), cell("2020"), cell("2021")),
        node("tableRow", cell("1"), cell("2")),
    )
    document = read(table)
    assert tables(document) == [[("City", "Year", "Year"), ("Rome", "2020", "2021"), ("Rome", "1", "2")]]
    assert document.blocks[0].header_rows == 1


@pytest.mark.parametrize(
    ("inline", "words"),
    [
        (node("mention", id="5b", text="@Ann Lee"), "@Ann Lee"),
        (node("mention", id="5b"), "5b"),
        (node("emoji", shortName=":grin:", text="😀"), "😀"),
        (node("emoji", shortName=":custom:"), ":custom:"),
        (node("date", timestamp="1582152559000"), "2020-02-19"),
        (node("date", timestamp="some day"), "some day"),
        (node("status", text="In progress", color="yellow"), "In progress"),
        (node("inlineCard", url="https://x.example/1"), "https://x.example/1"),
        (node("inlineCard", data={"@type": "Document", "name": "The plan"}), "The plan"),
        (node("mediaInline", alt="a chart", id="1"), "a chart"),
        (node("inlineExtension", text="fallback", extensionKey="k"), "fallback"),
        (text("the docs", {"type": "link", "attrs": {"href": "https://x.example"}}), "the docs"),
    ],
)
def test_what_stands_in_a_line_is_what_a_reader_sees(inline, words):
    assert shown(read(paragraph("see ", inline, " now"))) == [("paragraph", f"see {words} now")]


def test_images_and_cards_on_their_own_are_paragraphs():
    document = read(
        node("mediaSingle", node("media", type="file", alt="a chart"), node("caption", text("Figure 1"))),
        node("mediaGroup", node("media", __fileName="a.pdf"), node("media", __fileName="b.pdf")),
        node("blockCard", url="https://x.example/1"),
        node("embedCard", url="https://x.example/2"),
    )
    assert shown(document) == [
        ("paragraph", "a chart"),
        ("caption", "Figure 1"),
        ("paragraph", "a.pdf b.pdf"),
        ("paragraph", "https://x.example/1"),
        ("paragraph", "https://x.example/2"),
    ]


def test_extensions_and_unknown_nodes_keep_their_text_and_are_counted():
    document = read(
        node("extension", extensionKey="chart", text="a fallback"),
        node("bodiedExtension", paragraph("a body"), extensionKey="excerpt"),
        node("hologram", node("beam", text("still here"))),
        paragraph("a ", node("sparkle", text="shiny"), " word"),
    )
    assert document.text.split("\n\n") == ["a fallback", "a body", "still here", "a shiny word"]
    assert document.counters == {"extensions": 2, "unknown_nodes": 3}


@pytest.mark.parametrize(
    "misplaced",
    [
        node("table", paragraph("kept")),
        node("table", node("tableRow", cell("", "tableHeader")), paragraph("kept")),
        node("table", node("tableRow", cell("", "tableHeader"), paragraph("kept"))),
        node("tableRow", cell("kept")),
        node("table", node("tableRow", paragraph("kept"))),
        node("table", cell("kept")),
        node("bulletList", paragraph("kept")),
        item("kept"),
        node("bulletList", "kept"),
        node("paragraph", node("table", node("tableRow", cell("kept")))),
        {"type": "paragraph", "content": text("kept")},
        {"type": "paragraph", "content": "kept"},
        {"type": ["paragraph"], "attrs": 5, "text": "kept"},
        "kept",
    ],
)
def test_text_in_the_wrong_place_or_of_the_wrong_type_is_kept(misplaced):
    document = read(paragraph("before"), misplaced, paragraph("after"))
    assert document.text.split() == ["before", "kept", "after"]


@pytest.mark.parametrize("kind", ["blockquote", "bulletList", "listItem", "table", "tableCell", "hologram"])
def test_thousands_of_levels_are_no_deeper_than_one(kind):
    nested: Any = text("bottom")
    for _ in range(2_500):
        nested = {"type": kind, "content": [nested]}
    assert read(nested).text == "bottom"


KINDS = st.sampled_from([*sorted(adf._READERS), "hologram"])
WORDS = st.integers(0, 99_999).map("word{}".format)
JUNK = st.none() | st.booleans() | st.integers() | st.floats() | st.just([]) | st.just({})
ATTRIBUTES = JUNK | st.dictionaries(
    st.sampled_from(
        [
            "text",
            "url",
            "data",
            "order",
            "level",
            "colspan",
            "rowspan",
            "language",
            "title",
            "timestamp",
            "alt",
        ]
    ),
    JUNK | st.text(max_size=8) | st.integers(-5, 10**9),
    max_size=4,
)
LEAVES = JUNK | st.builds(
    lambda word, extra: {"type": "text", "text": f"{word} {extra}"},
    WORDS,
    st.text(max_size=6) | st.sampled_from(["</div>", "<b>", "&lt;", "\ud800", "\0"]),
)
TREES = st.recursive(
    LEAVES,
    lambda children: st.builds(
        lambda kind, attributes, content: {"type": kind, "attrs": attributes, "content": content},
        KINDS | JUNK,
        ATTRIBUTES,
        st.lists(children, max_size=4) | JUNK,
    ),
    max_leaves=25,
)


def words_of(tree: Any) -> set[str]:
    """The words of all nodes of text below `tree`."""
    if not isinstance(tree, dict):
        return set()
    content = tree.get("content")
    below = [words_of(child) for child in content] if isinstance(content, list) else []
    return set(re.findall(r"word\d+", str(tree.get("text")))).union(*below)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(TREES)
def test_no_tree_fails_or_loses_a_word(tree):
    document = read(tree)
    assert words_of(tree) <= set(re.findall(r"word\d+", document.text))
    assert document.text == "\n\n".join(document.text[block.start : block.end] for block in document.blocks)
    for block in document.blocks:
        assert block.kind is not BlockKind.TABLE or all(
            document.text[row.start : row.end] == " | ".join(row.cells) for row in block.rows
        )
