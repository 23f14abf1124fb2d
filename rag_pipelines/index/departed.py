"""Takes documents that the catalogue no longer has out of versions, beside the builds that may be under way.

What belongs here: who takes them out of which version. What does not: the statements on a version's tables
(`storage`), removing documents from the catalogue and what was made of them (`retention`).

A version at rest loses a document with the transaction that removes it. One that is being built is its
build's: that read a snapshot in which the document may stand, and drops at its end what is gone by then. A
lock on versions' tables orders them: a removal holds it, and so does a build where it begins and where it
ends, so that each removal is either seen by the end of a build or finds the version at rest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

import psycopg

from rag_pipelines.index.storage import Size, forget, tables_of
from rag_pipelines.store.database import Params, Pg, Row, query


class BuildUnderWay(NamedTuple):
    """A version that a living build works on; `storage` is the number of its tables."""

    version_id: int
    index_name: str
    storage: int


class Departure(NamedTuple):
    """Rows that left versions at rest, and the builds that have yet to drop what they read."""

    rows: int
    builds: list[BuildUnderWay]


def storages(connection: Pg) -> list[int]:
    """The numbers of the physical tables that exist, whatever state their version is in."""
    return [row["storage"] for row in query(connection, "version_storages")]


def query_versions(
    connection: Pg, name: str, params: Params | None, *kinds: str, without: Collection[int] = ()
) -> Iterator[tuple[int, Row]]:
    """The rows of a query on some `kinds` of tables of each version, with its number.

    A version that is dropped meanwhile is passed over; inside a transaction `take_storages` keeps them all.
    """
    for storage in storages(connection):
        if storage not in without:
            parts = {kind: tables_of(storage)[kind] for kind in kinds}
            with suppress(psycopg.errors.UndefinedTable):
                yield from ((storage, row) for row in query(connection, name, params, parts).fetchall())


def builds_under_way(connection: Pg) -> list[BuildUnderWay]:
    """The versions that living builds work on; one whose process is gone is at rest."""
    return [BuildUnderWay(**row) for row in query(connection, "builds_under_way")]


def forget_documents(connection: Pg, ids: Sequence[int]) -> Departure:
    """Inside a transaction: remove documents from the catalogue and from every version at rest."""
    query(connection, "take_storages")
    builds = builds_under_way(connection)
    query(connection, "begin_purge", {"ids": list(ids)})
    busy = {build.storage for build in builds}
    rows = sum(_forget(connection, storage).rows for storage in storages(connection) if storage not in busy)
    query(connection, "purge_documents", {"ids": list(ids)})
    return Departure(rows, builds)


def _forget(connection: Pg, storage: int) -> Size:
    """Remove documents from a version at rest, whose counters say so."""
    gone = forget(connection, storage)
    if gone.rows:
        query(connection, "note_gone", {"storage": storage, **gone._asdict()})
    return gone


def drop_departed(connection: Pg, storage: int) -> Size:
    """Inside a transaction: drop the rows of documents that are gone; how many these were."""
    query(connection, "take_storages")
    departed = query(connection, "begin_departed", None, {"vectors": f"vectors_{storage}"}).rowcount
    return _forget(connection, storage) if departed else Size(0, 0)


def drop_all_departed(connection: Pg) -> int:
    """Drop from versions at rest the rows of documents that are gone, where a build died before it did."""
    rows = 0
    for storage, _ in list(query_versions(connection, "has_departed", None, "vectors")):
        with connection.transaction():
            query(connection, "take_storages")
            at_rest = set(storages(connection)) - {build.storage for build in builds_under_way(connection)}
            if storage in at_rest:
                rows += drop_departed(connection, storage).rows
    return rows
