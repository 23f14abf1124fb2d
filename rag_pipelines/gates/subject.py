"""What a gate looks at.

What belongs here: the value that every gate is given. What does not: any gate.
"""

from __future__ import annotations

from dataclasses import dataclass

from rag_pipelines.config.settings import IndexSettings
from rag_pipelines.index.storage import Storage
from rag_pipelines.index.versions import Version
from rag_pipelines.store.database import Pg


@dataclass(frozen=True)
class Subject:
    """What a gate looks at."""

    connection: Pg
    version: Version
    settings: IndexSettings
    storage: Storage
