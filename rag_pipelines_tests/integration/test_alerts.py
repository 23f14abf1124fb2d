"""Each alert fires when what it warns of happens: its cause is made, the exporter asked, Prometheus judges.

Hours of waiting are Prometheus' own: `promtool` is given what the exporter said before the cause for a day,
and what it said after it for another; a counter goes on growing as it did.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.errors import RagError
from rag_pipelines.monitoring.catalogue import CatalogueMetrics
from rag_pipelines.serving.app import create_app
from rag_pipelines.store.database import Database
from rag_pipelines.store.switches import turn_on
from rag_pipelines.sync.stages import list_source, source_run
from rag_pipelines.verification.verify import verify_source
from rag_pipelines_tests.integration.workspace import Workspace

RULES = Path(__file__).parents[2] / "ops" / "prometheus" / "rag.rules.yml"
HOUR, DAY = 60, 1_440
"""Minutes."""

Happen = Callable[[Workspace], Iterator[str]]
CAUSES: dict[str, Happen] = {}
"""By alert, what yields the exporter's answer before its cause and after it."""


def cause(alert: str) -> Callable[[Happen], Happen]:
    """The decorator of what makes `alert` fire."""

    def register(happen: Happen) -> Happen:
        CAUSES[alert] = happen
        return happen

    return register


def scrape(workspace: Workspace, database: Database | None = None) -> str:
    registry = CollectorRegistry()
    registry.register(CatalogueMetrics(database or workspace.database, workspace.settings))
    return generate_latest(registry).decode()


def published(workspace: Workspace, *names: str) -> None:
    for name in names or ("a",):
        workspace.write(f"{name}.md", f"# {name}\n\nThe ferry {name} leaves at nine.\n")
    workspace.ingest()
    workspace.publish()


@contextmanager
def service(workspace: Workspace) -> Iterator[TestClient]:
    workspace.document["serving"] = {"anonymous": {"tenant": "default"}, "limits": {"burst": 1000}}
    settings = workspace.settings
    with closing(Embedders(settings.data_dir)) as embedders:
        app = create_app(settings, workspace.database, embedders)
        with TestClient(app, raise_server_exceptions=False) as client:
            yield client


def search(client: TestClient, question: str = "ferry", **asked: Any) -> int:
    return client.post("/v1/search", json={"query": question, **asked}).status_code


@contextmanager
def locked(workspace: Workspace) -> Iterator[None]:
    """The vectors of the live version cannot be read."""
    (row,) = workspace.rows("SELECT max(storage) AS number FROM rag.index_version WHERE state = 'live'")
    with psycopg.connect(workspace.url) as connection:
        connection.execute(f"LOCK TABLE rag.vectors_{row['number']} IN ACCESS EXCLUSIVE MODE")
        yield


@cause("RagCatalogueCannotBeAsked")
def lose_the_database(workspace: Workspace) -> Iterator[str]:
    yield scrape(workspace)
    yield scrape(workspace, Database("postgresql://nobody@127.0.0.1:1/none"))


@cause("RagSourceOverdue")
def list_nothing_for_two_days(workspace: Workspace) -> Iterator[str]:
    published(workspace)
    yield scrape(workspace)
    workspace.rows("UPDATE rag.source SET listed_at = listed_at - interval '2 days' RETURNING 1")
    yield scrape(workspace)


@cause("RagRunsFail")
def take_the_folder_away(workspace: Workspace) -> Iterator[str]:
    published(workspace)
    shutil.rmtree(workspace.docs)
    for _ in range(2):
        with pytest.raises(RagError):
            workspace.ingest()
        yield scrape(workspace)


@cause("RagDocumentsWait")
def list_and_go_no_further(workspace: Workspace) -> Iterator[str]:
    published(workspace)
    yield scrape(workspace)
    workspace.write("b.md", "# b\n\nText.\n")
    with source_run(workspace.database, workspace.settings, "docs") as run:
        list_source(run)
    yield scrape(workspace)


@cause("RagQuarantineGrows")
def bring_files_that_are_none(workspace: Workspace) -> Iterator[str]:
    published(workspace)
    yield scrape(workspace)
    for number in range(12):
        workspace.write(f"{number}.pdf", b"%PDF-1.7 " + bytes(str(number), "ascii"))
    workspace.ingest()
    yield scrape(workspace)


@cause("RagDeletionsWait")
def delete_most_documents(workspace: Workspace) -> Iterator[str]:
    workspace.document["sources"]["docs"]["delete_guard"] = {"share": 0.1, "documents": 1}
    published(workspace, *"abcd")
    yield scrape(workspace)
    for name in "abc":
        (workspace.docs / f"{name}.md").unlink()
    workspace.ingest()
    yield scrape(workspace)


@cause("RagVerificationFails")
def lose_rows(workspace: Workspace) -> Iterator[str]:
    published(workspace)
    verify_source(workspace.runtime, "docs")
    yield scrape(workspace)
    workspace.rows("DELETE FROM rag.vectors_1 RETURNING 1")
    verify_source(workspace.runtime, "docs")
    yield scrape(workspace)


@cause("RagVerificationOld")
def verify_nothing_for_nine_days(workspace: Workspace) -> Iterator[str]:
    published(workspace)
    verify_source(workspace.runtime, "docs")
    yield scrape(workspace)
    workspace.rows("UPDATE rag.certificate SET made_at = made_at - interval '9 days' RETURNING 1")
    yield scrape(workspace)


@cause("RagNothingLive")
def ingest_and_build_nothing(workspace: Workspace) -> Iterator[str]:
    workspace.write("a.md", "# a\n\nText.\n")
    workspace.ingest()
    yield scrape(workspace)
    yield scrape(workspace)


