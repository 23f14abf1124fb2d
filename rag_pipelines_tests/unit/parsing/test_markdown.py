"""Markdown: structure and plain text as a reader sees them, fast and always equal to the real parser."""

from __future__ import annotations

from copy import deepcopy

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from mdit_py_plugins.footnote import footnote_plugin

from rag_pipelines.model import BlockKind
from rag_pipelines.parsing.links import unmark
from rag_pipelines.parsing.markup.markdown import _parser, _TokenReader
from rag_pipelines.parsing.markup.markdown_inline import PLAIN_ADDRESS, parse_text, plain_text
from rag_pipelines_tests.unit.parsing.reading import read, shown, tables, texts


def test_front_matter_becomes_title_language_and_metadata():
    document = read(
        "---\ntitle: Leave\nlang: en\ntags: [hr, time]\ndate: 2024-05-01\n---\n# Other\n\nText\n", "a.md"
    )
    assert (document.title, document.language) == ("Leave", "en")
    assert document.metadata == {"title": "Leave", "lang": "en", "tags": ["hr", "time"], "date": "2024-05-01"}
    assert shown(document) == [("heading", "Other"), ("paragraph", "Text")]


def test_toml_front_matter_is_read():
    assert read("+++\ntitle = 'Leave'\n+++\nText\n", "a.md").title == "Leave"


def test_front_matter_that_is_no_yaml_is_read_line_by_line():
    document = read("---\ntitle: Leave: the policy\nowner: hr\n---\nText\n", "a.md")
    assert document.metadata == {"title": "Leave: the policy", "owner": "hr"}
    assert document.warnings


def test_a_yaml_bomb_in_the_front_matter_does_not_go_off():
    layers = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 12))
    document = read(f"---\nl0: &l0 lol\n{layers}---\nText\n", "a.md")
    assert shown(document) == [("paragraph", "Text")]
    assert len(str(document.metadata)) < 2_000


def test_rules_between_paragraphs_are_no_front_matter():
    assert "Hello there" in read("---\nHello there\n---\nText\n", "a.md").text


def test_the_title_is_the_first_top_heading():
    assert read("## Before\n\n# Leave *policy*\n\n# Later\n", "a.md").title == "Leave policy"


def test_structure_is_kept():
    document = read(
        """# Guide

Intro
over two lines.

1. First
   - inner
     more
2. Second

   with a paragraph

> Wise words

```Python title="x"
def f():
    return 1
```

    indented code

| A | B |
|---|---|
| 1 | `x|y` |

Setext
------

Last.[^1]

[^1]: A note.
""",
        "a.md",
    )
    assert shown(document) == [
        ("heading", "Guide"),
        ("paragraph", "Intro over two lines."),
        ("list_item", "1. First"),
        ("list_item", "inner more"),
        ("list_item", "2. Second"),
        ("paragraph", "with a paragraph"),
        ("quote", "Wise words"),
        ("code", "def f():\n    return 1"),
        ("code", "indented code"),
        ("table", "A | B\n1 | `x"),
        ("heading", "Setext"),
        ("paragraph", "Last.[1]"),
        ("list_item", "[1] A note."),
    ]
    assert [block.level for block in document.blocks][2:5] == [1, 2, 1]
    assert document.blocks[7].language == "python"
    assert document.blocks[9].header_rows == 1
    assert document.blocks[11].heading_path == ("Guide", "Setext")


def test_raw_html_is_its_text_where_it_has_any():
    document = read(
        "<p align='center'><img src='logo.png'></p>\n\n<!-- a comment -->\n\n"
        "<details><summary>More</summary>\n\nHidden *text*\n\n</details>\n\n"
        "<table><tr><td>1</td><td>2</td></tr></table>\n\n<script>alert(1)</script>\n",
        "a.md",
    )
    assert shown(document) == [("paragraph", "More"), ("paragraph", "Hidden text"), ("table", "1 | 2")]
    assert tables(document) == [[("1", "2")]]


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("**Bold:** and _slanted_ and `code*s`", "Bold: and slanted and code*s"),
        ("[a `b` link](https://x.example/(y)) end", "a b link end"),
        ("![alt text](x.png 'title') and <https://x.example>", "alt text and https://x.example"),
        ("[ref][1], [short] and [none]\n\n[1]: /u\n[short]: /v", "ref, short and [none]"),
        ("snake_case 2 * 3 * 4 and a < b & c", "snake_case 2 * 3 * 4 and a < b & c"),
        (r"\*literal\* \_too\_", "*literal* _too_"),
        ("one  \ntwo\\\nthree\nfour<br>five", "one\ntwo\nthree four\nfive"),
        ("&copy; 2024 &lt;b&gt; ~~gone~~", "© 2024 <b> gone"),
        ("**[linked `code`](u)** text", "linked code text"),
        ('H<sub>2</sub>O <kbd class="k">Esc</kbd>', "H2O Esc"),
        ("``a ` b`` and ` ` `", "a ` b and   `"),
    ],
)
def test_inline_markup_becomes_plain_text(markup, text):
    assert texts(read(markup, "a.md"), BlockKind.PARAGRAPH)[0].split(" ") == text.split(" ")


