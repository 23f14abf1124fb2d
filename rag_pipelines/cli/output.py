"""What commands print: tables, JSON, findings, progress bars.

What belongs here: presentation that two or more commands share. What does not: what to print.

Results go to stdout; messages and progress go to stderr, so that a program can read the results.
Rich is imported on the first use.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag_pipelines import logs

log = logs.get(__name__)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
"""The option every command has that a program may read."""


@cache
def stdout() -> Console:
    """The console of results. Cells are cut only where a person looks on."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 200, highlight=False, soft_wrap=False)


@cache
def stderr() -> Console:
    """The console of messages and progress."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """`value` as indented JSON: times in ISO 8601; pydantic models, structs and dataclasses as objects."""
    import msgspec

    encoded = msgspec.json.encode(value, enc_hook=_encode)
    sys.stdout.write(msgspec.json.format(encoded, indent=2).decode() + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
    """A table; numbers stand to the right, None is a dash."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    rows = [list(row) for row in rows]
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    for position, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[position], int | float | None) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    stdout().print(table)


def print_facts(title: str, facts: Iterable[tuple[str, str]]) -> None:
    """A title with lines of name and text under it; facts without text are left out."""
    facts = [(name, text) for name, text in facts if text]
    width = max((len(name) for name, _ in facts), default=0)
    typer.secho(title, bold=True)
    for name, text in facts:
        typer.echo(f"  {name:<{width}}  {text}")


def print_findings(findings: Iterable[tuple[str, bool | None, str]]) -> None:
    """Lines of (name, verdict, detail) with a mark: yes, no, or None for a warning."""
    from rich.text import Text

    marks = {True: ("ok", "green"), False: ("FAILED", "bold red"), None: ("note", "yellow")}
    for name, verdict, detail in findings:
        mark, style = marks[verdict]
        stdout().print(Text.assemble((f"{mark:>6}  ", style), (f"{name}: ", "bold"), detail))


def say(message: str) -> None:
    """One line for a person, on stderr; a record where stderr is a log for programs."""
    if records.kept:
        kind, _, text = message.partition(": ")
        level = {"error": logging.ERROR, "note": logging.WARNING}.get(kind)
        log.log(level or logging.INFO, message if level is None else text)
        return
    from rich.text import Text

    stderr().print(Text(message))


@dataclass
class Records:
    """Whether what is said to people is kept as records: set once, from the command line."""

    kept: bool = False


records = Records()


@contextmanager
def progress(*, shown: bool = True) -> Iterator[Progress]:
    """A Rich progress display on stderr; silent when not `shown` or when nobody watches a terminal.

    Usage::

        with progress(shown=not as_json) as bars:
            task = bars.add_task("Embedding", total=chunks)
            bars.update(task, advance=16)
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = stderr()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not (shown and console.is_terminal)) as bars:
        yield bars


@contextmanager
def stage_bars(
    subject: str, *, shown: bool = True, after: float = 0.0
) -> Iterator[Callable[[str, int, int | None], None]]:
    """A listener that draws a bar for each stage of the work on `subject`.

    It takes the stage's name, how much is done, and of how much (None where unknown). Nothing is drawn,
    and Rich is not imported, where nobody watches or the work ends within `after` seconds.
    """
    bars = _StageBars(subject)
    if not (shown and sys.stderr.isatty()):
        yield bars
        return
    timer = threading.Timer(after, bars.appear)
    timer.daemon = True
    timer.start()
    try:
        yield bars
    finally:
        timer.cancel()
        bars.close()


class _StageBars:
    """The newest figures of each stage, and their bars once these have appeared. Safe in several threads."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._lock = threading.Lock()
        self._stages: dict[str, tuple[int, int | None]] = {}
        self._tasks: dict[str, TaskID] = {}
        self._bars: Progress | None = None
        self._stack = ExitStack()
        self._closed = False

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        with self._lock:
            self._stages[stage] = (done, total)
            self._draw(stage)

    def appear(self) -> None:
        """Draw what has been heard so far, and from now on what comes."""
        with self._lock:
            if not self._closed:
                self._bars = self._stack.enter_context(progress())
                for stage in self._stages:
                    self._draw(stage)

    def close(self) -> None:
        """Leave the bars as they are."""
        with self._lock:
            self._closed = True
            self._bars = None
            self._stack.close()

    def _draw(self, stage: str) -> None:
        if self._bars is not None:
            done, total = self._stages[stage]
            if stage not in self._tasks:
                self._tasks[stage] = self._bars.add_task(f"{self._subject}: {stage}", total=total)
            self._bars.update(self._tasks[stage], completed=done, total=total)


def number(count: int, one: str, many: str | None = None) -> str:
    """``1 document``, ``2,000 documents``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def age(seconds: float) -> str:
    """A span of time in its two largest units: ``3 h 12 min``."""
    units = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    left, parts = int(seconds), []
    for unit, size in units:
        if left >= size:
            parts.append(f"{left // size} {unit}")
            left %= size
    return " ".join(parts[:2]) or "0 s"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    return str(value)


def _encode(value: Any) -> Any:
    from pydantic import BaseModel

    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return str(value)
