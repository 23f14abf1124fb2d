"""Macros of Confluence pages: what a reader sees of them is kept, what they run when shown is named."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.detect import CONFLUENCE
from rag_pipelines_tests.unit.parsing.reading import read, shown, tables, texts


def page(markup: str) -> ParsedDocument:
    return read(markup, declared_type=CONFLUENCE)


def macro(name: str, body: str = "", /, *, plain: str | None = None, **parameters: str) -> str:
    """A macro in storage format; a parameter ``_`` is the one without a name."""
    inner = "".join(
        f'<ac:parameter ac:name="{name.strip("_")}">{value}</ac:parameter>'
        for name, value in parameters.items()
    )
    if plain is not None:
        inner += f"<ac:plain-text-body><![CDATA[{plain}]]></ac:plain-text-body>"
    elif body:
        inner += f"<ac:rich-text-body>{body}</ac:rich-text-body>"
    return f'<ac:structured-macro ac:name="{name}" ac:macro-id="1-2">{inner}</ac:structured-macro>'


def link(title: str) -> str:
    return f'<ac:link><ri:page ri:content-title="{title}" /></ac:link>'


@pytest.mark.parametrize("name", ["info", "note", "warning", "tip", "panel", "expand"])
def test_a_panel_keeps_its_title_and_its_body(name):
    box = macro(name, "<p>Wait.</p><ul><li>Then go</li></ul>", title="Mind <em>this</em>", bgColor="#fff")
    assert shown(page(f"<p>Before</p>{box}after")) == [
        ("paragraph", "Before"),
        ("paragraph", "Mind this"),
        ("paragraph", "Wait."),
        ("list_item", "Then go"),
        ("paragraph", "after"),
    ]


def test_code_is_verbatim_with_its_language_and_title():
    source = "\nif a[b[0]]]]><![CDATA[> 1 && c < 2:\n\n    <b>x</b>\n"
    document = page(macro("code", plain=source, language="py", title="tool.py", theme="Eclipse"))
    assert shown(document) == [
        ("paragraph", "tool.py"),
        ("code", "if a[b[0]]> 1 && c < 2:\n\n    <b>x</b>"),
    ]
    assert document.blocks[1].language == "py"
    assert document.metadata == {}


@pytest.mark.parametrize(
    ("parameters", "language"),
    [({"_": "SQL"}, "sql"), ({"lang": "html/xml"}, "html"), ({"language": "none"}, None), ({}, None)],
)
def test_the_language_of_code_has_had_several_names(parameters, language):
    assert page(macro("code", plain="x", **parameters)).blocks[0].language == language


def test_long_code_and_noformat_without_a_language_stay_code():
    lines = "a  line\n\n" * 1_000
    assert shown(page(macro("noformat", plain=lines))) == [("code", lines.rstrip())]


def test_code_in_a_paragraph_or_a_list_item_is_a_block():
    document = page(
        f"<ol><li>Run {macro('code', plain='make')}</li></ol><p>or {macro('code', plain='ninja')}</p>"
    )
    assert shown(document) == [
        ("list_item", "1. Run"), ("code", "make"), ("paragraph", "or"), ("code", "ninja")
    ]  # fmt: skip


def test_a_status_an_excerpt_and_an_unknown_macro_in_a_line_are_part_of_it():
    inline = macro("excerpt", "in <b>short</b>", atlassian_macro_output_type="INLINE")
    status = macro("status", title="DONE", colour="Green")
    document = page(f"<p>State: {status} or {inline}, see {macro('ref', to='Fig. 1', width='3px')}.</p>")
    assert document.text == "State: DONE or in short, see [ref: to: Fig. 1] ."


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        (macro("include", _=link("Terms")), "[Included page: Terms]"),
        (macro("excerpt-include", _=link("Terms"), nopanel="true"), "[Included excerpt: Terms]"),
        (macro("children", page=link("Parent"), depth="2"), "[Child pages: Parent]"),
        (macro("children", all="true"), "[Child pages]"),
        (macro("pagetree", root='<ac:link><ri:page ri:content-title="@self" /></ac:link>'), "[Page tree]"),
        (macro("view-file", name='<ri:attachment ri:filename="a.pdf" />', height="250"), "[File: a.pdf]"),
        (macro("attachments", old="false"), "[Attachments]"),
        (macro("jira", server="Jira", columns="key,summary", key="ABC-12"), "[Jira: ABC-12]"),
        (macro("jira", serverId="1", jqlQuery="project = ABC", maximumIssues="20"), "[Jira: project = ABC]"),
        (macro("contentbylabel", labels="policy,hr", max="5"), "[contentbylabel: labels: policy,hr; max: 5]"),
        (
            macro("profile", user='<ri:user ri:account-id="5:1" ri:display-name="Ann" />'),
            "[profile: user: Ann]",
        ),
        (macro("widget", url='<ri:url ri:value="https://a.example/v" />'), "[Embedded: https://a.example/v]"),
        (macro("mathinline", body="--uriencoded--K_%7BS%7D%20=%201"), "K_{S} = 1"),
        (macro("mathinline", body="--uriencoded--42"), "42"),
    ],
)
def test_what_is_found_when_the_page_is_shown_is_named_and_not_resolved(markup, text):
    document = page(f"<p>Before</p>{markup}<p>After</p>")
    assert shown(document) == [("paragraph", "Before"), ("paragraph", text), ("paragraph", "After")]
    assert not document.warnings


@pytest.mark.parametrize("name", ["toc", "anchor", "recently-updated"])
def test_a_macro_that_says_nothing_leaves_nothing(name):
    assert page(f"<p>One {macro(name, style='disc')}</p><p>Two</p>").text == "One\n\nTwo"


def test_an_unknown_macro_is_kept_as_text_and_counted():
    body = "<p>Body</p><table><tr><th>A</th><th>B</th></tr><tr><td>1</td><td>2</td></tr></table>"
    markup = (
        macro("deal", body, title="Offer", Customer="ACME", width="30%", id="0123456789", open="true")
        + macro("diagram", plain="a -> b")
        + macro("deal", Customer="Initech")
    )  # fmt: skip
    document = page(markup)
    assert shown(document) == [
        ("paragraph", "Offer"),
        ("paragraph", "Customer: ACME"),
        ("paragraph", "Body"),
        ("table", "A | B\n1 | 2"),
        ("code", "a -> b"),
        ("paragraph", "[deal: Customer: Initech]"),
    ]
    assert document.counters == {"unknown_macros": 3, "hidden_words": 3, "words_seen": 8}
    assert document.warnings == ("unknown macros, kept as text: deal (2), diagram (1)",)


def test_secrets_in_parameters_are_no_text():
    document = page("<p>API</p>" + macro("api", url="https://a.example", token="abc", password="hunter2"))
    assert "https://a.example" in document.text
    assert "abc" not in document.text
    assert "hunter2" not in document.text


def test_the_strings_of_a_parameter_that_holds_json_are_text():
    plan = quote('{"title":"Road map","color":"#fff","lanes":[{"title":"Team","id":"x1"}]}')
    assert page(macro("roadmap", source=plan)).text == "[roadmap: source: Road map; Team]"


def test_macros_nest_and_page_properties_stay_a_table():
    properties = (
        "<table><tbody><tr><th>Owner</th><td>Ann</td></tr><tr><th>Due</th><td>May</td></tr></tbody></table>"
    )
    document = page(
        macro("section", macro("column", macro("details", properties, hidden="true"), width="50%")
              + macro("column", macro("expand", macro("quote", "<p>To be</p>"), title="More")))
    )  # fmt: skip
    assert tables(document) == [[("Owner", "Ann"), ("Due", "May")]]
    assert texts(document, BlockKind.PARAGRAPH) == ["More"]
    assert texts(document, BlockKind.QUOTE) == ["To be"]


def test_the_old_form_of_a_macro_and_its_parameters_without_a_name_are_read():
    document = page(
        '<ac:macro ac:name="panel"><ac:default-parameter>Title</ac:default-parameter>'
        "<ac:rich-text-body>bare text</ac:rich-text-body></ac:macro>"
    )
    assert shown(document) == [("paragraph", "Title"), ("paragraph", "bare text")]


def test_a_parameter_that_was_never_closed_does_not_take_the_body_with_it():
    document = page(
        '<ac:structured-macro ac:name="panel"><ac:parameter ac:name="borderColor">red<ac:rich-text-body>'
        "<p>Body</p></ac:rich-text-body></ac:structured-macro><p>After</p>"
    )
    assert texts(document, BlockKind.PARAGRAPH)[-2:] == ["Body", "After"]
