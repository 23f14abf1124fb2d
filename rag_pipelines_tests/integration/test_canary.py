"""Canaries and shadows: who reads a candidate, when it is aborted, and that no search suffers from it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.testing import Result as Invoked

from rag_pipelines.config.canary import CanarySettings
from rag_pipelines.errors import GateError, TransientError, UsageError
from rag_pipelines.gates.canary import (
    Canary,
    CanaryReport,
    Figures,
    PairFigures,
    latest_reports,
    record,
    running_canaries,
    start_canary,
    stop_canary,
)
from rag_pipelines.index.promotion import Override, promote, rollback
from rag_pipelines.index.versions import Version, version_by_id
from rag_pipelines.query.feedback import Feedback
from rag_pipelines.query.hits import Result
from rag_pipelines.query.search import Searcher
from rag_pipelines.serving.canary import WAITING, Canaries, place_of, too_slow
from rag_pipelines.store.switches import turn_off, turn_on
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.workspace import Workspace

QUESTION = "harbour tariff"
CALLERS = [f"user:{number}" for number in range(40)]


def fill_harbours(workspace: Workspace) -> None:
    """Six documents, a live version 1, and a candidate that has passed its gates."""
    for number in range(6):
        workspace.write(f"{number}.md", f"# Harbour {number}\n\nThe harbour tariff of pier {number}.\n")
    workspace.refresh()
    assert all(workspace.validate(workspace.build(full=True)).values())


class Trial:
    """The live version and the candidate of a workspace, and a process that serves both."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.database = workspace.database
        with self.database.connection() as connection:
            self.live = self.retired = version_by_id(connection, 1)
            self.candidate = version_by_id(connection, 2)
        self.canaries = self.process()

    def process(self, **options: Any) -> Canaries:
        """One more serving process."""
        settings = self.workspace.settings
        live = {"main": Searcher(self.database, settings, "main")}

        def candidate(index: str, version: int) -> Searcher:
            return Searcher(self.database, settings, index, version=version, purpose="canary")

        return Canaries(self.database, live, candidate, **options)

    def start(self, **options: Any) -> Canary:
        """Begin a canary, which the process sees."""
        canary = start_canary(self.database, "main", **{"share": 1.0, **options})
        self.canaries.look()
        return canary

    def ask(self, caller: str = "user:ann", **asked: Any) -> int:
        """The version that answers a caller."""
        result = self.canaries.search("main", QUESTION, tenant="default", caller=caller, **asked)
        assert result.hits
        return result.version

    def ask_often(self, times: int) -> set[int]:
        """The versions that answer; everything is compared and stored afterwards."""
        versions = set()
        for number in range(times):
            versions.add(self.ask(CALLERS[number % len(CALLERS)]))
            self.canaries.settle()
        self.canaries.look()
        return versions

    def empty(self, version: Version) -> None:
        """Take everything out of a version."""
        self.change(f"TRUNCATE rag.vectors_{version.storage}, rag.lexical_{version.storage}")

    def break_(self, version: Version) -> None:
        """Make a version fail whatever it is asked."""
        self.change(f"DROP TABLE rag.vectors_{version.storage}")

    def change(self, statement: str) -> None:
        """Do to the database what no verb does."""
        with self.database.connection() as connection:
            connection.execute(statement)

    @property
    def report(self) -> CanaryReport:
        with self.database.connection() as connection:
            return latest_reports(connection, "main")[0]


@pytest.fixture
def workspace(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_harbours).lend() as lent:
        yield lent


@pytest.fixture
def trial(workspace: Workspace) -> Iterator[Trial]:
    made = Trial(workspace)
    yield made
    made.canaries.close()


def test_a_share_of_the_callers_reads_the_candidate_and_each_caller_stays_with_one_version(
    trial: Trial,
) -> None:
    trial.start(share=0.5)
    first = {caller: trial.ask(caller) for caller in CALLERS}
    assert set(first.values()) == {trial.live.version_id, trial.candidate.version_id}
    assert {caller: trial.ask(caller) for caller in CALLERS} == first
    other = trial.process()
    other.look()
    again = {c: other.search("main", QUESTION, tenant="default", caller=c).version for c in CALLERS}
    assert again == first
    other.close()


