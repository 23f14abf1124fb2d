"""The command line. Import the concrete submodules; `run` is the entry point of ``rag-pipelines``."""

from __future__ import annotations

import gc
import os

COLLECT_AFTER = 50_000
"""Allocations between two collections of garbage: imports make many objects and no garbage."""


def run() -> None:
    """Run the command line; ends the process with an exit code.

    Garbage is looked for rarely, and not at all on the way out, where the interpreter would visit every
    object to no end: together a sixth of the time of a run that has nothing to do. Pydantic looks through all
    installed packages for plugins, unless it is told not to.
    """
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
    gc.set_threshold(COLLECT_AFTER, 20, 100)
    from rag_pipelines.cli.main import main

    try:
        main()
    finally:
        gc.freeze()
