"""How much a source's parses may lose before its documents are refused: `losses` of a source.

What belongs here: the bounds and their defaults. What does not: the check (`quality.suites`) and the kinds of
losses (`parsing.losses`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from rag_pipelines.parsing.formats import FORMATS, format_name
from rag_pipelines.parsing.losses import Loss

Share = Annotated[float, Field(ge=0, le=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class FormatLosses(_Section):
    """Bounds of one format; what is not said is as the source says."""

    words: Share | None = None
    documents: dict[Loss, Share] = {}


class LossSettings(_Section):
    """How much may be lost, by source and format.

    `words` is the share of the words of all documents of a format that may be missing, `documents` the share
    of its documents that may lose something of a kind. A format is judged by the first once
    `least_words` were seen of it, by the second once it has `least_documents`.
    """

    words: Share = 0.02
    documents: dict[Loss, Share] = {}
    least_words: int = Field(default=1_000, ge=1)
    least_documents: int = Field(default=10, ge=1)
    formats: dict[str, FormatLosses] = {}

    @field_validator("formats")
    @classmethod
    def _check_formats(cls, formats: dict[str, FormatLosses]) -> dict[str, FormatLosses]:
        known = sorted({format_name(media_type) for media_type in FORMATS})
        for name in formats:
            if name not in known:
                raise ValueError(f"names of formats: {', '.join(known)}")
        return formats

    def word_bounds(self) -> Iterator[tuple[str, float]]:
        """Each media type with the share of words that may be missing."""
        for media_type in FORMATS:
            own = self.formats.get(format_name(media_type))
            yield media_type, self.words if own is None or own.words is None else own.words

    def document_bounds(self) -> Iterator[tuple[str, str, float]]:
        """Each bounded media type and kind with the share of documents that may lose some."""
        for media_type in FORMATS:
            own = self.formats.get(format_name(media_type))
            for kind, most in {**self.documents, **(own.documents if own else {})}.items():
                yield media_type, kind.value, most
