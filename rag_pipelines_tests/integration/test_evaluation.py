"""Golden sets asked of a real index: what is resolved, scored, kept, compared and printed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ir_measures
import pytest
from typer.testing import CliRunner

from rag_pipelines.cli.main import app
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.errors import UsageError
from rag_pipelines.evaluation import tuning
from rag_pipelines.evaluation.comparison import changes, compare
from rag_pipelines.evaluation.golden import read_golden
from rag_pipelines.evaluation.questions import GoldenSet
from rag_pipelines.evaluation.report import run_report
from rag_pipelines.evaluation.run import ALL, Run, Setting, evaluate, summary
from rag_pipelines.evaluation.scoring import Violation
from rag_pipelines.evaluation.store import get_run, list_runs, names_of, put_run
from rag_pipelines.evaluation.tuning import tune
from rag_pipelines.runtime import Runtime
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.workspace import Workspace

ANIMALS = ("heron", "otter", "badger", "falcon", "newt", "weasel", "magpie", "salmon", "lizard", "beetle")

GOLDEN: list[dict[str, Any]] = [
    {
        "id": animal,
        "query": f"where does the {animal} live",
        "expect": [{"path": f"{animal}.md", "quote": f"The {animal} lives in region {number}"}],
        "tags": ["odd" if number % 2 else "even"],
    }
    for number, animal in enumerate(ANIMALS)
] + [
    {"id": "pay", "query": "salary of the warden", "expect": [],
     "must_not_return": [{"path": "hr/pay.md"}]},
    {"id": "pay as hr", "query": "salary of the warden", "user": "Ann@Example.com", "as": ["group:hr"],
     "expect": [{"path": "docs/hr/pay.md"}]},
]  # fmt: skip


def fill_reserve(made: Workspace) -> None:
    """A document an animal, and one that only a group may read."""
    for number, animal in enumerate(ANIMALS):
        made.write(
            f"{animal}.md",
            f"# {animal.title()}\n\nThe {animal} lives\nin **region {number}**.\n\n"
            f"## Habits\n\nIt sleeps at night and eats little.\n",
        )
    made.write("hr/.access.yaml", "allow: [group:hr]\n")
    made.write("hr/pay.md", "# Pay\n\nThe salary of the warden is secret.\n")
    made.refresh()


@pytest.fixture
def reserve(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_reserve).lend() as lent:
        yield lent


@pytest.fixture
def golden_file(tmp_path: Path) -> Path:
    path = tmp_path / "golden.jsonl"
    path.write_text("\n".join(map(json.dumps, GOLDEN)))
    return path


def asked(
    reserve: Workspace, golden: GoldenSet, setting: Setting = Setting(mode="lexical", k=5), **options: Any
) -> Run:
    embedders = Embedders(reserve.settings.data_dir)
    return evaluate(
        Runtime(reserve.database, reserve.settings, embedders), "main", golden, setting=setting, **options
    )


def test_every_question_is_scored_for_its_own_caller(reserve: Workspace, golden_file: Path) -> None:
    run = asked(reserve, read_golden(golden_file))
    answers = {answer.id: answer for answer in run.answers}
    assert run.notes == ()
    assert answers["heron"].figures["nDCG@5"] == 1
    assert answers["heron"].figures["Context_R@5"] == 1
    assert 0 < answers["heron"].figures["Context_P@5"] < 1
    assert answers["pay as hr"].figures["Success@5"] == 1
    assert answers["pay"].figures == {}
    assert answers["pay"].violations == ()


def test_slices_have_their_own_means(reserve: Workspace, golden_file: Path) -> None:
    figures = summary(asked(reserve, read_golden(golden_file))).figures
    assert figures[ALL]["nDCG@5"].n == 11
    assert figures["tag=odd"]["nDCG@5"].n == 5
    assert figures["user=Ann@Example.com"]["Success@5"].mean == 1
    assert "source=docs" in figures


def test_what_the_index_does_not_have_is_noted_and_counts_as_not_found(
    reserve: Workspace, tmp_path: Path
) -> None:
    path = tmp_path / "stale.jsonl"
    expect = [{"path": "heron.md", "quote": "lives in region 7"}, {"path": "unicorn.md"}]
    path.write_text(json.dumps({"id": "stale", "query": "where does the heron live", "expect": expect}))
    run = asked(reserve, read_golden(path))
    assert run.notes == (
        "stale: 'heron.md' does not say 'lives in region 7'",
        "stale: no document 'unicorn.md' in the index's sources",
    )
    assert run.answers[0].figures["R@5"] == 0.5
    assert "Context_R@5" not in run.answers[0].figures


def test_a_leak_is_a_violation(reserve: Workspace, golden_file: Path) -> None:
    reserve.write("hr/.access.yaml", "allow: [everyone]\n")
    reserve.ingest()
    run = asked(reserve, read_golden(golden_file))
    assert {answer.id: answer.violations for answer in run.answers if answer.violations} == {
        "pay": (Violation("hr/pay.md", 1, "access"),)
    }


def test_a_kept_run_reads_the_same(reserve: Workspace, golden_file: Path) -> None:
    run = put_run(reserve.database, asked(reserve, read_golden(golden_file), label="first"))
    assert run.run_id is not None
    with reserve.database.connection() as connection:
        kept = get_run(connection, run.run_id)
        ((row, figures),) = list_runs(connection, "main")
    assert summary(kept) == summary(run) == figures
    assert {answer.id: answer for answer in kept.answers} == {answer.id: answer for answer in run.answers}
    assert (row["run_id"], row["label"], row["state"]) == (run.run_id, "first", "live")


def test_a_candidate_is_judged_before_it_is_live(reserve: Workspace, golden_file: Path) -> None:
    golden = read_golden(golden_file)
    live = asked(reserve, golden)
    candidate = reserve.build(full=True)
    delete = (
        f"DELETE FROM rag.vectors_{candidate.storage} WHERE (document_id, ordinal) IN "
        f"(SELECT document_id, ordinal FROM rag.lexical_{candidate.storage} WHERE words @@ 'heron'::tsquery)"
    )
    with reserve.database.connection() as connection:
        connection.execute(delete)  # type: ignore[arg-type]
    judged = asked(reserve, golden, Setting(mode="lexical", k=5, version=candidate.version_id))
    assert (live.version, judged.version) == (1, candidate.version_id)
    found = compare(live, judged)
    assert found.questions == len(GOLDEN)
    assert found.differences[ALL]["Success@5"].worse == 1
    assert [change.id for change in changes(live, judged, "Success@5")] == ["heron"]


def test_runs_that_share_no_question_cannot_be_compared(reserve: Workspace, golden_file: Path) -> None:
    questions = read_golden(golden_file).questions
    first, second = (asked(reserve, GoldenSet("half", half)) for half in (questions[:3], questions[3:6]))
    with pytest.raises(UsageError, match="no question in common"):
        compare(first, second)


def test_a_question_without_a_tenant_needs_one_where_there_are_several(
    reserve: Workspace, golden_file: Path
) -> None:
    reserve.write("other/.access.yaml", "public: true\ntenant: globex\n")
    reserve.write("other/globex.md", "# Globex\n\nAnother tenant.")
    reserve.ingest()
    golden = read_golden(golden_file)
    with pytest.raises(UsageError, match="names no tenant and index 'main' has several"):
        asked(reserve, golden)
    assert asked(reserve, golden, tenant="default").answers[0].figures["nDCG@5"] == 1


def test_unanswerable_questions_are_told_by_their_confidence(reserve: Workspace, tmp_path: Path) -> None:
    rows = [*GOLDEN[:5], *({"id": f"u{n}", "query": f"price of item {n}", "expect": []} for n in range(3))]
    path = tmp_path / "mixed.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    found = summary(asked(reserve, read_golden(path))).no_answer
    assert found is not None
    assert (found.positives, found.negatives, found.area) == (5, 3, 1.0)


def test_tuning_finds_the_side_that_works(reserve: Workspace, golden_file: Path) -> None:
    """The hash model knows nothing, so words alone rank best, and the current setting is not theirs."""
    reserve.document["indexes"]["main"]["fusion"] = {"dense_weight": 1.0}
    found = tune(
        Runtime(reserve.database, reserve.settings, Embedders(reserve.settings.data_dir)),
        "main",
        read_golden(golden_file),
        measure="RR@10",
        fusions=[{"dense_weight": weight} for weight in (0.0, 0.95)],
    )
    assert found.current["dense_weight"] == 1.0
    assert found.best["dense_weight"] == 0.0
    assert found.trials[0].mean == 1.0
    assert (found.questions, found.folds) == (11, 5)
    assert found.gain.mean == pytest.approx(1 - found.trials[-1].mean, abs=0.2)


def test_a_report_is_one_file_that_escapes_what_people_wrote(reserve: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "hostile.jsonl"
    rows = [
        {"id": "<script>", "query": "<script>alert(1)</script> | heron", "expect": [{"path": "newt.md"}]},
        {"id": "other", "query": "price", "expect": []},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    run = asked(reserve, read_golden(path), Setting(mode="lexical", k=1))
    with reserve.database.connection() as connection:
        names = names_of(connection, (hit.document_id for answer in run.answers for hit in answer.hits))
    report = run_report(run, names)
    html = report.html()
    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert html.count("<svg") >= 3
    assert "http-equiv" not in html
    assert "docs/heron.md" in html
    assert "\\| heron" in report.markdown()


class TestCommands:
    """The commands of ``rag-pipelines eval``."""

    def call(self, reserve: Workspace, *words: object, code: int = 0) -> str:
        words = ("--config", reserve.config_file, "eval", *words)
        result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result.stdout

    def test_a_run_writes_what_other_tools_read(
        self, reserve: Workspace, golden_file: Path, tmp_path: Path
    ) -> None:
        trec, html, md = tmp_path / "a.run", tmp_path / "a.html", tmp_path / "a.md"
        words = (
            "run",
            golden_file,
            "--mode",
            "lexical",
            "--trec-run",
            trec,
            "--html",
            html,
            "--md",
            md,
            "--json",
        )
        found = json.loads(self.call(reserve, *words))
        assert found["figures"]["all"]["nDCG@10"]["mean"] == pytest.approx(1)
        run = list(ir_measures.read_trec_run(str(trec)))
        best = {one.query_id: one.doc_id for one in reversed(run)}
        assert best["heron"] == "heron.md"
        assert html.read_text().startswith("<!doctype html>")
        assert "| nDCG@10 | 1.0000 |" in md.read_text()

    def test_two_settings_are_compared_and_reported(
        self, reserve: Workspace, golden_file: Path, tmp_path: Path
    ) -> None:
        first = json.loads(self.call(reserve, "run", golden_file, "--mode", "dense", "--json"))["run"]
        second = json.loads(self.call(reserve, "run", golden_file, "--fusion", "dense_weight=0", "--json"))[
            "run"
        ]
        found = json.loads(
            self.call(reserve, "compare", first, second, "--json", "--html", tmp_path / "c.html")
        )
        assert found["differences"]["all"]["RR@10"]["mean"] > 0
        assert "<svg" in (tmp_path / "c.html").read_text()
        assert "dense weight 0" in self.call(reserve, "compare", first, second)
        assert "95 % interval" in self.call(reserve, "report", second)
        assert "golden" in self.call(reserve, "runs")

    def test_a_comparison_names_how_both_were_asked_and_shows_first_what_differs(
        self, reserve: Workspace, golden_file: Path
    ) -> None:
        words = ("run", golden_file, "--label", "by night", "--json")
        first = json.loads(self.call(reserve, *words, "--mode", "dense"))["run"]
        second = json.loads(self.call(reserve, *words, "--mode", "lexical"))["run"]
        said = self.call(reserve, "compare", first, second)
        assert f"run {first}  dense, k 10, version 1 of main: by night\n" in said
        assert f"run {second}  lexical, k 10, version 1 of main: by night\n" in said
        assert said.index("all questions") < said.index("slices that differ most by nDCG@10")
        assert "questions that gained most by nDCG@10" in said
        assert "where does the" in said
        every = self.call(reserve, "compare", first, second, "--all")
        assert every.count("RR@10") > said.count("RR@10") > 0
        runs = json.loads(self.call(reserve, "compare", first, second, "--json"))["runs"]
        assert [run["setting"]["mode"] for run in runs] == ["dense", "lexical"]
        assert "no figure of any question differs" in self.call(reserve, "compare", first, first)
        shorter = json.loads(self.call(reserve, *words, "--mode", "lexical", "-k", 5))["run"]
        said = self.call(reserve, "compare", first, shorter)
        assert "the runs have no measure in common: one was asked for k 10, the other for k 5" in said

    def test_a_violation_fails_the_command(self, reserve: Workspace, golden_file: Path) -> None:
        reserve.write("hr/.access.yaml", "allow: [everyone]\n")
        reserve.ingest()
        self.call(reserve, "run", golden_file, code=1)

    def test_a_wrong_fusion_or_golden_set_is_a_usage_error(
        self, reserve: Workspace, golden_file: Path, tmp_path: Path
    ) -> None:
        self.call(reserve, "run", golden_file, "--fusion", "dense_weight=3", code=2)
        self.call(reserve, "run", tmp_path / "none.jsonl", code=2)
        self.call(reserve, "compare", 7, 8, code=2)

    def test_tuning_says_what_to_configure_and_changes_nothing(
        self, reserve: Workspace, golden_file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tuning, "grid", lambda: iter([{"dense_weight": 0.0}]))
        before = reserve.config_file.read_bytes()
        printed = self.call(reserve, "tune", golden_file, "-k", "3")
        assert "5-fold cross validation over 11 questions" in printed
        assert reserve.config_file.read_bytes() == before


def test_two_versions_of_a_document_are_told_apart_by_source(reserve: Workspace) -> None:
    """A path may begin with its source; then it means no other one's."""
    golden = read_golden_rows(
        reserve.folder, {"id": "a", "query": "heron", "expect": [{"path": "docs/heron.md"}]}
    )
    assert asked(reserve, golden).notes == ()
    golden = read_golden_rows(
        reserve.folder, {"id": "a", "query": "heron", "expect": [{"path": "wiki/heron.md"}]}
    )
    assert asked(reserve, golden).notes == ("a: no document 'wiki/heron.md' in the index's sources",)


def read_golden_rows(folder: Path, *rows: dict[str, Any]) -> GoldenSet:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return read_golden(path)
