"""Whatever happens between syncs, after the last good one everybody sees exactly what the source says.

Random edits, moves, deletions, restores, changes of access and groups, faults and crashes, held against an
oracle of a few lines. After every sync, however it went, nothing that the source still holds was deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rag_pipelines.config.settings import Settings
from rag_pipelines.connectors import registry
from rag_pipelines.errors import EmptyListingError, RagError
from rag_pipelines.model import EVERYONE
from rag_pipelines.sync.deletions import approve, list_deletions
from rag_pipelines_tests.connectors.confluence_world import ConfluenceCloud
from rag_pipelines_tests.connectors.conformance import GROUP, USERS, World
from rag_pipelines_tests.connectors.emptied import EmptiedDatabase
from rag_pipelines_tests.connectors.jira_world import JiraCloud
from rag_pipelines_tests.connectors.memory_world import MemoryWorld
from rag_pipelines_tests.integration.workspace import Workspace

NAMES = [f"{folder}/{letter}" for folder in ("legal", "eng") for letter in "abcd"]
FAULTS = (
    "break_document",
    "vanish",
    "break_part",
    "break_source",
    "cut_short",
    "throttle",
    "expire_credential",
)

names = st.sampled_from(NAMES)
users = st.sampled_from(USERS)
edits = st.one_of(
    st.tuples(st.just("put"), names, st.integers(0, 3)),
    st.tuples(st.just("delete"), names),
    st.tuples(st.just("restore"), names),
    st.tuples(st.just("move"), names, names),
    st.tuples(st.just("restrict"), names, st.sampled_from((*USERS, GROUP))),
    st.tuples(st.just("release"), names),
    st.tuples(st.just("join"), users),
    st.tuples(st.just("leave"), users),
)
steps = st.lists(
    st.one_of(
        edits,
        edits,
        st.tuples(st.just("fault"), st.sampled_from(FAULTS), names),
        st.tuples(st.just("race"), edits),
        st.tuples(st.just("crash")),
        st.tuples(st.just("sync"), st.booleans()),
        st.tuples(st.just("sync"), st.booleans()),
    ),
    min_size=4,
    max_size=24,
)


VISIBLE = """
SELECT d.external_id FROM rag.document d JOIN rag.access_rule r USING (access_id)
WHERE d.state <> 'tombstoned' AND d.tenant = %s AND rag.may_read(r.clauses, r.deny, rag.principals_of(%s, %s))
"""


class Crash(BaseException):
    """The process is killed."""


class Model:
    """A world, what everybody should see of it, and the pipeline that follows it."""

    def __init__(self, world: World, workspace: Workspace) -> None:
        self.world = world
        self.workspace = workspace
        self.restricted: dict[str, str] = {}
        self.members: set[str] = set()
        self.trash: dict[str, str] = {}

    def step(self, kind: str, *arguments: Any) -> None:
        """One thing that happens; what is impossible as things are does not."""
        getattr(self, kind)(*arguments)

    def put(self, name: str, version: int) -> None:
        text = f"# {name}\n\nAlpha {name} {version}."
        if self.world.documents.get(name) != text:
            self.trash.pop(name, None)
            self.world.put(name, text)

    def delete(self, name: str) -> None:
        if name in self.world.documents:
            self.release(name)
            self.trash[name] = self.world.documents[name]
            self.world.delete(name)

    def restore(self, name: str) -> None:
        if name in self.trash and name not in self.world.documents:
            self.world.restore(name, self.trash.pop(name))

    def move(self, old: str, new: str) -> None:
        if old in self.world.documents and new not in self.world.documents and new not in self.trash:
            self.release(old)
            self.world.rename(old, new)

    def restrict(self, name: str, who: str) -> None:
        if name in self.world.documents:
            self.release(name)
            self.world.restrict(name, who)
            self.restricted[name] = who

    def release(self, name: str) -> None:
        if self.restricted.pop(name, None) is not None:
            self.world.release(name)

    def join(self, user: str) -> None:
        if user not in self.members:
            self.world.add_member(user)
            self.members.add(user)

    def leave(self, user: str) -> None:
        if user in self.members:
            self.world.remove_member(user)
            self.members.discard(user)

    def fault(self, kind: str, name: str) -> None:
        self.world.mend()
        if kind in ("break_document", "vanish"):
            if name in self.world.documents:
                getattr(self.world, kind)(name)
        elif kind == "break_part":
            folder = name.partition("/")[0]
            if any(one.startswith(f"{folder}/") for one in self.world.documents):
                self.world.break_part(folder)
        elif kind == "throttle":
            self.world.throttle(2)
        else:
            getattr(self.world, kind)()

    def race(self, edit: tuple[Any, ...]) -> None:
        """Sync, with an edit in the middle of the listing."""
        World.during_listing(self.world, lambda: self.step(*edit))
        self.sync(listing=True)

    def crash(self) -> None:
        """Sync, killed in the middle of the listing."""

        def kill() -> None:
            raise Crash

        World.during_listing(self.world, kill)
        with suppress(Crash):
            self.sync(listing=True)

    def sync(self, listing: bool) -> None:
        """Sync by a full listing or by the change feed; whatever goes wrong, nothing alive is deleted."""
        before = self.tombstoned()
        self.configure(listing)
        try:
            with suppress(RagError):
                self.workspace.ingest()
        finally:
            World.during_listing(self.world, lambda: None)
            alive = {self.world.id_of(name) for name in self.world.documents}
            assert not (self.tombstoned() - before) & alive

    def last_sync(self) -> None:
        """Mend everything, sync, and agree to the deletions that wait."""
        self.world.mend()
        self.configure(listing=True)
        try:
            self.workspace.ingest()
        except EmptyListingError:
            self.workspace.ingest(allow_deletes=True)
        with self.workspace.database.connection() as connection:
            waiting = list_deletions(connection)
        for one in waiting:
            approve(self.workspace.database, one.deletion_id, reason="the model says so")

    def configure(self, listing: bool) -> None:
        source = self.workspace.document["sources"]["docs"]
        source["full_listing"] = "0s" if listing else "1d"

    def tombstoned(self) -> set[str]:
        rows = self.workspace.rows("SELECT external_id FROM rag.document WHERE state = 'tombstoned'")
        return {row["external_id"] for row in rows}

    def seen_by(self, user: str) -> set[str]:
        """What the predicate of every search lets a user see."""
        principals = [EVERYONE, *self.world.caller(user)]
        rows = self.workspace.rows(VISIBLE, "default", "default", principals)
        return {row["external_id"] for row in rows}

    def found_by(self, user: str) -> set[str]:
        """What a search finds for a user; every document holds the word."""
        hits = self.workspace.search("alpha", mode="lexical", k=100, principals=self.world.caller(user))
        return {hit.external_id for hit in hits}

    def oracle(self, user: str) -> set[str]:
        """What the source lets a user see."""
        return set(self.world.own()) | {
            self.world.id_of(name) for name in self.world.documents if self.allows(name, user)
        }

    def allows(self, name: str, user: str) -> bool:
        who = self.restricted.get(name)
        return who is None or who == user or (who == GROUP and user in self.members)


def play(model: Model, happens: list[tuple[Any, ...]]) -> None:
    """Play the steps, sync, and compare what the catalogue shows to everybody."""
    for kind, *arguments in happens:
        model.step(kind, *arguments)
    model.last_sync()
    for user in USERS:
        assert model.seen_by(user) == model.oracle(user), user


@pytest.fixture
def make_model(
    tmp_path: Path, database_url: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[type[World]], Model]]:
    """Makes a fresh world of a kind, an empty catalogue, and the model of both."""
    made: list[World] = []
    place = f"{MemoryWorld.__module__}:MemoryConnector"
    monkeypatch.setitem(registry.BUILTIN, "memory", place)
    monkeypatch.setattr(Settings, "connector", lambda self, source: made[-1].connector())
    database = EmptiedDatabase(database_url)
    workspace = Workspace(tmp_path, database_url)
    workspace.database = database.sessions

    def make(kind: type[World]) -> Model:
        database.empty()
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(kind.build(folder, request))
        workspace.document["sources"]["docs"] |= {
            "connector": kind.kind,
            "options": made[-1].options(),
            "group_listing": "0s",
            "delete_guard": {"share": 0.4, "documents": 2},
        }
        return Model(made[-1], workspace)

    yield make
    workspace.close()
    for world in made:
        world.close()


THREE = [("put", "legal/a", 0), ("put", "legal/b", 0), ("put", "legal/c", 0), ("sync", True)]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(happens=steps)
@example(happens=[*THREE, ("fault", "cut_short", "legal/a"), ("sync", True)])
@example(happens=[*THREE, ("race", ("delete", "legal/a"))])
def test_after_the_last_sync_everybody_sees_what_the_source_says(
    make_model: Callable[[type[World]], Model], happens: list[tuple[Any, ...]]
) -> None:
    play(make_model(MemoryWorld), happens)


@pytest.mark.parametrize("kind", [ConfluenceCloud, JiraCloud])
@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(happens=steps)
def test_it_is_so_through_the_clients_of_the_vendors_over_sockets(
    make_model: Callable[[type[World]], Model], kind: type[World], happens: list[tuple[Any, ...]]
) -> None:
    play(make_model(kind), happens)


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(happens=steps, after=st.lists(edits, min_size=1, max_size=6))
def test_a_search_shows_it_and_a_change_of_access_needs_no_new_version(
    make_model: Callable[[type[World]], Model], happens: list[tuple[Any, ...]], after: list[tuple[Any, ...]]
) -> None:
    model = make_model(MemoryWorld)
    model.put("legal/kept", 0)
    play(model, happens)
    model.workspace.publish(full=True)
    indexed = {model.world.id_of(name) for name in model.world.documents}
    for user in USERS:
        assert model.found_by(user) == model.oracle(user)
    for kind, *arguments in after:
        model.step(kind, *arguments)
    model.last_sync()
    for user in USERS:
        assert model.found_by(user) == model.oracle(user) & indexed
