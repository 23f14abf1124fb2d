"""What tests of text and web formats share: parsing a few lines, and looking at the blocks.

What belongs here: helpers without assertions of their own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.registry import parse


def read(content: str | bytes, name: str = "", declared_type: str | None = None) -> ParsedDocument:
    """`content` through the registry, as a document of that name."""
    data = content.encode() if isinstance(content, str) else content
    return parse(ParseRequest(data, name, declared_type))


def shown(document: ParsedDocument) -> list[tuple[str, str]]:
    """Kind and text of each block."""
    return [(block.kind.value, document.text[block.start : block.end]) for block in document.blocks]


def texts(document: ParsedDocument, kind: BlockKind) -> list[str]:
    """The texts of all blocks of one kind."""
    return [document.text[block.start : block.end] for block in document.blocks if block.kind is kind]


def tables(document: ParsedDocument) -> list[list[tuple[str, ...]]]:
    """The cells of each table, row by row."""
    return [[row.cells for row in block.rows] for block in document.blocks if block.kind is BlockKind.TABLE]


def calls_of(function: Callable[[], object]) -> int:
    """How many functions `function` calls, in Python and in C: its work, on any machine under any load."""
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(before)
    return calls
