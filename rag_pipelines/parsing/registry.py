"""Which parser reads which media type, the one way to call it, and the fingerprint of what it does.

What belongs here: the table of formats, the checks around every parse, parser fingerprints. What
does not: recognising a format (`detect`), reading one (its own module), guarding a parse against
hanging and crashing (`workers.pool`). Format modules are imported when a document needs them.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import msgspec

from rag_pipelines.errors import (
    CorruptDocumentError,
    DocumentError,
    EmptyDocumentError,
    ParseMemoryError,
    TooLargeDocumentError,
    UnsupportedDocumentError,
)
from rag_pipelines.fingerprint import fingerprint
from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing import builder, detect, signatures
from rag_pipelines.parsing.base import ParseOptions, ParseRequest

_VERSION = re.compile(r'^VERSION = "([^"]+)"$', re.M)


class Format(NamedTuple):
    """How one media type is read.

    `module` is the dotted name, below this package, of a module with ``VERSION`` and ``parse(request)``;
    `options` are the fields of `ParseOptions` that change its result; `uses` are other format modules that
    it hands parts to.
    """

    module: str
    options: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()


FORMATS: dict[str, Format] = {
    signatures.PDF: Format("pdf.parse", options=("pdf", "pdf_table_seconds", "passwords")),
    signatures.DOCX: Format("office.docx", uses=("office.ooxml_charts",)),
    signatures.PPTX: Format("office.pptx", uses=("office.unstructured_runtime", "office.ooxml_charts")),
    signatures.XLSX: Format("office.xlsx", uses=("office.sheets",)),
    signatures.DOC: Format("office.doc"),
    signatures.PPT: Format("office.ppt"),
    signatures.XLS: Format("office.xls", uses=("office.sheets",)),
    signatures.ODT: Format("office.odf"),
    signatures.ODP: Format("office.odf"),
    signatures.ODS: Format("office.odf", uses=("office.sheets",)),
    signatures.RTF: Format("office.rtf"),
    signatures.EPUB: Format("html.epub", uses=("html.parse",)),
    detect.HTML: Format("html.parse", options=("html_main_content",)),
    detect.MARKDOWN: Format("markup.markdown", uses=("html.parse",)),
    detect.PLAIN: Format("markup.text"),
    detect.RST: Format("markup.rst", uses=("markup.text",)),
    detect.ORG: Format("markup.org", uses=("markup.text",)),
    detect.ASCIIDOC: Format("markup.asciidoc", uses=("markup.text",)),
    detect.CODE: Format("markup.code"),
    detect.CSV: Format("markup.delimited"),
    detect.TSV: Format("markup.delimited"),
    detect.JSON: Format("markup.json_document", uses=("markup.code",)),
    detect.NDJSON: Format("markup.json_document", uses=("markup.code",)),
    detect.NOTEBOOK: Format("markup.notebook", uses=("markup.markdown", "html.parse")),
    detect.XML: Format("html.xml_document", uses=("html.parse",)),
    detect.CONFLUENCE: Format("atlassian.confluence_storage", uses=("html.parse",)),
    detect.JIRA_ISSUE: Format(
        "atlassian.jira_issue", uses=("atlassian.adf", "atlassian.jira_wiki", "html.parse")
    ),
}

_ANY_ATTACHMENT = {
    "options": ParseOptions.__struct_fields__,
    "uses": (
        "mail.message",
        "office.unstructured_runtime",
        *sorted({known.module for known in FORMATS.values()}),
    ),
}
"""A mail's parsed form holds that of its attachments, which may be of any format."""

FORMATS[signatures.MSG] = Format("mail.msg", **_ANY_ATTACHMENT)
FORMATS[detect.MAIL] = Format("mail.eml", **_ANY_ATTACHMENT)


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
        document = _module(FORMATS[media_type].module).parse(
            msgspec.structs.replace(request, declared_type=declared, parse_part=parse)
        )
    except DocumentError:
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


def parser_fingerprint(media_type: str, options: ParseOptions | None = None) -> str:
    """What the parsed form of one media type depends on beside the bytes, as 32 hexadecimal digits.

    The versions of the format's module, of the modules it uses and of the canonical text, and only
    those options that matter to it: a changed PDF mode leaves the Markdown documents as they are.

    Raises:
        UnsupportedDocumentError: no parser reads `media_type`.
    """
    if media_type not in FORMATS:
        raise UnsupportedDocumentError(
            f"no parser for media type {media_type!r}; there are {', '.join(sorted(FORMATS))}"
        )
    return _fingerprint(media_type, options or ParseOptions())


def fingerprints(options: ParseOptions | None = None) -> dict[str, str]:
    """The parser fingerprint of every media type."""
    return {media_type: parser_fingerprint(media_type, options) for media_type in FORMATS}


@lru_cache(maxsize=256)
def _fingerprint(media_type: str, options: ParseOptions) -> str:
    chosen = FORMATS[media_type]
    versions = {_short_name(name): version(name) for name in (chosen.module, *chosen.uses)}
    relevant = {name: getattr(options, name) for name in chosen.options}
    return fingerprint([media_type, builder.VERSION, versions, relevant])


@cache
def version(module: str) -> str:
    """The ``VERSION`` of a format module, read from its source.

    Importing every format module for its version would cost 50 ms, a tenth of a run that has nothing to do.
    """
    source = Path(__file__).parent.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
    match = _VERSION.search(source)
    if match is None:
        raise RuntimeError(f'parsing.{module} has no line VERSION = "..."; add one')
    return match[1]


def _short_name(module: str) -> str:
    """The name under which a module stands in fingerprints, wherever it lies."""
    folder, _, name = module.rpartition(".")
    return {"parse": folder, "message": "mail"}.get(name, name)


def _module(name: str) -> ModuleType:
    return import_module(f"rag_pipelines.parsing.{name}")
