"""The kit catches connectors that break what it promises.

What belongs here: broken connectors, each beside the case that has to fail. What does not: the cases.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rag_pipelines.connectors.base import Connector, Entry, Options, Window
from rag_pipelines_tests.connectors.memory_world import MemoryConnector, MemoryWorld, Page
from rag_pipelines_tests.connectors.test_conformance import (
    test_a_large_source_is_listed_in_full_in_little_memory as the_large_source,
)


class Collecting(MemoryConnector):
    """Makes its whole listing before it gives the first entry."""

    def items(self, window: Window = Window()) -> Iterator[Entry]:
        yield from list(super().items(window))


class Keeping(MemoryConnector):
    """Gives entries as it makes them, and keeps every one."""

    def items(self, window: Window = Window()) -> Iterator[Entry]:
        self.kept: list[Entry] = []
        for entry in super().items(window):
            self.kept.append(entry)
            yield entry


class Large(MemoryWorld):
    """A world that is made at once, read by a connector of the `reader` class."""

    reader: type[MemoryConnector] = MemoryConnector

    def connector(self) -> Connector:
        return self.reader("docs", Options(), self)

    def put_many(self, documents: Mapping[str, str]) -> None:
        at = datetime(2024, 1, 1, tzinfo=UTC)
        self.documents.update(documents)
        self.order = [
            (name, Page(name, text, edit, at)) for edit, (name, text) in enumerate(documents.items())
        ]

    def listed(self) -> list[tuple[str, Page]]:
        return getattr(self, "order", [])

    def id_of(self, name: str) -> str:
        return name


@pytest.mark.parametrize("reader", [Collecting, Keeping])
def test_a_connector_that_holds_its_whole_listing_fails_the_case_of_a_large_source(
    reader: type[MemoryConnector], tmp_path: Path
) -> None:
    world = Large(tmp_path)
    the_large_source(world)
    world = Large(tmp_path)
    world.reader = reader
    with pytest.raises(AssertionError):
        the_large_source(world)
