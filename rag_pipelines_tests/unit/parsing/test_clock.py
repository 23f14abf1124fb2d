"""Time at work and time in line are told apart, also where the system says neither."""

from __future__ import annotations

import os
import sys
import time

import pytest

from rag_pipelines.workers.clock import ProcessClock

NOBODY = 2**22 + 1
"""Above the highest process number of Linux."""


def work(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no /proc")
def test_work_is_counted_as_work() -> None:
    clock = ProcessClock(os.getpid())
    before = clock.read()
    work(0.1)
    worked, waited = clock.since(before)
    clock.close()
    assert worked >= 0.08
    assert waited <= time.monotonic() - before.at


@pytest.mark.parametrize(("load", "share"), [(0.5, 0.0), (4.0, 0.75)])
def test_where_the_system_does_not_tell_the_load_of_the_machine_does(
    monkeypatch: pytest.MonkeyPatch, load: float, share: float
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, load, load))
    clock = ProcessClock(NOBODY)
    before = clock.read()
    work(0.05)
    worked, waited = clock.since(before)
    clock.close()
    assert worked >= 0.05
    assert waited == pytest.approx(share * worked)
