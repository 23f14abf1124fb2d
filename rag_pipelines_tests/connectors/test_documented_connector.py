"""The connector of docs/extend/write-a-connector.md keeps every promise of the kit, as that page says.

What belongs here: taking the page's code and running it. What does not: any promise (`test_conformance`).
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest

from rag_pipelines.connectors import registry

PAGE = Path(__file__).parents[2] / "docs" / "extend" / "write-a-connector.md"
BLOCKS = dict(
    re.findall(
        r'^```python title="([^"]+)"\n(.*?)^```$', PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
)


def _module(name: str, code: str) -> ModuleType:
    """The code of a block as the module that it would be in a package of its own."""
    made = ModuleType(name)
    sys.modules[name] = made
    exec(compile(code, f"{PAGE.name}:{name}", "exec"), made.__dict__)
    return made


_module("acme_connectors", "")
_module("acme_connectors.notes", BLOCKS["acme_connectors/notes.py"])
POINT = EntryPoint("notes", "acme_connectors.notes:NotesConnector", registry.ENTRY_POINT_GROUP)


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's package is installed: its entry point is there."""
    monkeypatch.setattr(
        registry,
        "entry_points",
        lambda group, name=None: [POINT] if group == POINT.group and name in (None, POINT.name) else [],
    )


def test_the_kind_is_known_like_a_built_in_one() -> None:
    assert "notes" in registry.kinds()
    assert registry.connector_class("notes").__name__ == "NotesConnector"


# The page's own test module, as it stands there: its world, its fixture, and the promises that it imports.
globals().update(
    {
        name: value
        for name, value in vars(_module("acme_connectors.test_notes", BLOCKS["tests/test_notes.py"])).items()
        if name == "world" or name.startswith("test_")
    }
)
# These are about the connectors of the repository.
for _name in (
    "test_what_is_not_applicable_names_a_promise_and_a_reason",
    "test_every_capability_is_declared_by_some_connector",
):
    globals().pop(_name, None)
