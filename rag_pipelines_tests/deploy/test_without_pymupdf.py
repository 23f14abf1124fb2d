"""An image without PyMuPDF: PDFs end in quarantine with the reason, and everything else works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rag_pipelines.parsing.pdf.engine import mupdf


@pytest.fixture
def program(tmp_path: Path, database_url: str):
    """`rag-pipelines` in processes that find no PyMuPDF, over a folder with a PDF and a text."""
    docs, absent = tmp_path / "docs", tmp_path / "absent"
    docs.mkdir()
    absent.mkdir()
    (docs / "leave.md").write_text("# Leave\n\nThirty days of annual leave.\n")
    with mupdf().open() as document:
        document.new_page().insert_text((72, 72), "Thirty days of parental leave.")
        document.save(docs / "leave.pdf")
    missing = "raise ModuleNotFoundError(\"No module named 'pymupdf'\", name='pymupdf')\n"
    (absent / "pymupdf.py").write_text(missing)
    config = tmp_path / "rag.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "data_dir": str(tmp_path / "data"),
                "limits": {"workers": 1},
                "profiles": {"embedding": {"default": {"provider": "hash", "dimensions": 32}}},
                "sources": {
                    "docs": {"connector": "filesystem", "options": {"root": str(docs)}, "access": "public"}
                },
                "indexes": {"main": {"sources": ["docs"]}},
                "database": {"url": database_url},
            }
        )
    )
    path = os.pathsep.join([str(absent), *filter(None, sys.path)])

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from rag_pipelines.cli import run; run()", "--config", str(config)]
        environment = {**os.environ, "PYTHONPATH": path}
        return subprocess.run(
            [*command, *arguments], env=environment, capture_output=True, text=True, check=False
        )

    return call


def test_a_pdf_ends_in_quarantine_with_the_package_that_it_needs_and_the_rest_is_found(program):
    ingested = program("ingest")
    assert ingested.returncode == 3, ingested.stderr
    (entry,) = json.loads(program("quarantine", "list", "--json").stdout)
    assert (entry["external_id"], entry["status"]) == ("leave.pdf", "unsupported")
    assert "reading application/pdf needs a package: No module named 'pymupdf'" in entry["message"]

    built = program("index", "build", "main", "--promote")
    found = program("query", "annual leave", "--json")
    assert "Thirty days of annual leave" in found.stdout, (built.stderr, found.stderr)
