"""Reads documents with one engine: paths on standard input, a line of JSON each on standard output.

What belongs here: calling each engine the way its own documentation does. It runs in the environment of
the engine, so it imports nothing else. What does not: starting it and keeping its answers (`readers`).

    python read.py ENGINE < paths
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Read = Callable[[str], str]


def ours() -> Read:
    from rag_pipelines.parsing.base import ParseOptions, ParseRequest
    from rag_pipelines.parsing.registry import parse

    options = ParseOptions(html_main_content=False)
    return lambda path: parse(ParseRequest(Path(path).read_bytes(), Path(path).name, options=options)).text


def markitdown() -> Read:
    from markitdown import MarkItDown

    converter = MarkItDown(enable_plugins=False)
    return lambda path: converter.convert(path).text_content


def pymupdf4llm() -> Read:
    import pymupdf4llm as library

    return lambda path: library.to_markdown(path, use_ocr=False)


def kreuzberg() -> Read:
    import kreuzberg as library

    shown = library.ContentFilterConfig(include_headers=True, include_footers=True)
    config = library.ExtractionConfig(
        output_format="markdown", disable_ocr=True, use_cache=False, content_filter=shown
    )
    return lambda path: library.extract_file_sync(path, config=config).content


def xberg() -> Read:
    import asyncio

    import xberg as library

    shown = library.ContentFilterConfig(include_headers=True, include_footers=True, include_footnotes=True)
    config = library.ExtractionConfig(
        output_format="markdown", disable_ocr=True, use_cache=False, content_filter=shown
    )

    def read(path: str) -> str:
        result = asyncio.run(library.extract(library.ExtractInput("uri", uri=path), config))
        return "\n\n".join(one.content for one in result.results)

    return read


def docling() -> Read:
    from docling.document_converter import DocumentConverter

    converter = DocumentConverter()
    return lambda path: converter.convert(path).document.export_to_markdown()


def unstructured() -> Read:
    """Its English model comes from a hub. It tells kinds of elements apart, never what they say: here a
    blank model is in its place."""
    import spacy

    english = spacy.blank("en")
    english.add_pipe("sentencizer")
    spacy.load = lambda *_, **__: english
    from unstructured.partition.auto import partition

    def read(path: str) -> str:
        elements = partition(path, strategy="fast", languages=[""])
        return "\n\n".join(getattr(one.metadata, "text_as_html", None) or one.text for one in elements)

    return read


ENGINES: dict[str, Callable[[], Read]] = {
    one.__name__: one for one in (ours, markitdown, pymupdf4llm, kreuzberg, xberg, docling, unstructured)
}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    read = ENGINES[sys.argv[1]]()
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        begun = time.perf_counter()
        answer: dict[str, Any] = {"text": None, "error": None}
        try:
            answer["text"] = read(line.rstrip("\n"))
        except BaseException as error:
            answer["error"] = f"{type(error).__name__}: {error}"[:300]
        answer["seconds"] = time.perf_counter() - begun
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
