"""The history of the benchmarks: a line a run, compared with the last one of the same conditions."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.py"))


@pytest.fixture(scope="module")
def history() -> ModuleType:
    spec = importlib.util.spec_from_file_location("history", ROOT / "benchmarks" / "history" / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_run_is_a_line_beside_the_last_one_of_the_same_conditions(
    history: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for rows, recall in ((10, 0.5), (20, 0.9), (10, 0.6)):
        figures = history.Figures("search", tmp_path)
        figures.ratio("recall", recall)
        figures.context("p50 ms", 3.0)
        figures.record(rows=rows)
    lines = [json.loads(line) for line in (tmp_path / "search.jsonl").read_text().splitlines()]
    assert [line["ratios"]["recall"] for line in lines] == [0.5, 0.9, 0.6]
    assert all(line["commit"] and line["at"] and line["machine"] for line in lines)
    first, other, again = capsys.readouterr().out.split("\nhistory: ")[1:]
    assert "no run like it before" in first
    assert "no run like it before" in other
    assert re.search(r"recall +0\.6 +0\.5 +\+20\.0%", again)
    assert re.search(r"p50 ms +3 +\(context\)", again)


def test_a_ratio_that_was_nothing_is_compared_by_difference(history: ModuleType) -> None:
    line = {"at": "2026-11-30T10:00:00", "commit": "abc", "ratios": {"leaks": 0.0}, "context": {}}
    (_, shown) = history.compared({**line, "ratios": {"leaks": 0.25}}, line)
    assert shown.split() == ["leaks", "0.25", "0", "+0.25"]


@pytest.mark.parametrize("program", BENCHMARKS, ids=lambda path: path.stem)
def test_every_benchmark_records_its_figures_under_its_own_name(program: Path) -> None:
    text = program.read_text(encoding="utf-8")
    assert f'Figures("{program.stem}")' in text
    assert re.search(r"FIGURES\.(?:ratio|context)\(", text)
    assert "FIGURES.record(" in text
