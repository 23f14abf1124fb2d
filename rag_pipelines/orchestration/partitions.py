"""Partitions: one per configured source. Documents are never partitions, and indexes are assets of their own.

All assets of the ingest chain share one definition and one backfill policy: a backfill then runs the whole
chain of one source in one run, where a failed blocking check stops it, and one source's failure leaves the
others alone.
See https://docs.dagster.io/guides/build/partitions-and-backfills
"""

from __future__ import annotations

import dagster as dg

from rag_pipelines.config.settings import Settings

BACKFILL_POLICY = dg.BackfillPolicy.multi_run(max_partitions_per_run=1)


def source_partitions(settings: Settings) -> dg.StaticPartitionsDefinition:
    """One partition a source, in the file's order; a new source appears when the code is reloaded."""
    return dg.StaticPartitionsDefinition(list(settings.sources))
