"""What Dagster's history may quote of a source: documents that everybody may see, else keys and figures.

What belongs here: deciding this, and taking out what may not stand there. What does not: making metadata
(`metadata`).

Dagster keeps events for as long as its storage does, whoever may see the documents, and a purge does not
reach them. So ids, titles, texts and messages of a source whose documents are not all public do not get
there. The numbers of documents stay, with which somebody who may read the catalogue finds them.
"""

from __future__ import annotations

import dagster as dg
import msgspec

from rag_pipelines.orchestration.metadata import Metadata, table
from rag_pipelines.store.database import Pg, query
from rag_pipelines.sync.report import SyncReport

OUR_WORDS = frozenset(
    {
        *(
            "change",
            "stage",
            "status",
            "kind",
            "format",
            "state",
            "cause",
            "drift",
            "where",
            "meaning",
            "what to do",
        ),
        *("index", "first_at", "modified_at", "updated_at", "parked_at", "decided_at"),
    }
)
"""Columns of tables whose text is ours, and not a document's."""


def is_public(connection: Pg, source: str) -> bool:
    """Whether everybody of the tenant may see every document of a source; not without documents."""
    row = query(connection, "is_public", {"source": source}).fetchone()
    return bool(row and row["public"])


def disclosed(found: Metadata, *, public: bool) -> Metadata:
    """Metadata as it is, or with only numbers and words of ours in its tables."""
    return found if public else {name: _bare(value) for name, value in found.items()}


def disclosed_report(report: SyncReport, *, public: bool) -> SyncReport:
    """A report as it is, or without the ids of samples, and with its notes counted."""
    if public:
        return report
    n = len(report.notes)
    notes = [f"{n} notes of run reports name documents, and are not shown here; see `rag.run`"] if n else []
    return msgspec.structs.replace(report, samples={}, notes=notes)


def _bare(value: object) -> object:
    if not isinstance(value, dg.TableMetadataValue):
        return value
    rows = [record.data for record in value.records]
    quoting = {name for row in rows for name, cell in row.items() if isinstance(cell, str)} - OUR_WORDS
    return table({name: cell for name, cell in row.items() if name not in quoting} for row in rows)
