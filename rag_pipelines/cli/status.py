"""``rag-pipelines status``: how fresh sources are, what waits or failed, and which versions are live."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import typer

from rag_pipelines.cli.invocation import invocation
from rag_pipelines.cli.output import AsJson, age, number, print_json, print_table, say
from rag_pipelines.cli.reparse import to_parse_again
from rag_pipelines.cli.sources import say_deletion


def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Show sources with their lag, and indexes with their live version."""
    from rag_pipelines.monitoring.states import state_of_index, states_of_sources
    from rag_pipelines.retention.abandoned import mark_abandoned
    from rag_pipelines.store.database import query
    from rag_pipelines.store.switches import in_force
    from rag_pipelines.sync.deletions import waiting_deletions

    chosen = invocation(context)
    mark_abandoned(chosen.database)
    with chosen.database.connection() as connection:
        sources = states_of_sources(connection, chosen.settings)
        indexes = [state_of_index(connection, chosen.settings, name) for name in chosen.settings.indexes]
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


def _lag(row: dict[str, Any]) -> str:
    if row["lag_seconds"] is None:
        return "never"
    return f"{age(row['lag_seconds'])} ago" + (" OVERDUE" if row["overdue"] else "")


def _every(allowed: timedelta) -> str:
    from rag_pipelines.config.values import format_duration

    return f"within {format_duration(allowed)}"


def _text(version: int | None) -> str | None:
    return None if version is None else str(version)
