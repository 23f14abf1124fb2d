"""The gates: checks of one built version whose stored results decide whether it may go live.

What belongs here: what is checked and against which threshold. What does not: the decision (`promotion`
re-reads the stored results in its own transaction), golden sets and the access proof (each has a module
of its own).
"""

from __future__ import annotations

from psycopg import sql

from rag_pipelines.gates.subject import Subject
from rag_pipelines.index.gate_results import Gate
from rag_pipelines.index.graph import walk_settings
from rag_pipelines.index.storage import Storage
from rag_pipelines.index.versions import live_version
from rag_pipelines.store.database import Part, Pg, Row, query

RECALL_K = 10
TIE = 1e-6
"""Scores closer than this are equal: any of several equally near neighbours is right."""


def row_parity(subject: Subject) -> Gate:
    """Every chunk of every embedded document of the sources is in the version, once.

    What is not embedded is counted by `completeness`, but in versions that were built before it came.
    """
    figures = subject.version.figures
    expected, found = figures.expected_rows, subject.version.row_count or 0
    return Gate(
        "row_parity",
        passed=found == expected and found > 0 and figures.not_embedded == 0,
        observed=float(found),
        threshold=float(expected),
        detail={
            "documents": subject.version.document_count,
            "expected_documents": figures.expected_documents,
        },
    )


def no_orphans(subject: Subject) -> Gate:
    """Every row leads to a chunk and to a document of the version's sources, in both tables."""
    row = query(
        subject.connection,
        "gate_orphans",
        {"sources": subject.version.sources},
        subject.judged("vectors", "lexical"),
    ).fetchone()
    assert row is not None
    orphans = sum(row.values())
    return Gate("no_orphans", orphans == 0, float(orphans), 0.0, row)


def dimension_and_norm(subject: Subject) -> Gate:
    """Every vector has the model's dimensions and length 1."""
    params = {
        "dimensions": subject.version.spec.dimensions,
        "tolerance": subject.settings.gates.norm_tolerance,
    }
    row = query(subject.connection, "gate_norms", params, subject.judged("vectors")).fetchone()
    assert row is not None
    wrong = row["wrong_dimensions"] + row["wrong_norm"]
    return Gate("dimension_and_norm", wrong == 0, float(wrong), 0.0, row)


def vector_index_valid(subject: Subject) -> Gate:
    """The vector index, if there is to be one, and the lexical index exist and are valid."""
    number = subject.storage.number
    params = {"vectors": f"rag.vectors_{number}", "lexical": f"rag.lexical_{number}"}
    rows = query(subject.connection, "gate_indexes", params).fetchall()
    wanted = {"gin"} if subject.storage.kind == "exact" else {"hnsw", "gin"}
    valid = {row["method"]: row["valid"] for row in rows if row["method"] in wanted}
    return Gate(
        "vector_index_valid", all(valid.values()), float(sum(valid.values())), float(len(wanted)), valid
    )


def recall(subject: Subject) -> Gate:
    """recall@10 of the approximate search against the exact one, over a sample of stored vectors.

    A neighbour counts as found when its score reaches the tenth exact score, so ties cost nothing. Of
    a version that caught up, vectors must find themselves: half of the sample new ones, half spread over the
    rest.
    """
    connection, storage, settings = subject.connection, subject.storage, subject.settings
    ask = _neighbours_found if subject.whole else _finds_itself
    found = wanted = 0
    with connection.transaction():
        for name, setting in walk_settings(settings.vector).items():
            connection.execute("SELECT set_config(%s, %s, true)", (name, setting))
        sample = _recall_sample(subject)
        for row in sample:
            some, all_ = ask(connection, row, storage)
            found, wanted = found + some, wanted + all_
    value = min(found / wanted, 1.0) if wanted else 0.0
    threshold = settings.gates.min_recall
    detail = {
        "k": RECALL_K if subject.whole else 1,
        "queries": len(sample),
        "index": storage.kind,
        "ef_search": settings.vector.ef_search,
        "judged": "whole" if subject.whole else "changed",
    }
    return Gate("recall", value >= threshold, round(value, 6), threshold, detail)


def _recall_sample(subject: Subject) -> list[Row]:
    """Stored vectors to ask with, as text, and the score of each with itself."""
    sample = subject.settings.gates.recall_sample
    params = {"sample": sample if subject.whole else -(-sample // 2)}
    rows = query(subject.connection, "recall_sample", params, subject.judged("vectors")).fetchall()
    if not subject.whole:
        rows += query(subject.connection, "recall_sample", params, {"vectors": subject.spread}).fetchall()
    return rows


def _neighbours_found(connection: Pg, row: Row, storage: Storage) -> tuple[int, int]:
    """How many of the nearest neighbours of a vector the approximate search finds, and how many there are."""
    params = {"query": row["embedding"], "k": RECALL_K}
    parts = storage.parts("vectors", "type")
    exact = [one["score"] for one in query(connection, "nearest_exact", params, parts)]
    near = [one["score"] for one in query(connection, "nearest_approximate", params, _walked(storage))]
    return sum(score >= exact[-1] - TIE for score in near), len(exact)


def _finds_itself(connection: Pg, row: Row, storage: Storage) -> tuple[int, int]:
    """Whether the approximate search finds a stored vector, or one as near; and 1."""
    params = {"query": row["embedding"], "k": 1}
    nearest = query(connection, "nearest_approximate", params, _walked(storage)).fetchone()
    return int(nearest is not None and nearest["score"] >= row["itself"] - TIE), 1


def _walked(storage: Storage) -> dict[str, Part]:
    return {**storage.parts("type"), "walked": storage.walk(sql.SQL("true"), RECALL_K)}


def chunk_statistics(subject: Subject) -> Gate:
    """The version has not lost more chunks, compared with the live one, than the settings allow."""
    live = live_version(subject.connection, subject.version.index_name)
    allowed = subject.settings.gates.max_chunk_drop
    if live is None or not live.row_count:
        return Gate("chunk_statistics", True, 0.0, allowed, {"live": None})
    drop = 1 - (subject.version.row_count or 0) / live.row_count
    keys = ("chunks", "documents", "mean_tokens", "p95_tokens")
    detail = {
        "live": {key: getattr(live.figures, key) for key in keys},
        "candidate": {key: getattr(subject.version.figures, key) for key in keys},
    }
    return Gate("chunk_statistics", drop <= allowed, round(max(drop, 0.0), 6), allowed, detail)


def source_quality(subject: Subject) -> Gate:
    """No blocking quality expectation of a source stands failed; sources that were never checked pass."""
    rows = query(subject.connection, "quality_failures", {"sources": subject.version.sources}).fetchall()
    failed = [f"{row['source']}: {row['suite']}.{row['expectation']}" for row in rows]
    return Gate("source_quality", not failed, float(len(failed)), 0.0, {"failed": failed})
