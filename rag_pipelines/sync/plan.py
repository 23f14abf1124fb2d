"""What an ingest would do: found by doing it up to the embedding and taking it back, stored, and applied.

What belongs here: the rehearsal, the stored plan, the budget it is held against, and applying exactly it.
What does not: any comparison of its own, because a plan that is computed in another way than the run is a
plan for another run.

The source is read once, outside any transaction, with content kept in a temporary folder; the listing,
parsing and chunking of a run then go over what was read, inside transactions that wait for nobody and are
rolled back. The tokens that would be embedded are counted, not embedded. Applying reads the source again, and
lists inside one transaction, which commits only if every decision is the planned one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from rag_pipelines import logs
from rag_pipelines.config.settings import Settings
from rag_pipelines.connectors.base import Window
from rag_pipelines.errors import BudgetError, DriftError, MissingContentError, UsageError
from rag_pipelines.fingerprint import fingerprint
from rag_pipelines.parsing import fingerprints
from rag_pipelines.progress import Progress, no_progress
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.audit import record_audit
from rag_pipelines.store.blobs import BlobStore, Kind
from rag_pipelines.store.database import Pg, Row, query
from rag_pipelines.store.lease import lease_owner, source_lease
from rag_pipelines.store.ledger import spent_this_month
from rag_pipelines.stored import Form
from rag_pipelines.sync.decisions import Decisions
from rag_pipelines.sync.diff import DocumentChange
from rag_pipelines.sync.recording import recorded_source
from rag_pipelines.sync.rehearsal import rehearse
from rag_pipelines.sync.report import SyncReport, count_failed
from rag_pipelines.sync.run import SourceRun, worker_pool
from rag_pipelines.sync.scope import Scope
from rag_pipelines.sync.stages import advance_source, list_source, source_run
from rag_pipelines.sync.targets import Targets, privacy_keys, source_targets
from rag_pipelines.text.canonical import clean

SHOWN = 10
"""Documents named when a plan does not fit any more."""

_COPY_DECIDED = "COPY decided (external_id, change, fingerprint) FROM STDIN"


class SyncPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What an ingest of one source would do.

    `changes` counts documents by kind of change, `samples` names some of each; `reparsed` counts by media
    type those that other code had parsed, of `reparsed_equal` of which the text is the same.
    `bytes_loaded` is what was read to find out, `chunks` how many new vectors are needed, `tokens` what
    they hold, `cost` their price by the embedding profile, `embed_seconds` their time at the rate of the
    last runs, None before the first. `parked_deletes` would wait for a person, `waiting_deletes` with those
    that already do; `exceeds` says where the plan is above the budget, `incomplete` that a listing did not
    see what it should have.
    """

    plan_id: int | None = None
    source: str
    outcome: str
    changes: dict[str, int]
    samples: dict[str, list[str]]
    statuses: dict[str, int]
    listed: int
    reparsed: dict[str, int] = {}
    reparsed_equal: int = 0
    bytes_loaded: int
    chunks: int
    tokens: int
    cost: float
    embed_seconds: float | None = None
    parked_deletes: int
    notes: list[str]
    exceeds: list[str] = []
    waiting_deletes: int = 0
    incomplete: bool = False

    @property
    def sound(self) -> bool:
        """Whether nothing would fail and everything could be listed."""
        return not (self.incomplete or self.failed)

    @property
    def failed(self) -> int:
        """Failures that a run would meet before it embeds."""
        return count_failed(self.changes, self.statuses)


def plan_source(
    runtime: Runtime,
    source: str,
    scope: Scope = Scope(),
    *,
    progress: Progress = no_progress,
) -> SyncPlan:
    """What `sync.engine.ingest` with the same arguments would do, stored; nothing else of it stays.

    The plan is stored as ``open``, or as ``parked`` where it is above the source's budget.
    Raises what `ingest` raises, but for `BudgetError`.
    """
    report = SyncReport(source)
    connector = runtime.settings.source(source).connector
    with (
        logs.context(source=source),
        source_lease(runtime.database, source, connector) as lease,
        _overlay(BlobStore.of(runtime.settings)) as blobs,
        worker_pool(runtime.settings.limits) as workers,
        closing(Decisions()) as decisions,
    ):
        run = SourceRun(source, runtime.settings, lease, blobs, workers, report, progress, decisions)
        with recorded_source(run, scope) as recorded:
            plan = rehearse(
                run,
                scope,
                recorded,
                lambda one: source_targets(one.connection, one.settings, one.name, runtime.embedders),
                _summarise,
            )
        exceeds = _excess(runtime.settings, plan, spent_this_month(run.connection, source))
        if _waits_for_approval(runtime, source):
            exceeds.append("no plan of it was approved yet, and its first one has to be")
        plan = msgspec.structs.replace(plan, exceeds=exceeds)
        span = scope.window
        arguments = _Arguments(scope.full, span.since, span.until, scope.allow_deletes, scope.list_all)
        with run.writing():
            purged = run.forgotten(one for kept in plan.samples.values() for one in kept)
            samples = {
                what: [one for one in kept if one not in purged] for what, kept in plan.samples.items()
            }
            plan = msgspec.structs.replace(plan, samples=samples)
            params = {
                "source_id": run.source_id,
                "state": "parked" if plan.exceeds else "open",
                "arguments": Jsonb(PLAN_ARGUMENTS.encode(arguments)),
                "settings": _settings_key(runtime.settings, source),
                "summary": Jsonb(PLAN.encode(plan)),
                "made_by": lease_owner(),
            }
            row = query(run.connection, "put_plan", params).fetchone()
            assert row is not None
            _put_decided(run.connection, decisions)
            query(run.connection, "put_plan_changes", row)
    return msgspec.structs.replace(plan, plan_id=row["plan_id"])


