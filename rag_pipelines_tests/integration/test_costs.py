"""What models cost: kept by day, shown by what it was spent on, and limited by the month."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime

import pytest
from typer.testing import CliRunner

from rag_pipelines.cli.main import app
from rag_pipelines.errors import BudgetError
from rag_pipelines.monitoring.costs import FOCUS_COLUMNS, focus_rows, sum_spent
from rag_pipelines.store.ledger import Spent, spent_since, spent_this_month
from rag_pipelines.sync.plan import plan_within_budget
from rag_pipelines_tests.integration.workspace import Workspace

TODAY = datetime.now(UTC).date()


def ledger(workspace: Workspace) -> list[Spent]:
    with workspace.database.connection() as connection:
        return spent_since(connection, date(2000, 1, 1), date(2100, 1, 1))


def spent(**given: object) -> Spent:
    usual = Spent(
        date(2026, 2, 28),
        "ingest",
        "docs",
        "acme",
        ("main", "other"),
        "openai/small",
        10,
        2_500,
        1,
        1.5,
        0.05,
    )
    return Spent(**{name: given.get(name, getattr(usual, name)) for name in Spent.__struct_fields__})


def test_each_run_adds_what_its_model_read_to_the_row_of_its_source_and_tenant(workspace: Workspace) -> None:
    workspace.document["indexes"]["second"] = {"sources": ["docs"]}
    workspace.document["sources"]["docs"]["tenant"] = "acme"
    workspace.write("a.md", "# A\n\nThe ferry leaves at nine.\n")
    tokens = workspace.ingest().tokens
    workspace.write("b.md", "# B\n\nThe harbour is closed in winter.\n")
    tokens += workspace.ingest().tokens
    workspace.ingest()

    (row,) = ledger(workspace)
    assert (row.purpose, row.source, row.tenant, row.indexes) == (
        "ingest",
        "docs",
        "acme",
        ("main", "second"),
    )
    assert row.tokens == tokens > 0
    assert row.inputs == 2
    assert row.day == TODAY


def test_a_month_that_has_taken_its_budget_parks_the_next_plan(workspace: Workspace) -> None:
    workspace.write("a.md", "# A\n\nThe ferry leaves at nine.\n")
    first = workspace.ingest().tokens
    workspace.document["sources"]["docs"]["budget"] = {"month": {"tokens": first + 3}}
    workspace.write("b.md", "# B\n\nThe harbour is closed in winter.\n")

    with pytest.raises(BudgetError, match=rf"tokens in this month, the budget is {first + 3}"):
        plan_within_budget(workspace.runtime, "docs")
    workspace.rows("UPDATE rag.spent SET day = day - 40 RETURNING 1")
    assert plan_within_budget(workspace.runtime, "docs") is not None
    with workspace.database.connection() as connection:
        assert spent_this_month(connection, "docs") == (0, 0.0)


def test_sums_are_by_the_dimensions_that_are_asked_for() -> None:
    rows = [spent(), spent(day=date(2026, 3, 1)), spent(model="hash/hash", cost=0.0)]
    assert [(one.values, one.tokens, one.cost) for one in sum_spent(rows, ["month", "index"])] == [
        (("2026-02", "main, other"), 5_000, 0.05),
        (("2026-03", "main, other"), 2_500, 0.05),
    ]
    assert [one.values for one in sum_spent(rows, ["model"])] == [("hash/hash",), ("openai/small",)]
    assert sum_spent([], ["day"]) == []


def test_a_charge_in_focus_lasts_a_day_of_its_month_and_keeps_what_it_was_for() -> None:
    (row,) = focus_rows([spent()], account="data team", currency="EUR")
    assert list(row) == list(FOCUS_COLUMNS)
    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == (
        "2026-02-28T00:00:00Z",
        "2026-03-01T00:00:00Z",
    )
    assert (row["BillingPeriodStart"], row["BillingPeriodEnd"]) == (
        "2026-02-01T00:00:00Z",
        "2026-03-01T00:00:00Z",
    )
    assert float(row["ListUnitPrice"]) * float(row["PricingQuantity"]) == pytest.approx(
        float(row["BilledCost"])
    )
    assert (row["BilledCost"], row["BillingCurrency"], row["SubAccountId"]) == ("0.050000", "EUR", "acme")
    assert json.loads(row["Tags"])["indexes"] == "main,other"
    assert row["ProviderName"] == "openai"


def test_the_command_prints_the_ledger_as_a_table_as_json_and_for_tools(workspace: Workspace) -> None:
    workspace.write("a.md", "# A\n\nThe ferry leaves at nine.\n")
    tokens = workspace.ingest().tokens

    def cost(*options: str) -> str:
        result = CliRunner().invoke(app, ["--config", str(workspace.config_file), "cost", *options])
        assert result.exit_code == 0, result.output
        return result.stdout

    assert json.loads(cost("--by", "source", "--format", "json"))[0]["tokens"] == tokens
    (row,) = csv.DictReader(io.StringIO(cost("--format", "focus", "--currency", "EUR")))
    assert float(row["ConsumedQuantity"]) == tokens / 1000
    assert f"{TODAY:%Y-%m}" in cost()
    assert cost("--until", "2000-01-02", "--since", "2000-01-01") == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--by", "colour"),
            "received --by colour; valid: day, month, purpose, source, tenant, index, model",
        ),
        (("--since", "2026-03-02", "--until", "2026-03-01"), "the first day comes first"),
    ],
)
def test_what_cannot_be_summed_is_refused(
    workspace: Workspace, options: tuple[str, ...], message: str
) -> None:
    result = CliRunner().invoke(app, ["--config", str(workspace.config_file), "cost", *options])
    assert result.exit_code == 2
    assert message in result.output
