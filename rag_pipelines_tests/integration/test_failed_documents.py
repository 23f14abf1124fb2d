"""A document that failed is in quarantine as long as its source has it, whatever happened in between."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rag_pipelines.connectors.base import Item, Window
from rag_pipelines.connectors.filesystem import FilesystemConnector
from rag_pipelines.demo import corpus_path
from rag_pipelines.embedding.batch import Embedded
from rag_pipelines.embedding.hashing import HashEmbedder
from rag_pipelines.errors import EmbeddingError, FetchError
from rag_pipelines.parsing import fingerprints
from rag_pipelines.retention.garbage import collect_garbage
from rag_pipelines.runtime import Runtime
from rag_pipelines.sync.deletions import approve, list_deletions, reject
from rag_pipelines.verification.verify import verify_source
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.workspace import Workspace

LOCKED = corpus_path() / "acme-sensors" / "finance" / "supplier-bank-details.pdf"


def fill_failing(workspace: Workspace) -> None:
    """A good file and a PDF that needs a password, ingested."""
    workspace.write("good.md", "# Good\n\nAlpha.")
    shutil.copy(LOCKED, workspace.docs / "locked.pdf")
    workspace.ingest()
    assert quarantined(workspace) == {"locked.pdf": ("parse", "encrypted")}


@pytest.fixture
def failing(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_failing).lend() as lent:
        yield lent


def quarantined(workspace: Workspace) -> dict[str, tuple[str, str]]:
    rows = workspace.rows("SELECT external_id, stage, status FROM rag.quarantine")
    return {row["external_id"]: (row["stage"], row["status"]) for row in rows}


def drift(workspace: Workspace) -> dict[str, list[str]]:
    from rag_pipelines.sync.targets import Embedders

    embedders = Embedders(workspace.settings.data_dir)
    certificates = verify_source(Runtime(workspace.database, workspace.settings, embedders), "docs")
    found = [drift for one in certificates for drift in one.drift]
    return {one.kind: one.samples for one in found if one.kind not in ("no_version", "behind")}


def put_away(workspace: Workspace, name: str = "locked.pdf") -> Path:
    return Path(shutil.move(workspace.docs / name, workspace.folder / name))


def bring_back(workspace: Workspace, name: str = "locked.pdf", as_name: str | None = None) -> None:
    shutil.move(workspace.folder / name, workspace.docs / (as_name or name))


@pytest.mark.parametrize("full", [False, True])
def test_a_failed_document_that_goes_away_and_comes_back_is_in_quarantine_again(
    failing: Workspace, full: bool
) -> None:
    put_away(failing)
    failing.ingest()
    assert quarantined(failing) == {}
    bring_back(failing)
    report = failing.ingest(full=full)
    assert report.statuses["encrypted"] == 1
    assert quarantined(failing) == {"locked.pdf": ("parse", "encrypted")}
    assert drift(failing) == {}


def test_a_failed_document_that_comes_back_after_its_purge_is_in_quarantine_again(failing: Workspace) -> None:
    failing.document["sources"]["docs"]["grace"] = "0s"
    put_away(failing)
    failing.ingest()
    collect_garbage(failing.database, failing.settings)
    assert failing.rows("SELECT 1 FROM rag.document WHERE external_id = 'locked.pdf'") == []
    bring_back(failing)
    failing.ingest()
    assert quarantined(failing) == {"locked.pdf": ("parse", "encrypted")}


def test_a_failed_document_that_comes_back_mended_is_fine(failing: Workspace) -> None:
    put_away(failing)
    failing.ingest()
    failing.write("locked.pdf", b"Plain words now.")
    failing.ingest()
    assert quarantined(failing) == {}
    assert failing.rows("SELECT status FROM rag.document WHERE external_id = 'locked.pdf'") == [
        {"status": "ok"}
    ]


def test_a_failed_document_that_moves_takes_its_quarantine_along(failing: Workspace) -> None:
    first = failing.rows("SELECT quarantine_id, first_at, attempts FROM rag.quarantine")
    (failing.docs / "archive").mkdir()
    os.rename(failing.docs / "locked.pdf", failing.docs / "archive" / "locked.pdf")
    report = failing.ingest()
    assert report.changes["moved"] == 1
    assert quarantined(failing) == {"archive/locked.pdf": ("parse", "encrypted")}
    assert failing.rows("SELECT quarantine_id, first_at, attempts FROM rag.quarantine") == first


def test_a_failed_document_whose_rights_change_stays_in_quarantine(failing: Workspace) -> None:
    failing.write("locked.pdf.access.yaml", "allow: [group:hr]\n")
    assert failing.ingest().changes["access_only"] == 1
    assert quarantined(failing) == {"locked.pdf": ("parse", "encrypted")}


def unreadable(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Make loading of one file fail, as a file without permission does."""
    items = FilesystemConnector.items

    def listed(self: FilesystemConnector, window: Window = Window()) -> Iterator[Any]:
        def refuse() -> bytes:
            raise FetchError("no permission")

        for entry in items(self, window):
            broken = isinstance(entry, Item) and entry.external_id == name
            yield msgspec.structs.replace(entry, load=refuse) if broken else entry

    monkeypatch.setattr(FilesystemConnector, "items", listed)


