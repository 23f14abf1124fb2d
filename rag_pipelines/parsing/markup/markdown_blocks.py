"""The blocks of Markdown as markdown-it-py finds them, at half of its cost.

What belongs here: which of the library's block rules are tried at a line, and the lines that they are tried
at. What does not: what the tokens mean (`markdown`).

Almost all of the library's rules say no at almost every line, and most of them by its first character. So
they are asked only where that character can begin what they look for; which token a document has is decided
by the same rules in the same order. Tokens that nobody reads are not made. Tests hold the tokens equal to
those of the library on its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from itertools import accumulate
from typing import Any, Literal

from markdown_it import MarkdownIt
from markdown_it.common.utils import normalizeReference
from markdown_it.parser_block import ParserBlock
from markdown_it.ruler import Ruler
from markdown_it.rules_block import StateBlock, lheading, paragraph
from markdown_it.token import Token
from mdit_py_plugins.footnote import footnote_plugin

from rag_pipelines.parsing.markup.markdown_inline import PLAIN_ADDRESS

Rule = Callable[[StateBlock, int, int, bool], bool]
"""A block rule: state, first line, line behind the last, whether only to say if it applies."""

MAX_NESTING = 100
"""Levels of quotes, lists and their items; lines that lie deeper are read as plain text."""

_DEEPEST_STEP = 2
"""A list and its item are two levels at once. The parser must never reach its own limit, because it
drops what lies beyond."""

TOO_DEEP = "too_deep"
"""What `env` calls the number of lines that were read as plain text."""

_BEGINNINGS = {
    "fence": "`~",
    "blockquote": ">",
    "hr": "*-_",
    "list": "*-+0123456789",
    "footnote_def": "[",
    "reference": "[",
    "html_block": "<",
    "heading": "#",
}
"""The first characters of a line without which a rule finds nothing in it."""

_INTERRUPTED = ("paragraph", "reference", "blockquote", "list")
"""What the library calls the blocks that other blocks may end without a blank line."""

_DELIMITERS = "|-:"
"""With what the second line of a table begins."""

_BREAK = re.compile(r"([*_-])[ \t]*(?:\1[ \t]*){2,}$", re.M)
_NO_REFERENCE = re.compile(r"\[[^\[\]\\\n]*(?:\[|\](?!:))")
_REFERENCE = re.compile(r"\[(?!\^)([^\[\]\\\n]+)\]:[ \t]+(\S+)[ \t]*(?:\n(?![ \t>]*[\"'(])|\Z)")
"""What cannot be a reference, and one on a line of its own below which no title begins."""

_CODE_INDENT = 4
_MARKERS = re.compile(r"(?:[>\s]+|(?:[-*+]|\d{1,9}[.)])(?=\s|\Z))+")
_UNDERLINE = re.compile(r"(?:=+|-+)[ \t]*$", re.M)


def block_parser(read: Collection[str]) -> MarkdownIt:
    """A parser of CommonMark with tables and footnotes that makes tokens of the types in `read` only.

    Inline content is left as it stands in tokens of the type ``inline``.
    """
    parser = MarkdownIt("commonmark", {"maxNesting": MAX_NESTING + _DEEPEST_STEP})
    parser.enable(["table", "strikethrough"])
    footnote_plugin(parser, inline=False)
    parser.core.ruler.enableOnly(["block"])
    parser.block = _BlockParser(parser.block.ruler, frozenset(read))
    return parser


class _BlockParser(ParserBlock):
    """Tries at each line the rules that may apply there."""

    def __init__(self, ruler: Ruler[Rule], read: frozenset[str]) -> None:
        rules = dict(zip(ruler.get_active_rules(), ruler.getRules(""), strict=True))
        names = {rule: name for name, rule in rules.items()}
        self._read = read
        self._table, self._code = rules["table"], rules["code"]
        rules["heading"] = _heading
        rules["hr"] = partial(_thematic_break, rules["hr"])
        rules["reference"] = partial(_reference, rules["reference"])
        self._beginning = _by_first_character(rules)
        self.ruler = Ruler[Rule]()
        self.ruler.push("code", self._code)
        for interrupted in _INTERRUPTED:
            chain = {name: rules[name] for name in map(names.__getitem__, ruler.getRules(interrupted))}
            ends = partial(_ends, _by_first_character(chain), chain.get("table"))
            self.ruler.push(f"end of {interrupted}", ends, {"alt": [interrupted]})

    def parse(
        self, src: str, md: MarkdownIt, env: Any, outTokens: list[Token]
    ) -> list[Token] | None:  # named as in the library
        """Add the block tokens of `src` to `outTokens`; every line break is a newline."""
        text = src.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
        state = _State(text, md, env, outTokens, self._read)
        self.tokenize(state, 0, state.lineMax)
        return state.tokens

    def tokenize(self, state: StateBlock, startLine: int, endLine: int) -> None:
        """Add the tokens of a range of lines, at the level where `state` is."""
        starts, shifts, ends, indents = state.bMarks, state.tShift, state.eMarks, state.sCount
        source, beginning = state.src, self._beginning
        line, blank = startLine, False
        while line < endLine:
            while line < state.lineMax and starts[line] + shifts[line] >= ends[line]:
                line += 1
            state.line = line
            if line >= endLine or indents[line] < state.blkIndent:
                return
            if state.level >= MAX_NESTING:
                _read_as_text(state, line, endLine)
            elif indents[line] - state.blkIndent >= _CODE_INDENT:
                self._code(state, line, endLine, False)
            elif not (_may_be_table(state, line, endLine) and self._table(state, line, endLine, False)):
                for rule in beginning.get(source[starts[line] + shifts[line]], ()):
                    if rule(state, line, endLine, False):
                        break
                else:
                    _paragraph(state, line, endLine)
            state.tight = not blank
            line = state.line
            if line - 1 < endLine and state.isEmpty(line - 1):
                blank = True
            if line < endLine and state.isEmpty(line):
                blank = True
                line += 1
                state.line = line


class _State(StateBlock):
    """The lines of a text, and the tokens of those types that are read."""

    def __init__(self, src: str, md: MarkdownIt, env: Any, tokens: list[Token], read: frozenset[str]) -> None:
        super().__init__("", md, env, tokens)
        self._read = read
        self._unread = Token("", "", 0)
        lines = src.split("\n")
        if not lines[-1].strip(" \t"):
            lines.pop()
        behind = list(accumulate([len(line) + 1 for line in lines], initial=0))
        count, size = len(lines), len(src)
        shifts, indents = [0] * (count + 1), [0] * (count + 1)
        for number, line in enumerate(lines):
            if line[:1] in (" ", "\t"):
                blanks = line[: len(line) - len(line.lstrip(" \t"))]
                shifts[number] = len(blanks)
                indents[number] = len(blanks.expandtabs(_CODE_INDENT))
        self.src = src
        self.bMarks, self.eMarks = [*behind[:-1], size], [*[end - 1 for end in behind[1:]], size]
        self.tShift, self.sCount, self.bsCount = shifts, indents, [0] * (count + 1)
        self.lineMax = count

    def push(self, ttype: str, tag: str, nesting: Literal[-1, 0, 1]) -> Token:
        """The token to fill in; one that nobody reads is not kept."""
        if nesting < 0:
            self.level -= 1
        if ttype in self._read:
            token: Token = _BlockToken(ttype, tag, nesting, self.level)
            self.tokens.append(token)
        else:
            token = self._unread
        if nesting > 0:
            self.level += 1
        return token


class _BlockToken(Token):
    """A token with what is read of it alone, as making the rest takes longer than most rules."""

    __slots__ = ()

    def __init__(self, ttype: str, tag: str, nesting: Literal[-1, 0, 1], level: int) -> None:
        self.type, self.tag, self.nesting, self.level = ttype, tag, nesting, level
        self.content = self.info = ""


def _by_first_character(rules: Mapping[str, Rule]) -> dict[str, tuple[Rule, ...]]:
    """The rules to try by the first character of a line, in their order."""
    found: dict[str, tuple[Rule, ...]] = {}
    for name, rule in rules.items():
        for character in _BEGINNINGS.get(name, ""):
            found[character] = (*found.get(character, ()), rule)
    return found


def _ends(
    beginning: Mapping[str, Iterable[Rule]],
    table: Rule | None,
    state: StateBlock,
    line: int,
    end: int,
    silent: bool,
) -> bool:
    """Block rule that says whether any of the library's rules ends a block before a line."""
    start = state.bMarks[line] + state.tShift[line]
    if start >= state.eMarks[line] or state.sCount[line] - state.blkIndent >= _CODE_INDENT:
        return False
    for rule in beginning.get(state.src[start], ()):
        if rule(state, line, end, silent):
            return True
    return table is not None and _may_be_table(state, line, end) and table(state, line, end, silent)


