"""A calibration: learned from a golden set, kept for an index, used wherever hits are handed on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rag_pipelines.cli import main
from rag_pipelines.evaluation.calibration import cross_validate
from rag_pipelines.query.asynchronous import AsyncSearcher
from rag_pipelines.query.confidence import calibration_of
from rag_pipelines.query.context import PackedContext
from rag_pipelines.query.search import Searcher
from rag_pipelines.store.reader import admit_reader
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.test_row_security import as_role, reader_role
from rag_pipelines_tests.integration.workspace import Workspace

__all__ = ["reader_role"]

BIRDS = ["heron", "kestrel", "wagtail", "dipper", "curlew", "plover", "fulmar", "gannet"]
KNOWN, UNKNOWN = "where does the kestrel nest in spring", "who won the chess olympiad"


def fill_shelf(made: Workspace) -> None:
    """A page on each of some birds, and questions on them and on what no page tells."""
    for bird in BIRDS:
        made.write(
            f"{bird}.md", f"# The {bird}\n\nThe {bird} nests by the river in spring. It eats small fish."
        )
    made.refresh()
    questions: list[dict[str, Any]] = []
    for number, bird in enumerate(BIRDS):
        asked = f"where does the {bird} nest in spring"
        questions.append({"id": f"a{number}", "query": asked, "expect": [{"path": f"{bird}.md"}]})
        questions.append({"id": f"u{number}", "query": f"price of {number} gold bars", "unanswerable": True})
    lines = "".join(json.dumps(question) + "\n" for question in questions)
    (made.folder / "golden.jsonl").write_text(lines)


@pytest.fixture
def shelf(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_shelf).lend() as lent:
        yield lent


@pytest.fixture
def database_url(shelf: Workspace) -> str:
    return shelf.url


@pytest.fixture
def call(shelf: Workspace) -> Callable[..., Result]:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main.app, ["--config", str(shelf.config_file), *arguments])

    return run


def golden(shelf: Workspace) -> str:
    return str(shelf.folder / "golden.jsonl")


def packed(shelf: Workspace, question: str, **options: Any) -> PackedContext:
    searcher = Searcher(shelf.database, shelf.settings, "main")
    try:
        return searcher.pack(searcher.search(question, tenant="default", **options), 500)
    finally:
        searcher.close()


def test_without_a_calibration_nothing_is_claimed(shelf: Workspace) -> None:
    context = packed(shelf, UNKNOWN)
    assert (context.answerable, context.confidence) == (None, None)
    assert context.reason == "not judged: there is no calibration"
    assert context.passages


def test_what_was_learned_tells_questions_that_no_page_answers(
    shelf: Workspace, call: Callable[..., Result]
) -> None:
    said = call("eval", "calibrate", golden(shelf))
    assert said.exit_code == 0, said.output
    assert "learned from 8 answerable and 8 other questions" in said.output
    assert "answers 100.0% of the answerable, refuses 100.0% of the others" in said.output
    known, unknown = packed(shelf, KNOWN), packed(shelf, UNKNOWN)
    assert known.answerable is True
    assert unknown.answerable is False
    assert known.confidence is not None
    assert unknown.confidence is not None
    assert known.confidence > 0.5 > unknown.confidence


def test_a_calibration_is_for_one_mode_and_for_versions_that_are_built_alike(
    shelf: Workspace, call: Callable[..., Result]
) -> None:
    call("eval", "calibrate", golden(shelf))
    assert packed(shelf, KNOWN, mode="lexical").answerable is None
    shelf.write("owl.md", "# The owl\n\nThe owl nests in the barn.")
    shelf.refresh()
    assert packed(shelf, KNOWN).answerable is True
    shelf.document["indexes"]["main"]["lexical"] = {"language": "simple"}
    shelf.publish(full=True)
    assert packed(shelf, KNOWN).answerable is None


def test_the_login_of_searches_judges_as_the_owner_does(
    shelf: Workspace, call: Callable[..., Result], reader_role: str
) -> None:
    call("eval", "calibrate", golden(shelf))
    expected = packed(shelf, KNOWN)
    with shelf.database.connection() as connection:
        admit_reader(connection, reader_role)
    shelf.document["database"]["reader_url"] = as_role(shelf.url, reader_role)
    assert packed(shelf, KNOWN) == expected


def test_a_context_costs_what_the_model_of_the_index_counts(shelf: Workspace) -> None:
    context = packed(shelf, KNOWN)
    searcher = Searcher(shelf.database, shelf.settings, "main")
    small = searcher.pack(searcher.search(KNOWN, tenant="default"), 60)

    async def asynchronous() -> PackedContext:
        async with AsyncSearcher(searcher) as one:
            return await one.pack(await one.search(KNOWN, tenant="default"), 500)

    assert asyncio.run(asynchronous()) == context
    searcher.close()
    assert 0 < small.tokens <= 60 < context.tokens
    assert small.left_out > 0


def test_an_evaluation_says_whether_answers_are_told_from_what_is_none(
    shelf: Workspace, call: Callable[..., Result]
) -> None:
    before = json.loads(call("eval", "run", golden(shelf), "--json").stdout)
    assert "Answerability" not in before["figures"]["all"]
    call("eval", "calibrate", golden(shelf))
    after = json.loads(call("eval", "run", golden(shelf), "--json").stdout)
    assert after["figures"]["all"]["Answerability"]["mean"] == 1
    assert after["notes"] == [
        "confidence is by the calibration learned from 'golden', this same set, so it looks better than it is"
    ]


def test_too_few_questions_are_refused_and_nothing_is_kept(
    shelf: Workspace, call: Callable[..., Result]
) -> None:
    path = shelf.folder / "golden.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:6]))
    said = call("eval", "calibrate", golden(shelf))
    assert said.exit_code == 2
    assert "3 answerable and 3 unanswerable questions" in said.output
    with shelf.database.connection() as connection:
        assert calibration_of(connection, 1, "hybrid") is None


def test_a_cross_validation_needs_enough_of_each_kind_in_every_part() -> None:
    def examples(each: int) -> Sequence[tuple[dict[str, float], bool]]:
        return [
            ({"dense": float(answerable)}, answerable) for answerable in (True, False) for _ in range(each)
        ]

    assert cross_validate(examples(6)) is None
    trial = cross_validate(examples(7))
    assert trial is not None
    assert (trial.answered, trial.refused, trial.curve.area) == (1, 1, 1)
