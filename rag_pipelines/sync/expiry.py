"""Deletes stored documents that are past their retention, through the guard of their source.

What belongs here: what a settlement does about age. What does not: keeping what is too old from being taken
up (`withholding`), the guard (`settle`), and decisions of people (`deletions`).

Age is looked at in each run that settles its source, whether the source lists everything or only what
changed. What is held stays, and the report says so.
"""

from __future__ import annotations

from typing import Any

from psycopg.types.json import Jsonb

from rag_pipelines.config.governance import retention_rules
from rag_pipelines.store.database import query
from rag_pipelines.sync.diff import DocumentChange
from rag_pipelines.sync.run import SourceRun


class Expiry:
    """What is too old in one source. `allow_deletes` takes up what waits for a person, too."""

    def __init__(self, run: SourceRun, *, allow_deletes: bool) -> None:
        self._run = run
        rules = retention_rules(run.source.labels, run.source.retention)
        self._any = bool(rules)
        by_change = all(one["basis"] == "modified_at" for one in rules)
        self._params: dict[str, Any] = {
            "source_id": run.source_id,
            "rules": Jsonb(rules),
            "parked": allow_deletes,
            "least": min((one["seconds"] for one in rules), default=None) if by_change else None,
        }

    def due(self) -> list[str]:
        """Inside `writing`: ids of what is to be deleted, in order. What waits and is not past any more is
        served without a decision from now on."""
        query(self._run.connection, "unpark_retained", self._params)
        if not self._any:
            return []
        rows = query(self._run.connection, "past_retention", self._params).fetchall()
        held = [row for row in rows if row["hold"] is not None]
        if held:
            self._run.report.notes.append(
                f"{len(held)} documents are past their retention and stay, because they are held: see "
                f"`rag-pipelines hold list` ({held[0]['external_id']} by hold {held[0]['hold']})"
            )
        return [row["external_id"] for row in rows if row["hold"] is None]

    def delete(self, ids: list[str]) -> None:
        """Inside `writing`: hide these; a listing that names them does not bring them back."""
        run = self._run
        query(run.connection, "tombstone_ids", {"source_id": run.source_id, "ids": ids})
        rows = [{"external_id": one, "cause": "retention"} for one in ids]
        query(run.connection, "put_withheld", {"source_id": run.source_id, "rows": Jsonb(rows)})
        for external_id in ids:
            run.decide(DocumentChange.EXPIRED, external_id)
