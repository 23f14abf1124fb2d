"""The entry point that Dagster loads: the definitions of the configuration in use (``RAG_CONFIG``)."""

from __future__ import annotations

from rag_pipelines.orchestration.build import build_definitions

defs = build_definitions()
