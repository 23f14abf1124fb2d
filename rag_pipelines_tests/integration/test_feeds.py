"""What the engine makes of a change feed that breaks off, omits something, or names a parent alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rag_pipelines.config.settings import Settings
from rag_pipelines.connectors.base import (
    Capabilities,
    Complete,
    Connector,
    Cursor,
    Entry,
    Failure,
    FeedGap,
    Finding,
    Group,
    Item,
    Options,
    Removed,
    Window,
)
from rag_pipelines.errors import CredentialError, FetchError, GoneError, TransientError, UsageError
from rag_pipelines.model import AccessRule
from rag_pipelines.sync import listing, origin
from rag_pipelines.sync.deletions import reject
from rag_pipelines.sync.plan import apply_plan, plan_source
from rag_pipelines.sync.scope import Scope
from rag_pipelines_tests.integration.workspace import Workspace

TELLS_ALL = Capabilities(changes=True, removals=True, groups=True)
ANN = AccessRule(clauses=(("user:ann@example.com",),))
BOB = AccessRule(clauses=(("user:bob@example.com",),))


@dataclass
class System:
    """What the source holds, what its feed says next, and what was asked of it."""

    documents: dict[str, str] = field(default_factory=dict)
    rules: dict[str, AccessRule] = field(default_factory=dict)
    feed: list[Entry | Exception] = field(default_factory=list)
    capabilities: Capabilities = TELLS_ALL
    at_once: int = 1
    asked: list[str] = field(default_factory=list)
    load: Callable[[str], None] = lambda one: None

    def item(self, one: str) -> Item:
        text = self.documents[one]
        return Item(
            external_id=one,
            token=text,
            load=partial(self.read, one),
            name=one.rsplit("/", 1)[-1] + ".txt",
            size=len(text),
            access=self.rules.get(one),
        )

    def read(self, one: str) -> bytes:
        self.asked.append(f"load {one}")
        self.load(one)
        return self.documents[one].encode()


class Scripted(Connector):
    """Reads a `System`."""

    kind = "scripted"
    options_type = Options

    def __init__(self, system: System) -> None:
        super().__init__("docs", Options())
        self._system = system
        self.capabilities = system.capabilities

    @property
    def concurrent_loads(self) -> int:
        return self._system.at_once

    def check(self) -> list[Finding]:
        return []

    def items(self, window: Window = Window()) -> Iterator[Entry]:
        self._system.asked.append("items")
        for one in self._system.documents:
            yield self._system.item(one)
        yield Complete(len(self._system.documents), {"at": 1})

    def changes(self, cursor: Cursor) -> Iterator[Entry]:
        self._system.asked.append("changes")
        for entry in self._system.feed:
            if isinstance(entry, Exception):
                raise entry
            yield entry
        yield Complete(0, {"at": cursor["at"] + 1}, full=False)

    def groups(self) -> Iterator[Group | Failure | Complete]:
        yield Complete(0)


class Scene(Workspace):
    """A workspace whose only source is a `System`, listed in full once."""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url)
        self.document["sources"]["docs"] |= {"full_listing": "24h", "group_listing": "0s"}
        self.system = System({"a": "apples", "b": "pears", "b/attachment/1": "stones", "bb": "plums"})

    def held(self) -> dict[str, str]:
        """The paths of what is served, and who may see it."""
        rows = self.rows(
            "SELECT external_id, clauses FROM rag.document JOIN rag.access_rule USING (access_id) "
            "WHERE state <> 'tombstoned'"
        )
        return {row["external_id"]: str(row["clauses"]) for row in rows}

    def cursor(self) -> Mapping[str, Any]:
        """Where the source is to be continued from."""
        return self.rows("SELECT cursor FROM rag.source")[0]["cursor"]


@pytest.fixture
def scene(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Scene:
    scene = Scene(tmp_path, database_url)
    monkeypatch.setattr(Settings, "connector", lambda settings, source: Scripted(scene.system))
    scene.ingest()
    scene.system.asked.clear()
    return scene


@pytest.mark.parametrize("error", [GoneError("resync"), UsageError("that cursor is unknown")])
@pytest.mark.parametrize("before", [0, 1, 700])
def test_a_cursor_that_expires_anywhere_is_followed_by_a_full_listing_in_the_same_run(
    scene: Scene, error: Exception, before: int
) -> None:
    system = scene.system
    system.documents |= {"new": "grapes"}
    named = [system.item("new"), Removed("a"), *(Removed(f"none/{n}") for n in range(before))]
    system.feed = [*named[:before], error]
    del system.documents["b"]
    report = scene.ingest()
    assert set(scene.held()) == {"a", "b/attachment/1", "bb", "new"}
    assert (report.outcome, report.listed) == ("complete", 4)
    assert str(error) in report.notes[0]
    assert scene.cursor() == {"at": 1}


def test_a_feed_that_broke_off_deletes_nothing_of_what_the_listing_still_names(scene: Scene) -> None:
    scene.system.feed = [Removed("a"), GoneError("resync")]
    scene.ingest()
    assert "a" in scene.held()


def test_a_listing_that_fails_after_the_feed_broke_off_leaves_the_cursor_and_all_documents(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(connector: Scripted, window: Window = Window()) -> Iterator[Entry]:
        yield scene.system.item("b")
        raise TransientError("the listing broke off too")

    scene.system.documents["new"] = "grapes"
    scene.system.feed = [scene.system.item("new"), Removed("a"), GoneError("resync")]
    with monkeypatch.context() as patch:
        patch.setattr(Scripted, "items", broken)
        with pytest.raises(TransientError, match="broke off too"):
            scene.ingest()
    assert set(scene.held()) == {"a", "b", "b/attachment/1", "bb"}
    assert scene.ingest().changes == {"added": 1, "unchanged": 4}


def test_a_plan_foresees_what_a_broken_feed_leads_to(scene: Scene) -> None:
    system = scene.system
    system.documents["new"] = "grapes"
    system.feed = [Removed("a"), GoneError("resync")]
    del system.documents["b"]
    plan = plan_source(scene.runtime, "docs")
    assert plan.changes == {"added": 1, "unchanged": 3, "deleted": 1}
    assert plan.plan_id is not None
    apply_plan(scene.runtime, plan.plan_id)
    assert set(scene.held()) == {"a", "b/attachment/1", "bb", "new"}


def test_what_is_below_a_removed_parent_goes_with_it(scene: Scene) -> None:
    scene.system.feed = [Removed("b", children=True)]
    report = scene.ingest()
    assert set(scene.held()) == {"a", "bb"}
    assert report.changes["deleted"] == 2


def test_without_the_mark_only_the_document_itself_goes(scene: Scene) -> None:
    scene.system.feed = [Removed("b")]
    scene.ingest()
    assert set(scene.held()) == {"a", "b/attachment/1", "bb"}


def test_what_was_never_held_or_is_gone_already_counts_as_no_deletion(scene: Scene) -> None:
    scene.document["sources"]["docs"]["delete_guard"] = {"documents": 2, "share": 0.4}
    strangers = [Removed(f"none/{n}", children=True) for n in range(50)]
    scene.system.feed = [*strangers, Removed("a")]
    report = scene.ingest()
    assert (report.changes, report.parked_deletes) == ({"deleted": 1}, 0)
    assert set(scene.held()) == {"b", "b/attachment/1", "bb"}
    assert scene.ingest().changes == {}


@pytest.mark.parametrize("between", [0, 600])
def test_of_a_removal_and_a_document_with_one_id_the_later_counts(scene: Scene, between: int) -> None:
    system = scene.system
    system.documents |= {"b/attachment/2": "sand", "new": "grapes"}
    scene.system.feed = [
        *(system.item(one) for one in ("a", "new")),
        *(Removed(one) for one in ("new", "a", "bb")),
        Removed("b", children=True),
        *(Removed(f"none/{n}") for n in range(between)),
        *(system.item(one) for one in ("a", "b", "b/attachment/2")),
        Failure(error=FetchError("broken"), external_id="bb"),
    ]
    report = scene.ingest()
    assert set(scene.held()) == {"a", "b", "b/attachment/2", "bb"}
    assert report.changes["deleted"] == 2


def test_the_guard_counts_what_goes_with_a_parent(scene: Scene) -> None:
    scene.document["sources"]["docs"]["delete_guard"] = {"documents": 2, "share": 0.4}
    scene.system.feed = [Removed("b", children=True)]
    report = scene.ingest()
    assert (report.changes, report.parked_deletes) == ({}, 2)
    assert set(scene.held()) == {"a", "b", "b/attachment/1", "bb"}


@pytest.mark.parametrize("decided", [False, True])
def test_a_removal_that_waits_for_a_person_waits_on_when_it_is_named_again(
    scene: Scene, decided: bool
) -> None:
    scene.document["sources"]["docs"]["delete_guard"] = {"documents": 2, "share": 0.4}
    scene.system.feed = [Removed("b", children=True)]
    scene.ingest()
    (parked,) = scene.rows("SELECT deletion_id FROM rag.deletion")
    if decided:
        reject(scene.database, parked["deletion_id"], reason="the export is broken")
    for again in ([Removed("b", children=True)], [Removed("b")]):
        scene.system.feed = again
        report = scene.ingest()
        assert (report.changes, report.parked_deletes) == ({}, 0)
    assert set(scene.held()) == {"a", "b", "b/attachment/1", "bb"}
    states = [row["state"] for row in scene.rows("SELECT state FROM rag.deletion")]
    assert states == ["rejected" if decided else "parked"]
    scene.system.feed = [scene.system.item("b"), scene.system.item("b/attachment/1")]
    scene.ingest()
    scene.system.feed = [Removed("b")]
    assert scene.ingest().changes == {"deleted": 1}


@pytest.mark.parametrize("gap", list(FeedGap))
def test_a_feed_that_omits_something_is_followed_between_full_listings_only(
    scene: Scene, gap: FeedGap
) -> None:
    scene.system.capabilities = Capabilities(changes=True, removals=True, feed_omits=frozenset({gap}))
    scene.ingest()
    assert scene.system.asked == ["changes"]
    scene.document["sources"]["docs"]["full_listing"] = "0s"
    scene.ingest()
    assert scene.system.asked == ["changes", "items"]


def test_a_feed_does_not_count_as_the_full_listing_that_it_cannot_replace(scene: Scene) -> None:
    scene.system.capabilities = Capabilities(changes=True, removals=True, feed_omits=frozenset(FeedGap))
    before = scene.rows("SELECT listed_at FROM rag.source")
    scene.ingest()
    assert scene.rows("SELECT listed_at FROM rag.source") == before


def test_a_feed_that_tells_everything_is_never_replaced(scene: Scene) -> None:
    scene.document["sources"]["docs"]["full_listing"] = "0s"
    scene.ingest()
    assert scene.system.asked == ["changes"]


def test_listing_everything_loads_only_what_changed(scene: Scene) -> None:
    scene.system.documents["a"] = "oranges"
    report = scene.ingest(list_all=True)
    assert scene.system.asked == ["items", "load a"]
    assert report.changes == {"changed": 1, "unchanged": 3}


def test_a_plan_keeps_that_everything_is_to_be_listed(scene: Scene) -> None:
    scene.system.documents["a"] = "oranges"
    plan = plan_source(scene.runtime, "docs", Scope(list_all=True))
    scene.system.asked.clear()
    assert plan.plan_id is not None
    apply_plan(scene.runtime, plan.plan_id)
    assert scene.system.asked == ["items", "load a"]


class TestLoadingAtOnce:
    """Several contents at a time."""

    def test_as_many_are_loaded_at_once_as_the_connector_allows(self, scene: Scene) -> None:
        together = threading.Barrier(3)
        scene.system.at_once = 3
        scene.system.documents = {f"d{n}": f"text {n}" for n in range(6)}
        scene.system.load = lambda one: together.wait(timeout=30) and None
        report = scene.ingest(list_all=True, allow_deletes=True)
        assert report.changes["added"] == 6
        assert set(scene.held()) == set(scene.system.documents)

    def test_what_fails_costs_itself_only(self, scene: Scene) -> None:
        def load(one: str) -> None:
            if one in ("d1", "d4"):
                raise FetchError(f"{one} is broken") if one == "d1" else ValueError("odd")

        scene.system.at_once = 4
        scene.system.documents = {f"d{n}": f"text {n}" for n in range(6)}
        scene.system.load = load
        report = scene.ingest(list_all=True, allow_deletes=True)
        assert (report.changes["added"], report.changes["failed"]) == (4, 2)
        messages = {row["message"] for row in scene.rows("SELECT message FROM rag.quarantine")}
        assert messages == {"d1 is broken", "loading failed: ValueError: odd"}

    def test_refused_credentials_end_the_run(self, scene: Scene) -> None:
        def refuse(one: str) -> None:
            raise CredentialError("the token was revoked")

        scene.system.at_once = 4
        scene.system.documents = {f"d{n}": f"text {n}" for n in range(6)}
        scene.system.load = refuse
        with pytest.raises(CredentialError, match="revoked"):
            scene.ingest(list_all=True, allow_deletes=True)
        assert "a" in scene.held()

    def test_the_next_batch_is_loaded_while_one_is_waited_for(self, scene: Scene) -> None:
        next_batch = threading.Event()

        def load(one: str) -> None:
            if one == "d2":
                next_batch.set()
            assert next_batch.wait(timeout=30)

        scene.document["limits"]["batch_documents"] = 2
        scene.system.at_once = 3
        scene.system.documents = {f"d{n}": f"text {n}" for n in range(6)}
        scene.system.load = load
        assert scene.ingest(list_all=True, allow_deletes=True).changes["added"] == 6

    @pytest.mark.parametrize("at_once", [1, 2])
    def test_a_listing_goes_on_while_contents_are_loaded(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch, at_once: int
    ) -> None:
        further = threading.Event()

        def listed(connector: Scripted, window: Window = Window()) -> Iterator[Entry]:
            for place, one in enumerate(scene.system.documents):
                if place == 2:
                    further.set()
                yield scene.system.item(one)
            yield Complete(len(scene.system.documents))

        def load(one: str) -> None:
            went_on.append(further.wait(timeout=30) if at_once > 1 else further.is_set())

        went_on: list[bool] = []
        monkeypatch.setattr(origin, "AHEAD", 2)
        monkeypatch.setattr(listing, "BLOCK", 2)
        monkeypatch.setattr(Scripted, "items", listed)
        scene.system.at_once = at_once
        scene.system.documents = {f"d{n}": f"text {n}" for n in range(6)}
        scene.system.load = load
        scene.ingest(list_all=True, allow_deletes=True)
        assert went_on[0] is (at_once > 1)
