"""Which retired version a build catches up from, if any.

What belongs here: what a catch-up would have to change, and what it would leave dead. What does not: catching
up (`build`), and the copy that is kept where there is no retired version (`spare`).
"""

from __future__ import annotations

from rag_pipelines import logs
from rag_pipelines.index.graph import outgrown
from rag_pipelines.index.storage import storage_of_version
from rag_pipelines.index.versions import IndexPlan, Version
from rag_pipelines.store.database import Pg, query

log = logs.get(__name__)


def count_changed(connection: Pg, plan: IndexPlan, watermark: str) -> int:
    """How many documents changed since a watermark."""
    params = {"sources": list(plan.sources), "watermark": watermark}
    row = query(connection, "changed_since", params).fetchone()
    assert row is not None
    return int(row["changed"])


def choose_base(connection: Pg, plan: IndexPlan) -> Version | None:
    """The retired version to catch up from, if that is allowed and cheaper than building anew."""
    params = {"index_name": plan.name, "fingerprint": plan.fingerprint}
    row = query(connection, "catch_up_base", params).fetchone()
    if row is None:
        return None
    base = Version.of(row)
    if outgrown(plan.settings.vector.index, base.spec.index.vector.index, base.row_count or 0):
        return None
    share = plan.settings.full_build_share
    changed = count_changed(connection, plan, base.watermark)
    if changed > share * max(base.document_count or 0, 1):
        return None
    dead = 0.0 if base.spec.index.vector.index == "exact" else _dead_share(connection, base, changed)
    if dead > share:
        log.info("too much of the graph would be dead", base=base.version_id, share=round(dead, 3))
        return None
    return base


def _dead_share(connection: Pg, base: Version, changed: int) -> float:
    """The share of rows that are gone among the entries of a version's graph, once so many more documents are
    replaced. Entries stay; as many were made as there are numbers of rows, for none is given twice."""
    rows = base.row_count or 0
    replaced = rows * changed / max(base.document_count or 0, 1)
    entries = storage_of_version(base).last_slot(connection) + replaced
    return max(1 - rows / entries, 0.0) if entries else 0.0
