"""What a version is made of: how much the catalogue offers a build, and what of it a build cannot hold yet.

What belongs here: counting, inside the snapshot that a build loads from; of a build that catches up only what
changed is looked at. What does not: loading (`storage`), and judging what is missing (`gates.completeness`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg import sql

from rag_pipelines.index.spec import SourceGaps
from rag_pipelines.index.storage import Size, Storage
from rag_pipelines.index.versions import Version
from rag_pipelines.store.database import Part, Pg, compose_query, query

SAMPLED_ROWS = 20_000
"""Of more rows, the tokens of a chunk are those of a sample of about so many."""

SAMPLED_OF_CHANGE = 2_000
"""The same of a build that is counted by what changed."""

_ALL: Part = sql.SQL("true")


def count_expected(connection: Pg, params: dict[str, Any], members: Part = _ALL) -> Size:
    """What the catalogue offers a build.

    Args:
        params: `sources`, `chunker_id` and `model_id` of the build.
        members: which documents of the catalogue, a predicate; all by default.
    """
    row = query(connection, "index_members", params, {"members": members}).fetchone()
    assert row is not None
    return Size(row["documents"], row["expected_rows"])


def count_expected_after(connection: Pg, params: dict[str, Any], storage: Storage, found: Size) -> Size:
    """The same for tables that were right but for the documents in the table `changed`, of which they hold
    `found` now: only these documents are looked up."""
    changed = count_rows(connection, storage, compose_query("changed_rows", storage.parts("vectors")))
    offered = count_expected(connection, params, compose_query("changed_members"))
    return Size(*(all_ - ours + due for all_, ours, due in zip(found, changed, offered, strict=True)))


def count_rows(connection: Pg, storage: Storage, rows: Part | None = None) -> Size:
    """What a version's tables hold, or some of their rows."""
    parts = storage.parts("vectors") if rows is None else {"vectors": rows}
    row = query(connection, "version_size", None, parts).fetchone()
    assert row is not None
    return Size(row["documents"], row["chunks"])


def count_on(connection: Pg, storage: Storage, base: Version, gone: Size) -> Size:
    """What tables hold after a catch-up, by the counters of `base`, without reading the rest.

    Args:
        gone: what was there of the documents in the table `changed`, which are there anew.
    """
    row = query(connection, "held_rows", {"version_id": base.version_id}).fetchone()
    assert row is not None
    fresh = count_rows(connection, storage, compose_query("changed_rows", storage.parts("vectors")))
    return Size(row["documents"] - gone.documents + fresh.documents, row["rows"] - gone.rows + fresh.rows)


def measure_tokens(
    connection: Pg, storage: Storage, rows: int, *, sample: int = SAMPLED_ROWS
) -> tuple[float | None, float]:
    """The mean of the tokens of a chunk, and their 95th percentile."""
    percent = min(100.0, 100.0 * sample / max(rows, 1))
    row = query(connection, "token_statistics", {"percent": percent}, storage.parts("vectors")).fetchone()
    assert row is not None
    return row["mean_tokens"], row["p95_tokens"]


def listed_since(connection: Pg, params: dict[str, Any]) -> datetime | None:
    """Since when the oldest listing is of those sources that have something to index."""
    row = query(connection, "members_as_of", params).fetchone()
    return row["as_of"] if row else None


def note_missing(
    connection: Pg, params: dict[str, Any], version: Version, base: Version | None = None
) -> dict[str, SourceGaps]:
    """Write down what a build cannot hold, and count it by source; a source never run has no document.

    Args:
        base: the build whose gaps, beside the documents in the table `changed`, are all that can be missing.
    """
    numbers = {"version_id": version.version_id, "base_version": base.version_id if base else None}
    members = compose_query("asked_members") if base else _ALL
    query(connection, "note_lacking", {**params, **numbers}, {"members": members})
    found = dict.fromkeys(params["sources"], SourceGaps())
    for row in query(connection, "missing_members", {**params, **numbers}):
        since = row["running_since"]
        found[row["source"]] = SourceGaps(
            documents=row["documents"],
            not_parsed=row["not_parsed"],
            not_chunked=row["not_chunked"],
            not_embedded=row["not_embedded"],
            not_quarantined=row["not_quarantined"],
            listed=row["listed_at"] is not None,
            running_since=f"{since:%Y-%m-%d %H:%M:%S} UTC" if since else None,
        )
    return found
