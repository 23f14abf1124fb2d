"""What commands over several sources share: one that fails does not stop the others, and is not passed over.

What belongs here: going through sources, what is said of them whatever the command is, and how the command
ends. What does not: what a command does with a source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import typer

from rag_pipelines.cli.invocation import ExitCode, exit_code
from rag_pipelines.cli.output import say
from rag_pipelines.errors import RagError

if TYPE_CHECKING:
    from rag_pipelines.store.database import Pg
    from rag_pipelines.sync.deletions import Deletion


def for_each(names: Iterable[str], work: Callable[[str], None]) -> dict[str, RagError]:
    """Do `work` for each source; what went wrong, by source."""
    errors: dict[str, RagError] = {}
    for name in names:
        try:
            work(name)
        except RagError as error:
            errors[name] = error
    return errors


def end(errors: Mapping[str, RagError], *, sound: bool = True) -> None:
    """Say what went wrong and end the command: with the code of the first error, or as partly done."""
    for name, error in errors.items():
        say(f"error: {name}: {error}")
    if errors:
        raise typer.Exit(exit_code(next(iter(errors.values()))))
    if not sound:
        raise typer.Exit(ExitCode.PARTIAL)


def say_waiting(connection: Pg, sources: Sequence[str] | None = None) -> None:
    """Say which deletions of the given sources, or of all, wait for a person."""
    from rag_pipelines.sync.deletions import waiting_deletions

    for one in waiting_deletions(connection, sources):
        say_deletion(one)


def say_deletion(deletion: Deletion) -> None:
    """Say that a deletion waits for a person."""
    say(f"note: {deletion.subject}: {deletion.sentence}")
