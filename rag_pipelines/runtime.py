"""What every operation of one process works with: its database, its configuration, its models.

What belongs here: the bundle, opened from a configuration and closed as one. What does not: Dagster's
resources, whose lives are those of its runs, and anything that is done with a bundle.
"""

from __future__ import annotations

from dataclasses import dataclass

from rag_pipelines import otlp
from rag_pipelines.config.settings import Settings
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.store.database import Database
from rag_pipelines.store.embedded import ensure_running


@dataclass(frozen=True)
class Runtime:
    """The three that always travel together."""

    database: Database
    settings: Settings
    embedders: Embedders

    def close(self) -> None:
        """Give models and connections back, and send the last spans."""
        self.embedders.close()
        self.database.close()
        otlp.stop()


def open_runtime(settings: Settings) -> Runtime:
    """The database, started where it is the embedded one and with its schema up to date, and the models,
    each of which is loaded when it has something to embed. From now on spans are sent, where that is
    configured.

    Raises:
        UsageError: there is neither a URL nor the embedded server, or traces are configured and OpenTelemetry
            is not installed.
        TransientError, DatabaseError: the database cannot be reached, or refuses.
    """
    database = open_database(settings)
    database.migrate()
    otlp.start(settings.telemetry.target)
    return Runtime(database, settings, Embedders(settings.data_dir, settings.shared_models))


def open_database(settings: Settings) -> Database:
    """The database, started where it is the embedded one. Raises what `ensure_running` does."""
    sessions = settings.database.session_url
    return Database(
        ensure_running(settings),
        session_url=sessions.get_secret_value() if sessions else None,
        pool_size=settings.database.pool_size,
    )
