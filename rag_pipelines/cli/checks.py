"""One line of a report on a deployment, and how a check that raises becomes one.

What belongs here: what `doctor` and its checks for production share. What does not: any check.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from rag_pipelines.errors import RagError


class Check(NamedTuple):
    """One line of the report; `ok` is None for what works but should be known."""

    name: str
    ok: bool | None
    detail: str


def run_check(name: str, check: Callable[[], Check]) -> Check:
    """The check, failed where it raises one of our errors."""
    try:
        return check()
    except RagError as error:
        return Check(name, False, str(error))
