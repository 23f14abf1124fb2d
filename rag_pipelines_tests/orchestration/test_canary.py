"""What Dagster shows of canaries."""

from __future__ import annotations

from typing import Any

import dagster as dg

from rag_pipelines.gates.canary import Figures, PairFigures, record, start_canary
from rag_pipelines.orchestration.canary import canary_sensor
from rag_pipelines_tests.orchestration.conftest import Shell


def looked(shell: Shell, cursor: str | None = None) -> Any:
    """What one evaluation of the sensor gives."""
    resources = {"settings": shell.workspace.settings, "database": shell.workspace.database}
    with dg.build_sensor_context(
        instance=shell.instance, cursor=cursor, resources=resources, definitions=shell.definitions
    ) as context:
        return canary_sensor(context)


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
    assert "no canary" in looked(shell).skip_message
    assert checked(shell).passed

    workspace.validate(workspace.build(full=True))
    canary = start_canary(workspace.database, "main")
    began = looked(shell)
    assert [event.passed for event in began.asset_events] == [True]
    record(workspace.database, canary.canary_id, Figures(pairs=PairFigures(compared=100, lost=60)))
    broken = looked(shell, began.cursor)

    (event,) = broken.asset_events
    assert (event.passed, event.check_name) == (False, "canary")
    assert "60 of 100 searches found nothing" in event.metadata["verdict"].value
    assert not checked(shell).passed
    assert "no canary" in looked(shell, broken.cursor).skip_message
