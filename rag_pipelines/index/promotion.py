"""Makes a version live, rolls back to an earlier one, and collects what nobody needs.

What belongs here: the flips, each one transaction on the rows of `rag.index_version`. What does not:
building and judging. The gates are re-read inside the promotion's own transaction: nothing outside it,
a Dagster check least of all, is the guard.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import psycopg

from rag_pipelines import logs, tracing
from rag_pipelines.config.settings import IndexSettings
from rag_pipelines.errors import GateError, UsageError
from rag_pipelines.index.clear_text import clear_passages, clear_retired, stored_masks
from rag_pipelines.index.gate_results import GATE_MEANINGS, INTEGRITY, Gate, gates_of
from rag_pipelines.index.storage import drop_tables
from rag_pipelines.index.versions import Version, candidate_version, index_lock, live_version, version_by_id
from rag_pipelines.store.audit import record_audit
from rag_pipelines.store.database import Database, Pg, query
from rag_pipelines.store.lease import lease_owner

log = logs.get(__name__)

DROP_LOCK_MS = 10
"""How long a drop waits for each of a version's tables: searches that still look there queue behind it."""

DROP_PAUSE_SECONDS = 0.2
DROP_SECONDS = 10.0
"""How long it is tried again."""


@dataclass(frozen=True)
class Override:
    """Somebody's decision to promote a version although some gates refuse it."""

    gates: Collection[str]
    by: str
    reason: str


@tracing.spanned("promote")
def promote(
    database: Database,
    name: str,
    version_id: int | None = None,
    *,
    actor: str = "",
    override: Override | None = None,
) -> Version:
    """Make a candidate of the index `name` live; by default the newest one. The live one retires.

    Args:
        override: the gates that do not count, who says so and why; kept in the audit.

    Raises:
        UsageError: there is no such candidate, or the override lacks a name or a reason, or names a gate
            that is not required, or whose failure means a broken version.
        GateError: a required gate is missing or failed; the message lists every one.
    """
    with database.transaction() as connection:
        query(connection, "lock_versions", {"index_name": name})
        candidate = find_candidate(connection, name, version_id)
        gates = gates_of(connection, candidate.version_id)
        overridden = _overridden(candidate, override)
        reasons = refusals(candidate, gates, overridden)
        if reasons:
            log.warning(
                "promotion refused", index=name, version=candidate.version_id, reasons="; ".join(reasons)
            )
            raise GateError(
                f"version {candidate.version_id} of index {name!r} may not go live: {'; '.join(reasons)}",
                reasons,
            )
        if override is not None:
            detail = {
                "version": candidate.version_id,
                "gates": sorted(overridden),
                "reason": override.reason,
                "through": actor or lease_owner(),
                "refusals": refusals(candidate, gates),
            }
            record_audit(connection, "override", name, detail, override.by)
        _flip(connection, name, candidate, "promote", override.by if override else actor)
        return version_by_id(connection, candidate.version_id)


def find_candidate(connection: Pg, name: str, version_id: int | None = None) -> Version:
    """A candidate of the index `name`, by default the newest. Raises `UsageError` if there is none."""
    if version_id is None:
        candidate = candidate_version(connection, name)
        if candidate is None:
            raise UsageError(
                f"index {name!r} has no candidate: a version that passes its gates goes live at once. Build "
                f"one that waits with `rag-pipelines index build {name} --no-promote`, and with --full where "
                "nothing has changed"
            )
        return candidate
    version = version_by_id(connection, version_id)
    if version.index_name != name or version.state not in ("built", "validated"):
        raise UsageError(
            f"version {version_id} is {version.state} and belongs to index {version.index_name!r}; "
            f"only a built or validated version of {name!r} can be promoted"
        )
    return version


def refusals(version: Version, gates: Iterable[Gate], overridden: Collection[str] = ()) -> list[str]:
    """Why a version may not go live: every required gate that is missing or failed, and what it found."""
    results = {gate.gate: gate for gate in gates}
    reasons: list[str] = []
    for name in version.required_gates:
        if name in overridden:
            continue
        gate = results.get(name)
        if gate is None and name not in GATE_MEANINGS:
            reasons.append(f"gate {name} is of another release and cannot be run; build the index anew")
        elif gate is None:
            reasons.append(f"gate {name} has not been run")
        elif not gate.passed:
            figures = f"(observed {gate.observed:g}, threshold {gate.threshold:g})"
            reasons += [f"gate {name} failed: {one}" for one in gate.detail.get("refused", ())] or [
                f"gate {name} failed {figures}"
            ]
    return reasons


