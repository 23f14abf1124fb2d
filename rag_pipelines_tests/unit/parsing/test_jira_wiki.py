"""Jira's wiki markup: what a reader sees of it, and no text that fails, takes long or loses words."""

from __future__ import annotations

import re
from collections import Counter
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_pipelines.model import ParsedDocument
from rag_pipelines.parsing.atlassian import jira_wiki
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.html.parse import add_html
from rag_pipelines_tests.unit.parsing.reading import shown, tables


def read(markup: str) -> ParsedDocument:
    builder = DocumentBuilder("text/html")
    add_html(builder, jira_wiki.to_html(markup, builder.counters))
    return builder.finish()


@pytest.mark.parametrize(
    ("markup", "words"),
    [
        ("*bold* and _em *and bold*_ -gone- +new+ ??cited??", "bold and em and bold gone new cited"),
        ("E = mc{^}2{^} and H{~}2{~}O and {*}b{*}old", "E = mc^2 and H2O and bold"),
        ("snake_case_name 2*3*4 a - b - c", "snake_case_name 2*3*4 a - b - c"),
        ("5 * 3 and *open", "5 * 3 and *open"),
        ("*not\nclosed* here", "*not\nclosed* here"),
        ("__init__ **kwargs** --flag--", "__init__ **kwargs** --flag--"),
        (r"\*no\* \{code} \[x|http://x.y\] a\_b", "*no* {code} [x|http://x.y] a_b"),
        ("{{a_b *c*}} and {{/users/{id}}}", "a_b *c* and /users/{id}"),
        ("{color:red}red{color} {color:#ff0000}{*}bold{*}{color}", "red bold"),
        ("[the *docs*|https://x.example/a_b_|tip] end", "the docs end"),
        ("[https://x.example/_a_|https://x.example/_a_|smart-link]", "https://x.example/_a_"),
        (
            "see https://x.example/~ann/_a_?b, *https://x.example*",
            "see https://x.example/~ann/_a_?b, https://x.example",
        ),
        ("[~ann] [~accountid:55:ab] [mailto:ann@x.example]", "@ann @55:ab ann@x.example"),
        ("[ABC-1] [#anchor] [^log.txt] [|https://x.example]", "ABC-1 anchor log.txt https://x.example"),
        ("list[0] [x] [a|b] [^abc]", "list[0] [x] [a|b] [^abc]"),
        ("!image-1.png|width=83%! !a b.pdf! !c.png|alt=A cat!", "image-1.png a b.pdf A cat"),
        ("Wow! Stop it! Now!", "Wow! Stop it! Now!"),
        ("a{anchor:here} b {status:colour=Green|title=DONE}", "a b DONE"),
        ("&nbsp;&copy; R&D; a<b>c</b>", "© R&D; a<b>c</b>"),
    ],
)
def test_what_stands_in_a_line_is_what_a_reader_sees(markup, words):
    assert shown(read(markup)) == [("paragraph", words)]


def test_lines_of_a_paragraph_stay_lines():
    assert shown(read("one\r\ntwo\\\\three\\\\\r\nfour\r\n\r\nnext\rand last")) == [
        ("paragraph", "one\ntwo\nthree\nfour"),
        ("paragraph", "next\nand last"),
    ]


def test_headings_quotes_and_rules_need_no_blank_lines():
    document = read("h1. The *plan*\nfirst\nbq. wise _words_\n----\nh6. Deep\nlast\nh7. no heading")
    assert shown(document) == [
        ("heading", "The plan"),
        ("paragraph", "first"),
        ("quote", "wise words"),
        ("heading", "Deep"),
        ("paragraph", "last\nh7. no heading"),
    ]
    assert [block.level for block in document.blocks if block.level] == [1, 6]


def test_lists_are_nested_mixed_and_numbered():
    document = read(
        "* one\n** two\nover two lines\n*# three\n*# four\n*** deep\n* five\n- dash\n\n# first\n# second\n"
    )
    items = [(block.level, document.text[block.start : block.end]) for block in document.blocks]
    assert items == [
        (1, "one"),
        (2, "two\nover two lines"),
        (2, "1. three"),
        (2, "2. four"),
        (3, "deep"),
        (1, "five"),
        (1, "dash"),
        (1, "1. first"),
        (1, "2. second"),
    ]


def test_cells_hold_links_lists_code_escapes_and_line_breaks():
    document = read(
        "before\n||Key||Meaning *now*||\n|[a|https://x.example]|one\ntwo|\n"
        "|* l1\n* l2|{code:java}\nx | y;\n{code}|\n"
        r"|a \| b| |" + "\nafter"
    )
    assert tables(document) == [
        [("Key", "Meaning now"), ("a", "one two"), ("l1 l2", "x | y;"), ("a | b", "")]
    ]
    assert [block.header_rows for block in document.blocks] == [0, 1, 0]