def test_a_larger_share_keeps_the_callers_of_the_smaller_one_and_has_its_size(trial: Trial) -> None:
    canary = trial.start()
    places = [place_of(canary, "default", f"user:{number}") for number in range(2000)]
    assert sum(place < 0.1 for place in places) == pytest.approx(200, abs=50)
    assert all(0 <= place < 1 for place in places)


def test_only_chosen_tenants_take_part(trial: Trial) -> None:
    trial.start(share=None, tenants=["globex"])
    assert trial.ask() == trial.live.version_id
    found = trial.canaries.search("main", QUESTION, tenant="globex", caller="user:ann")
    assert found.version == trial.candidate.version_id


def test_an_equal_candidate_is_compared_and_not_broken_off(trial: Trial) -> None:
    trial.start(bounds=CanarySettings(latency_ms=60_000))
    assert trial.ask_often(120) == {trial.candidate.version_id}
    report = trial.report
    assert report.canary.state == "running"
    assert report.canary.pairs == PairFigures(compared=120)
    assert report.overlap == 1
    assert report.sides["candidate"].searches == report.sides["live"].searches == 120
    assert (report.sides["candidate"].quantile(0.95) or 0) > 0


def test_a_candidate_that_finds_nothing_is_broken_off_for_everybody_and_may_not_go_live(
    trial: Trial,
) -> None:
    other = trial.process()
    canary = trial.start(share=1.0, bounds=CanarySettings(min_observations=20))
    other.look()
    trial.empty(trial.candidate)
    for caller in CALLERS:
        result = trial.canaries.search("main", QUESTION, tenant="default", caller=caller)
        assert result.version == trial.candidate.version_id
        trial.canaries.settle()
    trial.canaries.look()
    assert trial.ask() == trial.live.version_id
    other.look()
    assert other.search("main", QUESTION, tenant="default", caller="x").version == trial.live.version_id
    other.close()
    report = trial.report
    assert report.canary.canary_id == canary.canary_id
    assert report.canary.state == "breached"
    assert "40 of 40 searches found nothing although live did" in str(report.canary.verdict)
    audited = trial.workspace.rows("SELECT action FROM rag.audit ORDER BY audit_id DESC LIMIT 1")
    assert audited[0]["action"] == "canary breach"
    with pytest.raises(GateError, match=r"gate canary failed.*40 of 40 searches found nothing"):
        promote(trial.database, "main", trial.candidate.version_id)
    with pytest.raises(GateError, match="gate canary failed"):
        start_canary(trial.database, "main", share=1.0)
    override = Override(["canary"], by="ann", reason="the questions were nonsense")
    assert promote(trial.database, "main", override=override).version_id == trial.candidate.version_id


def test_what_the_candidate_cannot_answer_the_live_version_answers_and_it_counts(trial: Trial) -> None:
    trial.start(bounds=CanarySettings(min_observations=10))
    trial.break_(trial.candidate)
    assert {trial.ask(caller) for caller in CALLERS[:12]} == {trial.live.version_id}
    trial.canaries.look()
    assert trial.report.canary.pairs.failed == 12
    assert trial.report.canary.state == "breached"


def test_a_canary_that_is_switched_off_answers_no_further_search_and_is_not_blamed(trial: Trial) -> None:
    trial.start(bounds=CanarySettings(min_observations=1))
    assert trial.ask() == trial.candidate.version_id
    settings = trial.workspace.settings
    turn_on(trial.database, settings, "canary-off", "main", reason="strange answers")

    assert [trial.ask(), trial.ask()] == [trial.live.version_id] * 2

    trial.canaries.look()
    assert trial.ask() == trial.live.version_id
    assert trial.report.canary.state == "running"
    assert trial.report.canary.pairs.failed == 0
    turn_off(trial.database, settings, "canary-off", "main")
    trial.canaries.look()
    assert trial.ask() == trial.candidate.version_id


