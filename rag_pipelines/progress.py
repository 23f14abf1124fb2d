"""How work that takes a while tells how far it is.

What belongs here: the listener's shape. What does not: showing it (`cli.output`, `orchestration.metadata`).
"""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int | None], None]
"""Called with a stage name, how many are done, and how many there are (None where unknown)."""


def no_progress(stage: str, done: int, total: int | None) -> None:
    """A progress listener that does not listen."""
