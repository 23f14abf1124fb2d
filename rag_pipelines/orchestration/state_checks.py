"""Checks of where sources and indexes stand: listed completely, nothing waiting for a person, fresh.

What belongs here: how the answers of the catalogue look in Dagster. What does not: the answers
(`sync.freshness`, `index.freshness`, `sync.deletions`). Each is true at the moment it is asked, so it is
asked after a run and again by `observe` when its answer changes. None blocks: what was listed goes on.
See https://docs.dagster.io/guides/test/asset-checks
"""

# Dagster needs the annotations of configuration and resources as types, not as text.
# ruff: noqa: I002

from collections.abc import Callable, Mapping
from datetime import datetime

import dagster as dg
import msgspec

from rag_pipelines.config.settings import Settings
from rag_pipelines.config.values import format_duration
from rag_pipelines.index.freshness import index_freshness
from rag_pipelines.orchestration import metadata as shown
from rag_pipelines.orchestration.disclosure import disclosed, is_public
from rag_pipelines.orchestration.failures import dagster_failures
from rag_pipelines.orchestration.index_assets import live_key
from rag_pipelines.orchestration.ingest_assets import RAW, SYNC_RUN
from rag_pipelines.orchestration.partitions import source_of, source_partitions
from rag_pipelines.store.database import Database, Pg, query
from rag_pipelines.store.documents import server_time
from rag_pipelines.sync.deletions import list_deletions, waiting_documents
from rag_pipelines.sync.freshness import source_freshness

FRESH = "fresh"

WAITING_SHOWN = 50
"""Documents shown of each deletion that waits."""


def listing_complete(connection: Pg, settings: Settings, source: str) -> dg.AssetCheckResult:
    """Whether the newest run of a source could look into all of it; the description names what not."""
    run = query(connection, "last_listing", {"source": source}).fetchone()
    report = run["report"] if run else {}
    failed = run is None or run["outcome"] == "failed"
    notes = list(report.get("notes", []))
    if notes and not is_public(connection, source):
        notes = [f"{len(notes)} notes of the run's report say what is missing; see `rag.run`"]
    if failed and not notes:
        notes = [
            "no run has ended yet"
            if run is None
            else "the run ended without a result: its process was killed"
        ]
    passed = not (failed or report.get("incomplete"))
    return _result(
        RAW,
        "listing_complete",
        passed=passed,
        description="everything was listed" if passed else "; ".join(notes),
        metadata={
            "source": source,
            "outcome": run["outcome"] if run else "none",
            "documents_listed": int(report.get("listed", 0)),
            **({SYNC_RUN: run["run_id"]} if run else {}),
        },
    )


def deletions_decided(connection: Pg, settings: Settings, source: str) -> dg.AssetCheckResult:
    """Whether deletions of a source wait for a person; the metadata lists them."""
    waiting = list_deletions(connection, sources=[source])
    found: shown.Metadata = {"source": source, "waiting_documents": sum(one.waiting for one in waiting)}
    if waiting:
        found["deletions"] = shown.table(map(msgspec.to_builtins, waiting))
        rows = [
            row for one in waiting for row in waiting_documents(connection, one.deletion_id, WAITING_SHOWN)
        ]
        found["documents"] = shown.table(rows)
        found = disclosed(found, public=is_public(connection, source))
    description = (
        f"{found['waiting_documents']} documents wait for a decision" if waiting else "nothing waits"
    )
    return _result(RAW, "deletions_decided", passed=not waiting, description=description, metadata=found)


def source_fresh(connection: Pg, settings: Settings, source: str) -> dg.AssetCheckResult:
    """Whether the last complete listing of a source is younger than promised."""
    (one,) = [one for one in source_freshness(connection, settings) if one.source == source]
    listed = f"listed completely {_time(one.listed_at)}" if one.listed_at else "never listed completely"
    return _result(
        RAW,
        FRESH,
        passed=not one.overdue(server_time(connection)),
        description=f"{listed}; promised every {format_duration(one.allowed)}",
        metadata={"source": source, **_promise("as_of", one.listed_at, one.due_at)},
    )


def index_fresh(connection: Pg, settings: Settings, index: str) -> dg.AssetCheckResult:
    """Whether the live version of an index has every change that was stored longer ago than promised."""
    one = index_freshness(connection, settings, index)
    lacks = (
        f"{one.behind} documents behind, the first since {_time(one.since)}" if one.since else "not behind"
    )
    return _result(
        live_key(index),
        FRESH,
        passed=not one.overdue(server_time(connection)),
        description=f"{lacks}; promised within {format_duration(one.allowed)}",
        metadata={
            "index": index,
            "version": one.version if one.version is not None else "none",
            "documents_behind": one.behind,
            **_promise("waiting_since", one.since, one.due_at),
        },
    )


Answer = Callable[[Pg, Settings, str], dg.AssetCheckResult]

SOURCE_CHECKS: Mapping[str, tuple[Answer, str]] = {
    "listing_complete": (
        listing_complete,
        "The newest run could look into everything that the source has. What it could not list is kept as it "
        "is, and nothing is deleted.",
    ),
    "deletions_decided": (
        deletions_decided,
        "No deletion above the guard waits for a person. What waits is served until it is approved or "
        "rejected: `rag-pipelines deletes`.",
    ),
    FRESH: (source_fresh, "The last complete listing is younger than the source's `freshness`."),
}
"""The checks of a source, each with how it is answered and what it asks."""


def source_checks(settings: Settings) -> dg.AssetChecksDefinition:
    """The checks of where the run's source stands."""
    specs = [
        dg.AssetCheckSpec(name, asset=RAW, description=asks, partitions_def=source_partitions(settings))
        for name, (_, asks) in SOURCE_CHECKS.items()
    ]

    @dg.multi_asset_check(name="source_state", specs=specs)
    def checks(
        context: dg.AssetCheckExecutionContext,
        settings: dg.ResourceParam[Settings],
        database: dg.ResourceParam[Database],
    ):
        source = source_of(context)
        with dagster_failures(), database.connection() as connection:
            results = [answer(connection, settings, source) for answer, _ in SOURCE_CHECKS.values()]
        yield from results

    return checks


def index_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """Whether the live version of each index is fresh."""
    return [_index_check(name) for name in settings.indexes]


def _index_check(name: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        name=FRESH,
        asset=live_key(name),
        description="No change of a source waits longer for the live version than the index's `freshness`.",
    )
    def check(
        settings: dg.ResourceParam[Settings], database: dg.ResourceParam[Database]
    ) -> dg.AssetCheckResult:
        with dagster_failures(), database.connection() as connection:
            return index_fresh(connection, settings, name)

    return check


def _result(
    key: dg.AssetKey, name: str, *, passed: bool, description: str, metadata: shown.Metadata
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key, check_name=name, passed=passed, description=description, metadata=metadata
    )


def _promise(name: str, since: datetime | None, due: datetime | None) -> shown.Metadata:
    moments = {name: since, "due_at": due}
    return {moment: dg.MetadataValue.timestamp(at) for moment, at in moments.items() if at is not None}


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}" if moment else "never"
