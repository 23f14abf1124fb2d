"""A purge leaves nothing of a document in any table, version or blob, and its proof finds what is left."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psycopg
import pytest
from typer.testing import CliRunner, Result

from rag_pipelines.cli import main
from rag_pipelines.errors import UsageError
from rag_pipelines.retention.garbage import purge_subject
from rag_pipelines.retention.proof import Mentions, PurgeEvidence, choose_quotes, look
from rag_pipelines.retention.purge import Purged, purge_document
from rag_pipelines.store.blobs import BlobStore
from rag_pipelines.store.lease import source_lease
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.workspace import Workspace

SECRET = "guides/dismissal-of-jane-roe.md"
BOILERPLATE = "This page belongs to the staff handbook and is reviewed twice a year by the people team."
OLD = "Jane Roe was warned about the missing invoices in spring."
AS_KEPT = "OVERRIDING SYSTEM VALUE SELECT * FROM"
NEW = "Jane Roe is dismissed at the end of quetzalcoatlus month."


def fill_gone(workspace: Workspace) -> None:
    """A document with an earlier revision in a retired version, deleted at its source."""
    workspace.write(SECRET, f"# Dismissal\n\n{OLD}\n\n{BOILERPLATE}")
    workspace.write("guides/travel.md", f"# Travel\n\nTrains before planes.\n\n{BOILERPLATE}")
    workspace.refresh()
    workspace.write(SECRET, f"# Dismissal\n\n{NEW}\n\n{BOILERPLATE}")
    workspace.refresh()
    (workspace.docs / SECRET).unlink()
    workspace.ingest()


@pytest.fixture
def gone(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_gone).lend() as lent:
        yield lent


def purge(workspace: Workspace, external_id: str = SECRET, **options: object) -> Purged:
    return purge_document(workspace.database, workspace.settings, "docs", external_id, **options)  # type: ignore[arg-type]


def everything(workspace: Workspace) -> str:
    """Every row of every table as text."""
    tables = workspace.rows("SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'rag'")
    return "\n".join(
        json.dumps(row["line"], ensure_ascii=False)
        for table in tables
        for row in workspace.rows(f"SELECT t::text AS line FROM rag.{table['name']} t")
    )


def test_nothing_is_left_in_any_table_version_or_blob(gone: Workspace) -> None:
    before = everything(gone)
    assert "quetzalcoatlus" in before
    assert "dismissal-of-jane" in before

    purged = purge(gone, reason="request 42 of Jane", verify=True)

    assert purged.proof is not None
    assert purged.proof.left == []
    after = everything(gone)
    for word in ("quetzalcoatlus", "dismissal-of-jane", "Jane Roe", "invoic"):
        assert word not in after
    blobs = BlobStore(gone.settings.blobs_url)
    contents = [blobs.get(kind, digest) for kind in ("raw", "blocks") for digest in blobs.digests(kind)]
    assert len(contents) == 2
    assert not any(b"Jane" in content for content in contents)
    assert gone.paths("trains before planes", mode="lexical") == {"guides/travel.md"}
    assert gone.ingest().changes == {"unchanged": 1}


def test_no_word_of_any_version_leads_to_what_is_gone(gone: Workspace) -> None:
    storages = [row["storage"] for row in gone.rows("SELECT DISTINCT storage FROM rag.index_version")]
    term = gone.rows("SELECT rag.term_id('quetzalcoatlus') AS term")[0]["term"]

    def postings(storage: int) -> list[dict[str, object]]:
        return gone.rows(
            f"SELECT term, slot FROM rag.postings_{storage} p CROSS JOIN "
            "generate_series(0, length(p.entries) / 5 - 1) AS place "
            f"LEFT JOIN rag.vectors_{storage} "
            "ON int4send(slot) = substring(p.entries FROM place * 5 + 1 FOR 4)"
        )

    assert any(one["term"] == term for storage in storages for one in postings(storage))
    purge(gone)
    for storage in storages:
        found = postings(storage)
        assert found
        assert all(one["slot"] is not None and one["term"] != term for one in found)
        assert not gone.rows(f"SELECT FROM rag.terms_{storage} WHERE term = {term}")


def test_a_revision_that_no_version_ever_showed_goes_too(workspace: Workspace) -> None:
    workspace.write(SECRET, f"# Dismissal\n\n{OLD}")
    workspace.ingest()
    workspace.write(SECRET, f"# Dismissal\n\n{NEW}")
    workspace.write("other.md", "# Other")
    workspace.refresh()
    (workspace.docs / SECRET).unlink()
    workspace.ingest()

    purged = purge(workspace, verify=True)

    assert purged.proof is not None
    assert purged.proof.left == []
    assert purged.proof.by["raw"] == purged.proof.by["blocks"] == 2
    assert "invoic" not in everything(workspace)
    assert len(list(BlobStore(workspace.settings.blobs_url).digests("raw"))) == 1


def test_the_audit_says_who_why_and_how_much_and_quotes_nothing(gone: Workspace) -> None:
    purge(gone, reason=f"erase {SECRET}", actor="ann")

    (row,) = gone.rows("SELECT actor, subject, detail FROM rag.audit WHERE action = 'purge'")

    assert (row["actor"], row["subject"]) == ("ann", purge_subject("docs", SECRET))
    assert row["detail"]["removed"]["rows in versions"] == 2
    assert row["detail"]["reason"].startswith("(purged, sha256 ")
    assert {len(digest) for digest in row["detail"]["evidence"]["raw"]} == {64}


def test_the_terms_that_only_this_document_had_are_forgotten(gone: Workspace) -> None:
    found = "SELECT documents FROM rag.terms_{} WHERE term = rag.term_id('quetzalcoatlus')"
    storages = [row["storage"] for row in gone.rows("SELECT DISTINCT storage FROM rag.index_version")]
    assert [len(gone.rows(found.format(storage))) for storage in storages].count(1) == 1

    purge(gone)

    assert all(gone.rows(found.format(storage)) == [] for storage in storages)


def test_what_another_document_shares_is_named_and_stays(workspace: Workspace) -> None:
    workspace.write("copy-of-the-plan.md", f"# Plan\n\n{NEW}")
    workspace.write("plan-of-record.md", f"# Plan\n\n{NEW}")
    workspace.refresh()
    (workspace.docs / "plan-of-record.md").unlink()
    workspace.ingest()

    purged = purge(workspace, "plan-of-record.md", verify=True)

    assert purged.proof is not None
    assert purged.proof.left == []
    shared = {trace.place.partition(" ")[0]: trace.shared_with for trace in purged.proof.traces}
    assert set(shared.values()) == {("docs:copy-of-the-plan.md",)}
    assert {"rag.chunk", "rag.embedding", "rag.parse", "blob"} <= set(shared)
    assert workspace.paths("quetzalcoatlus") == {"copy-of-the-plan.md"}


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("INSERT INTO rag.audit (actor, action, subject) VALUES ('ann', 'restore', 'docs:{id}')", "audit"),
        ("UPDATE rag.index_version SET error = 'saw {id} only' WHERE version_id = 1", "index_version"),
        ("UPDATE rag.gate_result SET detail = '{{\"of\": [\"{id}\"]}}' WHERE gate = 'recall'", "gate_result"),
        ("CREATE TABLE rag.query_log (asked text); INSERT INTO rag.query_log VALUES ('{id}')", "query_log"),
    ],
)
def test_a_mention_in_any_record_is_taken_out(gone: Workspace, statement: str, table: str) -> None:
    with gone.database.connection() as connection:
        connection.execute(statement.format(id=SECRET))

    assert purge(gone).mentions[table] in (1, 2)

    assert SECRET not in everything(gone)


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("INSERT INTO rag.chunk SELECT * FROM kept_chunk ON CONFLICT DO NOTHING", "rag.chunk"),
        (f"INSERT INTO rag.chunk_set {AS_KEPT} kept_set ON CONFLICT DO NOTHING", "rag.chunk_set"),
        (f"INSERT INTO rag.parse {AS_KEPT} kept_parse ON CONFLICT DO NOTHING", "rag.parse"),
        (
            "INSERT INTO rag.embedding SELECT model_id, gen_random_uuid(), embedding FROM kept",
            "rag.embedding",
        ),
        ("INSERT INTO rag.vectors_1 SELECT * FROM kept_vectors ON CONFLICT DO NOTHING", "rag.vectors_1"),
        (
            "INSERT INTO rag.audit (actor, action, subject) VALUES ('a', 'b', 'docs:{id}')",
            "rag.audit.subject",
        ),
    ],
)
def test_the_digests_of_the_audit_find_what_comes_back(gone: Workspace, statement: str, place: str) -> None:
    """As a backup that somebody restores would bring it back."""
    with gone.database.connection() as connection:
        connection.execute(
            "CREATE TABLE kept AS SELECT * FROM rag.embedding;"
            "CREATE TABLE kept_chunk AS SELECT * FROM rag.chunk;"
            "CREATE TABLE kept_set AS SELECT * FROM rag.chunk_set;"
            "CREATE TABLE kept_parse AS SELECT * FROM rag.parse;"
            "CREATE TABLE kept_vectors AS SELECT * FROM rag.vectors_1"
        )
    purge(gone)
    with gone.database.connection() as connection:
        connection.execute(statement.format(id=SECRET))

    (row,) = gone.rows("SELECT detail FROM rag.audit WHERE action = 'purge'")
    evidence = msgspec.convert(row["detail"]["evidence"], PurgeEvidence)
    with gone.database.connect() as connection:
        store = BlobStore(gone.settings.blobs_url)
        proof = look(connection, store, evidence, Mentions("docs", SECRET), whole_blobs=False)

    assert place in {trace.place for trace in proof.left}


def test_a_passage_in_some_blob_is_found(gone: Workspace) -> None:
    store = BlobStore(gone.settings.blobs_url)
    store.put("raw", b"an attachment that says: " + NEW.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BlobStore, "delete", lambda *_: None)
        purged = purge(gone, verify=True)

    assert purged.proof is not None
    left = {(trace.place.partition("/")[0], trace.what) for trace in purged.proof.left}
    assert left == {
        ("blob raw", "its content"),
        ("blob raw", "a passage of it"),
        ("blob blocks", "its content"),
    }


def test_what_is_still_at_its_source_is_refused_unless_one_insists(gone: Workspace) -> None:
    with pytest.raises(UsageError, match="still at its source") as refusal:
        purge(gone, "guides/travel.md")
    assert "--even-if-present" in str(refusal.value)

    purge(gone, "guides/travel.md", even_if_present=True)

    assert gone.stored() == set()
    assert gone.ingest().changes == {"added": 1}


def test_a_purge_can_be_proven_again_by_the_digests_in_the_audit(gone: Workspace) -> None:
    purge(gone, actor="ann")

    again = purge(gone, verify=True)

    assert again.earlier is not None
    assert again.earlier.endswith("by ann")
    assert again.proof is not None
    assert again.proof.left == []
    assert again.proof.by["raw"] == again.proof.by["blocks"] == 2
    with pytest.raises(UsageError, match=r"no document docs:never\.md is stored"):
        purge(gone, "never.md")


def test_the_same_id_of_another_source_is_left_alone(gone: Workspace) -> None:
    notes = gone.folder / "notes"
    (notes / SECRET).parent.mkdir(parents=True)
    (notes / SECRET).write_bytes(b"%PDF-1.7 not really")
    gone.document["sources"]["notes"] = {"connector": "filesystem", "options": {"root": str(notes)}}
    gone.ingest("notes")

    purge(gone)

    assert [row["external_id"] for row in gone.rows("SELECT external_id FROM rag.quarantine")] == [SECRET]
    (run,) = gone.rows(
        "SELECT report FROM rag.run r JOIN rag.source s USING (source_id) WHERE s.name = 'notes'"
    )
    assert run["report"]["samples"]["added"] == [SECRET]


def test_a_rewrite_leaves_no_bytes_in_the_tables_files(gone: Workspace) -> None:
    def files() -> bytes:
        with gone.database.connection() as connection:
            connection.execute("CHECKPOINT")
        paths = gone.rows(
            "SELECT current_setting('data_directory') || '/' || pg_relation_filepath(c.oid) AS path "
            "FROM pg_class c LEFT JOIN pg_class owner ON owner.reltoastrelid = c.oid "
            "WHERE coalesce(owner.relnamespace, c.relnamespace) = 'rag'::regnamespace"
        )
        return b"".join(Path(row["path"]).read_bytes() for row in paths if row["path"])

    assert b"quetzalcoatlus" in files()

    purge(gone, rewrite=True)

    assert b"quetzalcoatlus" not in files()
    assert b"dismissal-of-jane" not in files()


def test_rows_that_an_open_transaction_still_sees_are_left_over_until_it_ends(gone: Workspace) -> None:
    with psycopg.connect(gone.url) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM rag.chunk")
        purged = purge(gone, verify=True)
        reader.rollback()

    assert purged.proof is not None
    assert {trace.what for trace in purged.proof.left} == {"deleted rows not vacuumed"}
    again = purge(gone, verify=True)
    assert again.proof is not None
    assert again.proof.left == []


def test_the_index_entries_of_a_large_table_go_too(gone: Workspace) -> None:
    """A vacuum leaves them where fewer than one page in fifty has some; a vector would stay in its graph."""
    columns = gone.rows(
        "SELECT string_agg(column_name, ', ' ORDER BY ordinal_position) AS stored "
        "FROM information_schema.columns "
        "WHERE table_schema = 'rag' AND table_name = 'document' AND is_generated = 'NEVER'"
    )
    with gone.database.connection() as connection:
        connection.execute(
            "CREATE TEMPORARY TABLE model AS SELECT * FROM rag.document WHERE state = 'present';"
            "ALTER TABLE model DROP COLUMN bucket;"
            f"INSERT INTO rag.document ({columns[0]['stored']}) OVERRIDING SYSTEM VALUE "
            "SELECT (jsonb_populate_record(model, jsonb_build_object('document_id', n, 'external_id', n))).* "
            "FROM model, generate_series(1000, 6000) AS n"
        )

    purged = purge(gone, verify=True)

    assert purged.proof is not None
    assert purged.proof.left == []


def test_a_run_under_way_over_the_same_source_does_not_keep_a_purge_waiting(gone: Workspace) -> None:
    with source_lease(gone.database, "docs", "filesystem"):
        purged = purge(gone, verify=True)
    assert purged.proof is not None
    assert purged.proof.left == []
    assert "Jane Roe" not in everything(gone)


def test_names_count_as_mentions_only_as_a_whole() -> None:
    mentions = Mentions("docs", "guides/a.md", ["https://wiki.example/pages/a"], ["a passage of some length"])
    assert mentions.in_text("guides/a.md")
    assert mentions.in_text("cannot read guides/a.md.")
    assert mentions.in_text("guides/old.md → guides/a.md")
    assert mentions.in_text("docs:guides/a.md")
    assert mentions.in_text("see https://wiki.example/pages/a, please")
    assert mentions.in_text("he wrote: a passage of some length!")
    assert not mentions.in_text("old-guides/a.md")
    assert not mentions.in_text("guides/a.md.bak")
    assert not mentions.in_text("guides/a.mdx")
    short = Mentions("docs", "42")
    assert short.in_text("42")
    assert not short.in_text("42 documents")


def test_records_lose_the_mention_and_keep_the_rest() -> None:
    mentions = Mentions("docs", "guides/a.md")
    report = {
        "samples": {"added": ["guides/a.md", "guides/b.md"]},
        "notes": ["guides/a.md is odd", "fine"],
        "rows": [{"external_id": "guides/a.md", "n": 1}, {"external_id": "guides/b.md", "n": 2}],
        "error": "cannot read guides/a.md",
    }
    assert mentions.without(report, "(purged)") == {
        "samples": {"added": ["guides/b.md"]},
        "notes": ["fine"],
        "rows": [{"external_id": "guides/b.md", "n": 2}],
        "error": "(purged)",
    }


def test_passages_are_pieces_of_lines_long_enough_to_tell() -> None:
    assert choose_quotes(['Short.\nA line that is long enough "to quote" it', "x"]) == [
        "A line that is long enough"
    ]
    assert choose_quotes([]) == []


@pytest.fixture
def call(gone: Workspace) -> Callable[..., Result]:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main.app, ["--config", str(gone.config_file), "purge", *arguments])

    return run


def test_the_command_says_what_it_removed_and_what_it_looked_for(call: Callable[..., Result]) -> None:
    result = call("--document", f"docs:{SECRET}", "--reason", "request 42", "--verify")

    assert result.exit_code == 0
    assert "is purged" in result.stdout
    assert "1 documents" in result.stdout
    assert f"nothing of docs:{SECRET} is left" in result.stdout
    assert "no log of queries is kept" in result.stdout


def test_the_command_fails_when_something_is_left(gone: Workspace, call: Callable[..., Result]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BlobStore, "delete", lambda *_: None)
        result = call("--document", f"docs:{SECRET}", "--verify")

    assert result.exit_code == 1
    assert "LEFT OVER" in result.stdout

    again = call("--document", f"docs:{SECRET}", "--verify", "--json")
    assert again.exit_code == 0
    assert json.loads(again.stdout)[0]["proof"]["traces"] == []


def test_the_command_refuses_what_is_no_document(call: Callable[..., Result]) -> None:
    result = call("--document", "docs")
    assert result.exit_code == 2
    assert "valid: SOURCE:ID" in result.stderr
