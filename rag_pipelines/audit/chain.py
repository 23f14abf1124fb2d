"""Whether the rows of the audit are as they were written: their chain of hashes, and anchors kept elsewhere.

What belongs here: judging the chain. What does not: making it, which the database does for every row, whoever
writes it (`sql/objects/12_audit.sql`).

A row's hash is SHA-256 over the hash of the row before, its position (eight bytes, big-endian), and the
digest of its content. A row that was changed, removed, put in or moved breaks the chain where it stands.
Rows taken off the end together with the head, or a chain that somebody who owns the tables has computed anew,
are found only by an anchor that was kept out of the database.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from rag_pipelines.errors import UsageError
from rag_pipelines.store.database import Pg, Row, query

_ANCHOR = re.compile(r"(\d{1,18}):([0-9a-f]{64})\Z")


class Anchor(NamedTuple):
    """The hash of the row at a position, in hexadecimal: what all rows up to it come to."""

    position: int
    hash: str

    def __str__(self) -> str:
        return f"{self.position}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Anchor:
        """What `str` gave. Raises `UsageError`."""
        found = _ANCHOR.match(text.strip())
        if found is None:
            raise UsageError(
                f"an anchor received {text!r}; valid: POSITION:HASH as `rag-pipelines audit verify` prints "
                "it, such as 42:9f86d081… with 64 digits of hash"
            )
        return cls(int(found[1]), found[2])


class Fault(msgspec.Struct, frozen=True):
    """Something that is not as it was written. `position` is the row's, None for one that has none."""

    kind: str
    position: int | None
    says: str


class Redaction(msgspec.Struct, frozen=True):
    """A row that a purge took words out of; `position` is the row's, `row` that of the row that says so."""

    position: int
    row: int
    login: str | None


class Chain(msgspec.Struct, frozen=True):
    """What a look at the whole chain found."""

    rows: int
    head: Anchor
    faults: list[Fault]
    redacted: list[Redaction]


def read_head(connection: Pg) -> Anchor:
    """The newest row that is linked. Raises `UsageError` where the chain has lost its head."""
    row = query(connection, "audit_head").fetchone()
    if row is None:
        raise UsageError("rag.audit_head is empty: somebody removed the head of the audit's chain")
    return Anchor(row["position"], row["hash"])


def check_chain(connection: Pg, anchors: Sequence[Anchor] = ()) -> Chain:
    """Look at every row of the audit. `connection` reads one snapshot, else a row may come in between.

    Args:
        anchors: heads that were kept out of the database.
    """
    counted = query(connection, "audit_rows_counted").fetchone()
    assert counted is not None
    head = read_head(connection)
    faults: list[Fault] = []
    redacted: list[Redaction] = []
    for row in query(connection, "audit_faults"):
        change = row["change"]
        if change and change["action"] == "audit redacted" and change["covers"]:
            redacted.append(Redaction(row["position"], change["position"], change["login"]))
        faults += _faults(row)
    faults += _at_the_end(connection, head)
    for anchor in anchors:
        faults += _anchored(connection, anchor)
    return Chain(counted["rows"], head, faults, redacted)


def _faults(row: Row) -> Iterator[Fault]:
    position = row["position"]
    named = f"{row['action']} of {row['subject']} by {row['actor']}, {row['at']:%Y-%m-%d %H:%M:%S}"
    if row["unchained"]:
        yield Fault("inserted", None, f"row with id {row['audit_id']} is not in the chain: {named}")
        return
    gap = range(row["after"] + 1, position)
    if gap:
        rows = f"row {gap[0]} is" if len(gap) == 1 else f"rows {gap[0]} to {gap[-1]} are"
        yield Fault("removed", gap[0], f"{rows} missing before row {position}")
    elif not row["linked"]:
        yield Fault(
            "relinked",
            position,
            f"row {position} does not follow from row {position - 1}: its hash, or that of the row before, "
            f"is another, or rows changed places: {named}",
        )
    if not row["untouched"]:
        yield from _changed(row, named)


def _changed(row: Row, named: str) -> Iterator[Fault]:
    """Of a row that says something else than its digest covers. A purge accounts for it with a row."""
    change: dict[str, Any] | None = row["change"]
    position = row["position"]
    if change is None or not change["covers"]:
        yield Fault("changed", position, f"row {position} was changed: it reads now {named}")
    elif change["action"] == "audit changed":
        who = f"by login {change['login']}, as row {change['position']} says"
        yield Fault("changed", position, f"row {position} was changed {who}: it reads now {named}")


def _at_the_end(connection: Pg, head: Anchor) -> Iterator[Fault]:
    row = query(connection, "audit_last").fetchone()
    last = Anchor(row["position"], row["hash"]) if row else Anchor(0, "")
    if head.position > last.position:
        yield Fault(
            "removed",
            last.position + 1,
            f"rows {last.position + 1} to {head.position} are missing at the end, and were written",
        )
    elif head != last:
        yield Fault("inserted", last.position, f"the chain ends with row {last}, and its head says {head}")


def _anchored(connection: Pg, anchor: Anchor) -> Iterator[Fault]:
    if anchor.position == 0:
        return
    row = query(connection, "audit_hash", {"position": anchor.position}).fetchone()
    if row is None:
        yield Fault(
            "removed", anchor.position, f"row {anchor.position} is missing, of which an anchor was kept"
        )
    elif row["hash"] != anchor.hash:
        yield Fault(
            "rewritten",
            anchor.position,
            f"row {anchor.position} has the hash {row['hash']}, and the anchor says {anchor.hash}: it or "
            "rows before it were written anew since the anchor was taken",
        )


def read_rows(connection: Pg, since: datetime | None, until: datetime | None) -> Iterator[Row]:
    """The rows of the chain from `since` on and before `until`, the oldest first."""
    yield from query(connection, "audit_rows", {"since": since, "until": until})
