"""What a materialization shows: figures under stable names, tables, small charts.

Numbers keep their names and carry their unit in it, because the UI plots them over time.
See https://docs.dagster.io/guides/build/assets/metadata-and-tags
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from rag_pipelines.config.settings import Settings
from rag_pipelines.index.gate_results import Gate
from rag_pipelines.index.versions import Version
from rag_pipelines.parsing.formats import FORMATS, format_name
from rag_pipelines.progress import Pace, Progress, duration
from rag_pipelines.store.database import Pg, Row, query
from rag_pipelines.store.documents import QuarantineFilter, list_quarantine
from rag_pipelines.store.losses import KINDS
from rag_pipelines.sync.diff import DocumentChange
from rag_pipelines.sync.plan import SyncPlan
from rag_pipelines.sync.report import SyncReport

Metadata = dict[str, Any]

ROWS = 10
"""Sample rows of a table."""

COLUMNS = 16
"""Columns that a first screen has room for beside the figures."""

QUARANTINED = 50
"""Entries of a quarantine that are shown."""

LOG_SECONDS = 10.0
"""The least time between two progress lines in a run's log: each is an event in Dagster's storage."""

BAR = 24
"""The longest bar of a chart, in characters."""


def headed(found: Metadata, *first: str) -> Metadata:
    """The figures by which people know a thing, in this order and with their zeros, so that each has a
    history without gaps; then the rest, without zeros."""
    rest = {name: value for name, value in found.items() if name not in first and not _is_zero(value)}
    return {name: found[name] for name in first if name in found} | rest


def table_metadata(connection: Pg, table: str) -> Metadata:
    """The table of our schema that an asset is, by the names under which lineage tools know it.

    `dagster/uri` is the server and database as OpenLineage writes them, without a login. The columns of a
    table that has more than `COLUMNS` are left out: the UI puts them before the figures.
    """
    info = connection.info
    host = "localhost" if not info.host or info.host.startswith("/") else info.host
    found: Metadata = {
        "dagster/table_name": f"{info.dbname}.rag.{table}",
        "dagster/uri": f"postgres://{host}:{info.port}/{info.dbname}",
    }
    rows = query(connection, "table_columns", {"table": f"rag.{table}"}).fetchall()
    if len(rows) <= COLUMNS:
        columns = [dg.TableColumn(row["name"], row["type"]) for row in rows]
        found["dagster/column_schema"] = dg.TableSchema(columns)
    return found


def listing_metadata(report: SyncReport) -> Metadata:
    """What the listing of a source found and loaded."""
    changes = {f"documents_{change}": report.changes.get(change, 0) for change in DocumentChange}
    found: Metadata = {
        "outcome": report.outcome,
        "documents_listed": report.listed,
        **changes,
        "documents_parked": report.parked_deletes,
        "loaded_bytes": report.bytes_loaded,
    }
    shown = {str(change): ", ".join(ids) for change, ids in report.samples.items() if ids}
    if shown:
        found["changes"] = table({"change": change, "documents": ids} for change, ids in shown.items())
    return found


def plan_metadata(plan: SyncPlan | None) -> Metadata:
    """What a run was going to do, where its source has a budget to keep to."""
    if plan is None:
        return {}
    return {
        "plan": plan.plan_id or 0,
        "planned_tokens": plan.tokens,
        "planned_cost": plan.cost,
        **({"planned_embed_s": plan.embed_seconds} if plan.embed_seconds is not None else {}),
        "planned_changes": table({"change": c, "documents": n} for c, n in plan.changes.items()),
    }


def stage_metadata(report: SyncReport) -> Metadata:
    """What one stage did: its time by part, and what it has to say."""
    found: Metadata = {
        "elapsed_s": round(sum(s for part, s in report.seconds.items() if "workers" not in part), 3),
    }
    if report.seconds:
        found["seconds"] = chart(report.seconds, "s")
    if report.notes:
        found["notes"] = dg.MetadataValue.md("\n".join(f"- {note}" for note in report.notes))
    return found


def quarantine_metadata(connection: Pg, settings: Settings, source: str) -> Metadata:
    """What stands in quarantine of a source, the newest as a table, and where to see and how to retry it."""
    rows = list_quarantine(connection, QuarantineFilter(source=source), limit=QUARANTINED)
    if not rows:
        return {"quarantined_documents": 0}
    counted = query(connection, "metric_quarantine", {"sources": [source]}).fetchall()
    shown = table(
        {
            "external_id": row["external_id"] or row["entity"],
            **{name: row[name] for name in ("stage", "status", "message", "attempts", "first_at")},
        }
        for row in rows
    )
    return {
        "quarantined_documents": sum(row["documents"] for row in counted),
        "quarantine": shown,
        "quarantine_command": f"rag-pipelines quarantine list --source {source}",
        **page_link("quarantine_page", settings, "admin#quarantine-head"),
    }


def page_link(name: str, settings: Settings, place: str) -> Metadata:
    """A link to a place of the pages for people, where their address is known and, for `admin`, anybody has a
    role."""
    page = settings.serving.page_url
    if page is None or (place.startswith("admin") and settings.serving.admin is None):
        return {}
    return {name: dg.MetadataValue.url(page + place)}


def loss_metadata(rows: Sequence[Row]) -> Metadata:
    """What the documents of a source lost in parsing: how much of each kind, and by format where any did.

    `rows` are those of `store.losses.losses_by_format`.
    """
    totals = dict.fromkeys(KINDS, 0)
    for row in rows:
        totals[row["kind"]] += row["lost"]
    if not rows:
        return dict(totals)
    shown = table(
        {
            "format": format_name(row["media_type"]),
            "kind": row["kind"],
            "lost": row["lost"],
            "documents_losing": row["losing"],
            "documents_read": row["documents"],
            "words_seen": row["words_seen"],
        }
        for row in rows
    )
    return {**totals, "losses": shown}


def version_metadata(version: Version) -> Metadata:
    """What a version of an index holds."""
    figures = version.figures
    return {
        "version": version.version_id,
        "state": version.state,
        "kind": version.kind,
        "vector_index": version.spec.index.vector.index,
        "fingerprint": version.fingerprint,
        "sources": ", ".join(version.sources),
        "dagster/row_count": version.row_count or 0,
        "documents": version.document_count or 0,
        "mean_tokens": round(figures.mean_tokens or 0.0, 1),
        "p95_tokens": round(figures.p95_tokens or 0.0, 1),
        **({} if figures.rows_in_memory is None else {"rows_in_memory": figures.rows_in_memory}),
        **({"as_of": dg.MetadataValue.timestamp(version.as_of)} if version.as_of else {}),
    }


def gates_metadata(gates: Iterable[Gate]) -> Metadata:
    """The gates of a version as a table, and each observed figure as a number of its own."""
    gates = list(gates)
    rows = [
        {
            "gate": gate.gate,
            "passed": gate.passed,
            "observed": gate.observed,
            "threshold": gate.threshold,
            "detail": str(dict(gate.detail)),
        }
        for gate in gates
    ]
    figures = {f"gate_{gate.gate}": gate.observed for gate in gates if gate.observed is not None}
    failed = {"gates_failed": sum(not gate.passed for gate in gates)} if gates else {}
    return {**failed, **figures, **({"gates": table(rows)} if rows else {})}


def detail(value: Any) -> Any:
    """One part of a gate's detail: a number or a word as it is, a list as lines, the rest as JSON."""
    if isinstance(value, list):
        return dg.MetadataValue.md("\n".join(f"- {one}" for one in value) or "none")
    if isinstance(value, Mapping):
        return dg.MetadataValue.json(dict(value))
    return value if isinstance(value, int | float | str) else str(value)


