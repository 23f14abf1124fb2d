"""What a version is made of: how much the catalogue offers a build, and what of it a build cannot hold yet.

What belongs here: counting, inside the snapshot that a build loads from. What does not: loading (`storage`),
and judging what is missing (`gates.completeness`).
"""

from __future__ import annotations

from typing import Any

from rag_pipelines.index.spec import SourceGaps
from rag_pipelines.store.database import Pg, Row, query


def count_members(connection: Pg, params: dict[str, Any]) -> Row:
    """Documents and rows that a build holds, and of when the oldest listing is (`as_of`).

    Args:
        params: `sources`, `chunker_id` and `model_id` of the build.
    """
    row = query(connection, "index_members", params).fetchone()
    assert row is not None
    return row


def count_missing(connection: Pg, params: dict[str, Any]) -> dict[str, SourceGaps]:
    """What a build cannot hold, by source; a source that was never run has no document."""
    found = dict.fromkeys(params["sources"], SourceGaps())
    for row in query(connection, "missing_members", params):
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
