"""The gates: checks of one built version whose stored results decide whether it may go live.

What belongs here: what is checked and against which threshold. What does not: the decision (`promotion`
re-reads the stored results in its own transaction), golden sets and the access proof (each has a module
of its own).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from rag_pipelines.config.settings import IndexSettings, Settings
from rag_pipelines.errors import UsageError
from rag_pipelines.index.access_gate import access_proof
from rag_pipelines.index.storage import Storage
from rag_pipelines.index.versions import Gate, Version, live_version, version_by_id
from rag_pipelines.store.database import Database, Pg, query
from rag_pipelines.sync.targets import Embedders

RECALL_K = 10
TIE = 1e-6
"""Scores closer than this are equal: any of several equally near neighbours is right."""


@dataclass(frozen=True)
class Subject:
    """What a gate looks at."""

    connection: Pg
    version: Version
    settings: IndexSettings
    storage: Storage


def storage_of_version(version: Version) -> Storage:
    """The tables of a version, as it was built."""
    built = IndexSettings.model_validate(version.params["index"])
    return Storage(version.storage, built.vector, version.params["dimensions"], built.lexical)


def row_parity(subject: Subject) -> Gate:
    """Every chunk of every document of the sources is in the version, once, and nothing is left out."""
    statistics = subject.version.statistics
    expected, found = statistics["expected_rows"], subject.version.row_count or 0
    left_out = statistics["not_embedded"]
    return Gate(
        "row_parity",
        passed=found == expected and found > 0 and left_out == 0,
        observed=float(found),
        threshold=float(expected),
        detail={
            "documents": subject.version.document_count,
            "expected_documents": statistics["expected_documents"],
            "documents_not_embedded": left_out,
        },
    )


def no_orphans(subject: Subject) -> Gate:
    """Every row leads to a chunk and to a document of the version's sources, in both tables."""
    row = query(
        subject.connection,
        "gate_orphans",
        {"sources": subject.version.sources},
        subject.storage.parts("vectors", "lexical"),
    ).fetchone()
    assert row is not None
    orphans = sum(row.values())
    return Gate("no_orphans", orphans == 0, float(orphans), 0.0, row)


def dimension_and_norm(subject: Subject) -> Gate:
    """Every vector has the model's dimensions and length 1."""
    params = {
        "dimensions": subject.version.params["dimensions"],
        "tolerance": subject.settings.gates.norm_tolerance,
    }
    row = query(subject.connection, "gate_norms", params, subject.storage.parts("vectors")).fetchone()
    assert row is not None
    wrong = row["wrong_dimensions"] + row["wrong_norm"]
    return Gate("dimension_and_norm", wrong == 0, float(wrong), 0.0, row)


def vector_index_valid(subject: Subject) -> Gate:
    """The vector index and the word index are there and valid."""
    number = subject.storage.number
    params = {"vectors": f"rag.vectors_{number}", "lexical": f"rag.lexical_{number}"}
    rows = query(subject.connection, "gate_indexes", params).fetchall()
    methods = {row["method"]: row["valid"] for row in rows}
    passed = methods == {"hnsw": True, "gin": True}
    return Gate("vector_index_valid", passed, float(sum(methods.values())), 2.0, methods)


def recall(subject: Subject) -> Gate:
    """recall@10 of the approximate search against the exact one, over a sample of stored vectors.

    A neighbour counts as found when its score reaches the tenth exact score, so ties cost nothing.
    """
    connection, storage, settings = subject.connection, subject.storage, subject.settings
    parts = storage.parts("vectors", "type")
    sample = query(
        connection, "recall_sample", {"sample": settings.gates.recall_sample}, storage.parts("vectors")
    ).fetchall()
    found = wanted = 0
    with connection.transaction():
        connection.execute("SELECT set_config('hnsw.ef_search', %s, true)", (str(settings.vector.ef_search),))
        for row in sample:
            params = {"query": row["embedding"], "k": RECALL_K}
            exact = [r["score"] for r in query(connection, "nearest_exact", params, parts)]
            near = [r["score"] for r in query(connection, "nearest_approximate", params, parts)]
            wanted += len(exact)
            found += sum(score >= exact[-1] - TIE for score in near)
    value = min(found / wanted, 1.0) if wanted else 0.0
    threshold = settings.gates.min_recall
    detail = {"k": RECALL_K, "queries": len(sample), "ef_search": settings.vector.ef_search}
    return Gate("recall", value >= threshold, round(value, 6), threshold, detail)


