"""Fixtures: every kept release in turn, restored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_pipelines_tests.upgrade.restored import RELEASES, Restored


@pytest.fixture(params=RELEASES)
def restored(request: pytest.FixtureRequest, tmp_path: Path, empty_database_url: str) -> Iterator[Restored]:
    """A release's pipeline as its own code left it."""
    made = Restored(request.param, tmp_path, empty_database_url)
    yield made
    made.close()