def test_a_callers_mistake_is_theirs_and_not_the_candidates(trial: Trial) -> None:
    trial.start()
    with pytest.raises(UsageError, match="the question is empty"):
        trial.canaries.search("main", " ", tenant="default", caller="user:ann")
    trial.canaries.look()
    assert trial.report.canary.pairs == PairFigures()


def test_a_shadow_answers_nobody_and_is_judged_all_the_same(trial: Trial) -> None:
    trial.start(mode="shadow", bounds=CanarySettings(min_observations=20))
    trial.empty(trial.candidate)
    assert trial.ask_often(30) == {trial.live.version_id}
    assert trial.report.canary.state == "breached"
    assert trial.report.canary.pairs.lost == 30


def test_a_candidate_is_slow_by_factor_and_beyond_the_least_time_and_never_beside_a_kept_answer() -> None:
    bounds = CanarySettings(latency_factor=2, latency_ms=50)

    def took(milliseconds: float, *, cached: bool = False) -> Result:
        return Result("main", 1, "hybrid", (), 0.0, milliseconds, cached=cached)

    assert too_slow(took(101), took(50), bounds)
    assert not too_slow(took(99), took(50), bounds)
    assert not too_slow(took(49), took(5), bounds)
    assert too_slow(took(51), took(5), bounds)
    assert not too_slow(took(500), took(1, cached=True), bounds)


def test_a_slow_candidate_is_broken_off(trial: Trial) -> None:
    canary = trial.start(bounds=CanarySettings(min_observations=20))
    slow = Figures(pairs=PairFigures(compared=100, slow=60))
    assert "60 of 100 searches took too long" in record(trial.database, canary.canary_id, slow)[0]
    assert trial.report.canary.state == "breached"


def test_a_shadow_samples_searches(trial: Trial) -> None:
    draws = iter([0.9, 0.05] * 10)
    trial.canaries = trial.process(draw=lambda: next(draws))
    trial.start(mode="shadow", share=0.1)
    trial.ask_often(20)
    assert trial.report.canary.pairs.compared == 10


def test_votes_against_the_candidate_break_it_off_where_the_live_version_is_liked(trial: Trial) -> None:
    trial.start()
    feedback = Feedback(trial.database)

    def vote(version: int, verdict: Any, times: int) -> None:
        for _ in range(times):
            answered = Result("main", version, "hybrid", (), 0.0, 0.0)
            receipt = feedback.receipt(answered, "default", "user:ann")
            assert feedback.vote(receipt, "default", "user:ann", verdict) == ("main", version)

    vote(trial.live.version_id, "up", 90)
    vote(trial.candidate.version_id, "down", 30)
    vote(trial.candidate.version_id, "up", 30)
    trial.ask_often(1)
    assert trial.report.canary.state == "breached"
    assert "30 of 60 votes are against its answers" in str(trial.report.canary.verdict)


