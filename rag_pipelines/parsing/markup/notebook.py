"""Jupyter notebooks: their prose and their code.

What belongs here: the cells, in order. What does not: outputs, which are pictures and numbers that
running the code gives again.
"""

from __future__ import annotations

from typing import Any

import msgspec

from rag_pipelines.errors import CorruptDocumentError
from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.encoding import decode
from rag_pipelines.parsing.markup.markdown import add_markdown


class _NotebookCell(msgspec.Struct):
    cell_type: str
    source: str | list[str] = ""


class _Notebook(msgspec.Struct):
    cells: list[_NotebookCell]
    metadata: dict[str, Any] = {}


def parse(request: ParseRequest) -> ParsedDocument:
    """Markdown cells as Markdown, code cells as code in the language of the kernel."""
    try:
        notebook = msgspec.json.decode(decode(request.data), type=_Notebook)
    except (msgspec.DecodeError, RecursionError) as error:
        raise CorruptDocumentError(f"not a Jupyter notebook of format 4: {error}") from error
    builder = DocumentBuilder.of("application/x-ipynb+json", request)
    info = notebook.metadata.get("language_info") or notebook.metadata.get("kernelspec") or {}
    language = str(info.get("name") or info.get("language") or "") or None
    for cell in notebook.cells:
        source = cell.source if isinstance(cell.source, str) else "".join(cell.source)
        if cell.cell_type == "markdown":
            add_markdown(builder, source)
        elif cell.cell_type == "code":
            builder.add(BlockKind.CODE, source, language=language)
        else:
            builder.add(BlockKind.PARAGRAPH, source)
    return builder.finish()
