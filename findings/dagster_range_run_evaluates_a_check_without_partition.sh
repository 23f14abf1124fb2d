#!/usr/bin/env bash
# Dagster: in a run over a range of partitions a check is evaluated once, for no partition.
#
# Library    dagster 1.13.27
# Behaviour  A run over several partitions (what the UI starts under a backfill policy of one run) records
#            one materialization for each of them, but a partitioned check is evaluated once, and the
#            evaluation carries no partition. In a run of one partition it carries that partition.
# Seen       One partition: materialized ['wiki'], evaluated ['wiki'].
#            wiki...jira:   materialized ['jira', 'wiki'], evaluated [None].
# Who        Anybody who looks for a failed check beside a partition after "materialize all": the check of
#            the one broken source shows for none of them.
#
# Exit status: 0 the behaviour is as described, 1 it has changed, 2 it could not be tried.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'dagster==1.13.27' || exit 2

cat > probe.py <<'PYTHON'
from __future__ import annotations

from typing import Any

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
"""The tags of a run over a range, as a backfill sets them."""


def probe() -> None:
    import dagster as dg

    partitions = dg.StaticPartitionsDefinition(["wiki", "jira"])

    @dg.asset(partitions_def=partitions, backfill_policy=dg.BackfillPolicy.single_run())
    def documents(context):
        for key in context.partition_keys:
            context.add_asset_metadata({"documents": 1}, partition_key=key)
        return dg.MaterializeResult()

    @dg.multi_asset_check(specs=[dg.AssetCheckSpec("readable", asset=documents, partitions_def=partitions)])
    def checks(context):
        yield dg.AssetCheckResult(asset_key=documents.key, check_name="readable", passed=False)

    definitions = dg.Definitions(assets=[documents], asset_checks=[checks])
    job = definitions.resolve_implicit_global_asset_job_def()

    def run(**how: Any) -> tuple[list[str | None], list[str | None]]:
        """The partitions of the materializations and of the check evaluations of one run."""
        with dg.DagsterInstance.ephemeral() as instance:
            done = job.execute_in_process(instance=instance, raise_on_error=False, **how)
            made = [event.partition for event in done.get_asset_materialization_events()]
            evaluations = [one.partition for one in done.get_asset_check_evaluations()]
        return made, evaluations

    one = run(partition_key="wiki")
    both = run(tags={RANGE_START: "wiki", RANGE_END: "jira"})
    print(f"one partition:  materialized {one[0]}, evaluated {one[1]}")
    print(f"wiki...jira:    materialized {both[0]}, evaluated {both[1]}")
    assert one == (["wiki"], ["wiki"]), f"the run of one partition gave {one}"
    assert sorted(map(str, both[0])) == ["jira", "wiki"], f"the run over the range materialized {both[0]}"
    assert both[1] == [None], f"the run over the range evaluated {both[1]}"


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH DAGSTER_DISABLE_TELEMETRY=true FINDING_FOLDER="$folder" venv/bin/python probe.py
