"""Documents past their retention are planned, guarded, restored within the grace, not taken up again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import Result

from rag_pipelines.retention.garbage import collect_garbage
from rag_pipelines.sync.deletions import approve, list_deletions, reject
from rag_pipelines.sync.plan import plan_source
from rag_pipelines_tests.integration.governed import Rows, days_ago
from rag_pipelines_tests.integration.workspace import Workspace


@pytest.fixture
def rows(workspace: Workspace) -> Rows:
    """Four rows, of which two were last changed eight years ago."""
    made = Rows(workspace)
    for one in "ab":
        made.put(one, modified_at=days_ago(8 * 366))
    return made


def expire(rows: Rows, **retention: str) -> None:
    rows.source["retention"] = {"max_age": "7y", **retention}


def test_a_plan_shows_what_is_past_its_retention_and_a_run_deletes_it(rows: Rows) -> None:
    rows.workspace.refresh()
    expire(rows)
    plan = plan_source(rows.workspace.runtime, "docs")
    assert plan.changes["expired"] == 2
    assert rows.found() == {"a", "b", "c", "d"}

    report = rows.workspace.ingest()

    assert (report.changes["expired"], report.samples["expired"]) == (2, ["a", "b"])
    assert rows.found() == {"c", "d"}
    assert rows.workspace.ingest(list_all=True).changes == {"unchanged": 4}


def test_what_is_too_old_from_the_first_is_never_loaded(rows: Rows) -> None:
    expire(rows)
    assert rows.workspace.ingest().changes == {"added": 2, "withheld": 2}
    assert rows.workspace.stored() == {"c", "d"}


def test_age_counts_although_nothing_was_listed_anew(rows: Rows) -> None:
    rows.workspace.refresh()
    expire(rows)
    rows.source["retention"]["max_age"] = "9y"
    assert "expired" not in rows.workspace.ingest().changes
    rows.workspace.rows("UPDATE rag.document SET modified_at = now() - interval '10 years' RETURNING 1")
    assert rows.workspace.ingest().changes["expired"] == 4


def test_above_the_guard_a_person_decides_and_a_rejection_holds(rows: Rows) -> None:
    rows.workspace.refresh()
    rows.source["delete_guard"] = {"share": 0.1, "documents": 1}
    expire(rows)

    parked = rows.workspace.ingest()

    assert parked.parked_deletes == 2
    assert "2 of 4 documents are past their retention" in parked.notes[0]
    with rows.workspace.database.connection() as connection:
        (waiting,) = list_deletions(connection)
    assert (waiting.cause, waiting.waiting, rows.found()) == ("retention", 2, {"a", "b", "c", "d"})
    again = rows.workspace.ingest()
    assert (again.parked_deletes, again.waiting_deletes) == (0, 2)
    assert "past retention" in again.notes[0]

    reject(rows.workspace.database, waiting.deletion_id, reason="they are still used")
    assert rows.workspace.ingest(list_all=True).changes == {"unchanged": 4}
    assert rows.found() == {"a", "b", "c", "d"}

    approve(rows.workspace.database, waiting.deletion_id, reason="not any more")
    assert rows.found() == {"c", "d"}
    assert rows.workspace.ingest(list_all=True).changes == {"unchanged": 4}
    assert rows.found() == {"c", "d"}
    reject(rows.workspace.database, waiting.deletion_id, reason="after all")
    assert rows.found() == {"a", "b", "c", "d"}
    assert rows.workspace.ingest(list_all=True).changes == {"unchanged": 4}


def test_what_waits_and_is_allowed_is_deleted(rows: Rows) -> None:
    rows.workspace.refresh()
    rows.source["delete_guard"] = {"share": 0.1, "documents": 1}
    expire(rows)
    rows.workspace.ingest()
    assert rows.workspace.ingest(allow_deletes=True).changes["expired"] == 2
    with rows.workspace.database.connection() as connection:
        assert list_deletions(connection) == []


def test_a_longer_retention_brings_back_within_the_grace_without_reading(rows: Rows) -> None:
    rows.workspace.refresh()
    expire(rows)
    rows.workspace.ingest()
    rows.source["retention"]["max_age"] = "20y"
    report = rows.workspace.ingest()
    assert (report.changes["restored"], report.parsed, report.embedded) == (2, 0, 0)
    assert rows.found() == {"a", "b", "c", "d"}


def test_after_the_grace_it_is_purged_and_verify_misses_nothing(
    rows: Rows, call: Callable[..., Result]
) -> None:
    rows.source["grace"] = "0s"
    rows.workspace.refresh()
    expire(rows)
    rows.workspace.refresh()
    assert collect_garbage(rows.workspace.database, rows.workspace.settings).documents == 2
    verified = call("verify", "docs")
    assert verified.exit_code == 0, verified.output


def test_a_label_has_its_own_retention_and_basis(rows: Rows) -> None:
    contract = {"action": "index", "retention": {"max_age": "10y", "basis": "created_at"}}
    rows.source["labels"] = {"policy": {"contract": contract}}
    rows.put("a", label="contract", created_at=days_ago(9 * 366))
    rows.put("c", label="Contract", created_at=days_ago(11 * 366))
    expire(rows)
    assert rows.workspace.ingest().changes == {"added": 2, "withheld": 2}
    assert rows.workspace.stored() == {"a", "d"}


def test_an_age_that_no_source_tells_counts_from_when_it_was_stored(rows: Rows) -> None:
    expire(rows, basis="created_at")
    assert rows.workspace.ingest().changes == {"added": 4}
    rows.workspace.rows("UPDATE rag.document SET created_at = now() - interval '8 years' RETURNING 1")
    assert rows.workspace.ingest().changes["expired"] == 4
