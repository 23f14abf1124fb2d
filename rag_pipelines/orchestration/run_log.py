"""The core's log records and spans in the log and the trace of the Dagster run that they belong to.

What belongs here: handing records on. What does not: what is logged (`logs`, and each module of the core).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from rag_pipelines import logs, tracing

TRACEPARENT = "traceparent"
"""The tag of a run that names the trace which it is part of, as W3C writes it."""


NAMING = ("document", "entity", "note")
"""Fields that name documents: a run's log is kept as its events are, which a purge does not reach."""


class RunLogHandler(logging.Handler):
    """Writes records to a run's log, at their level, the fields behind the message but those in `NAMING`."""

    def __init__(self, log: dg.DagsterLogManager) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.log(record.levelno, logs.as_text(record, without=NAMING))


@contextmanager
def core_records_in_run_log() -> Iterator[None]:
    """Within a step: what the core logs goes to the run's log too. Elsewhere: nothing."""
    context = step_context()
    if context is None:
        yield
        return
    with logs.handled(RunLogHandler(context.log), logging.INFO), _step_span(context):
        yield


@contextmanager
def _step_span(context: dg.OpExecutionContext) -> Iterator[None]:
    """A span of the step, in the trace that the run's tag `TRACEPARENT` names, else in one that all steps of
    the run share, wherever they run."""
    about: dict[str, tracing.Value] = {
        "dagster.run.id": context.run_id,
        "dagster.job.name": context.job_name,
        "dagster.step.key": context.get_step_execution_context().step.key,
    }
    given = context.run.tags.get(TRACEPARENT)
    caller = {"traceparent": given} if given else None
    with tracing.trace_of(context.run_id), tracing.span("dagster step", about, caller=caller):
        yield


def step_context() -> dg.OpExecutionContext | None:
    """The context of the step that is under way; None outside a run."""
    try:
        return dg.OpExecutionContext.get()
    except dg.DagsterInvariantViolationError:
        return None
