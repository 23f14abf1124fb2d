"""How far work is, and how long the rest of it takes."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from rag_pipelines.index.estimate import COSTS, GRAPH, WHOLE, WholeBuild
from rag_pipelines.orchestration import metadata
from rag_pipelines.progress import PACE_SECONDS, Pace, duration


def pace_of(*moments: float) -> Pace:
    ticks: Iterator[float] = iter(moments)
    return Pace(lambda: next(ticks))


def test_the_rest_takes_as_long_as_what_is_done_did() -> None:
    pace = pace_of(0, 10, 20)
    assert pace.seconds_left("load", 0, 100) is None
    assert pace.seconds_left("load", 10, 100) == 90
    assert pace.seconds_left("load", 40, 100) == 30


def test_a_stage_that_slows_down_says_so() -> None:
    pace = pace_of(0, 1, PACE_SECONDS + 1, 2 * PACE_SECONDS + 1)
    for done in (0, 500, 600):
        pace.seconds_left("load", done, 1000)
    assert pace.seconds_left("load", 700, 1000) == 3 * PACE_SECONDS


def test_stages_have_their_own_pace_and_an_unknown_total_has_none() -> None:
    pace = pace_of(0, 5, 10, 15)
    pace.seconds_left("one", 0, 10)
    assert pace.seconds_left("other", 0, 10) is None
    assert pace.seconds_left("one", 5, 10) == 10
    assert pace.seconds_left("one", 6, None) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (89, "89 s"), (420, "7 min"), (3599, "1 h 0 min"), (7800, "2 h 10 min")],
)
def test_durations_are_told_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_run_says_how_long_the_rest_of_a_stage_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(float(second) for second in range(0, 1000, 10))
    monkeypatch.setattr(metadata.time, "monotonic", lambda: next(now))
    lines: list[str] = []
    progress = metadata.log_progress(lines.append)
    for done in (0, 10, 20):
        progress("loading words", done, 1000)
        progress("whole build", done // 10, 100)
    assert [line for line in lines if line.startswith("loading words: 20 of 1,000, about ")] != []
    assert [line for line in lines if line.startswith("whole build: 2 of 100, about ")] != []


def test_a_whole_build_goes_from_nothing_to_all_without_a_step_back() -> None:
    told: list[tuple[str, int, int | None]] = []
    listen = WholeBuild(lambda *each: told.append(each), 1_000_000, 384)
    for stage in (*COSTS, GRAPH):
        for done in (0, 500_000, 1_000_000):
            listen(stage, done, 1_000_000)
    whole = [done for stage, done, _ in told if stage == WHOLE]
    assert (whole[0], whole[-1]) == (0, 100)
    assert whole == sorted(whole)
    assert len(told) == 2 * len(whole)


def test_half_of_a_graph_is_less_than_half_of_its_work() -> None:
    told: dict[str, int] = {}

    def listen(stage: str, done: int, total: int | None) -> None:
        told[stage] = done

    build = WholeBuild(listen, 1023, 0)
    build(GRAPH, 0, 1023)
    before = told[WHOLE]
    build(GRAPH, 511, 1023)
    assert told[WHOLE] - before == pytest.approx((100 - before) * 0.5 * math.log2(512) / 10, abs=1)


def test_a_stage_that_is_none_of_a_build_is_passed_on() -> None:
    told: list[str] = []
    WholeBuild(lambda stage, *_: told.append(stage), 10, 4)("catching up", 1, 1)
    assert told == ["catching up"]
