"""The settings of the stages, as a configuration file has them."""

from __future__ import annotations

from datetime import timedelta

import pytest
import yaml
from pydantic import ValidationError

from rag_pipelines.config.query import StageSettings
from rag_pipelines.query.stage_chain import make_stages

FILE = """
rewriting:
  spelling: true
  synonyms: [[PTO, paid time off], [laptop, notebook]]
boosts:
  recency: {half_life: 90d, weight: 0.3}
  authority:
    - {factor: 1.5, path_prefix: policies/}
    - {factor: 0.5, metadata: {labels: archived}}
rerank: {provider: tei, url: "http://reranker:8080/rerank", depth: 30, timeout_seconds: 0.5}
diversity: {relevance: 0.8}
per_document: 2
neighbours: {before: 1, after: 2, section: true, max_tokens: 500}
"""


def test_a_file_says_every_stage() -> None:
    settings = StageSettings.model_validate(yaml.safe_load(FILE))
    assert settings.boosts is not None
    assert settings.boosts.recency is not None
    assert settings.boosts.recency.half_life == timedelta(days=90)
    assert StageSettings.model_validate(settings.model_dump(mode="json")) == settings
    stages = make_stages(settings)
    names = [stage.name for stage in stages.ordering]
    assert names == ["precedence", "boosts", "rerank", "diversity", "per_document"]
    assert [stage.name for stage in stages.widening] == ["neighbours"]


def test_without_settings_there_is_precedence_alone_and_without_that_no_further_candidate() -> None:
    stages = make_stages(StageSettings())
    assert [stage.name for stage in (*stages.ordering, *stages.widening)] == ["precedence"]
    assert (stages.depth(7), stages.depth(12)) == (10, 12)
    stages = make_stages(StageSettings(precedence=False))
    assert (stages.ordering, stages.widening, stages.depth(7)) == ((), (), 7)


def test_a_stage_has_as_many_candidates_as_it_wants() -> None:
    stages = make_stages(StageSettings.model_validate({"diversity": {"depth": 80}, "per_document": 1}))
    assert stages.depth(10) == 80
    assert stages.depth(200) == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"diversity": {"lambda": 0.5}},
        {"per_document": 0},
        {"boosts": {"recency": {"half_life": "0s"}}},
        {"boosts": {"authority": [{"factor": 0, "source": "docs"}]}},
        {"neighbours": {"before": -1}},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        StageSettings.model_validate(wrong)
