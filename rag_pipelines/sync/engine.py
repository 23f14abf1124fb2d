"""What a user means by running a source: the whole chain, within the source's budget.

What belongs here: the order of things. What does not: any of the things themselves.
"""

from __future__ import annotations

from rag_pipelines.config.settings import Settings
from rag_pipelines.errors import ConfigError
from rag_pipelines.progress import Progress, no_progress
from rag_pipelines.runtime import Runtime
from rag_pipelines.sync.plan import plan_within_budget
from rag_pipelines.sync.report import SyncReport
from rag_pipelines.sync.scope import Scope
from rag_pipelines.sync.stages import advance_source, answer_hints, list_source, source_run


def ingest(
    runtime: Runtime,
    source: str,
    scope: Scope = Scope(),
    *,
    progress: Progress = no_progress,
    list_only: bool = False,
) -> SyncReport:
    """Bring everything we hold of `source` in line with it: list, load, parse, chunk, embed.

    Args:
        full: list everything and load every document again, whatever its token says.
        window: take only what was modified in it; such a run deletes nothing and moves no cursor.
        allow_deletes: apply deletions above the source's guard, and an empty listing.
        list_only: leave the rest to shards (`sync.shards`), which may be at work meanwhile.

    A source with a budget is planned first, and the plan is parked where it exceeds the budget.

    Raises:
        UsageError: another run holds the source, or shards of it are at work.
        BudgetError: the plan is above the source's budget; nothing was changed.
        CredentialError, EmptyListingError, TransientError: the run ended early; what was committed
            stands, nothing was deleted, and the next run goes on from there.
    """
    plan_within_budget(runtime, source, scope)
    with source_run(runtime.database, runtime.settings, source, progress, beside_shards=list_only) as run:
        if list_only:
            list_source(run, scope, defer=True)
        else:
            list_source(run, scope, loading=run.workers.warm)
            advance_source(run, runtime.embedders)
        answer_hints(run, scope)
    return run.report


def check_names(settings: Settings, names: list[str]) -> list[str]:
    """The sources a command means: the given ones, or all. Raises for unknown names."""
    if not settings.sources:
        raise ConfigError(
            "no source is configured; add one under 'sources' (see `rag-pipelines config schema`)"
        )
    for name in names:
        settings.source(name)
    return names or list(settings.sources)