def rollback(database: Database, name: str, version_id: int | None = None, *, actor: str = "") -> Version:
    """Make a retired version live again; by default the one that was live last. No rebuild.

    Raises:
        UsageError: no retired version is left, or the one named is not retired.
    """
    with database.transaction() as connection:
        query(connection, "lock_versions", {"index_name": name})
        params = {"index_name": name, "version_id": version_id}
        row = query(connection, "rollback_target", params).fetchone()
        if row is None:
            wanted = f"version {version_id} is not retired" if version_id else "no retired version is left"
            raise UsageError(
                f"index {name!r} cannot be rolled back: {wanted}; see `rag-pipelines index versions {name}`"
            )
        target = Version.of(row)
        if clear := clear_passages(connection, target.storage, stored_masks(connection, target.sources)):
            held = "; ".join(f"{one['source']}: {one['passages']:,} passages" for one in clear)
            raise UsageError(
                f"index {name!r} cannot be rolled back to version {target.version_id}: it holds text that "
                f"its sources mask by now ({held}); build a new version instead"
            )
        _flip(connection, name, target, "rollback", actor)
        return version_by_id(connection, target.version_id)


def _overridden(candidate: Version, override: Override | None) -> frozenset[str]:
    if override is None:
        return frozenset()
    if not (override.by.strip() and override.reason.strip()):
        raise UsageError(
            "overriding a gate needs the name of who decides it and a reason; one of them is empty"
        )
    may = sorted(set(candidate.required_gates) - INTEGRITY)
    wrong = sorted(set(override.gates) - set(may))
    if wrong or not override.gates:
        asked = f"gate {', '.join(wrong)} cannot be overridden" if wrong else "no gate to override was named"
        raise UsageError(f"{asked}; valid: {', '.join(may)}")
    return frozenset(override.gates)


def _flip(connection: Pg, name: str, target: Version, action: str, actor: str) -> None:
    before = live_version(connection, name)
    if before is not None:
        query(connection, "set_state", {"version_id": before.version_id, "state": "retired"})
    query(connection, "set_state", {"version_id": target.version_id, "state": "live"})
    detail = {"version": target.version_id, "before": before.version_id if before else None}
    record_audit(connection, action, name, detail, actor)
    log.info(action, index=name, **detail)


def collect_versions(database: Database, name: str, settings: IndexSettings) -> list[int]:
    """Drop what no reader and no rollback needs: old retired versions, failed builds, overtaken candidates,
    and retired versions with text that is masked by now.

    Raises:
        UsageError: a build or another collection of the index is running.
        TransientError: a long reader holds on to a table; try again later.
    """
    keep: dict[str, Any] = {"index_name": name, "keep": settings.keep.versions, "age": settings.keep.age}
    dropped: list[int] = []
    with index_lock(database, name) as connection:
        keep["clear"] = clear_retired(connection, name)
        for row in query(connection, "collectable_versions", keep).fetchall():
            version = version_by_id(connection, row["version_id"])
            if _try_drop(connection, version, row["owns_storage"]):
                dropped.append(version.version_id)
        query(connection, "forget_departed")
    return dropped


def _try_drop(connection: Pg, version: Version, owns_storage: bool) -> bool:
    """Drop a version unless it changed its state; asks for its tables again and again, briefly each time."""
    given_up = time.monotonic() + DROP_SECONDS
    while True:
        try:
            with connection.transaction():
                query(connection, "lock_versions", {"index_name": version.index_name})
                if version_by_id(connection, version.version_id).state != version.state:
                    return False
                if owns_storage:
                    drop_tables(connection, version.storage, DROP_LOCK_MS)
                query(connection, "mark_collected", {"version_id": version.version_id})
                record_audit(connection, "collect", version.index_name, {"version": version.version_id})
                log.info("version collected", index=version.index_name, version=version.version_id)
                return True
        except psycopg.errors.LockNotAvailable:
            if time.monotonic() > given_up:
                raise
            time.sleep(DROP_PAUSE_SECONDS)