def chunk_statistics(subject: Subject) -> Gate:
    """The version has not lost more chunks, compared with the live one, than the settings allow."""
    live = live_version(subject.connection, subject.version.index_name)
    allowed = subject.settings.gates.max_chunk_drop
    if live is None or not live.row_count:
        return Gate("chunk_statistics", True, 0.0, allowed, {"live": None})
    drop = 1 - (subject.version.row_count or 0) / live.row_count
    keys = ("chunks", "documents", "mean_tokens", "p95_tokens")
    detail = {
        "live": {key: live.statistics.get(key) for key in keys},
        "candidate": {key: subject.version.statistics.get(key) for key in keys},
    }
    return Gate("chunk_statistics", drop <= allowed, round(max(drop, 0.0), 6), allowed, detail)


def source_quality(subject: Subject) -> Gate:
    """No blocking quality expectation of a source stands failed; sources that were never checked pass."""
    rows = query(subject.connection, "quality_failures", {"sources": subject.version.sources}).fetchall()
    failed = [f"{row['source']}: {row['suite']}.{row['expectation']}" for row in rows]
    return Gate("source_quality", not failed, float(len(failed)), 0.0, {"failed": failed})


GATES: tuple[Callable[[Subject], Gate], ...] = (
    row_parity,
    no_orphans,
    dimension_and_norm,
    vector_index_valid,
    recall,
    chunk_statistics,
    source_quality,
    access_proof,
)

QUALITY = "quality"

GATE_MEANINGS: dict[str, str] = {
    **{gate.__name__: gate.__doc__ or "" for gate in GATES},
    QUALITY: "The golden set of the index is answered as well as by the live version, above the floors.",
}
"""What each required gate says when it passes."""

INTEGRITY = frozenset(
    {"row_parity", "no_orphans", "dimension_and_norm", "vector_index_valid", "access_proof"}
)
"""A version that fails one of these is broken, and nobody's reason mends it."""

REQUIRED_GATES: tuple[str, ...] = tuple(GATE_MEANINGS)
"""Stored with each version when its build begins; promotion asks for exactly these."""


def validate_version(
    database: Database, settings: Settings, name: str, version_id: int, *, embedders: Embedders
) -> list[Gate]:
    """Run and store every gate of a built version of the index `name`: ``validated`` if all passed.

    Quality is judged last, and not of a version that is broken: it may not even bear a search.

    Raises:
        UsageError: the version is not a candidate, or the golden set does not fit the index.
        ConfigError: the golden set cannot be read.
    """
    with database.connect() as connection:
        version = version_by_id(connection, version_id)
        if version.state not in ("built", "validated"):
            raise UsageError(
                f"version {version_id} is {version.state}; gates are for versions that are built or validated"
            )
        subject = Subject(connection, version, settings.index(name), storage_of_version(version))
        results = [gate(subject) for gate in GATES]
        if all(gate.passed for gate in results if gate.gate in INTEGRITY):
            results.append(_quality(database, settings, name, version_id, embedders))
        with connection.transaction():
            for gate in results:
                store_gate(connection, version_id, gate)
            passed = {gate.gate for gate in results if gate.passed} >= set(REQUIRED_GATES)
            query(
                connection,
                "set_state",
                {"version_id": version_id, "state": "validated" if passed else "built"},
            )
    return results


def _quality(
    database: Database, settings: Settings, name: str, version_id: int, embedders: Embedders
) -> Gate:
    from rag_pipelines.evaluation.gate import quality_gate  # searches, which needs this module

    index = settings.index(name)
    return quality_gate(
        database,
        settings,
        name,
        version_id,
        golden=index.golden,
        bounds=index.gates.quality,
        embedders=embedders,
    )


def store_gate(connection: Pg, version_id: int, gate: Gate) -> None:
    """Keep one result; the newest one counts."""
    params: dict[str, Any] = {
        "version_id": version_id,
        "gate": gate.gate,
        "passed": gate.passed,
        "observed": gate.observed,
        "threshold": gate.threshold,
        "detail": Jsonb(dict(gate.detail)),
    }
    query(connection, "put_gate", params)
