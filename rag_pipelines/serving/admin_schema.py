"""What those who look after knowledge are told, and what they decide, as JSON.

What belongs here: shapes. What does not: filling them (`admin`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


class SourceState(BaseModel):
    """A source: how old its listing is beside what is promised, and what waits or failed."""

    source: str
    documents: int
    coverage: float | None = Field(description="Share of the documents that are shown whose text was read.")
    to_load: int = Field(description="Listed documents whose content is still to load.")
    pending: int
    quarantined: int
    parked_deletes: int
    last_texts: int = Field(description="Documents served with an earlier text; the newer cannot be read.")
    listed_at: datetime | None
    lag_seconds: float | None
    promised_seconds: float
    overdue: bool
    last_run: str | None
    last_run_at: datetime | None


class GateState(BaseModel):
    """What a gate found; `threshold` is what it asks for."""

    gate: str
    passed: bool
    observed: float | None
    threshold: float | None


class VersionState(BaseModel):
    """A version of an index, with the gates that judged it."""

    version: int
    state: str
    passages: int | None
    built_at: datetime | None
    promoted_at: datetime | None
    error: str | None
    gates: list[GateState]


class CanaryState(BaseModel):
    """The trial of a candidate on a share of the callers."""

    version: int
    state: str
    share: float
    started_at: datetime
    started_by: str
    verdict: str | None


class IndexState(BaseModel):
    """An index: how far it is behind its sources, its versions (the newest first), and the newest trials."""

    index: str
    documents: int | None
    documents_behind: int | None
    as_of: datetime | None
    versions: list[VersionState]
    canaries: list[CanaryState]


class DeletionState(BaseModel):
    """Documents that a source no longer names, above its guard: `waiting` are served until it is decided."""

    deletion_id: int
    source: str
    cause: str
    state: str
    waiting: int
    hidden: int
    known: int = Field(description="How many documents the source held.")
    parked_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None


class SwitchState(BaseModel):
    """An emergency switch that is on."""

    kind: str
    target: str
    sentence: str


class AdminResponse(BaseModel):
    """How everything of the caller's tenant stands."""

    may_decide: bool
    sources: list[SourceState]
    indexes: list[IndexState]
    deletions: list[DeletionState]
    switches: list[SwitchState]


class QuarantineEntry(BaseModel):
    """A document that failed, at which stage and why; `next_try_at` is null where only a change helps."""

    quarantine_id: int
    document: str
    stage: str
    status: str
    message: str
    attempts: int
    next_try_at: datetime | None
    text_of: datetime | None = Field(description="Of when the text is that is served meanwhile.")


class QuarantineResponse(BaseModel):
    """What failed of a source, the newest first."""

    source: str
    entries: list[QuarantineEntry]


class WaitingDocument(BaseModel):
    """A document that waits under a deletion."""

    external_id: str
    path: str
    title: str | None
    url: str | None
    modified_at: datetime | None


class DeletionResponse(BaseModel):
    """A deletion, and documents that wait under it."""

    deletion: DeletionState
    documents: list[WaitingDocument]


class DecisionRequest(BaseModel):
    """What becomes of a deletion; the reason stands in the audit, with the caller's name."""

    model_config = ConfigDict(extra="forbid")

    decision: Literal["approve", "reject"] = Field(
        description="`approve`: hidden from the next search on; `reject`: served on until it is listed again."
    )
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
