"""What Dagster shows of canaries."""

from __future__ import annotations

import dagster as dg

from rag_pipelines.gates.canary import Figures, PairFigures, record, start_canary
from rag_pipelines_tests.orchestration.conftest import Shell


def recorded(shell: Shell) -> list[dg.AssetCheckEvaluation]:
    """What a look at the catalogue evaluates of canaries."""
    done = shell.run("observe_catalogue")
    assert done.success
    events = [event for event in done.all_events if event.event_type_value == "ASSET_CHECK_EVALUATION"]
    found = [event.asset_check_evaluation_data for event in events]
    return [one for one in found if one.check_name == "canary"]


def checked(shell: Shell) -> dg.AssetCheckEvaluation:
    """The check, run by itself."""
    key = dg.AssetCheckKey(dg.AssetKey(["rag", "main", "index_candidate"]), "canary")
    definitions = shell.definitions
    job = dg.define_asset_job("checks", selection=dg.AssetSelection.checks(key))
    graph = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job]))
    done = graph.resolve_job_def("checks").execute_in_process(instance=shell.instance)
    (evaluation,) = done.get_asset_check_evaluations()
    return evaluation


def test_a_canary_that_is_broken_off_fails_the_check_of_its_index_once(shell: Shell):
    workspace = shell.workspace
    workspace.write("a.md", "# A\n\nSomething to find.\n")
    workspace.ingest()
    workspace.publish()
    assert recorded(shell) == []
    assert checked(shell).passed

    workspace.validate(workspace.build(full=True))
    canary = start_canary(workspace.database, "main")
    began = recorded(shell)
    assert [event.passed for event in began] == [True]
    record(workspace.database, canary.canary_id, Figures(pairs=PairFigures(compared=100, lost=60)))
    (event,) = recorded(shell)

    assert (event.passed, event.check_name) == (False, "canary")
    assert "60 of 100 searches found nothing" in event.metadata["verdict"].value
    assert not checked(shell).passed
    assert recorded(shell) == []
