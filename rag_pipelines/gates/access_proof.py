"""The access gate: callers of every kind see of a version exactly what the rules give them.

Of a version that caught up, the documents that changed are looked at, and some of the rest.

What belongs here: the callers, the oracle, and the comparison. What does not: enforcing
(`sql/queries/search.sql` and the policies), explaining to people (`query.explain_access`).

The oracle decides in Python from rules and memberships as they are stored; nothing of it is shared with the
SQL that it judges. Callers are real users and groups, and those who would profit from a mistake: nobody,
somebody with every principal but one of a rule, somebody who has all that is asked for and is denied,
somebody of another tenant. The same seed asks the same again.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from psycopg import sql

from rag_pipelines.index.gate_results import Gate
from rag_pipelines.model import EVERYONE, AccessRule
from rag_pipelines.query.caching import UNKNOWN
from rag_pipelines.query.filter_predicate import NO_FILTER
from rag_pipelines.store.database import Part, Pg, Row, compose_query, query

if TYPE_CHECKING:
    from rag_pipelines.gates.subject import Subject
    from rag_pipelines.query.hits import Mode
    from rag_pipelines.query.statement import VersionSearch

SEED = 20
DOCUMENTS = 2_000
"""Documents whose visibility is compared in full, the same ones each time, spread over the version."""

RULES = 4
"""Rules whose edge is tried, by a caller with all but one of their principals and one who is denied."""

QUESTIONS = 3

K, FEW = 50, 5
"""Hits that are asked for; few of an approximate search, which compares everything where it finds too few."""

SHOWN = 10
"""Faults that are kept of each kind."""

TIE = 1e-6
"""Scores closer than this are equal."""

SEARCH = {"fixed": True, "quoted": (), "candidates": 100, "foremost": 100, "dense_weight": 1.0, "rrf_k": None}
"""What the search statement takes beside the caller and the question."""

PassageKey = tuple[int, int]
"""A document and one of its chunk sets."""


class SampleCaller(NamedTuple):
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


class PassageProbe(NamedTuple):
    """A stored passage asked for: how near each sampled passage is to it, where one way compares them
    all, and which have one of its words."""

    vector: str
    text: str
    nearness: dict[PassageKey, float]
    matching: set[PassageKey]


class Way(NamedTuple):
    """A way of searching, for so many hits."""

    name: str
    search: VersionSearch
    mode: Mode
    k: int

    @property
    def exact(self) -> bool:
        """Whether all that the caller may see is compared."""
        return self.name == "exact"


class Oracle:
    """Who may read what, by rules and memberships: ``(tenant, group, member)``."""

    def __init__(self, memberships: Iterable[tuple[str, str, str]]) -> None:
        self._groups: dict[tuple[str, str], list[str]] = {}
        for tenant, group, member in memberships:
            self._groups.setdefault((tenant, member), []).append(group)

    def effective_principals(self, caller: SampleCaller) -> frozenset[str]:
        """The caller's principals, and every group that follows from them."""
        held: set[str] = set()
        ahead = [EVERYONE, *caller.principals]
        while ahead:
            principal = ahead.pop()
            if principal not in held:
                held.add(principal)
                ahead += self._groups.get((caller.tenant, principal), [])
        return frozenset(held)

    def may_read(self, caller: SampleCaller, held: Collection[str], facts: Facts) -> bool:
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
) -> list[SampleCaller]:
    """Callers of every kind, of the tenants that there are and of one that there is not."""
    named = sorted({one for rule in rules for clause in rule.clauses for one in clause})
    everything = tuple(sorted({*named, *members}))
    found = [SampleCaller("other tenant", "\N{REPLACEMENT CHARACTER}", everything)]
    for tenant in tenants:
        found.append(SampleCaller("nobody", tenant, ()))
        found.append(SampleCaller("everything", tenant, everything))
        for kind, some in (("member", members), ("principal", named)):
            found += [SampleCaller(kind, tenant, (one,)) for one in rng.sample(some, min(RULES, len(some)))]
        restricted = [rule for rule in rules if rule.clauses and not rule.closed]
        for rule in rng.sample(restricted, min(RULES, len(restricted))):
            clause = rng.choice(rule.clauses)
            others = {one for other in rule.clauses for one in other}.difference(clause)
            found.append(SampleCaller("all clauses but one", tenant, tuple(sorted(others))))
            found.append(
                SampleCaller(
                    "all but one", tenant, tuple(sorted({*everything}.difference([rng.choice(clause)])))
                )
            )
        denying = [rule for rule in rules if rule.deny]
        for rule in rng.sample(denying, min(RULES, len(denying))):
            wanted = {one for clause in rule.clauses for one in clause}
            found.append(SampleCaller("denied", tenant, (*sorted(wanted), rng.choice(rule.deny))))
    return found


