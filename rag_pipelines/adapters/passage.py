"""A hit as the plain text and the plain values that frameworks carry.

What belongs here: what the adapters have in common. What does not: any framework.
"""

from __future__ import annotations

from typing import Any

import msgspec

from rag_pipelines.query.hits import Hit


def passage_id(hit: Hit) -> str:
    """Tells passages apart; documents with the same content share the ids of their chunks."""
    return f"{hit.document_id}-{hit.chunk_id}"


def passage_text(hit: Hit) -> str:
    """The passage with what a reader needs in front of it."""
    return f"{hit.context}\n{hit.text}" if hit.context else hit.text


def passage_details(hit: Hit) -> dict[str, Any]:
    """Citation, offsets, scores and the document's own metadata, as JSON values."""
    details: dict[str, Any] = msgspec.to_builtins(hit)
    del details["text"], details["context"]
    return {"citation": hit.citation, **details}
