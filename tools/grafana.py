"""Writes the dashboards in `ops/grafana/`: one file a subject, made from the few lines a panel takes here.

    python -m tools.grafana

What belongs here: which panels there are. What does not: the metrics (`monitoring.catalogue`,
`serving.metrics`) and alerts on them (`ops/prometheus`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parent.parent / "ops" / "grafana"
WIDTH, HEIGHT = 12, 8
"""Of a panel, in the 24 columns of a dashboard and rows of 30 pixels."""

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


class Panel(NamedTuple):
    """A graph of some expressions, each with the legend of its series. `unit` is one of Grafana's."""

    title: str
    expressions: Mapping[str, str]
    unit: str = "short"
    kind: str = "timeseries"


SEARCHES = 'rag_requests_total{route="/v1/search"}'
SECONDS = 'sum by (le) (rate(rag_request_seconds_bucket{route="/v1/search"}[5m]))'

DASHBOARDS: Mapping[str, Sequence[Panel]] = {
    "ingest": (
        Panel("Age of listings beside what is promised", {
            "rag_source_listing_age_seconds": "{{source}}",
            "rag_source_promised_seconds": "{{source}} promised",
        }, "s"),
        Panel("Documents", {'rag_source_documents{state="present"}': "{{source}}"}),
        Panel("Documents that wait", {"rag_source_pending_documents": "{{source}} {{stage}}"}),
        Panel("Quarantine", {"rag_source_quarantined_documents": "{{source}} {{stage}}"}),
        Panel("Deletions that wait", {"rag_source_parked_deletions": "{{source}}"}, kind="stat"),
        Panel("Served with an earlier text", {"rag_source_last_texts": "{{source}}"}, kind="stat"),
        Panel("Runs a day", {"increase(rag_source_runs_total[1d])": "{{source}} {{outcome}}"}),
        Panel("Bytes loaded", {"rag_source_raw_bytes": "{{source}}"}, "bytes"),
    ),
    "index": (
        Panel("Live version and candidate", {
            "rag_index_live_version": "{{index}} live", "rag_index_candidate": "{{index}} candidate",
        }, kind="stat"),
        Panel("Passages", {"rag_index_rows": "{{index}}"}),
        Panel("Documents that it lacks", {"rag_index_behind_documents": "{{index}}"}),
        Panel("Age of the state that it shows", {"rag_index_age_seconds": "{{index}}"}, "s"),
        Panel("Gates that refuse", {"rag_index_gate_failed == 1": "{{index}} {{gate}}"}, kind="stat"),
        Panel("Bytes by table", {"topk(10, rag_database_bytes)": "{{table}}"}, "bytes"),
    ),
    "search": (
        Panel("Searches a second", {
            f"sum by (status) (rate({SEARCHES}[5m]))": "{{status}}",
        }, "reqps"),
        Panel("Time of an answer", {
            f"histogram_quantile({share}, {SECONDS})": name
            for share, name in ((0.5, "half"), (0.95, "19 of 20"), (0.99, "99 of 100"))
        }, "s"),
        Panel("Time by part, 19 of 20", {
            "histogram_quantile(0.95, sum by (le, part) (rate(rag_search_seconds_bucket[5m])))": "{{part}}",
        }, "s"),
        Panel("Searches under way", {"rag_searches_in_flight": "searches"}),
        Panel("Searches that find nothing", {"rate(rag_empty_results_total[1h])": "{{index}}"}, "reqps"),
        Panel("Votes a day", {"increase(rag_feedback_total[1d])": "{{index}} {{verdict}}"}),
        Panel("Version that answers", {"rag_served_version": "{{index}}"}, kind="stat"),
    ),
    "cost": (
        Panel("Tokens embedded a day", {"increase(rag_source_embedded_tokens_total[1d])": "{{source}}"}),
        Panel("Cost of embedding a day", {"increase(rag_source_embedding_cost_total[1d])": "{{source}}"}),
        Panel("Bytes of the database", {"sum(rag_database_bytes)": "all tables"}, "bytes"),
        Panel("Bytes of versions", {
            'rag_database_bytes{table=~"vectors|lexical|documents|postings|terms"}': "{{table}}",
        }, "bytes"),
    ),
    "security": (
        Panel("Requests refused, by kind", {"rate(rag_refused_total[5m])": "{{problem}}"}, "reqps"),
        Panel("Age of group lists", {"rag_source_groups_age_seconds": "{{source}}"}, "s"),
        Panel("Age of verification", {"rag_certificate_age_seconds": "{{source}} {{index}}"}, "s"),
        Panel("Verification is complete", {
            "rag_certificate_complete": "{{source}} {{index}}",
        }, kind="stat"),
        Panel("Proof of access refuses", {
            'rag_index_gate_failed{gate="access_proof"}': "{{index}}",
        }, kind="stat"),
        Panel("Personal data and secrets found, by kind", {"rag_source_findings": "{{source}} {{kind}}"}),
        Panel("Documents blocked for what they hold", {
            'rag_source_screened_documents{outcome="blocked"}': "{{source}}",
        }, kind="stat"),
        Panel("Emergency switches that are on", {
            "rag_switch_age_seconds": "{{switch}} {{target}}",
        }, "s", kind="stat"),
        Panel("Length of the audit's chain", {"rag_audit_position": "rows"}),
        Panel("Deleted and not yet purged", {'rag_source_documents{state="tombstoned"}': "{{source}}"}),
    ),
}  # fmt: skip


def dashboard(name: str) -> dict[str, Any]:
    """One dashboard in Grafana's JSON (https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/)."""
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    return {
        "uid": f"rag-pipelines-{name}",
        "title": f"RAG pipelines: {name}",
        "tags": ["rag-pipelines"],
        "schemaVersion": 41,
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {"list": [source]},
        "panels": [_panel(place, panel) for place, panel in enumerate(DASHBOARDS[name])],
    }


def _panel(place: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(place, 24 // WIDTH)
    return {
        "id": place + 1,
        "type": panel.kind,
        "title": panel.title,
        "datasource": DATASOURCE,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": DATASOURCE,
                "expr": expression,
                "legendFormat": legend,
            }
            for number, (expression, legend) in enumerate(panel.expressions.items())
        ],
    }


def rendered(name: str) -> str:
    """The text of a dashboard's file."""
    return json.dumps(dashboard(name), indent=2) + "\n"


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in DASHBOARDS:
        (FOLDER / f"{name}.json").write_text(rendered(name), encoding="utf-8")


if __name__ == "__main__":
    main()
