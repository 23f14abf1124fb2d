"""Up to where a source is known to lack nothing, so that a run looks only at what changed since.

What belongs here: asking, and writing down that everything was looked at. What does not: finding what is
pending (`advance`, `vectors`).

A document that a run has brought to its end has the status ``ok``, and loses it with whatever may make it
lack something (its bytes, its title, what masks it, its being deleted for a while). That holds for the
parsers, chunkers and models of then: once all documents were looked at under others, these are noted, for
every bucket by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from psycopg import sql

from rag_pipelines.fingerprint import fingerprint
from rag_pipelines.store.database import Pg, compose_query, query
from rag_pipelines.store.profiles import ModelTarget
from rag_pipelines.sync.run import SourceRun
from rag_pipelines.sync.targets import Targets


class Place(NamedTuple):
    """The documents of a source, or of some buckets of it, for whoever asks without a run."""

    connection: Pg
    source_id: int
    buckets: list[int] | None = None


class WorkedOff:
    """What is known of documents at one stage, under what they must become there."""

    def __init__(
        self, place: Place | SourceRun, stage: Literal["chunk", "embed", "sketch"], targets: str
    ) -> None:
        self._connection = place.connection
        self._documents = "unfinished_documents" if stage == "chunk" else "recent_documents"
        self._params = {
            "source_id": place.source_id,
            "stage": stage,
            "buckets": place.buckets,
            "targets": targets,
        }

    @property
    def since(self) -> str | None:
        """The transaction since which changes count; None where everything has to be looked at."""
        row = query(self._connection, "worked_off", self._params).fetchone()
        return row["upto"] if row else None

    def documents(self, since: str | None) -> sql.Composable:
        """Which documents `d` may lack something; for a query that is given `since` as well."""
        return sql.SQL("true") if since is None else compose_query(self._documents)

    def now(self) -> str:
        """The transaction since which changes count that cannot be seen yet; to be asked before a look."""
        row = query(self._connection, "oldest_change_unseen").fetchone()
        assert row is not None
        return str(row["upto"])

    def note(self, run: SourceRun, upto: str) -> None:
        """What `run` found: nothing lacks anything that has not changed since `upto`."""
        with run.writing() as connection:
            query(connection, "note_worked_off", {**self._params, "upto": upto})


def chunks_worked_off(place: Place | SourceRun, targets: Targets) -> WorkedOff:
    """Parses and chunks."""
    chunkers = sorted(target.profile_id for target in targets.chunkers)
    parsers = [sorted(one.parsers.items()) for one in targets.screenings]
    return WorkedOff(place, "chunk", fingerprint([*parsers, chunkers]))


def vectors_worked_off(place: Place | SourceRun, models: Sequence[ModelTarget]) -> WorkedOff:
    """Vectors."""
    return WorkedOff(place, "embed", fingerprint(sorted((one.profile_id, one.chunker_id) for one in models)))


def sketches_worked_off(place: Place | SourceRun, sketch_id: int) -> WorkedOff:
    """Sketches."""
    return WorkedOff(place, "sketch", str(sketch_id))


def forget_worked_off(run: SourceRun) -> None:
    """This run, or the next, looks at every document again."""
    with run.writing() as connection:
        query(connection, "forget_worked_off", {"source_id": run.source_id})
