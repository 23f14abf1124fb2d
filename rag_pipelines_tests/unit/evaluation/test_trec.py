"""BEIR folders and TREC files."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from numpy import float32

from rag_pipelines.errors import ConfigError, UsageError
from rag_pipelines.evaluation.golden import read_golden
from rag_pipelines.evaluation.trec import write_run

QUERIES = """{"_id": "1", "text": "one", "metadata": {}}
{"_id": "2", "text": "two"}
{"_id": "3", "text": "three"}
"""


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    """Three queries of which two are judged; one document was judged not relevant."""
    folder = tmp_path / "set"
    (folder / "qrels").mkdir(parents=True)
    (folder / "queries.jsonl").write_text(QUERIES)
    (folder / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n2\td1\t1\n2\td2\t3\n1\td1\t1\n1\td3\t0\n"
    )
    return folder


def test_only_judged_queries_are_asked_and_only_relevant_documents_expected(beir: Path) -> None:
    questions = {question.id: question for question in read_golden(beir).questions}
    assert list(questions) == ["1", "2"]
    assert [(one.id, one.grade) for one in questions["2"].expect or ()] == [("d1", 1), ("d2", 3)]
    assert [one.id for one in questions["1"].expect or ()] == ["d1"]


def test_the_forms_of_trec_read_the_same(beir: Path) -> None:
    expected = read_golden(beir).questions
    (beir / "queries.jsonl").unlink()
    (beir / "queries.tsv").write_text("1\tone\n2\ttwo\n3\tthree\n")
    (beir / "qrels" / "test.tsv").write_text("2 0 d1 1\n2 0 d2 3\n1 0 d1 1\n1 0 d3 0\n")
    assert read_golden(beir).questions == expected


def test_one_of_several_splits_must_be_named(beir: Path) -> None:
    (beir / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\n3\td1\t1\n")
    with pytest.raises(UsageError, match="several splits; name one with --split; valid: test, train"):
        read_golden(beir)
    assert [question.id for question in read_golden(beir, "train").questions] == ["3"]


def test_a_judgement_that_cannot_be_read_is_named_with_its_line(beir: Path) -> None:
    (beir / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n2\td1\tgood\n2\td1\n")
    with pytest.raises(ConfigError) as caught:
        read_golden(beir)
    assert [
        "test.tsv:2: the grade" in caught.value.problems[0],
        "test.tsv:3: has 2" in caught.value.problems[1],
    ] == [
        True,
        True,
    ]


def test_a_judged_query_that_is_missing_is_a_fault(beir: Path) -> None:
    (beir / "qrels" / "test.tsv").write_text("9\td1\t1\n")
    with pytest.raises(ConfigError, match="query '9' is judged but not among the queries"):
        read_golden(beir)


@pytest.mark.parametrize("size", [1e-4, 0.03, 1.0, 30.0, 1e6])
def test_a_run_keeps_its_order_in_single_precision(size: float) -> None:
    file = io.StringIO()
    write_run(file, [("q", [(f"d{n}", size * (1 - n * 1e-9)) for n in range(5)])], "run")
    scores = [float32(line.split()[4]) for line in file.getvalue().splitlines()]
    assert scores == sorted(set(scores), reverse=True)
    assert scores[-1] == pytest.approx(size, rel=1e-6)


def test_a_run_keeps_its_order_where_scores_are_equal_and_names_hold_spaces() -> None:
    file = io.StringIO()
    write_run(file, [("q 1", [("my doc.pdf", 0.5), ("b", 0.5), ("c", 0.5)])], "run")
    rows = [line.split() for line in file.getvalue().splitlines()]
    assert [row[:4] for row in rows] == [
        ["q%201", "Q0", "my%20doc.pdf", "1"],
        ["q%201", "Q0", "b", "2"],
        ["q%201", "Q0", "c", "3"],
    ]
    scores = [float(row[4]) for row in rows]
    assert scores == sorted(set(scores), reverse=True)
