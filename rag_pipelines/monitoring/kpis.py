"""The key figures of a configuration, each beside its target, as of now and over the days that were kept.

What belongs here: which figures there are, and how each is counted. What does not: their names and targets
(`config.kpis`), metrics for Prometheus (`catalogue`), and how they are shown (`kpi_sheet`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec

from rag_pipelines.config.kpis import KpiName
from rag_pipelines.config.settings import Settings
from rag_pipelines.evaluation.run import ALL
from rag_pipelines.evaluation.store import list_runs
from rag_pipelines.gates.canary import SideFigures
from rag_pipelines.store.database import Pg, Row, query
from rag_pipelines.store.ledger import Spent, spent_since
from rag_pipelines.sync.freshness import source_freshness

RUNS_LOOKED_AT = 500
"""Evaluations of an index among which the newest of its live version is looked for."""


class Definition(msgspec.Struct, frozen=True):
    """What a key figure says. `lower_is_better` turns its target into a most; `unit` is ``share``, ``ms``,
    ``count`` or ``money``."""

    what: str
    unit: str
    lower_is_better: bool = False


DEFINITIONS: Mapping[KpiName, Definition] = {
    "retrieval_success": Definition("searches of the service that were answered with passages", "share"),
    "hit_rate": Definition("golden questions with an expected document among the first k", "share"),
    "context_recall": Definition("what golden questions quote that the first k passages hold", "share"),
    "p95_ms": Definition("time within which 19 of 20 searches of the service are answered", "ms", True),
    "freshness": Definition("sources that were listed as lately as promised", "share"),
    "ingestion_success": Definition("runs that did not fail", "share"),
    "build_success": Definition("versions whose build did not fail", "share"),
    "connector_errors": Definition("listed documents that could not be loaded", "share", True),
    "coverage": Definition("documents whose text was read", "share"),
    "cache_hits": Definition("texts and vectors that were known and not made again", "share"),
    "permission_incidents": Definition(
        "judgements that saw a passage shown to the wrong caller", "count", True
    ),
    "cost_per_1000_documents": Definition("price of models for a thousand documents read", "money", True),
    "cost_per_1000_searches": Definition("price of models for a thousand searches", "money", True),
}


class Kpi(msgspec.Struct, frozen=True):
    """A key figure of one source or index, or of all (`subject` is empty). `value` is None where nothing
    happened that it could be counted over; `of` is over how much it was."""

    name: KpiName
    subject: str
    value: float | None
    of: int
    target: float | None

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without a value or a target."""
        if self.value is None or self.target is None:
            return None
        lower = DEFINITIONS[self.name].lower_is_better
        return self.value <= self.target if lower else self.value >= self.target


class KeptKpi(msgspec.Struct, frozen=True):
    """What a key figure was on a day."""

    day: date
    name: str
    subject: str
    value: float
    target: float | None


def key_figures(connection: Pg, settings: Settings, *, now: datetime | None = None) -> list[Kpi]:
    """Every key figure: each of its sources or indexes, and where they can be added up, of all of them."""
    now = now or datetime.now(UTC)
    since = now - settings.kpis.window
    params = {"sources": list(settings.sources), "indexes": list(settings.indexes), "since": since}
    runs = {row["source"]: row for row in query(connection, "kpi_runs", params)}
    served = {
        row.pop("index"): SideFigures(**row) for row in query(connection, "kpi_served", params).fetchall()
    }
    spent = spent_since(connection, since.date(), now.date() + timedelta(days=1))
    counted = [
        *_by_source(connection, params, runs),
        *_by_index(connection, params, served),
        *_freshness(connection, settings, now),
        *_costs(spent, runs, sum(one.searches for one in served.values())),
    ]
    targets = settings.kpis.targets
    order = list(DEFINITIONS)
    found = [Kpi(name, subject, value, of, targets.get(name)) for name, subject, value, of in counted]
    return sorted(found, key=lambda one: (order.index(one.name), one.subject))


def keep_figures(connection: Pg, figures: Sequence[Kpi]) -> None:
    """Keep what key figures are today, in UTC; a later call on the same day replaces them."""
    for one in figures:
        if one.value is not None:
            params = {"name": one.name, "subject": one.subject, "value": one.value, "target": one.target}
            query(connection, "put_kpi", params)


