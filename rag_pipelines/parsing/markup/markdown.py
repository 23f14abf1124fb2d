"""Markdown: CommonMark with tables, footnotes, strikethrough and front matter, by markdown-it-py.

What belongs here: front matter, and turning block tokens into blocks. What does not: the text of a
paragraph or heading (`markdown_inline`). The parser is told to leave inline content alone, because
building tokens for it is half of the time and only its plain text is wanted.

Numbers of ordered lists are kept in front of their items, bullets are not, as in `html`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.encoding import charset_of, decode
from rag_pipelines.parsing.markup.markdown_inline import plain_text
from rag_pipelines.text.canonical import one_line

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.token import Token


_MAX_NESTING = 100
"""Levels of quotes, lists and their items; lines that lie deeper are read as plain text."""

_DEEPEST_STEP = 2
"""A list and its item are two levels at once. The parser must never reach its own limit, because it
drops what lies beyond."""

_TOO_DEEP = "too_deep"
_MARKERS = re.compile(r"(?:[>\s]+|(?:[-*+]|\d{1,9}[.)])(?=\s|\Z))+")
_FRONT_MATTER = re.compile(r"\A(---|\+\+\+)[ \t]*\n(.*?\n)?(?:\1|\.\.\.)[ \t]*(?:\n|\Z)", re.S)
_BEGINS_TEXT = re.compile(r"[^\W\d_]|\d++(?![.)])|[(\"'“‘]|`(?!``)|\*\*?(?=\w)")
_SIGNS = {
    "table": re.compile(r"\|"),
    "footnote_def": re.compile(r"\[\^"),
    "html_block": re.compile("<"),
    "blockquote": re.compile(">"),
    "fence": re.compile("```|~~~"),
    "lheading": re.compile(r"^[ \t>]*(?:=+|-+)[ \t]*$", re.M),
    "code": re.compile(r"^[ \t>]*(?: {4}|\t)", re.M),
    "reference": re.compile(r"\]:"),
}
"""What a text must hold for a block rule to find anything in it."""

_KEY_VALUE = re.compile(r"^([A-Za-z_][\w-]*)\s*[:=]\s*(\S.*)$", re.M)
_TAG = re.compile(r"<[^<>]*>")
_TEXT_IN_TAG = re.compile(r"\salt\s*=\s*[\"']?\w", re.I)


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of a Markdown document; its front matter becomes metadata."""
    text = decode(request.data, charset_of(request.declared_type))
    builder = DocumentBuilder.of("text/markdown", request)
    add_markdown(builder, _read_front_matter(builder, text.replace("\r\n", "\n")))
    return builder.finish()


def add_markdown(builder: DocumentBuilder, text: str) -> None:
    """Add the blocks of Markdown `text`, which has no front matter, to `builder`."""
    env: dict[str, Any] = {}
    parser = _parser(frozenset(rule for rule, sign in _SIGNS.items() if not sign.search(text)))
    _TokenReader(builder, parser, env).read(parser.parse(text, env))
    if lines := env.get(_TOO_DEEP):
        builder.warnings.append(f"{lines:,} lines below {_MAX_NESTING} levels are read as plain text")


@cache
def _parser(unneeded: frozenset[str]) -> MarkdownIt:
    """A parser without the block rules in `unneeded`, each of which would be tried at every line."""
    from markdown_it import MarkdownIt
    from mdit_py_plugins.footnote import footnote_plugin

    parser = MarkdownIt("commonmark", {"maxNesting": _MAX_NESTING + _DEEPEST_STEP})
    parser.enable(["table", "strikethrough"])
    footnote_plugin(parser, inline=False)
    parser.core.ruler.enableOnly(["normalize", "block"])
    parser.block.ruler.before("table", "plain_paragraph", _plain_paragraph)
    parser.block.ruler.before("table", _TOO_DEEP, _text_of_what_is_too_deep)
    return parser.disable(sorted(unneeded))


def _plain_paragraph(state: StateBlock, first: int, end: int, silent: bool) -> bool:
    """Block rule for a paragraph no line of which can begin or end anything else.

    It stands before all other rules and spares them most lines of most documents; in any doubt it
    leaves the lines to them. `first` and `end` are line numbers, as in every rule of markdown-it-py.
    """
    if silent or state.sCount[first] - state.blkIndent > 3:
        return False
    source, begins, shifts, ends = state.src, state.bMarks, state.tShift, state.eMarks
    line = first
    while line < end:
        start = begins[line] + shifts[line]
        if start >= ends[line]:
            break
        if not _BEGINS_TEXT.match(source, start) or source.find("|", start, ends[line]) >= 0:
            return False
        line += 1
    _push_paragraph(state, first, line, state.getLines(first, line, state.blkIndent, False))
    return True


def _text_of_what_is_too_deep(state: StateBlock, first: int, end: int, silent: bool) -> bool:
    """Block rule that takes lines up to a blank one as text, without what marks quotes and items."""
    if silent or state.level < _MAX_NESTING:
        return False
    line = first
    while line < end and not state.isEmpty(line) and state.sCount[line] >= state.blkIndent:
        line += 1
    lines = [state.src[state.bMarks[n] + state.tShift[n] : state.eMarks[n]] for n in range(first, line)]
    texts = [text[marked.end() :] if (marked := _MARKERS.match(text)) else text for text in lines]
    _push_paragraph(state, first, line, "\n".join(filter(None, texts)))
    state.env[_TOO_DEEP] = state.env.get(_TOO_DEEP, 0) + line - first
    return True


