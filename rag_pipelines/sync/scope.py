"""What a run is asked to take in: everything again, a window, and whether its deletions were decided.

What belongs here: the value. What does not: what a run makes of it (`listing`).
"""

from __future__ import annotations

from dataclasses import dataclass

from rag_pipelines.connectors.base import Window

NO_WINDOW = Window()


@dataclass(frozen=True)
class Scope:
    """By default what changed since the last run, with deletions as far as the source's guard lets them.

    Args:
        full: list everything and load every document again, whatever its token says.
        window: take only what was modified in it; such a run deletes nothing and moves no cursor.
        allow_deletes: apply deletions above the source's guard, and an empty listing.
        list_all: list everything, and groups, although a change feed would do; loaded is what changed.
        hinted: take only what hints name, where each names something that the source can look up; such a run
            deletes nothing and moves no cursor. Otherwise as by default.
    """

    full: bool = False
    window: Window = NO_WINDOW
    allow_deletes: bool = False
    list_all: bool = False
    hinted: bool = False
