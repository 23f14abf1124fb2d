"""The figures of one question, on hits made by hand."""

from __future__ import annotations

import math

import pytest

from rag_pipelines.evaluation.catalogue import Expected, Resolved
from rag_pipelines.evaluation.questions import Forbidden, Question, Reference
from rag_pipelines.evaluation.ranges import TextSpan
from rag_pipelines.evaluation.scoring import (
    Violation,
    confidence,
    documents_of,
    place_figures,
    ranking_figures,
    ranking_measures,
    violations,
)
from rag_pipelines.query.hits import Hit, Scores


def hit(
    document: int,
    *,
    at: tuple[int, int] = (0, 10),
    pages: tuple[int, int] | None = None,
    dense: float | None = 0.5,
    lexical: float | None = None,
) -> Hit:
    """A hit of document `document`."""
    return Hit(
        text="x" * (at[1] - at[0]), context="", title="", url=None, path=f"{document}.md", source="docs",
        external_id=f"{document}.md", heading_path=(), pages=pages, start=at[0], end=at[1],
        scores=Scores(0.5, dense, lexical), chunk_id=f"{document}-{at[0]}", document_id=document, version=1,
        as_of=None,
    )  # fmt: skip


def asked(*expected: Expected, forbidden: tuple[tuple[Forbidden, frozenset[int]], ...] = ()) -> Resolved:
    question = Question(id="q", query="what", expect=tuple(one.reference for one in expected))
    return Resolved(question, expected, forbidden, ())


def expected(*documents: int, places: tuple[TextSpan, ...] = (), **reference: object) -> Expected:
    name = str(documents[0]) if documents else "nowhere"
    return Expected(Reference(id=name, **reference), frozenset(documents), places)  # type: ignore[arg-type]


def figures(question: Resolved, ranking: list[int], k: int = 10, depth: int = 10) -> dict[str, float]:
    return ranking_figures([question], {"q": ranking}, ranking_measures(k, depth))["q"]


def test_a_ranking_is_scored_with_the_grades_as_gains() -> None:
    found = figures(asked(expected(1, grade=3), expected(2, grade=1)), [9, 2, 1])
    ideal = 3 / math.log2(2) + 1 / math.log2(3)
    assert found["nDCG@10"] == pytest.approx((1 / math.log2(3) + 3 / math.log2(4)) / ideal)
    assert found["RR@10"] == pytest.approx(1 / 2)
    assert (found["R@10"], found["P@10"], found["Success@10"]) == pytest.approx((1.0, 0.2, 1.0))


def test_what_is_not_in_the_index_counts_as_not_found() -> None:
    assert figures(asked(expected(1), expected()), [1])["R@10"] == pytest.approx(0.5)


def test_a_question_without_hits_scores_zero() -> None:
    assert set(figures(asked(expected(1)), []).values()) == {0.0}


def test_recall_may_look_deeper_than_the_cut_off() -> None:
    found = figures(asked(expected(7)), [1, 2, 3, 7], k=2, depth=4)
    assert (found["R@2"], found["R@4"]) == (0.0, 1.0)


def test_a_document_stands_where_its_first_passage_does() -> None:
    assert documents_of([hit(3), hit(1), hit(3), hit(2)]) == [3, 1, 2]


def test_context_counts_characters_of_quotes_at_their_best_place() -> None:
    question = asked(
        expected(1, places=(TextSpan(1, 0, 10), TextSpan(1, 100, 110)), quote="a"),
        expected(2, places=(TextSpan(2, 0, 30),), quote="b"),
    )
    found = place_figures(question, [hit(1, at=(95, 115)), hit(2, at=(20, 50))], 5)
    assert found["Context_R@5"] == pytest.approx((10 + 10) / (10 + 30))
    assert found["Context_P@5"] == pytest.approx((10 + 10) / (20 + 30))


def test_only_the_first_passages_count() -> None:
    question = asked(expected(1, places=(TextSpan(1, 0, 10),), quote="a", page=1))
    found = place_figures(question, [hit(2), hit(1, pages=(1, 1))], 1)
    assert (found["Context_R@1"], found["Page@1"]) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("pages", "right"),
    [((4, 4), 0.0), ((5, 5), 1.0), ((7, 9), 1.0), ((8, 9), 0.0), ((1, 5), 1.0), (None, 0.0)],
)
def test_a_citation_may_be_one_page_off(pages: tuple[int, int] | None, right: float) -> None:
    assert place_figures(asked(expected(1, page=6)), [hit(1, pages=pages)], 5)["Page@5"] == right


def test_the_right_page_of_another_document_is_wrong() -> None:
    assert place_figures(asked(expected(1, page=6)), [hit(2, pages=(6, 6))], 5)["Page@5"] == 0.0


def test_a_forbidden_document_is_a_violation_at_any_rank_an_outdated_one_above_the_answer_only() -> None:
    never = (Forbidden(id="8", because="access"), frozenset({8}))
    old = (Forbidden(id="9", because="outdated"), frozenset({9}))
    question = asked(expected(1), forbidden=(never, old))
    assert list(violations(question, [hit(1), hit(9), hit(8)])) == [Violation("8", 3, "access")]
    assert list(violations(question, [hit(9), hit(1)])) == [Violation("9", 1, "outdated")]
    assert list(violations(question, [hit(1), hit(2)])) == []


def test_confidence_is_the_best_cosine_or_the_best_bm25_score() -> None:
    assert confidence([hit(1, dense=0.4), hit(2, dense=0.7, lexical=9.0)]) == 0.7
    assert confidence([hit(1, dense=None, lexical=9.0), hit(2, dense=None)]) == 9.0
    assert confidence([]) == 0.0
