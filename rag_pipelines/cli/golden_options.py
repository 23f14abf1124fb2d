"""Options and small helpers of the commands that ask golden sets.

What belongs here: what more than one module of ``rag-pipelines eval`` needs. What does not: a command.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from rag_pipelines.cli.invocation import Invocation
from rag_pipelines.errors import UsageError

Golden = Annotated[Path, typer.Argument(metavar="GOLDEN", help="JSONL or YAML, or a folder in BEIR form.")]
Index = Annotated[str | None, typer.Option("--index", "-i", help="May be left out if there is only one.")]
Tenant = Annotated[
    str | None,
    typer.Option(
        "--tenant", "-t", help="Tenant of questions that name none; may be left out if there is only one."
    ),
]
Split = Annotated[
    str | None, typer.Option(metavar="NAME", help="Split of a BEIR folder whose judgements (qrels) to use.")
]
Version = Annotated[int | None, typer.Option(help="The version to evaluate; the live one by default.")]
Mode = Annotated[Literal["dense", "lexical", "hybrid"], typer.Option(help="Retrieval mode.")]
K = Annotated[int, typer.Option("-k", "--k", min=1, max=1000, help="Cut-off: how many passages are judged.")]
Depth = Annotated[
    int | None, typer.Option(min=1, max=1000, help="Retrieve this many, to measure recall at this depth.")
]


def chosen_index(chosen: Invocation, name: str | None) -> str:
    """The index that is meant: the one named, or the only one."""
    indexes = chosen.settings.indexes
    if name is None and len(indexes) == 1:
        return next(iter(indexes))
    if name is None:
        valid = ", ".join(indexes) or "none is configured"
        raise UsageError(f"name an index with --index; valid: {valid}")
    chosen.settings.index(name)
    return name


def plain(value: Any) -> dict[str, Any]:
    """A struct as JSON has it."""
    import msgspec

    return dict(msgspec.to_builtins(value))
