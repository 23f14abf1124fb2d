"""Traces of Dagster's runs: one trace a run, whatever its steps do and wherever they do it."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from rag_pipelines import otlp, tracing
from rag_pipelines.orchestration.names import BUILD_INDEX
from rag_pipelines.orchestration.resources import default_resources
from rag_pipelines_tests.doubles.collector import Collector, collecting
from rag_pipelines_tests.orchestration.conftest import Shell

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def collector(shell: Shell) -> Iterator[Collector]:
    """What the runs of the shell send."""
    with collecting() as made, otlp.running(otlp.Target(endpoint=made.url)):
        yield made


def sent(collector: Collector) -> Collector:
    otlp.stop()
    otlp.start(otlp.Target())
    return collector


def test_all_steps_of_a_run_are_in_one_trace_with_the_number_of_the_run(shell: Shell, collector: Collector):
    first, second = shell.ingest(), shell.ingest("team-notes")

    spans = sent(collector).spans
    steps = [span for span in spans if span.name == "dagster step"]
    runs = {span.attributes["dagster.run.id"]: span.trace for span in steps}
    assert runs.keys() == {first.run_id, second.run_id}
    assert {span.trace for span in spans} == set(runs.values())
    assert len(set(runs.values())) == 2
    keys = {span.attributes["dagster.step.key"] for span in steps}
    assert keys >= {"rag__raw_documents", "rag__parsed_documents", "rag__chunks", "rag__embeddings"}
    numbers = {span.number for span in steps}
    assert all(span.inside in numbers for span in spans if span.name == "run")


def test_a_run_that_was_given_a_trace_goes_on_with_it(shell: Shell, collector: Collector):
    shell.ingest()
    shell.run(BUILD_INDEX, tags={"traceparent": CALLER})

    build = next(span for span in sent(collector).spans if span.name == "build")
    assert build.trace == CALLER.split("-")[1]


def test_a_step_that_fails_marks_its_span(shell: Shell, collector: Collector):
    shell.workspace.document["sources"]["docs"]["options"]["root"] = str(shell.workspace.folder / "away")

    assert not shell.ingest().success

    failed = [span for span in sent(collector).spans if span.name == "dagster step" and span.failed]
    assert [span.attributes["error.type"] for span in failed] == ["UnlistableError"]


def test_spans_are_sent_while_the_database_of_a_deployment_is_open(shell: Shell):
    with collecting() as collector:
        shell.workspace.document["telemetry"] = {"traces": {"endpoint": collector.url}}
        database = default_resources(shell.workspace.settings)["database"]
        with dg.build_resources({"database": database}), tracing.span("within"):
            pass
        with tracing.span("afterwards"):
            pass

        assert [span.name for span in collector.spans] == ["within"]
