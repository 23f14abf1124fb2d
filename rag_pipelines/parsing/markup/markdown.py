"""Markdown: CommonMark with tables, footnotes, strikethrough and front matter, by markdown-it-py.

What belongs here: front matter, and turning block tokens into blocks. What does not: finding these tokens
(`markdown_blocks`), and the text of a paragraph or heading (`markdown_inline`): the parser leaves inline
content alone, because building tokens for it is half of the time and only its plain text is wanted.

Numbers of ordered lists are kept in front of their items, bullets are not, as in `html`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar

from markdown_it import MarkdownIt
from markdown_it.token import Token

from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.encoding import charset_of, decode
from rag_pipelines.parsing.markup.markdown_blocks import MAX_NESTING, TOO_DEEP, block_parser
from rag_pipelines.parsing.markup.markdown_inline import plain_text
from rag_pipelines.text.canonical import one_line

_FRONT_MATTER = re.compile(r"\A(---|\+\+\+)[ \t]*\n(.*?\n)?(?:\1|\.\.\.)[ \t]*(?:\n|\Z)", re.S)
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
    parser = _parser()
    _TokenReader(builder, parser, env).read(parser.parse(text, env))
    if lines := env.get(TOO_DEEP):
        builder.warnings.append(f"{lines:,} lines below {MAX_NESTING} levels are read as plain text")


@cache
def _parser() -> MarkdownIt:
    return block_parser(_TokenReader.HANDLERS)


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

    def read(self, tokens: list[Token]) -> None:
        """Add the blocks of all tokens in turn."""
        handlers = self.HANDLERS
        for token in tokens:
            handlers[token.type](self, token)

    def _inline(self, token: Token) -> None:
        text = plain_text(token.content, self._parser, self._env)
        if self._row is not None:
            self._row.append(text)
        elif self._level is not None:
            self._builder.add(BlockKind.HEADING, text, level=self._level)
            if self._level == 1 and not self._builder.title:
                self._builder.title = text
            self._level = None
        elif self._item is not None:
            self._builder.add(BlockKind.LIST_ITEM, self._item + text, level=self._lists or 1)
            self._item = None
        else:
            self._builder.add(BlockKind.QUOTE if self._quotes else BlockKind.PARAGRAPH, text)

    def _heading_open(self, token: Token) -> None:
        self._level = int(token.tag[1])

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

    HANDLERS: ClassVar[dict[str, Callable[[_TokenReader, Token], None]]] = {
        "inline": _inline,
        "heading_open": _heading_open,
        "bullet_list_open": _list_open,
        "bullet_list_close": _list_close,
        "ordered_list_open": _list_open,
        "ordered_list_close": _list_close,
        "list_item_open": _item_open,
        "list_item_close": _item_close,
        "blockquote_open": _quote_open,
        "blockquote_close": _quote_close,
        "fence": _code,
        "code_block": _code,
        "html_block": _html,
        "table_open": _table_open,
        "table_close": _table_close,
        "tr_open": _row_open,
        "footnote_reference_open": _footnote_open,
        "footnote_reference_close": _item_close,
    }
    """What is done with a token of each type that is read."""


def _without_comments(markup: str) -> str:
    first, *others = markup.split("<!--")
    return first + "".join([other.partition("-->")[2] for other in others])
