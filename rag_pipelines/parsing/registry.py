"""The one way to parse a document, and the checks around every parse.

What belongs here: what every parse has in common. What does not: which module reads which media type
(`formats`), recognising a type (`detect`), reading one (its own module), guarding a parse against hanging
and crashing (`workers.pool`). Format modules are imported when a document needs them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from types import ModuleType

import msgspec

from rag_pipelines.errors import (
    ConfigError,
    CorruptDocumentError,
    DocumentError,
    EmptyDocumentError,
    ParseMemoryError,
    TooLargeDocumentError,
    UnsupportedDocumentError,
)
from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing import detect
from rag_pipelines.parsing.base import ParseOptions, ParseRequest, RecognisedLine
from rag_pipelines.parsing.formats import FORMATS
from rag_pipelines.parsing.parts import nested


def parse(request: ParseRequest) -> ParsedDocument:
    """The document of `request`, which holds body text.

    The format module sees the detected media type as ``request.declared_type``, with the parameters
    (charset) that were declared.

    Raises:
        DocumentError: of the class that says what is wrong; an unforeseen error of a parsing library
            ends as `CorruptDocumentError` with its class and message.
    """
    size, limit = len(request.data), request.limits.max_bytes
    if size > limit:
        raise TooLargeDocumentError(
            f"the document has {size:,} bytes, the limit is {limit:,}; raise limits.max_bytes to accept it"
        )
    media_type = detect.detect(request.data, request.name, request.declared_type)
    parameters = (request.declared_type or "").partition(";")[2]
    declared = f"{media_type};{parameters}" if parameters else media_type
    try:
        with nested():
            document = _module(FORMATS[media_type].reader(request.options)).parse(
                msgspec.structs.replace(
                    request, declared_type=declared, parse_part=parse, recognise=_recogniser(request.options)
                )
            )
    except (DocumentError, ConfigError):
        raise
    except ImportError as error:
        raise UnsupportedDocumentError(f"reading {media_type} needs a package: {error}") from error
    except MemoryError as error:
        raise ParseMemoryError(f"reading the document as {media_type} ran out of memory") from error
    except Exception as error:
        raise CorruptDocumentError(
            f"reading the document as {media_type} failed: {type(error).__name__}: {error}"
        ) from error
    if all(block.kind in (BlockKind.HEADER, BlockKind.FOOTER) for block in document.blocks):
        raise EmptyDocumentError(f"the document opens as {media_type} but holds no text")
    return document


def _recogniser(options: ParseOptions) -> Callable[[bytes], list[RecognisedLine]] | None:
    return None if options.ocr.engine == "off" else partial(_module("ocr").recognise, options=options.ocr)


def _module(name: str) -> ModuleType:
    return import_module(f"rag_pipelines.parsing.{name}")
