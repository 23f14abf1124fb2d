"""A plan that is stored says what a run does, is applied exactly as it was made, or is refused."""

from __future__ import annotations

from typing import Any

import pytest

from rag_pipelines.errors import BudgetError, DriftError, UsageError
from rag_pipelines.sync.plan import SyncPlan, apply_plan, plan_source, waiting_plans
from rag_pipelines.sync.report import SyncReport
from rag_pipelines.sync.scope import Scope
from rag_pipelines_tests.integration.workspace import Workspace


def plan(workspace: Workspace, **scope: Any) -> SyncPlan:
    return plan_source(workspace.runtime, "docs", Scope(**scope))


def apply(workspace: Workspace, made: SyncPlan) -> SyncReport:
    assert made.plan_id is not None
    return apply_plan(workspace.runtime, made.plan_id)


def budget(workspace: Workspace, **limits: float) -> None:
    workspace.document["sources"]["docs"]["budget"] = limits


def planned_changes(workspace: Workspace, made: SyncPlan) -> dict[str, str]:
    rows = workspace.rows(f"SELECT external_id, change FROM rag.plan_change WHERE plan_id = {made.plan_id}")
    return {row["external_id"]: row["change"] for row in rows}


def start(workspace: Workspace) -> None:
    for name in ("same", "edited", "gone", "moved", "closed"):
        workspace.write(f"{name}.md", f"# {name}\n\nAlpha of {name}.")
    workspace.refresh()


def change_everything(workspace: Workspace) -> None:
    workspace.write("edited.md", "# edited\n\nAlpha, edited.")
    workspace.write("new.md", "# new\n\nAlpha, new.")
    workspace.write("broken.pdf", b"%PDF-1.7 nothing")
    workspace.write("closed.md.access.yaml", "allow: [group:hr]")
    (workspace.docs / "gone.md").unlink()
    (workspace.docs / "moved.md").rename(workspace.docs / "elsewhere.md")


def test_every_changed_document_is_in_the_plan_by_its_kind_of_change(workspace: Workspace) -> None:
    start(workspace)
    change_everything(workspace)
    made = plan(workspace)
    assert planned_changes(workspace, made) == {
        "edited.md": "changed",
        "new.md": "added",
        "broken.pdf": "added",
        "closed.md": "access_only",
        "gone.md": "deleted",
        "elsewhere.md": "moved",
    }
    assert made.bytes_loaded > 0
    assert made.tokens > 0
    assert made.embed_seconds is not None


def test_applying_a_plan_does_what_it_says_and_marks_it(workspace: Workspace) -> None:
    start(workspace)
    change_everything(workspace)
    made = plan(workspace)
    report = apply(workspace, made)
    assert report.changes == made.changes
    assert (report.embedded, report.tokens) == (made.chunks, made.tokens)
    assert workspace.stored() == {"same.md", "edited.md", "new.md", "broken.pdf", "closed.md", "elsewhere.md"}
    assert workspace.ingest().touched == 0
    with pytest.raises(UsageError, match=f"plan {made.plan_id} is applied"):
        apply(workspace, made)


def test_a_plan_is_refused_with_the_difference_when_the_source_drifted(workspace: Workspace) -> None:
    start(workspace)
    change_everything(workspace)
    made = plan(workspace)
    before = workspace.rows("SELECT external_id, state, raw_sha256, access_id FROM rag.document ORDER BY 1")
    workspace.write("late.md", "# late\n\nAlpha, too late.")
    workspace.write("new.md", "# new\n\nAnother text than the planned one.")
    workspace.write("same.md.access.yaml", "allow: [group:board]")
    with pytest.raises(DriftError) as refused:
        apply(workspace, made)
    message = str(refused.value)
    assert "3 documents differ" in message
    assert "late.md: planned no change, now added" in message
    assert "new.md: planned added, now added in another way" in message
    assert "same.md: planned no change, now access_only" in message
    after = workspace.rows("SELECT external_id, state, raw_sha256, access_id FROM rag.document ORDER BY 1")
    assert after == before
    assert [one.plan_id for one in waiting(workspace)] == [made.plan_id]


