"""Golden sets: what is read, and that every fault of a file is named with its line."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rag_pipelines.demo import queries_path
from rag_pipelines.errors import ConfigError, UsageError
from rag_pipelines.evaluation.golden import read_golden, write_golden
from rag_pipelines.evaluation.questions import Question, Reference
from rag_pipelines.query.filters import Prefix, Range

WADING = {
    "id": "wading",
    "query": "when is the current too strong to wade",
    "expect": [{"path": "manual.pdf", "page": 12, "quote": "stay out", "grade": 2}],
}


@pytest.fixture
def golden(tmp_path: Path) -> Callable[..., Path]:
    """Writes a set of rows; a string is a line as it stands."""

    def write(*rows: Any) -> Path:
        path = tmp_path / "golden.jsonl"
        path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
        return path

    return write


def test_a_question_has_what_it_asks_who_asks_and_what_answers_it(golden: Callable[..., Path]) -> None:
    row = {**WADING, "user": "Ann@Example.com", "as": ["group:field"], "filters": {"path_prefix": "ops/"}}
    (question,) = read_golden(golden(row)).questions
    assert question.caller == ("user:ann@example.com", "group:field")
    assert question.filters.path_prefix == "ops/"
    assert question.expect == (Reference(path="manual.pdf", page=12, quote="stay out", grade=2),)
    assert question.answerable is True


def test_a_question_is_narrowed_by_a_composed_filter_too(golden: Callable[..., Path], tmp_path: Path) -> None:
    recent = {"field": "modified_at", "gte": "2026-01-01T00:00:00Z"}
    row = {**WADING, "filters": {"all": [{"field": "path", "prefix": "ops/"}, {"not": recent}]}}
    (question,) = read_golden(golden(row)).questions
    assert question.filters == Prefix("path", "ops/") & ~Range(
        "modified_at", gte=datetime(2026, 1, 1, tzinfo=UTC)
    )
    write_golden(tmp_path / "copy.jsonl", [question])
    assert read_golden(tmp_path / "copy.jsonl").questions == (question,)


def test_what_is_written_reads_the_same(tmp_path: Path) -> None:
    questions = read_golden(queries_path()).questions
    write_golden(tmp_path / "copy.jsonl", questions)
    assert read_golden(tmp_path / "copy.jsonl").questions == questions


def test_the_demo_set_is_a_golden_set() -> None:
    found = {question.id: question for question in read_golden(queries_path()).questions}
    assert found["unanswerable"].answerable is False
    assert found["current-meal-allowance"].must_not_return[0].because == "outdated"
    assert found["warm-up-on-page-three"].expect == (
        Reference(
            path="acme-sensors/products/fs-220-installation-guide.pdf",
            page=3,
            quote="After power-up, wait 11 minutes",
        ),
    )


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("{", "is not JSON"),
        ({**WADING, "query": " "}, "the query is empty"),
        ({**WADING, "expects": []}, "unknown field `expects`"),
        ({**WADING, "expect": [{"page": 3}]}, r"expect\[0\] names its document by nothing"),
        ({**WADING, "expect": [{"path": "a", "id": "b"}]}, "by path and id; valid: one of path, id, url"),
        ({**WADING, "expect": [{"path": "a", "page": 0}]}, "pages count from 1"),
        ({**WADING, "expect": [{"path": "a", "grade": 0}]}, "grade is 0"),
        ({**WADING, "expect": [{"path": "a", "quote": "—"}]}, "quote has no word"),
        ({**WADING, "unanswerable": True}, "unanswerable and expects something"),
        ({"id": "x", "query": "what"}, "neither what to expect"),
        ({**WADING, "as": ["everyone"]}, "need not name 'everyone'"),
        ({**WADING, "must_not_return": [{"path": "a", "because": "dull"}]}, "Invalid enum value 'dull'"),
        ({**WADING, "filters": {"colour": "red"}}, "no filter 'colour'; valid: sources, path_prefix"),
        ({**WADING, "filters": {"field": "colour", "equals": "red"}}, "filters: received the field 'colour'"),
        ({**WADING, "filters": {"path_prefix": 3}}, "Expected `str"),
    ],
)
def test_a_fault_is_named_with_its_line(golden: Callable[..., Path], row: Any, problem: str) -> None:
    with pytest.raises(ConfigError, match=rf"golden\.jsonl:2: .*{problem}"):
        read_golden(golden({**WADING, "id": "before"}, row))


def test_all_faults_are_named_at_once_and_an_id_comes_once(golden: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError) as caught:
        read_golden(golden(WADING, "", WADING, {**WADING, "id": "other", "query": ""}))
    assert [problem.rpartition("golden.jsonl:")[2] for problem in caught.value.problems] == [
        "3: the id 'wading' came before, in line 1",
        "4: the query is empty",
    ]


def test_a_fault_in_yaml_is_named_by_the_line_its_question_begins_in(tmp_path: Path) -> None:
    path = tmp_path / "golden.yaml"
    path.write_text(
        "# a comment\nqueries:\n  - id: a\n    query: one\n    expect: []\n  - id: b\n    query: ''\n"
    )
    with pytest.raises(ConfigError, match=r"golden\.yaml:6: the query is empty"):
        read_golden(path)


@pytest.mark.parametrize("text", ["", "[1, 2]", "queries: 3", "a: [", "\x00"])
def test_a_file_without_questions_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "golden.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        read_golden(path)


def test_a_missing_file_is_a_wrong_request(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no golden set"):
        read_golden(tmp_path / "nowhere.jsonl")


def test_the_fingerprint_changes_with_what_is_asked_and_expected() -> None:
    from rag_pipelines.evaluation.questions import GoldenSet

    one = Question(id="a", query="what", expect=())
    other = Question(id="a", query="what", expect=(Reference(path="b"),))
    prints = {GoldenSet(name, (question,)).fingerprint for name in ("x", "y") for question in (one, other)}
    assert len(prints) == 2
