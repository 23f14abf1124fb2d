"""The key figures: counted from what happened, judged by their targets, kept over days; and what moved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from rag_pipelines.cli.main import app
from rag_pipelines.config.kpis import KpiSettings
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.monitoring.kpis import DEFINITIONS, Kpi, keep_figures, kept_figures, key_figures
from rag_pipelines.monitoring.shifts import FEWEST, MEASURES, Shift, index_shifts, stability_index
from rag_pipelines.serving.app import create_app
from rag_pipelines_tests.integration.serving import HR, two_tenants
from rag_pipelines_tests.integration.workspace import Workspace


def figures(workspace: Workspace) -> dict[tuple[str, str], Kpi]:
    with workspace.database.connection() as connection:
        return {(one.name, one.subject): one for one in key_figures(connection, workspace.settings)}


def test_nothing_is_claimed_of_what_has_not_happened(workspace: Workspace) -> None:
    found = figures(workspace)
    assert found["freshness", ""].value == 0
    assert found["ingestion_success", ""].value is None
    assert found["permission_incidents", ""].met is True
    assert {one.value for (name, _), one in found.items() if name.startswith("cost")} == {None}


def test_runs_builds_and_documents_are_counted(workspace: Workspace) -> None:
    for name in "abc":
        workspace.write(f"{name}.md", f"# {name}\n\nThe ferry {name} leaves at nine.\n")
    workspace.write("broken.pdf", b"%PDF-1.7\nnothing")
    workspace.ingest()
    workspace.publish()
    workspace.rows("UPDATE rag.run SET report = jsonb_set(report, '{changes,failed}', '2') RETURNING 1")
    workspace.rows(
        "INSERT INTO rag.run (source_id, finished_at, outcome) VALUES (1, now(), 'failed') RETURNING 1"
    )

    found = figures(workspace)
    assert found["ingestion_success", "docs"] == Kpi("ingestion_success", "docs", 0.5, 2, None)
    assert found["build_success", "main"].value == 1
    assert found["coverage", "docs"].value == 0.75
    assert found["connector_errors", "docs"].value == 0.5
    assert found["freshness", "docs"].value == 1
    assert found["cache_hits", ""].value == 0

    workspace.rows("UPDATE rag.run SET finished_at = finished_at - interval '60 days' RETURNING 1")
    assert figures(workspace)["ingestion_success", ""].value is None


def test_a_failed_access_proof_is_an_incident(workspace: Workspace) -> None:
    workspace.write("a.md", "# A\n\nThe ferry leaves at nine.\n")
    workspace.ingest()
    workspace.publish()
    workspace.rows("UPDATE rag.gate_result SET passed = false WHERE gate = 'access_proof' RETURNING 1")
    found = figures(workspace)["permission_incidents", ""]
    assert (found.value, found.met) == (1, False)


@pytest.mark.parametrize(
    ("name", "value", "met"),
    [("hit_rate", 0.9, True), ("hit_rate", 0.89, False), ("p95_ms", 0.9, True), ("p95_ms", 0.91, False)],
)
def test_a_target_is_the_least_of_a_share_and_the_most_of_a_time(name: str, value: float, met: bool) -> None:
    assert Kpi(name, "", value, 1, 0.9).met is met  # type: ignore[arg-type]


def test_every_figure_that_may_have_a_target_is_defined() -> None:
    every = dict.fromkeys(DEFINITIONS, 1.0)
    assert KpiSettings.model_validate({"targets": every}).targets == every


@contextmanager
def service(made: Workspace) -> Iterator[TestClient]:
    settings = made.settings
    with closing(Embedders(settings.data_dir)) as embedders:
        yield TestClient(create_app(settings, made.database, embedders))


def search(client: TestClient, question: str, **asked: object) -> httpx.Response:
    body = {"index": "main", "query": question, **asked}
    return client.post("/v1/search", json=body, headers={"X-API-Key": HR})


def test_what_the_service_answered_is_kept_when_it_stops(tmp_path: Path, database_url: str) -> None:
    with closing(two_tenants(tmp_path, database_url)) as made:
        with service(made) as client, client:
            assert search(client, "harbour").json()["hits"]
            assert not search(client, "zzz", mode="lexical").json()["hits"]
            assert search(client, "harbour", filters={"nonsense": 1}).status_code == 422
        with service(made) as client, client:
            search(client, "harbour")
        found = figures(made)
        assert found["retrieval_success", "main"] == Kpi("retrieval_success", "main", 2 / 3, 3, None)
        assert (found["p95_ms", "main"].value or 0) > 0
        (row,) = made.rows("SELECT sum(inputs)::int AS inputs FROM rag.spent WHERE purpose = 'search'")
        assert row["inputs"] >= 2
        kept = [*made.rows("SELECT * FROM rag.served"), *made.rows("SELECT * FROM rag.spent")]
        assert not [word for word in ("harbour", HR, "group:hr") if word in str(kept)]


def test_figures_of_a_day_replace_those_of_the_same_day(workspace: Workspace) -> None:
    with workspace.database.transaction() as connection:
        keep_figures(
            connection, [Kpi("coverage", "docs", 0.5, 2, 0.9), Kpi("hit_rate", "main", None, 0, None)]
        )
        keep_figures(connection, [Kpi("coverage", "docs", 0.75, 4, 0.9)])
        (row,) = connection.execute("SELECT min(day) AS day FROM rag.kpi").fetchall()
        (kept,) = kept_figures(connection, row["day"])
    assert (kept.name, kept.subject, kept.value, kept.target) == ("coverage", "docs", 0.75, 0.9)


def test_the_command_judges_writes_a_page_and_exits_with_1_for_a_missed_target(
    workspace: Workspace, tmp_path: Path
) -> None:
    workspace.document["kpis"] = {"targets": {"coverage": 0.9}}
    workspace.write("a.md", "# A\n\nThe ferry leaves at nine.\n")
    workspace.ingest()
    workspace.publish()

    def kpis(*options: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["--config", str(workspace.config_file), "kpis", *options])
        return result.exit_code, result.stdout

    page = tmp_path / "sheet.html"
    code, _ = kpis("--keep", "--html", str(page))
    assert code == 0
    workspace.rows("UPDATE rag.kpi SET day = day - 1 RETURNING 1")
    workspace.rows("UPDATE rag.document SET status = 'corrupt' RETURNING 1")
    code, printed = kpis("--keep", "--html", str(page), "--json")
    assert code == 1
    found = {(one["name"], one["subject"]): one for one in json.loads(printed)["figures"]}
    assert found["coverage", "docs"]["value"] == 0
    text = page.read_text()
    assert "missed" in text
    assert "<polyline" in text


# Shifts


@given(st.dictionaries(st.text(max_size=2), st.integers(0, 500), min_size=1), st.integers(1, 4))
def test_a_distribution_is_no_distance_from_itself_and_never_below_it(
    counts: dict[str, int], times: int
) -> None:
    assert stability_index(counts, counts) == pytest.approx(0)
    assert stability_index(counts, {name: times * n for name, n in counts.items()}) >= -1e-9


def test_the_stability_index_is_that_of_the_formula() -> None:
    assert stability_index({"a": 60, "b": 40}, {"a": 50, "b": 50}) == pytest.approx(0.0405, abs=1e-4)


def shifts(workspace: Workspace, *, keep: bool = False) -> dict[str, Shift]:
    found = index_shifts(workspace.database, workspace.settings, "main", keep=keep)
    assert found is not None
    return {one.measure: one for one in found}


def yesterday(workspace: Workspace) -> None:
    workspace.rows("UPDATE rag.index_profile SET day = day - 1 RETURNING 1")


def test_passages_that_became_longer_and_of_another_language_are_told_apart(workspace: Workspace) -> None:
    assert index_shifts(workspace.database, workspace.settings, "main") is None
    for number in range(FEWEST + 10):
        workspace.write(f"{number}.md", f"# {number}\n\nThe ferry {number} leaves at nine.\n")
    workspace.ingest()
    workspace.publish()
    first = shifts(workspace, keep=True)
    assert set(first) == set(MEASURES)
    assert not any(one.moved for one in first.values())
    assert first["passage_length"].stability is None

    yesterday(workspace)
    assert not any(one.moved for one in shifts(workspace).values())
    assert shifts(workspace)["passage_length"] == Shift("passage_length", 0.0, False, 1)

    for number in range(FEWEST + 10):
        page = f'<html lang="de"><body><p>{"Die Fähre fährt um neun. " * 20}{number}</p></body></html>'
        (workspace.docs / f"{number}.md").unlink()
        workspace.write(f"{number}.html", page)
    workspace.ingest()
    workspace.publish()
    moved = {name for name, one in shifts(workspace).items() if one.moved}
    assert {"passage_length", "language"} <= moved
    assert "norm" not in moved


def test_days_of_another_model_say_nothing_of_vectors(workspace: Workspace) -> None:
    for number in range(FEWEST):
        workspace.write(f"{number}.md", f"# {number}\n\nThe ferry {number} leaves at nine.\n")
    workspace.ingest()
    workspace.publish()
    shifts(workspace, keep=True)
    yesterday(workspace)
    workspace.rows("UPDATE rag.index_profile SET model_id = 0 RETURNING 1")
    found = shifts(workspace)
    assert found["norm"].days == 0
    assert found["passage_length"].days == 1
