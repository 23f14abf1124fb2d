"""Puts back to work what is damaged: the one way, beside a run, in which documents become pending again.

What belongs here: taking damaged outputs out of the way of a run, under the source's lease. What does not:
finding them (`verify`) and the run itself, which then makes them again as it would make new ones.
"""

from __future__ import annotations

from rag_pipelines.store.database import query
from rag_pipelines.sync.run import SourceRun
from rag_pipelines.verification.verify import find_damaged_blobs, list_stored_blobs


def reopen_damaged(run: SourceRun, *, deep: bool = False) -> dict[str, int]:
    """Make pending what has lost bytes, blocks, chunks or vectors; returns how many of each.

    Documents whose bytes are gone are loaded again by the next full listing. Damaged objects are deleted
    first (with `deep`), because an object that is there is never written again.
    """
    connection = run.connection
    list_stored_blobs(connection, run.blobs)
    if deep:
        for kind, digest in list(find_damaged_blobs(connection, run.source_id, run.blobs)):
            run.blobs.delete(kind, digest)
            query(connection, "forget_stored_blob", {"kind": kind, "digest": digest})
    params = {"source_id": run.source_id}
    with run.writing():
        return {
            "bytes": query(connection, "reload_lost", params).rowcount,
            "blocks": query(connection, "reparse_lost", params).rowcount,
            "chunks": query(connection, "rechunk_lost", params).rowcount,
            "vectors": query(connection, "reembed_lost", params).rowcount,
        }


def forget_cursor(run: SourceRun) -> None:
    """Let the next run list everything, whatever its change feed could say."""
    with run.writing() as connection:
        query(connection, "forget_cursor", {"source_id": run.source_id})
