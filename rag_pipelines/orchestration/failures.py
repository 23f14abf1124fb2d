"""What the core's errors become in Dagster: another try for a passing fault, a plain failure for the rest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from rag_pipelines.errors import GateError, RagError, ThrottledError, TransientError
from rag_pipelines.orchestration.run_log import core_records_in_run_log

RETRIES = 2
RETRY_SECONDS = 30.0


@contextmanager
def dagster_failures() -> Iterator[None]:
    """Raises `dg.RetryRequested` for passing faults, and `dg.Failure` without retries for other errors.

    What the core logs in the block reaches the log of the run.
    """
    try:
        with core_records_in_run_log():
            yield
    except TransientError as error:
        wait = error.retry_after if isinstance(error, ThrottledError) else None
        raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=wait or RETRY_SECONDS) from error
    except GateError as error:
        reasons = dg.MetadataValue.md("\n".join(f"- {reason}" for reason in error.reasons))
        raise dg.Failure(str(error), metadata={"refused": reasons}, allow_retries=False) from error
    except RagError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
