"""Recency and authority."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from rag_pipelines.config.query import AuthorityRule, BoostSettings, RecencySettings
from rag_pipelines.query.boosts import Boosts, matches, recency_factor
from rag_pipelines_tests.unit.query.examples import NOW, asked, candidates, hit

YEAR = RecencySettings(half_life=timedelta(days=365), weight=0.4)


@pytest.mark.parametrize(
    ("age", "factor"), [(0, 1.0), (365, 0.8), (730, 0.7), (-30, 1.0), (365 * 60, 0.6), (None, 0.8)]
)
def test_the_advantage_of_the_new_halves_with_each_half_life(age: int | None, factor: float) -> None:
    modified = None if age is None else NOW - timedelta(days=age)
    assert recency_factor(modified, NOW, YEAR) == pytest.approx(factor, abs=1e-3)


def test_a_date_without_a_zone_is_taken_as_utc() -> None:
    assert recency_factor(NOW.replace(tzinfo=None), NOW, YEAR) == 1


@pytest.mark.parametrize(
    ("rule", "applies"),
    [
        ({"source": "docs"}, True),
        ({"source": "wiki"}, False),
        ({"path_prefix": "policy/"}, True),
        ({"path_prefix": "policies/"}, False),
        ({"metadata": {"status": "approved"}}, True),
        ({"metadata": {"status": "draft"}}, False),
        ({"metadata": {"labels": "official"}}, True),
        ({"metadata": {"labels": "old"}}, False),
        ({"metadata": {"missing": None}}, False),
        ({"source": "docs", "metadata": {"status": "draft"}}, False),
    ],
)
def test_a_rule_applies_where_everything_holds_that_it_names(rule: dict, applies: bool) -> None:
    document = hit(path="policy/pay.md", metadata={"status": "approved", "labels": ["official", "hr"]})
    assert matches(AuthorityRule(factor=2, **rule), document) is applies


def test_a_boost_lifts_a_document_above_a_slightly_better_one() -> None:
    stage = Boosts(BoostSettings(authority=(AuthorityRule(factor=1.5, path_prefix="policy/"),)))
    pool = candidates(hit(document=1, fused=0.9), hit(document=2, fused=0.8, path="policy/a.md"))
    assert [one.hit.document_id for one in stage.apply(asked(), pool).candidates] == [2, 1]


def test_factors_of_several_rules_multiply() -> None:
    rules = (AuthorityRule(factor=2, source="docs"), AuthorityRule(factor=0.25, path_prefix="1"))
    stage = Boosts(BoostSettings(authority=rules))
    assert stage.factor(hit(), NOW) == 0.5


def test_a_boost_is_an_advantage_even_where_all_scores_are_below_zero() -> None:
    stage = Boosts(BoostSettings(authority=(AuthorityRule(factor=3, path_prefix="2"),)))
    pool = candidates(*(hit(document=n, fused=-0.1 * n) for n in (1, 2, 3)))
    assert [one.hit.document_id for one in stage.apply(asked(), pool).candidates] == [2, 1, 3]


def test_a_rule_for_everything_is_refused() -> None:
    with pytest.raises(ValidationError, match="else it is for everything"):
        AuthorityRule(factor=2)
