"""Names of jobs, by which schedules, sensors and people start them, and how a run signs what it does."""

from __future__ import annotations

import dagster as dg

INGEST_SOURCE = "ingest_source"
BUILD_INDEX = "build_index"
VERIFY_SOURCE = "verify_source"
KEEP_KEY_FIGURES = "keep_key_figures"
OBSERVE_CATALOGUE = "observe_catalogue"

AUTOMATION = "automation_sensor"
"""The sensor that evaluates automation conditions."""

ACTOR = "dagster run "
"""What the signature of a run begins with."""


def actor_of(run_id: str) -> str:
    """The name under which the catalogue keeps what a run did."""
    return f"{ACTOR}{run_id}"


def lineage_run(run: dg.DagsterRun) -> str:
    """What a run is called in lineage: one that repeats what failed goes on with the one that it repeats."""
    return run.root_run_id or run.run_id
