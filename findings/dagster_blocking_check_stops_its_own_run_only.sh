#!/usr/bin/env bash
# Dagster: a failed blocking asset check does not keep the next run from building what stands below it.
#
# Library    dagster 1.13.27
# Behaviour  `blocking=True` holds back the steps below the check inside the run in which it failed. The
#            result is recorded, but a later run that selects only the asset below does not read it and
#            succeeds.
# Seen       The run with the check fails, and the asset below is not materialized.
#            The next run, of the asset below alone, succeeds, and it is materialized.
# Who        Anybody who takes a blocking check for a gate: one click on "Materialize" of the lower asset, a
#            backfill or a schedule of its own passes it. Here the results of gates are stored with the
#            index version, and the promotion reads them again in its own transaction; the checks are what
#            the UI shows of them.
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

def probe() -> None:
    import dagster as dg

    @dg.asset
    def candidate() -> None:
        """What is checked."""

    @dg.asset(deps=[candidate])
    def live() -> None:
        """What must not be reached."""

    @dg.asset_check(asset=candidate, blocking=True)
    def good_enough():
        return dg.AssetCheckResult(passed=False)

    definitions = dg.Definitions(assets=[candidate, live], asset_checks=[good_enough])
    job = definitions.resolve_implicit_global_asset_job_def()

    def run(*assets: str) -> tuple[bool, bool]:
        """Whether the run succeeded, and whether `live` was materialized in it."""
        selection = [dg.AssetKey(name) for name in assets]
        done = job.execute_in_process(asset_selection=selection, instance=instance, raise_on_error=False)
        made = {event.asset_key.to_user_string() for event in done.get_asset_materialization_events()}
        return done.success, "live" in made

    with dg.DagsterInstance.ephemeral() as instance:
        first, second = run("candidate", "live"), run("live")
    print(f"run with the check:    success {first[0]}, live materialized {first[1]}")
    print(f"run of `live` alone:   success {second[0]}, live materialized {second[1]}")
    assert first == (False, False), f"the run with the failed check gave {first}"
    assert second == (True, True), f"the run without it gave {second}"


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH DAGSTER_DISABLE_TELEMETRY=true FINDING_FOLDER="$folder" venv/bin/python probe.py
