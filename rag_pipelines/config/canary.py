"""The settings of an index's canaries: how many callers read the candidate, and what it must keep to.

What belongs here: fields, defaults and bounds of `canary`. What does not: running one (`serving.canary`), and
judging it (`gates.canary`).
"""

from __future__ import annotations

from pydantic import Field

from rag_pipelines.config.section import Section
from rag_pipelines.config.values import Share


class CanarySettings(Section):
    """The share of callers, and bounds of the candidate beside the live version on the same searches.

    A canary is judged from `min_observations` on, and broken off when it is sure, at the level `alpha` for
    all bounds together, that one does not hold:

    - `max_failed`: the share of searches that only the live version can answer;
    - `max_lost`: the share of searches for which only the live version finds anything;
    - `min_overlap`: the mean share of documents that both versions find; a new model, whose answers are meant
      to be others, needs a lower one (the quality gate says whether they are better);
    - `max_slow`: the share of searches that take more than `latency_factor` times as long as by the live
      version, and more than `latency_ms`;
    - `max_down`: how much larger the share of votes against its answers is than against the live version's.
    """

    share: Share = 0.05
    min_observations: int = Field(default=50, ge=1)
    alpha: float = Field(default=0.05, gt=0, lt=1)
    max_failed: Share = 0.01
    max_lost: Share = 0.05
    min_overlap: Share = 0.75
    max_slow: Share = 0.25
    latency_factor: float = Field(default=2.0, ge=1)
    latency_ms: float = Field(default=50.0, ge=0)
    max_down: Share = 0.1
