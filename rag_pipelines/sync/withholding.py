"""Which listed documents are not kept, because of their label or their age.

What belongs here: holding a block of a listing against the source's policy. What does not: the policy
(`config.governance`), what is stored and becomes too old (`expiry`), and who may see a document otherwise
(`access`).

What a label withholds is hidden at once where it is stored, whatever the guard says: to serve it until a
person decides would be the wrong way round. Its content stays for the grace of the source, so that a label or
a policy that is taken back costs no reading. What is past its retention and stored is deleted by `expiry`,
through the guard; here it is only not taken up again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from psycopg.types.json import Jsonb

from rag_pipelines.config.governance import LabelSettings, retention_rules
from rag_pipelines.connectors.base import Item
from rag_pipelines.store.database import query
from rag_pipelines.sync.diff import DocumentChange
from rag_pipelines.sync.run import SourceRun
from rag_pipelines.sync.wanted import drop_wanted
from rag_pipelines.text.canonical import plain_metadata


class Cause(NamedTuple):
    """Why a document is withheld; `label` is the one that says so, if one does."""

    cause: str
    label: str | None = None


class Split(NamedTuple):
    """Items that are kept, with the access that their labels leave, and the causes of the others."""

    kept: dict[str, Item]
    withheld: dict[str, Cause]


class Withholding:
    """The policy of one run's source, applied to what is listed."""

    def __init__(self, run: SourceRun) -> None:
        self._run = run
        self._labels: LabelSettings | None = run.source.labels
        self._rules = retention_rules(run.source.labels, run.source.retention)
        known = query(run.connection, "has_withheld", {"source_id": run.source_id})
        self._active = bool(run.source.policy_key) or known.fetchone() is not None

    def split(self, items: Mapping[str, Item]) -> Split:
        """What becomes of each item; nothing is written."""
        kept: dict[str, Item] = {}
        withheld: dict[str, Cause] = {}
        for identity, item in items.items():
            decision = self._labels.decide(item.metadata) if self._labels else None
            if decision is not None and decision.withheld:
                withheld[identity] = Cause(decision.withheld, decision.label)
                continue
            if decision is not None and decision.clauses:
                rule = item.access or self._run.source.access
                rule = msgspec.structs.replace(rule, clauses=(*rule.clauses, *decision.clauses))
                item = msgspec.structs.replace(item, access=rule)
            kept[identity] = item
        for identity in self._past(kept):
            del kept[identity]
            withheld[identity] = Cause("retention")
        return Split(kept, withheld)

    def take(self, items: dict[str, Item]) -> dict[str, Item]:
        """The items that are kept; the others are noted, and hidden where they are stored."""
        if not self._active or not items:
            return items
        run, (kept, withheld) = self._run, self.split(items)
        rows = [{"external_id": one, **cause._asdict()} for one, cause in withheld.items()]
        labelled = [one for one, cause in withheld.items() if cause.cause != "retention"]
        former = [moved for one in labelled if (moved := items[one].moved_from) and moved not in kept]
        with run.writing() as connection:
            purged = run.forgotten(withheld)
            params = {"source_id": run.source_id, "ids": [*labelled, *former]}
            query(connection, "tombstone_ids", params)
            query(connection, "resolve_quarantine", params)
            drop_wanted(run, [*withheld, *former])
            query(connection, "drop_withheld", {"source_id": run.source_id, "ids": list(kept)})
            noted = [row for row in rows if row["external_id"] not in purged]
            put = {"source_id": run.source_id, "rows": Jsonb(noted)}
            new = {row["external_id"] for row in query(connection, "put_withheld", put)}
        for identity, cause in withheld.items():
            run.decide(
                DocumentChange.WITHHELD if identity in new else DocumentChange.UNCHANGED, identity, cause
            )
        return kept

    def _past(self, items: Mapping[str, Item]) -> list[str]:
        """Items past their retention that are not stored, or no longer shown."""
        if not self._rules or not items:
            return []
        listed = [
            {
                "external_id": identity,
                "modified_at": item.modified_at.isoformat() if item.modified_at else None,
                "metadata": plain_metadata(dict(item.metadata)),
            }
            for identity, item in items.items()
        ]
        params = {
            "source_id": self._run.source_id,
            "rules": Jsonb(self._rules),
            "listed": Jsonb(listed),
        }
        rows = query(self._run.connection, "listed_past_retention", params)
        return [row["external_id"] for row in rows]
