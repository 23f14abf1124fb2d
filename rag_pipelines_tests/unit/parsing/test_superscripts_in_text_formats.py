"""Every text and web format writes its superscripts in the one form of `rag_pipelines.text.superscripts`."""

from __future__ import annotations

import json

import pytest

from rag_pipelines.parsing.detect import CONFLUENCE, JIRA_ISSUE
from rag_pipelines_tests.unit.parsing.reading import read, tables

AREA = "An area of 40 m^2 holds 10^4 plants"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.html", "<p>An area of 40 m<sup>2</sup> holds 10<sup>4</sup> plants"),
        (
            "a.html",
            '<p>An area of 40 m<span style="vertical-align: super">2</span> holds 10<sup>4</sup> plants',
        ),
        ("a.html", "<h2>An area of 40 m<sup>2</sup> holds 10<sup><b>4</b></sup> plants</h2>"),
        ("a.md", "An area of 40 m<sup>2</sup> holds 10<sup>4</sup> plants"),
        ("a.md", "An area of *40* m^2^ holds 10^4^ plants"),
        ("a.adoc", "An area of 40 m^2^ holds 10^4^ plants"),
        ("a.xml", "<sec><p>An area of 40 m<sup>2</sup> holds <i>10<sup>4</sup></i> plants</p></sec>"),
        (
            "a.xml",
            '<a xmlns="http://docbook.org/ns/docbook"><para>An area of 40 m<superscript>2</superscript> holds'
            "<!-- so --> 10<superscript>4</superscript> plants</para></a>",
        ),
        ("a.rst", r"An area of 40 m\ :sup:`2` holds 10\ :superscript:`4` plants"),
    ],
)
def test_a_power_is_kept_apart_from_its_base(name: str, content: str):
    assert read(content, name).text == AREA


def test_a_power_on_a_confluence_page_is_kept_apart_from_its_base():
    page = "<p>An area of 40 m<sup>2</sup> holds 10<sup>4</sup> plants</p>"

    assert read(page, "page", CONFLUENCE).text == AREA


def test_a_power_in_the_atlassian_document_format_is_kept_apart_from_its_base():
    mark = {"type": "subsup", "attrs": {"type": "sup"}}
    lower = {"type": "subsup", "attrs": {"type": "sub"}}
    texts = [("10", []), ("4", [mark]), (" plants need H", []), ("2", [lower]), ("O", [])]
    content = [{"type": "text", "text": text, "marks": marks} for text, marks in texts]
    paragraph = {"type": "paragraph", "content": content}
    issue = {"key": "A-1", "summary": "Plants", "description": {"type": "doc", "content": [paragraph]}}

    assert "10^4 plants need H2O" in read(json.dumps(issue), "a.json", JIRA_ISSUE).text


def test_a_note_mark_in_a_cell_leaves_the_number_as_it_is():
    markup = "<table><tr><th>Item<th>2023<tr><td>Profit<td>120<sup>4</sup></table>"

    assert tables(read(markup)) == [[("Item", "2023"), ("Profit", "120^4")]]


@pytest.mark.parametrize(
    "mark",
    [
        '<sup><a href="#fn1">1</a></sup>',
        '<sup class="reference"><a href="#cite-1">[1]</a></sup>',
        '<a epub:type="noteref" href="notes.xhtml#n1"><sup>1</sup></a>',
        '<a role="doc-noteref" href="#n1">1</a>',
    ],
)
def test_a_link_to_a_note_is_its_mark_in_brackets(mark: str):
    assert read(f"<p>It cost 5{mark} million").text == "It cost 5[1] million"
    assert read(f"<h1>It cost 5{mark} million</h1>").text == "It cost 5[1] million"


def test_superscripts_that_are_nested_or_never_closed_lose_no_text():
    assert read("<p>x<sup>2<sup>n</sup></sup> grows").text == "x^(2^n) grows"
    assert read("<div>see <sup>1<p>all the rest</div><p>and more").text.split() == [
        "see", "1", "all", "the", "rest", "and", "more",
    ]  # fmt: skip
    assert read("<p>a" + "<sup>b" * 500).text.count("b") == 500