def _push_paragraph(state: StateBlock, first: int, end: int, text: str) -> None:
    """Make the lines from `first` to before `end` a paragraph with that text."""
    state.line = end
    token = state.push("inline", "", 0)
    token.content = text.strip()
    token.map = [first, end]
    token.children = []


def _read_front_matter(builder: DocumentBuilder, text: str) -> str:
    """Move the front matter, if there is any, into the builder's metadata; returns the text behind it."""
    match = _FRONT_MATTER.match(text)
    if not match:
        return text
    try:
        values = _load_toml(match[2] or "") if match[1] == "+++" else _load_yaml(match[2] or "")
    except ValueError as error:
        builder.warnings.append(f"front matter read line by line: {one_line(str(error))[:200]}")
        values = dict(_KEY_VALUE.findall(match[2]))
    if values is None:
        return text[match.end() :]
    if not isinstance(values, dict):
        return text
    builder.metadata.update({str(key): value for key, value in values.items()})
    title, language = values.get("title"), values.get("lang") or values.get("language")
    builder.title = str(title) if title else None
    builder.language = language if isinstance(language, str) else None
    return text[match.end() :]


def _load_yaml(text: str) -> Any:
    """YAML without aliases, with which a few lines can stand for billions of values."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        if "*" in text and any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, loader)):
            raise ValueError("YAML aliases are not read")
        return yaml.load(text, loader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _load_toml(text: str) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(text)


class _TokenReader:
    """Reads the flat stream of block tokens and adds blocks."""

    def __init__(self, builder: DocumentBuilder, parser: MarkdownIt, env: dict[str, Any]) -> None:
        self._builder = builder
        self._parser = parser
        self._env = env
        self._kind = BlockKind.PARAGRAPH
        self._level: int | None = None
        self._lists = 0
        self._quotes = 0
        self._item: str | None = None
        self._row: list[str] | None = None
        self._rows: list[list[str]] = []
        self._handlers: dict[str, Callable[[Token], None]] = {
            "inline": self._inline,
            "heading_open": self._heading_open,
            "heading_close": self._heading_close,
            "bullet_list_open": self._list_open,
            "bullet_list_close": self._list_close,
            "ordered_list_open": self._list_open,
            "ordered_list_close": self._list_close,
            "list_item_open": self._item_open,
            "list_item_close": self._item_close,
            "blockquote_open": self._quote_open,
            "blockquote_close": self._quote_close,
            "fence": self._code,
            "code_block": self._code,
            "html_block": self._html,
            "table_open": self._table_open,
            "table_close": self._table_close,
            "tr_open": self._row_open,
            "footnote_reference_open": self._footnote_open,
            "footnote_reference_close": self._item_close,
        }

    def read(self, tokens: list[Token]) -> None:
        """Add the blocks of all tokens in turn."""
        handlers = self._handlers
        for token in tokens:
            handler = handlers.get(token.type)
            if handler is not None:
                handler(token)

    def _inline(self, token: Token) -> None:
        text = plain_text(token.content, self._parser, self._env)
        if self._row is not None:
            self._row.append(text)
        elif self._level is not None:
            self._builder.add(BlockKind.HEADING, text, level=self._level)
            if self._level == 1 and not self._builder.title:
                self._builder.title = text
        elif self._item is not None:
            self._builder.add(BlockKind.LIST_ITEM, self._item + text, level=self._lists or 1)
            self._item = None
        else:
            self._builder.add(BlockKind.QUOTE if self._quotes else BlockKind.PARAGRAPH, text)

    def _heading_open(self, token: Token) -> None:
        self._level = int(token.tag[1])

    def _heading_close(self, token: Token) -> None:
        self._level = None

    def _list_open(self, token: Token) -> None:
        self._lists += 1

    def _list_close(self, token: Token) -> None:
        self._lists -= 1

    def _item_open(self, token: Token) -> None:
        self._item = f"{token.info}. " if token.info else ""

    def _item_close(self, token: Token) -> None:
        self._item = None

    def _footnote_open(self, token: Token) -> None:
        self._item = f"[{token.meta['label']}] "

    def _quote_open(self, token: Token) -> None:
        self._quotes += 1

    def _quote_close(self, token: Token) -> None:
        self._quotes -= 1

    def _code(self, token: Token) -> None:
        words = token.info.split(maxsplit=1)
        language = words[0].strip("{}.").lower() if words else None
        self._builder.add(BlockKind.CODE, token.content, language=language or None)

    def _html(self, token: Token) -> None:
        markup = token.content
        if _TAG.sub("", _without_comments(markup)).strip() or _TEXT_IN_TAG.search(markup):
            from rag_pipelines.parsing.html.parse import add_html

            add_html(self._builder, markup)

    def _table_open(self, token: Token) -> None:
        self._rows = []

    def _row_open(self, token: Token) -> None:
        self._row = []
        self._rows.append(self._row)

    def _table_close(self, token: Token) -> None:
        self._row = None
        self._builder.add_table(self._rows, header_rows=1)


def _without_comments(markup: str) -> str:
    first, *others = markup.split("<!--")
    return first + "".join([other.partition("-->")[2] for other in others])
