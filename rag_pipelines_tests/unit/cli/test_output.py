"""Progress bars: drawn for whom they are meant, and only for work that lasts."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr

import pytest

from rag_pipelines.cli import output


class Terminal(io.StringIO):
    """A text stream that says it is a terminal, and tells when something was drawn on it."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn = threading.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if "main: embed" in text:
            self.drawn.set()
        return super().write(text)


@contextmanager
def watched_terminal() -> Iterator[Terminal]:
    """Stands for stderr while the block runs."""
    output.stderr.cache_clear()
    with redirect_stderr(Terminal()) as terminal:
        yield terminal


def test_a_bar_shows_a_stage_that_was_heard_of_before_it_appeared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    with watched_terminal() as terminal, output.stage_bars("main", after=0.01) as listener:
        listener("embed", 1, 2)
        assert terminal.drawn.wait(10)
        listener("embed", 2, 2)
    assert "2/2" in terminal.getvalue()


def test_quick_work_draws_nothing() -> None:
    with watched_terminal() as terminal, output.stage_bars("main", after=60) as listener:
        listener("embed", 1, 2)
    assert terminal.getvalue() == ""


def test_nothing_is_drawn_where_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    with watched_terminal() as terminal:
        with output.stage_bars("main", shown=False) as listener:
            listener("embed", 1, 2)
        monkeypatch.setattr(terminal, "isatty", lambda: False)
        with output.stage_bars("main") as listener:
            listener("embed", 1, 2)
    assert terminal.getvalue() == ""
