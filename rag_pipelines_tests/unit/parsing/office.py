"""What the tests of office formats share: parsing bytes, looking at blocks, taking a package apart."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping

from rag_pipelines.errors import DocumentError
from rag_pipelines.model import Block, BlockKind, ParsedDocument
from rag_pipelines.parsing import registry
from rag_pipelines.parsing.base import ParseLimits, ParseRequest
from rag_pipelines.parsing.losses import WORDS_SEEN


def parse(data: bytes, name: str = "", **limits: int) -> ParsedDocument:
    """The document that the registry makes of `data`, every span checked."""
    document = registry.parse(ParseRequest(data, name, limits=ParseLimits(**limits)))
    for block in document.blocks:
        assert text(document, block).strip()
        for row in block.rows:
            assert document.text[row.start : row.end] == " | ".join(row.cells)
    return document


def status(data: bytes, name: str = "", **limits: int) -> str:
    """How parsing ends: ``parsed``, or the status of its error."""
    try:
        parse(data, name, **limits)
    except DocumentError as error:
        return error.status
    return "parsed"


def text(document: ParsedDocument, block: Block) -> str:
    return document.text[block.start : block.end]


def outline(document: ParsedDocument) -> list[tuple[str, str]]:
    """Kind (with its level) and text of each block but tables: ``("heading 1", "Scope")``."""
    return [
        (f"{block.kind} {block.level}" if block.level else str(block.kind), text(document, block))
        for block in document.blocks
        if block.kind is not BlockKind.TABLE
    ]


def tables(document: ParsedDocument) -> list[list[tuple[str, ...]]]:
    return [[row.cells for row in block.rows] for block in document.blocks if block.kind is BlockKind.TABLE]


def counted(document: ParsedDocument) -> dict[str, int]:
    """The counters of a document but for the words it was held to account for."""
    return {name: count for name, count in document.counters.items() if name != WORDS_SEEN}


def saved(save: Callable[[io.BytesIO], object]) -> bytes:
    """The bytes that a library's `save` writes."""
    file = io.BytesIO()
    save(file)
    return file.getvalue()


def edited(package: bytes, part: str, edit: Callable[[bytes], bytes]) -> bytes:
    """The package with one part changed; a part that is not there begins empty."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(package)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, edit(old.read(name)) if name == part else old.read(name))
        if part not in old.namelist():
            new.writestr(part, edit(b""))
    return out.getvalue()


def zipped(parts: Mapping[str, str | bytes]) -> bytes:
    def save(file: io.BytesIO) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as package:
            for name, content in parts.items():
                package.writestr(name, content)

    return saved(save)
