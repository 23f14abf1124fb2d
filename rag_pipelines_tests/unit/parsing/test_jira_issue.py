"""Jira issues: one document with useful headings, whatever parts an issue has."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_pipelines.errors import CorruptDocumentError, DocumentError, EmptyDocumentError
from rag_pipelines.model import ParsedDocument
from rag_pipelines.parsing.atlassian.jira_issue import parse
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.detect import JIRA_ISSUE
from rag_pipelines_tests.unit.parsing import reading
from rag_pipelines_tests.unit.parsing.reading import shown


def read(issue: Any, name: str = "ABC-1") -> ParsedDocument:
    return reading.read(json.dumps(issue), name, JIRA_ISSUE)


def adf(*paragraphs: str) -> dict[str, Any]:
    content = [{"type": "paragraph", "content": [{"type": "text", "text": words}]} for words in paragraphs]
    return {"type": "doc", "version": 1, "content": content}


def paths(document: ParsedDocument) -> dict[str, tuple[str, ...]]:
    return {document.text[block.start : block.end]: block.heading_path for block in document.blocks}


def test_every_part_stands_below_a_heading_that_says_what_it_is():
    document = read({
        "key": "ABC-1",
        "summary": "Search is slow",
        "description": "h2. Steps\nType a word",
        "fields": [
            {"name": "Environment", "value": "h1. Staging\nfour nodes"},
            {"name": "Priority", "value": "High"},
            {"name": "Labels", "value": ["search", "speed"]},
            {"name": "Points", "value": 3.5},
        ],
        "links": [{"type": "blocks", "key": "ABC-2", "summary": "Release"}],
        "comments": [
            {"author": "Ann", "created": "2023-08-22T11:29:37.774+0000", "body": "h1. Cause\nNo index"},
            {"author": "Bob", "created": "yesterday", "body": "Fixed"},
        ],
        "format": "wiki",
    })  # fmt: skip
    assert document.media_type == JIRA_ISSUE
    assert document.title == "ABC-1 Search is slow"
    assert document.metadata == {"key": "ABC-1"}
    ann, bob = "Ann, 2023-08-22 11:29", "Bob, yesterday"
    assert paths(document) == {
        "ABC-1 Search is slow": (),
        "Steps": (),
        "Type a word": ("Steps",),
        "Details": (),
        "Priority: High": ("Details",),
        "Labels: search, speed": ("Details",),
        "Points: 3.5": ("Details",),
        "Environment": ("Details",),
        "Staging": ("Details", "Environment"),
        "four nodes": ("Details", "Environment", "Staging"),
        "Links": (),
        "blocks ABC-2: Release": ("Links",),
        "Comments": (),
        ann: ("Comments",),
        "Cause": ("Comments", ann),
        "No index": ("Comments", ann, "Cause"),
        bob: ("Comments",),
        "Fixed": ("Comments", bob),
    }


def test_adf_is_read_in_description_fields_and_comments():
    document = read({
        "summary": "S",
        "description": adf("one", "two"),
        "fields": [{"name": "Plan", "value": adf("three")}],
        "comments": [{"author": "Ann", "body": adf("four")}],
        "format": "adf",
    })  # fmt: skip
    assert [text for kind, text in shown(document) if kind == "paragraph"] == ["one", "two", "three", "four"]
    assert paths(document)["three"] == ("Details", "Plan")


def test_strings_are_markup_in_the_wiki_format_only():
    issue = {"summary": "S", "description": "a *b*\n\n# c", "fields": [{"name": "F", "value": "*x*"}]}
    assert "a b" in read({**issue, "format": "wiki"}).text
    assert "F: x" in read({**issue, "format": "wiki"}).text
    assert [text for _, text in shown(read({**issue, "format": "adf"}))] == [
        "S", "a *b*", "# c", "Details", "F: *x*",
    ]  # fmt: skip


def test_an_issue_with_nothing_but_a_summary_is_not_empty():
    assert shown(read({"key": "ABC-1", "summary": "Short", "description": None, "comments": []})) == [
        ("title", "ABC-1 Short")
    ]


def test_an_issue_without_any_text_is_empty():
    with pytest.raises(EmptyDocumentError):
        read({"format": "adf"})


@pytest.mark.parametrize("name", ["ABC-1 fix main.py", "page.html", "a.csv"])
def test_the_declared_type_wins_over_name_and_content(name):
    assert read({"summary": "%PDF-1.4 endobj"}, name).title == "%PDF-1.4 endobj"


@pytest.mark.parametrize(
    ("issue", "message"),
    [
        ([], r"the issue is the list \[\]; it must be a JSON object"),
        ({"comments": "none"}, r"'comments' of the issue is the str \"none\"; it must be a list of objects"),
        ({"fields": {"a": 1}}, r"'fields' of the issue is the dict .*; it must be a list"),
    ],
)
def test_what_is_not_an_issue_is_corrupt_and_the_message_says_why(issue, message):
    with pytest.raises(CorruptDocumentError, match=message):
        read(issue)


@pytest.mark.parametrize("content", ["{", "h1. no JSON", '{"description":' + "[" * 100_000, "%PDF-1.4"])
def test_what_is_no_json_is_corrupt(content):
    with pytest.raises(CorruptDocumentError, match="not readable JSON"):
        reading.read(content, "ABC-1", JIRA_ISSUE)


def test_ten_thousand_levels_of_adf_are_a_document_error_at_worst():
    nested = '{"type": "blockquote", "content": [' * 10_000 + "]}" * 10_000
    with pytest.raises(DocumentError):
        reading.read(f'{{"summary": "S", "description": {nested}}}', "ABC-1", JIRA_ISSUE)


def test_parts_of_the_wrong_type_keep_their_text():
    document = read({
        "key": 7,
        "summary": ["in", "parts"],
        "description": {"value": "an option"},
        "fields": ["bare", {"name": "Owner", "value": {"name": "Ann"}}],
        "links": ["ABC-2"],
        "comments": ["said", {"author": {"name": "Bob"}, "created": 5, "body": 6}],
    })  # fmt: skip
    for words in (
        "7 in, parts",
        "an option",
        "bare",
        'Owner: {"name": "Ann"}',
        "ABC-2",
        "said",
        "Bob",
        "5",
        "6",
    ):
        assert words in document.text


MEMBERS = st.sampled_from(
    ["key", "summary", "description", "fields", "links", "comments", "format", "name", "value", "author",
     "created", "body", "type", "content", "text", "attrs"]
)  # fmt: skip
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(MEMBERS, values, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.dictionaries(MEMBERS, JSON_VALUES))
def test_no_object_ends_as_anything_but_a_document_or_its_error(issue):
    try:
        document = parse(ParseRequest(json.dumps(issue).encode()))
    except DocumentError:
        return
    assert document.text == "\n\n".join(document.text[block.start : block.end] for block in document.blocks)