def test_a_document_that_could_not_be_loaded_for_a_while_is_still_known_to_be_unreadable(
    failing: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure to load takes the place of the failure to parse, and must give it back."""
    os.utime(failing.docs / "locked.pdf")
    with monkeypatch.context() as patch:
        unreadable(patch, "locked.pdf")
        failing.ingest()
    assert quarantined(failing) == {"locked.pdf": ("fetch", "unreadable")}
    os.utime(failing.docs / "locked.pdf")
    failing.ingest()
    assert quarantined(failing) == {"locked.pdf": ("parse", "encrypted")}


def test_a_document_that_could_not_be_loaded_goes_away_and_comes_back(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.write("good.md", "# Good\n\nAlpha.")
    workspace.write("shut.md", "# Shut\n\nBeta.")
    with monkeypatch.context() as patch:
        unreadable(patch, "shut.md")
        workspace.ingest()
        assert quarantined(workspace) == {"shut.md": ("fetch", "unreadable")}
        put_away(workspace, "shut.md")
        workspace.ingest()
        assert quarantined(workspace) == {}
        bring_back(workspace, "shut.md")
        workspace.ingest()
        assert quarantined(workspace) == {"shut.md": ("fetch", "unreadable")}


def test_a_failure_to_load_new_content_outlives_a_new_parse_of_the_old(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.write("good.md", "# Good\n\nAlpha.")
    workspace.write("shut.md", "# Shut\n\nBeta.")
    workspace.ingest()
    workspace.write("shut.md", "# Shut\n\nGamma.")
    unreadable(monkeypatch, "shut.md")
    for _ in range(2):
        workspace.ingest()
    parser_fingerprints = fingerprints.parser_fingerprints
    monkeypatch.setattr(
        fingerprints,
        "parser_fingerprints",
        lambda options: {kind: f"{print_}+" for kind, print_ in parser_fingerprints(options).items()},
    )
    report = workspace.ingest()
    assert report.parsed == 2
    assert quarantined(workspace) == {"shut.md": ("fetch", "unreadable")}


@pytest.fixture
def squeamish(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Makes the model refuse what says alpha, until it is told to take it."""
    from rag_pipelines.sync import vectors

    refusing = [True]
    embed_all = vectors.embed_all

    def picky(embedder: HashEmbedder, texts: Sequence[str], **options: Any) -> Iterator[Embedded]:
        for group in embed_all(embedder, texts, **options):
            bad = [n for n, row in enumerate(group.rows) if refusing[0] and "alpha" in texts[row].lower()]
            keep = [n for n in range(len(group.rows)) if n not in bad]
            failures = [(int(group.rows[n]), EmbeddingError("no alpha")) for n in bad]
            yield Embedded(group.rows[keep], group.vectors[keep], tuple(failures))

    monkeypatch.setattr(vectors, "embed_all", picky)

    def refuse(wanted: bool) -> None:
        refusing[0] = wanted

    return refuse


def test_a_text_that_the_model_refuses_goes_away_and_comes_back(
    workspace: Workspace, squeamish: Callable[[bool], None]
) -> None:
    workspace.write("a.md", "# A\n\nAlpha.")
    workspace.write("b.md", "# B\n\nBeta.")
    workspace.ingest()
    assert quarantined(workspace) == {"a.md": ("embed", "failed")}
    put_away(workspace, "a.md")
    workspace.ingest()
    assert quarantined(workspace) == {}
    bring_back(workspace, "a.md")
    workspace.ingest()
    assert quarantined(workspace) == {"a.md": ("embed", "failed")}
    assert drift(workspace) == {}
    put_away(workspace, "a.md")
    workspace.ingest()
    squeamish(False)
    bring_back(workspace, "a.md")
    workspace.ingest()
    assert quarantined(workspace) == {}
    assert workspace.rows("SELECT 1 FROM rag.chunk_set_embedded WHERE missing > 0") == []


def test_a_second_document_with_a_text_that_the_model_refuses_is_in_quarantine_too(
    workspace: Workspace, squeamish: Callable[[bool], None]
) -> None:
    workspace.write("a.md", "# A\n\nAlpha.")
    workspace.ingest()
    workspace.write("copy/a.md", "# A\n\nAlpha.")
    workspace.ingest()
    assert quarantined(workspace) == {"a.md": ("embed", "failed"), "copy/a.md": ("embed", "failed")}


def test_a_failure_that_quarantine_lost_is_drift_and_mended_by_the_next_run(failing: Workspace) -> None:
    """As an earlier release left it."""
    with failing.database.connection() as connection:
        connection.execute("DELETE FROM rag.quarantine")
    assert drift(failing) == {"not_quarantined": ["locked.pdf"]}
    failing.ingest()
    assert quarantined(failing) == {"locked.pdf": ("parse", "encrypted")}
    assert drift(failing) == {}


@pytest.mark.parametrize("decision", [approve, reject])
def test_a_failed_document_whose_deletion_waited_is_in_quarantine_when_it_comes_back(
    failing: Workspace, decision: Callable[..., Any]
) -> None:
    failing.document["sources"]["docs"]["delete_guard"] = {"share": 0.1, "documents": 1}
    put_away(failing)
    failing.ingest()
    assert quarantined(failing) == {"locked.pdf": ("parse", "encrypted")}, "it is still served"
    with failing.database.connection() as connection:
        (waiting,) = list_deletions(connection)
    decision(failing.database, waiting.deletion_id, reason="tried")
    failing.ingest()
    assert bool(quarantined(failing)) is (decision is reject)
    bring_back(failing)
    failing.ingest()
    assert quarantined(failing) == {"locked.pdf": ("parse", "encrypted")}


def test_a_decision_taken_back_brings_the_failure_back(failing: Workspace) -> None:
    failing.document["sources"]["docs"]["delete_guard"] = {"share": 0.1, "documents": 1}
    put_away(failing)
    failing.ingest()
    with failing.database.connection() as connection:
        (waiting,) = list_deletions(connection)
    approve(failing.database, waiting.deletion_id, reason="tried")
    failing.ingest()
    reject(failing.database, waiting.deletion_id, reason="thought again")
    failing.ingest()
    assert quarantined(failing) == {"locked.pdf": ("parse", "encrypted")}
