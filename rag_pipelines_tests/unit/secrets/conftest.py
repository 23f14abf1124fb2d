"""Each test begins with nothing remembered of any store."""

from __future__ import annotations

import pytest

from rag_pipelines.secrets import references


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_kept", "_origins", "_latest"):
        monkeypatch.setattr(references, name, {})
