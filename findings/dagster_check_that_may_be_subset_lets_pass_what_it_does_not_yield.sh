#!/usr/bin/env bash
# Dagster: a blocking check that is not yielded lets everything pass once its function may be subset.
#
# Library    dagster 1.13.27
# Behaviour  Of a `multi_asset_check` each spec is a required output: one that the function does not yield
#            fails the step. With `can_subset=True`, which lets the UI run a single check, all become optional.
#            A function that ends early, by a filter or an empty list of results, then yields nothing for a
#            `blocking=True` check, the step succeeds, and what stands below is built. Nothing is recorded of
#            it; the run tells one line of log, "will proceed without gating on it", and is green.
# Seen       can_subset=False  run succeeded False  live built False  results ['complete']
#            can_subset=True   run succeeded True   live built True   results ['complete']
# Who        Anybody who writes gates in a loop over results of another tool. Here no gate may be subset, and
#            promotion looks for each required gate among stored results.
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
        """What must not be reached unless both gates passed."""

    def run(can_subset: bool) -> tuple[bool, bool, list[str]]:
        specs = [dg.AssetCheckSpec(name, asset="candidate", blocking=True) for name in ("complete", "recall")]

        @dg.multi_asset_check(specs=specs, can_subset=can_subset)
        def gates():
            yield dg.AssetCheckResult(asset_key="candidate", check_name="complete", passed=True)

        definitions = dg.Definitions(assets=[candidate, live], asset_checks=[gates])
        job = definitions.resolve_implicit_global_asset_job_def()
        with dg.DagsterInstance.ephemeral() as instance:
            done = job.execute_in_process(instance=instance, raise_on_error=False)
        made = {event.asset_key.to_user_string() for event in done.get_asset_materialization_events()}
        return done.success, "live" in made, [one.check_name for one in done.get_asset_check_evaluations()]

    found = {can_subset: run(can_subset) for can_subset in (False, True)}
    for can_subset, (success, built, names) in found.items():
        print(f"can_subset={can_subset!s:<5}  run succeeded {success!s:<5}  live built {built!s:<5}  results {names}")
    assert found == {False: (False, False, ["complete"]), True: (True, True, ["complete"])}, found


try:
    probe()
except AssertionError as changed:
    raise SystemExit(f"the behaviour has changed: {changed}") from None
print("as described")
PYTHON

env -u PYTHONPATH DAGSTER_DISABLE_TELEMETRY=true venv/bin/python probe.py
