"""Text recognised in a scan is found like any other, and its citation says how sure the recognition is."""

from __future__ import annotations

import pymupdf
import pytest

from rag_pipelines.parsing import ocr
from rag_pipelines.parsing.base import RecognisedLine
from rag_pipelines_tests.integration.workspace import Workspace

LINES = [
    RecognisedLine("Delivery note LS-7731", 0.97, (40, 20, 340, 40)),
    RecognisedLine("Forty crates of pears", 0.81, (40, 120, 340, 140)),
]


def test_a_hit_in_recognised_text_says_how_sure_it_is_and_one_in_other_text_does_not(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ocr, "recognise", lambda png, options: LINES)
    monkeypatch.setattr(ocr, "identity", lambda options: "stand-in 1")
    workspace.document["profiles"]["parsing"] = {"default": {"ocr": {"engine": "auto"}}}
    page = pymupdf.open()
    page.new_page().draw_rect((50, 50, 200, 200), fill=(0, 0, 0))
    workspace.write("scan.pdf", page.tobytes())
    workspace.write("typed.md", "# Store\n\nForty crates of apples.")
    workspace.refresh()

    scan, typed = sorted(workspace.search("forty crates", mode="lexical"), key=lambda hit: hit.path)

    assert (scan.path, typed.path) == ("scan.pdf", "typed.md")
    assert scan.confidence == pytest.approx(0.81)
    assert typed.confidence is None
    assert scan.citation.endswith("p. 1 › recognised, 81% sure")
    assert "recognised" not in typed.citation
