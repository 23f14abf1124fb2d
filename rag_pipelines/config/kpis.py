"""The key figures of a configuration: which there are, and what each is to reach.

What belongs here: names, fields, defaults. What does not: computing them (`monitoring.kpis`).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field

from rag_pipelines.config.section import Section
from rag_pipelines.config.values import Duration

KpiName = Literal[
    "retrieval_success",
    "hit_rate",
    "context_recall",
    "p95_ms",
    "freshness",
    "ingestion_success",
    "build_success",
    "connector_errors",
    "coverage",
    "cache_hits",
    "permission_incidents",
    "cost_per_1000_documents",
    "cost_per_1000_searches",
]


class KpiSettings(Section):
    """The `targets` of key figures, and the `window` before now over which they are counted.

    A target is the least that a share may be, and the most that a share of errors, a time, a cost or a
    number of incidents may. A figure without one is shown, and judged by nobody. A measure of an index has
    moved where its population stability index against the days before exceeds `shift`.
    """

    window: Duration = timedelta(days=28)
    targets: dict[KpiName, float] = Field(default={"permission_incidents": 0.0})
    shift: float = Field(default=0.25, gt=0)
