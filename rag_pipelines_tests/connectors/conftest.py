"""Gives each conformance test its world.

What belongs here: fixtures. What does not: promises, worlds, what a run reports (`table`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_pipelines_tests.connectors.conformance import NOT_APPLICABLE, Case, World
from rag_pipelines_tests.connectors.emptied import EmptiedDatabase
from rag_pipelines_tests.connectors.pipeline import Pipeline
from rag_pipelines_tests.connectors.worlds import WORLDS
from rag_pipelines_tests.databases import copied_database


@pytest.fixture(params=WORLDS, ids=lambda world: world.name)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """An empty source of each kind; skips what its kind declares as not applicable."""
    kind: type[World] = request.param
    marker = request.node.get_closest_marker("case")
    assert marker is not None, "a promise is marked with its case"
    case: Case = marker.args[0]
    request.node.user_properties.append(("conformance", (case.value, kind.name)))
    reason = kind.not_applicable.get(request.node.originalname) or kind.not_applicable.get(case)
    if reason:
        pytest.skip(f"{NOT_APPLICABLE}: {reason}")
    made = kind.build(tmp_path / "world", request)
    yield made
    made.close()


@pytest.fixture(scope="session")
def emptied_database(postgres: str, template_database: str) -> Iterator[EmptiedDatabase]:
    """One database for all promises of the engine, whose sessions have read the catalogue."""
    with copied_database(postgres, template_database) as url:
        made = EmptiedDatabase(url)
        yield made
        made.close()


@pytest.fixture
def pipeline(
    world: World, tmp_path: Path, emptied_database: EmptiedDatabase, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Pipeline]:
    """The engine on a world."""
    made = Pipeline(world, tmp_path / "pipeline", emptied_database, monkeypatch)
    yield made
    made.close()
