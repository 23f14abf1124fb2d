"""The access gate: callers of every kind see of a version exactly what the rules give them.

What belongs here: the callers, the oracle, and the comparison. What does not: enforcing
(`sql/queries/search.sql` and the policies), explaining to people (`query.access`).

The oracle decides in Python from rules and memberships as they are stored; nothing of it is shared with the
SQL that it judges. Callers are real users and groups, and those who would profit from a mistake: nobody,
somebody with every principal but one of a rule, somebody who has all that is asked for and is denied,
somebody of another tenant. The same seed asks the same again.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg import sql

from rag_pipelines.index.versions import Gate
from rag_pipelines.model import EVERYONE, AccessRule
from rag_pipelines.query.filter_predicate import NO_FILTER
from rag_pipelines.store.database import Part, Pg, composed, query

if TYPE_CHECKING:
    from rag_pipelines.index.gates import Subject

SEED = 20
DOCUMENTS = 2_000
"""Documents whose visibility is compared in full, the same ones each time, spread over the version."""

RULES = 4
"""Rules whose edge is tried, by a caller with all but one of their principals and one who is denied."""

QUESTIONS = 3
K = 50
SHOWN = 10
"""Faults that are kept of each kind."""

Passage = tuple[int, int]
"""A document and one of its chunk sets."""


class Caller(NamedTuple):
    """Somebody who searches; `kind` says what is special about them."""

    kind: str
    tenant: str
    principals: tuple[str, ...]


class Facts(NamedTuple):
    """What decides about a chunk set of a document; `former` is the rule of text that it no longer has."""

    tenant: str
    deleted: bool
    rule: AccessRule
    former: tuple[str, AccessRule] | None = None


class Oracle:
    """Who may read what, by rules and memberships: ``(tenant, group, member)``."""

    def __init__(self, memberships: Iterable[tuple[str, str, str]]) -> None:
        self._groups: dict[tuple[str, str], list[str]] = {}
        for tenant, group, member in memberships:
            self._groups.setdefault((tenant, member), []).append(group)

    def held(self, caller: Caller) -> frozenset[str]:
        """The caller's principals, and every group that follows from them."""
        held: set[str] = set()
        ahead = [EVERYONE, *caller.principals]
        while ahead:
            principal = ahead.pop()
            if principal not in held:
                held.add(principal)
                ahead += self._groups.get((caller.tenant, principal), [])
        return frozenset(held)

    def may_read(self, caller: Caller, held: Collection[str], facts: Facts) -> bool:
        """Whether a caller who holds these principals may read a text."""
        if facts.deleted or facts.tenant != caller.tenant or not _passes(facts.rule, held):
            return False
        return facts.former is None or (facts.former[0] == caller.tenant and _passes(facts.former[1], held))


def _passes(rule: AccessRule, held: Collection[str]) -> bool:
    if any(principal in held for principal in rule.deny):
        return False
    return all(any(principal in held for principal in clause) for clause in rule.clauses)


def callers(
    tenants: Sequence[str], rules: Sequence[AccessRule], members: Sequence[str], rng: random.Random
) -> list[Caller]:
    """Callers of every kind, of the tenants that there are and of one that there is not."""
    named = sorted({one for rule in rules for clause in rule.clauses for one in clause})
    everything = tuple(sorted({*named, *members}))
    found = [Caller("other tenant", "\N{REPLACEMENT CHARACTER}", everything)]
    for tenant in tenants:
        found.append(Caller("nobody", tenant, ()))
        found.append(Caller("everything", tenant, everything))
        for kind, some in (("member", members), ("principal", named)):
            found += [Caller(kind, tenant, (one,)) for one in rng.sample(some, min(RULES, len(some)))]
        restricted = [rule for rule in rules if rule.clauses and not rule.closed]
        for rule in rng.sample(restricted, min(RULES, len(restricted))):
            clause = rng.choice(rule.clauses)
            others = {one for other in rule.clauses for one in other}.difference(clause)
            found.append(Caller("all clauses but one", tenant, tuple(sorted(others))))
            found.append(
                Caller("all but one", tenant, tuple(sorted({*everything}.difference([rng.choice(clause)]))))
            )
        denying = [rule for rule in rules if rule.deny]
        for rule in rng.sample(denying, min(RULES, len(denying))):
            wanted = {one for clause in rule.clauses for one in clause}
            found.append(Caller("denied", tenant, (*sorted(wanted), rng.choice(rule.deny))))
    return found


def access_proof(subject: Subject) -> Gate:
    """Every caller sees exactly what the oracle gives them: by id, by vector and by word, and as a reader."""
    connection = subject.connection
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        connection.execute("SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true)")
        return _Proof(subject).run()


