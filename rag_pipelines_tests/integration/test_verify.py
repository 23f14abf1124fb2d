"""A verification finds every kind of drift between source, catalogue, blobs and index; a repair mends it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rag_pipelines.cli import main
from rag_pipelines.connectors.base import Complete, Failure
from rag_pipelines.connectors.filesystem import FilesystemConnector
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.errors import ForbiddenEntityError, UsageError
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.blobs import BlobStore
from rag_pipelines.store.lease import source_lease
from rag_pipelines.verification.drift import CHECKS, KINDS, Certificate
from rag_pipelines.verification.repair import repair_source
from rag_pipelines.verification.verify import newest_certificates, verify_source
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.workspace import Workspace


def fill_sound(workspace: Workspace) -> None:
    """Four documents, ingested and published."""
    for name in "abcd":
        workspace.write(f"{name}.md", f"# {name.upper()}\n\nThe {name} pump needs oil every month.")
    workspace.refresh()


@pytest.fixture
def sound(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_sound).lend() as lent:
        yield lent


def verify(workspace: Workspace, **options: Any) -> list[Certificate]:
    settings = workspace.settings
    embedders = Embedders(settings.data_dir)
    return verify_source(Runtime(workspace.database, settings, embedders), "docs", **options)


def repair(workspace: Workspace, certificates: list[Certificate], **options: Any) -> list[str]:
    settings = workspace.settings
    embedders = Embedders(settings.data_dir)
    return repair_source(Runtime(workspace.database, settings, embedders), certificates, **options)


def drift(certificates: list[Certificate]) -> dict[str, list[str]]:
    return {one.kind: one.samples for certificate in certificates for one in certificate.drift}


def tamper(workspace: Workspace, statement: str) -> None:
    with workspace.database.connection() as connection:
        connection.execute(statement)


def objects(workspace: Workspace, kind: str) -> list[Path]:
    return sorted(Path(workspace.settings.data_dir, "blobs", kind).rglob("*.zst"))


def test_a_sound_source_is_certified_complete(sound: Workspace) -> None:
    catalogue, version = verify(sound)

    assert catalogue.complete
    assert version.complete
    stages = ("listed", "stored", "parsed", "chunked", "embedded", "chunks", "vectors")
    assert [catalogue.counts[stage] for stage in stages] == [4] * 7
    assert (version.index, version.counts["indexed"], version.counts["rows"]) == ("main", 4, 4)
    assert sound.rows("SELECT complete, drift FROM rag.certificate ORDER BY 1") == [
        {"complete": True, "drift": []},
        {"complete": True, "drift": []},
    ]
    with sound.database.connection() as connection:
        stored = newest_certificates(connection, "docs")
    assert [(one.index, one.version, one.complete) for one in stored] == [
        (None, None, True),
        ("main", version.version, True),
    ]


def test_what_the_source_holds_and_we_do_not_and_the_other_way_round(sound: Workspace) -> None:
    sound.write("new.md", "# New\n\nNews.")
    (sound.docs / "a.md").unlink()

    found = verify(sound)

    assert drift(found) == {"not_stored": ["new.md"], "gone": ["a.md"]}
    assert sound.stored() == {"a.md", "b.md", "c.md", "d.md"}, "looking changes nothing"
    repair(sound, found)
    assert drift(verify(sound)) == {}
    assert sound.paths("pump news", k=9) == {"b.md", "c.md", "d.md", "new.md"}


def test_what_failed_is_in_quarantine_and_no_drift(sound: Workspace) -> None:
    sound.write("torn.pdf", b"%PDF-1.7 torn")
    sound.refresh()

    catalogue, _ = verify(sound)

    assert catalogue.complete
    assert (catalogue.counts["stored"], catalogue.counts["quarantined"]) == (5, 1)
    assert catalogue.counts["readable"] == 4


def test_an_incomplete_listing_says_nothing_of_what_is_gone(
    sound: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ids(self: FilesystemConnector) -> Iterator[str | Failure | Complete]:
        yield "a.md"
        yield "other.md"
        yield Failure(error=ForbiddenEntityError("closed"), entity="folder")
        yield Complete(count=2)

    monkeypatch.setattr(FilesystemConnector, "ids", ids)

    assert drift(verify(sound)) == {"listing": ["folder"], "not_stored": ["other.md"]}


def test_deletions_that_wait_for_a_person_are_no_matter_of_a_repair(sound: Workspace) -> None:
    sound.document["sources"]["docs"]["delete_guard"] = {"share": 0.1, "documents": 1}
    for name in "abc":
        (sound.docs / f"{name}.md").unlink()
    sound.ingest()

    found = verify(sound)

    assert drift(found) == {"parked": ["a.md", "b.md", "c.md"]}
    assert found[0].advice(found[0].drift[0]) == "rag-pipelines deletes list"
    assert repair(sound, found) == []
    assert drift(verify(sound)) == {"parked": ["a.md", "b.md", "c.md"]}


LOSSES = {
    "chunks_lost": "DELETE FROM rag.chunk WHERE text LIKE '%b pump%'",
    "vectors_lost": "DELETE FROM rag.embedding WHERE input_key IN "
    "(SELECT input_key FROM rag.chunk WHERE text LIKE '%b pump%')",
    "not_embedded": "DELETE FROM rag.chunk_set_embedded WHERE chunk_set_id IN "
    "(SELECT chunk_set_id FROM rag.chunk WHERE text LIKE '%b pump%')",
    "not_chunked": "DELETE FROM rag.document_chunks dc USING rag.document d "
    "WHERE d.document_id = dc.document_id AND external_id = 'b.md'",
    "not_parsed": "DELETE FROM rag.parse p USING rag.document d "
    "WHERE d.parse_id = p.parse_id AND external_id = 'b.md'",
}


@pytest.mark.parametrize("kind", LOSSES)
def test_what_the_catalogue_lost_is_named_and_made_again(sound: Workspace, kind: str) -> None:
    tamper(sound, LOSSES[kind])

    found = verify(sound)

    assert drift(found[:1]) == {kind: ["b.md"]}
    repair(sound, found)
    after = verify(sound)
    assert drift(after) == {}
    assert [after[0].counts[stage] for stage in ("chunks", "vectors")] == [4, 4]
    assert after[1].counts["rows"] == 4
    assert sound.paths("b pump", mode="lexical", k=9) >= {"b.md"}


@pytest.mark.parametrize(("kind", "lost"), [("raw", "bytes_lost"), ("blocks", "blocks_lost")])
@pytest.mark.parametrize("damage", ["missing", "damaged"])
def test_lost_and_damaged_objects_are_loaded_or_parsed_again(
    sound: Workspace, kind: str, lost: str, damage: str
) -> None:
    victim = objects(sound, kind)[0]
    size = victim.stat().st_size
    deep = damage == "damaged"
    if deep:
        victim.write_bytes(b"\x00" * size)
        assert drift(verify(sound)) == {}, "there, but nobody has looked inside"
    else:
        victim.unlink()

    found = verify(sound, deep=deep)

    assert list(drift(found)) == [lost]
    assert found[0].drift[0].documents == 1
    repair(sound, found, deep=deep)
    assert drift(verify(sound, deep=True)) == {}
    assert len(objects(sound, kind)) == 4
    assert victim.stat().st_size == size


FAULTS = {
    "not_indexed": "DELETE FROM {vectors} WHERE {which}; DELETE FROM {words} WHERE {which}",
    "vector_rows": "DELETE FROM {vectors} WHERE {which} AND ordinal = 1",
    "word_rows": "DELETE FROM {words} WHERE {which} AND ordinal = 0",
    "surplus": "INSERT INTO {vectors} (document_id, chunk_set_id, ordinal, embedding, weights) "
    "SELECT document_id, 7, ordinal, embedding, weights FROM {vectors} WHERE {which}",
    "stray": "INSERT INTO {vectors} (document_id, chunk_set_id, ordinal, embedding, weights) "
    "SELECT 99, chunk_set_id, ordinal, embedding, weights FROM {vectors} LIMIT 1",
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_of_the_live_version_is_found_chunk_by_chunk_and_mended_by_a_full_build(
    sound: Workspace, kind: str
) -> None:
    sound.write(
        "b.md", "# B\n\n" + "\n\n".join(f"## Part {n}\n\n" + f"Pump {n} needs oil. " * 60 for n in range(6))
    )
    sound.ingest()
    sound.publish(full=True)
    storage = sound.rows("SELECT storage FROM rag.index_version WHERE state = 'live'")[0]["storage"]
    number = sound.rows("SELECT document_id FROM rag.document WHERE external_id = 'b.md'")[0]["document_id"]
    tables = {"vectors": f"rag.vectors_{storage}", "words": f"rag.lexical_{storage}"}
    tamper(sound, FAULTS[kind].format(which=f"document_id = {number}", **tables))

    found = verify(sound)

    assert drift(found) == {kind: ["document 99" if kind == "stray" else "b.md"]}
    assert found[1].advice(found[1].drift[0]) == "rag-pipelines index build main --full"
    (line,) = repair(sound, found)
    assert "is live, built in full" in line
    assert drift(verify(sound)) == {}


def test_what_changed_since_the_build_is_behind_and_no_fault(sound: Workspace) -> None:
    sound.write("b.md", "# B\n\nNow the b pump needs water.")
    sound.ingest()

    found = verify(sound)

    assert drift(found) == {"behind": ["b.md"]}
    assert found[1].advice(found[1].drift[0]) == "rag-pipelines index build main"
    repair(sound, found)
    assert drift(verify(sound)) == {}
    assert sound.paths("water", mode="lexical") == {"b.md"}


def test_an_index_without_a_live_version_is_built(workspace: Workspace) -> None:
    workspace.write("a.md", "# A\n\nAlpha.")
    workspace.ingest()

    found = verify(workspace)

    assert drift(found) == {"no_version": ["main"]}
    repair(workspace, found)
    assert drift(verify(workspace)) == {}
    assert workspace.paths("alpha") == {"a.md"}


def test_a_repair_goes_through_the_gates(sound: Workspace) -> None:
    tamper(sound, "DELETE FROM rag.vectors_1 WHERE document_id = 2")
    sound.document["indexes"]["main"]["gates"] = {
        "min_recall": 0.5,
        "max_chunk_drop": 1.0,
        "norm_tolerance": 1e-12,
    }
    tamper(sound, "UPDATE rag.embedding SET embedding = embedding * (embedding + embedding)")

    (line,) = repair(sound, verify(sound))

    assert "may not go live" in line
    assert "word_rows" in drift(verify(sound)) or "not_indexed" in drift(verify(sound))


def test_access_that_was_read_too_long_ago_is_drift(
    sound: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    tamper(sound, "UPDATE rag.source SET listed_at = now() - interval '3 days'")

    (found, _) = verify(sound)

    assert [(one.kind, one.documents, one.samples) for one in found.drift] == [
        ("access", 4, ["the last full listing"])
    ]
    assert found.counts["listing_age_s"] == pytest.approx(3 * 86_400, abs=60)
    repair(sound, [found])
    assert drift(verify(sound)) == {}


def test_a_source_that_was_never_ingested_is_all_drift(workspace: Workspace) -> None:
    workspace.write("a.md", "# A\n\nAlpha.")

    (found,) = verify(workspace)

    assert drift([found]) == {"not_stored": ["a.md"]}
    assert found.counts["listing_age_s"] is None


def test_a_verification_and_a_run_exclude_each_other(sound: Workspace) -> None:
    with (
        source_lease(sound.database, "docs", "filesystem"),
        pytest.raises(UsageError, match="is being synced"),
    ):
        verify(sound)


def test_every_kind_of_drift_belongs_to_a_check() -> None:
    assert {kind.check for kind in KINDS.values()} == set(CHECKS)


@pytest.fixture
def call(sound: Workspace) -> Callable[..., Result]:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main.app, ["--config", str(sound.config_file), "verify", *arguments])

    return run


def test_the_command_says_what_drifted_what_to_do_and_mends_it(
    sound: Workspace, call: Callable[..., Result]
) -> None:
    assert call().exit_code == 0
    assert "docs is complete" in call().stdout
    (sound.docs / "a.md").unlink()
    BlobStore(sound.settings.blobs_url).delete("raw", bytes.fromhex(objects(sound, "raw")[1].name[:64]))

    result = call("docs")
    assert result.exit_code == 3
    assert "rag-pipelines ingest docs" in result.stdout
    assert "rag-pipelines verify docs --repair" in result.stdout

    mended = call("--repair", "--json")
    assert mended.exit_code == 0
    found = json.loads(mended.stdout)["docs"]
    assert found["complete"] is True
    assert any("1 deleted" in line for line in found["repaired"])
    assert [one["drift"] for one in found["certificates"]] == [[], []]
