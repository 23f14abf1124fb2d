"""Plain text: paragraphs between blank lines, in whatever encoding.

What belongs here: plain text, and the paragraph buffer that the light markup formats (`rst`, `org`,
`asciidoc`) share. What does not: finding the encoding (`encoding`), source code (`code`).
"""

from __future__ import annotations

import re

from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.encoding import charset_of, decode
from rag_pipelines.text.canonical import clean
from rag_pipelines.text.print_lists import find_list

_BLANK_LINES = re.compile(r"\n(?:[ \t\u00a0\u3000]*\n)+")
_SHORT_LINE_WORDS = 4
_BULLET = re.compile(r"(?:[-*+•]|(\d{1,9}[.)]))[ \t]+(?=\S)")


def parse(request: ParseRequest) -> ParsedDocument:
    """The paragraphs of a plain text, and lists in columns as tables; a form feed ends one too."""
    builder = DocumentBuilder.of("text/plain", request)
    for paragraph in _BLANK_LINES.split(read(request, builder)):
        lines = paragraph.split("\n")
        found = find_list(lines)
        if found is None:
            builder.add(BlockKind.PARAGRAPH, paragraph)
        else:
            taken, rows, header_rows = found
            builder.add(BlockKind.PARAGRAPH, "\n".join(lines[: taken.start]))
            builder.add_table(rows, header_rows=header_rows)
            builder.add(BlockKind.PARAGRAPH, "\n".join(lines[taken.stop :]))
    return builder.finish()


def read(request: ParseRequest, builder: DocumentBuilder) -> str:
    """The whole document as clean text; what was mended is counted in `builder`."""
    text = decode(request.data, charset_of(request.declared_type))
    return clean(text.replace("\f", "\n\n"), builder.counters)


class Paragraphs:
    """Gathers lines into paragraphs and list items, for formats that are read line by line.

    With `unwrap`, the lines of one paragraph become one, unless all are short: those of an address or a
    signature were meant to be lines.
    """

    def __init__(self, builder: DocumentBuilder, *, unwrap: bool = False) -> None:
        self._builder = builder
        self._unwrap = unwrap
        self._lines: list[str] = []
        self._indents: list[int] = []
        self._item: str | None = None

    def add(self, line: str) -> None:
        """Add one line; a blank line ends the paragraph, a bullet or number begins a list item."""
        stripped = line.strip()
        if not stripped:
            self.flush()
            return
        bullet = _BULLET.match(stripped)
        indent = len(line) - len(line.lstrip())
        if bullet:
            self.flush()
            while self._indents and self._indents[-1] >= indent:
                self._indents.pop()
            self._indents.append(indent)
            self._item = f"{bullet[1]} " if bullet[1] else ""
            stripped = stripped[bullet.end() :]
        elif not self._lines and indent == 0:
            self._indents.clear()
        self._lines.append(stripped)

    def flush(self) -> None:
        """End the paragraph or item that is being gathered."""
        if not self._lines:
            return
        wrapped = self._unwrap and any(line.count(" ") >= _SHORT_LINE_WORDS for line in self._lines)
        text = (" " if wrapped else "\n").join(self._lines)
        if self._item is None:
            self._builder.add(BlockKind.PARAGRAPH, text)
        else:
            self._builder.add(BlockKind.LIST_ITEM, self._item + text, level=len(self._indents))
        self._lines.clear()
        self._item = None
