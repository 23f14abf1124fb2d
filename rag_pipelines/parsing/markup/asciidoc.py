"""AsciiDoc: section titles, delimited blocks, tables, lists and paragraphs.

What belongs here: what can be told line by line. What does not: includes, macros, conditionals.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.links import anchor, linked
from rag_pipelines.parsing.markup.text import Paragraphs, read
from rag_pipelines.text.superscripts import raised

_TITLE = re.compile(r"(={1,6}|#{1,6})\s+(\S.*)")
_ATTRIBUTE = re.compile(r":([\w-]+):\s*(.*)")
_BLOCK_ATTRIBUTES = re.compile(r"\[([^\]]*)\]\s*")
_CAPTION = re.compile(r"\.(?![.\s])(.+)")
_DELIMITERS = {
    "----": BlockKind.CODE,
    "....": BlockKind.CODE,
    "____": BlockKind.QUOTE,
    "////": None,
    "++++": None,
}
_BULLET = re.compile(r"(\*{1,5}|\.{1,5}|-)\s+(\S.*)")
_METADATA = frozenset({"author", "email", "revdate", "description", "keywords", "lang"})
_LINK = re.compile(
    r"\[\[(?P<anchor>[\w:.-]+)(?:,[^\]]*)?\]\]"
    r"|<<(?P<place>[^<>,]+)(?:,\s*(?P<title>[^<>]+))?>>"
    r"|(?:link:(?=\S)|(?<![\w/:])(?=https?://|mailto:))(?P<address>[^\s\[\]]+)\[(?P<text>[^\]]*)\]"
)
_RAISED_OR_LOWERED = re.compile(r"\^([^\s^]{1,40})\^|(?<=\w)~([^\s~]{1,40})~")


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of an AsciiDoc document."""
    builder = DocumentBuilder.of("text/asciidoc", request)
    paragraphs = Paragraphs(builder)
    attributes = ""
    lines = iter(read(request, builder).split("\n"))
    for line in lines:
        delimiter = line.rstrip()
        if delimiter[:4] in _DELIMITERS and len(set(delimiter)) == 1:
            paragraphs.flush()
            body = "\n".join(_until(lines, delimiter))
            kind = _DELIMITERS[delimiter[:4]]
            if kind:
                builder.add(kind, body, language=_language(attributes) if kind is BlockKind.CODE else None)
        elif delimiter.startswith("|==="):
            paragraphs.flush()
            _add_table(builder, _until(lines, delimiter), attributes)
        elif title := _TITLE.fullmatch(line):
            paragraphs.flush()
            builder.add(BlockKind.HEADING, _inline(title[2]), level=len(title[1]))
            builder.title = builder.title or title[2]
        elif attribute := _ATTRIBUTE.fullmatch(line):
            if attribute[1] in _METADATA:
                builder.metadata[attribute[1]] = attribute[2]
        elif block := _BLOCK_ATTRIBUTES.fullmatch(line):
            attributes = block[1]
            continue
        elif caption := _CAPTION.fullmatch(line):
            paragraphs.flush()
            builder.add(BlockKind.CAPTION, _inline(caption[1]))
            continue
        elif bullet := _BULLET.fullmatch(line.strip()):
            paragraphs.flush()
            builder.add(BlockKind.LIST_ITEM, _inline(bullet[2]), level=len(bullet[1]))
        elif not line.startswith("//") and delimiter not in ("====", "****", "--", "+"):
            paragraphs.add(_inline(line))
        attributes = ""
    paragraphs.flush()
    return builder.finish()


def _inline(line: str) -> str:
    """`line` with its superscripts and subscripts, "10^6^" and "H~2~O", as text, and its links marked."""
    if "^" in line or "~" in line:
        before = line
        line = _RAISED_OR_LOWERED.sub(
            lambda found: raised(before[: found.start()], found[1]) if found[1] else found[2], line
        )
    return _LINK.sub(_link, line) if "[" in line or "<<" in line else line


def _link(found: re.Match[str]) -> str:
    """A link macro or cross reference as its text, an anchor as its mark (AsciiDoc, "Links" and "Macros")."""
    if found["anchor"]:
        return anchor(found["anchor"])
    if place := found["place"]:
        target = place if "." in place or "#" in place else f"#{place}"
        return linked(found["title"] or place, target)
    text = (found["text"] or "").partition(",window=")[0].rstrip("^").strip('"')
    return linked(text or found["address"], found["address"])


def _until(lines: Iterator[str], end: str) -> list[str]:
    """The lines before the one that reads `end`, which is used up."""
    found: list[str] = []
    for line in lines:
        if line.rstrip() == end:
            break
        found.append(line)
    return found


def _language(attributes: str) -> str | None:
    style, _, rest = attributes.partition(",")
    return rest.partition(",")[0].strip().lower() or None if style.strip() in ("source", "") else None


def _add_table(builder: DocumentBuilder, lines: list[str], attributes: str) -> None:
    """A table whose rows are lines, or whose cells are lines and whose rows end at a blank line."""
    rows: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("|"):
            cells = [_inline(cell.strip()) for cell in line[1:].split("|")]
            if len(cells) > 1 and rows[-1]:
                rows.append([])
            rows[-1].extend(cells)
        elif line.strip():
            if rows[-1]:
                rows[-1][-1] += f" {line.strip()}"
        elif rows[-1]:
            rows.append([])
    has_header = "header" in attributes or (
        len(lines) > 1 and bool(lines[0].strip()) and not lines[1].strip()
    )
    builder.add_table(rows, header_rows=int(has_header))
