"""Several processes at work on one source: who keeps whom away; together they do what one run does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from typer.testing import Result

from rag_pipelines.cli.invocation import ExitCode
from rag_pipelines.errors import LeaseLostError, UsageError
from rag_pipelines.retention.contents import Collected
from rag_pipelines.retention.garbage import collect_garbage
from rag_pipelines.retention.purge import Purged, purge_document
from rag_pipelines.store.lease import source_lease
from rag_pipelines.store.shards import Shard, read_shard, shard_lease
from rag_pipelines.sync import advance
from rag_pipelines.sync import wanted as wanted_module
from rag_pipelines.sync.advance import Stage
from rag_pipelines.sync.report import SyncReport
from rag_pipelines.sync.scope import Scope
from rag_pipelines.sync.shards import record_shards, shard_run, work_shard
from rag_pipelines.sync.stages import advance_source, list_source, source_run
from rag_pipelines_tests.integration.histories import NEW, SECRET, WORDS, check_whole, fill_world
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.test_purge import everything
from rag_pipelines_tests.integration.test_purge_beside import At, before, purge
from rag_pipelines_tests.integration.workspace import Workspace


@pytest.fixture
def world(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_world).lend() as lent:
        yield lent


def list_beside_shards(workspace: Workspace) -> None:
    with source_run(workspace.database, workspace.settings, "docs", beside_shards=True) as run:
        list_source(run)


@pytest.fixture
def listed(workspace: Workspace) -> Workspace:
    for n in range(40):
        workspace.write(f"{n:02}.md", f"# Page {n}\n\nText of page {n}.\n\nWhat all of them say.")
    list_beside_shards(workspace)
    return workspace


def states(workspace: Workspace) -> dict[int, set[str]]:
    """The states of processing in each bucket."""
    found: dict[int, set[str]] = {}
    for row in workspace.rows("SELECT bucket, status FROM rag.document"):
        found.setdefault(row["bucket"], set()).add(row["status"])
    return found


def test_a_shard_brings_its_buckets_forward_and_no_other(listed: Workspace) -> None:
    report = work_shard(listed.runtime, "docs", Shard(1, 3))

    done = {bucket for bucket, statuses in states(listed).items() if statuses == {"ok"}}
    assert done == {bucket for bucket in states(listed) if bucket % 3 == 1}
    assert 0 < report.statuses["ok"] < 40


def test_shards_together_do_what_one_run_does(
    listed: Workspace, empty_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    reports = [work_shard(listed.runtime, "docs", Shard(index, 4)) for index in range(4)]

    assert sum(report.statuses["ok"] for report in reports) == 40
    assert [(one.parsed, one.embedded) for one in reports if one.parsed != one.statuses["ok"]] == []
    with other_workspace(listed, empty_database_url, tmp_path_factory) as alone:
        alone.ingest("docs")
        assert contents(listed) == contents(alone)


def contents(workspace: Workspace) -> list[dict]:
    return workspace.rows(
        "SELECT d.external_id, d.status, d.state, c.ordinal, c.text, e.embedding::text FROM rag.document d "
        "JOIN rag.document_chunks USING (document_id) JOIN rag.chunk c USING (chunk_set_id) "
        "JOIN rag.embedding e USING (input_key) ORDER BY 1, 4"
    )


def test_what_shards_did_stands_in_the_report_of_the_sources_newest_run(listed: Workspace) -> None:
    for index in range(2):
        record_shards(listed.database, "docs", [work_shard(listed.runtime, "docs", Shard(index, 2))])

    (row,) = listed.rows("SELECT outcome, report FROM rag.run")
    assert row["outcome"] == "complete"
    assert row["report"]["statuses"] == {"ok": 40}
    assert row["report"]["listed"] == 40
    assert row["report"]["parsed"] == 40


def test_stages_that_shards_did_apart_count_a_document_once(listed: Workspace) -> None:
    for stage in Stage:
        done = [work_shard(listed.runtime, "docs", Shard(i, 2), through=stage) for i in range(2)]
        record_shards(listed.database, "docs", done, stage=True)

    (row,) = listed.rows("SELECT report FROM rag.run")
    assert row["report"]["statuses"]["ok"] == 40


def test_what_shards_add_while_a_listing_is_under_way_is_kept_when_it_ends(listed: Workspace) -> None:
    with source_run(listed.database, listed.settings, "docs", beside_shards=True) as run:
        list_source(run)
        record_shards(listed.database, "docs", [work_shard(listed.runtime, "docs", Shard(0, 1))])

    row = listed.rows("SELECT report FROM rag.run ORDER BY run_id DESC")[0]
    assert row["report"]["statuses"] == {"ok": 40}
    assert row["report"]["listed"] == 40


@pytest.mark.parametrize(
    ("held", "wanted", "excluded"),
    [
        (Shard(3, 16), Shard(3, 16), True),
        (Shard(3, 16), Shard(4, 16), False),
        (Shard(3, 16), Shard(3, 8), True),
        (Shard(3, 16), Shard(2, 8), False),
        (Shard(2, 3), Shard(1, 2), True),
        (Shard(0, 1), Shard(63, 64), True),
    ],
    ids=str,
)
def test_shards_with_a_bucket_in_common_exclude_each_other(
    workspace: Workspace, held: Shard, wanted: Shard, excluded: bool
) -> None:
    with ExitStack() as stack:
        stack.enter_context(shard_lease(workspace.database, "docs", "filesystem", held))
        if excluded:
            stack.enter_context(pytest.raises(UsageError, match=rf"{held} by .* pid \d+ since 20"))
        stack.enter_context(shard_lease(workspace.database, "docs", "filesystem", wanted))


def test_a_run_over_a_whole_source_and_its_shards_exclude_each_other(workspace: Workspace) -> None:
    database = workspace.database
    with (
        source_lease(database, "docs", "filesystem"),
        pytest.raises(UsageError, match="a run works on the whole source"),
        shard_lease(database, "docs", "filesystem", Shard(0, 2)),
    ):
        pass
    with (
        shard_lease(database, "docs", "filesystem", Shard(0, 2)),
        pytest.raises(UsageError, match=r"shards of source 'docs' are at work \(0/2 by .* since 20"),
        source_lease(database, "docs", "filesystem"),
    ):
        pass


def test_a_listing_beside_shards_excludes_only_another_listing(workspace: Workspace) -> None:
    database = workspace.database
    with (
        source_lease(database, "docs", "filesystem", beside_shards=True),
        shard_lease(database, "docs", "filesystem", Shard(0, 2)),
        pytest.raises(UsageError, match="is being synced by"),
        source_lease(database, "docs", "filesystem", beside_shards=True),
    ):
        pass


def test_whoever_lost_a_shard_writes_nothing_more(listed: Workspace) -> None:
    with shard_run(listed.database, listed.settings, "docs", Shard(1, 2)) as run:
        run.connection.execute("SELECT pg_advisory_unlock_all()")
        with shard_lease(listed.database, "docs", "filesystem", Shard(3, 4)), pytest.raises(LeaseLostError):
            advance_source(run, listed.runtime.embedders)

    assert set().union(*states(listed).values()) == {"pending"}


@pytest.mark.parametrize("text", ["3", "a/4", "4/4", "0/0", "-1/4", "1/65", "1/2/3"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"valid: I/N"):
        read_shard(text)


def test_a_document_that_a_listing_is_changing_is_passed_over_and_not_lost(listed: Workspace) -> None:
    with listed.database.connect() as other, other.transaction():
        other.execute("UPDATE rag.document SET author = 'somebody' WHERE external_id = '07.md'")
        report = work_shard(listed.runtime, "docs", Shard(0, 1))
        assert listed.rows("SELECT external_id FROM rag.document WHERE status = 'pending'") == [
            {"external_id": "07.md"}
        ]
    work_shard(listed.runtime, "docs", Shard(0, 1))

    assert report.sound
    assert listed.rows("SELECT 1 FROM rag.document WHERE status = 'pending'") == []


@pytest.mark.parametrize("stage", ["prepare", "embed"])
def test_a_shard_does_not_bring_back_what_is_purged_beside_it(world: Workspace, stage: str) -> None:
    world.write(SECRET, NEW.replace("leaves", "is asked to leave"))
    list_beside_shards(world)
    at = At(stage, lambda: purge(world))
    work_shard(world.runtime, "docs", Shard(0, 1), progress=at)

    assert isinstance(at.result, Purged)
    assert at.result.proof is not None
    assert at.result.proof.left == []
    assert any("a run over source docs is under way" in one for one in at.result.proof.waiting)
    assert [word for word in WORDS if word in everything(world)] == []


def test_a_listing_that_began_after_a_shard_does_not_make_it_forget_a_purge(
    world: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write(SECRET, NEW.replace("leaves", "is asked to leave"))
    list_beside_shards(world)

    def purge_and_list() -> Purged:
        purged = purge(world)
        (world.docs / SECRET).unlink()
        list_beside_shards(world)
        return purged

    results = before(monkeypatch, advance, "commit", purge_and_list)
    work_shard(world.runtime, "docs", Shard(0, 1))

    assert isinstance(results[0], Purged)
    assert [word for word in WORDS if word in everything(world)] == []


def test_a_collection_leaves_the_vectors_that_a_shard_has_not_referred_to_yet(
    world: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write("a.md", "# A\n\nAlpha that nobody has embedded yet.")
    list_beside_shards(world)
    collected = before(
        monkeypatch, advance, "commit", lambda: collect_garbage(world.database, world.settings)
    )

    report = work_shard(world.runtime, "docs", Shard(0, 1))

    assert isinstance(collected[0], Collected)
    assert collected[0].vectors == 0
    assert report.statuses == {"ok": 1}
    assert report.sound
    check_whole(world)


def list_only(workspace: Workspace, scope: Scope = Scope()) -> SyncReport:
    with source_run(workspace.database, workspace.settings, "docs", beside_shards=True) as run:
        list_source(run, scope, defer=True)
    return run.report


@pytest.fixture
def wanted(workspace: Workspace) -> Workspace:
    for n in range(40):
        workspace.write(f"{n:02}.md", f"# Page {n}\n\nText of page {n}.\n\nWhat all of them say.")
    list_only(workspace)
    return workspace


def waiting(workspace: Workspace) -> set[str]:
    return {row["external_id"] for row in workspace.rows("SELECT external_id FROM rag.wanted")}


def test_a_listing_that_loads_nothing_writes_down_what_is_wanted_and_where_it_stands(
    wanted: Workspace,
) -> None:
    assert len(waiting(wanted)) == 40
    assert wanted.rows("SELECT 1 FROM rag.document") == []
    (source,) = wanted.rows("SELECT listed_at FROM rag.source")
    assert source["listed_at"] is not None
    (run,) = wanted.rows("SELECT report FROM rag.run")
    assert (run["report"]["listed"], run["report"]["wanted"], run["report"]["bytes_loaded"]) == (40, 40, 0)


def test_shards_load_what_is_wanted_of_their_buckets(
    wanted: Workspace, empty_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    first = work_shard(wanted.runtime, "docs", Shard(0, 2))
    assert 0 < first.changes["added"] == 40 - len(waiting(wanted)) < 40
    assert first.samples == {}
    second = work_shard(wanted.runtime, "docs", Shard(1, 2))

    assert waiting(wanted) == set()
    assert first.changes["added"] + second.changes["added"] == 40
    with other_workspace(wanted, empty_database_url, tmp_path_factory) as alone:
        alone.ingest("docs")
        assert contents(wanted) == contents(alone)
        assert described(wanted) == described(alone)


def described(workspace: Workspace) -> list[dict]:
    """What the listing said of documents; files of two folders differ in their times."""
    return workspace.rows(
        "SELECT external_id, tenant, name, path, hint, given_title, author, declared_type, metadata, "
        "access_id, raw_sha256, raw_bytes FROM rag.document ORDER BY 1"
    )


@contextmanager
def other_workspace(
    like: Workspace, url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workspace]:
    made = Workspace(tmp_path_factory.mktemp("alone"), url)
    made.database.migrate()
    for path in like.docs.iterdir():
        made.write(path.name, path.read_bytes())
    yield made
    made.close()


def test_the_next_run_loads_what_no_shard_has_loaded(wanted: Workspace) -> None:
    report = wanted.ingest("docs")

    assert waiting(wanted) == set()
    assert report.changes["added"] == 40


def test_what_was_wanted_and_is_gone_or_as_it_was_is_wanted_no_more(wanted: Workspace) -> None:
    wanted.ingest("docs")
    kept = (wanted.docs / "01.md").read_bytes()
    wanted.write("00.md", "# Changed")
    wanted.write("new.md", "# New")
    list_only(wanted)
    assert waiting(wanted) == {"00.md", "new.md"}
    (wanted.docs / "new.md").unlink()
    wanted.write("01.md", kept + b"!")
    list_only(wanted)

    assert waiting(wanted) == {"00.md", "01.md"}


def test_a_document_that_cannot_be_loaded_is_quarantined_and_tried_again_when_it_is_listed(
    wanted: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (wanted.docs / "07.md").unlink()
    report = work_shard(wanted.runtime, "docs", Shard(0, 1))

    assert report.changes == {"added": 39, "failed": 1}
    assert waiting(wanted) == set()
    (row,) = wanted.rows("SELECT external_id, stage FROM rag.quarantine")
    assert row == {"external_id": "07.md", "stage": "fetch"}
    wanted.write("07.md", "# Back")
    list_only(wanted)
    assert waiting(wanted) == {"07.md"}


def test_what_is_listed_otherwise_while_it_is_loaded_is_loaded_again_as_it_is_listed_now(
    wanted: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = wanted.rows("SELECT external_id FROM rag.wanted ORDER BY bucket, external_id LIMIT 1")

    def change_and_list() -> None:
        wanted.write(first["external_id"], "# A page of a later day")
        list_only(wanted)

    before(monkeypatch, wanted_module._WantedLoading, "_claim", change_and_list)
    report = work_shard(wanted.runtime, "docs", Shard(0, 1))

    assert report.sound
    assert waiting(wanted) == set()
    texts = wanted.rows(
        "SELECT c.text FROM rag.document d JOIN rag.document_chunks USING (document_id) "
        f"JOIN rag.chunk c USING (chunk_set_id) WHERE external_id = '{first['external_id']}'"
    )
    assert "later day" in str(texts)
    assert wanted.rows("SELECT 1 FROM rag.document_former") == []


def test_a_purge_of_what_is_only_wanted_leaves_nothing_of_it(wanted: Workspace) -> None:
    with pytest.raises(UsageError, match="not loaded yet"):
        purge_document(wanted.database, wanted.settings, "docs", "07.md")
    purged = purge_document(
        wanted.database, wanted.settings, "docs", "07.md", even_if_present=True, verify=True
    )

    assert purged.proof is not None
    assert purged.proof.left == []
    assert "07.md" not in waiting(wanted)


def test_an_access_rule_that_only_wanted_documents_name_is_not_collected(wanted: Workspace) -> None:
    for _ in range(2):
        collect_garbage(wanted.database, wanted.settings)

    assert work_shard(wanted.runtime, "docs", Shard(0, 1)).sound


def test_the_command_works_off_one_part_of_what_a_listing_left(
    wanted: Workspace, call: Callable[..., Result]
) -> None:
    listed = call("ingest", "docs", "--list-only")
    first = call("work", "docs", "--shard", "0/2")
    second = call("work", "docs", "--shard", "1/2", "--json")

    assert listed.exit_code == first.exit_code == second.exit_code == ExitCode.OK
    assert "to load  40, by `rag-pipelines work docs`" in listed.stdout
    assert first.stdout.startswith("docs 0/2: ")
    assert json.loads(second.stdout)["shard"] == "1/2"
    assert {bucket % 2 for bucket in states(wanted)} == {0, 1}
    assert set().union(*states(wanted).values()) == {"ok"}
    assert call("work", "docs").stdout.endswith("nothing to do\n")


def test_the_command_refuses_what_is_no_part_and_a_part_that_is_taken(
    workspace: Workspace, call: Callable[..., Result]
) -> None:
    refused = call("work", "docs", "--shard", "16/16")
    with shard_lease(workspace.database, "docs", "filesystem", Shard(3, 16)):
        taken = call("work", "docs", "--shard", "1/2")
        status = json.loads(call("status", "--json").stdout)
        whole = call("ingest", "docs")

    assert "there is no shard 16/16; valid: I/N with N from 1 to 64" in refused.stderr
    assert "shard 1/2 of source 'docs' is busy, its buckets are worked on (3/16 by" in taken.stderr
    assert "shards of source 'docs' are at work (3/16 by" in whole.stderr
    assert {refused.exit_code, taken.exit_code, whole.exit_code} == {ExitCode.USAGE}
    assert [one["shard"] for one in status["sources"][0]["shards"]] == ["3/16"]


def test_status_says_how_much_is_still_to_load(wanted: Workspace, call: Callable[..., Result]) -> None:
    assert json.loads(call("status", "--json").stdout)["sources"][0]["to_load"] == 40
    assert "docs: 40 listed documents still to load" in call("status").stderr
