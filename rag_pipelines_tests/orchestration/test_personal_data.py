"""What Dagster keeps of runs over a source that masks."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from rag_pipelines_tests.orchestration.conftest import Shell

VALUES = ("4539988915720591", "lea.vind@superrito.com", "DE89370400440532013000")


def test_masked_text_is_not_in_dagsters_history(shell: Shell, tmp_path: Path):
    (shell.workspace.docs / "letter.md").write_text(
        f"# Complaint of {VALUES[1]}\n\nHer card is {VALUES[0]}, her account {VALUES[2]}.\n", encoding="utf-8"
    )
    shell.workspace.document["profiles"]["privacy"] = {"staff": {"mode": "mask"}}
    shell.workspace.document["sources"]["docs"]["privacy"] = "staff"
    folder = tmp_path / "history"
    folder.mkdir()
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        kept = Shell(shell.workspace, instance)
        result = kept.ingest()
        assert result.success
        chunks = kept.metadata(result, "chunks")["sample_rows"]
        assert kept.run("build_index").success

    assert any("[CARD]" in row["text"] for row in chunks)
    files = [file for file in folder.rglob("*") if file.is_file()]
    held = b"".join(file.read_bytes() for file in files)
    assert b"letter.md" in held, "the history is among the files"
    assert [value for value in VALUES if value.encode() in held] == []
