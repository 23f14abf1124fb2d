"""Dagster's history quotes no document of a source that not everybody may see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from rag_pipelines_tests.orchestration.conftest import Shell

SECRET = (b"quetzal", b"coelacanth")
"""What stands in ids, and in titles and texts of the documents."""


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """The folder of an instance's storage."""
    folder = tmp_path / "dagster"
    folder.mkdir()
    return folder


@pytest.fixture
def told(shell: Shell, history: Path) -> Iterator[Shell]:
    """A source of which some documents are read, one is not, and many are deleted, above its guard."""
    with dg.DagsterInstance.local_temp(str(history)) as instance:
        yield Shell(shell.workspace, instance)


def fill(shell: Shell) -> None:
    workspace = shell.workspace
    for n in range(30):
        workspace.write(f"ann-quetzal-{n}.md", f"# The coelacanth {n}\n\nText about coelacanth {n}.")
    workspace.write("ann-quetzal.pdf", b"%PDF-1.7 not really")


def run_all(shell: Shell) -> None:
    """Ingest, and ingest with deletions that wait."""
    fill(shell)
    assert shell.ingest().success
    for n in range(25):
        (shell.workspace.docs / f"ann-quetzal-{n}.md").unlink()
    assert shell.ingest().success


def quoted(history: Path) -> set[bytes]:
    """Which words of the documents stand in the bytes of the storage: events, runs and what beside."""
    # Compute logs are what processes wrote, not history.
    files = [file for file in history.rglob("*") if file.is_file() and "compute_logs" not in str(file)]
    assert sum(file.stat().st_size for file in files) > 100_000
    return {word for file in files for word in SECRET if word in file.read_bytes()}


@pytest.mark.usefixtures("real_suites")
def test_nothing_of_a_source_that_is_not_public_stands_in_the_event_log(told: Shell, history: Path) -> None:
    told.workspace.document["sources"]["docs"]["access"] = ["group:staff"]
    run_all(told)
    assert told.run("verify_source", "docs").success
    assert quoted(history) == set()


def test_one_document_that_is_not_public_is_enough(told: Shell, history: Path) -> None:
    told.workspace.write("a.md", "# A\n\nAlpha.")
    told.workspace.write("a.md.access.yaml", "allow: [group:staff]")
    fill(told)
    assert told.ingest().success
    assert quoted(history) == set()


def test_of_a_public_source_it_shows_samples(told: Shell, history: Path) -> None:
    fill(told)
    assert told.ingest().success
    assert quoted(history) == set(SECRET)


def test_keys_and_figures_stay(told: Shell) -> None:
    told.workspace.document["sources"]["docs"]["access"] = ["group:staff"]
    fill(told)
    result = told.ingest()
    raw = told.metadata(result, "raw_documents")
    assert raw["documents_added"] >= 30
    assert {"document", "bytes", "status"} <= set(raw["sample_rows"][0])
    assert not {"external_id", "title", "text"} & set(raw["sample_rows"][0])
    parsed = told.metadata(result, "parsed_documents")
    assert (parsed["quarantined_documents"], parsed["quarantine"][0]["stage"]) == (1, "parse")
