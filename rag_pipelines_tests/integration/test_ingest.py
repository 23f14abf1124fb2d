"""What a run does to a source: nothing twice, nothing lost, nothing deleted by mistake."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest
import yaml

from rag_pipelines.connectors.base import Complete, Window
from rag_pipelines.connectors.filesystem import FilesystemConnector
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.errors import EmptyListingError, LeaseLostError, UsageError
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Database
from rag_pipelines.store.lease import source_lease
from rag_pipelines.sync.plan import plan_source
from rag_pipelines.sync.stages import source_run
from rag_pipelines_tests.integration.workspace import Workspace

LONG = "\n\n".join(f"## Part {n}\n\n" + f"Sentence about topic {n}. " * 40 for n in range(12))


def test_a_second_run_with_no_change_writes_nothing(workspace: Workspace) -> None:
    workspace.write("a.md", "# A\n\nAlpha.")
    first = workspace.ingest()
    before = workspace.rows("SELECT updated_at, xmin::text FROM rag.document")
    second = workspace.ingest()
    assert first.changes == {"added": 1}
    assert second.changes == {"unchanged": 1}
    assert (second.parsed, second.embedded, second.bytes_loaded) == (0, 0, 0)
    assert workspace.rows("SELECT updated_at, xmin::text FROM rag.document") == before


def test_an_edit_embeds_only_the_chunks_that_changed(workspace: Workspace) -> None:
    workspace.write("long.md", "# Long\n\n" + LONG)
    first = workspace.ingest()
    workspace.write("long.md", "# Long\n\n" + LONG.replace("topic 7", "subject 7"))
    second = workspace.ingest()
    assert second.changes == {"changed": 1}
    assert first.embedded >= 12
    assert 1 <= second.embedded <= first.embedded // 12 + 1


def test_a_moved_file_keeps_its_row_and_embeds_nothing(workspace: Workspace) -> None:
    workspace.write("old/a.md", "# A\n\nAlpha.")
    workspace.ingest()
    before = workspace.rows("SELECT document_id FROM rag.document")
    (workspace.docs / "new").mkdir()
    (workspace.docs / "old/a.md").rename(workspace.docs / "new/b.md")
    report = workspace.ingest()
    assert report.changes == {"moved": 1}
    assert (report.parsed, report.embedded) == (0, 0)
    assert workspace.rows("SELECT document_id FROM rag.document") == before
    assert workspace.stored() == {"new/b.md"}


def test_files_that_swap_their_names_embed_nothing(workspace: Workspace) -> None:
    workspace.write("a.md", "# A\n\nAlpha.")
    workspace.write("b.md", "# B\n\nBeta.")
    workspace.ingest()
    (workspace.docs / "a.md").rename(workspace.docs / "c")
    (workspace.docs / "b.md").rename(workspace.docs / "a.md")
    (workspace.docs / "c").rename(workspace.docs / "b.md")
    report = workspace.ingest()
    assert report.embedded == 0
    workspace.publish()
    assert {(hit.path, hit.text.split("\n")[0]) for hit in workspace.search("alpha beta")} == {
        ("a.md", "B"),
        ("b.md", "A"),
    }


def test_files_with_the_same_bytes_stay_two_documents_and_share_their_vectors(
    workspace: Workspace,
) -> None:
    workspace.write("a.md", "# Same\n\nSame words.")
    workspace.write("b.md", "# Same\n\nSame words.")
    report = workspace.ingest()
    assert report.embedded == 1
    workspace.publish()
    assert workspace.paths("same words") == {"a.md", "b.md"}
    (workspace.docs / "a.md").unlink()
    assert workspace.ingest().changes == {"unchanged": 1, "deleted": 1}
    assert workspace.paths("same words") == {"b.md"}


def test_a_deleted_document_disappears_from_the_live_version_at_once(workspace: Workspace) -> None:
    workspace.write("a.md", "# A\n\nAlpha beta.")
    workspace.write("b.md", "# B\n\nAlpha gamma.")
    workspace.refresh()
    (workspace.docs / "a.md").unlink()
    workspace.ingest()
    for mode in ("dense", "lexical", "hybrid"):
        assert workspace.paths("alpha", mode=mode) == {"b.md"}


def test_a_file_that_comes_back_is_restored_without_parsing_it_again(workspace: Workspace) -> None:
    workspace.write("a.md", "# A\n\nAlpha.")
    workspace.write("b.md", "# B\n\nBeta.")
    workspace.refresh()
    stat = (workspace.docs / "a.md").stat()
    (workspace.docs / "a.md").unlink()
    workspace.ingest()
    workspace.write("a.md", "# A\n\nAlpha.")
    os.utime(workspace.docs / "a.md", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    report = workspace.ingest()
    assert report.changes == {"unchanged": 1, "restored": 1}
    assert report.parsed == 0
    assert workspace.paths("alpha") >= {"a.md"}


def test_a_touched_file_is_loaded_but_not_parsed(workspace: Workspace) -> None:
    workspace.write("a.md", "# A\n\nAlpha.")
    workspace.ingest()
    os.utime(workspace.docs / "a.md", (1, 1))
    report = workspace.ingest()
    assert report.changes == {"metadata_only": 1}
    assert report.parsed == 0
    assert workspace.ingest().changes == {"unchanged": 1}


def test_an_access_change_is_in_force_for_the_next_query_and_touches_no_chunk(workspace: Workspace) -> None:
    workspace.write("a.md", "# A\n\nAlpha.")
    workspace.refresh()
    chunks = workspace.rows("SELECT xmin::text FROM rag.chunk")
    assert workspace.paths("alpha") == {"a.md"}
    workspace.write(".access.yaml", "allow: [group:hr]\n")
    report = workspace.ingest()
    assert report.changes == {"access_only": 1}
    assert workspace.paths("alpha") == set()
    assert workspace.paths("alpha", principals=["group:hr"]) == {"a.md"}
    assert workspace.rows("SELECT xmin::text FROM rag.chunk") == chunks


def test_deletions_above_the_guard_are_parked_and_still_served_until_allowed(workspace: Workspace) -> None:
    workspace.document["sources"]["docs"]["delete_guard"] = {"share": 0.2, "documents": 5}
    for n in range(20):
        workspace.write(f"{n}.md", f"# Doc {n}\n\nAlpha {n}.")
    workspace.refresh()
    for n in range(10):
        (workspace.docs / f"{n}.md").unlink()
    parked = workspace.ingest()
    assert parked.parked_deletes == 10
    assert any("rag-pipelines deletes list" in note for note in parked.notes)
    assert len(workspace.paths("alpha", k=50)) == 20
    allowed = workspace.ingest(allow_deletes=True)
    assert allowed.changes["deleted"] == 10
    assert len(workspace.paths("alpha", k=50)) == 10


def test_parked_documents_that_come_back_are_present_again(workspace: Workspace) -> None:
    workspace.document["sources"]["docs"]["delete_guard"] = {"share": 0.2, "documents": 1}
    for n in range(4):
        workspace.write(f"{n}.md", f"# Doc {n}\n\nAlpha {n}.")
    workspace.ingest()
    hidden = workspace.folder / "hidden"
    hidden.mkdir()
    for n in (0, 1):
        (workspace.docs / f"{n}.md").rename(hidden / f"{n}.md")
    assert workspace.ingest().parked_deletes == 2
    for n in (0, 1):
        (hidden / f"{n}.md").rename(workspace.docs / f"{n}.md")
    report = workspace.ingest()
    assert report.parked_deletes == 0
    assert workspace.rows("SELECT DISTINCT state FROM rag.document") == [{"state": "present"}]


def test_an_empty_listing_of_a_source_that_held_documents_is_an_error(workspace: Workspace) -> None:
    workspace.write("a.md", "# A\n\nAlpha.")
    workspace.ingest()
    (workspace.docs / "a.md").unlink()
    with pytest.raises(EmptyListingError, match="--allow-deletes"):
        workspace.ingest()
    assert workspace.stored() == {"a.md"}


@pytest.mark.parametrize("lie", ["no marker", "wrong count"])
def test_a_listing_cut_short_deletes_nothing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    workspace.write("a.md", "# A\n\nAlpha.")
    workspace.write("b.md", "# B\n\nBeta.")
    workspace.ingest()
    whole = FilesystemConnector.items

    def cut(self: FilesystemConnector, window: Window = Window()):  # type: ignore[no-untyped-def]
        for entry in whole(self, window):
            if isinstance(entry, Complete):
                if lie == "wrong count":
                    yield entry
            elif getattr(entry, "external_id", "") != "b.md":
                yield entry

    monkeypatch.setattr(FilesystemConnector, "items", cut)
    report = workspace.ingest()
    assert report.outcome == "partial"
    assert workspace.stored() == {"a.md", "b.md"}


def test_a_window_takes_only_what_changed_in_it_and_deletes_nothing(workspace: Workspace) -> None:
    from datetime import UTC, datetime

    workspace.write("old.md", "# Old\n\nAlpha.")
    os.utime(workspace.docs / "old.md", (1_000_000, 1_000_000))
    workspace.write("new.md", "# New\n\nBeta.")
    window = Window(since=datetime(2020, 1, 1, tzinfo=UTC))
    report = workspace.ingest(window=window)
    assert workspace.stored() == {"new.md"}
    assert report.outcome == "partial"
    assert workspace.rows("SELECT listed_at FROM rag.source") == [{"listed_at": None}]


def test_a_bad_document_costs_only_itself_and_is_quarantined(workspace: Workspace) -> None:
    workspace.write("good.md", "# Good\n\nAlpha.")
    workspace.write("bad.pdf", b"%PDF-1.7\nthis is not a pdf")
    workspace.write("blob.bin", bytes(range(256)) * 8)
    workspace.write("empty.md", b"")
    report = workspace.ingest()
    assert report.statuses == {"ok": 1, "corrupt": 1, "unsupported": 1, "empty": 1}
    rows = workspace.rows("SELECT external_id, stage, status, attempts FROM rag.quarantine ORDER BY 1")
    assert rows == [
        {"external_id": "bad.pdf", "stage": "parse", "status": "corrupt", "attempts": 1},
        {"external_id": "blob.bin", "stage": "parse", "status": "unsupported", "attempts": 1},
    ]


def test_the_same_bad_bytes_are_not_tried_again_and_new_bytes_are(workspace: Workspace) -> None:
    workspace.write("bad.pdf", b"%PDF-1.7\nthis is not a pdf")
    workspace.write("ok.md", "# Fine")
    workspace.ingest()
    assert workspace.ingest().statuses == {}
    workspace.write("bad.pdf", "# It is Markdown now\n\nAlpha.")
    assert workspace.ingest().statuses == {"ok": 1}
    assert workspace.rows("SELECT * FROM rag.quarantine") == []


def test_a_document_whose_new_revision_is_broken_keeps_serving_the_old_one(workspace: Workspace) -> None:
    workspace.write("a.txt", "Alpha beta gamma.")
    workspace.refresh()
    workspace.write("a.txt", bytes(range(256)) * 8)
    assert workspace.ingest().statuses == {"unsupported": 1}
    workspace.publish()
    assert workspace.paths("alpha") == {"a.txt"}


def test_a_document_that_becomes_empty_is_no_longer_found(workspace: Workspace) -> None:
    workspace.write("a.md", "Alpha beta gamma.")
    workspace.write("b.md", "Other words.")
    workspace.refresh()
    workspace.write("a.md", b"")
    workspace.ingest()
    workspace.publish()
    assert workspace.paths("alpha", mode="lexical") == set()
    assert workspace.stored() == {"a.md", "b.md"}


def test_content_lost_from_the_blob_store_is_loaded_again(workspace: Workspace) -> None:
    workspace.write("a.md", "# A\n\nAlpha.")
    embedders = Embedders(workspace.settings.data_dir)
    with source_run(workspace.database, workspace.settings, "docs") as run:
        from rag_pipelines.sync.stages import advance_source, list_source

        list_source(run)
        for blob in Path(workspace.settings.data_dir, "blobs", "raw").rglob("*.zst"):
            blob.unlink()
        advance_source(run, embedders)
        assert run.report.statuses == {"unreadable": 1}
    assert workspace.ingest().statuses == {"ok": 1}
    assert workspace.rows("SELECT * FROM rag.quarantine") == []


def test_a_changed_chunking_profile_rechunks_without_parsing(workspace: Workspace) -> None:
    workspace.write("long.md", "# Long\n\n" + LONG)
    workspace.ingest()
    workspace.document["profiles"]["chunking"] = {"default": {"max_tokens": 100}}
    report = workspace.ingest()
    assert (report.parsed, report.parse_reused) == (0, 1)
    assert report.embedded > 12


def test_a_changed_model_embeds_again_without_chunking(workspace: Workspace) -> None:
    workspace.write("long.md", "# Long\n\n" + LONG)
    first = workspace.ingest()
    workspace.document["profiles"]["embedding"]["default"] = {"provider": "hash", "dimensions": 64}
    report = workspace.ingest()
    assert (report.parsed, report.chunks, report.embedded) == (0, 0, first.embedded)


def test_two_runs_of_one_source_exclude_each_other(workspace: Workspace) -> None:
    with (
        source_lease(workspace.database, "docs", "filesystem"),
        pytest.raises(UsageError, match=r"is being synced by .* pid"),
    ):
        workspace.ingest()
    workspace.write("a.md", "# A")
    assert workspace.ingest().changes == {"added": 1}


def test_a_run_whose_lease_was_taken_cannot_write(workspace: Workspace) -> None:
    workspace.write("a.md", "# A")
    with source_run(workspace.database, workspace.settings, "docs") as run:
        with psycopg.connect(workspace.url, autocommit=True) as other:
            other.execute("UPDATE rag.source SET lease_token = gen_random_uuid()")
        with pytest.raises(LeaseLostError), run.writing():
            pass


def test_a_plan_says_what_a_run_then_does_and_leaves_nothing_behind(workspace: Workspace) -> None:
    for name in ("stays", "goes", "moves", "changes"):
        workspace.write(f"{name}.md", f"# {name}\n\n" + f"Words about {name}. " * 30)
    workspace.ingest()
    (workspace.docs / "goes.md").unlink()
    (workspace.docs / "moves.md").rename(workspace.docs / "moved.md")
    workspace.write("changes.md", "# changes\n\nOther words.")
    workspace.write("added.md", "# added\n\nNew words.")
    workspace.write("bad.pdf", b"%PDF-1.7\nthis is not a pdf")
    tables = ("document", "parse", "chunk", "chunk_set", "embedding", "quarantine", "run")
    counts = [workspace.rows(f"SELECT count(*) FROM rag.{table}") for table in tables]
    embedders = Embedders(workspace.settings.data_dir)
    plan = plan_source(Runtime(workspace.database, workspace.settings, embedders), "docs")
    assert [workspace.rows(f"SELECT count(*) FROM rag.{table}") for table in tables] == counts
    report = workspace.ingest()
    assert plan.changes == report.changes
    assert plan.changes == {"unchanged": 1, "added": 2, "changed": 1, "moved": 1, "deleted": 1}
    assert plan.statuses == {"ok": 2, "corrupt": 1}
    assert (plan.chunks, plan.tokens) == (report.embedded, report.tokens)


def test_metadata_with_characters_that_postgres_refuses_is_cleaned(workspace: Workspace) -> None:
    records = workspace.folder / "rows.jsonl"
    records.write_text('{"id": "1", "text": "Alpha\\u0000beta", "title": "T\\u0000", "note": "a\\u0000b"}\n')
    workspace.document["sources"]["docs"] = {
        "connector": "records",
        "options": {"path": str(records), "id": "id", "text": "text", "title": "title", "metadata": "*"},
        "access": "public",
    }
    assert workspace.ingest().statuses == {"ok": 1}
    assert workspace.rows("SELECT metadata->>'note' AS note FROM rag.document") == [{"note": "ab"}]


def test_a_source_in_no_index_is_parsed_and_says_so(workspace: Workspace) -> None:
    workspace.document["indexes"] = {}
    workspace.write("a.md", "# A\n\nAlpha.")
    report = workspace.ingest()
    assert (report.statuses, report.chunks) == ({"ok": 1}, 0)
    assert any("no index takes" in note for note in report.notes)


def test_migrating_twice_or_at_once_is_safe(empty_database_url: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as threads:
        applied = list(threads.map(lambda _: Database(empty_database_url).migrate(), range(4)))
    assert sorted(map(len, applied))[-1] >= 1
    assert sum(map(bool, applied)) == 1


def test_the_configuration_file_of_the_workspace_is_what_a_user_would_write(workspace: Workspace) -> None:
    assert yaml.safe_load(workspace.config_file.read_text())["sources"]["docs"]["connector"] == "filesystem"


def test_a_feed_without_deletions_is_followed_only_between_full_listings(
    workspace: Workspace,
) -> None:
    rows = workspace.folder / "rows.csv"
    rows.write_text("id,text,at\n1,Alpha,2024-01-01T00:00:00Z\n2,Beta,2024-01-02T00:00:00Z\n")
    workspace.document["sources"]["docs"] = {
        "connector": "records",
        "options": {"path": str(rows), "id": "id", "text": "text", "modified_at": "at"},
        "access": "public",
        "delete_guard": {"share": 1.0},
    }
    workspace.ingest()
    rows.write_text("id,text,at\n2,Beta,2024-01-02T00:00:00Z\n3,Gamma,2024-01-03T00:00:00Z\n")
    followed = workspace.ingest()
    assert (followed.changes["added"], workspace.stored()) == (1, {"1", "2", "3"})
    workspace.document["sources"]["docs"]["full_listing"] = "0s"
    assert workspace.ingest().changes["deleted"] == 1
    assert workspace.stored() == {"2", "3"}


def test_a_git_source_follows_its_history_with_moves_and_deletions(workspace: Workspace) -> None:
    import subprocess

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        subprocess.run(["git", *identity, *arguments], cwd=workspace.docs, check=True, capture_output=True)

    workspace.document["sources"]["docs"]["connector"] = "git"
    workspace.document["sources"]["docs"]["options"] = {"repository": str(workspace.docs), "ref": "HEAD"}
    git("init", "-q")
    for name in ("a", "b", "c"):
        workspace.write(f"{name}.md", f"# {name}\n\n" + f"Words about {name}. " * 20)
    git("add", ".")
    git("commit", "-qm", "one")
    assert workspace.ingest().changes == {"added": 3}
    git("mv", "a.md", "moved.md")
    git("rm", "-q", "b.md")
    workspace.write("d.md", "# d\n\nNew.")
    git("add", ".")
    git("commit", "-qm", "two")
    report = workspace.ingest()
    assert (report.changes["moved"], report.changes["deleted"], report.changes["added"]) == (1, 1, 1)
    assert report.embedded == 1
    assert workspace.stored() == {"moved.md", "c.md", "d.md"}
    assert workspace.ingest().changes == {}


def test_a_broken_access_file_closes_its_folder_and_does_not_stop_deletions(
    workspace: Workspace,
) -> None:
    workspace.write("a/x.md", "# X\n\nAlpha.")
    workspace.write("b.md", "# B\n\nAlpha.")
    workspace.refresh()
    workspace.write("a/.access.yaml", "allow: {not: a list}\n")
    (workspace.docs / "b.md").unlink()
    report = workspace.ingest()
    assert report.outcome == "complete"
    assert workspace.stored() == {"a/x.md"}
    assert workspace.paths("alpha") == set()
    assert len(workspace.rows("SELECT * FROM rag.quarantine WHERE entity IS NOT NULL")) == 1
    (workspace.docs / "a/.access.yaml").unlink()
    workspace.ingest()
    assert workspace.paths("alpha") == {"a/x.md"}
    assert workspace.rows("SELECT * FROM rag.quarantine") == []


def test_an_edit_that_keeps_size_and_time_of_a_file_is_seen(workspace: Workspace) -> None:
    workspace.write("a.md", "# A\n\nAlpha.")
    os.utime(workspace.docs / "a.md", (1_000_000, 1_000_000))
    workspace.ingest()
    workspace.write("a.md", "# A\n\nOmega.")
    os.utime(workspace.docs / "a.md", (1_000_000, 1_000_000))
    assert workspace.ingest().changes == {"changed": 1}
