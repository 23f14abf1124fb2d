"""What emergency switches change about one search.

What belongs here: the switches of an index as a search assumes them, and what follows. What does not: turning
them (`store.switches`), and seeing in the statement's own snapshot which are in force (`search`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec

from rag_pipelines.query.filter_predicate import Predicate
from rag_pipelines.query.hits import Mode
from rag_pipelines.query.rerank import Rerank
from rag_pipelines.store.database import compose_query


class Switched:
    """The switches of an index, as `rag.switches` writes them: `text`, None where none is on."""

    def __init__(self, text: str | None = None) -> None:
        self.text = text
        self._on: list[tuple[str, str, str]] = (
            msgspec.json.decode(text, type=list[tuple[str, str, str]]) if text else []
        )

    @cached_property
    def sources_off(self) -> Mapping[str, str]:
        """Sources whose documents no search shows, each with the reason."""
        return {target: reason for kind, target, reason in self._on if kind == "source-off"}

    def reason(self, kind: str) -> str | None:
        """Why a switch of the index is on; None where it is off."""
        return next((reason for one, _, reason in self._on if one == kind), None)

    @property
    def is_lexical(self) -> bool:
        """Whether searches go by words alone."""
        return self.reason("lexical-only") is not None

    def apply(self, narrowing: Predicate, params: Mapping[str, Any]) -> tuple[Predicate, dict[str, Any]]:
        """The filter and the parameters of a statement under these switches: without the documents of sources
        that are off, and by words alone where the index is lexical only."""
        by = {"dense": False, "lexical": True} if self.is_lexical else {}
        if not self.sources_off:
            return narrowing, {**params, **by}
        text = compose_query("filter_sources_off", {"filter": narrowing.sql}).as_string()
        narrower = Predicate(text, {**narrowing.params, "sources_off": list(self.sources_off)})
        return narrower, {**params, **narrower.params, **by}

    def without(self) -> Mapping[str, str]:
        """Stages that are left out, each with the reason."""
        reason = self.reason("reranker-off")
        return {} if reason is None else {Rerank.name: reason}

    def notes(self, sources: Sequence[str], mode: Mode, *, reranks: bool) -> tuple[str, ...]:
        """What a caller is told who may know of `sources` and asked in `mode`."""
        notes = [
            f"nothing of source {name} because {self.sources_off[name]}"
            for name in sources
            if name in self.sources_off
        ]
        if mode != "lexical" and (reason := self.reason("lexical-only")) is not None:
            notes.append(f"lexical only because {reason}")
        if reranks and (reason := self.reason("reranker-off")) is not None:
            notes.append(f"not reranked because {reason}")
        return tuple(notes)
