"""The gate that keeps unmasked text of masking sources from going live.

What belongs here: the gate. What does not: looking for such text (`index.clear_text`).
"""

from __future__ import annotations

from rag_pipelines.gates.subject import Subject
from rag_pipelines.index.clear_text import clear_attributes, clear_passages
from rag_pipelines.index.gate_results import Gate


def personal_data(subject: Subject) -> Gate:
    """Every passage of a source that masks was masked by its profile of now, and every title and metadata."""
    passages = clear_passages(subject.connection, subject.storage.number, subject.masks)
    attributes = clear_attributes(subject.connection, subject.masks)
    what = [(row, f"{row['passages']:,} passages of {row['documents']:,} documents") for row in passages]
    what += [(row, f"titles and metadata of {row['documents']:,} documents") for row in attributes]
    refused = [
        f"source {row['source']!r} masks personal data, and {which} were not masked by its profile of now; "
        f"run `rag-pipelines ingest {row['source']}` and build again"
        for row, which in what
    ]
    observed = sum(row["passages"] for row in passages) + sum(row["documents"] for row in attributes)
    detail = {"masking_sources": sorted(subject.masks), "refused": refused}
    return Gate("personal_data", not refused, float(observed), 0.0, detail)
