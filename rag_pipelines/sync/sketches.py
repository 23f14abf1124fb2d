"""Sketches for content that has none, so that copies of it are found.

What belongs here: this stage of a run, for sources of an index that asks for it. What does not: what a sketch
is (`text.sketch`), and its rows (`store.sketches`).

A sketch is kept by content: documents that were parsed into the same blocks have one. Each page is committed
as it comes.
"""

from __future__ import annotations

from typing import Any

from rag_pipelines import logs
from rag_pipelines.errors import MissingContentError
from rag_pipelines.parsing.stored import decode_parsed
from rag_pipelines.store.database import Part, query
from rag_pipelines.store.sketches import put_sketches
from rag_pipelines.sync.run import SourceRun
from rag_pipelines.sync.worked_off import sketches_worked_off
from rag_pipelines.text.sketch import Sketch, sketch_of

log = logs.get(__name__)

PAGE = 200
"""Contents that are read, and stored in one transaction; other sources wait for the families meanwhile."""


def sketch_pending(run: SourceRun, profile_id: int) -> None:
    """Sketch what the run's documents hold and nobody has sketched.

    Raises:
        UsageError: the library for it is not installed.
    """
    worked_off = sketches_worked_off(run, profile_id)
    since, upto = worked_off.since, worked_off.now()
    parts: dict[str, Part] = {"documents": worked_off.documents(since)}
    params: dict[str, Any] = {
        "since": since,
        "source_id": run.source_id,
        "buckets": run.buckets,
        "profile_id": profile_id,
        "after": b"",
        "limit": PAGE,
    }
    made = copies = 0
    while True:
        rows = query(run.connection, "pending_sketches", params, parts).fetchall()
        if not rows:
            break
        digests = [bytes(row["blocks_sha256"]) for row in rows]
        params["after"] = digests[-1]
        with run.timed("sketch"):
            sketches = {digest: sketch for digest in digests if (sketch := _sketch(run, digest)) is not None}
        with run.timed("store sketches"), run.writing() as connection:
            copies += put_sketches(connection, profile_id, sketches)
        made += len(sketches)
    worked_off.note(run, upto)
    if made:
        log.info("sketched", contents=made, alike=copies)


def _sketch(run: SourceRun, digest: bytes) -> Sketch | None:
    """The sketch of some blocks; None where they have no words, or are gone: then they are parsed again."""
    try:
        return sketch_of(decode_parsed(run.blobs.get("blocks", digest)).text)
    except MissingContentError:
        return None
