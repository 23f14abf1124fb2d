from __future__ import annotations

import multiprocessing
import os
import pickle
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from rag_pipelines import errors, logs
from rag_pipelines.errors import (
    ConfigError,
    DocumentError,
    ParseCrashError,
    ParseMemoryError,
    ParseTimeoutError,
    RagError,
    TooLargeDocumentError,
    UsageError,
)
from rag_pipelines.parsing.base import ParseLimits
from rag_pipelines.workers.jobs import Job, JobOutcome, Jobs
from rag_pipelines.workers.pool import WorkerPool
from rag_pipelines_tests.unit.parsing import misdeeds
from rag_pipelines_tests.unit.parsing.misdeeds import Deed, Report, do, echo

LIMITS = ParseLimits(seconds=30.0, memory_mb=256)
SHORT = ParseLimits(seconds=0.3, memory_mb=256)

linux = pytest.mark.skipif(sys.platform != "linux", reason="the walls of the sandbox are those of Linux")


def run(*deeds: Deed, limits: ParseLimits = LIMITS, workers: int = 1) -> list[JobOutcome[Deed, Report]]:
    with WorkerPool(do, workers=workers, limits=limits) as pool:
        return list(pool.map(deeds))


def text(outcome: JobOutcome[Any, Report]) -> str:
    assert outcome.error is None, outcome.error
    assert outcome.value is not None
    return outcome.value.text


