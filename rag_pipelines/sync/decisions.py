"""What a listing decided about each document, for a plan that is stored and later held against the source.

What belongs here: collecting the decisions of one listing. What does not: storing plans (`plan`), or taking
decisions (`listing`, `settle`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import msgspec

from rag_pipelines.fingerprint import fingerprint
from rag_pipelines.sync.diff import DocumentChange

IN_MEMORY = 4_000_000
"""Bytes kept in memory before decisions go to a temporary file."""


class Decision(msgspec.Struct, frozen=True, array_like=True):
    """One document and what happens to it. `fingerprint` covers all that was known when it was decided."""

    external_id: str
    change: str
    fingerprint: str


class Decisions:
    """Decisions in the order they were taken; a later one on the same document replaces the earlier."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 (closed by `close`)

    def record(self, change: DocumentChange, external_id: str, about: Any = None) -> None:
        """Keep one decision; `about` is any plain value that must be equal when it is applied."""
        one = Decision(external_id, change, fingerprint([change, about]))
        self._file.write(msgspec.json.encode(one) + b"\n")

    def __iter__(self) -> Iterator[Decision]:
        self._file.seek(0)
        for line in self._file:
            yield msgspec.json.decode(line, type=Decision)

    def clear(self) -> None:
        """Forget them, to collect those of another run over the same listing."""
        self._file.seek(0)
        self._file.truncate()

    def close(self) -> None:
        """Give the temporary file up."""
        self._file.close()
