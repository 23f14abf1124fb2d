"""A plan over a source with every capability: it says what a run does, and keeps no transaction open for it.

What belongs here: plans as the source sees them. What does not: what is stored of plans and their budgets
(`integration.test_plan`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rag_pipelines.connectors import registry as connectors
from rag_pipelines.connectors.base import Entry, Item
from rag_pipelines.errors import CredentialError, TransientError
from rag_pipelines.parsing import registry as parsers
from rag_pipelines.sync import listing, recording, rehearsal
from rag_pipelines.sync.plan import SyncPlan, apply_plan, plan_source
from rag_pipelines.sync.preparing import LivePreparer
from rag_pipelines.sync.report import SyncReport
from rag_pipelines.sync.scope import Scope
from rag_pipelines_tests.connectors.emptied import EmptiedDatabase
from rag_pipelines_tests.connectors.memory_world import MemoryConnector, MemoryWorld
from rag_pipelines_tests.connectors.pipeline import Pipeline

BUSY = """
SELECT pid, state, query FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'rag_pipelines' AND pid <> pg_backend_pid()
  AND xact_start IS NOT NULL
"""


@pytest.fixture
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MemoryWorld]:
    made = MemoryWorld.build(tmp_path / "world", request)
    assert isinstance(made, MemoryWorld)
    yield made
    made.close()


@pytest.fixture
def pipeline(
    world: MemoryWorld, tmp_path: Path, emptied_database: EmptiedDatabase, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Pipeline]:
    place = f"{MemoryWorld.__module__}:MemoryConnector"
    monkeypatch.setitem(connectors.BUILTIN, "memory", place)
    made = Pipeline(world, tmp_path / "pipeline", emptied_database, monkeypatch)
    yield made
    made.close()


def plan(pipeline: Pipeline, **scope: Any) -> SyncPlan:
    return plan_source(pipeline.runtime, "docs", Scope(**scope))


def apply(pipeline: Pipeline, made: SyncPlan) -> SyncReport:
    assert made.plan_id is not None
    return apply_plan(pipeline.runtime, made.plan_id)


class Watch:
    """Looks for open transactions whenever the source is asked or a document is parsed."""

    def __init__(self, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: set[str] = set()
        self.open: list[tuple[str, Any]] = []
        self._pipeline = pipeline
        for name in ("items", "changes", "groups", "existing", "prefetch", "_load"):
            self._surround(monkeypatch, MemoryConnector, name)
        self._surround(monkeypatch, parsers, "parse")

    def _surround(self, monkeypatch: pytest.MonkeyPatch, place: Any, name: str) -> None:
        plain = getattr(place, name)

        def watched(*arguments: Any) -> Any:
            answer = plain(*arguments)
            if isinstance(answer, Iterator):
                return self._each(name, answer)
            self._look(name)
            return answer

        monkeypatch.setattr(place, name, watched)

    def _each(self, name: str, entries: Iterator[Any]) -> Iterator[Any]:
        for entry in entries:
            self._look(name)
            yield entry
        self._look(name)

    def _look(self, name: str) -> None:
        self.done.add(name)
        self.open += [(name, row) for row in self._pipeline.rows(BUSY)]


def fill(world: MemoryWorld) -> None:
    for number in range(6):
        world.put(f"handbook/page{number}.md", f"Leave of {number} days.")


def change(world: MemoryWorld) -> None:
    world.put("handbook/page0.md", "Leave of forty days, from now on.")
    world.put("handbook/new.md", "Cookies are refused.")
    world.delete("handbook/page1.md")
    world.rename("handbook/page2.md", "handbook/renamed.md")


def test_no_transaction_is_open_while_the_source_is_read_and_documents_are_parsed(
    world: MemoryWorld, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(world)
    pipeline.ingest()
    change(world)
    watch = Watch(pipeline, monkeypatch)
    made = plan(pipeline)
    assert watch.done == {"items", "groups", "existing", "prefetch", "_load", "parse"}
    assert watch.open == []
    report = apply(pipeline, made)
    assert watch.open == []
    assert report.changes == made.changes


def test_no_transaction_is_open_while_changes_are_followed(
    world: MemoryWorld, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.listing_in_full_rarely()
    fill(world)
    pipeline.ingest()
    change(world)
    watch = Watch(pipeline, monkeypatch)
    made = plan(pipeline)
    assert {"changes", "_load", "parse"} <= watch.done
    assert "items" not in watch.done
    assert watch.open == []
    assert made.changes == {"changed": 1, "added": 1}
    assert apply(pipeline, made).changes == made.changes
    assert watch.open == []


def test_no_transaction_is_open_while_a_model_cuts_documents(
    world: MemoryWorld, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.document["profiles"]["chunking"] = {"default": {"strategy": "semantic"}}
    fill(world)
    cut: list[Any] = []
    plain = LivePreparer.chunk_with_model

    def watched(*arguments: Any) -> Any:
        cut.extend(pipeline.rows(BUSY) or ["none"])
        return plain(*arguments)

    monkeypatch.setattr(LivePreparer, "chunk_with_model", watched)
    made = plan(pipeline)
    assert cut == ["none"] * 6
    report = apply(pipeline, made)
    assert (report.embedded, report.tokens) == (made.chunks, made.tokens)


def test_the_source_is_asked_once_for_everything_that_a_plan_needs(
    world: MemoryWorld, pipeline: Pipeline
) -> None:
    fill(world)
    pipeline.ingest()
    change(world)
    loaded = pipeline.watch_loads()
    plan(pipeline)
    assert sorted(loaded) == sorted([world.id_of("handbook/page0.md"), world.id_of("handbook/new.md")])


def test_nothing_new_is_planned_in_one_pass(
    world: MemoryWorld, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(world)
    passes = 0
    plain = rehearsal.list_source

    def counted(*arguments: Any, **options: Any) -> None:
        nonlocal passes
        passes += 1
        plain(*arguments, **options)

    monkeypatch.setattr(rehearsal, "list_source", counted)
    assert plan(pipeline).changes == {"added": 6}
    assert passes == 2
    pipeline.ingest()
    passes = 0
    assert plan(pipeline).changes == {"unchanged": 6}
    assert passes == 1


def test_a_catalogue_that_changes_while_its_source_is_read_is_a_transient_failure(
    world: MemoryWorld, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document goes from the catalogue after it was listed as known: its content was not loaded."""
    fill(world)
    pipeline.ingest()

    def purge(listing: Iterator[list[Entry]]) -> Iterator[list[Entry]]:
        yield from listing
        pipeline.rows(
            "WITH gone AS (DELETE FROM rag.document WHERE external_id = '0003' RETURNING 1) TABLE gone"
        )

    blocks = recording.blocks
    with monkeypatch.context() as patch:
        patch.setattr(recording, "blocks", lambda entries, size: purge(blocks(entries, size)))
        with pytest.raises(TransientError, match=r"changed while source 'docs' was read.*'0003'"):
            plan(pipeline)
    assert plan(pipeline).changes == {"unchanged": 5, "added": 1}