def is_gone(pid: int) -> bool:
    """Whether a process ended; an orphan may stay a zombie where nobody reaps it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except OSError:
        return True


def wait_until_gone(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    import select

    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    assert poll.poll(10_000), f"process {pid} is still alive"
    os.close(descriptor)


def test_outcomes_come_in_the_order_of_the_items() -> None:
    with WorkerPool(echo, workers=3, limits=LIMITS) as pool:
        assert [outcome.value for outcome in pool.map(range(1_000))] == list(range(1_000))


def test_an_outcome_carries_its_item_and_what_it_cost() -> None:
    (outcome,) = run(Deed("allocate", "64"))
    assert outcome.item == Deed("allocate", "64")
    assert outcome.cpu_seconds > 0
    assert 0 < outcome.seconds < 10


def test_the_task_of_an_item_can_be_made_when_its_turn_comes() -> None:
    def load(name: str) -> Deed:
        if name == "lost":
            raise errors.FetchError("the source says 404")
        return Deed("return", name)

    with WorkerPool(do, workers=1, limits=LIMITS) as pool:
        good, lost = pool.map(["good", "lost"], task=load)
    assert text(good) == "good"
    assert (lost.item, type(lost.error)) == ("lost", errors.FetchError)


def test_a_pool_without_work_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    with WorkerPool(do, workers=2, limits=LIMITS) as pool:
        assert list(pool.map([])) == []
        assert list(pool.map(["known"], task=lambda _: None)) == [JobOutcome("known")]


def test_the_input_is_never_pulled_further_than_the_window() -> None:
    pulled = 0

    def items() -> Iterator[int]:
        nonlocal pulled
        for number in range(200):
            pulled += 1
            yield number

    with WorkerPool(echo, workers=2, limits=LIMITS) as pool:
        outcomes = pool.map(items(), window=7)
        assert pulled == 0
        for given_back, _ in enumerate(outcomes):
            assert pulled - given_back <= 7


def test_nothing_is_pulled_while_the_tasks_held_are_large() -> None:
    pulled = 0

    def items() -> Iterator[Deed]:
        nonlocal pulled
        for _ in range(10):
            pulled += 1
            yield Deed("return", "x" * 1_000_000)

    with WorkerPool(do, workers=1, limits=LIMITS) as pool:
        outcomes = pool.map(items(), window_bytes=2_500_000)
        next(outcomes)
        assert pulled == 3
        assert len(list(outcomes)) == 9


def test_workers_go_on_while_the_caller_is_busy(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "second")
    deeds = [Deed("return", "first"), Deed("announce", str(tmp_path / "second"))]
    with WorkerPool(do, workers=1, limits=LIMITS) as pool:
        outcomes = pool.map(deeds)
        next(outcomes)
        with (tmp_path / "second").open() as announced:  # opens only when the second task runs
            assert int(announced.readline())


def test_large_tasks_and_results_pass_whole() -> None:
    big = "ü" * 5_000_000
    deeds = [Deed("return", big), Deed("return", "small"), Deed("return", big)]
    assert [text(outcome) for outcome in run(*deeds)] == [big, "small", big]


@pytest.mark.parametrize("kind", ["hang", "hang_without_the_gil"])
def test_a_hang_ends_as_a_timeout_that_says_where(kind: str) -> None:
    hung, after = run(Deed(kind), Deed("return", "fine"), limits=SHORT)
    assert isinstance(hung.error, ParseTimeoutError)
    assert "killed after 0.6 s" in str(hung.error)
    assert hung.seconds >= 0.6
    assert f"_{kind}, misdeeds.py" in str(hung.error)
    assert text(after) == "fine"


def test_a_task_that_works_too_long_ends_as_a_timeout_that_says_how_long_it_worked() -> None:
    (slow,) = run(Deed("work", "60"), limits=SHORT)
    assert isinstance(slow.error, ParseTimeoutError)
    assert re.search(
        r"killed after 0\.6 s, \d+\.\d s of it at work \(limits\.parse\.seconds is 0\.3\)", str(slow.error)
    )


def test_a_task_that_was_too_slow_beside_others_is_tried_again_alone_with_more_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deeds = [Deed("work_the_second_time", str(tmp_path / "mark")), Deed("work", "0.4")]
    outcomes = run(*deeds, limits=SHORT, workers=2)
    assert [text(outcome) for outcome in outcomes] == ["worked", "worked"]
    then = {logs.fields_of(record)["then"] for record in caplog.records}
    assert then == {"its document is tried once more alone and with more time"}


def test_a_task_that_is_too_slow_alone_too_is_tried_in_a_quicker_way(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def quicker(deed: Deed) -> Deed | None:
        return Deed("work", "0.01") if deed.argument == "60" else None

    with WorkerPool(do, workers=1, limits=SHORT, quicker=quicker) as pool:
        slow, slower = pool.map([Deed("work", "60"), Deed("work", "61")])
    assert text(slow) == "worked"
    assert isinstance(slower.error, ParseTimeoutError)
    then = [logs.fields_of(record)["then"] for record in caplog.records]
    assert then.count("its document is tried once more in a quicker way") == 1


def test_time_in_line_for_a_processor_counts_against_no_task() -> None:
    """Of many that work at once on fewer processors, none has more wall time than the limit without it."""
    crowd = 4 * (os.cpu_count() or 1)
    limits = ParseLimits(seconds=0.5, memory_mb=256)
    outcomes = run(*[Deed("work", "0.25")] * crowd, limits=limits, workers=crowd)
    assert [text(outcome) for outcome in outcomes] == ["worked"] * crowd
    assert max(outcome.seconds for outcome in outcomes) > limits.seconds


def test_nothing_runs_beside_a_task_that_is_tried_again_alone() -> None:
    jobs = Jobs()
    slow, quick, later = Job("slow"), Job("quick"), Job("later")
    for job in (slow, quick):
        jobs.add(job)
    assert (jobs.take(), jobs.take()) == (slow, quick)
    jobs.put_alone(slow)
    jobs.add(later)
    assert jobs.take() is later
    jobs.settle(later, JobOutcome("later"), 0)
    jobs.settle(quick, JobOutcome("quick"), 0)
    assert jobs.take() is slow
    jobs.add(later)
    assert jobs.take_small(1_000) is None
    jobs.settle(slow, JobOutcome("slow"), 0)
    assert jobs.take() is later


def test_a_hang_does_not_hold_up_the_other_worker() -> None:
    outcomes = run(*[Deed("hang")] + [Deed("return", str(n)) for n in range(50)], limits=SHORT, workers=2)
    assert isinstance(outcomes[0].error, ParseTimeoutError)
    assert [text(outcome) for outcome in outcomes[1:]] == [str(n) for n in range(50)]


@pytest.mark.parametrize(
    ("deed", "words"),
    [
        (Deed("segfault"), "SIGSEGV (in _segfault, misdeeds.py"),
        (Deed("kill", "SIGABRT"), "SIGABRT"),
        (Deed("exit", "3"), "exit status 3"),
        (Deed("exit", "0"), "exit status 0"),
    ],
)
def test_a_crash_says_how_the_worker_died(deed: Deed, words: str) -> None:
    before, crashed, after = run(Deed("return", "a"), deed, Deed("return", "b"))
    assert isinstance(crashed.error, ParseCrashError)
    assert words in str(crashed.error)
    assert (text(before), text(after)) == ("a", "b")


@linux
@pytest.mark.parametrize("kind", ["allocate", "swallow_memory_errors", "share_memory"])
def test_a_memory_blow_up_is_reported_as_that(kind: str) -> None:
    grown, after = run(Deed(kind, "600"), Deed("return", "fine"))
    assert isinstance(grown.error, ParseMemoryError)
    assert "memory_mb" in str(grown.error)
    assert text(after) == "fine"


def test_a_worker_killed_by_the_system_is_taken_for_out_of_memory() -> None:
    (killed,) = run(Deed("kill", "SIGKILL"))
    assert isinstance(killed.error, ParseMemoryError)
    assert "from outside" in str(killed.error)


def test_a_worker_that_dies_is_logged_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    with WorkerPool(do, workers=1, limits=LIMITS) as pool:
        pool.warm()
        with logs.context(source="docs"):
            list(pool.map([Deed("kill", "SIGKILL")]))
    (record,) = [record for record in caplog.records if record.getMessage() == "worker died"]
    fields = logs.fields_of(record)
    assert record.levelname == "WARNING"
    assert (fields["source"], fields["error"]) == ("docs", "ParseMemoryError")
    assert "from outside" in fields["reason"]


@linux
def test_a_task_does_not_pay_for_what_an_earlier_one_leaked() -> None:
    leaked, innocent = run(Deed("leak", "50"), Deed("allocate", "220"))
    assert text(leaked) == "leaked"
    assert text(innocent)


@linux
def test_a_worker_that_keeps_too_much_memory_is_replaced() -> None:
    outcomes = run(*[Deed("leak", "110") for _ in range(6)])
    assert [text(outcome) for outcome in outcomes] == ["leaked"] * 6


def test_a_worker_is_replaced_after_a_number_of_tasks() -> None:
    with WorkerPool(do, workers=1, limits=LIMITS, recycle_after=3) as pool:
        pids = [outcome.value.pid for outcome in pool.map([Deed()] * 7, window=1) if outcome.value]
    assert [pids.index(pid) for pid in pids] == [0, 0, 0, 3, 3, 3, 6]


def test_what_a_long_task_leaves_behind_is_gone_before_the_next() -> None:
    outcomes = run(*[Deed("tangle", "60")] * 4)
    assert [text(outcome) for outcome in outcomes] == ["tangled"] * 4
    assert len({outcome.value.pid for outcome in outcomes if outcome.value}) == 1


def test_endless_recursion_costs_only_its_task() -> None:
    deep, after = run(Deed("recurse"), Deed("return", "fine"))
    assert isinstance(deep.error, TooLargeDocumentError)
    assert "nested" in str(deep.error)
    assert text(after) == "fine"


@pytest.mark.parametrize(
    "name",
    sorted(
        cls.__name__
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, DocumentError)
    ),
)
def test_an_error_keeps_its_class_and_message_between_processes(
    name: str, shared: WorkerPool[Deed, Report]
) -> None:
    (outcome,) = shared.map([Deed("raise", name)])
    assert type(outcome.error).__name__ == name
    assert str(outcome.error) == f"raised {name} on purpose"
    copy = pickle.loads(pickle.dumps(outcome.error))
    assert (type(copy), str(copy)) == (type(outcome.error), str(outcome.error))


def test_an_unexpected_error_is_the_documents_and_says_where(shared: WorkerPool[Deed, Report]) -> None:
    (outcome,) = shared.map([Deed("raise_foreign")])
    assert type(outcome.error) is DocumentError
    assert "KeyError" in str(outcome.error)
    assert "_raise_foreign, misdeeds.py" in str(outcome.error)


def test_an_error_that_is_not_about_the_document_ends_the_run() -> None:
    with WorkerPool(do, workers=1, limits=LIMITS) as pool, pytest.raises(ConfigError, match="on purpose"):
        list(pool.map([Deed("raise", "ConfigError")]))


def test_a_result_too_large_for_the_parent_is_refused() -> None:
    (outcome,) = run(Deed("flood", "300"), limits=ParseLimits(memory_mb=2048))
    assert isinstance(outcome.error, TooLargeDocumentError)
    assert "a worker may return" in str(outcome.error)


@pytest.mark.parametrize(
    "words",
    [
        "ff" * 64,  # a frame of 2^64 bytes
        "0000000000000002" + "c1c1",  # no MessagePack
        "0000000000000005" + "93cb000000",  # a truncated reply
        "0000000000000004" + "93a2ffff",  # no UTF-8
        "0000000000000016" + "95cb0000000000000000cb0000000000000000a0c0a0",  # a value of another type
    ],
)
def test_what_a_taken_over_worker_says_is_not_believed(words: str) -> None:
    liar, after = run(Deed("babble", words), Deed("return", "fine"))
    assert isinstance(liar.error, ParseCrashError)
    assert text(after) == "fine"


@pytest.mark.slow
def test_200_tasks_with_poison_among_them_lose_exactly_the_poison() -> None:
    chance = random.Random(17)
    poison = {
        number: Deed(
            *chance.choice(
                [("segfault", ""), ("exit", "1"), ("kill", "SIGABRT"), ("raise", "CorruptDocumentError")]
            )
        )
        for number in chance.sample(range(200), 12)
    }
    hang = chance.choice(sorted(set(range(200)) - set(poison)))
    poison[hang] = Deed("hang")
    deeds = [poison.get(number, Deed("return", str(number))) for number in range(200)]
    outcomes = run(*deeds, limits=SHORT, workers=2)
    assert {number for number, outcome in enumerate(outcomes) if outcome.error} == set(poison)
    assert all(text(outcome) == str(n) for n, outcome in enumerate(outcomes) if n not in poison)


def test_leaving_the_iterator_early_stops_the_children(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pid")
    threads = threading.active_count()
    pool = WorkerPool(do, workers=1, limits=LIMITS)
    outcomes = pool.map([Deed("return", "first"), Deed("announce", str(tmp_path / "pid"))])
    next(outcomes)
    pid = int((tmp_path / "pid").read_text())
    outcomes.close()
    assert is_gone(pid)
    assert threading.active_count() == threads


def test_a_closed_pool_works_again() -> None:
    pool = WorkerPool(echo, workers=1, limits=LIMITS)
    for _ in range(2):
        assert [outcome.value for outcome in pool.map(range(3))] == [0, 1, 2]
        pool.close()


@linux
def test_processes_that_a_parser_started_end_with_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pid")
    found: list[int] = []
    reader = threading.Thread(target=lambda: found.append(int((tmp_path / "pid").read_text())))
    reader.start()
    (hung,) = run(Deed("start_child", str(tmp_path / "pid")), limits=SHORT)
    reader.join()
    assert isinstance(hung.error, ParseTimeoutError)
    wait_until_gone(found[0])


PARENT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits both as ignored
signal.signal(signal.SIGTERM, signal.SIG_DFL)
from rag_pipelines.parsing.base import ParseLimits
from rag_pipelines.workers.pool import WorkerPool
from rag_pipelines_tests.unit.parsing.misdeeds import Deed, do
with WorkerPool(do, workers=2, limits=ParseLimits(memory_mb=256)) as pool:
    print("ready", flush=True)
    list(pool.map([Deed("announce", path) for path in sys.argv[1:]]))
"""


