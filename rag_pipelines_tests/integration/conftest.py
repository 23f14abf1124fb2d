"""Fixtures of the integration tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rag_pipelines_tests.integration.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path, database_url: str) -> Iterator[Workspace]:
    """A pipeline of this test's own."""
    made = Workspace(tmp_path, database_url)
    yield made
    made.close()
