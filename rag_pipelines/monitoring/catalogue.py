"""The batch side as metrics, computed from Postgres at each scrape: right after a restart, wherever work ran.

What belongs here: which figures there are, and their values. What does not: answering scrapes (`serving`,
`cli.metrics`).

Names follow https://prometheus.io/docs/practices/naming/. Labels are names of the configuration (sources,
indexes, gates) and words of this package; none holds a tenant, a caller, a document or a question.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rag_pipelines import logs
from rag_pipelines.config.settings import Settings
from rag_pipelines.errors import RagError
from rag_pipelines.index.freshness import index_freshness
from rag_pipelines.index.versions import candidate_version, live_version
from rag_pipelines.store.database import Database, Pg, query
from rag_pipelines.store.findings import findings_by_source, screened_documents
from rag_pipelines.sync.freshness import source_freshness
from rag_pipelines.text.sketch import bits_apart

log = logs.get(__name__)


class CatalogueMetrics(Collector):
    """The figures of a configuration's sources and indexes. Safe to be asked by several threads.

    Where the database cannot be asked, ``rag_catalogue_up`` is 0 and nothing else is said.

    Args:
        kept: seconds for which figures are given again, because counting documents costs the database.
    """

    def __init__(self, database: Database, settings: Settings, kept: float = 0.0) -> None:
        self._database = database
        self._settings = settings
        self._kept = kept
        self._known: list[Metric] = []
        self._known_at = float("-inf")

    def describe(self) -> list[Metric]:
        """Nothing: registering asks no database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every figure of now, or of up to `kept` seconds ago."""
        if time.monotonic() - self._known_at >= self._kept:
            self._known, self._known_at = self._ask(), time.monotonic()
        yield from self._known

    def _ask(self) -> list[Metric]:
        began = time.perf_counter()
        up = _gauge("catalogue_up", "Whether the catalogue could be asked.")
        try:
            with self._database.connection() as connection:
                found = [
                    *_sources(connection, self._settings),
                    *_indexes(connection, self._settings),
                    _switches(connection),
                    _audit(connection),
                ]
        except RagError as error:
            log.warning("metrics not computed", error=type(error).__name__, reason=str(error))
            up.add_metric([], 0)
            return [up]
        up.add_metric([], 1)
        seconds = _gauge("catalogue_seconds", "Time that computing these figures took.")
        seconds.add_metric([], time.perf_counter() - began)
        return [up, seconds, *found]


def _gauge(name: str, help: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"rag_{name}", help, labels=labels)


def _counter(name: str, help: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"rag_{name}", help, labels=labels)


def _switches(connection: Pg) -> Metric:
    """The emergency switches that are on; `target` is a source or an index, or empty."""
    age = _gauge("switch_age_seconds", "Time since an emergency switch was turned on.", "switch", "target")
    for row in query(connection, "metric_switches"):
        age.add_metric([row["kind"], row["target"]], row["age"])
    return age


def _audit(connection: Pg) -> Metric:
    """How long the audit's chain is, which whoever asks keeps where nobody of the database can change it."""
    position = _gauge("audit_position", "Position of the last row in the audit's chain.")
    for row in query(connection, "audit_head"):
        position.add_metric([], row["position"])
    return position


def _sources(connection: Pg, settings: Settings) -> Iterator[Metric]:
    """What is known of each configured source; one that was never listed has no age."""
    named = {"sources": list(settings.sources)}
    documents = _gauge("source_documents", "Documents by state.", "source", "state")
    pending = _gauge("source_pending_documents", "Documents that wait for a stage.", "source", "stage")
    listing = _gauge("source_listing_age_seconds", "Time since the last complete listing.", "source")
    groups = _gauge("source_groups_age_seconds", "Time since the groups were last listed.", "source")
    parked = _gauge("source_parked_deletions", "Deletions that wait for a decision.", "source")
    size = _gauge("source_raw_bytes", "Bytes of documents as they were loaded.", "source")
    old = _gauge("source_last_texts", "Documents served with an earlier text.", "source")
    indexed = [name for name in settings.sources if settings.indexes_of(name)]
    for row in query(connection, "metric_documents", {**named, "indexed": indexed}):
        source = row["source"]
        for state in ("present", "missing", "tombstoned"):
            documents.add_metric([source, state], row[state])
        for stage in ("parse", "chunk", "embed"):
            pending.add_metric([source, stage], row[f"to_{stage}"])
        for age, value in ((listing, row["listing_age"]), (groups, row["groups_age"])):
            if value is not None:
                age.add_metric([source], value)
        parked.add_metric([source], row["parked"])
        size.add_metric([source], row["raw_bytes"])
        old.add_metric([source], row["last_texts"])
    yield from (documents, pending, listing, groups, parked, size, old)
    yield from _copies(connection, settings)
    yield from _promises(connection, settings)
    quarantined = _gauge(
        "source_quarantined_documents", "Entries in quarantine, by stage.", "source", "stage"
    )
    for row in query(connection, "metric_quarantine", named):
        quarantined.add_metric([row["source"], row["stage"]], row["documents"])
    yield quarantined
    yield from _findings(connection, [name for name, one in settings.sources.items() if one.privacy])
    yield from _runs(connection, named)
    age = _gauge("certificate_age_seconds", "Time since the newest verification.", "source", "index")
    complete = _gauge("certificate_complete", "Whether it found nothing missing.", "source", "index")
    for row in query(connection, "metric_certificates", named):
        age.add_metric([row["source"], row["index"]], row["age"])
        complete.add_metric([row["source"], row["index"]], row["complete"])
    yield from (age, complete)
    tables = _gauge("database_bytes", "Bytes of tables with their indexes.", "table")
    for row in query(connection, "metric_bytes"):
        tables.add_metric([row["kind"]], row["bytes"])
    yield tables


