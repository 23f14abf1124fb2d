"""The stored results of gates, and what each gate means.

What belongs here: names, meanings and rows. What does not: finding a result (`gates`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from rag_pipelines.store.database import Pg, query
from rag_pipelines.stored import Form

QUALITY = "quality"

GATE_DETAIL = Form("gate detail", dict[str, Any])


GATE_MEANINGS: dict[str, str] = {
    "row_parity": "Every chunk of every document of the sources is in the version, once.",
    "completeness": "Every document of the sources is in the version, in quarantine, or blank.",
    "no_orphans": "Every row leads to a chunk and to a document of the version's sources, in both tables.",
    "dimension_and_norm": "Every vector has the model's dimensions and length 1.",
    "vector_index_valid": "The vector index and the lexical index exist and are valid.",
    "recall": "The approximate search finds what the exact one finds (recall@10), over a sample of vectors.",
    "chunk_statistics": "The version has not lost more chunks, compared with the live one, than is allowed.",
    "source_quality": "No blocking quality expectation of a source has failed.",
    "access_proof": "Every kind of caller sees exactly what an independent oracle gives them.",
    "personal_data": "Every passage and title of a source that masks was masked by its profile of now.",
    QUALITY: "The golden set of the index is answered as well as by the live version, above the floors.",
}
"""What each required gate says when it passes."""


INTEGRITY = frozenset(
    {"row_parity", "no_orphans", "dimension_and_norm", "vector_index_valid", "access_proof", "personal_data"}
)
"""A version that fails one of these is broken, and nobody's reason mends it."""


REQUIRED_GATES: tuple[str, ...] = tuple(GATE_MEANINGS)
"""Stored with each version when its build begins; promotion asks for exactly these."""


def store_gate(connection: Pg, version_id: int, gate: Gate) -> None:
    """Keep one result; the newest one counts."""
    params: dict[str, Any] = {
        "version_id": version_id,
        "gate": gate.gate,
        "passed": gate.passed,
        "observed": gate.observed,
        "threshold": gate.threshold,
        "detail": Jsonb(GATE_DETAIL.encode(dict(gate.detail))),
    }
    query(connection, "put_gate", params)


@dataclass(frozen=True)
class Gate:
    """The stored result of one check of one version."""

    gate: str
    passed: bool
    observed: float | None
    threshold: float | None
    detail: Mapping[str, Any]
    checked_at: datetime | None = None


def gates_of(connection: Pg, version_id: int) -> list[Gate]:
    """The stored gate results of a version."""
    rows = query(connection, "gates", {"version_id": version_id})
    return [Gate(**{**row, "detail": GATE_DETAIL.decode(row["detail"])}) for row in rows]
