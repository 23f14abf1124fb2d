"""Org mode: headlines, source blocks, tables, lists and paragraphs.

What belongs here: what can be told line by line. What does not: running or exporting anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.links import linked
from rag_pipelines.parsing.markup.text import Paragraphs, read

_HEADLINE = re.compile(r"(\*+)\s+(?:(?:TODO|DONE|NEXT|WAITING)\s+)?(?:\[#\w\]\s+)?(.+?)(?:\s+:[\w@:]+:)?\s*")
_KEYWORD = re.compile(r"#\+(\w+):\s*(.*)")
_BEGIN = re.compile(r"\s*#\+begin_(\w+)\s*(\S*).*", re.I)
_DRAWER = re.compile(r"\s*:(?:properties|logbook):\s*", re.I)
_METADATA = frozenset({"author", "date", "email", "description", "keywords", "language", "subtitle"})
_LINK = re.compile(r"\[\[([^\]\[]+)\](?:\[([^\]\[]+)\])?\]")


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of an Org document; links are replaced by their descriptions."""
    builder = DocumentBuilder.of("text/x-org", request)
    paragraphs = Paragraphs(builder)
    rows: list[list[str]] = []
    lines = iter(_LINK.sub(_link, read(request, builder)).split("\n"))
    for line in lines:
        stripped = line.strip()
        if rows and not stripped.startswith("|"):
            builder.add_table(rows, header_rows=1)
            rows = []
        if headline := _HEADLINE.fullmatch(line):
            paragraphs.flush()
            builder.add(BlockKind.HEADING, headline[2], level=len(headline[1]))
            builder.title = builder.title or headline[2]
        elif begin := _BEGIN.fullmatch(line):
            paragraphs.flush()
            _add_block(builder, begin[1].lower(), begin[2], _until(lines, f"#+end_{begin[1].lower()}"))
        elif _DRAWER.fullmatch(line):
            _until(lines, ":end:")
        elif keyword := _KEYWORD.fullmatch(stripped):
            name = keyword[1].lower()
            if name == "title":
                builder.title = keyword[2]
            elif name in _METADATA:
                builder.metadata[name] = keyword[2]
        elif stripped.startswith("|"):
            paragraphs.flush()
            if not stripped.startswith("|-"):
                rows.append([cell.strip() for cell in stripped.strip("|").split("|")])
        elif not stripped.startswith("# "):
            paragraphs.add(line)
    paragraphs.flush()
    builder.add_table(rows, header_rows=1)
    return builder.finish()


def _link(link: re.Match[str]) -> str:
    """A link as its description (Org manual, 4.1); ``*Fees`` is the heading of this name."""
    target, description = link[1], link[2] or link[1]
    if target.startswith("*"):
        target = f"#{target[1:]}"
    return linked(description, target.removeprefix("file:"))


def _until(lines: Iterator[str], end: str) -> list[str]:
    """The lines before the one that reads `end`, which is used up."""
    found: list[str] = []
    for line in lines:
        if line.strip().lower() == end:
            break
        found.append(line)
    return found


def _add_block(builder: DocumentBuilder, name: str, argument: str, lines: list[str]) -> None:
    if name in ("src", "example"):
        language = argument.lower() if name == "src" and argument else None
        builder.add(BlockKind.CODE, "\n".join(lines), language=language)
    elif name in ("quote", "verse"):
        builder.add(BlockKind.QUOTE, "\n".join(line.strip() for line in lines))
    elif name not in ("comment", "export"):
        builder.add(BlockKind.PARAGRAPH, "\n".join(line.strip() for line in lines))