def plan_within_budget(
    runtime: Runtime,
    source: str,
    scope: Scope = Scope(),
) -> SyncPlan | None:
    """The plan of a source that has a budget; None where there is none to keep to.

    Raises:
        BudgetError: the plan exceeds it; it is parked, and nothing was changed.
    """
    if not (runtime.settings.source(source).budget.limited or _waits_for_approval(runtime, source)):
        return None
    plan = plan_source(runtime, source, scope)
    if plan.exceeds:
        raise BudgetError(
            f"source {source!r}: {'; '.join(plan.exceeds)}. Nothing was changed; plan {plan.plan_id} is "
            f"parked. If it is right, run `rag-pipelines apply {plan.plan_id}`"
            + (", or raise the source's budget" if runtime.settings.source(source).budget.limited else "")
        )
    return plan


def apply_plan(
    runtime: Runtime,
    plan_id: int,
    *,
    progress: Progress = no_progress,
) -> SyncReport:
    """Do exactly what a stored plan says, above a budget too: applying it is the approval, and is audited.

    Raises:
        UsageError: there is no such plan, it does not wait any more, or another run holds the source.
        DriftError: the source or the configuration is not what the plan was made for; nothing was changed.
    """
    with runtime.database.connection() as connection:
        row = query(connection, "plan_by_id", {"plan_id": plan_id}).fetchone()
    if row is None:
        raise UsageError(f"there is no plan {plan_id}; `rag-pipelines apply` lists those that wait")
    source = row["source"]
    if row["state"] not in ("open", "parked"):
        raise UsageError(f"plan {plan_id} is {row['state']}; make a new one: `rag-pipelines plan {source}`")
    if row["settings"] != _settings_key(runtime.settings, source):
        raise DriftError(
            f"the configuration of source {source!r} or of what it feeds, or the code that parses it, has "
            f"changed since plan {plan_id} was made; nothing was changed, make a new one: "
            f"`rag-pipelines plan {source}`"
        )
    arguments = PLAN_ARGUMENTS.decode(row["arguments"])
    with (
        closing(Decisions()) as decisions,
        source_run(runtime.database, runtime.settings, source, progress, decisions=decisions) as run,
    ):
        window = Window(arguments.since, arguments.until)
        scope = Scope(arguments.full, window, arguments.allow_deletes, arguments.list_all)
        with recorded_source(run, scope) as recorded, run.connection.transaction():
            list_source(run, scope, origin=recorded)
            _refuse_drift(run.connection, row, decisions)
            actor = lease_owner()
            query(run.connection, "plan_applied", {"plan_id": plan_id, "actor": actor})
            detail = {"source": source, "exceeds": PLAN.decode(row["summary"]).exceeds}
            record_audit(run.connection, "plan applied", f"plan {plan_id}", detail, actor)
        advance_source(run, runtime.embedders)
    return run.report


def waiting_plans(connection: Pg) -> list[SyncPlan]:
    """Plans that are neither applied nor superseded, the newest first."""
    return [
        msgspec.structs.replace(PLAN.decode(row["summary"]), plan_id=row["plan_id"])
        for row in query(connection, "waiting_plans")
    ]


class _Arguments(msgspec.Struct, frozen=True):
    full: bool = False
    since: datetime | None = None
    until: datetime | None = None
    allow_deletes: bool = False
    list_all: bool = False


PLAN = Form("plan", SyncPlan)
PLAN_ARGUMENTS = Form("plan arguments", _Arguments)


