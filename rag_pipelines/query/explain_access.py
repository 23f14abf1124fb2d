"""Why somebody may or may not read a document: the decision of every search, taken apart.

What belongs here: the explanation as a value, how it follows from a rule and memberships, and reading these
for one document. What does not: enforcing (`sql/queries/search.sql` does), presenting (`cli.access`).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from rag_pipelines.errors import UsageError
from rag_pipelines.model import EVERYONE, AccessRule, user_principal
from rag_pipelines.store.database import Pg, Row, query
from rag_pipelines.store.principals import Membership, group_names, memberships_of

SAMPLE = 5
"""Principals that are shown of a clause that nobody of the caller's satisfies."""


class Held(msgspec.Struct, frozen=True):
    """A principal that the caller has, and the shortest way by which: no step where it was given."""

    principal: str
    through: tuple[Membership, ...] = ()


class Clause(msgspec.Struct, frozen=True):
    """One clause of a rule: it holds when one of its `principals` (their number) is among the caller's.

    `satisfied_by` are those that are; where there are none, `sample` holds some of those that would do.
    """

    principals: int
    satisfied_by: tuple[str, ...] = ()
    sample: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether the caller passes it."""
        return bool(self.satisfied_by)


class Verdict(msgspec.Struct, frozen=True):
    """What a rule means for a caller. `held` are all the principals of the caller, with how each came.

    `names` are those of groups, for people.
    """

    held: tuple[Held, ...]
    clauses: tuple[Clause, ...]
    denied_by: tuple[str, ...]
    names: Mapping[str, str] = {}

    @property
    def passes(self) -> bool:
        """Whether every clause holds and nothing denies, as ``rag.may_read`` has it."""
        return not self.denied_by and all(clause.holds for clause in self.clauses)


class DocumentState(msgspec.Struct, frozen=True):
    """A document as access and search see it.

    `passages` counts, by index, those in its live version: all, or the one that was asked for. `listed_at`
    and `groups_at` are when the source's last complete listings of documents and of groups began: how old
    what is known of access is. `off` is the reason where the source is switched off.
    """

    source: str
    external_id: str
    tenant: str
    state: str
    status: str
    passages: Mapping[str, int]
    listed_at: datetime | None
    groups_at: datetime | None
    off: str | None = None


class AccessExplanation(msgspec.Struct, frozen=True):
    """Whether a caller of `tenant` may read a document, and everything that follows from.

    `reasons` say why not, in sentences; none means that a search may show it. `hints` say what else keeps
    it from being found or what the figures cannot say. Of one passage, `section` says where in the document
    it stands, and `former` is set where the document no longer has it, or may not have it: what the rule
    that held when it had it means for the caller.
    """

    tenant: str
    document: DocumentState
    verdict: Verdict
    reasons: tuple[str, ...]
    hints: tuple[str, ...]
    former: Verdict | None = None
    section: tuple[str, ...] = ()

    @property
    def may_read(self) -> bool:
        """Whether a search may show it to the caller."""
        return not self.reasons


def judge(
    rule: AccessRule,
    given: Iterable[str],
    memberships: Iterable[Membership],
    names: Mapping[str, str] | None = None,
) -> Verdict:
    """What `rule` means for a caller with the principals `given` (and `EVERYONE`), by these memberships."""
    memberships = list(memberships)
    ways = _ways((EVERYONE, *given), memberships)
    clauses = []
    for clause in rule.clauses:
        satisfied = tuple(sorted(ways.keys() & set(clause)))
        clauses.append(Clause(len(clause), satisfied, () if satisfied else tuple(clause[:SAMPLE])))
    return Verdict(
        held=tuple(Held(principal, through) for principal, through in ways.items()),
        clauses=tuple(clauses),
        denied_by=tuple(sorted(ways.keys() & set(rule.deny))),
        names={**(names or {}), **{one.group: one.name for one in memberships if one.name}},
    )


def explain(
    connection: Pg,
    source: str,
    external_id: str,
    *,
    user: str | None = None,
    principals: Sequence[str] = (),
    tenant: str | None = None,
) -> AccessExplanation:
    """Why a caller may or may not read one document.

    Args:
        user: as `user_principal` takes it; None asks for somebody who is nobody in particular.
        principals: further principals of the caller, as a search takes them.
        tenant: the caller's; the document's own by default.

    Raises:
        UsageError: the source holds no such document.
    """
    row = query(connection, "document_access", {"source": source, "external_id": external_id}).fetchone()
    if row is None:
        raise UsageError(_explain_missing(connection, source, external_id))
    return _explain(connection, row, _caller_principals(user, principals), tenant)


def explain_chunk(
    connection: Pg,
    chunk_id: str,
    *,
    user: str | None = None,
    principals: Sequence[str] = (),
    tenant: str | None = None,
) -> list[AccessExplanation]:
    """Why a caller may or may not read one passage: an explanation for each document that has or had it.

    Args:
        chunk_id: as a hit has it.

    Raises:
        UsageError: no document has such a passage.
    """
    key, _, ordinal = chunk_id.rpartition("-")
    if not re.fullmatch(r"[0-9a-f]{32}", key) or not ordinal.isdecimal():
        raise UsageError(
            f"the chunk is {chunk_id!r}; give the 'chunk_id' of a hit: 32 hex digits, -, a number"
        )
    rows = query(connection, "chunk_access", {"key": key, "ordinal": int(ordinal)}).fetchall()
    if not rows:
        raise UsageError(f"no document has a passage {chunk_id!r}; it may have been collected as garbage")
    return [_explain(connection, row, _caller_principals(user, principals), tenant) for row in rows]


def _caller_principals(user: str | None, principals: Sequence[str]) -> list[str]:
    return [*([user_principal(user)] if user else []), *principals]


def _explain(connection: Pg, row: Row, given: Sequence[str], tenant: str | None) -> AccessExplanation:
    rule = AccessRule(tuple(map(tuple, row["clauses"])), tuple(row["deny"]))
    asked = row["tenant"] if tenant is None else tenant
    named = {principal for clause in rule.clauses for principal in clause} | {*rule.deny}
    with connection.transaction():
        memberships = memberships_of(connection, asked, [EVERYONE, *given])
        names = group_names(connection, asked, named)
        verdict = judge(rule, given, memberships, names)
        document = _document(connection, row)
    former = None
    reasons = [*_reasons(document, verdict, asked)]
    if row.get("former_tenant") is not None:
        before = AccessRule(tuple(map(tuple, row["former_clauses"])), tuple(row["former_deny"]))
        former = judge(before, given, memberships, names)
        if not former.passes or row["former_tenant"] != asked:
            why = "may have changed and could not be loaded" if row["doubted"] else "was changed"
            reasons.append(
                f"the document's text {why} after this passage; who did not pass its rule then may not"
            )
    hints = tuple(_hints(document, verdict, given, named))
    return AccessExplanation(
        asked, document, verdict, tuple(reasons), hints, former, tuple(row.get("heading_path", ()))
    )


def _ways(given: Iterable[str], memberships: Iterable[Membership]) -> dict[str, tuple[Membership, ...]]:
    """Every principal that follows from `given`, with a shortest chain of memberships to it."""
    groups: dict[str, list[Membership]] = {}
    for one in memberships:
        groups.setdefault(one.member, []).append(one)
    ways: dict[str, tuple[Membership, ...]] = dict.fromkeys(given, ())
    ahead = deque(ways)
    while ahead:
        member = ahead.popleft()
        for step in groups.get(member, ()):
            if step.group not in ways:
                ways[step.group] = (*ways[member], step)
                ahead.append(step.group)
    return ways


def _document(connection: Pg, row: Row) -> DocumentState:
    passages = {}
    for version in query(connection, "live_storages").fetchall():
        params = {name: row.get(name) for name in ("document_id", "chunk_set_id", "ordinal")}
        parts = {"vectors": f"vectors_{version['storage']}"}
        found = query(connection, "passages_in_version", params, parts).fetchone()
        assert found is not None
        if found["passages"]:
            passages[version["index_name"]] = found["passages"]
    facts = {name: row[name] for name in DocumentState.__struct_fields__ if name != "passages"}
    return DocumentState(**facts, passages=passages)


def _reasons(document: DocumentState, verdict: Verdict, tenant: str) -> Iterable[str]:
    if document.tenant != tenant:
        yield f"the document belongs to tenant {document.tenant!r}, not to {tenant!r}"
    if document.state == "tombstoned":
        yield "the document is deleted at the source and hidden from every query"
    if document.off is not None:
        yield f"source {document.source} is switched off: {document.off}"
    if any(not clause.principals for clause in verdict.clauses):
        yield "access is closed: it is unknown, could not be read, or is granted to nobody"
    for number, clause in enumerate(verdict.clauses, 1):
        if clause.principals and not clause.holds:
            yield f"the caller has no principal of clause {number}"
    if verdict.denied_by:
        yield f"{', '.join(verdict.denied_by)} is denied"


def _hints(
    document: DocumentState, verdict: Verdict, given: Sequence[str], named: Iterable[str]
) -> Iterable[str]:
    if document.state == "missing":
        yield "the source did not list the document any more; its deletion waits for a person"
    if not document.passages:
        status = f"its status is {document.status}"
        yield f"no live version of an index holds it, so no search finds it; {status}"
    known = {held.principal for held in verdict.held if held.through}
    known |= {step.member for held in verdict.held for step in held.through} | {*named}
    for principal in given if {*named} - {EVERYONE} else ():
        if principal not in known:
            spelling = "is it spelled as in the source?"
            yield f"no group has {principal} as a member and the rule does not name it; {spelling}"


def _explain_missing(connection: Pg, source: str, external_id: str) -> str:
    failure = query(connection, "open_failure", {"source": source, "external_id": external_id}).fetchone()
    held = f"source {source!r} holds no document {external_id!r}"
    if failure:
        return (
            f"{held}: it failed at stage {failure['stage']} ({failure['error_class']}: {failure['message']})"
        )
    return f"{held}; give its id as the search shows it in 'external_id', after the source and a colon"
