"""The settings of what Dagster starts by itself.

What belongs here: fields and their defaults. What does not: the conditions (`orchestration.conditions`), and
when a source is due (`freshness` and `schedule` of each source).
"""

from __future__ import annotations

from rag_pipelines.config.section import Section


class AutomationSettings(Section):
    """Whether the automation of Dagster is switched on where nobody has switched it on or off by hand."""

    running: bool = False