def _summarise(run: SourceRun, targets: Targets) -> SyncPlan:
    """What was rehearsed, and what embedding it would take."""
    chunks = tokens = 0
    cost = 0.0
    for model in targets.models:
        params = {
            "source_id": run.source_id,
            "chunker_id": model.chunker_id,
            "model_id": model.profile_id,
        }
        row = query(run.connection, "unembedded_inputs", params).fetchone()
        assert row is not None
        chunks += row["inputs"]
        tokens += row["tokens"]
        cost += row["tokens"] / 1e6 * model.price_per_million_tokens
    rate = query(run.connection, "embedding_rate", {"source_id": run.source_id}).fetchone()
    report = run.report
    return SyncPlan(
        source=run.name,
        outcome=report.outcome,
        changes=report.changes,
        samples=report.samples,
        statuses=report.statuses,
        listed=report.listed,
        reparsed=report.reparsed,
        reparsed_equal=report.reparsed_equal,
        bytes_loaded=report.bytes_loaded,
        chunks=chunks,
        tokens=tokens,
        cost=round(cost, 6),
        embed_seconds=round(tokens / rate["tokens_per_s"], 1) if rate and rate["tokens_per_s"] else None,
        parked_deletes=report.parked_deletes,
        waiting_deletes=report.waiting_deletes,
        incomplete=report.incomplete,
        notes=report.notes,
    )


def _waits_for_approval(runtime: Runtime, source: str) -> bool:
    """Whether a person has to approve the first plan of the source, and nobody did."""
    if not runtime.settings.source(source).needs_approval:
        return False
    with runtime.database.connection() as connection:
        return query(connection, "approved_plan", {"source": source}).fetchone() is None


def _excess(settings: Settings, plan: SyncPlan, spent: tuple[int, float]) -> list[str]:
    """Where a plan is above the budget of its source, which has `spent` tokens and their cost this month."""
    budget = settings.source(plan.source).budget
    taken = sum(plan.changes.get(change, 0) for change in (DocumentChange.ADDED, DocumentChange.CHANGED))
    figures: list[tuple[str, float, float | None]] = [
        ("documents added or changed", taken, budget.documents),
        ("tokens to embed", plan.tokens, budget.tokens),
        ("cost", plan.cost, budget.cost),
        ("tokens in this month", spent[0] + plan.tokens, budget.month.tokens),
        ("cost in this month", round(spent[1] + plan.cost, 6), budget.month.cost),
    ]
    return [
        f"{found:,} {what}, the budget is {limit:,}"
        for what, found, limit in figures
        if limit is not None and found > limit
    ]


def _settings_key(settings: Settings, source: str) -> str:
    """Equal as long as a run of the source would be configured in the same way."""
    return fingerprint(
        [
            settings.source(source).model_dump(mode="json"),
            sorted(fingerprints.parser_fingerprints(settings.parse_options(source)).items()),
            [
                [
                    name,
                    msgspec.to_builtins(settings.chunk_options(name)),
                    settings.embedding_profile(name).model_dump(mode="json"),
                ]
                for name in settings.indexes_of(source)
            ],
            *privacy_keys(settings, source),
        ]
    )


def _put_decided(connection: Pg, decisions: Decisions) -> None:
    """Load decisions into the temporary table ``decided``, inside a transaction."""
    query(connection, "make_decided")
    with connection.cursor() as cursor, cursor.copy(_COPY_DECIDED) as copy:
        for one in decisions:
            copy.write_row((clean(one.external_id), one.change, one.fingerprint))


def _refuse_drift(connection: Pg, plan: Row, decisions: Decisions) -> None:
    _put_decided(connection, decisions)
    params = {"plan_id": plan["plan_id"], "limit": SHOWN}
    rows = query(connection, "plan_drift", params).fetchall()
    if rows:
        lines = "; ".join(
            f"{row['external_id']}: planned {row['planned'] or 'no change'}, now {_now(row)}" for row in rows
        )
        raise DriftError(
            f"source {plan['source']!r} is not what plan {plan['plan_id']} was made for, "
            f"{rows[0]['documents']} documents differ: {lines}. Nothing was changed; make a new plan: "
            f"`rag-pipelines plan {plan['source']}`"
        )


def _now(row: Row) -> Any:
    if row["found"] == row["planned"]:
        return f"{row['found']} in another way"
    return row["found"] or "no change"


class _OverlayBlobs(BlobStore):
    """Reads what is stored; writes into a folder of its own."""

    def __init__(self, stored: BlobStore, folder: str) -> None:
        super().__init__(folder)
        self._stored = stored

    def get(self, kind: Kind, digest: bytes) -> bytes:
        try:
            return super().get(kind, digest)
        except MissingContentError:
            return self._stored.get(kind, digest)


@contextmanager
def _overlay(stored: BlobStore) -> Iterator[BlobStore]:
    with tempfile.TemporaryDirectory(prefix="rag-pipelines-plan-") as folder:
        yield _OverlayBlobs(stored, folder)
