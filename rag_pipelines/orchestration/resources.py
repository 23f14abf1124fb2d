"""Resources: what assets, checks and sensors are given. Made when a run begins, closed when it ends.

What belongs here: the life of a connection pool and of models. What does not: reading the configuration
(`build`) and anything done with a resource.
See https://docs.dagster.io/guides/build/external-resources
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from rag_pipelines import otlp
from rag_pipelines.config.settings import Settings
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.quality.process import SuiteProcess
from rag_pipelines.quality.runner import RunSuite
from rag_pipelines.runtime import open_database
from rag_pipelines.store.database import Database


def default_resources(settings: Settings) -> Mapping[str, Any]:
    """The resources of a deployment.

    `settings` is the configuration as it was when the code was loaded; `database` has the current schema and
    is the embedded server where no URL is set; a database that is away fails no resource, but the step that
    asks it, which is tried again; `embedders` loads a model when the first text is embedded;
    `quality` runs suites, in a process that loads their library while the first stage works.
    """

    @dg.resource(description="Postgres, migrated to the current schema; spans are sent while it is open.")
    def database(_: dg.InitResourceContext) -> Iterator[Database]:
        opened = open_database(settings)
        otlp.start(settings.telemetry.target)
        try:
            opened.migrate_when_used()
            yield opened
        finally:
            opened.close()
            otlp.stop()

    @dg.resource(description="Embedding models, loaded on first use.")
    def embedders(_: dg.InitResourceContext) -> Iterator[Embedders]:
        made = Embedders(settings.data_dir, settings.shared_models)
        try:
            yield made
        finally:
            made.close()

    @dg.resource(description="Runs quality suites in a process of their own, which starts with the run.")
    def quality(_: dg.InitResourceContext) -> Iterator[RunSuite]:
        with SuiteProcess() as process:
            yield process.run

    return {"settings": settings, "database": database, "embedders": embedders, "quality": quality}