INLINE = st.text(st.sampled_from('ab1 .,()*_`[]!<>\\&~:/"\n^'), max_size=40) | st.lists(
    st.sampled_from(
        [
            "*",
            "**",
            "_",
            "`",
            "[",
            "](u)",
            "][r]",
            "![",
            " ",
            "word",
            "a_b",
            "\\",
            "<b>",
            "<br>",
            "~~",
            "&amp;",
            "\n",
            "  \n",
            "r",
        ]
    ),
    max_size=14,
).map("".join)


def read_links(marked):
    """The words of a text, and the links in it."""
    text, *links = unmark(marked)
    return text.split(), links


@settings(max_examples=1_500, deadline=None, derandomize=True)
@given(INLINE)
@example("Hey![you], ![]")
@example("a^b^")
@example("_a_\u200b and \x01_b_ and “_c_” and _d_\u2028e")
@example("<https://a.example/b> and []()")
@example("<https://xn--mnchen-3ya.example/a> <HTTPS://ü.example/Ü?b=c#d> <http://a:80/>")
@pytest.mark.slow
def test_the_fast_reading_of_inline_markup_equals_that_of_the_parser(content):
    parser = _parser()
    for references in ({}, {"R": {"href": "/u", "title": ""}}):
        env = {"references": references, "footnotes": {"refs": {":1": -1}}}
        fast = plain_text(content.strip(), parser, deepcopy(env))
        slow = parse_text(content.strip(), parser, env)
        assert read_links(fast) == read_links(slow)


LINES = st.lists(
    st.sampled_from(
        ["word", "- item", "  - inner", "1. one", "2023 was", "> quote", "    code", "```", "***",
         "---", "===", "--", "- - -", "* a * b", "~~~ py", "#", "# #", "## H ##", "#h", "####### seven",
         "# H", "| a | b |", "|---|---|", "a | b", "- | -", ":-: | --", "|", "<div>", "</div>", "<!--", "-->",
         "", "", "   ", "**bold** x", "[^1]: note", "`code` x", "\tTab", "10) ten", "  \t deep", "> - a", ">",
         ">     code", "[r]: /u", "[r]: http://a.example/b 'title'", "[r]: /u\\", "[a][b]", "[a",
         "b]: /u", "[r]:",
         "  'title'", "[ ]: /u", "[r]: <u v>", "[^x y]: z", "\u2028x", "a\rb", "c\0d"]
    ),
    max_size=14,
).map("\n".join)  # fmt: skip


def block_tokens(parser, text):
    """What is read of the block tokens, and the addresses that the text gives to references."""
    env = {}
    tokens = [token for token in parser.parse(text, env) if token.type in _TokenReader.HANDLERS]
    read = [(token.type, token.content.strip(), token.info, token.tag) for token in tokens]
    return read, {label: reference["href"] for label, reference in env.get("references", {}).items()}


def library_parser():
    parser = MarkdownIt("commonmark", {"maxNesting": 102}).enable(["table", "strikethrough"])
    footnote_plugin(parser, inline=False)
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


@settings(max_examples=600, deadline=None, derandomize=True)
@given(LINES)
@pytest.mark.slow
def test_asking_only_the_rules_that_may_apply_changes_no_block(text):
    assert block_tokens(_parser(), text) == block_tokens(library_parser(), text)


@pytest.mark.parametrize("depth", [1, 48, 49, 50, 98, 99, 100, 101, 102, 150, 5_000])
@pytest.mark.parametrize("marker", ["> ", ">", "- ", "> 1. ", "> - * "])
def test_no_depth_of_nesting_loses_text(marker, depth):
    text = f"# Title\n\n{marker * depth}first *words*\n{marker * depth}second words\n\nafter\n"
    document = read(text, "a.md")
    words = [word for word in document.text.split() if word != "1."]
    assert words == ["Title", "first", "words", "second", "words", "after"]


def test_items_of_a_list_nested_too_deeply_are_all_kept():
    text = "".join("  " * depth + f"- item{depth}\n" for depth in range(300))
    document = read(text, "a.md")
    assert document.text.split() == [f"item{depth}" for depth in range(300)]
    assert document.warnings == ("251 lines below 100 levels are read as plain text",)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 20_000,
        "**a*" * 5_000,
        "`" * 20_000,
        "<!--" * 20_000,
        "> " * 20_000,
        "[a](" * 10_000,
        "- " * 5_000,
    ],
)
def test_hostile_markup_costs_little_time(text):
    assert read("# Title\n\n" + text, "a.md").title == "Title"


@given(st.sampled_from(["", "http://", "https://"]), st.text("abzAZ09/?=&#_.,+-", max_size=30))
@example("https://", "docs.example.com/a/B_c?d=1&e=2#f")
@example("http://", "EXAMPLE.com/")
@example("", "../guide/index.md#top")
def test_a_plain_address_is_as_the_library_would_write_it(scheme: str, rest: str) -> None:
    address = scheme + rest
    assert not PLAIN_ADDRESS.fullmatch(address) or MarkdownIt().normalizeLink(address) == address


def test_what_the_library_would_write_otherwise_is_no_plain_address() -> None:
    for address in ("http://EXAMPLE.com/", "https://bücher.example/", "a%zz", "/straße", "a[1]"):
        assert not PLAIN_ADDRESS.fullmatch(address)