def _thematic_break(rule: Rule, state: StateBlock, line: int, end: int, silent: bool) -> bool:
    """Spare the library's `rule` the items of lists."""
    start = state.bMarks[line] + state.tShift[line]
    return _BREAK.match(state.src, start) is not None and rule(state, line, end, silent)


def _heading(state: StateBlock, line: int, end: int, silent: bool) -> bool:
    """Block rule for headings after number signs, as the library's, which reads them letter by letter."""
    text = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]
    content = text.lstrip("#")
    level = len(text) - len(content)
    if level > 6 or content[:1] not in ("", " ", "\t"):
        return False
    if silent:
        return True
    content = content.rstrip(" \t")
    without_end = content.rstrip("#")
    state.push("heading_open", f"h{level}", 1)
    _push_text(state, without_end if without_end.endswith((" ", "\t")) else content)
    state.push("heading_close", f"h{level}", -1)
    state.line = line + 1
    return True


def _reference(rule: Rule, state: StateBlock, line: int, end: int, silent: bool) -> bool:
    """Read a plain address of a reference; the library's `rule`, which reads by letters, reads the others."""
    start = state.bMarks[line] + state.tShift[line]
    if _NO_REFERENCE.match(state.src, start):
        return False
    match = _REFERENCE.match(state.src, start)
    label = normalizeReference(match[1]) if match and PLAIN_ADDRESS.fullmatch(match[2]) else ""
    if not (match and label):
        return rule(state, line, end, silent)
    state.line = line + 1
    known = state.env.setdefault("references", {})
    known.setdefault(label, {"title": "", "href": match[2], "map": [line, state.line]})
    return True


