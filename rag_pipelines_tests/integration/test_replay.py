"""A real handbook replayed over a year: after each step the catalogue and the index equal the manifest."""

from __future__ import annotations

import csv
import gzip
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from rag_pipelines.sync.report import SyncReport
from rag_pipelines_tests.databases import copied_database
from rag_pipelines_tests.integration.workspace import Workspace

pytestmark = pytest.mark.together

STEPS = 12


def unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="fully_trusted")


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


class Step(NamedTuple):
    """What a step changed at the source, what a run made of it, and what a search gives afterwards.

    `embedded` are the documents that show a vector of this step, `found` those that are found by the names
    of what is gone.
    """

    changes: list[dict[str, str]]
    truth: dict[str, str]
    stored: dict[str, str]
    report: SyncReport
    embedded: set[str]
    found: set[str]


class Replay:
    """The handbook's year, taken as far as a test asks for.

    What counts is which documents are there: one short vector for each is enough, in a graph with few edges,
    and thirteen versions are soon built.
    """

    def __init__(self, workspace: Workspace, corpus: Path) -> None:
        self._workspace, self._corpus = workspace, corpus
        self._steps: list[Step] = []
        workspace.document["profiles"]["embedding"] = {"default": {"provider": "hash", "dimensions": 64}}
        workspace.document["profiles"]["chunking"] = {"default": {"whole_document": True}}
        index = workspace.document["indexes"]["main"]
        index["vector"] = {"m": 4, "ef_construction": 16}
        index["gates"]["recall_sample"] = 5
        unpack(corpus / "base.tar.gz", workspace.docs)
        workspace.refresh()
        self.first = stored(workspace)

    def step(self, number: int) -> Step:
        """What became of a step, counted from 1."""
        while len(self._steps) < number:
            self._steps.append(self._take(len(self._steps) + 1))
        return self._steps[number - 1]

    def _take(self, number: int) -> Step:
        workspace = self._workspace
        vectors = workspace.rows("SELECT count(*) AS n FROM rag.embedding")[0]["n"]
        changes = apply(self._corpus, number, workspace.docs)
        report = workspace.ingest()
        after, embedded = stored(workspace), embedded_since(workspace, vectors)
        workspace.publish()
        gone = [change["old_path"] or change["path"] for change in changes if change["status"] != "M"]
        found: set[str] = set()
        for path in gone[:5]:
            words = Path(path).stem.replace("_", " ").replace("-", " ") or "handbook"
            for mode in ("dense", "lexical"):
                found |= workspace.paths(words, mode=mode, k=50)
        return Step(changes, manifest_of(self._corpus, number), after, report, embedded, found)


@pytest.fixture(scope="module")
def corpus(data_set: Callable[[str], Path]) -> Path:
    return data_set("replay-sourcegraph-handbook")


@pytest.fixture(scope="module")
def replay(
    corpus: Path, tmp_path_factory: pytest.TempPathFactory, postgres: str, template_database: str
) -> Iterator[Replay]:
    with copied_database(postgres, template_database) as url:
        workspace = Workspace(tmp_path_factory.mktemp("replay"), url)
        yield Replay(workspace, corpus)
        workspace.close()


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


def test_the_replay_begins_with_exactly_the_manifest(replay: Replay, corpus: Path) -> None:
    assert replay.first == manifest_of(corpus, 0)


@pytest.mark.parametrize("number", range(1, STEPS + 1))
def test_every_step_of_the_replay_ends_with_exactly_the_manifest(replay: Replay, number: int) -> None:
    step = replay.step(number)
    touched = {change["path"] for change in step.changes if change["status"] not in ("D", "R100")}
    assert step.stored == step.truth
    assert step.report.parsed <= len(touched)
    assert step.embedded <= touched
    assert step.found <= step.truth.keys()


def test_what_only_moved_is_known_again(replay: Replay) -> None:
    steps = [replay.step(number) for number in range(1, STEPS + 1)]
    pure_moves = sum(change["status"] == "R100" for step in steps for change in step.changes)
    assert pure_moves == 704
    assert sum(step.report.changes.get("moved", 0) for step in steps) >= 0.97 * pure_moves
