"""What a sync did, in numbers: the value that the CLI prints, Dagster shows and the run row stores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec

from rag_pipelines.stored import Form
from rag_pipelines.sync.diff import DocumentChange


class SyncReport(msgspec.Struct):
    """Counts of one sync of one source. Bytes are raw bytes loaded, tokens those of newly embedded inputs.
    `reparsed` counts documents by media type that other code had parsed before; of `reparsed_equal` of
    them the text came out as it was. `parked_deletes` are deletions that this run parked, `waiting_deletes`
    all of the source that wait for a person. `access_closed` counts listed documents that nobody may see,
    because their access is not known or above a limit. The content of `wanted` documents was left to others
    to load. `groups` and `memberships` were read anew; those of
    `groups_failed` groups stay as they were.

    `outcome` is ``complete`` (everything was listed), ``partial`` (a window, a feed with gaps, or an
    incomplete listing) or ``failed``; `incomplete` says that a listing, of documents or of groups, did not
    see what it should have. `notes` are sentences for people, each with what to do.
    """

    source: str
    outcome: str = "complete"
    changes: dict[str, int] = {}
    samples: dict[str, list[str]] = {}
    listed: int = 0
    bytes_loaded: int = 0
    parsed: int = 0
    parse_reused: int = 0
    reparsed: dict[str, int] = {}
    reparsed_equal: int = 0
    statuses: dict[str, int] = {}
    chunk_sets: int = 0
    chunks: int = 0
    embedded: int = 0
    vectors_reused: int = 0
    tokens: int = 0
    cost: float = 0.0
    parked_deletes: int = 0
    waiting_deletes: int = 0
    incomplete: bool = False
    access_closed: int = 0
    groups: int = 0
    groups_failed: int = 0
    memberships: int = 0
    seconds: dict[str, float] = {}
    notes: list[str] = []
    actor: str = ""
    """Who ran it, where a shell says so."""
    wanted: int = 0

    def count(self, change: DocumentChange, external_id: str, n: int = 1) -> None:
        """Count `n` documents under `change`, keeping a few ids as samples."""
        self.changes[change] = self.changes.get(change, 0) + n
        kept = self.samples.setdefault(change, [])
        if change is not DocumentChange.UNCHANGED and len(kept) < 10:
            kept.append(external_id)

    def recount(self, before: DocumentChange, after: DocumentChange, external_id: str) -> None:
        """What was counted under `before` turns out to be `after`."""
        if self.changes.get(before, 0) <= 1:
            self.changes.pop(before, None)
        else:
            self.changes[before] -= 1
        if external_id in self.samples.get(before, []):
            self.samples[before].remove(external_id)
        self.count(after, external_id)

    def reparse(self, media_type: str, *, equal: bool) -> None:
        """Count a document whose same bytes other code had parsed."""
        self.reparsed[media_type] = self.reparsed.get(media_type, 0) + 1
        self.reparsed_equal += equal

    def status(self, name: str) -> None:
        """Count one processed document by its status word."""
        self.statuses[name] = self.statuses.get(name, 0) + 1

    def spend(self, stage: str, seconds: float) -> None:
        """Add wall seconds to a stage."""
        self.seconds[stage] = round(self.seconds.get(stage, 0.0) + seconds, 4)

    def miss(self, note: str) -> None:
        """Something that should have been listed was not; `note` says what."""
        self.incomplete = True
        self.notes.append(note)

    def followed_by(self, later: SyncReport) -> SyncReport:
        """One report of a run whose stages ran apart: this one's listing, and what a later stage added.

        Every stage counts the documents it works on by status, so the larger number is that of documents.
        """
        words = [*self.statuses, *(word for word in later.statuses if word not in self.statuses)]
        return msgspec.structs.replace(
            self,
            outcome="failed" if later.outcome == "failed" else self.outcome,
            incomplete=self.incomplete or later.incomplete,
            parsed=self.parsed + later.parsed,
            parse_reused=max(self.parse_reused, later.parse_reused),
            reparsed=dict(Counter(self.reparsed) + Counter(later.reparsed)),
            reparsed_equal=self.reparsed_equal + later.reparsed_equal,
            statuses={word: max(self.statuses.get(word, 0), later.statuses.get(word, 0)) for word in words},
            chunk_sets=self.chunk_sets + later.chunk_sets,
            chunks=self.chunks + later.chunks,
            embedded=self.embedded + later.embedded,
            vectors_reused=max(self.vectors_reused, later.vectors_reused),
            tokens=self.tokens + later.tokens,
            cost=round(self.cost + later.cost, 6),
            seconds=dict(Counter(self.seconds) + Counter(later.seconds)),
            notes=list(dict.fromkeys([*self.notes, *later.notes])),
        )

    def beside(self, other: SyncReport) -> SyncReport:
        """One report of this, and of what `other` did to other documents of the source."""
        sums = {
            name: round(value + getattr(other, name), 6)
            for name, value in msgspec.structs.asdict(self).items()
            if type(value) in (int, float)
        }
        counts = {
            name: dict(Counter(value) + Counter(getattr(other, name)))
            for name, value in msgspec.structs.asdict(self).items()
            if name in ("changes", "reparsed", "statuses", "seconds")
        }
        return msgspec.structs.replace(
            self,
            **sums,
            **counts,
            outcome="failed" if "failed" in (self.outcome, other.outcome) else self.outcome,
            incomplete=self.incomplete or other.incomplete,
            notes=list(dict.fromkeys([*self.notes, *other.notes])),
        )

    @property
    def touched(self) -> int:
        """Documents that were not as they had been."""
        return sum(n for change, n in self.changes.items() if change != DocumentChange.UNCHANGED)

    @property
    def failed(self) -> int:
        """Documents, and parts of the source, that could not be listed, loaded or processed."""
        return count_failed(self.changes, self.statuses)

    @property
    def sound(self) -> bool:
        """Whether nothing failed and nothing was missed."""
        return not (self.failed or self.incomplete or self.outcome == "failed")


def count_failed(changes: Mapping[str, int], statuses: Mapping[str, int]) -> int:
    """How many failures counts of changes and of statuses hold."""
    processed = sum(count for status, count in statuses.items() if status not in ("ok", "empty"))
    return changes.get(DocumentChange.FAILED, 0) + processed


RUN_REPORT = Form("run report", SyncReport)