def table(rows: Iterable[Mapping[str, Any]]) -> dg.TableMetadataValue | dg.TextMetadataValue:
    """Rows as a table; values that are not numbers or truth values are shown as text."""
    records = [dg.TableRecord({name: _cell(value) for name, value in row.items()}) for row in rows]
    if not records:
        return dg.MetadataValue.text("none")
    schema = dg.TableSchema([dg.TableColumn(name, "string") for name in records[0].data])
    return dg.MetadataValue.table(records, schema)


def samples(connection: Pg, name: str, source_id: int) -> Metadata:
    """A few rows of the query `name`."""
    rows = query(connection, name, {"source_id": source_id, "limit": ROWS}).fetchall()
    return {"sample_rows": table(map(_with_format, rows))} if rows else {}


def _with_format(row: Row) -> Row:
    """The row with what people call its media type; blank for a document that was not read as anything."""
    if "media_type" not in row:
        return row
    known = format_name(row["media_type"]) if row["media_type"] in FORMATS else ""
    return {
        ("format" if name == "media_type" else name): (known if name == "media_type" else value)
        for name, value in row.items()
    }


def chart(values: Mapping[str, float], unit: str) -> dg.MarkdownMetadataValue:
    """A bar chart in text, in the given order."""
    most, width = max(values.values(), default=0) or 1, max(map(len, values), default=0)
    lines = [
        f"{name:<{width}} {'█' * max(round(value / most * BAR), int(value > 0)):<{BAR}} {value:,.4g} {unit}"
        for name, value in values.items()
    ]
    return dg.MetadataValue.md("```\n" + "\n".join(lines) + "\n```")


def token_chart(rows: Sequence[Row]) -> Metadata:
    """Chunks by their tokens."""
    if not rows:
        return {}
    return {"chunks_by_tokens": chart({f"{r['least']}-{r['most']}": r["chunks"] for r in rows}, "chunks")}


def log_progress(log: Callable[[str], None]) -> Progress:
    """Progress as lines of a run's log, one every few seconds for each stage, with the time that is left."""
    began, last, pace = time.monotonic(), dict[str, float](), Pace()

    def progress(stage: str, done: int, total: int | None) -> None:
        now, left = time.monotonic(), pace.seconds_left(stage, done, total)
        if now - last.get(stage, began) >= LOG_SECONDS:
            last[stage] = now
            rest = f", about {duration(left)} left" if left else ""
            log(f"{stage}: {done:,}" + (f" of {total:,}" if total else "") + rest)

    return progress


def _is_zero(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not value


def _cell(value: Any) -> str | int | float | bool | None:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return value if isinstance(value, int | float | bool | None) else str(value)