def test_a_vote_needs_a_receipt_of_the_callers_own_and_counts_once(trial: Trial) -> None:
    now = [1_000_000.0]
    feedback = Feedback(trial.database, clock=lambda: now[0])
    answered = Result("main", trial.live.version_id, "hybrid", (), 0.0, 0.0)
    receipt = feedback.receipt(answered, "default", "user:ann")
    for wrong in (receipt[:-2] + "AA", "", "é", "A" * 600, receipt + "A"):
        with pytest.raises(UsageError, match="receipt"):
            feedback.vote(wrong, "default", "user:ann", "up")
    for tenant, caller in (("default", "user:bob"), ("globex", "user:ann")):
        with pytest.raises(UsageError, match="receipt"):
            feedback.vote(receipt, tenant, caller, "up")
    feedback.vote(receipt, "default", "user:ann", "up")
    feedback.vote(receipt, "default", "user:ann", "down", "outdated")
    votes = trial.workspace.rows("SELECT verdict, reason FROM rag.feedback")
    assert votes == [{"verdict": "down", "reason": "outdated"}]
    now[0] += 25 * 3600
    with pytest.raises(UsageError, match="within the last day"):
        feedback.vote(receipt, "default", "user:ann", "up")


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (lambda t: promote(t.database, "main", t.candidate.version_id), "the candidate was promoted"),
        (lambda t: rollback(t.database, "main", t.retired.version_id), "the live version is retired"),
        (
            lambda t: t.change(
                f"UPDATE rag.index_version SET state = 'dropped' WHERE version_id = {t.candidate.version_id}"
            ),
            "the candidate is dropped",
        ),
        (lambda t: stop_canary(t.database, "main", actor="ann", reason="seen enough"), "seen enough"),
    ],
)
def test_it_ends_by_itself_with_what_it_compares(
    trial: Trial, change: Callable[[Any], Any], verdict: str
) -> None:
    trial.retired = trial.live
    trial.live = promote(trial.database, "main", trial.candidate.version_id)
    trial.candidate = trial.workspace.build(full=True)
    trial.workspace.validate(trial.candidate)
    trial.start()
    assert trial.ask() == trial.candidate.version_id
    change(trial)
    assert trial.report.canary.state == "ended"
    assert trial.report.canary.verdict == verdict
    live = trial.workspace.rows("SELECT version_id FROM rag.index_version WHERE state = 'live'")
    trial.canaries.look()
    assert trial.ask() == live[0]["version_id"]


def test_only_one_canary_of_a_candidate_that_passed_its_gates_may_run(trial: Trial) -> None:
    built = trial.workspace.build(full=True)
    with pytest.raises(GateError, match="has not been run"):
        start_canary(trial.database, "main", built.version_id)
    with pytest.raises(UsageError, match="only a built or validated version"):
        start_canary(trial.database, "main", trial.live.version_id)
    with pytest.raises(UsageError, match="above 0"):
        start_canary(trial.database, "main", trial.candidate.version_id, share=0)
    with pytest.raises(UsageError, match="no live version"):
        start_canary(trial.database, "other")
    with pytest.raises(UsageError, match="no canary of index 'main' is running"):
        stop_canary(trial.database, "main")
    start_canary(trial.database, "main", trial.candidate.version_id)
    with pytest.raises(UsageError, match="is a canary since"):
        start_canary(trial.database, "main", trial.candidate.version_id)


def test_nothing_that_is_stored_holds_a_question_or_a_caller(trial: Trial) -> None:
    trial.start(tenants=["default"])
    trial.ask_often(5)
    feedback = Feedback(trial.database)
    receipt = feedback.receipt(Result("main", trial.live.version_id, "hybrid", (), 0, 0), "default", "user:0")
    feedback.vote(receipt, "default", "user:0", "up")
    for table in ("canary", "canary_side", "feedback", "audit"):
        text = str(trial.workspace.rows(f"SELECT to_jsonb(t) AS row FROM rag.{table} t"))
        assert "harbour" not in text.lower()
        assert "user:0" not in text