def waiting(workspace: Workspace) -> list[SyncPlan]:
    with workspace.database.connection() as connection:
        return waiting_plans(connection)


def test_an_entity_that_fails_while_a_plan_is_applied_stays_in_quarantine(workspace: Workspace) -> None:
    workspace.write("a.md", "# A\n\nAlpha.")
    workspace.write("a.md.access.yaml", "nonsense: [")
    made = plan(workspace)
    apply(workspace, made)
    assert workspace.rows("SELECT entity, stage FROM rag.quarantine") == [
        {"entity": "a.md.access.yaml", "stage": "list"}
    ]


def test_a_plan_is_refused_when_the_configuration_is_another_one(workspace: Workspace) -> None:
    start(workspace)
    change_everything(workspace)
    made = plan(workspace)
    workspace.document["profiles"]["chunking"] = {"default": {"max_tokens": 64}}
    with pytest.raises(DriftError, match="configuration"):
        apply(workspace, made)


def test_a_newer_plan_takes_the_place_of_one_that_waits(workspace: Workspace) -> None:
    start(workspace)
    first = plan(workspace)
    second = plan(workspace)
    assert [one.plan_id for one in waiting(workspace)] == [second.plan_id]
    with pytest.raises(UsageError, match="superseded"):
        apply(workspace, first)


def test_a_plan_keeps_the_arguments_it_was_made_with(workspace: Workspace) -> None:
    workspace.document["sources"]["docs"]["delete_guard"] = {"share": 0.2, "documents": 2}
    start(workspace)
    for name in ("gone", "moved", "closed"):
        (workspace.docs / f"{name}.md").unlink()
    guarded = plan(workspace)
    assert (guarded.parked_deletes, guarded.changes.get("deleted")) == (3, None)
    made = plan(workspace, allow_deletes=True)
    assert made.changes["deleted"] == 3
    assert apply(workspace, made).changes["deleted"] == 3


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"documents": 1}, "2 documents added or changed, the budget is 1"),
        ({"tokens": 3}, "tokens to embed, the budget is 3"),
    ],
)
def test_a_plan_above_the_budget_is_parked_and_nothing_is_changed(
    workspace: Workspace, limits: dict[str, float], words: str
) -> None:
    budget(workspace, **limits)
    workspace.write("a.md", "# A\n\nAlpha.")
    workspace.write("b.md", "# B\n\nBeta.")
    with pytest.raises(BudgetError, match=words) as refused:
        workspace.ingest()
    assert workspace.stored() == set()
    (parked,) = waiting(workspace)
    assert f"rag-pipelines apply {parked.plan_id}" in str(refused.value)
    assert apply(workspace, parked).changes == {"added": 2}
    assert workspace.rows("SELECT action FROM rag.audit") == [{"action": "plan applied"}]


def test_a_plan_is_priced_by_its_model_and_parked_above_the_money(workspace: Workspace) -> None:
    workspace.document["profiles"]["embedding"]["default"] = {
        "provider": "openai",
        "model": "text-embedding-3-small",
        "base_url": "http://127.0.0.1:9/v1",
        "api_key": "unused",
        "dimensions": 64,
        "price_per_million_tokens": 100.0,
    }
    budget(workspace, cost=0.0001)
    workspace.write("a.md", "# A\n\nAlpha.")
    with pytest.raises(BudgetError, match=r"cost, the budget is 0\.0001"):
        workspace.ingest()
    (parked,) = waiting(workspace)
    assert parked.cost == pytest.approx(parked.tokens * 100.0 / 1e6, abs=1e-6)


def test_a_run_within_its_budget_goes_on(workspace: Workspace) -> None:
    budget(workspace, documents=2, tokens=10_000, cost=1.0)
    workspace.write("a.md", "# A\n\nAlpha.")
    workspace.write("b.md", "# B\n\nBeta.")
    assert workspace.ingest().changes == {"added": 2}
    workspace.write("c.md", "# C\n\nGamma.")
    assert workspace.ingest().changes == {"unchanged": 2, "added": 1}
