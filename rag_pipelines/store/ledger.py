"""What models were paid for: one row a day for each purpose, source, tenant, model and the indexes it serves.

What belongs here: adding to the ledger and reading it. What does not: prices (`embedding`), and what is made
of the rows (`monitoring.costs`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Literal

import msgspec

from rag_pipelines.embedding.base import Embedder, Usage
from rag_pipelines.store.database import Pg, query

Purpose = Literal["ingest", "search"]


class Spent(msgspec.Struct, frozen=True):
    """A row of the ledger. `indexes` share what was embedded; `cost` is in the currency of the price.

    Searches are paid for by no source and no tenant: their questions share the calls of a model.
    """

    day: date
    purpose: Purpose
    source: str
    tenant: str
    indexes: tuple[str, ...]
    model: str
    inputs: int
    tokens: int
    requests: int
    seconds: float
    cost: float


class Meter:
    """What an embedder consumes from one look to the next."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._seen = msgspec.structs.replace(embedder.usage)

    def read(self) -> Usage:
        """What was consumed since the last look."""
        now = msgspec.structs.replace(self._embedder.usage)
        before, self._seen = msgspec.structs.asdict(self._seen), now
        return Usage(**{name: value - before[name] for name, value in msgspec.structs.asdict(now).items()})

    @property
    def model(self) -> str:
        """What people call the model."""
        identity = self._embedder.identity
        return f"{identity.provider}/{identity.model}"


def add_spent(
    connection: Pg,
    purpose: Purpose,
    meter: Meter,
    *,
    source: str = "",
    tenant: str = "",
    indexes: Sequence[str] = (),
) -> Usage:
    """Add what `meter` reads to the row of today, and return it."""
    used = meter.read()
    if used.inputs:
        whose = {"source": source, "tenant": tenant, "indexes": sorted(indexes)}
        figures = msgspec.structs.asdict(used)
        query(connection, "add_spent", {"purpose": purpose, "model": meter.model, **whose, **figures})
    return used


def spent_since(connection: Pg, since: date, until: date) -> list[Spent]:
    """The ledger from one day to before another, in UTC, the oldest first."""
    rows = query(connection, "spent_since", {"since": since, "until": until})
    return [msgspec.convert(row, Spent) for row in rows]


def spent_this_month(connection: Pg, source: str) -> tuple[int, float]:
    """Tokens that a source had embedded in this month, by UTC, and what they cost."""
    row = query(connection, "spent_this_month", {"source": source}).fetchone()
    assert row is not None
    return row["tokens"], row["cost"]