class Door:
    """A searcher that answers at once, unless it is closed; then only when it is opened."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.open = threading.Event()
        self.open.set()

    def search(self, text: str, **asked: Any) -> Result:
        assert self.open.wait(10)
        return Result("main", self.version, "hybrid", (), 0.0, 1.0)

    def prepare(self) -> None:
        """Nothing to load."""

    def close(self) -> None:
        """Nothing to give back."""


def test_a_search_never_waits_for_a_comparison_and_those_that_cannot_keep_up_are_skipped(
    trial: Trial,
) -> None:
    live, candidate = Door(1), Door(2)
    process = Canaries(trial.database, {"main": live}, lambda *_: candidate)  # type: ignore[arg-type, dict-item]
    start_canary(trial.database, "main", share=1.0, mode="shadow")
    process.look()
    candidate.open.clear()
    asked = WAITING + 1 + 5
    for _ in range(asked):
        assert process.search("main", QUESTION, tenant="default", caller="x").version == 1
    candidate.open.set()
    process.settle()
    process.close()
    assert trial.report.canary.pairs == PairFigures(compared=WAITING + 1, skipped=5)
    assert trial.report.sides["live"].searches == asked


class Unreachable:
    """A database that cannot be reached."""

    def connection(self) -> Any:
        raise TransientError("it is down")


def test_a_process_that_cannot_see_the_catalogue_stays_for_a_while_then_reads_live(trial: Trial) -> None:
    now = [0.0]
    trial.canaries = trial.process(clock=lambda: now[0])
    trial.start()
    reachable, trial.canaries._database = trial.canaries._database, Unreachable()  # type: ignore[assignment]
    now[0] = 5.0
    trial.canaries.look()
    assert trial.ask() == trial.candidate.version_id
    now[0] = 11.0
    trial.canaries.look()
    assert trial.ask() == trial.live.version_id
    trial.canaries._database = reachable
    trial.canaries.look()
    assert trial.ask() == trial.candidate.version_id


def test_nobody_flips_but_by_start_breach_and_stop_and_no_search_fails(trial: Trial) -> None:
    """Callers ask all the time; each one's versions change only where something happened."""
    seen: dict[str, list[int]] = {caller: [] for caller in CALLERS[:8]}
    failures: list[BaseException] = []
    done, answered = threading.Event(), threading.Condition()

    def caller_asks(caller: str) -> None:
        while not done.is_set() and not failures:
            try:
                version = trial.ask(caller)
            except BaseException as error:
                failures.append(error)
                raise
            with answered:
                seen[caller].append(version)
                answered.notify_all()

    def everybody_asked(times: int = 6) -> None:
        """Go on when every caller had some more answers."""
        goals = {caller: len(answers) + times for caller, answers in seen.items()}

        def reached() -> bool:
            return bool(failures) or all(len(seen[caller]) >= goal for caller, goal in goals.items())

        with answered:
            assert answered.wait_for(reached, timeout=60)

    threads = [threading.Thread(target=caller_asks, args=(caller,)) for caller in seen]
    for thread in threads:
        thread.start()
    everybody_asked()
    trial.start(share=0.5)
    everybody_asked()
    stop_canary(trial.database, "main")
    trial.canaries.look()
    everybody_asked()
    trial.start(share=0.5, bounds=CanarySettings(min_observations=5))
    everybody_asked()
    trial.break_(trial.candidate)
    for _ in range(100):
        everybody_asked(1)
        trial.canaries.look()
        if trial.report.canary.state == "breached":
            break
    everybody_asked()
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert trial.report.canary.state == "breached"
    live, candidate = trial.live.version_id, trial.candidate.version_id
    flips = {caller: [a for a, b in zip([0, *v], v, strict=False) if a != b] for caller, v in seen.items()}
    chosen = {caller for caller, versions in seen.items() if candidate in versions}
    assert 0 < len(chosen) < len(seen)
    for caller, versions in flips.items():
        assert versions == ([0, live, candidate, live, candidate] if caller in chosen else [0])
        assert seen[caller][-1] == live


def test_the_commands_start_show_and_stop_a_canary(trial: Trial, call: Callable[..., Invoked]) -> None:
    done = call("canary", "start", "main", "--share", "25%", "--reason", "new chunks")
    assert done.exit_code == 0, done.output
    assert f"25% of callers read version {trial.candidate.version_id}" in done.output
    trial.canaries.look()
    trial.ask_often(40)
    done = call("canary", "status", "main")
    assert done.exit_code == 0
    for word in ("running", "candidate", "live", "overlap", "p95"):
        assert word in done.output
    done = call("canary", "status", "--json")
    assert '"compared": ' in done.output
    assert call("canary", "stop", "main").exit_code == 0
    with trial.database.connection() as connection:
        assert not running_canaries(connection)
    assert call("canary", "stop", "main").exit_code == 2
    assert call("canary", "start", "main", "--share", "200%").exit_code == 2
    assert call("canary", "start", "main", "--share", "many").exit_code == 2
    done = call("canary", "start", "main", "--shadow", "--tenant", "default")
    assert "compares" in done.output
