"""In how many parts it is worth while to bring a source forward.

What belongs here: judging that by what is pending. What does not: what a part is (`store.shards`), and work
on one (`shards`).
"""

from __future__ import annotations

from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Part, query
from rag_pipelines.sync.advance import Stage
from rag_pipelines.sync.targets import source_targets
from rag_pipelines.sync.worked_off import Place, chunks_worked_off, vectors_worked_off


def worthwhile_shards(runtime: Runtime, source: str, most: int, through: Stage = Stage.EMBEDDED) -> int:
    """How many shards, 1 to `most`, what is wanted or pending of `source` up to a stage is worth.

    That is one a batch, and one even where nothing is pending, because a stage also looks after what waits in
    quarantine.
    """
    settings = runtime.settings
    batch = settings.limits.batch_documents
    with runtime.database.connection() as connection:
        known = query(connection, "source_by_name", {"name": source}).fetchone()
        if known is None:
            return 1
        targets = source_targets(connection, settings, source, runtime.embedders)
        everything = {"source_id": known["source_id"], "after": 0, "limit": most * batch}
        params = {
            **everything,
            **targets.lacking(targets.chunkers if through >= Stage.CHUNKED else ()),
            "bucket": None,
            "max_attempts": settings.source(source).max_attempts,
        }
        place = Place(connection, known["source_id"])
        chunks = chunks_worked_off(place, targets)
        parts: dict[str, Part] = {"documents": chunks.documents(chunks.since)}
        pending = query(connection, "pending_documents", params, parts).rowcount
        wanted = query(connection, "count_wanted", {"names": [source]}).fetchone()
        pending += wanted["wanted"] if wanted else 0
        vectors = vectors_worked_off(place, targets.models)
        since = vectors.since
        parts = {"documents": vectors.documents(since)}
        for model in targets.models if through >= Stage.EMBEDDED else ():
            sets = {"buckets": None, "chunker_id": model.chunker_id, "model_id": model.profile_id}
            asked = {**everything, **sets, "since": since}
            pending += query(connection, "pending_chunk_sets", asked, parts).rowcount
    return max(1, min(most, -(-pending // batch)))
