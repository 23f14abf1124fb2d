"""Links are kept with the block they stand in, wherever a format writes them; the text stays as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rag_pipelines.parsing
from rag_pipelines.model import Block, BlockKind, Link, ParsedDocument
from rag_pipelines.parsing.base import ParseOptions, ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.fingerprints import parser_fingerprint
from rag_pipelines.parsing.links import LINK, anchor, end_of_link, linked, unlinked, unmark
from rag_pipelines.parsing.registry import parse

ACME = "https://acme.example/"


def read(text: str, name: str, **options: Any) -> ParsedDocument:
    return parse(ParseRequest(text.encode(), name, options=ParseOptions(**options)))


def links_of(document: ParsedDocument) -> list[tuple[str, str]]:
    return [(link.text, link.target) for block in document.blocks for link in block.links]


def text_of(document: ParsedDocument, block: Block) -> str:
    return document.text[block.start : block.end]


def test_a_link_is_its_text_and_target_and_leaves_the_text_alone() -> None:
    found = unmark(f"see {linked('the guide', ACME)}.")
    assert (found.text, found.links) == ("see the guide.", (Link("the guide", ACME),))


def test_a_relative_target_is_named_too() -> None:
    assert unmark(linked("the intro", "intro.md"), written=True).text == "the intro (intro.md)"


def test_a_text_may_name_where_its_links_lead_once() -> None:
    marked = f"see {linked('the guide ', ACME)}and {linked('acme.example', ACME)}"
    assert unmark(marked, written=True).text == f"see the guide ({ACME}) and acme.example"


@pytest.mark.parametrize(
    "target",
    [
        "javascript:alert(1)",
        " JavaScript:x",
        "java\nscript:x",
        "\x01javascript:x",
        "data:text/html,x",
        "#",
        " ",
    ],
)
def test_what_is_no_place_to_go_to_is_no_link(target: str) -> None:
    assert unmark(linked("press", target)) == ("press", (), (), ())


@pytest.mark.parametrize(
    "target", ["mailto:ann@acme.example", "tel:+1", "file://share/a b.doc", "../a?b=c#d"]
)
def test_other_targets_stay_as_they_are(target: str) -> None:
    assert unmark(linked("x", target)).links == (Link("x", target),)


@pytest.mark.parametrize(
    ("target", "absolute"),
    [
        ("a.html", "https://acme.example/docs/a.html"),
        ("/a", "https://acme.example/a"),
        ("//other.example/a", "https://other.example/a"),
        ("?q=1", "https://acme.example/docs/?q=1"),
        ("#place", "#place"),
        ("http://[bad", "http://[bad"),
    ],
)
def test_relative_targets_are_resolved_against_the_declared_base(target: str, absolute: str) -> None:
    assert unmark(linked("x", target), base="https://acme.example/docs/").links[0].target == absolute


@given(st.text(alphabet=f"ab \n{LINK}\ufdd1\ufdd2\ufdd3\ufdd4#/:", max_size=40))
def test_no_mark_of_any_text_reaches_a_document(text: str) -> None:
    builder = DocumentBuilder("text/plain", links="text")
    builder.add(BlockKind.PARAGRAPH, text)
    builder.add_table([[text, "x"]])
    document = builder.finish()
    assert not set(document.text) & set("\ufdd0\ufdd1\ufdd2\ufdd3\ufdd4")
    assert not set(unlinked(text)) & set("\ufdd0\ufdd1\ufdd2\ufdd3\ufdd4")
    for block in document.blocks:
        assert text_of(document, block).strip()
        assert [document.text[row.start : row.end] for row in block.rows] == [
            " | ".join(row.cells) for row in block.rows
        ]


def test_a_link_around_blocks_is_one_of_the_last_of_them() -> None:
    page = f"<body><p>Intro</p><a href='{ACME}'><div><p>A card</p></div></a><p>More</p></body>"
    document = read(page, "a.html", html_main_content=False)
    assert links_of(document) == [("A card", ACME)]
    assert [block.links != () for block in document.blocks] == [False, True, False]


def test_a_place_of_the_document_is_called_by_its_heading() -> None:
    builder = DocumentBuilder("text/plain")
    builder.add(
        BlockKind.PARAGRAPH, linked("below", "#fees") + linked(" or", "#none") + linked(" x", "#my-fees")
    )
    builder.anchor("fees")
    builder.add(BlockKind.HEADING, "My fees!")
    builder.add(BlockKind.PARAGRAPH, f"{anchor('note')}A note; {linked('itself', '#note')}.")
    assert links_of(builder.finish()) == [
        ("below", "#My fees!"), ("or", "#none"), ("x", "#My fees!"), ("itself", "#My fees!"),
    ]  # fmt: skip


PAGE = """<html><head><base href="https://acme.example/docs/"></head><body>
<h1 id="top">The <a href="g">guide</a></h1>
<p>See <a href="../intro.html"> the intro </a>, <a href="#fees">fees</a>, 10<sup><a href="six">6</a></sup> and
<a href="ten">10</a><sup>6</sup>; <a href="javascript:x">no</a>.</p>
<h2><span id="fees">Fees</span></h2>
<table><tr><th>Kind</th><th>Fee</th></tr><tr><td><a href="q">one</a></td><td>two</td></tr></table>
</body></html>"""


def test_links_of_a_page_stand_in_its_headings_lines_and_cells() -> None:
    document = read(PAGE, "page.html", html_main_content=False)
    assert (
        document.text
        == "The guide\n\nSee the intro , fees, 10^6 and 10^6; no.\n\nFees\n\nKind | Fee\none | two"
    )
    assert links_of(document) == [
        ("guide", "https://acme.example/docs/g"),
        ("the intro", "https://acme.example/intro.html"),
        ("fees", "#Fees"),
        ("^6", "https://acme.example/docs/six"),
        ("10", "https://acme.example/docs/ten"),
        ("one", "https://acme.example/docs/q"),
    ]


def test_a_profile_has_targets_in_the_text_but_not_in_headings() -> None:
    document = read(PAGE, "page.html", html_main_content=False, links="text")
    assert text_of(document, document.blocks[0]) == "The guide"
    assert "the intro (https://acme.example/intro.html) , fees," in document.text
    assert document.blocks[-1].rows[1].cells == ("one (https://acme.example/docs/q)", "two")
    assert [text_of(document, block) for block in document.blocks] == document.text.split("\n\n")


def test_the_setting_is_of_the_fingerprint_only_where_it_is_not_the_default() -> None:
    usual = parser_fingerprint("text/markdown")
    assert parser_fingerprint("text/markdown", ParseOptions(links="metadata")) == usual
    assert parser_fingerprint("text/markdown", ParseOptions(links="text")) != usual


MARKDOWN = f"""# Guide

