"""Batch ingestion and versioned indexing for enterprise retrieval on Dagster, Postgres and pgvector.

Importing this package imports nothing else; import the concrete submodule you need.
"""

__version__ = "0.1.0"
