"""What a listing has named so far, for the marker at its end.

What belongs here: counting. What does not: what an entry is (`base`).
"""

from __future__ import annotations

from rag_pipelines.connectors.base import Failure


class Tally:
    """Counts the documents of a listing, and knows whether it saw everything."""

    def __init__(self) -> None:
        self.count = 0
        self.whole = True

    def add(self, entry: object) -> None:
        """Take note of an item, or of whatever else stands for a document, or of a failure."""
        if not isinstance(entry, Failure) or entry.external_id is not None:
            self.count += 1
        elif entry.hides_documents:
            self.whole = False
