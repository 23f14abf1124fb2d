"""What people who look after knowledge see and decide: sources, quarantine, deletions, versions.

What belongs here: asking and deciding by the functions of the command line, for one tenant, and whose role
lets them. What does not: shapes (`admin_schema`), routes (`admin_routes`), the page (`page`), who is calling
(`auth`).

A role is a principal of the login itself; groups that sources list give none.
"""

from __future__ import annotations

from typing import Any, Literal

from rag_pipelines.config.settings import Settings
from rag_pipelines.errors import UsageError
from rag_pipelines.gates.canary import latest_reports
from rag_pipelines.index.gate_results import gates_of
from rag_pipelines.index.versions import versions
from rag_pipelines.monitoring.states import state_of_index, states_of_sources
from rag_pipelines.serving.admin_schema import (
    AdminResponse,
    CanaryState,
    DeletionResponse,
    DeletionState,
    GateState,
    IndexState,
    QuarantineEntry,
    QuarantineResponse,
    SourceState,
    SwitchState,
    VersionState,
    WaitingDocument,
)
from rag_pipelines.serving.auth import RequestCaller
from rag_pipelines.store.database import Database, Pg, query
from rag_pipelines.store.documents import QuarantineFilter, list_quarantine
from rag_pipelines.store.switches import in_force
from rag_pipelines.sync import deletions

VERSIONS = 10
"""Of each index, newest first."""

DECISIONS = 50
"""Deletions that are shown, those that wait first."""

DOCUMENTS = 200
"""That are named of one deletion."""


class Admin:
    """The view of one service's database. Safe to use from several threads.

    Raises `UsageError` where something does not exist for the caller's tenant, or cannot be decided any more.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._roles = settings.serving.admin

    def may(self, caller: RequestCaller, what: Literal["read", "decide"]) -> bool:
        """Whether the caller's role lets them read, or decide; who may decide may read."""
        if self._roles is None:
            return False
        let_in = {*self._roles.decide, *(self._roles.read if what == "read" else ())}
        return not let_in.isdisjoint(caller.principals)

    def overview(self, caller: RequestCaller) -> AdminResponse:
        """How everything of the caller's tenant stands now."""
        settings, tenant = self._settings, caller.tenant
        own = {name for name, source in settings.sources.items() if source.tenant == tenant}
        indexes = [name for name in settings.indexes if own.intersection(settings.sources_of(name))]
        with self._database.connection() as connection:
            covered = {
                row["source"]: row for row in query(connection, "kpi_coverage", {"sources": list(own)})
            }
            states = [one for one in states_of_sources(connection, settings) if one["source"] in own]
            decisions = deletions.list_deletions(
                connection, sources=self._sources(connection, tenant), states=None
            )
            decisions.sort(key=lambda one: (one.state != "parked", -one.deletion_id))
            return AdminResponse(
                may_decide=self.may(caller, "decide"),
                sources=[_source(one, covered.get(one["source"])) for one in states],
                indexes=[self._index(connection, name) for name in indexes],
                deletions=[_deletion(one) for one in decisions[:DECISIONS]],
                switches=[
                    SwitchState(kind=one.kind, target=one.target, sentence=one.sentence)
                    for one in in_force(connection)
                    if not one.target or one.target in {*own, *indexes}
                ],
            )

    def quarantine(self, caller: RequestCaller, source: str, limit: int) -> QuarantineResponse:
        """What failed of a source, the newest first, and why."""
        with self._database.connection() as connection:
            self._check_source(connection, source, caller.tenant)
            rows = list_quarantine(connection, QuarantineFilter(source), limit)
        return QuarantineResponse(source=source, entries=[_entry(row) for row in rows])

    def deletion(self, caller: RequestCaller, deletion_id: int) -> DeletionResponse:
        """One decision, with the documents that wait under it."""
        with self._database.connection() as connection:
            found = self._find(connection, caller, deletion_id)
            documents = deletions.waiting_documents(connection, deletion_id, DOCUMENTS)
        named = [WaitingDocument.model_validate(one) for one in documents]
        return DeletionResponse(deletion=_deletion(found), documents=named)

    def decide(
        self, caller: RequestCaller, deletion_id: int, decision: Literal["approve", "reject"], reason: str
    ) -> DeletionResponse:
        """Decide on a deletion; the audit has the caller's name and the reason."""
        with self._database.connection() as connection:
            self._find(connection, caller, deletion_id)
        act = deletions.approve if decision == "approve" else deletions.reject
        decided = act(self._database, deletion_id, reason=reason, actor=caller.name)
        return DeletionResponse(deletion=_deletion(decided), documents=[])

    def _find(self, connection: Pg, caller: RequestCaller, deletion_id: int) -> deletions.Deletion:
        found = deletions.find_deletion(connection, deletion_id)
        if found.source not in self._sources(connection, caller.tenant):
            raise UsageError(f"there is no deletion {deletion_id}")
        return found

    def _check_source(self, connection: Pg, source: str, tenant: str) -> None:
        known = self._sources(connection, tenant)
        if source not in known:
            raise UsageError(f"there is no source {source[:100]!r}; valid: {', '.join(known) or 'none'}")

    def _sources(self, connection: Pg, tenant: str) -> list[str]:
        """Those of a tenant that were ever seen, also those that are not configured any more."""
        return [row["name"] for row in query(connection, "sources_of_tenant", {"tenant": tenant})]

    def _index(self, connection: Pg, name: str) -> IndexState:
        state = state_of_index(connection, self._settings, name)
        return IndexState(
            index=name,
            documents=state["documents"],
            documents_behind=state["documents_behind"],
            as_of=state["as_of"],
            versions=[
                VersionState(
                    version=one.version_id,
                    state=one.state,
                    passages=one.row_count,
                    built_at=one.built_at,
                    promoted_at=one.promoted_at,
                    error=one.error,
                    gates=[
                        GateState(
                            gate=gate.gate,
                            passed=gate.passed,
                            observed=gate.observed,
                            threshold=gate.threshold,
                        )
                        for gate in gates_of(connection, one.version_id)
                    ],
                )
                for one in versions(connection, name, VERSIONS)
            ],
            canaries=[
                CanaryState(
                    version=one.canary.version_id,
                    state=one.canary.state,
                    share=one.canary.share,
                    started_at=one.canary.started_at,
                    started_by=one.canary.started_by,
                    verdict=one.canary.verdict,
                )
                for one in latest_reports(connection, name)
            ],
        )


def _source(row: dict[str, Any], covered: dict[str, Any] | None) -> SourceState:
    share = covered["covered"] / covered["documents"] if covered and covered["documents"] else None
    told = {name: row[name] for name in SourceState.model_fields if name in row}
    return SourceState(**told, coverage=share)


def _deletion(one: deletions.Deletion) -> DeletionState:
    return DeletionState(**{name: getattr(one, name) for name in DeletionState.model_fields})


def _entry(row: dict[str, Any]) -> QuarantineEntry:
    told = {name: row[name] for name in QuarantineEntry.model_fields if name in row}
    return QuarantineEntry(**told, document=row["external_id"] or row["entity"])
