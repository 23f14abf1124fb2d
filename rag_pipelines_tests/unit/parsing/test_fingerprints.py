"""What parsed documents are known by: code, libraries and options that matter, and nothing else."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from rag_pipelines.errors import UnsupportedDocumentError
from rag_pipelines.parsing import detect, fingerprints, signatures
from rag_pipelines.parsing.base import ParseOptions
from rag_pipelines.parsing.fingerprints import parser_fingerprint, parser_fingerprints, parser_stage
from rag_pipelines.parsing.formats import FORMATS
from rag_pipelines.provenance import libraries, stages
from rag_pipelines.provenance.package import this_package
from rag_pipelines.provenance.stages import Made

MAILS = {detect.MAIL, detect.MBOX, signatures.MSG}
OFFICE = {signatures.DOC, signatures.DOCX, signatures.PPTX, signatures.ODT, signatures.ODP, signatures.ODS}
WITH_PARTS = {signatures.PDF, signatures.XPS, *signatures.ARCHIVES, *OFFICE, *MAILS}
"""What may have files of any format inside."""


def reached(media_type: str) -> set[str]:
    members = this_package().members(parser_stage(media_type).modules)
    return {name.removeprefix("rag_pipelines.") for name in members}


def test_a_fingerprint_depends_only_on_the_options_that_matter_to_the_format():
    usual = parser_fingerprints()
    fast_pdf = parser_fingerprints(ParseOptions(pdf="fast"))
    whole_page = parser_fingerprints(ParseOptions(html_main_content=False))

    def changed(other):
        return {media_type for media_type in FORMATS if usual[media_type] != other[media_type]}

    assert changed(fast_pdf) == WITH_PARTS
    assert changed(whole_page) == {detect.HTML, *WITH_PARTS}


def test_a_parser_is_every_module_that_it_runs():
    markdown = reached(detect.MARKDOWN)
    assert {"parsing.markup.markdown", "parsing.markup.markdown_inline", "parsing.html.parse"} <= markdown
    assert {"parsing.detect", "parsing.registry", "parsing.builder", "text.canonical"} <= markdown
    assert not any("pdf" in name or "office" in name for name in markdown)


def test_a_mail_and_a_document_with_files_inside_are_made_by_the_parsers_of_all_formats():
    read = {f"parsing.{known.module}" for known in FORMATS.values()}
    for media_type in WITH_PARTS:
        assert read <= reached(media_type)


def test_no_parser_reaches_a_database_a_configuration_or_a_connector():
    rooms = {name.split(".")[0] for media_type in FORMATS for name in reached(media_type)}
    assert rooms == {"model", "parsing", "text"}


def test_no_module_of_a_parser_imports_another_by_its_name_as_text():
    """What is imported so cannot be followed; the registry does it, and its table says what there is."""
    modules = {name for media_type in FORMATS for name in reached(media_type)} - {"parsing.registry"}
    for name in modules:
        tree = ast.parse(this_package().source_of(f"rag_pipelines.{name}"))
        called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert not {one for one in called if one.endswith(("import_module", "__import__"))}, name


def test_the_libraries_of_a_parser_are_part_of_its_fingerprint(monkeypatch):
    made = stages.made_by(parser_stage(signatures.DOCX))
    assert {"python-docx", "lxml"} <= set(made.libraries)
    before = parser_fingerprint(signatures.DOCX)
    newer = Made(made.code, {**made.libraries, "python-docx": "99.0"})
    monkeypatch.setattr(fingerprints, "made_by", lambda stage: newer)
    fingerprints._fingerprint.cache_clear()
    try:
        assert parser_fingerprint(signatures.DOCX) != before
    finally:
        fingerprints._fingerprint.cache_clear()


def test_every_library_of_a_parser_is_installed_under_the_name_that_is_looked_for():
    for media_type in FORMATS:
        found = stages.made_by(parser_stage(media_type)).libraries
        assert {name for name, version in found.items() if version is None} <= {"onnxruntime"}, media_type
    assert libraries.versions(["onnxruntime"])


def test_an_unknown_media_type_has_no_fingerprint():
    with pytest.raises(UnsupportedDocumentError, match=r"video/mp4.*text/html"):
        parser_fingerprint("video/mp4")


def test_fingerprints_import_no_parsing_library():
    heavy = (
        "bs4 lxml markdown_it pymupdf docx pptx openpyxl unstructured spacy yaml charset_normalizer olefile"
    )
    script = (
        "import sys; from rag_pipelines.parsing import fingerprints; fingerprints.parser_fingerprints();"
        f"print([name for name in {heavy.split()!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
