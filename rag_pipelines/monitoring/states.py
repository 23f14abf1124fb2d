"""How sources and indexes stand: for `rag-pipelines status` and the page of those who look after them.

What belongs here: figures and moments by source and by index, as plain values. What does not: showing them
(`cli.status`, `serving.admin`), figures of monitoring systems (`catalogue`) and key figures (`kpis`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rag_pipelines.config.settings import Settings
from rag_pipelines.index.memory import build_memory
from rag_pipelines.index.storage import storage_of_version
from rag_pipelines.index.versions import candidate_version, live_version, versions
from rag_pipelines.store.database import Pg, query
from rag_pipelines.store.findings import screened_documents
from rag_pipelines.store.losses import sources_with_losses
from rag_pipelines.sync.freshness import source_freshness
from rag_pipelines.sync.targets import count_outdated_parses


def states_of_sources(connection: Pg, settings: Settings) -> list[dict[str, Any]]:
    """What is known of each configured source, in the file's order, seen or not."""
    now = datetime.now(UTC)
    losing = sources_with_losses(connection, list(settings.sources))
    screening = [name for name, one in settings.sources.items() if one.privacy]
    screened = screened_documents(connection, screening) if screening else {}
    names = {"names": list(settings.sources)}
    found = {r["name"]: r for r in query(connection, "source_status", names)}
    to_load = {r["name"]: r["wanted"] for r in query(connection, "count_wanted", names)}
    shards = query(connection, "living_shards", names).fetchall()
    held = {r["name"]: r["held"] for r in query(connection, "held_by_source")}
    withheld = query(connection, "withheld_by_cause").fetchall()
    rows = []
    for fresh in source_freshness(connection, settings):
        row = found.get(fresh.source, {})
        rows.append(
            {
                "source": fresh.source,
                "documents": row.get("documents", 0),
                "bytes": row.get("bytes", 0),
                "to_load": to_load.get(fresh.source, 0),
                "pending": row.get("pending", 0),
                "quarantined": row.get("quarantined", 0),
                "documents_with_losses": losing.get(fresh.source, 0),
                "documents_with_findings": screened[fresh.source]["finding"]
                if fresh.source in screened
                else 0,
                "last_texts": row.get("last_texts", 0),
                "withheld": {_cause(r): r["documents"] for r in withheld if r["name"] == fresh.source},
                "held": held.get(fresh.source, 0),
                "to_parse_again": count_outdated_parses(connection, settings, fresh.source),
                "parked_deletes": row.get("parked", 0),
                "kept_deletes": row.get("kept", 0),
                "deleted": row.get("tombstoned", 0),
                "newest_change": row.get("newest_change"),
                "listed_at": fresh.listed_at,
                "lag_seconds": (now - fresh.listed_at).total_seconds() if fresh.listed_at else None,
                "promised_seconds": fresh.allowed.total_seconds(),
                "overdue": fresh.overdue(now),
                "shards": [_shard(one) for one in shards if one["name"] == fresh.source],
                "last_run": _outcome(row),
                "last_run_at": row.get("started_at"),
            }
        )
    return rows


def state_of_index(connection: Pg, settings: Settings, name: str) -> dict[str, Any]:
    """The live version of an index and what stands beside it."""
    live, candidate = live_version(connection, name), candidate_version(connection, name)
    behind = graph = None
    if live is not None:
        params = {"sources": list(settings.sources_of(name)), "watermark": live.watermark}
        behind = (query(connection, "changed_since", params).fetchone() or {})["changed"]
        graph = storage_of_version(live).graph_memory(live.row_count or 0, build_memory(settings))
    promoted = live.promoted_at if live else None
    return {
        "index": name,
        "live_version": live.version_id if live else None,
        "rows": live.row_count if live else None,
        "build_advice": graph.words if graph and not graph.fits else None,
        "documents": live.document_count if live else None,
        "as_of": live.as_of if live else None,
        "promoted_at": promoted,
        "live_seconds": (datetime.now(UTC) - promoted).total_seconds() if promoted else None,
        "documents_behind": behind,
        "candidate": candidate.version_id if candidate else None,
        "retired": [v.version_id for v in versions(connection, name) if v.state == "retired"],
    }


def _cause(row: dict[str, Any]) -> str:
    """Why documents are withheld, for people."""
    if row["cause"] == "retention":
        return "past their retention"
    if row["cause"] == "unknown_label":
        return f"the policy does not know their label {row['label']!r}"
    return f"their label is {row['label']!r}" if row["label"] else "they have no label"


def _shard(row: dict[str, Any]) -> dict[str, Any]:
    """A shard at work."""
    return {
        "shard": f"{row['shard']}/{row['shards']}",
        "by": row["lease_owner"],
        "since": row["lease_at"],
    }


def _outcome(row: dict[str, Any]) -> str | None:
    if not row.get("run_id"):
        return None
    return row["outcome"] or "running"