class _Proof:
    """One proof over one snapshot."""

    def __init__(self, subject: Subject) -> None:
        self._connection: Pg = subject.connection
        document = composed("visible_document", {"filters": NO_FILTER.sql})
        self._parts: dict[str, Part] = {
            **subject.storage.parts("vectors", "lexical", "type"),
            "visible": composed("visible", {"document": document, "text": composed("current_text")}),
            "caller": composed("proof_caller", {"passes": composed("passes")}),
        }
        self._rng = random.Random(SEED)
        self._facts: dict[Passage, Facts] = {}
        self._leaks: list[dict[str, Any]] = []
        self._denials: list[dict[str, Any]] = []
        self._decisions = self._leaked = self._denied = 0
        rows = query(self._connection, "proof_memberships").fetchall()
        self._oracle = Oracle((row["tenant"], row["principal"], row["member"]) for row in rows)
        self._members = sorted({row["member"] for row in rows})
        self._reader = self._usable_reader()

    def run(self) -> Gate:
        sample = self._sample()
        tenants = sorted({facts.tenant for facts in self._facts.values()})
        rules = sorted({facts.rule for facts in self._facts.values()}, key=repr)
        asking = callers(tenants, rules, self._members, self._rng)
        questions = query(self._connection, "proof_questions", {"sample": QUESTIONS}, self._parts).fetchall()
        for caller in asking:
            held = self._oracle.held(caller)
            expected = {one for one in sample if self._oracle.may_read(caller, held, self._facts[one])}
            for way, seen in self._by_id(caller, sample):
                self._compare(caller, way, seen, expected, len(sample))
            for question in questions:
                for way, seen in self._by_search(caller, question):
                    self._learn(seen)
                    allowed = {one for one in seen if self._oracle.may_read(caller, held, self._facts[one])}
                    self._compare(caller, way, seen, allowed, len(seen))
        detail = {
            "seed": SEED,
            "callers": len(asking),
            "kinds": sorted({caller.kind for caller in asking}),
            "passages": len(sample),
            "decisions": self._decisions,
            "leaked": self._leaked,
            "denied": self._denied,
            "reader": self._reader,
            "leaks": self._leaks,
            "denials": self._denials,
        }
        wrong = self._leaked + self._denied
        return Gate("access_proof", wrong == 0 and self._decisions > 0, float(wrong), 0.0, detail)

    def _sample(self) -> set[Passage]:
        rows = query(self._connection, "proof_sample", {"sample": DOCUMENTS}, self._parts).fetchall()
        sample = {(row["document_id"], row["chunk_set_id"]) for row in rows}
        self._learn(sample)
        return sample & self._facts.keys()

    def _learn(self, passages: Iterable[Passage]) -> None:
        """Fetch what decides about passages that are new to us."""
        unknown = [one for one in passages if one not in self._facts]
        if not unknown:
            return
        params = {"documents": [one[0] for one in unknown], "sets": [one[1] for one in unknown]}
        for row in query(self._connection, "proof_facts", params):
            rule = _rule(row["clauses"], row["deny"])
            former = (row["former_tenant"], _rule(row["former_clauses"], row["former_deny"]))
            self._facts[row["document_id"], row["chunk_set_id"]] = Facts(
                row["tenant"], row["deleted"], rule, None if row["former_tenant"] is None else former
            )

    def _by_id(self, caller: Caller, sample: set[Passage]) -> Iterator[tuple[str, set[Passage]]]:
        """What the caller gets of the sampled documents when they are asked for by id."""
        documents = sorted({document for document, _ in sample})
        for table in ("vectors", "lexical"):
            parts = {**self._parts, "table": self._parts[table]}
            params = {**_asked(caller), "documents": documents}
            rows = query(self._connection, "proof_by_id", params, parts)
            yield f"{table} by id", {(row["document_id"], row["chunk_set_id"]) for row in rows} & sample
            if self._reader is not None:
                with self._as_reader(caller):
                    rows = query(self._connection, "proof_as_reader", {"documents": documents}, parts)
                    seen = {(row["document_id"], row["chunk_set_id"]) for row in rows}
                yield f"{table} as reader", seen & sample

    def _by_search(self, caller: Caller, question: dict[str, Any]) -> Iterator[tuple[str, set[Passage]]]:
        """What the caller finds by a passage's vector, approximately and exactly, and by its words."""
        for way, name, order in (
            ("approximate", "proof_dense", sql.SQL("")),
            ("exact", "proof_dense", sql.SQL("+ 0")),
            ("lexical", "proof_lexical", sql.SQL("")),
        ):
            params = {**_asked(caller), **question, "k": K}
            rows = query(self._connection, name, params, {**self._parts, "order": order})
            yield way, {(row["document_id"], row["chunk_set_id"]) for row in rows}

    def _compare(
        self, caller: Caller, way: str, seen: set[Passage], expected: set[Passage], decisions: int
    ) -> None:
        self._decisions += decisions
        for wrong, kept in ((seen - expected, self._leaks), (expected - seen, self._denials)):
            shown = sorted(wrong)[: max(SHOWN - len(kept), 0)]
            kept += [
                {
                    "caller": caller.kind,
                    "tenant": caller.tenant,
                    "principals": list(caller.principals[:SHOWN]),
                    "way": way,
                    "document_id": document,
                    "chunk_set_id": chunk_set,
                }
                for document, chunk_set in shown
            ]
        self._leaked += len(seen - expected)
        self._denied += len(expected - seen)

    def _usable_reader(self) -> str | None:
        """A reader's role that this login may take on to try the policies; None where there is none."""
        row = query(self._connection, "proof_reader").fetchone()
        return row["role"] if row else None

    @contextmanager
    def _as_reader(self, caller: Caller) -> Iterator[None]:
        assert self._reader is not None
        with self._connection.transaction(force_rollback=True):
            role = sql.Identifier(self._reader)
            params = {"tenant": caller.tenant, "principals": [EVERYONE, *caller.principals]}
            query(self._connection, "read_as", params)
            self._connection.execute(sql.SQL("SET LOCAL ROLE {}").format(role))
            yield


def _asked(caller: Caller) -> dict[str, Any]:
    """The caller as the search's own fragments take it."""
    return {"tenant": caller.tenant, "principals": [EVERYONE, *caller.principals]}


def _rule(clauses: Sequence[Sequence[str]] | None, deny: Sequence[str] | None) -> AccessRule:
    return AccessRule(tuple(map(tuple, clauses or ())), tuple(deny or ()))
