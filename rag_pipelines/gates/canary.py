"""The rows of canaries: starting and ending one, adding up what is observed, and breaking it off.

What belongs here: `rag.canary`, its figures, and the judgement of a candidate by them. What does not: who
reads the candidate and how searches are compared (`serving.canary`), statistics (`evaluation.sequential`).

A canary ends by itself when its candidate is promoted or dropped, and when another version becomes live: a
trigger of `sql/objects/07_trials.sql` sees to that. One that breaks a bound leaves a failed gate with
the candidate, so that it is promoted only by somebody who overrides that gate.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from psycopg.types.json import Jsonb

from rag_pipelines import logs
from rag_pipelines.config.canary import CanarySettings
from rag_pipelines.errors import GateError, UsageError
from rag_pipelines.evaluation.sequential import evidence, upper_bound
from rag_pipelines.index.gate_results import Gate, gates_of, store_gate
from rag_pipelines.index.promotion import find_candidate, refusals
from rag_pipelines.index.versions import Version, live_version
from rag_pipelines.store.audit import record_audit
from rag_pipelines.store.database import Database, Pg, Row, query
from rag_pipelines.store.lease import lease_owner
from rag_pipelines.stored import Form

log = logs.get(__name__)

CANARY = "canary"
"""The gate that a breached canary leaves with its candidate."""

Mode = Literal["serve", "shadow"]
Side = Literal["candidate", "live"]

MILLISECONDS: tuple[float, ...] = tuple(round(0.5 * 1.25**step, 3) for step in range(44))
"""Upper edges of the classes of time; the last class has none."""

CANARY_BOUNDS = Form("canary bounds", dict[str, Any])
"""The first form is written without its number: services of 0.1.0 look for canaries, and refuse what they do
not know."""

_SHARES = 6
"""Parts of `alpha`: one for each of five bounds, and one for what votes against live answers are usual."""


class SideFigures(msgspec.Struct):
    """How searches were answered. `milliseconds` counts them by class of time."""

    searches: int = 0
    empties: int = 0
    errors: int = 0
    milliseconds: list[int] = msgspec.field(default_factory=lambda: [0] * (len(MILLISECONDS) + 1))

    def record_answer(self, hits: int, milliseconds: float | None) -> None:
        """One search has its answer; one that was kept from an earlier search took no time to speak of."""
        self.searches += 1
        self.empties += not hits
        if milliseconds is not None:
            self.milliseconds[bisect.bisect_left(MILLISECONDS, milliseconds)] += 1

    def record_failure(self) -> None:
        """One search has none."""
        self.searches += 1
        self.errors += 1

    def plus(self, other: SideFigures) -> SideFigures:
        """These figures and others together."""
        return SideFigures(
            self.searches + other.searches,
            self.empties + other.empties,
            self.errors + other.errors,
            [one + more for one, more in zip(self.milliseconds, other.milliseconds, strict=True)],
        )

    def quantile(self, share: float) -> float | None:
        """The upper edge of the class that holds this share of the answered searches; None without any."""
        wanted = share * sum(self.milliseconds)
        if not wanted:
            return None
        seen = 0
        for edge, count in zip(MILLISECONDS, self.milliseconds, strict=False):
            seen += count
            if seen >= wanted:
                return edge
        return MILLISECONDS[-1]


class PairFigures(msgspec.Struct):
    """What came of asking both versions.

    `compared` pairs have two answers; in `lost` ones only the live version found anything, in `slow` ones
    the candidate took too long, and `distance` sums 1 - overlap over them. In `failed` pairs only the live
    version could answer. `skipped` searches were not compared, because there was no time to.
    """

    compared: int = 0
    failed: int = 0
    lost: int = 0
    slow: int = 0
    distance: float = 0.0
    skipped: int = 0


class Figures(msgspec.Struct):
    """What one process observed and has not stored yet."""

    candidate: SideFigures = msgspec.field(default_factory=SideFigures)
    live: SideFigures = msgspec.field(default_factory=SideFigures)
    pairs: PairFigures = msgspec.field(default_factory=PairFigures)


class Votes(msgspec.Struct, frozen=True):
    """What callers said of the answers of one version."""

    up: int = 0
    down: int = 0

    @property
    def total(self) -> int:
        """How many."""
        return self.up + self.down


class Canary(msgspec.Struct, frozen=True):
    """One trial of a candidate. `share` of the callers of `tenants` (of all, if there are none) takes part.

    In the mode ``serve`` they read the candidate; in ``shadow`` that share of searches is only compared.
    """

    canary_id: int
    index_name: str
    version_id: int
    live_id: int
    mode: Mode
    share: float
    tenants: tuple[str, ...]
    bounds: CanarySettings
    state: Literal["running", "ended", "breached"]
    started_by: str
    reason: str
    started_at: datetime
    ended_by: str | None
    ended_at: datetime | None
    verdict: str | None
    pairs: PairFigures

    @classmethod
    def of(cls, row: Row) -> Canary:
        """The canary of a row of `rag.canary`."""
        values = {name: row[name] for name in cls.__struct_fields__ if name in row}
        values["tenants"] = tuple(row["tenants"])
        bounds = CANARY_BOUNDS.decode(row["bounds"]).items()
        known = {name: value for name, value in bounds if name in CanarySettings.model_fields}
        values["bounds"] = CanarySettings.model_validate(known)
        return cls(**values, pairs=PairFigures(**{name: row[name] for name in PairFigures.__struct_fields__}))


class CanaryReport(msgspec.Struct, frozen=True):
    """A canary with everything that was observed of it."""

    canary: Canary
    sides: Mapping[Side, SideFigures]
    votes: Mapping[Side, Votes]

    @property
    def overlap(self) -> float | None:
        """The mean share of documents that both versions find."""
        pairs = self.canary.pairs
        return 1 - pairs.distance / pairs.compared if pairs.compared else None


def start_canary(
    database: Database,
    name: str,
    version_id: int | None = None,
    *,
    bounds: CanarySettings = CanarySettings(),
    share: float | None = None,
    tenants: Sequence[str] = (),
    mode: Mode = "serve",
    actor: str = "",
    reason: str = "",
) -> Canary:
    """Begin a canary of a candidate of the index `name`, by default the newest.

    Args:
        bounds: what the candidate must keep to.
        share: of the callers; by default that of `bounds`, or all callers where tenants are named.

    Raises:
        UsageError: there is no such candidate, nothing is live, a canary runs already, or the share is wrong.
        GateError: the candidate has not passed its gates; the message lists every one.
    """
    share = share if share is not None else (1.0 if tenants else bounds.share)
    if not 0 < share <= 1:
        raise UsageError(f"the share is {share:g}; valid: above 0 and at most 1 (100%)")
    with database.transaction() as connection:
        query(connection, "lock_versions", {"index_name": name})
        live = live_version(connection, name)
        if live is None:
            raise UsageError(
                f"index {name!r} has no live version to compare a candidate with; run "
                f"`rag-pipelines index build {name}` first"
            )
        running = running_canaries(connection, name)
        if running:
            raise UsageError(
                f"version {running[0].version_id} of index {name!r} is a canary since "
                f"{running[0].started_at:%Y-%m-%d %H:%M}; end it with `rag-pipelines canary stop {name}`"
            )
        candidate = _candidate(connection, name, version_id)
        row = query(
            connection,
            "put_canary",
            {
                "index_name": name,
                "version_id": candidate.version_id,
                "live_id": live.version_id,
                "mode": mode,
                "share": share,
                "tenants": sorted(set(tenants)),
                "bounds": Jsonb(bounds.model_dump()),
                "actor": actor or lease_owner(),
                "reason": reason,
            },
        ).fetchone()
        assert row is not None
        canary = Canary.of(row)
        detail = {"version": canary.version_id, "share": share, "tenants": canary.tenants, "reason": reason}
        record_audit(connection, f"canary {mode}", name, detail, canary.started_by)
        return canary


def stop_canary(database: Database, name: str, *, actor: str = "", reason: str = "") -> Canary:
    """End the canary of an index; its candidate stays one. Raises `UsageError` if none runs."""
    actor = actor or lease_owner()
    with database.transaction() as connection:
        running = running_canaries(connection, name)
        ended = (
            _end(connection, running[0].canary_id, "ended", actor, reason or "stopped") if running else None
        )
        if ended is None:
            raise UsageError(
                f"no canary of index {name!r} is running; see `rag-pipelines canary status {name}`"
            )
        detail = {"version": ended.version_id, "reason": reason}
        record_audit(connection, "canary stop", name, detail, actor)
        return ended


def record(database: Database, canary_id: int, figures: Figures) -> list[str]:
    """Add what one process observed, and break the canary off if it is out of bounds now; says by which."""
    with database.transaction() as connection:
        pairs = {"canary_id": canary_id, **msgspec.to_builtins(figures.pairs)}
        query(connection, "add_canary_pairs", pairs)
        for side in ("candidate", "live"):
            params = msgspec.to_builtins(getattr(figures, side))
            query(connection, "add_canary_side", {"canary_id": canary_id, "side": side, **params})
    with database.connection() as connection:
        row = query(connection, "canary_by_id", {"canary_id": canary_id}).fetchone()
        assert row is not None
        report = report_of(connection, Canary.of(row))
    broken = breaches(report) if report.canary.state == "running" else []
    if broken:
        _break_off(database, report.canary, broken)
    return broken


def breaches(report: CanaryReport) -> list[str]:
    """Every bound that a candidate surely does not keep to, in sentences with its figures."""
    pairs, bounds = report.canary.pairs, report.canary.bounds
    asked, both = pairs.compared + pairs.failed, pairs.compared
    votes, before = report.votes["candidate"], report.votes["live"]
    alpha = bounds.alpha / _SHARES
    usual = upper_bound(before.down, before.total, alpha)
    judged = (
        (
            (pairs.failed, asked, bounds.max_failed),
            f"{pairs.failed:,} of {asked:,} searches failed that live could answer; "
            f"allowed are {bounds.max_failed:.1%}",
        ),
        (
            (pairs.lost, both, bounds.max_lost),
            f"{pairs.lost:,} of {both:,} searches found nothing although live did; "
            f"allowed are {bounds.max_lost:.1%}",
        ),
        (
            (pairs.distance, both, 1 - bounds.min_overlap),
            f"the mean overlap with live is {report.overlap or 0:.3f} over {both:,} searches; "
            f"at least {bounds.min_overlap:g} is asked",
        ),
        (
            (pairs.slow, both, bounds.max_slow),
            f"{pairs.slow:,} of {both:,} searches took too long; the limit is {bounds.max_slow:.1%}",
        ),
        (
            (votes.down, votes.total, usual + bounds.max_down),
            f"{votes.down:,} of {votes.total:,} votes are against its answers; with live's votes, "
            f"allowed are {usual + bounds.max_down:.1%}",
        ),
    )
    return [
        sentence
        for (total, n, limit), sentence in judged
        if n >= bounds.min_observations and evidence(total, n, limit) >= 1 / alpha
    ]


def running_canaries(connection: Pg, name: str | None = None) -> list[Canary]:
    """The canaries that run, of one index or of all; at most one each."""
    return [Canary.of(row) for row in query(connection, "running_canaries", {"index_name": name})]


def latest_reports(connection: Pg, name: str | None = None) -> list[CanaryReport]:
    """The newest canary of each index, running or not, with what was observed."""
    rows = query(connection, "latest_canaries", {"index_name": name}).fetchall()
    return [report_of(connection, Canary.of(row)) for row in rows]


def find_breached_canary(connection: Pg, version_id: int) -> Canary | None:
    """The canary that was aborted because of a version."""
    row = query(connection, "breached_canary", {"version_id": version_id}).fetchone()
    return Canary.of(row) if row else None


def report_of(connection: Pg, canary: Canary) -> CanaryReport:
    """What was observed of a canary."""
    params = {"canary_id": canary.canary_id}
    sides: dict[Side, SideFigures] = {"candidate": SideFigures(), "live": SideFigures()}
    for row in query(connection, "canary_sides", params):
        milliseconds = row["milliseconds"] or SideFigures().milliseconds
        sides[row["side"]] = SideFigures(row["searches"], row["empties"], row["errors"], milliseconds)
    votes: dict[Side, Votes] = {"candidate": Votes(), "live": Votes()}
    for row in query(connection, "canary_votes", params):
        votes[row["side"]] = Votes(row["up"], row["down"])
    return CanaryReport(canary, sides, votes)


def _candidate(connection: Pg, name: str, version_id: int | None) -> Version:
    """A candidate that has passed its gates."""
    candidate = find_candidate(connection, name, version_id)
    reasons = refusals(candidate, gates_of(connection, candidate.version_id))
    if not reasons and candidate.state != "validated":
        reasons = [f"it is {candidate.state}, not validated"]
    if reasons:
        raise GateError(
            f"version {candidate.version_id} of index {name!r} cannot be served: {'; '.join(reasons)}",
            reasons,
        )
    return candidate


def _break_off(database: Database, canary: Canary, broken: Sequence[str]) -> None:
    """All callers back to the live version, and a failed gate for the candidate."""
    with database.transaction() as connection:
        query(connection, "lock_versions", {"index_name": canary.index_name})
        if _end(connection, canary.canary_id, "breached", "canary", "; ".join(broken)) is None:
            return
        detail = {"canary": canary.canary_id, "refused": list(broken)}
        gate = Gate(CANARY, False, float(len(broken)), 0.0, detail)
        store_gate(connection, canary.version_id, gate)
        query(connection, "require_gate", {"version_id": canary.version_id, "gate": CANARY})
        query(connection, "set_state", {"version_id": canary.version_id, "state": "built"})
        told = {"version": canary.version_id, **detail}
        record_audit(connection, "canary breach", canary.index_name, told, "canary")
    log.warning("canary aborted", index=canary.index_name, version=canary.version_id, **detail)


def _end(connection: Pg, canary_id: int, state: str, actor: str, verdict: str) -> Canary | None:
    """End a canary that runs; None if it does not."""
    params = {"canary_id": canary_id, "state": state, "actor": actor, "verdict": verdict}
    row = query(connection, "end_canary", params).fetchone()
    return Canary.of(row) if row else None
