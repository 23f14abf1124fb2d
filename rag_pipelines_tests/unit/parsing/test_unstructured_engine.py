"""The engine `unstructured`: a profile sends a format to the real library, and fingerprints know it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import docx
import pptx
import pytest
import yaml

from rag_pipelines.config import load_config
from rag_pipelines.config.settings import Settings
from rag_pipelines.errors import ConfigError, CorruptDocumentError, UnsupportedDocumentError
from rag_pipelines.model import ParsedDocument
from rag_pipelines.parsing import detect, registry, signatures
from rag_pipelines.parsing.base import Engines, ParseOptions, ParseRequest
from rag_pipelines.parsing.fingerprints import parser_fingerprints, parser_stage
from rag_pipelines.parsing.formats import FORMATS
from rag_pipelines.parsing.unstructured import runtime
from rag_pipelines_tests.unit.parsing.office import outline, saved, tables

pytest.importorskip("unstructured", reason="needs the extra unstructured")

ALL = ParseOptions(engines=Engines(docx="unstructured", pptx="unstructured", html="unstructured"))


def parse(data: bytes, name: str = "", options: ParseOptions = ALL) -> ParsedDocument:
    return registry.parse(ParseRequest(data, name, options=options))


def a_report() -> bytes:
    word = docx.Document()
    word.add_heading("Annual report", 1)
    word.add_paragraph("We are going to change how leave is requested in the coming year.")
    word.add_paragraph("first", style="List Bullet")
    table = word.add_table(2, 2)
    for number, cell in enumerate(cell for row in table.rows for cell in row.cells):
        cell.text = f"cell {number}"
    return saved(word.save)


def a_deck() -> bytes:
    deck = pptx.Presentation()
    for title in ("Leave", "Travel"):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = "It must be requested two weeks before it begins."
    slide.notes_slide.notes_text_frame.text = "Do not forget the figures."
    return saved(deck.save)


@pytest.fixture
def partitioned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the library was really asked to read."""
    asked: list[str] = []

    def watch(name: str) -> None:
        real = getattr(runtime, name)
        monkeypatch.setattr(runtime, name, lambda given: asked.append(name) or real(given))

    for name in ("partition_docx", "partition_pptx", "partition_html"):
        watch(name)
    return asked


def test_a_document_gets_the_headings_lists_and_tables_of_the_library(partitioned: list[str]):
    document = parse(a_report(), "report.docx")

    assert partitioned == ["partition_docx"]
    assert outline(document)[:3] == [
        ("heading 1", "Annual report"),
        ("paragraph", "We are going to change how leave is requested in the coming year."),
        ("list_item 1", "first"),
    ]
    assert tables(document) == [[("cell 0", "cell 1"), ("cell 2", "cell 3")]]


def test_slides_are_pages_under_their_titles_with_notes(partitioned: list[str]):
    document = parse(a_deck(), "deck.pptx")

    assert partitioned == ["partition_pptx"]
    assert document.pages == 2
    headings = [
        (block.page, text) for block, (kind, text) in zip(document.blocks, outline(document), strict=True)
    ]
    assert (1, "Leave") in headings
    assert (2, "Travel") in headings
    assert "Do not forget the figures." in document.text


def test_a_page_is_read_by_the_library(partitioned: list[str]):
    page = b"<html><body><h1>Valves</h1><p>They open slowly, and they close at once.</p></body></html>"

    document = parse(page, "valves.html")

    assert partitioned == ["partition_html"]
    assert outline(document) == [
        ("heading 1", "Valves"),
        ("paragraph", "They open slowly, and they close at once."),
    ]


def test_only_the_formats_that_a_profile_names_change_their_engine(partitioned: list[str]):
    only_slides = ParseOptions(engines=Engines(pptx="unstructured"))

    parse(a_report(), options=only_slides)
    parse(a_deck(), options=only_slides)

    assert partitioned == ["partition_pptx"]


def test_a_package_is_checked_before_the_library_opens_it(partitioned: list[str]):
    with pytest.raises(CorruptDocumentError):
        parse(a_report()[:-200], "report.docx")

    assert partitioned == []


def test_the_engine_is_part_of_the_fingerprint_of_its_format_and_of_those_with_files_inside():
    usual = parser_fingerprints()
    slides = parser_fingerprints(ParseOptions(engines=Engines(pptx="unstructured")))

    changed = {media_type for media_type in usual if usual[media_type] != slides[media_type]}
    assert changed == {media_type for media_type, known in FORMATS.items() if known.parts}
    assert signatures.PPTX in changed
    assert detect.HTML not in changed


def test_the_native_parsers_reach_nothing_of_the_library():
    from rag_pipelines.provenance.package import this_package
    from rag_pipelines.provenance.stages import made_by

    for media_type in parser_fingerprints():
        assert "unstructured" not in made_by(parser_stage(media_type)).libraries
        members = this_package().members(parser_stage(media_type).modules)
        assert not [name for name in members if name.startswith("rag_pipelines.parsing.unstructured")]
    assert "unstructured" in made_by(parser_stage(signatures.DOCX, ALL)).libraries


def configured(tmp_path: Path, **engines: str) -> Settings:
    file: dict[str, Any] = {"profiles": {"parsing": {"default": {"engines": engines}}}}
    (tmp_path / "rag.yaml").write_text(yaml.safe_dump(file))
    return load_config(tmp_path / "rag.yaml", {})


def test_a_profile_chooses_engines_by_format(tmp_path: Path):
    settings = configured(tmp_path, docx="unstructured", pptx="native")

    assert settings.profiles.parsing["default"].engines == Engines(docx="unstructured")
    shown = settings.model_dump(mode="json")["profiles"]["parsing"]["default"]
    assert shown["engines"] == {"docx": "unstructured", "pptx": "native", "html": "native"}


def test_an_unknown_engine_or_format_is_refused_with_what_is_valid(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"engines\.docx \(line \d+\): .*'native' or 'unstructured'"):
        configured(tmp_path, docx="tika")
    with pytest.raises(ConfigError, match=r"engines\.pdf .*unknown key; valid: docx, pptx, html"):
        configured(tmp_path, pdf="unstructured")


def test_without_the_package_configuration_and_parse_name_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "rag_pipelines.config.load.find_spec", lambda name: None if name == "unstructured" else real(name)
    )
    with pytest.raises(
        ConfigError, match=r"engines\.docx \(line \d+\).*pip install 'rag-pipelines\[unstructured\]'"
    ):
        configured(tmp_path, docx="unstructured")

    def absent(data: bytes) -> None:
        raise ModuleNotFoundError("No module named 'unstructured'", name="unstructured")

    monkeypatch.setattr(runtime, "partition_docx", absent)
    with pytest.raises(UnsupportedDocumentError, match=r"rag-pipelines\[unstructured\].*engine 'native'"):
        parse(a_report(), "report.docx")
