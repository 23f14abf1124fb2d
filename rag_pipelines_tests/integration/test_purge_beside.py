"""Collections and purges in the middle of a run or a build: what these need stays, what is purged goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from rag_pipelines.index.promotion import promote
from rag_pipelines.retention.garbage import collect_garbage
from rag_pipelines.retention.purge import Purged, purge_document
from rag_pipelines.sync import commit, loading
from rag_pipelines_tests.integration.histories import NEW, SECRET, WORDS, check_whole, fill_world
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.test_purge import everything
from rag_pipelines_tests.integration.workspace import Workspace


@pytest.fixture
def world(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_world).lend() as lent:
        yield lent


class At:
    """A progress that does something once, when a stage is heard of."""

    def __init__(self, stage: str, act: Callable[[], object]) -> None:
        self._stage, self._act = stage, act
        self.result: object = None
        self.done = False

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        if stage == self._stage and not self.done:
            self.done = True
            self.result = self._act()


def purge(workspace: Workspace) -> Purged:
    return purge_document(
        workspace.database, workspace.settings, "docs", SECRET, even_if_present=True, verify=True
    )


def mentions(workspace: Workspace) -> list[str]:
    """What of the secret document stands in any row or blob."""
    text = everything(workspace)
    return [word for word in WORDS if word in text]


@pytest.mark.parametrize("stage", ["list", "prepare", "embed"])
def test_a_run_that_has_loaded_a_document_does_not_bring_it_back_after_its_purge(
    world: Workspace, stage: str
) -> None:
    world.write(SECRET, NEW.replace("leaves", "is asked to leave"))
    at = At(stage, lambda: purge(world))
    world.ingest("docs", progress=at)

    assert isinstance(at.result, Purged)
    assert at.result.proof is not None
    assert at.result.proof.left == []
    assert mentions(world) == []
    assert world.ingest("docs").changes["added"] == 1


@pytest.mark.parametrize(
    ("full", "stage"),
    [
        (True, "loading words"),
        (True, "loading vectors"),
        (True, "turning words around"),
        (True, "building postings"),
        (False, "catching up"),
    ],
)
def test_a_build_drops_what_is_purged_while_it_works(world: Workspace, full: bool, stage: str) -> None:
    world.write(SECRET, NEW)
    world.ingest("docs")
    at = At(stage, lambda: purge(world))

    version = world.build(full=full, progress=at)

    assert isinstance(at.result, Purged)
    assert at.result.proof is not None
    assert at.result.proof.left == []
    assert any(f"version {version.version_id} of index main" in one for one in at.result.proof.waiting)
    assert mentions(world) == []
    assert all(world.validate(version).values())
    assert promote(world.database, "main", version.version_id).state == "live"
    again = purge(world)
    assert again.proof is not None
    assert (again.proof.left, again.proof.waiting) == ([], ())


def test_a_collection_leaves_the_text_that_a_build_has_read(world: Workspace) -> None:
    world.write("a.md", "# A\n\nAlpha that no version has shown yet.")
    world.ingest("docs")

    def change_and_collect() -> None:
        world.write("a.md", "# A\n\nAlpha of the last kind.")
        world.ingest("docs")
        collect_garbage(world.database, world.settings)

    version = world.build(full=True, progress=At("turning words around", change_and_collect))

    assert all(world.validate(version).values())
    promote(world.database, "main", version.version_id)
    assert "a.md" in world.paths("alpha that no version has shown", mode="lexical")


def test_a_run_that_counted_on_chunks_of_a_purged_document_makes_them_anew(world: Workspace) -> None:
    (world.folder / "notes" / "same.md").write_text(NEW)
    at = At("prepare", lambda: purge(world))

    report = world.ingest("notes", progress=at)

    assert report.sound
    assert isinstance(at.result, Purged)
    world.publish()
    assert "same.md" in world.paths("quetzalcoatlus", mode="lexical")


def before(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType | type, name: str, act: Callable[[], object]
) -> list[object]:
    """Do something once, before a function of a module or class is called; the list takes its result."""
    called = getattr(module, name)
    results: list[object] = []

    def first(*arguments: object, **options: object) -> object:
        if not results:
            results.append(None)
            results[0] = act()
        return called(*arguments, **options)

    monkeypatch.setattr(module, name, first)
    return results


def test_a_run_that_counted_on_bytes_of_a_purged_document_stores_them_again(
    world: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (world.folder / "notes" / "same.md").write_text(NEW)
    purges = before(monkeypatch, loading, "put_documents", lambda: purge(world))

    assert world.ingest("notes").sound

    assert isinstance(purges[0], Purged)
    assert purges[0].removed["blobs"] == 4
    check_whole(world)


def test_a_run_that_counted_on_vectors_of_a_purged_document_embeds_them_again(
    world: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (world.folder / "notes" / "same.md").write_text(f"---\nauthor: somebody\n---\n{NEW}")
    purges = before(monkeypatch, commit, "_put_parses", lambda: purge(world))

    report = world.ingest("notes")

    assert isinstance(purges[0], Purged)
    assert purges[0].removed["vectors"] == 2
    assert (report.vectors_reused, report.embedded) == (1, 1)
    check_whole(world)


def test_a_deleted_document_whose_grace_is_over_is_erased_beside_a_run(world: Workspace) -> None:
    world.document["sources"]["docs"]["grace"] = "0s"
    (world.folder / "notes" / "m.md").write_text("# M\n\nMu.")
    at = At("prepare", lambda: collect_garbage(world.database, world.settings))

    world.ingest("notes", progress=at)

    assert "quetzalcoatlus" not in everything(world)
