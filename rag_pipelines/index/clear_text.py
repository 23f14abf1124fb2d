"""Versions that hold text which is masked by now, by its source or by the label of its document.

What belongs here: looking for such text. What does not: masking (`privacy`), and what follows for a promotion
(`gates`), a rollback or a collection (`promotion`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rag_pipelines.index.storage import tables_of
from rag_pipelines.store.database import Pg, Row, query


def stored_masks(connection: Pg, sources: Iterable[str]) -> dict[str, str | None]:
    """What stands for the masks of those sources that masked when they last ran; None for those of which only
    some documents are masked, by their label."""
    rows = query(connection, "masking_sources", {"sources": list(sources)})
    return {row["name"]: row["masked_by"] for row in rows}


def clear_passages(connection: Pg, storage: int, masks: Mapping[str, str | None]) -> list[Row]:
    """By source, how many passages in the tables `storage` were never masked as `masks` says, and of how many
    documents; sources without any are left out."""
    if not masks:
        return []
    return query(
        connection, "clear_passages", _params(masks), {"vectors": tables_of(storage)["vectors"]}
    ).fetchall()


def clear_attributes(connection: Pg, masks: Mapping[str, str | None]) -> list[Row]:
    """By source, of how many documents title and metadata were not masked as `masks` says."""
    return query(connection, "clear_attributes", _params(masks)).fetchall() if masks else []


def clear_retired(connection: Pg, index: str) -> list[int]:
    """Retired versions of an index that hold such text, where the live one does not hold any."""
    rows = query(connection, "shown_storages", {"index_name": index}).fetchall()
    masks = stored_masks(connection, {name for row in rows for name in row["sources"]})
    holding = {row["version_id"] for row in rows if clear_passages(connection, row["storage"], masks)}
    if any(row["state"] == "live" and row["version_id"] in holding for row in rows):
        return []
    return sorted(holding)


def _params(masks: Mapping[str, str | None]) -> dict[str, list[Any]]:
    return {"sources": list(masks), "masked_by": list(masks.values())}