See [the intro](../intro.md "t"), [ref], [fees](#my-fees), <{ACME}x>, ![img](y.png),
[![badge](b.svg)]({ACME}) and [code `a_b`]({ACME}c).

- [an *item*]({ACME}i)

| a | b |
|---|---|
| [c](d) | e |

## My fees

[ref]: {ACME}ref
"""


def test_links_of_markdown_are_inline_by_reference_automatic_and_to_headings() -> None:
    assert links_of(read(MARKDOWN, "a.md")) == [
        ("the intro", "../intro.md"),
        ("ref", f"{ACME}ref"),
        ("fees", "#My fees"),
        (f"{ACME}x", f"{ACME}x"),
        ("badge", ACME),
        ("code a_b", f"{ACME}c"),
        ("an item", f"{ACME}i"),
        ("c", "d"),
    ]


def test_an_end_without_a_beginning_links_what_is_before_it() -> None:
    assert unmark(f"a card{end_of_link(ACME)} and more").links == (Link("a card", ACME),)


ORG = """* Guide
See [[https://acme.example/][the site]], [[*Fees][fees]] and [[file:a.org]].
* Fees
"""
ASCIIDOC = """= Guide

See https://acme.example/x[the site,window=_blank], link:b.html[B], <<fees,the fees>> and https://plain.example.

[[fees]]
== Fees
"""
RST = """Guide
=====

See `the site <https://acme.example/>`_, :ref:`fees <fees-label>` and :sup:`2`, not `code <x>`.

.. _fees-label:

Fees
----
"""


@pytest.mark.parametrize(
    ("text", "name", "line", "links"),
    [
        (
            ORG, "a.org", "See the site, fees and file:a.org.",
            [("the site", ACME), ("fees", "#Fees"), ("file:a.org", "a.org")],
        ),
        (
            ASCIIDOC, "a.adoc", "See the site, B, the fees and https://plain.example.",
            [("the site", f"{ACME}x"), ("B", "b.html"), ("the fees", "#Fees")],
        ),
        (
            RST, "a.rst", "See the site, fees and 2, not `code <x>`.",
            [("the site", ACME), ("fees", "#Fees")],
        ),
    ],
)  # fmt: skip
def test_links_of_other_markup_are_read_and_their_notation_is_not_text(
    text: str, name: str, line: str, links: list[tuple[str, str]]
) -> None:
    document = read(text, name)
    assert text_of(document, document.blocks[1]) == line
    assert links_of(document) == links


CONFLUENCE = """<p>See <ac:link><ri:page ri:content-title="Fees" ri:space-key="HR"/><ac:link-body>the
fees</ac:link-body></ac:link>, <ac:link ac:anchor="end"><ri:page ri:content-title="Terms"/></ac:link>,
<ac:link><ri:attachment ri:filename="a b.pdf"/></ac:link>, <ac:link ac:anchor="here"/> and
<a href="https://acme.example/">ACME</a>; <ac:link><ri:user ri:account-id="1"/></ac:link>.</p>"""


def test_links_of_confluence_have_its_own_notation() -> None:
    request = ParseRequest(CONFLUENCE.encode(), "page", "application/vnd.atlassian.confluence.storage+xml")
    assert links_of(parse(request)) == [
        ("the fees", "HR:Fees"), ("Terms", "Terms#end"), ("a b.pdf", "^a b.pdf"), ("here", "#here"),
        ("ACME", ACME),
    ]  # fmt: skip


def test_links_of_jira_are_marks_cards_and_square_brackets() -> None:
    marked = {"type": "text", "text": "guide", "marks": [{"type": "link", "attrs": {"href": ACME}}]}
    card = {"type": "inlineCard", "attrs": {"url": f"{ACME}card"}}
    document = {"type": "doc", "content": [{"type": "paragraph", "content": [marked, card]}]}
    told = {"key": "A-1", "summary": "S", "description": document}
    of_adf = parse(ParseRequest(json.dumps(told).encode(), "a", "application/vnd.atlassian.jira.issue+json"))
    assert links_of(of_adf) == [("guide", ACME), (f"{ACME}card", f"{ACME}card")]
    wiki = {**told, "description": f"[guide|{ACME}] [{ACME}x] [Ann|~ann] [^a.pdf] [nothing]"}
    of_wiki = parse(ParseRequest(json.dumps(wiki).encode(), "a", "application/vnd.atlassian.jira.issue+json"))
    assert links_of(of_wiki) == [("guide", ACME), (f"{ACME}x", f"{ACME}x"), ("a.pdf", "^a.pdf")]


def test_every_parser_asks_for_what_its_profile_says() -> None:
    """A builder that is not made of the request would leave `links` and other options without effect."""
    sources = Path(rag_pipelines.parsing.__file__).parent.rglob("*.py")
    assert [path.name for path in sources if " = DocumentBuilder(" in path.read_text("utf-8")] == []
