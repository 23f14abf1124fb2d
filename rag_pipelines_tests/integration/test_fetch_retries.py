"""A document that cannot be loaded is not asked for in every run: it has its time, and its limit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
import pytest

from rag_pipelines.connectors.base import Entry, Item, Window
from rag_pipelines.connectors.filesystem import FilesystemConnector
from rag_pipelines.errors import FetchError, RagError, TransientError
from rag_pipelines_tests.integration.workspace import Workspace


@dataclass
class Broken:
    """Fails to load ``bad.md`` with `error` as long as there is one, and counts the tries."""

    error: RagError | None = field(default_factory=lambda: FetchError("it is locked"))
    tries: int = 0


@pytest.fixture
def broken(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Broken:
    state = Broken()
    listing = FilesystemConnector.items

    def items(self: FilesystemConnector, window: Window = Window()) -> Iterator[Entry]:
        for entry in listing(self, window):
            if isinstance(entry, Item) and entry.external_id == "bad.md":
                entry = msgspec.structs.replace(entry, load=tried(entry))
            yield entry

    def tried(item: Item):  # type: ignore[no-untyped-def]
        def load() -> bytes:
            state.tries += 1
            if state.error is not None:
                raise state.error
            return item.load()

        return load

    monkeypatch.setattr(FilesystemConnector, "items", items)
    workspace.write("good.md", "# Good\n\nAlpha.")
    workspace.write("bad.md", "# Bad\n\nBeta.")
    return state


def pass_time(workspace: Workspace) -> None:
    with workspace.database.connection() as connection:
        connection.execute("UPDATE rag.quarantine SET next_try_at = next_try_at - interval '2 days'")


def test_it_is_tried_again_at_once_and_then_waits(workspace: Workspace, broken: Broken) -> None:
    for _ in range(4):
        report = workspace.ingest()
        assert report.changes["failed"] == 1
    assert broken.tries == 2
    pass_time(workspace)
    workspace.ingest()
    assert broken.tries == 3


def test_it_is_given_up_at_the_limit_unless_it_may_pass_by_itself(
    workspace: Workspace, broken: Broken
) -> None:
    for _ in range(5):
        workspace.ingest()
        pass_time(workspace)
    assert broken.tries == workspace.settings.source("docs").max_attempts == 3
    broken.error = TransientError("busy")
    workspace.write("bad.md", "# Bad\n\nGamma, edited.")
    for _ in range(5):
        workspace.ingest()
        pass_time(workspace)
    assert broken.tries == 8


def test_new_content_or_a_wish_opens_it_again(workspace: Workspace, broken: Broken) -> None:
    for _ in range(3):
        workspace.ingest()
    assert broken.tries == 2
    workspace.write("bad.md", "# Bad\n\nBeta, edited.")
    workspace.ingest()
    assert broken.tries == 3
    broken.error = None
    assert workspace.ingest(full=True).changes["added"] == 1
    assert workspace.rows("SELECT * FROM rag.quarantine") == []
