"""What a gate looks at.

What belongs here: the value that every gate is given, and which of a version's rows are judged. What does
not: any gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from psycopg import sql

from rag_pipelines.config.settings import IndexSettings
from rag_pipelines.index.storage import Storage
from rag_pipelines.index.versions import Version
from rag_pipelines.store.database import Part, Pg, compose_query


@dataclass(frozen=True)
class Subject:
    """What a gate looks at. `masks` says of the index's sources that mask what stands for their masks."""

    connection: Pg
    version: Version
    settings: IndexSettings
    storage: Storage
    masks: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether the whole version is judged, and not only the documents that it caught up with."""
        return self.version.figures.whole

    def judged(self, *names: str) -> dict[str, Part]:
        """Placeholders for the version's tables: for the rows that are judged."""
        tables = self.storage.parts(*names)
        if self.whole:
            return tables
        version = sql.Literal(self.version.version_id)
        return {
            name: compose_query("caught_up_rows", {"table": table, "version": version})
            for name, table in tables.items()
        }

    @property
    def spread(self) -> Part:
        """Rows spread over the version, the same ones each time: about `%(sample)s` of them, a subquery."""
        rows = compose_query("spread_rows", {"table": self.storage.parts("vectors")["vectors"]})
        return sql.SQL("({})").format(rows)