@cause("RagIndexStale")
def change_and_build_nothing(workspace: Workspace) -> Iterator[str]:
    published(workspace)
    yield scrape(workspace)
    workspace.write("a.md", "# a\n\nAnother text.\n")
    workspace.ingest()
    workspace.rows("UPDATE rag.document SET updated_at = updated_at - interval '9 days' RETURNING 1")
    yield scrape(workspace)


@cause("RagGateRefuses")
def build_what_a_gate_refuses(workspace: Workspace) -> Iterator[str]:
    published(workspace)
    yield scrape(workspace)
    workspace.document["indexes"]["main"]["gates"]["max_chunk_drop"] = 0.1
    for name in "bcdef":
        workspace.write(f"{name}.md", f"# {name}\n\nText of {name}.\n")
    workspace.ingest()
    workspace.publish()
    for name in "bcdef":
        (workspace.docs / f"{name}.md").unlink()
    workspace.ingest()
    workspace.validate(workspace.build(full=True))
    yield scrape(workspace)


@cause("RagSearchesFail")
def lose_a_table(workspace: Workspace) -> Iterator[str]:
    published(workspace)
    with service(workspace) as client:
        assert search(client) == 200
        yield client.get("/metrics").text
        with psycopg.connect(workspace.url) as connection:
            connection.execute("DROP TABLE rag.vectors_1 CASCADE")
        assert search(client, "harbour") >= 500
        yield client.get("/metrics").text


@cause("RagSearchesSlow")
def hold_a_table(workspace: Workspace) -> Iterator[str]:
    published(workspace)
    with service(workspace) as client:
        search(client)
        yield client.get("/metrics").text
        with locked(workspace):
            asked = threading.Thread(target=search, args=(client, "harbour"))
            asked.start()
            asked.join(1.2)
        asked.join()
        yield client.get("/metrics").text


@cause("RagSearchesWait")
def hold_a_table_for_many(workspace: Workspace) -> Iterator[str]:
    published(workspace)
    with service(workspace) as client:
        yield client.get("/metrics").text
        with locked(workspace):
            asked = [threading.Thread(target=search, args=(client, f"ferry {n}")) for n in range(26)]
            for one in asked:
                one.start()
            text = ""
            while "rag_searches_in_flight 26.0" not in text:
                assert all(one.is_alive() for one in asked)
                text = client.get("/metrics").text
        for one in asked:
            one.join()
        yield text


@cause("RagNothingFound")
def ask_for_what_is_not_there(workspace: Workspace) -> Iterator[str]:
    published(workspace)
    with service(workspace) as client:
        search(client)
        yield client.get("/metrics").text
        assert search(client, "zzz", mode="lexical") == 200
        yield client.get("/metrics").text


@cause("RagSwitchOn")
def forget_a_switch(workspace: Workspace) -> Iterator[str]:
    yield scrape(workspace)
    turn_on(workspace.database, workspace.settings, "source-off", "docs", reason="a leak")
    with workspace.database.connection() as connection:
        connection.execute("UPDATE rag.switch SET started_at = now() - interval '25 hours'")
    yield scrape(workspace)


@cause("RagAuditShortened")
def cut_off_the_end_of_the_audit(workspace: Workspace) -> Iterator[str]:
    turn_on(workspace.database, workspace.settings, "source-off", "docs", reason="a leak")
    yield scrape(workspace)
    with workspace.database.connection() as connection, connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute("DELETE FROM rag.audit WHERE position = (SELECT position FROM rag.audit_head)")
        connection.execute("UPDATE rag.audit_head SET position = position - 1")
    yield scrape(workspace)


def alerts() -> list[str]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule["alert"] for group in groups for rule in group["rules"]]


def series(before: str, after: str) -> list[dict[str, str]]:
    """What Prometheus has of both: a day of the one, then a day of the other, a sample a minute."""
    first, then = _samples(before), _samples(after)
    made = []
    for name, value in then.items():
        known = first.get(name)
        if name.partition("{")[0].endswith(("_total", "_bucket", "_count", "_sum")):
            start = known or 0.0
            values = f"{start}x{DAY} {start}+{value - start}x{DAY + HOUR}"
        else:
            values = f"{'_' if known is None else known}x{DAY} {value}x{DAY + HOUR}"
        made.append({"series": name, "values": values})
    return made


def _samples(text: str) -> dict[str, float]:
    return {
        sample.name + _labels(sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _labels(labels: Mapping[str, str]) -> str:
    return f"{{{', '.join(f'{name}={json.dumps(value)}' for name, value in labels.items())}}}"


def firing(alert: str, minute: int, value: int) -> dict[str, Any]:
    """That an alert fires within the day before a minute, or does not."""
    expected = [{"labels": "{}", "value": value}] if value else []
    fired = f'count(max_over_time(ALERTS{{alertname="{alert}", alertstate="firing"}}[1d]))'
    return {"expr": f"clamp_max({fired}, 1)", "eval_time": f"{minute}m", "exp_samples": expected}


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed (apt install prometheus)")
@pytest.mark.parametrize("alert", alerts())
def test_an_alert_fires_when_its_cause_happens_and_not_before(
    workspace: Workspace, tmp_path: Path, alert: str
) -> None:
    with closing(CAUSES[alert](workspace)) as told:  # type: ignore[type-var]
        before, after = told
    quiet = [] if alert == "RagNothingLive" else [firing(alert, DAY, 0)]
    tests = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": series(before, after),
                "promql_expr_test": [*quiet, firing(alert, 2 * DAY + HOUR, 1)],
            }
        ],
    }
    file = tmp_path / "fired.yml"
    file.write_text(yaml.safe_dump(tests), encoding="utf-8")
    done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