def _copies(connection: Pg, settings: Settings) -> Iterator[Metric]:
    """Counted only where an index asks for copies: families are looked through."""
    copies = _gauge("source_copied_documents", "Documents that have a copy, or nearly one.", "source")
    asked = [index.duplicates.similarity for index in settings.indexes.values() if index.duplicates]
    if asked:
        params = {"sources": list(settings.sources), "apart": bits_apart(min(asked))}
        for row in query(connection, "metric_copies", params):
            copies.add_metric([row["source"]], row["documents"])
    yield copies


def _findings(connection: Pg, sources: list[str]) -> Iterator[Metric]:
    """What privacy profiles found; a source without one has no figures."""
    places = _gauge("source_findings", "Places that privacy profiles found, by kind.", "source", "kind")
    for row in findings_by_source(connection, sources):
        places.add_metric([row["source"], row["kind"]], row["places"])
    documents = _gauge("source_screened_documents", "What screening came to.", "source", "outcome")
    for source, row in screened_documents(connection, sources).items():
        for outcome in ("screened", "finding", "blocked", "restricted"):
            documents.add_metric([source, outcome], row[outcome])
    yield from (places, documents)


def _promises(connection: Pg, settings: Settings) -> Iterator[Metric]:
    promised = _gauge("source_promised_seconds", "How old a listing may become.", "source")
    overdue = _gauge("source_overdue", "Whether a listing is owed.", "source")
    now = datetime.now(UTC)
    for one in source_freshness(connection, settings):
        promised.add_metric([one.source], one.allowed.total_seconds())
        overdue.add_metric([one.source], one.overdue(now))
    yield from (promised, overdue)


def _runs(connection: Pg, named: dict[str, list[str]]) -> Iterator[Metric]:
    runs = _counter("source_runs", "Runs by how they ended.", "source", "outcome")
    tokens = _counter("source_embedded_tokens", "Tokens that models have read.", "source")
    cost = _counter(
        "source_embedding_cost", "What remote models have cost, in their price's currency.", "source"
    )
    spent: dict[str, tuple[float, float]] = {}
    for row in query(connection, "metric_runs", named):
        runs.add_metric([row["source"], row["outcome"]], row["runs"])
        before = spent.get(row["source"], (0.0, 0.0))
        spent[row["source"]] = before[0] + row["tokens"], before[1] + row["cost"]
    for source, (read, paid) in spent.items():
        tokens.add_metric([source], read)
        cost.add_metric([source], paid)
    yield from (runs, tokens, cost)


def _indexes(connection: Pg, settings: Settings) -> Iterator[Metric]:
    """What is live of each configured index, and what waits beside it."""
    live = _gauge("index_live_version", "The live version; 0 where nothing is live.", "index")
    rows = _gauge("index_rows", "Passages of the live version.", "index")
    as_of = _gauge("index_age_seconds", "How old the state of the sources is that it shows.", "index")
    behind = _gauge("index_behind_documents", "Documents that changed since it was built.", "index")
    overdue = _gauge("index_overdue", "Whether a change waits for longer than promised.", "index")
    candidate = _gauge("index_candidate", "A version that was built and is not live; 0 for none.", "index")
    now = datetime.now(UTC)
    for name in settings.indexes:
        version, waiting = live_version(connection, name), candidate_version(connection, name)
        fresh = index_freshness(connection, settings, name)
        live.add_metric([name], version.version_id if version else 0)
        candidate.add_metric([name], waiting.version_id if waiting else 0)
        behind.add_metric([name], fresh.behind)
        overdue.add_metric([name], fresh.overdue(now))
        if version is not None:
            rows.add_metric([name], version.row_count or 0)
        if version is not None and version.as_of is not None:
            as_of.add_metric([name], (now - version.as_of).total_seconds())
    yield from (live, rows, as_of, behind, overdue, candidate)
    searches = _counter("index_searches", "Searches of services by how they ended.", "index", "outcome")
    for row in query(connection, "metric_served", {"indexes": list(settings.indexes)}):
        found = row["searches"] - row["empties"] - row["errors"]
        for outcome, count in (("found", found), ("empty", row["empties"]), ("error", row["errors"])):
            searches.add_metric([row["index"], outcome], count)
    yield searches
    tokens = _counter("model_tokens", "Tokens that models have read.", "purpose", "model")
    cost = _counter("model_cost", "What they cost, in their price's currency.", "purpose", "model")
    for row in query(connection, "metric_spent"):
        tokens.add_metric([row["purpose"], row["model"]], row["tokens"])
        cost.add_metric([row["purpose"], row["model"]], row["cost"])
    yield from (tokens, cost)
    failed = _gauge("index_gate_failed", "Whether a gate refuses the newest judged version.", "index", "gate")
    for row in query(connection, "metric_gates", {"indexes": list(settings.indexes)}):
        failed.add_metric([row["index"], row["gate"]], not row["passed"])
    yield failed