def test_a_header_column_is_no_header_row():
    document = read("||Owner|Ann|\n||Team|Search|")
    assert tables(document) == [[("Owner", "Ann"), ("Team", "Search")]]
    assert document.blocks[0].header_rows == 0


def test_code_is_kept_as_it_is_written():
    document = read(
        "Run\n{code:title=Foo.java|java}\nint *x*; // {quote} \\{\n  <b>&nbsp;\n{code}\n"
        "{noformat}h1. raw _text_\n\n{code}{noformat} then {code:python}pass{code}"
    )
    assert shown(document) == [
        ("paragraph", "Run"),
        ("caption", "Foo.java"),
        ("code", "int *x*; // {quote} \\{\n  <b>&nbsp;"),
        ("code", "h1. raw _text_\n\n{code}"),
        ("paragraph", "then"),
        ("code", "pass"),
    ]
    assert [block.language for block in document.blocks if block.language] == ["java", "python"]


def test_containers_hold_blocks_and_show_their_title():
    document = read(
        "{quote}\nwise\n* item\n{quote}\nafter\n{panel:title=Beware|borderStyle=solid}\n"
        "{quote}in both{quote}\n{panel}"
        "{expand:Read more}hidden{expand}"
    )
    assert shown(document) == [
        ("quote", "wise"),
        ("list_item", "item"),
        ("paragraph", "after"),
        ("paragraph", "Beware"),
        ("quote", "in both"),
        ("paragraph", "Read more"),
        ("paragraph", "hidden"),
    ]


def test_a_macro_that_is_unknown_or_not_closed_is_kept_as_text_and_counted():
    document = read("{gadget:id=7}kept{gadget} and {code:java}\nnot *closed*")
    assert document.text == "{gadget:id=7}kept{gadget} and {code:java}\nnot closed"
    assert document.counters == {"unknown_macros": 3}


def test_adf_inside_wiki_markup_is_read_where_it_is_valid():
    node = '{"type": "paragraph", "content": [{"type": "text", "text": "from ADF"}]}'
    document = read(f"{{adf:display=block}}\n{node}\n{{adf}}\n{{adf}}no JSON{{adf}}")
    assert shown(document) == [("paragraph", "from ADF"), ("code", "no JSON")]


def test_real_exports_keep_their_words(data_set):
    folder = data_set("confluence-exports") / "confluence-syntax-confluence"
    samples = [path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.in.txt"))]
    assert len(samples) > 10
    for sample in samples:
        words = re.findall(r"[^\W_]+", re.sub(r"^h\d\. ", "", sample, flags=re.M))
        assert re.findall(r"[^\W_]+", read(sample).text) == words


WORDS = st.integers(0, 99_999).map("word{}x".format)
PIECES = st.sampled_from(
    [
        *"*_-+^~?!|[{}#\\&; \n",
        *(
            "||",
            "\n|",
            "|\n",
            "\n* ",
            "\n** ",
            "\n*# ",
            "\n- ",
            "\n\n",
            "\r\n",
            "\nh2. ",
            "\nbq. ",
            "\n----\n",
        ),
        *(
            "??",
            "{{",
            "}}",
            "{*}",
            "\\\\",
            "{color:red}",
            "{color}",
            "{anchor:a}",
            "{x:y=1}",
            "&nbsp;",
            "&lt;",
        ),
        *(
            "{code}",
            "{code:java}",
            "{noformat}",
            "{quote}",
            "{panel:title=T}",
            "{panel}",
            "{expand:T}",
            "{adf}",
        ),
        *("[linked|https://x.example/_a_]", "[~ann]", "[0]", "!a.png|thumbnail!", " https://x.example/a_b_ "),
        *("<b>", "</div>", "\0", "\x001\0", "\ud800"),
    ]
)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.lists(WORDS | PIECES, max_size=30))
def test_no_markup_fails_or_loses_a_word(pieces):
    document = read("".join(pieces))
    words = {piece for piece in pieces if piece.startswith("word")}
    assert words <= set(re.findall(r"word\d+x", document.text))
    assert document.text == "\n\n".join(document.text[block.start : block.end] for block in document.blocks)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.text())
def test_no_text_fails(text):
    read(text)


@pytest.mark.parametrize(
    "piece",
    [
        "{code:a}",
        "{code:a}{noformat:b}",
        "{{",
        "[a|",
        "!a.",
        "|a",
        "|a\n",
        "* x\n",
        "*a ",
        "{quote}",
        "{panel:a}",
    ],
)
@pytest.mark.slow
def test_hostile_markup_costs_time_in_proportion_to_its_length(piece):
    def once(times: int) -> float:
        start = process_time()
        jira_wiki.to_html(piece * times, Counter())
        return process_time() - start

    def seconds(times: int) -> float:
        return min(once(times) for _ in range(3))

    assert seconds(10_000) < 10 * max(seconds(2_500), 0.01)
