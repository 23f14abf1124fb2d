"""Several processes at work on one source: who keeps whom away; together they do what one run does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from rag_pipelines.errors import LeaseLostError, UsageError
from rag_pipelines.retention.contents import Collected
from rag_pipelines.retention.garbage import collect_garbage
from rag_pipelines.retention.purge import Purged
from rag_pipelines.store.lease import source_lease
from rag_pipelines.store.shards import Shard, read_shard, shard_lease
from rag_pipelines.sync import advance
from rag_pipelines.sync.advance import Stage
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

    alone = Workspace(tmp_path_factory.mktemp("alone"), empty_database_url)
    alone.database.migrate()
    for path in listed.docs.iterdir():
        alone.write(path.name, path.read_bytes())
    alone.ingest("docs")
    assert sum(report.statuses["ok"] for report in reports) == 40
    assert [(one.parsed, one.embedded) for one in reports if one.parsed != one.statuses["ok"]] == []
    assert contents(listed) == contents(alone)
    alone.close()


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
