"""Emergency switches: what an operator turns off without a deploy, in force for the next query, and audited.

What belongs here: kinds of switches, turning them, which are in force, and refusing to write where ingest is
read-only. What does not: what a switch changes about a search (`query.switched`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from rag_pipelines.config.settings import Settings
from rag_pipelines.errors import SwitchedOffError, UsageError
from rag_pipelines.store.audit import record_audit
from rag_pipelines.store.database import Database, Pg, query
from rag_pipelines.store.lease import lease_owner

Kind = Literal["source-off", "lexical-only", "reranker-off", "canary-off", "read-only"]

TARGETS: Mapping[Kind, str] = {
    "source-off": "source",
    "lexical-only": "index",
    "reranker-off": "index",
    "canary-off": "index",
    "read-only": "",
}
"""What each kind is of: a source, an index, or everything."""


class Switch(msgspec.Struct, frozen=True, kw_only=True):
    """A switch that is or was on. `until` is when it goes off by itself."""

    kind: Kind
    target: str
    reason: str
    started_at: datetime
    started_by: str
    until: datetime | None = None
    ended_at: datetime | None = None
    ended_by: str | None = None

    @property
    def name(self) -> str:
        """``source-off docs``."""
        return f"{self.kind} {self.target}".rstrip()

    @property
    def sentence(self) -> str:
        """Of one in force: what, since when, by whom, why, until when."""
        until = f", until {self.until:%Y-%m-%d %H:%M}" if self.until else ""
        since = f"{self.started_at:%Y-%m-%d %H:%M}"
        return f"{self.name} since {since} by {self.started_by}{until}: {self.reason}"


def in_force(connection: Pg, kind: Kind | None = None) -> list[Switch]:
    """The switches that are on, of one kind or of all, the oldest first."""
    return [Switch(**row) for row in query(connection, "switches_in_force", {"kind": kind})]


def history(connection: Pg) -> list[Switch]:
    """Every switch that there was, the oldest first."""
    return [Switch(**row) for row in query(connection, "switch_history")]


def turn_on(
    database: Database,
    settings: Settings,
    kind: str,
    target: str = "",
    *,
    reason: str,
    duration: timedelta | None = None,
    actor: str | None = None,
) -> Switch:
    """Turn a switch on, or give one that is on another reason and time.

    Args:
        duration: after it the switch goes off by itself.

    Raises:
        UsageError: there is no such switch, source or index, or the reason or the time is no good.
    """
    known = _check(settings, kind, target, for_turning_on=True)
    if not reason.strip():
        raise UsageError("a switch needs a reason; it is kept, and callers see it")
    if duration is not None and duration <= timedelta():
        raise UsageError(f"the time is {duration}; valid: longer than nothing, such as 2h")
    actor = actor or lease_owner()
    params = {"kind": known, "target": target, "reason": reason, "duration": duration, "actor": actor}
    with database.transaction() as connection:
        query(connection, "end_switch", params)
        row = query(connection, "put_switch", params).fetchone()
        assert row is not None
        switch = Switch(**row)
        detail = {"reason": reason, "until": switch.until.isoformat() if switch.until else None}
        record_audit(connection, "switch on", switch.name, detail, actor)
    return switch


def turn_off(
    database: Database,
    settings: Settings,
    kind: str,
    target: str = "",
    *,
    reason: str = "",
    actor: str | None = None,
) -> None:
    """Turn a switch off.

    Raises:
        UsageError: it is not on.
    """
    known = _check(settings, kind, target, for_turning_on=False)
    actor = actor or lease_owner()
    name = f"{kind} {target}".rstrip()
    with database.transaction() as connection:
        ended = query(connection, "end_switch", {"kind": known, "target": target, "actor": actor}).fetchone()
        if ended is None or not ended["was_on"]:
            on = ", ".join(one.name for one in in_force(connection)) or "none"
            raise UsageError(f"switch {name!r} is not on; on: {on}")
        record_audit(connection, "switch off", name, {"reason": reason, "was": ended["reason"]}, actor)


def refuse_read_only(connection: Pg, what: str) -> None:
    """Raises `SwitchedOffError` where ingest is read-only; `what` is the operation that wants to write."""
    for switch in in_force(connection, "read-only"):
        raise SwitchedOffError(
            f"{what} is refused: {switch.sentence}. Searches go on; it ends with "
            "`rag-pipelines switch off read-only`"
        )


def _check(settings: Settings, kind: str, target: str, *, for_turning_on: bool) -> Kind:
    """The kind, if there is such a switch. One that is on can be turned off when its target is gone."""
    known = next((one for one in TARGETS if one == kind), None)
    if known is None:
        raise UsageError(f"received {kind!r} as a switch; valid: {', '.join(TARGETS)}")
    of = TARGETS[known]
    if not of and target:
        raise UsageError(f"switch {kind!r} is of everything; leave {target!r} out")
    if of and for_turning_on:
        valid = list(settings.sources if of == "source" else settings.indexes)
        if target not in valid:
            asked = (
                f"there is no {of} {target!r}" if target else f"switch {kind!r} needs the name of its {of}"
            )
            raise UsageError(f"{asked}; valid: {', '.join(valid) or 'none'}")
    return known
