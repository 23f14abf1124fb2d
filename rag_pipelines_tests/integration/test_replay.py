"""A real handbook replayed over a year: after each step the catalogue and the index equal the manifest."""

from __future__ import annotations

import csv
import gzip
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rag_pipelines_tests.integration.workspace import Workspace

STEPS = 12


def unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")


def changes_of(corpus: Path, step: int) -> list[dict[str, str]]:
    with (corpus / "changes" / f"{step:02}.tsv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def manifest_of(corpus: Path, step: int) -> dict[str, str]:
    with gzip.open(corpus / "manifest" / f"{step:02}.tsv.gz", "rt", encoding="utf-8") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {row[0]: row[1] for row in rows if len(row[1]) == 64}


def apply(corpus: Path, step: int, folder: Path) -> list[dict[str, str]]:
    changes = changes_of(corpus, step)
    for change in changes:
        gone = change["old_path"] or (change["path"] if change["status"] == "D" else "")
        if gone:
            (folder / gone).unlink(missing_ok=True)
    unpack(corpus / "steps" / f"{step:02}.tar.gz", folder)
    return changes


@pytest.fixture
def handbook(workspace: Workspace, data_set: Callable[[str], Path]) -> tuple[Workspace, Path]:
    """The handbook at step 0, ingested and published. What counts is which documents are there: one short
    vector for each is enough, and thirteen versions are soon built."""
    corpus = data_set("replay-sourcegraph-handbook")
    workspace.document["limits"] = {"workers": 2}
    workspace.document["profiles"]["embedding"] = {"default": {"provider": "hash", "dimensions": 64}}
    workspace.document["profiles"]["chunking"] = {"default": {"whole_document": True}}
    unpack(corpus / "base.tar.gz", workspace.docs)
    workspace.refresh()
    return workspace, corpus


def stored(workspace: Workspace) -> dict[str, str]:
    rows = workspace.rows(
        "SELECT external_id, encode(raw_sha256, 'hex') AS sha FROM rag.document WHERE state <> 'tombstoned'"
    )
    return {row["external_id"]: row["sha"] for row in rows}


def embedded_since(workspace: Workspace, before: int) -> set[str]:
    """Documents that show a vector stored after the first `before` ones (the table only grows)."""
    rows = workspace.rows(
        "SELECT DISTINCT d.external_id FROM (SELECT input_key FROM rag.embedding ORDER BY ctid OFFSET %s) e "
        "JOIN rag.chunk USING (input_key) JOIN rag.document_chunks USING (chunk_set_id) "
        "JOIN rag.document d USING (document_id) WHERE d.state <> 'tombstoned'",
        before,
    )
    return {row["external_id"] for row in rows}


@pytest.mark.timeout(600)
def test_every_step_of_the_replay_ends_with_exactly_the_manifest(handbook: tuple[Workspace, Path]) -> None:
    workspace, corpus = handbook
    assert stored(workspace) == manifest_of(corpus, 0)
    pure_moves = moved = 0
    for step in range(1, STEPS + 1):
        vectors = workspace.rows("SELECT count(*) AS n FROM rag.embedding")[0]["n"]
        changes = apply(corpus, step, workspace.docs)
        report = workspace.ingest()
        truth = manifest_of(corpus, step)
        assert stored(workspace) == truth, f"step {step}"

        touched = {change["path"] for change in changes if change["status"] not in ("D", "R100")}
        assert report.parsed <= len(touched)
        assert embedded_since(workspace, vectors) <= touched
        pure_moves += sum(change["status"] == "R100" for change in changes)
        moved += report.changes.get("moved", 0)

        workspace.publish()
        gone = [change["old_path"] or change["path"] for change in changes if change["status"] != "M"]
        for path in gone[:5]:
            words = Path(path).stem.replace("_", " ").replace("-", " ") or "handbook"
            for mode in ("dense", "lexical"):
                assert workspace.paths(words, mode=mode, k=50) <= truth.keys()
    assert pure_moves == 704
    assert moved >= 0.97 * pure_moves
