"""Batch ingestion and versioned indexing for enterprise retrieval on Dagster, Postgres and pgvector.

Importing this package imports nothing else; import the concrete submodule you need.
"""

from __future__ import annotations

__version__ = "0.2.0"
