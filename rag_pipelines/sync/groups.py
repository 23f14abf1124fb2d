"""Brings groups and their members in line with the source, apart from its documents.

What belongs here: when groups are listed, and what a listing of them may change. What does not: rows
(`store.principals`), and who may see what (the search asks the rows each time, so that a change here is in
force for the next query).

What stood before the listing is stale until the listing reads it again, and only stale groups are ever
removed. The order is the safety: each batch of groups is replaced in one transaction, so no query meets half
a group; a group that could not be read keeps the members it had, with the time when they were read; and
groups go only behind a completeness marker whose count agrees. A directory that fails stops no documents.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Protocol

from rag_pipelines.batching import batches
from rag_pipelines.connectors.base import Capabilities, Complete, Failure, Group
from rag_pipelines.errors import CorruptDocumentError, CredentialError, FetchError, RagError
from rag_pipelines.store.database import Row, query
from rag_pipelines.store.documents import QuarantineEntry
from rag_pipelines.store.principals import replace_groups
from rag_pipelines.sync.run import SourceRun
from rag_pipelines.sync.scope import Scope
from rag_pipelines.text.canonical import clean

DIRECTORY = "groups"
"""The entity in quarantine that stands for the listing of groups as a whole."""

STAGE = "groups"

BATCH_GROUPS = 1_000
BATCH_MEMBERS = 20_000
"""Written in one transaction; a larger group is one batch of its own."""

MAX_PRINCIPAL_BYTES = 1_000
"""Of one principal in UTF-8; two of them have to fit into one entry of a Postgres index (2,704 bytes)."""

GUARDED_GROUPS = 20
"""From so many groups on, a listing that would remove more than half of them is not believed."""


class Directory(Protocol):
    """What lists groups: a connector, or a recording of what one listed."""

    @property
    def capabilities(self) -> Capabilities:
        """Whether it lists groups."""

    def groups(self) -> Iterator[Group | Failure | Complete]:
        """As `Connector.groups`."""


def due_groups(run: SourceRun, directory: Directory, scope: Scope = Scope()) -> Row | None:
    """What the query `group_listing` knows, when a run has to list groups; None where it has not."""
    if not directory.capabilities.groups:
        return None
    known = query(run.connection, "group_listing", {"source_id": run.source_id}).fetchone()
    assert known is not None
    listed_at = known["groups_at"]
    again = scope.full or scope.list_all
    if not again and listed_at is not None and known["now"] - listed_at < run.source.group_listing:
        return None
    return known


def sync_groups(
    run: SourceRun, directory: Directory, scope: Scope = Scope(), *, began: datetime | None = None
) -> None:
    """List the groups of `run`'s source, unless that was done less than `group_listing` ago.

    What cannot be read ends in quarantine with the stage ``groups`` and in the report.

    Args:
        scope: `full` and `list_all` list them whatever their age, `allow_deletes` removes groups above the
            guard.
        began: the server's clock when the source was asked, by default now.

    Raises:
        CredentialError: the source refused the credentials; what was read stands, nothing was removed.
    """
    known = due_groups(run, directory, scope)
    if known is None:
        return
    with run.timed("groups"):
        listing = _GroupListing(
            run, directory, began or known["now"], known["groups"], allow_deletes=scope.allow_deletes
        )
        listing.run()


def listed_groups(directory: Directory) -> Iterator[Group | Failure | Complete]:
    """What is listed; what that raises is a failure too, unless the credentials were refused."""
    try:
        yield from directory.groups()
    except CredentialError:
        raise
    except Exception as error:
        known = error if isinstance(error, RagError) else FetchError(f"{type(error).__name__}: {error}")
        yield Failure(error=known, entity=DIRECTORY)
        yield Complete(count=0, full=False)


class _GroupListing:
    """One listing of the groups of one source."""

    def __init__(
        self, run: SourceRun, directory: Directory, began: datetime, known: int, *, allow_deletes: bool
    ) -> None:
        self._run = run
        self._directory = directory
        self._began = began
        self._known = known
        self._allow_deletes = allow_deletes
        self._failed: dict[str, RagError] = {}
        self._complete: Complete | None = None

    def run(self) -> None:
        for batch in batches(self._entries(), BATCH_GROUPS, BATCH_MEMBERS, _weight):
            self._write(batch)
        self._settle()
        self._explain_failures()

    def _entries(self) -> Iterator[Group | Failure]:
        """What is listed, its principals as they can be stored."""
        for entry in listed_groups(self._directory):
            if isinstance(entry, Complete):
                self._complete = entry
            else:
                yield _usable(entry) if isinstance(entry, Group) else entry

    def _write(self, batch: list[Group | Failure]) -> None:
        groups = [entry for entry in batch if isinstance(entry, Group)]
        failures = {entry.entity or DIRECTORY: entry.error for entry in batch if isinstance(entry, Failure)}
        self._failed |= failures
        run = self._run
        with run.writing() as connection:
            replace_groups(connection, run.source_id, groups, self._began)
            run.quarantine(QuarantineEntry(STAGE, error, entity=entity) for entity, error in failures.items())
        run.report.groups += len(groups)
        run.report.memberships += sum(len(group.members) for group in groups)
        run.progress("groups", run.report.groups, None)

    def _settle(self) -> None:
        """Remove what a complete listing did not name, and remember that there was one."""
        run, complete = self._run, self._complete
        if complete is None or not complete.full:
            run.report.miss(
                "the listing of groups was incomplete: no group was removed, the next run lists again"
            )
            return
        params = {
            "source_id": run.source_id,
            "observed_at": self._began,
            "before": self._began,
            "failed": list(self._failed),
        }
        counts = query(run.connection, "count_groups", params).fetchone()
        assert counts is not None
        listed, stale = counts["listed"], counts["stale"]
        if not listed <= complete.count <= listed + len(self._failed):
            run.report.miss(
                f"the listing said {complete.count} groups and named {listed}: no group was removed, "
                "the next run lists again"
            )
            return
        with run.writing() as connection:
            if self._is_guarded(stale):
                error = FetchError(
                    f"{stale:,} of {self._known:,} known groups are gone, above the guard of one half: "
                    "they keep their members. If this is right, run `rag-pipelines ingest --allow-deletes`"
                )
                self._failed[DIRECTORY] = error
                run.quarantine([QuarantineEntry(STAGE, error, entity=DIRECTORY)])
            else:
                query(connection, "drop_stale_groups", params)
                query(connection, "save_groups_at", params)
            query(connection, "resolve_group_failures", params)

    def _is_guarded(self, stale: int) -> bool:
        return not self._allow_deletes and self._known >= GUARDED_GROUPS and stale > self._known / 2

    def _explain_failures(self) -> None:
        if not self._failed:
            return
        report = self._run.report
        report.groups_failed = len(self._failed)
        entity, error = next(iter(self._failed.items()))
        report.miss(
            f"{len(self._failed)} failures of listing groups, such as {entity} ({type(error).__name__}: "
            f"{error}); what could not be read is kept; see `rag-pipelines quarantine list --stage {STAGE}`"
        )


def _weight(entry: Group | Failure) -> int:
    return len(entry.members) if isinstance(entry, Group) else 1


def _usable(group: Group) -> Group | Failure:
    """`group` as it can be stored, its principals written as those of access rules are."""
    principal = clean(group.principal)
    members = tuple({clean(member): None for member in group.members})
    for one in (principal, *members):
        if not one or len(one.encode()) > MAX_PRINCIPAL_BYTES:
            problem = CorruptDocumentError(
                f"the group {principal[:80]!r} names the principal {one[:80]!r} of {len(one.encode()):,} "
                f"bytes; valid: 1 to {MAX_PRINCIPAL_BYTES:,}"
            )
            return Failure(error=problem, entity=principal[:MAX_PRINCIPAL_BYTES] or DIRECTORY)
    return Group(principal=principal, name=clean(group.name), members=members)
