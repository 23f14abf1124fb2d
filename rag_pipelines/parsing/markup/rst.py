"""reStructuredText: section titles, code, lists and paragraphs; everything else stays as text.

What belongs here: what can be told line by line. What does not: roles and directives that need
docutils, which also includes files and evaluates Python.
"""

from __future__ import annotations

import re
import textwrap

from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.links import linked
from rag_pipelines.parsing.markup.text import Paragraphs, read
from rag_pipelines.text.superscripts import raised

_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1{2,}\s*")
_DIRECTIVE = re.compile(r"\s*\.\. ([\w:-]+)::\s*(.*)")
_CODE_DIRECTIVES = frozenset({"code", "code-block", "sourcecode", "highlight", "prompt", "parsed-literal"})
_SILENT_DIRECTIVES = frozenset({
    "contents", "toctree", "image", "include", "literalinclude", "raw", "meta", "highlight", "index",
    "automodule", "autoclass", "autofunction", "module", "currentmodule", "default-role",
})  # fmt: skip
_LINK = re.compile(
    r"(?:(?<!\S):(?P<role>ref|numref|doc|download):|(?<![\w`:]))"
    r"`(?P<text>[^`<>]+?)\s*<(?P<target>[^`<>\s]+)>`(?(role)|__?)"
)
_PLACE = re.compile(r"\.\. _`?([^`:]+)`?:\s*")
_OPTION_OR_COMMENT = re.compile(r"\s+:[\w-]+:(?:\s|$)|\s*\.\.(?:\s(?!\w[\w:-]*::)|$)")
_RAISED_OR_LOWERED = re.compile(r"(?:\\ )?:(sup|superscript|sub|subscript):`([^`]*)`(?:\\ )?")


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of a reStructuredText document."""
    builder = DocumentBuilder.of("text/x-rst", request)
    paragraphs = Paragraphs(builder)
    styles: list[tuple[str, bool]] = []
    lines = read(request, builder).split("\n")
    at = 0
    while at < len(lines):
        line = lines[at]
        title = _title_at(lines, at)
        directive = _DIRECTIVE.fullmatch(line)
        if title:
            text, style, at = title
            text = _inline(text)
            if style not in styles:
                styles.append(style)
            paragraphs.flush()
            builder.add(BlockKind.HEADING, text, level=styles.index(style) + 1)
            builder.title = builder.title or text
        elif directive:
            paragraphs.flush()
            name, argument = directive[1], directive[2]
            if name in _CODE_DIRECTIVES:
                code, at = _read_indented(lines, at + 1, options=True)
                builder.add(BlockKind.CODE, code, language=argument.lower() or None)
            elif name in _SILENT_DIRECTIVES:
                _, at = _read_indented(lines, at + 1, options=True)
            else:
                paragraphs.add(_inline(argument))
                at += 1
        elif line.rstrip().endswith("::"):
            paragraphs.add(_inline(line.rstrip().removesuffix(":").removesuffix(" :")))
            paragraphs.flush()
            code, at = _read_indented(lines, at + 1, options=False)
            builder.add(BlockKind.CODE, code)
        else:
            if place := _PLACE.fullmatch(line):
                paragraphs.flush()
                builder.anchor(place[1])
            if not _OPTION_OR_COMMENT.match(line):
                paragraphs.add(_inline(line))
            at += 1
    paragraphs.flush()
    return builder.finish()


def _inline(line: str) -> str:
    """`line` with the roles of superscripts and subscripts carried out and links marked.

    Of other roles the notation stays.
    """
    if "`" in line:
        line = _LINK.sub(_link, line)
    if ":su" not in line:
        return line

    def write(role: re.Match[str]) -> str:
        return raised(line[: role.start()], role[2]) if role[1].startswith("sup") else role[2]

    return _RAISED_OR_LOWERED.sub(write, line)


def _link(found: re.Match[str]) -> str:
    """```text <target>`_`` and the roles ``:ref:`` and ``:doc:`` of Sphinx with a text of their own."""
    target = found["target"]
    return linked(found["text"].strip(), f"#{target}" if found["role"] in ("ref", "numref") else target)


def _title_at(lines: list[str], at: int) -> tuple[str, tuple[str, bool], int] | None:
    """The title at line `at`, its style (adornment, overlined), and the line behind it."""
    if at + 2 < len(lines) and _ADORNMENT.fullmatch(lines[at]) and lines[at + 1].strip():
        if lines[at + 2].rstrip() == lines[at].rstrip():
            return lines[at + 1].strip(), (lines[at][0], True), at + 3
        return None
    if at + 1 < len(lines) and lines[at].strip() and not lines[at][0].isspace():
        under = lines[at + 1].rstrip()
        if _ADORNMENT.fullmatch(under) and len(under) >= len(lines[at].rstrip()):
            return lines[at].strip(), (under[0], False), at + 2
    return None


def _read_indented(lines: list[str], at: int, *, options: bool) -> tuple[str, int]:
    """The indented block from line `at` on, dedented, and the line behind it."""
    block: list[str] = []
    while at < len(lines) and (not lines[at].strip() or lines[at][0].isspace()):
        is_option = options and not any(block) and lines[at].lstrip().startswith(":")
        if not is_option:
            block.append(lines[at])
        at += 1
    return textwrap.dedent("\n".join(block)), at
