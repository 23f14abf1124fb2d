"""Gives each conformance test its world, and prints which promises do not apply where."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_pipelines_tests.connectors.conformance import World
from rag_pipelines_tests.connectors.worlds import WORLDS

NOT_APPLICABLE = "not applicable"


@pytest.fixture(params=WORLDS, ids=lambda world: world.name)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """An empty source of each kind; skips what its kind declares as not applicable."""
    kind: type[World] = request.param
    reason = kind.not_applicable.get(request.node.originalname)
    if reason:
        pytest.skip(f"{NOT_APPLICABLE}: {kind.name}: {request.node.originalname}: {reason}")
    made = kind.build(tmp_path, request)
    yield made
    made.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = {report.longrepr[2] for report in terminalreporter.stats.get("skipped", ())}
    ours = sorted(reason.removeprefix("Skipped: ") for reason in reasons if NOT_APPLICABLE in reason)
    if ours:
        terminalreporter.section("connector conformance: not applicable")
        for reason in ours:
            terminalreporter.line(reason.removeprefix(f"{NOT_APPLICABLE}: "))
