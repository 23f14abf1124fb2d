"""Batch ingestion and versioned indexing for enterprise retrieval on Dagster, Postgres and pgvector.

`open` is the front door. Importing this package imports nothing else: each name comes when it is first used.
"""

from __future__ import annotations

TYPE_CHECKING = False
"""As in `typing`, the import of which takes longer than all that is here."""

if TYPE_CHECKING:
    from typing import Any

    from rag_pipelines.connectors.base import Window
    from rag_pipelines.orchestration.component import RagPipeline
    from rag_pipelines.pipeline import Index, Pipeline, Source, open
    from rag_pipelines.query.hits import Filters
    from rag_pipelines.sync.scope import Scope

__version__ = "0.2.0"

__all__ = ["Filters", "Index", "Pipeline", "RagPipeline", "Scope", "Source", "Window", "open"]

_HOMES = {
    "Filters": "query.hits",
    "RagPipeline": "orchestration.component",
    "Scope": "sync.scope",
    "Window": "connectors.base",
}
"""The modules of names that are not of `pipeline`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'pipeline')}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
