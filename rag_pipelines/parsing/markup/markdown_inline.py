"""The plain text of Markdown inline content: what a reader sees, without the markup.

What belongs here: emphasis, links, code spans, images and the like, as text. What does not: blocks
(`markdown`). Links are marked as such (`links`); of images the alternative is kept, of inline HTML nothing
but the text inside.

Most inline content is plain or has only markup whose meaning does not depend on what stands around
it. That is read with one regular expression; as soon as anything else appears, markdown-it-py's own
inline parser reads the whole. A test holds the two equal on real documents.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from rag_pipelines.parsing.links import LINK, end_of_link, linked
from rag_pipelines.text.superscripts import Line, raised

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_MAY_BE_MARKUP = re.compile(r"[\\`*_\[<&~\n]")
_INSIDE_WORD = r"(?<=[^\W_])_+(?=[^\W_])"
_PLAIN = rf"(?:[^\\`*_\[\]<&~\n]++|{_INSIDE_WORD})"
_MAY_BE_LETTER = r"[^\t\n -/:-@\[-^`{-~\xa0“”„‘’–—…]"
"""All but white space and common punctuation, beside which an underscore may stand inside a word."""
_CODE = r"(?<!`)`[^`\n]+`(?!`)"
_TARGET = r"\((?!javascript:|vbscript:|file:|data:)[^\s()<>\\&\"'`]*(?:[ ]\"[^\"\\&\n]*\")?\)"
_LINK = rf"!?\[(?!\^)(?:{_PLAIN}|{_CODE})*+\]{_TARGET}"
_SIMPLE = re.compile(
    rf"""
    (?=[\\`*_!\[<&~])
    (?:
        (?<!`)`(?P<code>[^`\n]+)`(?!`)
      | (?P<bang>!?)\[(?!\^)(?P<link>(?:{_PLAIN}|{_CODE})*+)\]
            (?P<target>{_TARGET}|\[[^\[\]\\`\n]*\]|(?![\[(]))
      | (?:(?<![*\\])(?=\*{{1,3}}\w)|(?<![^\s(]))(?P<stars>\*{{1,3}})(?![*\s])
            (?P<strong>(?:{_PLAIN}|{_CODE}|{_LINK})++)
            (?:(?<=\w)|(?<=[^\s\w])(?=(?P=stars)(?:[\s.,;:!?)]|\Z)))(?P=stars)(?!\*)
      | (?<!{_MAY_BE_LETTER})(?P<lines>_{{1,2}})(?=[^\W_])(?P<emphasis>{_PLAIN}++)
            (?<=\w)(?P=lines)(?!{_MAY_BE_LETTER})
      | (?P<hard><br[ ]?/?>)
      | \\(?P<escaped>[!-/:-@\[-`{{-~])
      | (?P<literal>{_INSIDE_WORD}|&(?![\#\w])|<(?![A-Za-z/!?])|(?<!~)~(?!~)|(?<!\S)\*(?!\S))
      | <(?P<address>https?://[^\s\x00-\x20<>\\`&%\[\]*_~]+)>
      | (?P<tag></?[a-z][a-z0-9]*(?:[ ]+[a-z-]+(?:="[^"<>\n]*")?)*[ ]*/?>)
      | (?P<other>[\\`*_\[<&~])
    )
    """,
    re.X | re.I,
)
_CODE_SPAN = re.compile("`([^`]+)`")
_RAISED = re.compile(r"([\w)\]])\^([\w+−-]{1,20})\^(?![\w^])")
_BREAK = re.compile(r"( *)\n[ \t]*")
PLAIN_ADDRESS = re.compile(r"(?:https?://[a-z0-9.-]+(?=[/?#]|\Z))?[A-Za-z0-9/?=&#_.,+-]*")
"""Addresses that markdown-it leaves as they are."""
_LONGEST = 100_000
"""Characters; longer content is data rather than prose, and inline parsing may be quadratic."""


class _NotSimple(Exception):
    """The content holds markup that needs the real parser."""


def plain_text(content: str, parser: MarkdownIt, env: dict[str, Any]) -> str:
    """The plain text of the inline `content` of a block that `parser` found; a hard break is a newline.

    `env` is what the parser noted about the document: its link references and footnotes. "10^6^", which
    many dialects show as a superscript and CommonMark as it stands, is written as superscripts are.
    """
    if not _MAY_BE_MARKUP.search(content) or len(content) > _LONGEST:
        return _with_superscripts(content)
    return _with_superscripts(_without_markup(content, parser, env))


def parse_text(content: str, parser: MarkdownIt, env: dict[str, Any]) -> str:
    """As `plain_text`, always by the real parser."""
    return _with_superscripts(_parse(content, parser, env))


def _with_superscripts(text: str) -> str:
    return _RAISED.sub(lambda match: match[1] + raised(match[1], match[2]), text) if "^" in text else text


def _without_markup(content: str, parser: MarkdownIt, env: dict[str, Any]) -> str:
    references = env.get("references") or {}
    open_bracket_is_text = (
        not references and "](" not in content and "][" not in content and "[^" not in content
    )

    def replace(match: re.Match[str]) -> str:
        kind = match.lastgroup
        if kind == "code":
            return _code_span(match["code"])
        if kind == "target":
            return _link(match["bang"], match["link"], match["target"], references, parser)
        if kind == "strong":
            return _SIMPLE.sub(replace, match["strong"])
        if kind == "address":
            return linked(_shown(match["address"], parser), _address(match["address"], parser))
        if kind == "hard":
            return "\n"
        if kind == "tag":
            if match["tag"].lower().startswith(("<sup", "</sup")):
                raise _NotSimple
            return ""
        if kind == "other":
            if match["other"] == "[" and open_bracket_is_text:
                return "["
            raise _NotSimple
        return match[kind or 0]

    try:
        return _SIMPLE.sub(replace, _join_lines(content))
    except _NotSimple:
        return _parse(content, parser, env)


def _join_lines(content: str) -> str:
    """`content` with soft breaks as spaces, so that only hard breaks are newlines."""
    if "\n" not in content:
        return content
    if "\\\n" in content:
        raise _NotSimple
    if "  \n" not in content:
        return " ".join([line.strip(" \t") for line in content.split("\n")])
    return _BREAK.sub(lambda match: "\n" if len(match[1]) > 1 else " ", content)


def _link(bang: str, text: str, target: str, references: dict[str, Any], parser: MarkdownIt) -> str:
    """A link, the description of an image, or square brackets that turn out to be neither."""
    shown = _CODE_SPAN.sub(lambda match: _code_span(match[1]), text)
    if target.startswith("("):
        return shown if bang else linked(shown, _address(target[1:-1].partition(" ")[0], parser))
    from markdown_it.common.utils import normalizeReference

    if reference := references.get(normalizeReference(target[1:-1] or text)):
        return shown if bang else linked(shown, reference["href"])
    if target:
        raise _NotSimple
    return f"{bang}[{shown}]"


def _address(target: str, parser: MarkdownIt) -> str:
    """`target` as markdown-it writes it, which takes as long as reading a sentence."""
    return target if PLAIN_ADDRESS.fullmatch(target) else parser.normalizeLink(target)


def _shown(address: str, parser: MarkdownIt) -> str:
    """An address as markdown-it shows it, with a name of a host in other letters in these letters."""
    plain = PLAIN_ADDRESS.fullmatch(address) and "xn--" not in address
    return address if plain else parser.normalizeLinkText(address)


def _parse(content: str, parser: MarkdownIt, env: dict[str, Any]) -> str:
    tokens: list[Token] = []
    parser.inline.parse(content, parser, env, tokens)
    line = Line()
    _add_text(line, tokens)
    return line.take()


def _add_text(line: Line, tokens: list[Token]) -> None:
    targets: list[str] = []
    for token in tokens:
        if token.type in ("text", "text_special", "code_inline"):
            line.add(token.content)
        elif token.type == "softbreak":
            line.add(" ")
        elif token.type == "hardbreak":
            line.add("\n")
        elif token.type == "html_inline":
            _add_tag(line, token.content.lower())
        elif token.type == "image":
            _add_text(line, token.children or [])
        elif token.type == "link_open":
            targets.append(str(token.attrs.get("href") or ""))
            line.add(LINK)
        elif token.type == "link_close":
            line.add(end_of_link(targets.pop()))
        elif token.type == "footnote_ref":
            line.add(f"[{token.meta.get('label') or token.meta['id'] + 1}]")


def _add_tag(line: Line, tag: str) -> None:
    """What an inline HTML tag does to the text: a line break, a superscript, or nothing."""
    if tag.startswith("<br"):
        line.add("\n")
    elif tag.startswith("<sup"):
        line.begin_raised()
    elif tag.startswith("</sup"):
        line.end_raised()


def _code_span(code: str) -> str:
    """One space on each side belongs to the delimiters (CommonMark 0.31, section 6.1)."""
    return code[1:-1] if code[0] == code[-1] == " " and code.strip() else code
