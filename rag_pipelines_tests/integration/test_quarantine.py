"""The quarantine: what is tried again, when, how often, and what opens it again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rag_pipelines.embedding.batch import Embedded
from rag_pipelines.errors import (
    CorruptDocumentError,
    DocumentError,
    EmbeddingError,
    FetchError,
    ForbiddenEntityError,
    ParseCrashError,
    RagError,
    ThrottledError,
    TransientError,
    UsageError,
)
from rag_pipelines.parsing import fingerprints
from rag_pipelines.store.database import query
from rag_pipelines.store.documents import (
    QuarantineEntry,
    QuarantineFilter,
    documents_not_due,
    list_quarantine,
    quarantine,
    retry_quarantined,
)
from rag_pipelines_tests.integration.workspace import Workspace

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
"""Before anything is purged in these tests."""


@pytest.fixture
def held(workspace: Workspace) -> Workspace:
    """A workspace whose source has a row."""
    with workspace.database.connection() as connection:
        query(connection, "ensure_source", {"name": "docs", "connector": "filesystem"})
    return workspace


def fail(workspace: Workspace, error: RagError, stage: str = "fetch", **entry: Any) -> dict[str, Any]:
    """Record one failure of a document and return its row with the pause in seconds."""
    fields = {"external_id": "a.md", "content": "token 1", "code_version": "code 1", **entry}
    with workspace.database.transaction() as connection:
        quarantine(connection, _source(workspace), BEGAN, [QuarantineEntry(stage, error, **fields)])
    (row,) = workspace.rows(
        "SELECT *, round(extract(epoch FROM next_try_at - last_at))::int AS pause FROM rag.quarantine"
    )
    return row


def waiting(workspace: Workspace, token: str = "token 1", code: str = "code 1", most: int = 3) -> set[str]:
    with workspace.database.connection() as connection:
        return documents_not_due(
            connection, _source(workspace), {"a.md": token, "b.md": "x"}, code_version=code, max_attempts=most
        )


def long_ago(workspace: Workspace) -> None:
    with workspace.database.connection() as connection:
        connection.execute("UPDATE rag.quarantine SET next_try_at = now() - interval '1 second'")


def _source(workspace: Workspace) -> int:
    return workspace.rows("SELECT source_id FROM rag.source WHERE name = 'docs'")[0]["source_id"]


def test_loading_that_fails_is_tried_at_once_and_then_after_pauses_that_double_up_to_a_day(
    held: Workspace,
) -> None:
    pauses = [fail(held, TransientError("busy"))["pause"] for _ in range(12)]
    assert pauses[:5] == [0, 300, 600, 1200, 2400]
    assert pauses[-1] == 86_400
    assert held.rows("SELECT attempts FROM rag.quarantine") == [{"attempts": 12}]


def test_a_pause_that_the_source_asked_for_is_kept(held: Workspace) -> None:
    assert fail(held, ThrottledError("slow down", 17.0))["pause"] == 17


def test_a_document_that_is_not_due_waits_until_its_token_or_the_code_changes(held: Workspace) -> None:
    fail(held, FetchError("410"))
    assert waiting(held) == set()
    fail(held, FetchError("410"))
    assert waiting(held) == {"a.md"}
    assert waiting(held, token="token 2") == set()
    assert waiting(held, code="code 2") == set()
    long_ago(held)
    assert waiting(held) == set()


@pytest.mark.parametrize(
    ("error", "given_up"),
    [(FetchError("410"), True), (TransientError("busy"), False), (ForbiddenEntityError("403"), False)],
)
def test_what_does_not_pass_by_itself_is_given_up_after_max_attempts(
    held: Workspace, error: RagError, given_up: bool
) -> None:
    for _ in range(3):
        fail(held, error)
    long_ago(held)
    assert bool(waiting(held, most=3)) is given_up
    assert not waiting(held, most=4)


@pytest.mark.parametrize("change", [{"content": "token 2"}, {"code_version": "code 2"}, {"stage": "parse"}])
def test_attempts_start_again_with_new_content_new_code_or_another_stage(
    held: Workspace, change: dict[str, str]
) -> None:
    fail(held, FetchError("410"))
    assert fail(held, FetchError("410"))["attempts"] == 2
    assert fail(held, FetchError("410"), **change)["attempts"] == 1


def test_content_that_the_code_cannot_read_has_no_next_try(held: Workspace) -> None:
    assert fail(held, CorruptDocumentError("torn"), "parse")["next_try_at"] is None
    assert fail(held, EmbeddingError("refused"), "embed")["next_try_at"] is None
    assert fail(held, ParseCrashError("died"), "parse")["pause"] == 300


def test_an_entity_counts_its_attempts_and_is_tried_with_each_listing(held: Workspace) -> None:
    fields = {"external_id": None, "entity": "space HR", "code_version": None, "content": None}
    fail(held, ForbiddenEntityError("403"), "list", **fields)
    row = fail(held, ThrottledError("slow", 9.0), "list", **fields)
    assert (row["attempts"], row["error_class"], row["pause"]) == (2, "ThrottledError", 9)


def failing_parser(monkeypatch: pytest.MonkeyPatch, error: DocumentError) -> list[str]:
    """Make reading of any document fail; returns the names that were tried."""
    from rag_pipelines.workers import pool

    tried: list[str] = []
    original = pool.WorkerPool.map

    def failing(self: Any, items: Any, **options: Any) -> Any:
        task = options["task"]

        def none(item: Any) -> Any:
            wanted = task(item)
            if wanted is not None:
                tried.append(item.row["external_id"])
                raise error
            return None

        return original(self, items, **{**options, "task": none})

    monkeypatch.setattr(pool.WorkerPool, "map", failing)
    return tried


def test_bytes_that_kill_the_parser_are_tried_max_attempts_times_and_then_only_as_new_bytes_or_by_new_code(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.write("a.md", "# A\n\nAlpha.")
    tried = failing_parser(monkeypatch, ParseCrashError("died"))
    workspace.ingest()
    workspace.ingest()
    assert len(tried) == 1, "its pause is not over"
    for _ in range(5):
        long_ago(workspace)
        workspace.ingest()
    assert len(tried) == 3 == workspace.settings.source("docs").max_attempts

    workspace.write("a.md", "# A\n\nOther.")
    workspace.ingest()
    assert len(tried) == 4
    assert workspace.rows("SELECT attempts FROM rag.quarantine") == [{"attempts": 1}]

    parser_fingerprints = fingerprints.parser_fingerprints
    monkeypatch.setattr(
        fingerprints,
        "parser_fingerprints",
        lambda options: {kind: f"{print_}+" for kind, print_ in parser_fingerprints(options).items()},
    )
    workspace.ingest()
    assert len(tried) == 5


def test_bytes_that_cannot_be_read_are_tried_once_by_each_code(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.write("a.md", "# A\n\nAlpha.")
    tried = failing_parser(monkeypatch, CorruptDocumentError("torn"))
    for _ in range(3):
        workspace.ingest()
    assert len(tried) == 1

    parser_fingerprints = fingerprints.parser_fingerprints
    monkeypatch.setattr(
        fingerprints,
        "parser_fingerprints",
        lambda options: {kind: f"{print_}+" for kind, print_ in parser_fingerprints(options).items()},
    )
    for _ in range(2):
        workspace.ingest()
    assert len(tried) == 2


def test_the_entry_of_a_refused_text_names_bytes_and_model_and_goes_when_the_model_takes_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rag_pipelines.sync import vectors

    refusing = True
    embed_all = vectors.embed_all

    def squeamish(embedder: Any, texts: Sequence[str], **options: Any) -> Any:
        for group in embed_all(embedder, texts, **options):
            bad = [n for n, row in enumerate(group.rows) if refusing and "alpha" in texts[row].lower()]
            keep = [n for n in range(len(group.rows)) if n not in bad]
            failures = [(int(group.rows[n]), EmbeddingError("no alpha")) for n in bad]
            yield Embedded(group.rows[keep], group.vectors[keep], tuple(failures))

    monkeypatch.setattr(vectors, "embed_all", squeamish)
    workspace.write("a.md", "# A\n\nAlpha.")
    workspace.write("b.md", "# B\n\nBeta.")
    workspace.ingest()
    (row,) = workspace.rows(
        "SELECT q.*, encode(d.raw_sha256, 'hex') AS sha "
        "FROM rag.quarantine q JOIN rag.document d USING (external_id)"
    )
    assert (row["external_id"], row["stage"], row["content"]) == ("a.md", "embed", row["sha"])
    (model,) = workspace.rows("SELECT fingerprint FROM rag.profile WHERE kind = 'model'")
    assert row["code_version"] == model["fingerprint"]

    workspace.ingest()
    assert workspace.rows("SELECT attempts FROM rag.quarantine") == [{"attempts": 1}], "not asked again"

    with workspace.database.transaction() as connection:
        retry_quarantined(connection, QuarantineFilter(stage="embed"))
    workspace.ingest()
    assert len(workspace.rows("SELECT 1 FROM rag.quarantine")) == 1, "still refused"

    refusing = False
    with workspace.database.transaction() as connection:
        retry_quarantined(connection, QuarantineFilter(stage="embed"))
    report = workspace.ingest()
    assert report.embedded == 1
    assert workspace.rows("SELECT 1 FROM rag.quarantine") == []


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        (QuarantineFilter(), {"a.md", "b.md", "c.md"}),
        (QuarantineFilter(stage="fetch"), {"a.md"}),
        (QuarantineFilter(status="corrupt"), {"b.md"}),
        (QuarantineFilter(error_class="ParseCrashError"), {"c.md"}),
        (QuarantineFilter(older_than=timedelta(days=2)), {"b.md", "c.md"}),
        (QuarantineFilter(source="docs", stage="parse", older_than=timedelta(days=9)), {"c.md"}),
        (QuarantineFilter(source="other"), set()),
    ],
)
def test_entries_are_chosen_by_all_that_is_given(
    held: Workspace, chosen: QuarantineFilter, found: set[str]
) -> None:
    entries = [
        QuarantineEntry("fetch", FetchError("410"), "a.md"),
        QuarantineEntry("parse", CorruptDocumentError("torn"), "b.md"),
        QuarantineEntry("parse", ParseCrashError("died"), "c.md"),
    ]
    with held.database.transaction() as connection:
        quarantine(connection, _source(held), BEGAN, entries)
        connection.execute(
            "UPDATE rag.quarantine SET first_at = now() - interval '3 days' WHERE external_id > 'a.md'"
        )
        connection.execute(
            "UPDATE rag.quarantine SET first_at = now() - interval '10 days' WHERE external_id = 'c.md'"
        )
        assert {row["external_id"] for row in list_quarantine(connection, chosen)} == found
        assert {row["external_id"] for row in retry_quarantined(connection, chosen)} == found
        due = connection.execute("SELECT external_id FROM rag.quarantine WHERE attempts = 0").fetchall()
    assert {row["external_id"] for row in due} == found


def test_an_id_that_is_not_there_changes_nothing(held: Workspace) -> None:
    row = fail(held, FetchError("410"))
    chosen = QuarantineFilter(ids=(row["quarantine_id"], 99))
    with (
        pytest.raises(UsageError, match="no such quarantine entry: 99"),
        held.database.transaction() as connection,
    ):
        retry_quarantined(connection, chosen)
    assert held.rows("SELECT attempts FROM rag.quarantine") == [{"attempts": 1}]
