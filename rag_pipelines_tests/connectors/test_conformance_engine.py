"""The promises that every connector keeps together with the engine: what is stored, and what a search sees.

What belongs here: what needs a sync. What does not: what a connector says by itself
(`test_conformance`), and the engine apart from connectors (the integration tests).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from rag_pipelines.errors import CredentialError, EmptyListingError, TransientError, UnlistableError
from rag_pipelines_tests.connectors.conformance import GROUP, Case, World, declares, seed
from rag_pipelines_tests.connectors.pipeline import Killed, Pipeline


class Edits:
    """Changes in the middle of the next listing; `made` tells that they were made."""

    def __init__(self, world: World, action: Callable[[], None]) -> None:
        self.made = False
        self._action = action
        world.during_listing(self._make)

    def _make(self) -> None:
        self._action()
        self.made = True


@pytest.mark.case(Case.CREATE)
def test_a_new_document_is_found(world: World, pipeline: Pipeline) -> None:
    seed(world)
    pipeline.sync()
    world.put("legal/privacy.md", "Cookies are refused.")
    report = pipeline.sync()
    assert report.changes["added"] == 1
    assert pipeline.held() == world.expected()
    assert pipeline.seen("cookies") == {world.id_of("legal/privacy.md")}


@pytest.mark.case(Case.EDIT)
def test_an_edited_document_is_found_by_its_new_words_only(world: World, pipeline: Pipeline) -> None:
    seed(world)
    pipeline.sync()
    world.put("handbook/leave.md", "Forty days of leave!!")
    report = pipeline.sync()
    assert report.changes["changed"] == 1
    assert pipeline.held() == world.expected()
    assert pipeline.seen("forty") == {world.id_of("handbook/leave.md")}
    assert pipeline.seen("thirty") == set()


@pytest.mark.case(Case.EDIT)
def test_an_edit_is_found_by_following_the_changes(world: World, pipeline: Pipeline) -> None:
    declares(world, "changes")
    pipeline.listing_in_full_rarely()
    seed(world)
    pipeline.ingest()
    world.put("handbook/leave.md", "Forty days of leave!!")
    world.put("legal/privacy.md", "Cookies are refused.")
    report = pipeline.ingest()
    assert pipeline.held() == world.expected()
    assert (report.changes["changed"], report.changes["added"]) == (1, 1)


@pytest.mark.parametrize(
    "place",
    [
        pytest.param("handbook/holidays.md", marks=pytest.mark.case(Case.RENAME), id="rename"),
        pytest.param("legal/leave.md", marks=pytest.mark.case(Case.MOVE), id="move"),
    ],
)
def test_a_document_at_another_place_is_the_same_document(
    world: World, pipeline: Pipeline, place: str
) -> None:
    seed(world)
    pipeline.sync()
    before = pipeline.identities()[world.id_of("handbook/leave.md")]
    world.rename("handbook/leave.md", place)
    report = pipeline.sync()
    assert not {"added", "deleted"} & report.changes.keys()
    assert pipeline.identities()[world.id_of(place)] == before
    assert pipeline.held() == world.expected()
    assert pipeline.seen("thirty") == {world.id_of(place)}


@pytest.mark.case(Case.DELETE)
def test_a_deleted_document_is_hidden_from_the_next_query(world: World, pipeline: Pipeline) -> None:
    seed(world)
    pipeline.sync()
    world.delete("handbook/leave.md")
    pipeline.ingest()
    assert pipeline.held() == world.expected()
    assert pipeline.seen("thirty") == set()
    assert pipeline.seen("train") == {world.id_of("handbook/travel.md")}


@pytest.mark.case(Case.RESTORE)
def test_a_restored_document_is_found_again_and_nothing_is_computed(world: World, pipeline: Pipeline) -> None:
    seed(world)
    pipeline.sync()
    world.delete("handbook/leave.md")
    pipeline.ingest()
    world.restore("handbook/leave.md", "Thirty days of leave.")
    report = pipeline.ingest()
    assert pipeline.held() == world.expected()
    assert pipeline.seen("thirty") == {world.id_of("handbook/leave.md")}
    assert (report.parsed, report.embedded) == (0, 0)


@pytest.mark.case(Case.DELETE_PARENT)
def test_a_deleted_folder_is_hidden_with_its_documents(world: World, pipeline: Pipeline) -> None:
    seed(world)
    pipeline.sync()
    world.delete_folder("handbook")
    pipeline.ingest()
    assert pipeline.held() == world.expected()
    assert pipeline.seen("thirty") == set()
    assert pipeline.seen("terms") == {world.id_of("legal/terms.md")}


@pytest.mark.case(Case.ACCESS_CHANGE)
def test_a_change_of_access_holds_for_the_next_query_and_touches_no_text(
    world: World, pipeline: Pipeline
) -> None:
    seed(world)
    pipeline.sync()
    identity = world.id_of("handbook/leave.md")
    assert pipeline.seen("thirty", "ann") == pipeline.seen("thirty", "bob") == {identity}
    world.restrict("handbook/leave.md", "ann")
    report = pipeline.ingest()
    assert (pipeline.seen("thirty", "ann"), pipeline.seen("thirty", "bob")) == ({identity}, set())
    assert (report.parsed, report.chunk_sets, report.embedded) == (0, 0, 0)
    world.release("handbook/leave.md")
    pipeline.ingest()
    assert pipeline.seen("thirty", "bob") == {identity}


@pytest.mark.case(Case.GROUP_CHANGE)
def test_a_change_of_members_holds_for_the_next_query_and_touches_no_document(
    world: World, pipeline: Pipeline
) -> None:
    seed(world)
    identity = world.id_of("handbook/leave.md")
    world.restrict("handbook/leave.md", GROUP)
    pipeline.sync()
    assert pipeline.seen("thirty", "ann") == set()
    world.add_member("ann")
    report = pipeline.ingest()
    assert (pipeline.seen("thirty", "ann"), pipeline.seen("thirty", "bob")) == ({identity}, set())
    assert report.touched == 0
    world.remove_member("ann")
    pipeline.ingest()
    assert pipeline.seen("thirty", "ann") == set()


@pytest.mark.case(Case.EMPTY_SOURCE)
def test_an_empty_source_is_synced_before_it_holds_anything(world: World, pipeline: Pipeline) -> None:
    report = pipeline.ingest()
    assert report.outcome == "complete"
    assert pipeline.held() == world.own()
    seed(world)
    pipeline.ingest()
    assert pipeline.held() == world.expected()


@pytest.mark.case(Case.EMPTY_SOURCE)
def test_a_source_that_names_nothing_any_more_is_emptied_only_by_order(
    world: World, pipeline: Pipeline
) -> None:
    seed(world)
    pipeline.ingest()
    before = pipeline.held()
    for name in list(world.documents):
        world.delete(name)
    with pytest.raises(EmptyListingError):
        pipeline.ingest()
    assert pipeline.held() == before
    pipeline.ingest(allow_deletes=True)
    assert pipeline.held() == {}


@pytest.mark.case(Case.DUPLICATE_IDS)
def test_a_document_that_is_named_twice_is_stored_once(world: World, pipeline: Pipeline) -> None:
    seed(world)
    world.duplicate("handbook/leave.md")
    report = pipeline.ingest()
    assert pipeline.held() == world.expected()
    assert report.outcome == "complete"


@pytest.mark.case(Case.ITEM_FAILURE)
def test_a_document_that_cannot_be_listed_is_served_as_it_was_and_stops_nothing(
    world: World, pipeline: Pipeline
) -> None:
    seed(world)
    pipeline.sync()
    world.break_document("handbook/leave.md")
    world.put("legal/privacy.md", "Cookies are refused.")
    world.delete("handbook/travel.md")
    report = pipeline.ingest()
    assert report.outcome == "complete"
    assert pipeline.held() == world.expected()
    assert pipeline.seen("thirty") == {world.id_of("handbook/leave.md")}
    assert [one["external_id"] for one in pipeline.quarantined()] == [world.id_of("handbook/leave.md")]
    world.mend()
    pipeline.ingest()
    assert pipeline.held() == world.expected()
    assert pipeline.quarantined() == []


@pytest.mark.case(Case.ITEM_FAILURE)
def test_a_document_that_cannot_be_loaded_is_served_as_it_was(world: World, pipeline: Pipeline) -> None:
    seed(world)
    pipeline.sync()
    before = pipeline.held()
    world.put("handbook/leave.md", "Forty days of leave!!")
    edits = Edits(world, lambda: world.vanish("handbook/leave.md"))
    report = pipeline.ingest()
    assert edits.made
    assert report.changes["failed"] == 1
    assert pipeline.held() == before
    assert pipeline.seen("thirty") == {world.id_of("handbook/leave.md")}
    world.mend()
    pipeline.ingest()
    assert pipeline.held() == world.expected()
    assert pipeline.quarantined() == []


@pytest.mark.case(Case.PAGE_FAILURE)
def test_a_part_that_cannot_be_listed_deletes_nothing_and_stops_nothing(
    world: World, pipeline: Pipeline
) -> None:
    seed(world)
    pipeline.ingest()
    before = pipeline.held()
    world.break_part("handbook")
    world.put("legal/privacy.md", "Cookies are refused.")
    report = pipeline.ingest()
    assert report.outcome == "partial"
    assert pipeline.held() == {**before, world.id_of("legal/privacy.md"): "Cookies are refused."}
    world.mend()
    world.delete("handbook/travel.md")
    report = pipeline.ingest()
    assert report.outcome == "complete"
    assert pipeline.held() == world.expected()
    assert pipeline.quarantined() == []


@pytest.mark.case(Case.PROTOCOL)
def test_a_source_that_cannot_be_listed_fails_its_run_and_loses_nothing(
    world: World, pipeline: Pipeline
) -> None:
    seed(world)
    pipeline.ingest()
    before = pipeline.held()
    world.break_source()
    with pytest.raises((UnlistableError, TransientError)):
        pipeline.ingest()
    assert pipeline.held() == before
    assert {entry["stage"] for entry in pipeline.quarantined()} <= {"groups"}
    (run,) = pipeline.rows("SELECT outcome FROM rag.run ORDER BY run_id DESC LIMIT 1")
    assert run["outcome"] == "failed"


@pytest.mark.case(Case.THROTTLING)
def test_a_source_that_asks_to_slow_down_is_synced_in_full(world: World, pipeline: Pipeline) -> None:
    seed(world)
    pipeline.ingest()
    before = pipeline.held()
    world.put("legal/privacy.md", "Cookies are refused.")
    world.throttle(2)
    for _ in range(3):
        with suppress(TransientError):
            report = pipeline.ingest()
            if report.outcome == "complete":
                break
        assert pipeline.held().items() >= before.items()
    assert pipeline.held() == world.expected()
    assert pipeline.quarantined() == []


@pytest.mark.case(Case.EXPIRED_CREDENTIAL)
def test_an_expired_credential_stops_the_run_and_deletes_nothing(world: World, pipeline: Pipeline) -> None:
    seed(world)
    pipeline.ingest()
    before = pipeline.held()
    world.put("legal/privacy.md", "Cookies are refused.")
    world.expire_credential()
    assert not all(finding.ok for finding in world.connector().check())
    with pytest.raises(CredentialError):
        pipeline.ingest()
    assert pipeline.held() == before
    world.mend()
    pipeline.ingest()
    assert pipeline.held() == world.expected()


@pytest.mark.case(Case.CRASH_AND_RESUME)
@pytest.mark.parametrize("entries", [0, 1, 7])
def test_a_run_that_is_killed_while_it_lists_is_done_by_the_next_one(
    world: World, pipeline: Pipeline, entries: int
) -> None:
    world.put_many({f"handbook/{n}.md": f"Chapter {n}." for n in range(8)})
    pipeline.kill_while_listing(entries)
    with pytest.raises(Killed):
        pipeline.ingest()
    report = pipeline.ingest()
    assert report.outcome == "complete"
    assert pipeline.held() == world.expected()


@pytest.mark.case(Case.CRASH_AND_RESUME)
def test_a_run_that_is_killed_while_it_loads_goes_on_with_the_batch_it_was_in(
    world: World, pipeline: Pipeline
) -> None:
    pipeline.document["limits"]["batch_documents"] = 2
    world.put_many({f"handbook/{n}.md": f"Chapter {n}." for n in range(8)})
    first = pipeline.watch_loads(kill_at=5)
    with pytest.raises(Killed):
        pipeline.ingest()
    second = pipeline.watch_loads()
    pipeline.sync()
    assert pipeline.held() == world.expected()
    assert len(first) == 5
    assert len(second) == len(world.expected()) - 4, "two batches stand, the third is loaded again"
    assert set(first[:4]).isdisjoint(second)
    assert pipeline.seen("chapter") >= {world.id_of(name) for name in world.documents}


@pytest.mark.case(Case.CRASH_AND_RESUME)
def test_a_run_that_is_killed_while_it_follows_the_changes_passes_none_over(
    world: World, pipeline: Pipeline
) -> None:
    declares(world, "changes")
    pipeline.listing_in_full_rarely()
    seed(world)
    pipeline.ingest()
    world.put("handbook/leave.md", "Forty days of leave!!")
    world.put("legal/privacy.md", "Cookies are refused.")
    pipeline.watch_loads(kill_at=1)
    with pytest.raises(Killed):
        pipeline.ingest()
    pipeline.ingest()
    assert pipeline.held() == world.expected()


@pytest.mark.case(Case.INCOMPLETE_LISTING)
def test_a_listing_that_ends_early_deletes_nothing(world: World, pipeline: Pipeline) -> None:
    seed(world)
    pipeline.sync()
    before = pipeline.held()
    world.cut_short()
    pipeline.ingest()
    assert pipeline.held() == before
    world.mend()
    world.delete("handbook/travel.md")
    report = pipeline.ingest()
    assert report.outcome == "complete"
    assert pipeline.held() == world.expected()
    assert pipeline.seen("terms") == {world.id_of("legal/terms.md")}


@pytest.mark.case(Case.RACING_EDITS)
def test_edits_while_a_listing_is_read_are_settled_by_the_next_one(world: World, pipeline: Pipeline) -> None:
    world.put_many({f"handbook/{n}.md": f"Chapter {n}." for n in range(8)})
    pipeline.ingest()

    def edit() -> None:
        world.put("handbook/0.md", "Another chapter.")
        world.put("handbook/new.md", "A new chapter.")
        world.delete("handbook/3.md")
        world.rename("handbook/5.md", "legal/5.md")

    edits = Edits(world, edit)
    pipeline.ingest()
    assert edits.made
    untouched = {world.id_of(f"handbook/{n}.md") for n in (1, 2, 4, 6, 7)}
    assert untouched <= pipeline.stored()
    pipeline.ingest()
    assert pipeline.held() == world.expected()


@pytest.mark.case(Case.RACING_EDITS)
def test_edits_while_everything_is_listed_are_not_passed_over_by_the_changes(
    world: World, pipeline: Pipeline
) -> None:
    """A position taken at the end of a listing, from what it saw last, would pass over the first edit."""
    declares(world, "changes")
    pipeline.listing_in_full_rarely()
    world.put_many({f"handbook/{n}.md": f"Chapter {n}." for n in range(8)})

    def edit() -> None:
        world.put("handbook/0.md", "Another chapter.")
        world.put("handbook/new.md", "A new chapter.")

    edits = Edits(world, edit)
    pipeline.ingest()
    assert edits.made
    pipeline.ingest()
    assert pipeline.held() == world.expected()


@pytest.mark.case(Case.PROTOCOL)
def test_a_sync_without_changes_loads_nothing_and_asks_less(world: World, pipeline: Pipeline) -> None:
    world.put_many({f"handbook/{n}.md": f"Chapter {n}." for n in range(8)})
    before = world.requests
    pipeline.ingest()
    first = world.requests - before
    loaded = pipeline.watch_loads()
    report = pipeline.ingest()
    assert (report.touched, report.bytes_loaded, loaded) == (0, 0, [])
    assert not first or world.requests - before - first < first