def kept_figures(connection: Pg, since: date) -> list[KeptKpi]:
    """What was kept since a day, the oldest first."""
    return [msgspec.convert(row, KeptKpi) for row in query(connection, "kpi_history", {"since": since})]


Counted = tuple[KpiName, str, float | None, int]


def _shares(name: KpiName, counts: Mapping[str, tuple[int, int]]) -> Iterator[Counted]:
    """A share of each subject and of all, from the counts of what is and of what could be."""
    yield _share(name, "", sum(n for n, _ in counts.values()), sum(of for _, of in counts.values()))
    for subject, (n, of) in counts.items():
        yield _share(name, subject, n, of)


def _share(name: KpiName, subject: str, n: int, of: int) -> Counted:
    return name, subject, n / of if of else None, of


def _by_source(connection: Pg, params: Mapping[str, Any], runs: Mapping[str, Row]) -> Iterator[Counted]:
    counts: Mapping[KpiName, Mapping[str, tuple[int, int]]] = {
        "ingestion_success": {name: (row["succeeded"], row["runs"]) for name, row in runs.items()},
        "connector_errors": {name: (row["failed"], row["listed"]) for name, row in runs.items()},
        "cache_hits": {
            name: (
                reused := row["parse_reused"] + row["vectors_reused"],
                reused + row["parsed"] + row["embedded"],
            )
            for name, row in runs.items()
        },
        "coverage": {
            row["source"]: (row["covered"], row["documents"])
            for row in query(connection, "kpi_coverage", params)
        },
    }
    for name, counted in counts.items():
        yield from _shares(name, counted)


def _by_index(
    connection: Pg, params: Mapping[str, Any], served: Mapping[str, SideFigures]
) -> Iterator[Counted]:
    builds = {
        row["index"]: (row["succeeded"], row["builds"]) for row in query(connection, "kpi_builds", params)
    }
    yield from _shares("build_success", builds)
    answered = {name: (one.searches - one.empties - one.errors, one.searches) for name, one in served.items()}
    yield from _shares("retrieval_success", answered)
    together = SideFigures()
    for name, one in served.items():
        together = together.plus(one)
        yield "p95_ms", name, one.quantile(0.95), one.searches
    yield "p95_ms", "", together.quantile(0.95), together.searches
    incidents = {row["index"]: row["incidents"] for row in query(connection, "kpi_incidents", params)}
    yield "permission_incidents", "", sum(incidents.values()), len(params["indexes"])
    for name in params["indexes"]:
        yield "permission_incidents", name, incidents.get(name, 0), 1
        yield from _on_golden_set(connection, name)


def _on_golden_set(connection: Pg, index: str) -> Iterator[Counted]:
    """What the newest evaluation of the live version found."""
    for row, summary in list_runs(connection, index, RUNS_LOOKED_AT):
        if row["state"] == "live":
            whole = summary.figures.get(ALL, {})
            for kpi, measures in (("hit_rate", ("Success@",)), ("context_recall", ("Context_R@", "R@"))):
                found = next(
                    (
                        one
                        for start in measures
                        for measure, one in whole.items()
                        if measure.startswith(start)
                    ),
                    None,
                )
                yield kpi, index, found.mean if found else None, found.n if found else 0  # type: ignore[misc]
            return


def _freshness(connection: Pg, settings: Settings, now: datetime) -> Iterator[Counted]:
    yield from _shares(
        "freshness",
        {one.source: (not one.overdue(now), 1) for one in source_freshness(connection, settings)},
    )


def _costs(spent: Sequence[Spent], runs: Mapping[str, Row], searches: int) -> Iterator[Counted]:
    """Prices by what they were paid for; nothing where nothing was done."""
    read = {source: row["parsed"] for source, row in runs.items()}
    paid = dict.fromkeys(read, 0.0)
    for one in spent:
        if one.purpose == "ingest" and one.source in paid:
            paid[one.source] += one.cost
    for source, documents in read.items():
        yield _per_thousand("cost_per_1000_documents", source, paid[source], documents)
    yield _per_thousand("cost_per_1000_documents", "", sum(paid.values()), sum(read.values()))
    for_searches = sum(one.cost for one in spent if one.purpose == "search")
    yield _per_thousand("cost_per_1000_searches", "", for_searches, searches)


def _per_thousand(name: KpiName, subject: str, paid: float, of: int) -> Counted:
    return name, subject, 1000 * paid / of if of else None, of