def _may_be_table(state: StateBlock, line: int, end: int) -> bool:
    """Whether the line below looks like the second line of a table."""
    if line + 2 > end:
        return False
    start = state.bMarks[line + 1] + state.tShift[line + 1]
    return start < state.eMarks[line + 1] and state.src[start] in _DELIMITERS


def _paragraph(state: StateBlock, first: int, end: int) -> None:
    """Read a paragraph, or a heading that is underlined: the library reads the lines once for either."""
    if end != state.lineMax:
        if not lheading(state, first, end, False):
            paragraph(state, first, end, False)
        return
    source, starts, shifts, ends = state.src, state.bMarks, state.tShift, state.eMarks
    (is_end,) = state.md.block.ruler.getRules("paragraph")
    parent, state.parentType = state.parentType, "paragraph"
    level = 0
    line = first + 1
    while line < end:
        start, indent = starts[line] + shifts[line], state.sCount[line]
        if start >= ends[line]:
            break
        if 0 <= indent - state.blkIndent < _CODE_INDENT and _UNDERLINE.match(source, start):
            level = 1 if source[start] == "=" else 2
            break
        if 0 <= indent < state.blkIndent + _CODE_INDENT and is_end(state, line, end, True):
            break
        line += 1
    state.parentType = parent
    content = (
        state.getLines(first, line, state.blkIndent, False)
        if state.blkIndent
        else "\n".join([source[starts[n] : ends[n]] for n in range(first, line)])
    )
    if level:
        state.push("heading_open", f"h{level}", 1)
    _push_text(state, content)
    if level:
        state.push("heading_close", f"h{level}", -1)
    state.line = line + 1 if level else line


def _read_as_text(state: StateBlock, first: int, end: int) -> None:
    """Read the lines up to a blank one as text, without what marks quotes and items."""
    line = first
    while line < end and not state.isEmpty(line) and state.sCount[line] >= state.blkIndent:
        line += 1
    lines = [state.src[state.bMarks[n] + state.tShift[n] : state.eMarks[n]] for n in range(first, line)]
    texts = [text[marked.end() :] if (marked := _MARKERS.match(text)) else text for text in lines]
    _push_text(state, "\n".join(filter(None, texts)))
    state.env[TOO_DEEP] = state.env.get(TOO_DEEP, 0) + line - first
    state.line = line


def _push_text(state: StateBlock, text: str) -> None:
    state.push("inline", "", 0).content = text.strip()
