"""The floors of the house: imports between packages run downwards, and nothing imports in a circle.

Imports inside functions and under ``TYPE_CHECKING`` count like any other.
"""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

import grimp
import pytest

PACKAGE = "rag_pipelines"

FLOORS: tuple[frozenset[str], ...] = tuple(
    frozenset(floor.split())
    for floor in (
        "definitions cli pipeline",
        "orchestration serving adapters",
        "audit backup verification retention",
        "monitoring knowledge",
        "gates",
        "evaluation",
        "query",
        "index quality",
        "sync triggers",
        "runtime",
        "store",
        "config",
        "connectors embedding workers",
        "chunking client parsing http privacy",
        "errors model fingerprint provenance text batching progress logs parameters secrets stored demo "
        "tracing otlp",
    )
)
"""From the top to the ground. A package may import what lies on a lower floor, and its neighbours."""


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(PACKAGE, cache_dir=None)


def test_every_package_stands_on_a_floor(graph: grimp.ImportGraph):
    standing = {child.removeprefix(f"{PACKAGE}.") for child in graph.find_children(PACKAGE)}

    assert standing == frozenset().union(*FLOORS)


def test_no_import_runs_upwards(graph: grimp.ImportGraph):
    floor_of = {name: floor for floor, names in enumerate(FLOORS) for name in names}
    upwards = [
        f"{importer} -> {imported}"
        for importer, imported in _arrows(graph)
        if floor_of[_room(imported)] < floor_of[_room(importer)]
    ]

    assert upwards == []


def test_no_packages_import_each_other_in_a_circle(graph: grimp.ImportGraph):
    rooms: dict[str, set[str]] = {}
    for importer, imported in _arrows(graph):
        if _room(importer) != _room(imported):
            rooms.setdefault(_room(importer), set()).add(_room(imported))

    assert _circle(rooms) == []


def test_no_modules_import_each_other_in_a_circle(graph: grimp.ImportGraph):
    modules: dict[str, set[str]] = {}
    for importer, imported in _arrows(graph):
        modules.setdefault(importer, set()).add(imported)

    assert _circle(modules) == []


def test_only_the_shell_imports_dagster():
    graph = grimp.build_graph(PACKAGE, include_external_packages=True, cache_dir=None)
    importers = {_room(module) for module in graph.find_modules_that_directly_import("dagster")}

    assert importers == {"orchestration"}


def _arrows(graph: grimp.ImportGraph) -> list[tuple[str, str]]:
    """Every import below the package itself, whose front door may name what it likes."""
    return [
        (importer, imported)
        for importer in sorted(graph.modules - {PACKAGE})
        for imported in sorted(graph.find_modules_directly_imported_by(importer) - {PACKAGE})
    ]


def _room(module: str) -> str:
    return module.split(".")[1]


def _circle(arrows: dict[str, set[str]]) -> list[str]:
    """One circle of a graph, from its beginning round to it again; nothing where there is none."""
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []
