"""Versions: built whole, judged by gates, flipped at once, rolled back, collected."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.errors import GateError, LeaseLostError, UsageError
from rag_pipelines.gates.judge import validate_version
from rag_pipelines.index.build import build_index
from rag_pipelines.index.gate_results import REQUIRED_GATES, Gate, gates_of
from rag_pipelines.index.promotion import Override, collect_versions, promote, rollback
from rag_pipelines.index.versions import (
    Version,
    hold_lease,
    index_lock,
    live_version,
    version_by_id,
    versions,
)
from rag_pipelines.runtime import Runtime
from rag_pipelines.sync.advance import Stage
from rag_pipelines.sync.stages import advance_source, list_source, source_run
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.workspace import Workspace


def fill_filled(workspace: Workspace) -> None:
    """Twelve documents, ingested."""
    for n in range(12):
        workspace.write(
            f"{n:02}.md", f"# Doc {n}\n\nAlpha number{n} words.\n\n## More\n\nBeta{n} " + "and so on " * 30
        )
    workspace.ingest()


@pytest.fixture
def filled(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_filled).lend() as lent:
        yield lent


def state_of(workspace: Workspace) -> dict[int, str]:
    with workspace.database.connection() as connection:
        return {version.version_id: version.state for version in versions(connection)}


def test_a_first_build_holds_every_chunk_and_passes_every_gate(filled: Workspace) -> None:
    version = filled.build()
    assert (version.state, version.kind, version.document_count) == ("built", "full", 12)
    assert version.row_count == filled.rows("SELECT count(*) AS n FROM rag.chunk")[0]["n"]
    assert filled.validate(version) == dict.fromkeys(REQUIRED_GATES, True)
    assert promote(filled.database, "main").state == "live"


def test_vectors_are_stored_in_the_row_and_never_toasted(filled: Workspace) -> None:
    filled.document["indexes"]["main"]["vector"] = {"type": "vector"}
    storage = filled.build().storage
    rows = filled.rows(
        "SELECT attstorage::text AS storage FROM pg_attribute WHERE attname = 'embedding' AND attrelid = "
        f"'rag.vectors_{storage}'::regclass"
    )
    assert rows == [{"storage": "p"}]
    assert filled.rows(
        "SELECT coalesce(pg_relation_size(reltoastrelid), 0) AS toasted FROM pg_class "
        f"WHERE oid = 'rag.vectors_{storage}'::regclass"
    ) == [{"toasted": 0}]


def test_promotion_is_refused_with_the_list_of_gates_that_were_not_run(filled: Workspace) -> None:
    filled.build()
    with pytest.raises(GateError) as refused:
        promote(filled.database, "main")
    assert refused.value.reasons == tuple(f"gate {name} has not been run" for name in REQUIRED_GATES)
    assert "live" not in state_of(filled).values()


@pytest.mark.parametrize(
    ("gate", "damage"),
    [
        ("completeness", None),
        (
            "row_parity",
            "UPDATE rag.index_version SET row_count = row_count - 1",
        ),
        ("no_orphans", "DELETE FROM rag.chunk WHERE ordinal = 0 AND chunk_set_id = 1"),
        ("no_orphans", "DELETE FROM rag.lexical_{n} WHERE ordinal = 0"),
        (
            "dimension_and_norm",
            "UPDATE rag.vectors_{n} SET embedding = embedding + embedding",
        ),
        ("vector_index_valid", "DROP INDEX rag.vectors_{n}_embedding_idx"),
    ],
)
def test_a_damaged_version_fails_the_gate_that_looks_for_it(
    filled: Workspace, gate: str, damage: str | None
) -> None:
    if damage is None:
        filled.write("late.md", "# Late\n\nNot embedded yet.")
        with source_run(filled.database, filled.settings, "docs") as run:
            list_source(run)
            advance_source(run, Embedders(filled.settings.data_dir), Stage.CHUNKED)
    version = filled.build()
    if damage is not None:
        with psycopg.connect(filled.url, autocommit=True) as connection:
            connection.execute(damage.format(n=version.storage))  # type: ignore[arg-type]
    assert filled.validate(version)[gate] is False
    with pytest.raises(GateError, match=f"gate {gate} failed"):
        promote(filled.database, "main")


def test_recall_below_its_threshold_stops_promotion(filled: Workspace) -> None:
    for n in range(300):
        filled.write(f"more/{n}.md", f"# More {n}\n\nWords {n}.")
    filled.ingest()
    filled.document["indexes"]["main"] |= {
        "vector": {"m": 2, "ef_construction": 4, "ef_search": 1},
        "gates": {"min_recall": 1.0},
    }
    version = filled.build()
    gates = validate_version(
        Runtime(filled.database, filled.settings, Embedders(filled.settings.data_dir)),
        "main",
        version.version_id,
    )
    recall = next(gate for gate in gates if gate.gate == "recall")
    assert recall.observed is not None
    assert recall.observed < 1.0
    with pytest.raises(GateError, match="gate recall failed"):
        promote(filled.database, "main")


def test_losing_many_chunks_against_the_live_version_stops_promotion(filled: Workspace) -> None:
    filled.document["indexes"]["main"]["gates"]["max_chunk_drop"] = 0.2
    filled.publish()
    for n in range(6):
        (filled.docs / f"{n:02}.md").unlink()
    filled.ingest()
    version = filled.build()
    assert filled.validate(version)["chunk_statistics"] is False
    with pytest.raises(GateError, match="gate chunk_statistics failed"):
        promote(filled.database, "main")
    assert filled.paths("alpha", k=50) == {f"{n:02}.md" for n in range(6, 12)}


def test_a_gate_that_turns_bad_after_validation_still_stops_promotion(filled: Workspace) -> None:
    version = filled.build()
    filled.validate(version)
    with psycopg.connect(filled.url, autocommit=True) as connection:
        connection.execute("UPDATE rag.gate_result SET passed = false WHERE gate = 'recall'")
    with pytest.raises(GateError, match="gate recall failed"):
        promote(filled.database, "main", version.version_id)


def test_a_refresh_catches_up_from_the_retired_version(filled: Workspace) -> None:
    filled.publish()
    filled.publish()
    filled.write("00.md", "# Doc 0\n\nZeta replaced.")
    (filled.docs / "01.md").unlink()
    filled.write("new.md", "# New\n\nEta arrived.")
    filled.ingest()
    version = filled.publish()
    assert version.kind == "catch_up"
    assert filled.paths("zeta", mode="lexical") == {"00.md"}
    assert filled.paths("eta", mode="lexical") == {"new.md"}
    assert filled.paths("number0", mode="lexical") == set()
    fresh = filled.publish(full=True)
    assert fresh.row_count == version.row_count


def test_a_version_that_caught_up_equals_one_built_anew(filled: Workspace) -> None:
    filled.publish()
    filled.publish()
    for n in range(2):
        filled.write(f"{n:02}.md", f"# Doc {n}\n\nRewritten {n} alpha.")
    (filled.docs / "05.md").rename(filled.docs / "moved.md")
    filled.ingest()
    caught_up, anew = filled.build(), filled.build(full=True)
    assert caught_up.kind == "catch_up"

    def content(storage: int) -> list[dict[str, object]]:
        return filled.rows(
            f"SELECT v.document_id, v.ordinal, v.embedding::text, l.words::text FROM rag.vectors_{storage} v "
            f"JOIN rag.lexical_{storage} l USING (document_id, chunk_set_id, ordinal) ORDER BY 1, 2"
        )

    def terms(storage: int) -> list[dict[str, object]]:
        return filled.rows(f"SELECT tenant, term, documents FROM rag.terms_{storage} ORDER BY 1, 2")

    def postings(storage: int) -> list[dict[str, object]]:
        return filled.rows(
            "SELECT p.tenant, p.term, v.document_id, v.ordinal "
            f"FROM rag.postings_{storage} p, generate_series(0, length(p.entries) / 5 - 1) AS place, "
            "LATERAL substring(p.entries FROM place * 5 + 1 FOR 5) AS entry "
            f"LEFT JOIN rag.vectors_{storage} v ON int4send(v.slot) = substring(entry FOR 4) "
            "ORDER BY 1, 2, 3, 4"
        )

    def documents(storage: int) -> list[dict[str, object]]:
        return filled.rows(
            "SELECT document_id, chunk_set_id, embedding::text, "
            "regexp_replace(weights::text, ':[^,}]+', '', 'g') AS terms "
            f"FROM rag.documents_{storage} ORDER BY 1"
        )

    assert content(caught_up.storage) == content(anew.storage)
    assert documents(caught_up.storage) == documents(anew.storage) != []
    assert terms(caught_up.storage) == terms(anew.storage)
    assert postings(caught_up.storage) == postings(anew.storage) != []
    assert not filled.rows(f"SELECT FROM rag.postings_{caught_up.storage} WHERE entries = ''")


def test_a_change_that_commits_late_is_not_missed_by_the_next_catch_up(
    filled: Workspace,
) -> None:
    with psycopg.connect(filled.url) as slow:
        slow.execute(
            "UPDATE rag.document SET changed_xid = pg_current_xact_id(), state = 'tombstoned' "
            "WHERE external_id = '03.md'"
        )
        filled.publish()
        filled.publish()
        slow.commit()
    version = filled.publish()
    assert version.kind == "catch_up"
    assert version.document_count == 11


def test_many_changes_make_a_full_build(filled: Workspace) -> None:
    filled.publish()
    filled.publish()
    for n in range(6):
        filled.write(f"{n:02}.md", f"# Doc {n}\n\nAll new {n}.")
    filled.ingest()
    assert filled.build().kind == "full"


def test_a_graph_of_which_too_much_would_be_dead_is_built_anew(filled: Workspace) -> None:
    """Every refresh changes two documents of twelve, less than `full_build_share`."""
    filled.publish()
    filled.publish()
    most, kinds, dead = filled.settings.index("main").full_build_share, [], 0.0
    while kinds[-1:] != ["full"] and len(kinds) < 8:
        for number in range(2):
            filled.write(f"{number:02}.md", f"# Doc {number}\n\nEdition {len(kinds)}.\n\n## More\n\nBeta.")
        version = filled.refresh()
        kinds.append(version.kind)
        (found,) = filled.rows(
            f"SELECT max(slot) AS made, count(*) AS rows FROM rag.vectors_{version.storage}"
        )
        before, dead = dead, 1 - found["rows"] / found["made"]
    assert kinds[0] == "catch_up"
    assert (kinds[-1], dead) == ("full", 0)
    assert most / 2 < before <= most


def test_a_vacuum_of_postgres_leaves_the_graph_alone(filled: Workspace) -> None:
    storage = filled.build().storage
    (table,) = filled.rows(f"SELECT reloptions FROM pg_class WHERE oid = 'rag.vectors_{storage}'::regclass")
    assert "vacuum_index_cleanup=off" in table["reloptions"]


def test_changed_index_settings_make_a_full_build(filled: Workspace) -> None:
    filled.publish()
    filled.publish()
    filled.document["indexes"]["main"]["lexical"] = {"language": "german"}
    assert filled.build().kind == "full"


def test_nothing_is_built_when_nothing_changed(filled: Workspace) -> None:
    filled.publish()
    embedders = Embedders(filled.settings.data_dir)

    def build() -> object:
        return build_index(Runtime(filled.database, filled.settings, embedders), "main", if_changed=True)

    assert build() is None
    filled.write("new.md", "# New\n\nWords.")
    filled.ingest()
    assert build() is not None


def test_a_rollback_brings_the_version_before_back_without_a_build(filled: Workspace) -> None:
    first = filled.publish()
    filled.write("new.md", "# New\n\nEta arrived.")
    filled.ingest()
    second = filled.publish()
    assert rollback(filled.database, "main").version_id == first.version_id
    assert state_of(filled) == {first.version_id: "live", second.version_id: "retired"}
    assert filled.paths("eta", mode="lexical") == set()
    rollback(filled.database, "main")
    assert filled.paths("eta", mode="lexical") == {"new.md"}


def test_deletions_hold_after_a_rollback_too(filled: Workspace) -> None:
    filled.publish()
    filled.publish()
    (filled.docs / "02.md").unlink()
    filled.ingest()
    rollback(filled.database, "main")
    assert "02.md" not in filled.paths("alpha", k=50)


def test_a_rollback_without_a_retired_version_is_refused(filled: Workspace) -> None:
    filled.publish()
    with pytest.raises(UsageError, match="no retired version is left"):
        rollback(filled.database, "main")


def test_a_reader_of_a_collected_version_finds_the_live_one(filled: Workspace) -> None:
    filled.document["indexes"]["main"]["keep"] = {"versions": 0, "age": "0s"}
    filled.publish()
    assert len(filled.search("alpha", k=50)) > 0
    filled.publish()
    assert collect_versions(filled.database, "main", filled.settings.index("main")) == [1]
    assert {hit.version for hit in filled.search("alpha", k=50)} == {2}


def test_collection_keeps_the_newest_retired_versions_and_drops_the_rest(filled: Workspace) -> None:
    filled.document["indexes"]["main"]["keep"] = {"versions": 1, "age": "0s"}
    for _ in range(4):
        filled.publish(full=True)
    assert collect_versions(filled.database, "main", filled.settings.index("main")) == [1, 2]
    assert state_of(filled) == {1: "dropped", 2: "dropped", 3: "retired", 4: "live"}
    tables = filled.rows("SELECT relname FROM pg_class WHERE relname ~ '^vectors_[0-9]+$' ORDER BY 1")
    assert [row["relname"] for row in tables] == ["vectors_3", "vectors_4"]


def test_collection_spares_young_retired_versions(filled: Workspace) -> None:
    filled.document["indexes"]["main"]["keep"] = {"versions": 0, "age": "1h"}
    filled.publish()
    filled.publish()
    assert collect_versions(filled.database, "main", filled.settings.index("main")) == []


def test_a_build_of_a_killed_process_is_failed_by_the_next_and_its_orphan_cannot_write(
    filled: Workspace,
) -> None:
    filled.publish()
    with index_lock(filled.database, "main") as connection:
        orphan = connection.execute(
            "INSERT INTO rag.index_version (index_name, fingerprint, kind, storage, chunker_id, model_id, "
            "params, required_gates, watermark, lease_token, lease_owner) "
            "SELECT index_name, fingerprint, 'full', 99, chunker_id, model_id, "
            "params, required_gates, watermark, gen_random_uuid(), 'someone' "
            "FROM rag.index_version RETURNING version_id"
        ).fetchone()
    assert orphan is not None
    with filled.database.connection() as connection:
        before = version_by_id(connection, orphan["version_id"])
    assert filled.publish().state == "live"
    assert state_of(filled)[orphan["version_id"]] == "failed"
    with filled.database.transaction() as connection, pytest.raises(LeaseLostError):
        hold_lease(connection, before)


def test_two_builds_of_one_index_exclude_each_other(filled: Workspace) -> None:
    with index_lock(filled.database, "main"), pytest.raises(UsageError, match="being built"):
        filled.build()


def test_an_index_with_nothing_in_it_is_not_built(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match=r"would be empty.*run `rag-pipelines ingest` first"):
        workspace.build()
    assert set(state_of(workspace).values()) == {"failed"}


def test_an_interrupted_full_build_leaves_the_live_version_alone(
    filled: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = filled.publish()

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("rag_pipelines.index.storage.Storage.index_words", interrupted)
        with pytest.raises(KeyboardInterrupt):
            filled.build(full=True)
    with filled.database.connection() as connection:
        now = live_version(connection, "main")
    assert now is not None
    assert now.version_id == live.version_id
    assert state_of(filled)[2] == "failed"
    assert filled.publish(full=True).state == "live"


def test_the_index_speaks_of_its_model_and_refuses_one_that_does_not_fit(
    filled: Workspace, tmp_path: Path
) -> None:
    filled.document["profiles"]["embedding"]["default"] = {"provider": "hash", "dimensions": 3000}
    filled.document["indexes"]["main"]["vector"] = {"type": "vector"}
    with pytest.raises(UsageError, match="3000 dimensions; vector can index at most 2000; use type halfvec"):
        filled.build()


def test_the_golden_set_of_an_index_is_a_gate(filled: Workspace) -> None:
    """A candidate that lost its words is refused with what it lost; another one goes live."""
    golden = filled.folder / "golden.jsonl"
    paths = [row["path"] for row in filled.rows("SELECT path FROM rag.document ORDER BY path")]
    texts = {row["path"]: row["text"] for row in filled.rows(FIRST_TEXTS)}
    rows = [
        {"id": path, "query": texts[path][:200], "expect": [{"path": path}]}
        for path in paths
        if path in texts
    ]
    golden.write_text("\n".join(map(json.dumps, rows)))
    filled.document["indexes"]["main"]["golden"] = "golden.jsonl"
    filled.document["indexes"]["main"]["gates"]["quality"] = {"floors": {"RR@10": 0.1}}
    live = filled.publish()
    assert gates_by_name(filled, live)["quality"].detail["questions"] == len(rows)
    worse = filled.build(full=True)
    no_words = "UPDATE rag.vectors_{} SET weights = '{{}}/1000000000' RETURNING 1"
    filled.rows(no_words.format(worse.storage))
    assert filled.validate(worse)["quality"] is False
    with pytest.raises(GateError, match=r"gate quality failed: .*below the live version's"):
        promote(filled.database, "main", worse.version_id)
    overriding(filled, worse)


FIRST_TEXTS = """
    SELECT DISTINCT ON (d.path) d.path, c.text FROM rag.document d
    JOIN rag.document_chunks USING (document_id) JOIN rag.chunk c USING (chunk_set_id)
    ORDER BY d.path, c.ordinal"""


def gates_by_name(workspace: Workspace, version: Version) -> dict[str, Gate]:
    with workspace.database.connection() as connection:
        return {gate.gate: gate for gate in gates_of(connection, version.version_id)}


def overriding(workspace: Workspace, version: Version) -> None:
    """Overriding asks for a name and a reason, spares no broken version, and is audited."""
    for wrong, message in (
        (Override(["quality"], "", "because"), "needs the name"),
        (Override(["quality"], "ann", " "), "needs the name"),
        (Override(["row_parity"], "ann", "because"), r"row_parity cannot be overridden; valid: .*quality"),
        (Override([], "ann", "because"), "no gate to override was named"),
        (Override(["beauty"], "ann", "because"), "beauty cannot be overridden"),
    ):
        with pytest.raises(UsageError, match=message):
            promote(workspace.database, "main", version.version_id, override=wrong)
    with pytest.raises(GateError, match="gate quality failed"):
        promote(
            workspace.database, "main", version.version_id, override=Override(["recall"], "ann", "because")
        )
    decided = Override(["quality"], "ann@example.com", "the golden set is out of date")
    assert promote(workspace.database, "main", version.version_id, override=decided).state == "live"
    (kept,) = workspace.rows("SELECT actor, detail FROM rag.audit WHERE action = 'override'")
    assert kept["actor"] == "ann@example.com"
    assert kept["detail"]["gates"] == ["quality"]
    assert kept["detail"]["reason"] == "the golden set is out of date"
    assert "below the live version's" in kept["detail"]["refusals"][0]


def restored_into_another_server(workspace: Workspace) -> None:
    """Transaction numbers as a dump brings them from a server that has counted further than this one."""
    workspace.rows("UPDATE rag.document SET changed_xid = '4000000000' RETURNING 1")
    workspace.rows("UPDATE rag.index_version SET watermark = '4000000001' RETURNING 1")


def test_a_catalogue_restored_into_another_server_misses_no_change(filled: Workspace) -> None:
    filled.publish()
    filled.publish(full=True)
    restored_into_another_server(filled)
    filled.write("wader.md", "# Waders\n\nThe avocet sweeps its bill.")
    filled.ingest()

    version = filled.build(if_changed=True)

    assert version.kind == "full"
    filled.validate(version)
    promote(filled.database, "main", version.version_id)
    assert "wader.md" in filled.paths("avocet")
    assert build_index(filled.runtime, "main", if_changed=True) is None, "afterwards it is as any other"
