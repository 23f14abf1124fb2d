"""What the service counts, for Prometheus. No label holds a tenant, a caller or a question.

What belongs here: the metrics and their text. What does not: deciding when something happened, and the
figures of sources and indexes (`monitoring.catalogue`), which stand in the same text.
"""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from rag_pipelines.query.hits import Result

MEDIA_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Metrics:
    """The metrics of one service, in a registry of its own, beside what `others` tell."""

    def __init__(self, *others: Collector) -> None:
        self._registry = CollectorRegistry()
        for one in others:
            self._registry.register(one)
        known: dict[str, Any] = {"registry": self._registry, "namespace": "rag"}
        self._requests = Counter("requests", "Answers by route and status.", ("route", "status"), **known)
        self._seconds = Histogram(
            "request_seconds", "Time until the answer.", ("route",), buckets=SECONDS, **known
        )
        self._refused = Counter("refused", "Requests refused, by kind of problem.", ("problem",), **known)
        self._stages = Histogram(
            "search_seconds", "Time of a search's parts.", ("index", "mode", "part"), buckets=SECONDS, **known
        )
        self._empty = Counter("empty_results", "Searches without a hit.", ("index",), **known)
        self._votes = Counter("feedback", "Votes on answers.", ("index", "verdict"), **known)
        self._version = Gauge("served_version", "The version that last answered.", ("index",), **known)
        self._running = Gauge("searches_in_flight", "Searches running or waiting for a thread.", **known)

    def record_request(self, route: str, status: int, seconds: float, problem: str | None) -> None:
        """One request has its answer."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        if problem is not None:
            self._refused.labels(problem).inc()

    def record_search(self, result: Result) -> None:
        """One search has its result."""
        self._stages.labels(result.index, result.mode, "embed").observe(result.embed_ms / 1000)
        self._stages.labels(result.index, result.mode, "search").observe(result.search_ms / 1000)
        self._version.labels(result.index).set(result.version)
        if not result.hits:
            self._empty.labels(result.index).inc()

    def record_vote(self, index: str, verdict: str) -> None:
        """A caller said what an answer was worth."""
        self._votes.labels(index, verdict).inc()

    def exposition(self, running: int) -> bytes:
        """What Prometheus scrapes, with the `running` searches that are under way; may ask the database."""
        self._running.set(running)
        return generate_latest(self._registry)
