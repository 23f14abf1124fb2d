"""What every operation of one process works with: its database, its configuration, its models.

What belongs here: the bundle. What does not: opening and closing what is in it (`pipeline`, `cli.invocation`,
Dagster's resources).
"""

from __future__ import annotations

from dataclasses import dataclass

from rag_pipelines.config.settings import Settings
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.store.database import Database


@dataclass(frozen=True)
class Runtime:
    """The three that always travel together."""

    database: Database
    settings: Settings
    embedders: Embedders
