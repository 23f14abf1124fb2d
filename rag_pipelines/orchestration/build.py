"""Puts the definitions together. The one place that knows all parts of the shell."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import dagster as dg

from rag_pipelines.config import Settings, load_config
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.orchestration.canary import canary_checks
from rag_pipelines.orchestration.checks import gate_checks, quality_checks
from rag_pipelines.orchestration.executors import run_executor
from rag_pipelines.orchestration.index_assets import index_assets
from rag_pipelines.orchestration.ingest_assets import ingest_assets
from rag_pipelines.orchestration.jobs import asset_jobs, default_jobs
from rag_pipelines.orchestration.key_figures import key_figures_asset
from rag_pipelines.orchestration.notifications import notification_sensors
from rag_pipelines.orchestration.reconcile import completeness, completeness_checks
from rag_pipelines.orchestration.resources import default_resources
from rag_pipelines.orchestration.schedules import default_schedules
from rag_pipelines.orchestration.sensors import default_sensors
from rag_pipelines.orchestration.state_checks import index_checks, source_checks
from rag_pipelines.quality.process import SuiteProcess


def build_definitions(
    *, settings: Settings | None = None, resource_overrides: Mapping[str, Any] | None = None
) -> dg.Definitions:
    """The definitions of a configuration; by default that of `config_path`.

    Args:
        resource_overrides: resources that replace those of `default_resources`, by name.

    Raises:
        ConfigError: the configuration is not valid.
    """
    settings = settings or load_config()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return _definitions(settings, resource_overrides or {})


@contextmanager
def shared_definitions(
    settings: Settings, *, resource_overrides: Mapping[str, Any] | None = None
) -> Iterator[dg.Definitions]:
    """Definitions for several runs in this process: models and the quality library are loaded once."""
    with ExitStack() as stack:
        resources = dict(resource_overrides or {})
        if "embedders" not in resources:
            resources["embedders"] = stack.enter_context(
                closing(Embedders(settings.data_dir, settings.shared_models))
            )
        if "quality" not in resources:
            resources["quality"] = stack.enter_context(SuiteProcess()).run
        yield build_definitions(settings=settings, resource_overrides=resources)


def _definitions(settings: Settings, resource_overrides: Mapping[str, Any]) -> dg.Definitions:
    jobs = asset_jobs(settings)
    return dg.Definitions(
        assets=[
            *ingest_assets(settings),
            *index_assets(settings),
            completeness(settings),
            key_figures_asset(settings),
        ],
        asset_checks=[
            source_checks(settings),
            *index_checks(settings),
            *quality_checks(settings),
            *gate_checks(settings),
            *canary_checks(settings),
            completeness_checks(settings),
        ],
        jobs=default_jobs(jobs),
        schedules=default_schedules(settings),
        sensors=[*default_sensors(settings, jobs), *notification_sensors(settings.notifications)],
        resources={**default_resources(settings), **resource_overrides},
        executor=run_executor(settings.execution),
    )
