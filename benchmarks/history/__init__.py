"""The history of the benchmarks: one line a run, and today's figures beside those of the last.

What belongs here: keeping and comparing. What does not: measuring.

A benchmark notes its figures where it prints them, and records them at its end::

    figures = Figures("search_latency")
    figures.ratio("recall, hybrid", 0.998)
    figures.context("p50 ms, hybrid", 4.1)
    figures.record(rows=200_000)

That appends a JSON object to ``search_latency.jsonl`` beside this file: when, at which commit, on what
machine, under which conditions (what changes what is measured), and the figures. Ratios are shares, scores
and quotients of two figures of one run, which mean the same on any machine: they are compared with those of
the last run under the same conditions. Contexts are what they were made of (seconds, counts): kept, shown.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


class Figures:
    """What one run of a benchmark found."""

    def __init__(self, benchmark: str, folder: Path = FOLDER) -> None:
        self._file = folder / f"{benchmark}.jsonl"
        self._ratios: dict[str, float] = {}
        self._context: dict[str, float] = {}

    def ratio(self, name: str, value: float) -> None:
        """Note a figure that any machine can be compared by."""
        self._ratios[name] = round(float(value), 4)

    def context(self, name: str, value: float) -> None:
        """Note a figure of this machine and this hour; its unit is in its name."""
        self._context[name] = round(float(value), 4)

    def record(self, **conditions: Any) -> None:
        """Append the line of this run, and print its ratios beside those of the last one."""
        line: dict[str, Any] = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "commit": _commit(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
            "conditions": {name: str(value) for name, value in conditions.items()},
            "ratios": self._ratios,
            "context": self._context,
        }
        last = _last(self._file, line["conditions"])
        with self._file.open("a", encoding="utf-8") as history:
            history.write(json.dumps(line, ensure_ascii=False) + "\n")
        print("\n".join(compared(line, last)), flush=True)


def compared(line: dict[str, Any], last: dict[str, Any] | None) -> list[str]:
    """Each ratio of a run, that of the run before it, and the change; as lines to print."""
    when = f"the run of {last['at'][:10]} at {last['commit']}" if last else "no run like it before"
    shown = [f"\nhistory: this run at {line['commit']}, beside {when}"]
    width = max((len(name) for name in [*line["ratios"], *line["context"]]), default=0)
    for name, now in line["ratios"].items():
        before = last["ratios"].get(name) if last else None
        shown.append(f"  {name:<{width}} {now:>10.4g}" + ("" if before is None else _beside(before, now)))
    return shown + [f"  {name:<{width}} {value:>10.4g}  (context)" for name, value in line["context"].items()]


def _beside(before: float, now: float) -> str:
    change = f"{(now - before) / abs(before):+.1%}" if before else f"{now - before:+.4g}"
    return f" {before:>10.4g} {change:>8}"


def _last(file: Path, conditions: dict[str, str]) -> dict[str, Any] | None:
    """The latest line under the same conditions."""
    if not file.is_file():
        return None
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]
    return next((line for line in reversed(lines) if line["conditions"] == conditions), None)


def _commit() -> str:
    """The commit of the tree, with ``+`` where more than the history has changed since."""
    git = ["git", "-C", str(FOLDER)]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        )
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no", "--", ":/", ":!."],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+" if changed.stdout else "")
