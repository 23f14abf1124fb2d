"""What becomes of documents by the labels that their source gives, and who approves a source first."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from typer.testing import Result

from rag_pipelines.errors import BudgetError, ConfigError
from rag_pipelines.retention.garbage import collect_garbage
from rag_pipelines.sync.plan import apply_plan, plan_source
from rag_pipelines_tests.integration.governed import Rows
from rag_pipelines_tests.integration.workspace import Workspace

POLICY = {
    "policy": {
        "public": "index",
        "staff": {"action": "restrict", "access": ["group:staff"]},
        "secret": "drop",
    }
}


@pytest.fixture
def rows(workspace: Workspace) -> Rows:
    made = Rows(workspace, labels=POLICY)
    made.put("a", label="public")
    return made


def withheld(rows: Rows) -> dict[str, tuple[str, str | None]]:
    found = rows.workspace.rows("SELECT external_id, cause, label FROM rag.withheld")
    return {row["external_id"]: (row["cause"], row["label"]) for row in found}


def test_each_label_does_what_the_policy_says_and_an_unknown_one_is_closed(rows: Rows) -> None:
    rows.put("b", label="Staff")
    rows.put("c", label="secret")
    rows.put("d", label="for-the-board")

    report = rows.workspace.ingest()
    rows.workspace.publish()

    assert report.changes == {"added": 2, "withheld": 2}
    assert withheld(rows) == {"c": ("label", "secret"), "d": ("unknown_label", "for-the-board")}
    assert rows.workspace.stored() == {"a", "b"}
    assert rows.found() == {"a"}
    assert rows.found(principals=["group:staff"]) == {"a", "b"}


def test_the_content_of_what_is_withheld_is_not_even_loaded(rows: Rows) -> None:
    for one in "abcd":
        rows.put(one, label="secret")
    report = rows.workspace.ingest()
    assert (report.bytes_loaded, report.listed) == (0, 4)
    planned = plan_source(rows.workspace.runtime, "docs")
    assert planned.bytes_loaded == 0


def test_a_change_of_label_alone_hides_at_once_and_comes_back_without_reading(rows: Rows) -> None:
    rows.workspace.refresh()
    assert rows.found() == {"a", "b", "c", "d"}

    rows.put("b", label="secret")
    hidden = rows.workspace.ingest()
    assert (hidden.changes["withheld"], rows.found()) == (1, {"a", "c", "d"})
    assert rows.workspace.ingest(list_all=True).changes == {"unchanged": 4}

    rows.put("b", label="public")
    back = rows.workspace.ingest()
    assert (back.changes["restored"], back.parsed, back.embedded) == (1, 0, 0)
    assert rows.found() == {"a", "b", "c", "d"}
    assert withheld(rows) == {}


def test_a_label_that_restricts_takes_effect_without_parsing_again(rows: Rows) -> None:
    rows.workspace.refresh()
    rows.put("c", label="staff")
    report = rows.workspace.ingest()
    assert (report.parsed, report.chunks, report.embedded) == (0, 0, 0)
    assert rows.found() == {"a", "b", "d"}
    assert rows.found(principals=["group:staff"]) == {"a", "b", "c", "d"}


def test_hiding_by_label_does_not_wait_for_a_person_whatever_the_guard(rows: Rows) -> None:
    rows.workspace.refresh()
    rows.source["delete_guard"] = {"share": 0.0, "documents": 0}
    for one in "abc":
        rows.put(one, label="secret")
    report = rows.workspace.ingest()
    assert (report.parked_deletes, rows.found()) == (0, {"d"})


def test_a_changed_policy_takes_effect_though_no_document_changed(rows: Rows) -> None:
    rows.workspace.refresh()
    rows.source["labels"] = {"policy": {"public": "drop"}, "unlabelled": "drop"}
    assert rows.workspace.ingest().changes["withheld"] == 4
    assert rows.found() == set()
    del rows.source["labels"]
    assert rows.workspace.ingest().changes["restored"] == 4
    assert (rows.found(), withheld(rows)) == ({"a", "b", "c", "d"}, {})


def test_what_is_withheld_is_purged_after_the_grace_and_is_no_drift(
    rows: Rows, call: Callable[..., Result]
) -> None:
    rows.source["grace"] = "0s"
    rows.workspace.refresh()
    rows.put("b", label="secret")
    rows.workspace.ingest()
    rows.workspace.publish()
    assert collect_garbage(rows.workspace.database, rows.workspace.settings).documents == 1
    verified = call("verify", "docs")
    assert verified.exit_code == 0, verified.output
    rows.drop("b")
    rows.workspace.ingest(list_all=True)
    assert withheld(rows) == {}


def test_only_labels_with_the_prefix_count(rows: Rows) -> None:
    rows.source["labels"] = {"prefix": "class-", "policy": {"class-open": "index", "class-secret": "drop"}}
    rows.put("a", label="meeting-notes")
    rows.put("b", label="class-open")
    rows.put("c", label="CLASS-SECRET")
    rows.put("d", label="class-odd")
    rows.workspace.ingest()
    assert withheld(rows) == {"c": ("label", "class-secret"), "d": ("unknown_label", "class-odd")}


def test_status_says_what_is_withheld_and_why(rows: Rows, call: Callable[..., Result]) -> None:
    rows.put("b", label="secret")
    rows.put("c", label="odd")
    rows.workspace.ingest()
    shown = call("status")
    assert "1 listed document withheld, their label is 'secret'" in shown.output
    assert "the policy does not know their label 'odd'" in shown.output
    told = json.loads(call("status", "--json").output)["sources"][0]["withheld"]
    assert sorted(told.values()) == [1, 1]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"policy": {"x": "restrict"}}, "'access' (a list of principals)"),
        ({"policy": {"x": "index", "X": "drop"}}, "differ in more than their case"),
        ({"prefix": "class-", "policy": {"secret": "drop"}}, "begin with the prefix"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(rows: Rows, labels: object, words: str) -> None:
    rows.source["labels"] = labels
    with pytest.raises(ConfigError, match="labels") as refused:
        _ = rows.workspace.settings
    assert words in str(refused.value)


@pytest.mark.parametrize("marked", [{"approval": "required"}, {"sensitivity": "high"}])
def test_the_first_plan_of_a_marked_source_waits_for_a_person(rows: Rows, marked: dict[str, str]) -> None:
    rows.source.update(marked)
    with pytest.raises(BudgetError, match="no plan of it was approved yet"):
        rows.workspace.ingest()
    assert rows.workspace.stored() == set()
    (plan,) = rows.workspace.rows("SELECT plan_id, state FROM rag.plan")
    assert plan["state"] == "parked"

    apply_plan(rows.workspace.runtime, plan["plan_id"])

    assert rows.workspace.stored() == {"a", "b", "c", "d"}
    rows.put("a", text="The albatross has changed.")
    assert rows.workspace.ingest().changes["changed"] == 1


def test_a_sensitive_source_may_say_that_nobody_approves_it(rows: Rows) -> None:
    rows.source.update(sensitivity="high", approval="none")
    assert rows.workspace.ingest().changes["added"] == 4
