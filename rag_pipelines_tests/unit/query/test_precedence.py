"""The successor before the outdated, and the year that was asked for before others."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from rag_pipelines.query.hits import Hit
from rag_pipelines.query.precedence import DOUBTED, SUPERSEDED, Precedence, factors_of
from rag_pipelines_tests.unit.query.examples import asked, candidates, hit

TODAY = date(2026, 6, 1)


def policy(document: int, year: int | str, *, title: str = "Travel policy", **fields: Any) -> Hit:
    return hit(document=document, title=title, path=f"handbook/travel-{year}.md", **fields)


OLD, NEW = policy(1, 2024), policy(2, 2026)


@pytest.mark.parametrize(
    ("question", "held"),
    [
        ("What may a hotel cost?", 2),
        ("What may a hotel cost in 2026?", 2),
        ("the 2024 travel policy on hotels", 1),
        ("hotel for a trip in November 2025", 1),
        ("hotel for a trip in 2031", 2),
        ("hotel in 2019", 2),
    ],
)
def test_of_two_years_the_latest_up_to_the_one_asked_for_comes_first(question: str, held: int) -> None:
    for first, second in ((OLD, NEW), (NEW, OLD)):
        pool = candidates(first, second)
        found = Precedence().apply(asked(question), pool).candidates
        assert found[0].hit.document_id == held
        assert {one.hit.document_id for one in found} == {1, 2}


@pytest.mark.parametrize("word", ["former", "previous", "old", "superseded"])
def test_who_asks_for_what_is_old_is_not_given_the_new_instead(word: str) -> None:
    assert factors_of([OLD, NEW], f"the {word} hotel limit", TODAY) == {}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"superseded_by": "b.md"}, {}),
        ({"Superseded-By": "hr/b.md"}, {}),
        ({"replaced_by": "./b.md"}, {}),
        ({}, {"supersedes": "a.md"}),
        ({}, {"replaces": ["x.md", "../hr/a.md"]}),
        ({}, {"supersedes": "Pay rules"}),
        ({}, {"supersedes": "https://wiki.example/1"}),
    ],
)
def test_metadata_that_name_the_other_document_put_it_in_its_place(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    pair = [
        hit(document=1, title="Pay rules", path="hr/a.md", metadata=old),
        hit(document=2, title="Pay", path="hr/b.md", metadata=new),
        hit(document=3, title="Bonus", path="hr/c.md"),
    ]
    assert factors_of(pair, "how is pay set", TODAY) == {1: SUPERSEDED}


@pytest.mark.parametrize(
    ("metadata", "factor"),
    [
        ({"status": "superseded"}, DOUBTED),
        ({"status": "Draft - for comment"}, DOUBTED),
        ({"expires": "2025-12-31"}, DOUBTED),
        ({"valid_until": "2026-05-31T10:00:00Z"}, DOUBTED),
        ({"expires": "2026-12-31"}, None),
        ({"expires": "when replaced"}, None),
        ({"status": "in force"}, None),
        ({"status": 3, "supersedes": None, "expires": True}, None),
        ({}, None),
    ],
)
def test_a_document_that_says_it_is_over_counts_less_though_no_successor_is_in_sight(
    metadata: dict[str, Any], factor: float | None
) -> None:
    found = factors_of([hit(metadata=metadata), hit(document=2)], "how is pay set", TODAY)
    assert found.get(1) == factor
    assert 2 not in found


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (policy(1, 2024, title="Travel policy"), policy(2, 2026, title="Expense policy")),
        (policy(1, "2024-01-05"), policy(2, "2026-03-08")),
        (policy(1, 2024, source="docs"), policy(2, 2026, source="wiki")),
        (policy(1, "a"), policy(2, "b")),
        (policy(1, 2024), policy(1, 2024, ordinal=1)),
    ],
    ids=["other title", "other day", "other source", "no year", "one document"],
)
def test_documents_that_differ_in_more_than_a_year_are_no_successors(first: Hit, second: Hit) -> None:
    assert factors_of([first, second], "what may a hotel cost", TODAY) == {}


def test_the_year_may_stand_in_the_title_the_metadata_or_a_folder() -> None:
    for old, new in [
        ({"title": "Pay rules 2024"}, {"title": "Pay rules (2025)"}),
        ({"metadata": {"effective": "2024-01-01"}}, {"metadata": {"effective": "2025-01-01"}}),
        ({"path": "2024/pay.md"}, {"path": "2025/pay.md"}),
    ]:
        shared = {"title": "Pay rules", "path": "pay.md"}
        pair = [hit(document=1, **shared | old), hit(document=2, **shared | new)]
        assert factors_of(pair, "how is pay set", TODAY) == {1: DOUBTED}


def test_a_much_better_passage_of_another_year_stays_first_and_nothing_to_do_is_no_step() -> None:
    pool = candidates(policy(1, 2024, fused=1.0), policy(2, 2026, fused=0.3))
    assert Precedence().apply(asked(), pool).candidates[0].hit.document_id == 1
    assert Precedence().apply(asked(), candidates(hit())).note == ""