@linux
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_parent_leaves_no_child_behind(number: signal.Signals, tmp_path: Path) -> None:
    pipes = [tmp_path / "one", tmp_path / "two"]
    for pipe in pipes:
        os.mkfifo(pipe)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, *map(str, pipes)], env=environment, stderr=subprocess.DEVNULL
    )
    pids = [int(pipe.read_text()) for pipe in pipes]
    parent.send_signal(number)
    parent.wait(20)
    for pid in pids:
        wait_until_gone(pid)


def test_a_function_that_no_other_process_can_find_is_refused() -> None:
    with pytest.raises(UsageError, match="top-level function"):
        WorkerPool(lambda task: task)


def test_a_worker_that_cannot_start_ends_the_run_with_the_reason() -> None:
    def lost(task: int) -> int:
        return task

    lost.__module__, lost.__qualname__ = "a_module_that_is_not_installed", "lost"
    with WorkerPool(lost, workers=1, limits=LIMITS) as pool, pytest.raises(RagError, match="ModuleNotFound"):
        list(pool.map([1]))


@pytest.fixture(scope="module")
def shared() -> Iterator[WorkerPool[Deed, Report]]:
    with WorkerPool(do, workers=1, limits=LIMITS) as pool:
        yield pool


class TestSandbox:
    def test_the_network_is_closed(self, shared: WorkerPool[Deed, Report]) -> None:
        import socket

        with socket.create_server(("127.0.0.1", 0)) as server:
            (outcome,) = shared.map([Deed("connect", f"127.0.0.1:{server.getsockname()[1]}")])
            assert "PermissionError" in str(outcome.error)
            server.setblocking(False)
            with pytest.raises(BlockingIOError):
                server.accept()

    def test_secrets_do_not_reach_the_worker(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("RAG_DATABASE_URL", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "PGPASSWORD", "ANYTHING"):
            monkeypatch.setenv(name, "s3cret")
        (outcome,) = run(Deed("environment"))
        assert "s3cret" not in text(outcome)
        assert "OMP_NUM_THREADS=1" in text(outcome)

    def test_temporary_files_are_private_and_removed(self) -> None:
        with WorkerPool(do, workers=1, limits=LIMITS) as pool:
            (outcome,) = pool.map([Deed("temporary")])
            folder = Path(text(outcome))
            assert folder.exists()
            assert folder.parents[1].stat().st_mode & 0o077 == 0
        assert not folder.parents[1].exists()

    @linux
    def test_a_worker_holds_no_file_of_its_parent(
        self, shared: WorkerPool[Deed, Report], tmp_path: Path
    ) -> None:
        with (tmp_path / "secret").open("w") as file:
            os.set_inheritable(file.fileno(), True)
            (outcome,) = run(Deed("descriptors"))
        files = [name for name in text(outcome).split() if not name.startswith("pipe:")]
        assert sorted(os.path.basename(name) for name in files) == ["null", "stderr", "stderr"]

    def test_standard_input_is_empty_and_output_harms_nothing(self, shared: WorkerPool[Deed, Report]) -> None:
        read, shouted = shared.map([Deed("read_input"), Deed("shout", "5")])
        assert (text(read), text(shouted)) == ("''", "shouted")

    def test_a_file_cannot_fill_the_disk(self) -> None:
        (outcome,) = run(Deed("fill_disk", "20"), limits=ParseLimits(max_expansion_bytes=10 << 20))
        assert "File too large" in str(outcome.error)


def test_small_tasks_cost_next_to_nothing() -> None:
    """As little as sending them through a pipe and back, one by one; half of that on an idle machine."""

    def seconds(action: Callable[[], object]) -> float:
        start = time.perf_counter()
        action()
        return time.perf_counter() - start

    def through_a_pipe() -> None:
        for number in range(2_000):
            ours.send(number)
            assert ours.recv() == number

    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=echo_through, args=(theirs,), daemon=True)
    process.start()
    with WorkerPool(echo, workers=2, limits=LIMITS) as pool:
        times = [(seconds(lambda: list(pool.map(range(2_000)))), seconds(through_a_pipe)) for _ in range(5)]
    ours.send(None)
    process.join()
    assert min(pool for pool, _ in times) < 5 * min(pipe for _, pipe in times)


def echo_through(pipe: Connection) -> None:
    """Send back what comes, until None does."""
    while (received := pipe.recv()) is not None:
        pipe.send(received)


def test_every_misdeed_is_tried() -> None:
    source = Path(__file__).read_text()
    assert [kind for kind in misdeeds.DEEDS if f'"{kind}"' not in source] == []
