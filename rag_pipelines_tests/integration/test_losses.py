"""What parsing loses is listed, and a parser that begins to lose text stops a promotion."""

from __future__ import annotations

import io
import json
from functools import cache
from typing import Any

import docx
import pytest

from rag_pipelines.cli.main import main
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.errors import ConfigError, GateError, UsageError
from rag_pipelines.index.promotion import promote
from rag_pipelines.model import BlockKind
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.quality.library import ExpectationResult
from rag_pipelines.quality.runner import check_source
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.losses import documents_with_losses, losses_by_format, sources_with_losses
from rag_pipelines_tests.integration.workspace import Workspace

new_document = docx.Document
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


@cache
def word_file(number: int, rows: int = 40) -> bytes:
    """A document of `rows` rows of three words each, with three more in a text box."""
    document = new_document()
    paragraph = document.add_paragraph(f"Price list {number}")
    box = (
        f'<w:pict xmlns:w="{WORD}" xmlns:v="urn:schemas-microsoft-com:vml"><v:shape><v:textbox>'
        f"<w:txbxContent><w:p><w:r><w:t>valid until May{number}</w:t></w:r></w:p></w:txbxContent>"
        "</v:textbox></v:shape></w:pict>"
    )
    paragraph.add_run()._r.append(docx.oxml.parse_xml(box))
    table = document.add_table(rows=rows, cols=3)
    for row, cells in enumerate(table.rows):
        for column, cell in enumerate(cells.cells):
            cell.text = f"part{number}x{row}x{column}"
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


@pytest.fixture
def prices(workspace: Workspace) -> Workspace:
    """A workspace of Word documents and a page, nothing ingested yet."""
    for number in range(10):
        workspace.write(f"prices-{number}.docx", word_file(number))
    workspace.write("page.html", "<main><h1>Prices</h1><p>As in the lists.</p></main>")
    return workspace


@pytest.fixture
def every_second_row_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = DocumentBuilder.add_table
    monkeypatch.setattr(
        DocumentBuilder, "add_table", lambda self, rows, **options: whole(self, list(rows)[::2], **options)
    )


@pytest.fixture
def text_boxes_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in the boxes never becomes a block."""
    whole = DocumentBuilder.add

    def without_boxes(self: DocumentBuilder, kind: BlockKind, text: str, **options: Any) -> None:
        if not text.startswith("valid until"):
            whole(self, kind, text, **options)

    monkeypatch.setattr(DocumentBuilder, "add", without_boxes)


def check(workspace: Workspace) -> dict[str, ExpectationResult]:
    runtime = Runtime(workspace.database, workspace.settings, Embedders(workspace.settings.data_dir))
    return {one.expectation: one for one in check_source(runtime, "docs", names=["documents"])}


def run(workspace: Workspace, *arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["--config", str(workspace.config_file), *arguments])
    return int(ended.value.code or 0)


def test_a_sound_parser_loses_nothing_and_is_promoted(prices: Workspace):
    prices.ingest()

    results = check(prices)

    assert (results["words_kept"].passed, results["content_kept"].passed) == (True, True)
    assert prices.publish().state == "live"


@pytest.mark.usefixtures("every_second_row_lost")
def test_a_parser_that_drops_every_second_row_stops_a_promotion(prices: Workspace):
    prices.ingest()

    kept = check(prices)["words_kept"]

    assert (kept.passed, kept.blocking, kept.unexpected) == (False, True, 10)
    assert "lost 47.62 percent of its words, allowed are 2.00" in kept.samples[0]["words_lost"]
    assert prices.validate(prices.build())["source_quality"] is False
    with pytest.raises(GateError, match="gate source_quality failed"):
        promote(prices.database, "main")


@pytest.mark.usefixtures("text_boxes_lost")
def test_a_parser_that_drops_text_boxes_stops_a_promotion(prices: Workspace):
    """The boxes are 3 of 126 words of each document."""
    prices.ingest()

    kept = check(prices)["words_kept"]

    assert "lost 2.38 percent of its words" in kept.samples[0]["words_lost"]
    assert prices.validate(prices.build())["source_quality"] is False
    with pytest.raises(GateError, match="gate source_quality failed"):
        promote(prices.database, "main")


@pytest.mark.usefixtures("text_boxes_lost")
@pytest.mark.parametrize(
    ("losses", "broken"),
    [
        ({"words": 0.03}, set()),
        ({"formats": {"docx": {"words": 0.03}}}, set()),
        ({"words": 0.5, "formats": {"docx": {"words": 0.01}}}, {"words_kept"}),
        ({"formats": {"pdf": {"words": 0.5}}}, {"words_kept"}),
        ({"least_words": 10_000}, set()),
        ({"words": 0.03, "documents": {"words_missing": 0.9}}, {"content_kept"}),
        ({"words": 0.03, "documents": {"words_missing": 1.0}}, set()),
        ({"words": 0.03, "documents": {"words_missing": 0.9}, "least_documents": 11}, set()),
        ({"words": 0.03, "documents": {"images_without_text": 0.0}}, set()),
        ({"words": 0.03, "formats": {"docx": {"documents": {"words_missing": 0.1}}}}, {"content_kept"}),
    ],
)
def test_how_much_may_be_lost_is_a_setting_of_the_source_and_of_its_formats(
    prices: Workspace, losses: dict[str, Any], broken: set[str]
):
    prices.document["sources"]["docs"]["losses"] = losses
    prices.ingest()

    assert {name for name, one in check(prices).items() if not one.passed} == broken


def test_bounds_of_an_unknown_format_or_kind_are_refused(prices: Workspace):
    for losses in ({"formats": {"word": {}}}, {"documents": {"pages": 0.1}}):
        prices.document["sources"]["docs"]["losses"] = losses
        with pytest.raises(ConfigError):
            _ = prices.settings


@pytest.mark.usefixtures("text_boxes_lost")
def test_losses_are_listed_by_format_and_the_worst_documents_first(
    prices: Workspace, capsys: pytest.CaptureFixture[str]
):
    prices.write("short.docx", word_file(77, rows=1))
    prices.ingest()
    (prices.docs / "prices-0.docx").unlink()
    prices.ingest(allow_deletes=True)

    with prices.database.connection() as connection:
        (of_word,) = losses_by_format(connection)
        worst = documents_with_losses(connection, "docs", limit=2)
        losing = sources_with_losses(connection, ["docs"])
        with pytest.raises(UsageError, match="no kind of loss 'words'"):
            losses_by_format(connection, kinds=["words"])

    assert (of_word["kind"], of_word["documents"], of_word["losing"], of_word["lost"]) == (
        "words_missing",
        10,
        10,
        30,
    )
    assert [row["external_id"] for row in worst] == ["short.docx", "prices-1.docx"]
    assert worst[0]["losses"] == {"words_missing": 3}
    assert losing == {"docs": 10}
    assert run(prices, "losses", "docs", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert [row["format"] for row in shown["formats"]] == ["docx"]
    assert shown["documents"][0]["missing_share"] == pytest.approx(1 / 3)
    assert run(prices, "losses") == 0
    assert "33.33 %" in capsys.readouterr().out
    assert run(prices, "losses", "--kind", "images_without_text") == 0
    assert capsys.readouterr().out == "nothing is lost of these kinds\n"
    assert run(prices, "status") == 0
    assert "10 documents lost something in parsing" in capsys.readouterr().err
