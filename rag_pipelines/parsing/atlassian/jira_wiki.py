"""Jira's wiki markup, which old Confluence shares, as HTML, of which `html` makes blocks.

What belongs here: the notation, and what a reader sees of it. What does not: lists, tables and quotes
as blocks (`html`), the issue around a text (`jira_issue`).

The notation is that of https://jira.atlassian.com/secure/WikiRendererHelpAction.jspa?section=all.
Whatever looks like markup but is not stays as it is written, so that no text is lost: an emphasis that
is not closed, square brackets without an address, a macro that is not known (which is counted).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from html import escape

from rag_pipelines.parsing.atlassian import adf
from rag_pipelines.text.canonical import clean

_PARAMETERS = r"(?::(?P<parameters>[^{}\n\0]*))?"
_UNESCAPED = r"(?<!(?<!\\)\\)"
_VERBATIM = re.compile(rf"{_UNESCAPED}\{{(?P<name>code|noformat|adf){_PARAMETERS}\}}")
_CONTAINER = re.compile(
    rf"{_UNESCAPED}\{{(?P<name>quote|panel|info|note|tip|warning|expand|excerpt|section|column){_PARAMETERS}\}}"
)
_SILENT = frozenset({"anchor", "color", "toc"})
"""Macros that show nothing of their own."""

_HEADING = re.compile(r"h([1-6])\.(?:\s+(.*))?")
_QUOTE = re.compile(r"bq\.\s+(.*)")
_RULE = re.compile(r"-{4,}")
_ITEM = re.compile(r"([*#]{1,50}|-{1,50})\s+(.*)")
_ELEMENTS = {"*": "ul", "-": "ul", "#": "ol"}

_TARGET = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://|mailto:|file:|//?|\\\\|www\.|[~#](?=[a-z]))\S|\^\S.*\.\w|[a-z][a-z0-9_]+-\d+\Z",
    re.I,
)
"""What makes square brackets a link: an address, a path, a person, an anchor, an attachment, an issue."""

_FILE = r"(?:https?://[^\s!|\0]+|[^\s!|\0][^!|\n\0]*?\.\w{1,5})"
_IMAGE = rf"(?<!\w)!(?P<image>{_FILE})(?:\|(?P<options>[^!\n\0]*))?!(?!\w)"
_MONOSPACED = r"\{\{(?P<monospaced>(?:[^{}\n\0]|\{(?!\{)|\}(?!\}))+)\}\}"
_INLINE = re.compile(
    rf"""
    \0(?P<verbatim>\d+)\0
  | (?P<break>\\\\(?:[ \t]*\n)?)
  | \\(?P<escaped>[^\w\s\0]|_)
  | (?P<line>\n)
  | {_MONOSPACED}
  | \{{(?P<macro>[A-Za-z][\w-]*){_PARAMETERS}\}}
  | \{{(?P<braced>[*_+^~-]|\?\?)\}}
  | \[(?P<link>[^\[\]\n\0]+)\]
  | {_IMAGE}
  | (?P<address>\bhttps?://[^\s\[\]|{{}}\0]*(?:[^\W_]|/))
  | (?P<mark>[*_+^~-]|\?\?)
    """,
    re.X,
)
_PERSON = re.compile(r"\A~(?:accountid:)?")
_ESCAPED = re.compile(r"\\([^\w\s]|_)")
_ENTITY = re.compile(r"&amp;(#?\w{2,10};)")
_CELL_BOUNDARY = re.compile(
    rf"\\.|{_MONOSPACED}|\{{[^{{}}\n]*\}}|\[[^\[\]\n]*\]|{_IMAGE}|(?P<boundary>\|\|?)"
)


def to_html(text: str, counters: Counter[str]) -> str:
    """The HTML of wiki markup.

    Unknown macros are counted as ``unknown_macros``, mended characters as by `clean`. It never fails,
    and takes time in proportion to the length of `text`.
    """
    inline = _Inline(counters)
    text = _set_aside_verbatim(clean(text, counters), inline)
    blocks = _Blocks(inline)
    at = 0
    for tag in _CONTAINER.finditer(text):
        blocks.read(text[at : tag.start()])
        blocks.turn(tag["name"], tag["parameters"])
        at = tag.end()
    blocks.read(text[at:])
    return blocks.finish()


def _set_aside_verbatim(text: str, inline: _Inline) -> str:
    """`text` with a placeholder, a number between two NULs, for each part that is not markup."""
    parts: list[str] = []
    unclosed: set[str] = set()
    at = 0
    for tag in _VERBATIM.finditer(text):
        name = tag["name"]
        if tag.start() < at or name in unclosed:
            continue
        end = text.find(f"{{{name}}}", tag.end())
        if end < 0:
            unclosed.add(name)
            continue
        parts += text[at : tag.start()], inline.set_aside(name, tag["parameters"], text[tag.end() : end])
        at = end + len(name) + 2
    return "".join([*parts, text[at:]])


class _Blocks:
    """Renders lines: headings, paragraphs, lists, tables, and the containers around them."""

    def __init__(self, inline: _Inline) -> None:
        self._inline = inline
        self._parts: list[str] = []
        self._containers: list[str] = []
        self._lines: list[str] = []
        self._lists = ""
        self._rows: list[list[str]] = []

    def read(self, text: str) -> None:
        """Add lines, with which the block that they end in ends."""
        for line in text.split("\n"):
            self._read_line(line.strip())
        self._end()

    def turn(self, macro: str, parameters: str | None) -> None:
        """Close a container that is open, with all that was opened in it; else, or anew, open it."""
        if macro in self._containers:
            while self._close_container() != macro:
                pass
            if parameters is None:
                return
        self._containers.append(macro)
        options = _options(parameters)
        title = options.get("title") or (options.get("", "") if macro == "expand" else "")
        self._parts.append(f"<{_container_element(macro)}><div>{_escape(title)}</div>")

    def finish(self) -> str:
        """The HTML of all that was added."""
        while self._containers:
            self._close_container()
        return "".join(self._parts)

    def _close_container(self) -> str:
        macro = self._containers.pop()
        self._parts.append(f"</{_container_element(macro)}>")
        return macro

    def _read_line(self, line: str) -> None:
        if not line or _RULE.fullmatch(line):
            self._end()
        elif heading := _HEADING.fullmatch(line):
            self._end()
            text = self._inline.html(heading[2] or "")
            self._parts.append(f'<div role="heading" aria-level="{heading[1]}">{text}</div>')
        elif quote := _QUOTE.fullmatch(line):
            self._end()
            self._parts.append(f"<blockquote>{self._inline.html(quote[1])}</blockquote>")
        elif line.startswith("|"):
            if not self._rows:
                self._end()
            self._rows.append([line])
        elif self._rows and not self._rows[-1][-1].endswith("|"):
            self._rows[-1].append(line)
        elif item := _ITEM.fullmatch(line):
            self._end_table()
            self._end_text()
            self._open_item(item[1])
            self._lines.append(item[2])
        else:
            self._end_table()
            self._lines.append(line)

    def _end(self) -> None:
        """End the paragraph, list or table that is open."""
        self._end_text()
        self._close_lists("")
        self._end_table()

    def _end_text(self) -> None:
        if self._lines:
            text = self._inline.html("\n".join(self._lines))
            self._parts.append(text if self._lists else f"<div>{text}</div>")
            self._lines.clear()

    def _open_item(self, marks: str) -> None:
        """Open an item at the end of the lists that `marks` names, outermost first ("*#")."""
        depth = 0
        while self._lists[depth : depth + 1] == marks[depth : depth + 1] != "":
            depth += 1
        self._close_lists(marks[:depth])
        if depth == len(marks):
            self._parts.append("</li><li>")
        for mark in marks[depth:]:
            self._parts.append(f"<{_ELEMENTS[mark]}><li>")
        self._lists = marks

    def _close_lists(self, kept: str) -> None:
        """Close the lists that are open inside those of `kept`."""
        for mark in reversed(self._lists[len(kept) :]):
            self._parts.append(f"</li></{_ELEMENTS[mark]}>")
        self._lists = kept

    def _end_table(self) -> None:
        if self._rows:
            rows = [f"<tr>{self._cells(lines)}</tr>" for lines in self._rows]
            self._parts.append(f"<table>{''.join(rows)}</table>")
            self._rows.clear()

    def _cells(self, lines: list[str]) -> str:
        parts: list[str] = []
        for element, text in _split_row("\n".join(lines)):
            blocks = _Blocks(self._inline)
            blocks.read(text)
            parts.append(f"<{element}>{blocks.finish()}</{element}>")
        return "".join(parts)


def _container_element(macro: str) -> str:
    return "blockquote" if macro == "quote" else "div"


def _split_row(text: str) -> Iterator[tuple[str, str]]:
    """Element and text of each cell; ``||`` stands in front of a header, ``|`` of any other."""
    element, at = "td", 1
    for found in _CELL_BOUNDARY.finditer(text):
        if found["boundary"]:
            if found.start():
                yield element, text[at : found.start()]
            element, at = ("th" if found["boundary"] == "||" else "td"), found.end()
    if text[at:].strip():
        yield element, text[at:]


class _Inline:
    """Renders the text within a block."""

    def __init__(self, counters: Counter[str]) -> None:
        self._counters = counters
        self._verbatim: list[str] = []

    def set_aside(self, macro: str, parameters: str | None, body: str) -> str:
        """Keep the body of a macro that is shown as it is; returns the placeholder that stands for it."""
        self._verbatim.append(self._adf(body) if macro == "adf" else _code(macro, parameters, body))
        return f"\0{len(self._verbatim) - 1}\0"

    def _adf(self, body: str) -> str:
        """A node of ADF, which Jira writes where wiki markup has no notation for it."""
        try:
            return adf.to_html(json.loads(body), self._counters)
        except (ValueError, RecursionError):
            return _code("adf", None, body)

    def html(self, text: str) -> str:
        """`text` without its markup. Marks of emphasis are left out where both are there, on one line."""
        parts: list[str] = []
        opened: dict[str, int] = {}
        at = 0
        for token in _INLINE.finditer(text):
            parts.append(_escape(text[at : token.start()]))
            at = token.end()
            if token["line"]:
                opened.clear()
            mark = token["mark"] or token["braced"]
            opens, closes = _roles(token) if token["mark"] else (bool(mark), bool(mark))
            if closes and mark in opened:
                is_superscript = mark == "^"
                parts[opened.pop(mark)] = "<sup>" if is_superscript else ""
                parts.append("</sup>" if is_superscript else "")
                continue
            if opens:
                opened[mark] = len(parts)
            parts.append(self._render(token))
        parts.append(_escape(text[at:]))
        return "".join(parts)

    def _render(self, token: re.Match[str]) -> str:
        """What a reader sees of one piece of markup."""
        if token["verbatim"]:
            return self._verbatim[int(token["verbatim"])]
        if token["line"] or token["break"]:
            return "<br>"
        if token["macro"]:
            return self._macro(token)
        if token["braced"]:
            return ""
        if token["link"]:
            return self._link(token["link"])
        if token["image"]:
            alternative = _options(token["options"]).get("alt")
            return f'<img alt="{escape(alternative or token["image"])}">'
        if token["monospaced"]:
            return _escape(_ESCAPED.sub(r"\1", token["monospaced"]))
        return _escape(token["escaped"] or token[0])

    def _macro(self, token: re.Match[str]) -> str:
        name = token["macro"].lower()
        if name in _SILENT:
            return ""
        if name == "status":
            return _escape(_options(token["parameters"]).get("title", ""))
        self._counters["unknown_macros"] += 1
        return _escape(token[0])

    def _link(self, text: str) -> str:
        """The text of a link, which its address follows, or the address where that is all."""
        alias, bar, rest = text.partition("|")
        target = rest.partition("|")[0] if bar else alias
        if not _TARGET.match(target.strip()):
            return f"[{self.html(text)}]"
        shown = _escape(_PERSON.sub("@", target.strip()).removeprefix("mailto:").lstrip("#^"))
        if bar and alias.strip():
            shown = self.html(alias)
        if target.strip().startswith("~"):
            return shown
        return f'<a href="{_escape(target.strip())}">{shown}</a>'


def _roles(mark: re.Match[str]) -> tuple[bool, bool]:
    """Whether a mark of emphasis may open it, and whether it may close it, by what stands beside it."""
    text = mark.string
    before, behind = text[mark.start() - 1 : mark.start()], text[mark.end() : mark.end() + 1]
    if mark["mark"][0] in (before, behind):
        return False, False
    opens = bool(behind) and not behind.isspace() and not before.isalnum()
    closes = bool(before) and not before.isspace() and not behind.isalnum()
    return opens, closes


def _options(parameters: str | None) -> dict[str, str]:
    """The parameters of a macro or image, ``name=value|value``; one without a name is named ""."""
    options: dict[str, str] = {}
    for parameter in (parameters or "").split("|" if "|" in (parameters or "") else ","):
        name, equals, value = parameter.partition("=")
        options.setdefault(name.strip().lower() if equals else "", (value if equals else name).strip())
    return options


def _code(macro: str, parameters: str | None, text: str) -> str:
    options = _options(parameters)
    title = options.get("title", "")
    language = options.get("language") or options.get("", "") if macro == "code" else ""
    caption = f"<figcaption>{escape(title)}</figcaption>" if title else ""
    return f'{caption}<pre data-language="{escape(language)}"><code>{escape(text)}</code></pre>'


def _escape(text: str) -> str:
    """`text` as HTML; an entity, which Jira's editor writes for some characters, stays one."""
    return _ENTITY.sub(r"&\1", escape(text))
