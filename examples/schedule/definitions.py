"""Dagster: everything is refreshed every night, and what fails the gates of rag.yaml does not go live.

dagster dev -f examples/schedule/definitions.py      the UI, with the schedule running
python examples/schedule/definitions.py              both jobs once, in this process
"""

from __future__ import annotations

import sys
from pathlib import Path

import dagster as dg

from rag_pipelines.config import load_config
from rag_pipelines.orchestration.build import build_definitions

settings = load_config(Path(__file__).parents[1] / "rag.yaml")

every_night = dg.ScheduleDefinition(
    name="refresh_every_night",
    job_name="refresh_all",
    cron_schedule="0 2 * * *",
    execution_timezone="Europe/London",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)

defs = dg.Definitions.merge(build_definitions(settings=settings), dg.Definitions(schedules=[every_night]))


def run(job: str, partition: str | None = None) -> bool:
    """Run a job in this process, and say what its checks found; the gates of an index are among them."""
    result = defs.resolve_job_def(job).execute_in_process(
        partition_key=partition,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )
    checks = result.get_asset_check_evaluations()
    failed = [check.check_name for check in checks if not check.passed]
    print(f"{job}: {len(checks) - len(failed)} checks passed, failed: {', '.join(failed) or 'none'}")
    return result.success


if __name__ == "__main__":
    sys.exit(not (run("ingest_source", "handbook") and run("build_index")))
