"""``rag-pipelines status``: how fresh sources are, what waits or failed, and which versions are live."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import typer

from rag_pipelines.cli.invocation import invocation
from rag_pipelines.cli.output import AsJson, age, number, print_json, print_table, say
from rag_pipelines.cli.reparse import to_parse_again
from rag_pipelines.cli.sources import say_deletion

if TYPE_CHECKING:
    from rag_pipelines.config import Settings
    from rag_pipelines.store.database import Pg


def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Show sources with their lag, and indexes with their live version."""
    from rag_pipelines.retention.abandoned import mark_abandoned
    from rag_pipelines.store.database import query
    from rag_pipelines.store.switches import in_force
    from rag_pipelines.sync.deletions import waiting_deletions

    chosen = invocation(context)
    mark_abandoned(chosen.database)
    with chosen.database.connection() as connection:
        sources = _sources(connection, chosen.settings)
        indexes = [_index(connection, chosen.settings, name) for name in chosen.settings.indexes]
        waiting = waiting_deletions(connection)
        switches = in_force(connection)
        configured = {"configured": list(chosen.settings.sources)}
        removed = query(connection, "unconfigured_sources", configured).fetchall()
    if as_json:
        print_json({"sources": sources, "indexes": indexes, "deletions": waiting, "switches": switches})
        return
    for switch in switches:
        say(f"note: switched: {switch.sentence}")
    for one in waiting:
        say_deletion(one)
    for row in removed:
        say(
            f"note: {row['name']} is no longer configured: {number(row['documents'], 'document')} still "
            "served; `rag-pipelines ingest` puts their deletion up for decision"
        )
    print_table(
        ("source", "documents", "pending", "quarantined", "parked deletes", "listed", "promised", "last run"),
        (
            (
                row["source"],
                row["documents"],
                row["pending"],
                row["quarantined"],
                row["parked_deletes"],
                _lag(row),
                _every(chosen.settings.source(row["source"]).freshness),
                row["last_run"],
            )
            for row in sources
        ),
    )
    for row in sources:
        for shard in row["shards"]:
            since = age((datetime.now(UTC) - shard["since"]).total_seconds())
            say(f"note: {row['source']}: shard {shard['shard']} at work for {since}, {shard['by']}")
        if row["to_load"]:
            say(f"note: {row['source']}: {number(row['to_load'], 'listed document')} still to load")
        if row["documents_with_losses"]:
            lost = f"{number(row['documents_with_losses'], 'document')} lost something in parsing"
            say(f"note: {row['source']}: {lost}; see `rag-pipelines losses {row['source']}`")
        if row["documents_with_findings"]:
            held = f"{number(row['documents_with_findings'], 'document')} with personal data or secrets"
            say(f"note: {row['source']}: {held}; see `rag-pipelines privacy findings {row['source']}`")
        if row["last_texts"]:
            old = number(row["last_texts"], "document")
            say(f"note: {row['source']}: {old} served with an earlier text; the newer bytes cannot be read")
        for cause, documents in row["withheld"].items():
            say(f"note: {row['source']}: {number(documents, 'listed document')} withheld, {cause}")
        if row["held"]:
            held = number(row["held"], "document")
            say(f"note: {row['source']}: {held} held; see `rag-pipelines hold list`")
        if row["to_parse_again"]:
            say(f"note: {row['source']}: {to_parse_again(row['to_parse_again'])}")
    print_table(
        (
            "index",
            "live version",
            "rows",
            "sources as of",
            "live for",
            "documents behind",
            "candidate",
            "retired",
        ),
        (
            (
                row["index"],
                _text(row["live_version"]),
                row["rows"],
                f"{row['as_of']:%Y-%m-%d %H:%M}" if row["as_of"] else None,
                age(row["live_seconds"]) if row["live_seconds"] is not None else None,
                row["documents_behind"],
                _text(row["candidate"]),
                ", ".join(map(str, row["retired"])) or None,
            )
            for row in indexes
        ),
    )
    for row in indexes:
        if row["build_advice"]:
            say(f"note: {row['index']}: {row['build_advice']}")


def _sources(connection: Pg, settings: Settings) -> list[dict[str, Any]]:
    """What is known of each configured source, in the file's order, seen or not."""
    from rag_pipelines.store.database import query
    from rag_pipelines.store.findings import screened_documents
    from rag_pipelines.store.losses import sources_with_losses
    from rag_pipelines.sync.freshness import source_freshness
    from rag_pipelines.sync.targets import count_outdated_parses

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


def _index(connection: Pg, settings: Settings, name: str) -> dict[str, Any]:
    """The live version of an index and what stands beside it."""
    from rag_pipelines.index.memory import build_memory
    from rag_pipelines.index.storage import storage_of_version
    from rag_pipelines.index.versions import candidate_version, live_version, versions
    from rag_pipelines.store.database import query

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


def _lag(row: dict[str, Any]) -> str:
    if row["lag_seconds"] is None:
        return "never"
    return f"{age(row['lag_seconds'])} ago" + (" OVERDUE" if row["overdue"] else "")


def _every(allowed: timedelta) -> str:
    from rag_pipelines.config.values import format_duration

    return f"within {format_duration(allowed)}"


def _text(version: int | None) -> str | None:
    return None if version is None else str(version)
