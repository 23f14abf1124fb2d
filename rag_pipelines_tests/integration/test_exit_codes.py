"""Nothing that failed ends with 0: what commands over sources end with when a part of their work failed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import Result

from rag_pipelines.connectors.registry import connector_class
from rag_pipelines.sync.report import SyncReport
from rag_pipelines_tests.integration.workspace import Workspace

Call = Callable[..., Result]

pytestmark = pytest.mark.usefixtures("suites_run_here")


@pytest.fixture
def half(workspace: Workspace) -> Workspace:
    """A workspace with a good document and one that cannot be read."""
    workspace.write("good.md", "# Good\n\nAlpha.")
    workspace.write("bad.pdf", b"%PDF-1.7\nthis is not a pdf")
    return workspace


def test_a_plan_with_documents_that_would_fail_ends_as_its_ingest_would(half: Workspace, call: Call) -> None:
    planned = call("plan")
    assert planned.exit_code == 3
    assert "1 document would fail" in planned.stderr
    assert call("apply", "1").exit_code == 3


def test_a_backfill_with_documents_that_failed_ends_with_3_and_says_so(half: Workspace, call: Call) -> None:
    result = call("backfill")
    assert result.exit_code == 3
    assert "1 document failed; see: rag-pipelines quarantine list --source docs" in result.stderr


def test_a_source_whose_connector_cannot_be_made_fails_the_check_and_not_those_after_it(
    half: Workspace, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rag_pipelines.config.settings import Settings
    from rag_pipelines.errors import ConfigError

    half.document["sources"]["zoo"] = half.document["sources"]["docs"]
    make = Settings.connector

    def refusing(self: Settings, source: str):  # type: ignore[no-untyped-def]
        if source == "docs":
            raise ConfigError("the driver is not installed")
        return make(self, source)

    monkeypatch.setattr(Settings, "connector", refusing)
    result = call("source", "check")
    assert result.exit_code == 2
    assert "error: docs: the driver is not installed" in result.stderr
    assert "zoo root" in result.stdout


@pytest.mark.parametrize(
    ("report", "sound"),
    [
        (SyncReport("docs", changes={"added": 3}, statuses={"ok": 2, "empty": 1}), True),
        (SyncReport("docs", outcome="partial"), True),
        (SyncReport("docs", changes={"failed": 1}), False),
        (SyncReport("docs", statuses={"ok": 2, "encrypted": 1}), False),
        (SyncReport("docs", incomplete=True), False),
        (SyncReport("docs", outcome="failed"), False),
    ],
)
def test_a_report_is_sound_when_nothing_failed_and_nothing_was_missed(
    report: SyncReport, sound: bool
) -> None:
    assert report.sound is sound
    assert report.followed_by(SyncReport("docs")).sound is sound


def test_groups_that_could_not_be_read_make_a_run_incomplete(workspace: Workspace, call: Call) -> None:
    """The filesystem has no groups of its own, so it is given some that cannot be listed."""
    connector = connector_class("filesystem")
    workspace.write("good.md", "# Good\n\nAlpha.")
    able = connector.capabilities

    def groups(self: object):  # type: ignore[no-untyped-def]
        raise OSError("the directory does not answer")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connector, "capabilities", type(able)(permissions=True, lookup=True, groups=True))
        patch.setattr(connector, "groups", groups)
        result = call("ingest")
    assert result.exit_code == 3
    assert "the directory does not answer" in result.stderr
