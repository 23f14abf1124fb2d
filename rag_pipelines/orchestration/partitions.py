"""Partitions: one per configured source. Documents are never partitions, and indexes are assets of their own.

All assets of the ingest chain share one definition and have no backfill policy: a backfill is then one run a
source, where a failed blocking check stops it, and one source's failure leaves the others alone. With a
policy, even of one partition a run, Dagster starts runs of partition *ranges*, and a check that is evaluated
in such a run is evaluated for no partition: what failed shows as skipped.
See https://docs.dagster.io/guides/build/partitions-and-backfills
"""

from __future__ import annotations

import dagster as dg

from rag_pipelines.config.settings import Settings


def source_partitions(settings: Settings) -> dg.StaticPartitionsDefinition:
    """One partition a source, in the file's order; a new source appears when the code is reloaded."""
    return dg.StaticPartitionsDefinition(list(settings.sources))


def source_of(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext | dg.OpExecutionContext,
) -> str:
    """The source of the run.

    Raises:
        dg.Failure: the run is one of a range of partitions, whose checks Dagster would show for none.
    """
    if not context.has_partition_key:
        covered = context.partition_key_range
        raise dg.Failure(
            f"this run covers the partitions {covered.start}...{covered.end}; valid: one partition a run. "
            "Launch a backfill of several sources as several runs",
            allow_retries=False,
        )
    return context.partition_key
