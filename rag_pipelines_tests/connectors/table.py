"""The table of connectors and cases that a run prints at its end: what holds where, and what does not apply.

What belongs here: what becomes of the outcomes of the conformance tests. What does not: promises, worlds,
fixtures. It is a plugin of the whole suite, because where the tests run in several processes, the one
that prints has collected none of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import pytest

from rag_pipelines_tests.connectors.conformance import NOT_APPLICABLE, Case

_Cells = dict[tuple[str, str], list[tuple[str, str]]]
"""Case and connector to the outcome of each promise, with its reason if it is not applicable."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "case(case): the column of the conformance table a promise is in")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    cells = _cells(terminalreporter)
    if not cells:
        return
    from rag_pipelines_tests.connectors.worlds import WORLDS  # imports every connector

    reasons: list[str] = []
    kinds = [kind.name for kind in WORLDS if any(name == kind.name for _, name in cells)]
    table = [["", *kinds]] + [
        [case.value, *(_cell(cells.get((case, name), []), reasons) for name in kinds)]
        for case in Case
        if any(one == case for one, _ in cells)
    ]
    terminalreporter.section("connector conformance")
    for line in _rendered(table):
        terminalreporter.line(line)
    for number, reason in enumerate(reasons, 1):
        terminalreporter.line(f"{number:>3}  {reason}")


def _cells(reporter: pytest.TerminalReporter) -> _Cells:
    """What became of each promise, from the reports of this run."""
    cells: _Cells = defaultdict(list)
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in reporter.stats.get(outcome, ()):
            for name, value in getattr(report, "user_properties", ()):
                if name == "conformance" and (report.when == "call" or outcome != "passed"):
                    reason = report.longrepr[2] if outcome == "skipped" else ""
                    cells[tuple(value)].append((outcome, reason.removeprefix("Skipped: ")))
    return cells


def _cell(outcomes: list[tuple[str, str]], reasons: list[str]) -> str:
    """One cell: the worst outcome of its promises, and the numbers of the reasons why some do not apply."""
    if not outcomes:
        return ""
    notes: list[int] = []
    for outcome, reason in outcomes:
        if outcome == "skipped" and reason.startswith(NOT_APPLICABLE):
            text = reason.removeprefix(f"{NOT_APPLICABLE}: ")
            if text not in reasons:
                reasons.append(text)
            if (number := reasons.index(text) + 1) not in notes:
                notes.append(number)
    seen = {outcome for outcome, _ in outcomes}
    if seen & {"failed", "error"}:
        word = "FAIL"
    else:
        word = "pass" if "passed" in seen else "n.a." if notes else "skipped"
    return " ".join([word, ",".join(str(number) for number in sorted(notes))]).strip()


def _rendered(table: list[list[str]]) -> Iterator[str]:
    """The rows with columns of equal width; the names in the head stand below each other, part by part."""
    head, *body = table
    parts = [name.split("-") for name in head]
    depth = max(len(one) for one in parts)
    heads = [[one[level] if level < len(one) else "" for one in parts] for level in range(depth)]
    rows = [*heads, *body]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
