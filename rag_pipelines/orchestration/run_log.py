"""The core's log records in the log of the Dagster run that they belong to.

What belongs here: handing records on. What does not: what is logged (`logs`, and each module of the core).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from rag_pipelines import logs


class RunLogHandler(logging.Handler):
    """Writes records to a run's log, at their level, the fields behind the message."""

    def __init__(self, log: dg.DagsterLogManager) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.log(record.levelno, logs.as_text(record))


@contextmanager
def core_records_in_run_log() -> Iterator[None]:
    """Within a step: what the core logs goes to the run's log too. Elsewhere: nothing."""
    context = step_context()
    if context is None:
        yield
        return
    with logs.handled(RunLogHandler(context.log), logging.INFO):
        yield


def step_context() -> dg.OpExecutionContext | None:
    """The context of the step that is under way; None outside a run."""
    try:
        return dg.OpExecutionContext.get()
    except dg.DagsterInvariantViolationError:
        return None
