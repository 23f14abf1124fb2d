"""A document whose newer bytes cannot be read goes on with its last good text, says so, and not for ever."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from rag_pipelines.cli.main import main
from rag_pipelines.sync.report import SyncReport
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.workspace import Workspace

GOOD_DAY = datetime(2026, 11, 2, 12, tzinfo=UTC)
BROKEN = bytes(range(256)) * 8


def fill_served(workspace: Workspace) -> None:
    """Two documents of 2 November 2026, published."""
    for name in ("a.txt", "b.txt"):
        workspace.write(name, f"Alpha beta of {name}.")
        os.utime(workspace.docs / name, (GOOD_DAY.timestamp(),) * 2)
    workspace.refresh()


@pytest.fixture
def served(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_served).lend() as lent:
        yield lent


def break_document(workspace: Workspace, content: bytes = BROKEN) -> SyncReport:
    workspace.write("a.txt", content)
    return workspace.ingest()


def texts(workspace: Workspace, **options: object) -> dict[str, datetime | None]:
    """The day of the text of each document that a search finds."""
    return {hit.path: hit.text_of for hit in workspace.search("alpha beta", **options)}


def make_unread_for(workspace: Workspace, days: int) -> None:
    workspace.rows(
        "UPDATE rag.document SET unread_since = now() - make_interval(days => %s) WHERE text_of IS NOT NULL"
        " RETURNING document_id",
        days,
    )


def run(workspace: Workspace, *arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["--config", str(workspace.config_file), *arguments])
    return int(ended.value.code or 0)


def test_hits_status_and_quarantine_say_of_when_the_text_is(
    served: Workspace, capsys: pytest.CaptureFixture[str]
):
    assert texts(served) == {"a.txt": None, "b.txt": None}

    break_document(served)

    assert texts(served) == {"a.txt": GOOD_DAY, "b.txt": None}
    served.publish()
    assert texts(served) == {"a.txt": GOOD_DAY, "b.txt": None}
    run(served, "status")
    assert "docs: 1 document served with an earlier text" in capsys.readouterr().err
    run(served, "quarantine", "list", "--json")
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry["text_of"].startswith("2026-11-02T12:00")
    run(served, "quarantine", "list")
    assert "text of 2026-11-02" in capsys.readouterr().out
    run(served, "query", "alpha beta")
    assert "text of 2026-11-02; the newer bytes cannot be read" in capsys.readouterr().out


def test_bytes_that_are_broken_once_more_leave_the_day_of_the_text(
    served: Workspace,
):
    break_document(served)
    (before,) = served.rows("SELECT text_of, unread_since FROM rag.document WHERE text_of IS NOT NULL")

    break_document(served, BROKEN[1:])

    assert served.rows("SELECT text_of, unread_since FROM rag.document WHERE text_of IS NOT NULL") == [before]


def test_bytes_that_can_be_read_again_end_it(served: Workspace):
    break_document(served)
    served.write("a.txt", "Alpha beta, mended.")
    served.refresh()

    assert texts(served) == {"a.txt": None, "b.txt": None}
    assert served.rows("SELECT FROM rag.document WHERE text_of IS NOT NULL OR unread_since IS NOT NULL") == []


def test_a_document_that_never_had_a_text_has_no_last_one(served: Workspace):
    served.write("c.txt", BROKEN)
    served.ingest()
    served.write("c.txt", BROKEN[1:])
    served.ingest()

    assert served.rows("SELECT FROM rag.document WHERE text_of IS NOT NULL OR unread_since IS NOT NULL") == []


def test_after_its_time_the_text_leaves_the_index(served: Workspace):
    served.document["sources"]["docs"]["quarantine"] = {"keep_text": "30d"}
    break_document(served)
    make_unread_for(served, days=29)
    served.refresh()
    assert set(texts(served)) == {"a.txt", "b.txt"}

    make_unread_for(served, days=31)
    served.refresh()

    assert set(texts(served)) == {"b.txt"}
    assert served.stored() == {"a.txt", "b.txt"}
    served.write("a.txt", "Alpha beta, mended.")
    served.refresh()
    assert texts(served) == {"a.txt": None, "b.txt": None}


def test_a_deletion_takes_effect_at_once_whatever_text_is_served(served: Workspace):
    break_document(served)
    (served.docs / "a.txt").unlink()
    served.ingest(allow_deletes=True)

    assert set(texts(served)) == {"b.txt"}


@pytest.mark.parametrize("together", [True, False], ids=["with the broken bytes", "after them"])
def test_a_change_of_access_takes_effect_at_once_whatever_text_is_served(served: Workspace, together: bool):
    if not together:
        break_document(served)
    served.write("a.txt.access.yaml", "allow: [group:staff]\n")
    break_document(served)

    assert set(texts(served)) == {"b.txt"}
    assert set(texts(served, principals=["group:staff"])) == {"a.txt", "b.txt"}


def test_what_only_the_newer_access_allows_is_not_the_older_text(served: Workspace):
    served.write("a.txt.access.yaml", "allow: [group:staff]\n")
    served.ingest()
    (served.docs / "a.txt.access.yaml").unlink()
    break_document(served)

    assert set(texts(served)) == {"b.txt"}
