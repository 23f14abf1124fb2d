"""What the core's errors become in Dagster: a retry of a transient failure, a plain failure for the rest.

Each try that is put off is one line of the run's log; the last is a failure that such a line describes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from rag_pipelines.errors import GateError, RagError, ThrottledError, TransientError
from rag_pipelines.orchestration.run_log import core_records_in_run_log, step_context

RETRIES = 2
RETRY_SECONDS = 30.0


@contextmanager
def dagster_failures() -> Iterator[None]:
    """Raises `dg.RetryRequested` for transient failures, and `dg.Failure` without retries for other errors.

    What the core logs in the block reaches the log of the run.
    """
    try:
        with core_records_in_run_log():
            yield
    except TransientError as error:
        context = step_context()
        if context and context.retry_number >= RETRIES:
            raise dg.Failure(f"{error}; given up after {RETRIES + 1} tries", allow_retries=False) from error
        wait = (error.retry_after if isinstance(error, ThrottledError) else None) or RETRY_SECONDS
        if context:
            context.log.warning(f"{error}; tried again in {wait:,.0f} s")
        raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=wait) from error
    except GateError as error:
        reasons = dg.MetadataValue.md("\n".join(f"- {reason}" for reason in error.reasons))
        raise dg.Failure(str(error), metadata={"refused": reasons}, allow_retries=False) from error
    except RagError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