def test_two_documents_with_one_id_are_planned_as_they_are_stored(
    world: MemoryWorld, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In two blocks of a listing by offsets, one of an older state: the later counts, as in a run."""
    monkeypatch.setattr(recording, "BLOCK", 2)
    monkeypatch.setattr(listing, "BLOCK", 2)
    fill(world)
    pipeline.ingest()

    def twice(entries: Iterator[Entry]) -> Iterator[Entry]:
        for entry in entries:
            if isinstance(entry, Item) and entry.external_id == "0000":
                first = entry
                yield msgspec.structs.replace(entry, token="another", load=lambda: b"Another state.")
            else:
                yield entry
            if isinstance(entry, Item) and entry.external_id == "0005":
                yield first

    pipeline._through = twice
    made = plan(pipeline)
    pipeline._through = twice
    report = pipeline.ingest()
    assert made.changes == report.changes
    assert made.changes["changed"] == 2


def test_a_plan_of_a_source_that_refuses_its_credentials_ends_as_a_run_does(
    world: MemoryWorld, pipeline: Pipeline
) -> None:
    fill(world)
    made = plan(pipeline)
    world.expire_credential()
    with pytest.raises(CredentialError):
        plan(pipeline)
    with pytest.raises(CredentialError):
        apply(pipeline, made)
    assert pipeline.stored() == set()


Step = Callable[[MemoryWorld, random.Random], None]


def _names(world: MemoryWorld) -> list[str]:
    return [page.name for _, page in world.listed()]


def _put(world: MemoryWorld, dice: random.Random) -> None:
    world.put(f"f{dice.randrange(3)}/p{dice.randrange(12)}", f"Text {dice.randrange(6)} of the page.")


def _delete(world: MemoryWorld, dice: random.Random) -> None:
    if names := _names(world):
        world.delete(dice.choice(names))


def _rename(world: MemoryWorld, dice: random.Random) -> None:
    new = f"f{dice.randrange(3)}/r{dice.randrange(99)}"
    if (names := _names(world)) and new not in names:
        world.rename(dice.choice(names), new)


def _restrict(world: MemoryWorld, dice: random.Random) -> None:
    if names := _names(world):
        world.restrict(dice.choice(names), "ann")


def _break(world: MemoryWorld, dice: random.Random) -> None:
    if names := _names(world):
        dice.choice([world.break_document, world.vanish])(dice.choice(names))


def _break_folder(world: MemoryWorld, dice: random.Random) -> None:
    world.break_part(f"f{dice.randrange(3)}")


def _mend(world: MemoryWorld, _: random.Random) -> None:
    world.mend()


def _interrupt(world: MemoryWorld, dice: random.Random) -> None:
    if len(_names(world)) > 3:
        world.during_listing(lambda: _delete(world, dice))


STEPS: list[Step] = [_put] * 6 + [_delete, _rename, _restrict, _break, _break_folder, _mend, _mend]


@pytest.mark.parametrize("seed", range(4))
def test_a_run_and_an_applied_plan_do_what_was_planned_whatever_happened_before(
    world: MemoryWorld, pipeline: Pipeline, seed: int
) -> None:
    dice = random.Random(seed)
    for turn in range(6):
        if turn % 3 == 2:
            pipeline.listing_in_full_rarely()
        else:
            pipeline.document["sources"]["docs"]["full_listing"] = "0s"
        for _ in range(8):
            dice.choice(STEPS)(world, dice)
        scope = {"full": dice.random() < 0.2, "allow_deletes": True}
        made = plan(pipeline, **scope)
        report = pipeline.ingest(**scope) if turn % 2 else apply(pipeline, made)
        assert report.changes == made.changes, (seed, turn)
        assert report.statuses == made.statuses, (seed, turn)
        assert (report.embedded, report.incomplete) == (made.chunks, made.incomplete), (seed, turn)
