"""The tool that tries a real source: silent where all is as assumed, plain where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rag_pipelines.connectors.base import (
    Capabilities,
    Complete,
    Entry,
    Failure,
    Finding,
    Group,
    Item,
    Options,
    Window,
)
from rag_pipelines.connectors.base import Connector as Base
from rag_pipelines.errors import FetchError
from rag_pipelines.model import AccessRule
from rag_pipelines_tests.integration.workspace import Workspace
from tools.try_source import differences


def test_a_source_as_assumed_has_no_differences(workspace: Workspace, capsys: pytest.CaptureFixture) -> None:
    workspace.write("a.md", "# Leave")
    workspace.write("b.txt", "Travel")
    with_connector = workspace.settings.connector("docs")
    assert list(differences(with_connector, 10)) == []
    assert "loaded 2 documents, 13 bytes" in capsys.readouterr().out


class Odd(Base):
    """A source with one fault of each kind."""

    kind = "odd"
    options_type = Options
    capabilities = Capabilities(lookup=True, groups=True)

    def __init__(self) -> None:
        super().__init__("docs", Options())
        self._listings = 0

    def check(self) -> list[Finding]:
        return [Finding("scope", False, "Sites.Read.All is missing")]

    def items(self, window: Window = Window()) -> Iterator[Entry]:
        self._listings += 1
        rule = AccessRule(clauses=(("group:acme/none",),))
        for name in ("a", "b", "a"):
            token = f"{self._listings}" if name == "b" else "1"
            load: Any = (lambda: b"four") if name == "a" else self._broken
            yield Item(external_id=name, token=token, load=load, size=5, access=rule)
        yield Failure(error=FetchError("hidden"), entity="folder")
        yield Complete(3, full=False)

    def existing(self, ids: Any) -> set[str]:
        return {"a", "no-such-id"}

    def groups(self) -> Iterator[Group | Failure | Complete]:
        yield Complete(0)

    def _broken(self) -> bytes:
        raise FetchError("gone")


@pytest.mark.parametrize(
    "told",
    [
        "check: scope: Sites.Read.All is missing",
        "1 ids are listed twice",
        "the marker says 3 documents, 2 were named",
        "not listed: folder: FetchError: hidden",
        "1 have another token in a second listing, such as ['b']",
        "1 of 2 listed ids do not exist when asked for, such as ['b']",
        "an id that nobody has exists when asked for",
        "not loaded: b: FetchError: gone",
        "a was listed with 5 bytes and has 4",
        "1 groups that rules name are not listed, such as ['group:acme/none']",
    ],
)
def test_each_difference_is_told(told: str) -> None:
    assert told in list(differences(Odd(), 10))
