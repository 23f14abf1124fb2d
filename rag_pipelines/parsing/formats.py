"""The formats that are read: which module reads a media type, and which options change its result.

What belongs here: the table. What does not: recognising a format (`detect`), reading one (its own module),
calling the reader (`registry`), and what its results are known by (`fingerprints`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import NamedTuple

from rag_pipelines.parsing import detect, signatures
from rag_pipelines.parsing.base import ParseOptions


class Format(NamedTuple):
    """How one media type is read.

    `module` is the dotted name, below this package, of a module with ``parse(request)``; `options` are the
    fields of `ParseOptions` that change its result (but for `links` and `ocr`, which do so for every format);
    `parts` says that it hands parts of a document to whatever module reads their type; `engine` is the
    field of `Engines` by which a profile may choose another module; `recognised` says that there is text
    only where pictures are recognised.
    """

    module: str
    options: tuple[str, ...] = ()
    parts: bool = False
    engine: str | None = None
    recognised: bool = False

    def reader(self, options: ParseOptions) -> str:
        """The module that reads the format under `options`."""
        chosen = getattr(options.engines, self.engine) if self.engine else "native"
        return self.module if chosen == "native" else OTHER_ENGINES[chosen]


OTHER_ENGINES: Mapping[str, str] = {"unstructured": "unstructured.parse"}
"""The module of each engine that is not the native one."""

_EVERY_OPTION = tuple(field.name for field in fields(ParseOptions) if field.name not in ("links", "ocr"))

FORMATS: Mapping[str, Format] = {
    signatures.PDF: Format("pdf.parse", options=_EVERY_OPTION, parts=True),
    signatures.DOCX: Format("office.docx", options=_EVERY_OPTION, parts=True, engine="docx"),
    signatures.PPTX: Format("office.pptx", options=_EVERY_OPTION, parts=True, engine="pptx"),
    signatures.XLSX: Format("office.xlsx"),
    signatures.XLSB: Format("office.xlsb"),
    signatures.VSDX: Format("office.vsdx"),
    signatures.XPS: Format("pdf.xps", options=_EVERY_OPTION, parts=True),
    signatures.DOC: Format("office.doc", options=_EVERY_OPTION, parts=True),
    signatures.PPT: Format("office.ppt"),
    signatures.XLS: Format("office.xls"),
    signatures.ODT: Format("office.odf", options=_EVERY_OPTION, parts=True),
    signatures.ODP: Format("office.odf", options=_EVERY_OPTION, parts=True),
    signatures.ODS: Format("office.odf", options=_EVERY_OPTION, parts=True),
    signatures.RTF: Format("office.rtf"),
    signatures.EPUB: Format("html.epub"),
    **{
        archive: Format("archives.parse", options=_EVERY_OPTION, parts=True)
        for archive in signatures.ARCHIVES
    },
    detect.HTML: Format("html.parse", options=("html_main_content",), engine="html"),
    detect.MARKDOWN: Format("markup.markdown"),
    detect.PLAIN: Format("markup.text"),
    detect.RST: Format("markup.rst"),
    detect.ORG: Format("markup.org"),
    detect.ASCIIDOC: Format("markup.asciidoc"),
    detect.CODE: Format("markup.code"),
    detect.CSV: Format("markup.delimited"),
    detect.TSV: Format("markup.delimited"),
    detect.JSON: Format("markup.json_document"),
    detect.NDJSON: Format("markup.json_document"),
    detect.NOTEBOOK: Format("markup.notebook"),
    detect.XML: Format("html.xml_document"),
    detect.CONFLUENCE: Format("atlassian.confluence_storage"),
    detect.JIRA_ISSUE: Format("atlassian.jira_issue"),
    **{image: Format("image", recognised=True) for image in signatures.IMAGES},
    signatures.MSG: Format("mail.msg", options=_EVERY_OPTION, parts=True),
    detect.MAIL: Format("mail.eml", options=_EVERY_OPTION, parts=True),
    detect.MBOX: Format("mail.mbox", options=_EVERY_OPTION, parts=True),
}


def format_name(media_type: str) -> str:
    """What people call a format: ``pdf``, ``docx``, ``json document``; an unknown type is its own name."""
    known = FORMATS.get(media_type)
    if known is None:
        return media_type
    return known.module.removesuffix(".parse").rpartition(".")[2].replace("_", " ")