def access_proof(subject: Subject) -> Gate:
    """Every caller sees exactly what the oracle gives them: by id, by vector and by word, and as a reader."""
    connection = subject.connection
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        for name, value in (
            ("hnsw.iterative_scan", "relaxed_order"),
            ("plan_cache_mode", "force_generic_plan"),
        ):
            connection.execute("SELECT set_config(%s, %s, true)", (name, value))
        return _Proof(subject).run()


class _Proof:
    """One proof over one snapshot."""

    def __init__(self, subject: Subject) -> None:
        from rag_pipelines.query.statement import VersionSearch

        self._subject = subject
        self._connection: Pg = subject.connection
        walked, compared = VersionSearch(subject.version, 1), VersionSearch(subject.version, 2**31)
        document = compose_query("visible_document", {"filters": NO_FILTER.sql})
        self._parts: dict[str, Part] = {
            **subject.storage.parts("vectors", "lexical", "documents", "type", "language"),
            "spread": subject.spread,
            "visible": compose_query(
                "visible", {"document": document, "text": compose_query("current_text")}
            ),
            "caller": compose_query("proof_caller", {"caller": walked.parts["caller"]}),
        }
        whole = (Way("exact", compared, "dense", K),) if subject.whole else ()
        self._ways = (
            Way("approximate", walked, "dense", FEW),
            *whole,
            Way("lexical", walked, "lexical", K),
            Way("hybrid", walked, "hybrid", FEW),
        )
        has_documents = subject.version.spec.average_document_length is not None
        self._tables = ("vectors", "lexical", *(("documents",) if has_documents else ()))
        self._sets: dict[Any, int] = {}
        self._rng = random.Random(SEED)
        self._facts: dict[PassageKey, Facts] = {}
        self._sharing: set[PassageKey] = set()
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
        questions = self._questions(sample)
        for as_reader in (False, True) if self._reader else (False,):
            for caller in asking:
                held = self._oracle.effective_principals(caller)
                expected = {one for one in sample if self._oracle.may_read(caller, held, self._facts[one])}
                if as_reader:
                    for way, seen, due in self._as_stored(caller, held, sample, expected):
                        self._compare(caller, way, seen, due, len(sample))
                else:
                    for way, seen in self._by_id(caller, sample):
                        self._compare(caller, way, seen, expected, len(sample))
                for way, seen, due in self._by_search(caller, questions, expected, as_reader):
                    self._learn(seen)
                    allowed = {one for one in seen if self._oracle.may_read(caller, held, self._facts[one])}
                    self._compare(caller, way, seen, allowed | due, len(seen | due))
        detail = {
            "seed": SEED,
            "callers": len(asking),
            "kinds": sorted({caller.kind for caller in asking}),
            "judged": "whole" if self._subject.whole else "changed",
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

    def _sample(self) -> set[PassageKey]:
        if self._subject.whole:
            rows = query(self._connection, "proof_sample", {"sample": DOCUMENTS}, self._parts).fetchall()
        else:
            params = {"sample": DOCUMENTS // 2, "version_id": self._subject.version.version_id}
            rows = query(self._connection, "proof_changed_sample", params, self._parts).fetchall()
        sample = {(row["document_id"], row["chunk_set_id"]) for row in rows}
        rows = query(self._connection, "proof_sharing", {"sets": [one[1] for one in sample]}).fetchall()
        self._sharing = {(row["document_id"], row["chunk_set_id"]) for row in rows}
        self._learn(sample | self._sharing)
        return sample & self._facts.keys()

    def _questions(self, sample: set[PassageKey]) -> list[PassageProbe]:
        documents = sorted({document for document, _ in sample})
        whole = compose_query("proof_question_rows", self._subject.storage.parts("vectors"))
        parts = {**self._parts, "chosen": whole if self._subject.whole else self._subject.spread}
        asked = query(self._connection, "proof_questions", {"sample": QUESTIONS}, parts).fetchall()
        matching: list[set[PassageKey]] = [set() for _ in asked]
        words = {"documents": documents, "words": [row["words"] or None for row in asked]}
        for row in query(self._connection, "proof_matching", words, self._parts):
            matching[row["question"]].add((row["document_id"], row["chunk_set_id"]))
        return [
            PassageProbe(row["vector"], row["text"], self._nearness(row["vector"], documents), matches)
            for row, matches in zip(asked, matching, strict=True)
        ]

    def _nearness(self, vector: str, documents: list[int]) -> dict[PassageKey, float]:
        """How near each document is to a vector, where a search is tried that compares them all."""
        if not any(way.exact for way in self._ways):
            return {}
        params = {"documents": documents, "vector": vector}
        rows = query(self._connection, "proof_nearness", params, self._parts)
        return {(row["document_id"], row["chunk_set_id"]): row["nearness"] for row in rows}

    def _learn(self, passages: Iterable[PassageKey]) -> None:
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

    def _by_id(self, caller: SampleCaller, sample: set[PassageKey]) -> Iterator[tuple[str, set[PassageKey]]]:
        """What the search's predicate gives the caller of the sampled documents, asked by id."""
        params: dict[str, Any] = {
            **UNKNOWN._asdict(),
            **_search_params(caller),
            "documents": sorted({document for document, _ in sample}),
        }
        for table in self._tables:
            rows = query(
                self._connection, "proof_by_id", params, {**self._parts, "table": self._parts[table]}
            )
            yield f"{table} by id", {(row["document_id"], row["chunk_set_id"]) for row in rows} & sample

    def _as_stored(
        self, caller: SampleCaller, held: Collection[str], sample: set[PassageKey], readable: set[PassageKey]
    ) -> Iterator[tuple[str, set[PassageKey], set[PassageKey]]]:
        """What the policies alone give of every table with text, asked by id, and what they should give.

        A document shows itself although one of its texts is withheld; text shows with any of its documents.
        """
        params = {
            "documents": sorted({document for document, _ in sample}),
            "sets": sorted({chunk_set for _, chunk_set in sample}),
        }
        with self._as_reader(caller):
            rows = {
                table: query(self._connection, "proof_rows", params, {"table": self._parts[table]}).fetchall()
                for table in self._tables
            }
            shown = {row["document_id"] for row in query(self._connection, "proof_documents", params)}
            texts = {
                table: {
                    row["chunk_set_id"]
                    for row in query(self._connection, "proof_texts", params, {"table": table})
                }
                for table in ("chunk_set", "chunk")
            }
        for table, found in rows.items():
            seen = {(row["document_id"], row["chunk_set_id"]) for row in found}
            yield f"{table} as reader", seen & sample, readable
        now = {one: self._facts[one]._replace(former=None) for one in sample}
        mine = {one for one in sample if self._oracle.may_read(caller, held, now[one])}
        yield "document as reader", {one for one in sample if one[0] in shown}, mine
        let_in = {
            chunk_set
            for document, chunk_set in self._sharing
            if self._oracle.may_read(caller, held, self._facts[document, chunk_set])
        }
        due = {one for one in sample if one[1] in let_in}
        for table, sets in texts.items():
            yield f"{table} as reader", {one for one in sample if one[1] in sets}, due

    def _by_search(
        self,
        caller: SampleCaller,
        questions: Sequence[PassageProbe],
        expected: set[PassageKey],
        as_reader: bool,
    ) -> Iterator[tuple[str, set[PassageKey], set[PassageKey]]]:
        """What the caller finds by passages' vectors, approximately and exactly, and by their words.

        With it comes which sampled passages are due among the hits: all that match where there are fewer hits
        than asked for, and of an exact search all that are nearer than the last hit.
        """
        with self._as_reader(caller) if as_reader else nullcontext():
            answers = [
                (way, question, self._hits(caller, question, way, keeps=not as_reader))
                for question in questions
                for way in self._ways
            ]
        for way, question, hits in answers:
            due = expected & question.matching if way.mode == "lexical" else expected
            if len(hits) == way.k:
                last = min(row["score"] for row in hits) + TIE
                due = {one for one in due if way.exact and question.nearness[one] > last}
            yield f"{way.name} as reader" if as_reader else way.name, self._passages(hits), due

    def _hits(self, caller: SampleCaller, question: PassageProbe, way: Way, *, keeps: bool) -> list[Row]:
        params = {
            **SEARCH,
            **_search_params(caller),
            "index_name": way.search.version.index_name,
            "vector": question.vector,
            "text": question.text,
            "k": way.k,
            "dense": way.mode != "lexical",
            "lexical": way.mode != "dense",
        }
        rows = way.search.rows(self._connection, params, NO_FILTER, keeps=keeps) or []
        return [row for row in rows if row["score"] is not None]

    def _passages(self, hits: Sequence[Row]) -> set[PassageKey]:
        unknown = [row["chunk_set_key"] for row in hits if row["chunk_set_key"] not in self._sets]
        if unknown:
            for row in query(self._connection, "find_chunk_sets", {"keys": unknown}):
                self._sets[row["key"]] = row["chunk_set_id"]
        return {(row["document_id"], self._sets[row["chunk_set_key"]]) for row in hits}

    def _compare(
        self, caller: SampleCaller, way: str, seen: set[PassageKey], expected: set[PassageKey], decisions: int
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
    def _as_reader(self, caller: SampleCaller) -> Iterator[None]:
        """Inside the block this login reads as a reader does, on behalf of the caller.

        An error inside ends the transaction, and the role with it. The role is put back by name: after a
        rollback to a savepoint the driver forgets every prepared statement, and each search is planned anew.
        """
        assert self._reader is not None
        query(self._connection, "read_as", _search_params(caller))
        self._connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(self._reader)))
        yield
        self._connection.execute("RESET ROLE")


def _search_params(caller: SampleCaller) -> dict[str, Any]:
    """The caller as the search's own fragments take it."""
    return {"tenant": caller.tenant, "principals": [EVERYONE, *caller.principals]}


def _rule(clauses: Sequence[Sequence[str]] | None, deny: Sequence[str] | None) -> AccessRule:
    return AccessRule(tuple(map(tuple, clauses or ())), tuple(deny or ()))
