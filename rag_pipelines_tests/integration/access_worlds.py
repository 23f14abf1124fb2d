"""Random worlds of rules, groups and callers, and what an oracle says of a search in one.

What belongs here: what the property tests and `benchmarks/access_proof.py` share. What does not: assertions.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from psycopg import sql

from rag_pipelines.connectors.base import Group
from rag_pipelines.gates.access_proof import Facts, Oracle, SampleCaller
from rag_pipelines.model import EVERYONE, AccessRule
from rag_pipelines.query import statement
from rag_pipelines.query.hits import Mode
from rag_pipelines.query.search import Searcher
from rag_pipelines.store.database import Database, query
from rag_pipelines.store.documents import AccessRules
from rag_pipelines.store.principals import replace_groups
from rag_pipelines.store.reader import admit_reader, reading_as
from rag_pipelines_tests.integration.test_row_security import as_role
from rag_pipelines_tests.integration.workspace import Workspace

DOCUMENTS = 40
TENANTS = ("red", "blue")
USERS = tuple(f"user:u{number}" for number in range(12))
GROUPS = tuple(f"group:g{number}" for number in range(8))
WORDS = ("kite", "anvil", "birch", "comet", "dune", "ember", "fjord", "glyph", "heron", "ivory")
MODES: tuple[Mode, ...] = ("dense", "lexical", "hybrid")
ROUTES = {"exact": statement.FEW_CHUNKS, "approximate": 1}
"""How many chunks are compared one by one: all of a world, or next to none."""


class Case(NamedTuple):
    """One search: who asks what, in which way, for how many hits."""

    caller: SampleCaller
    words: tuple[str, ...]
    mode: Mode
    route: str
    k: int


class Fault(NamedTuple):
    """How many documents were shown that must not be, and how many were not shown that must be."""

    leaked: int
    denied: int


NO_FAULT = Fault(0, 0)


class Worlds:
    """Forty live passages, each with words of its own, whose rules, deletions and groups are set at will."""

    def __init__(self, folder: Path, url: str, role: str) -> None:
        self.workspace = Workspace(folder, url, query={"cache": {"results": 0}})
        rng = random.Random(DOCUMENTS)
        self._words = [{WORDS[0], *rng.sample(WORDS[1:], 3)} for _ in range(DOCUMENTS)]
        for number, words in enumerate(self._words):
            text = f"Number {number}: {' '.join(sorted(words))}."
            self.workspace.write(f"{TENANTS[number % 2]}/d{number:02}.md", text)
        for tenant in TENANTS:
            self.workspace.write(f"{tenant}/.access.yaml", f"public: true\ntenant: {tenant}\n")
        self.workspace.refresh()
        rows = self.workspace.rows(
            "SELECT document_id, chunk_set_id, tenant FROM rag.document JOIN rag.document_chunks "
            "USING (document_id) ORDER BY name"
        )
        self.tenants = [row["tenant"] for row in rows]
        self._passages = [(row["document_id"], row["chunk_set_id"]) for row in rows]
        self._sources: dict[str, int] = {}
        with self.workspace.database.connection() as connection:
            admit_reader(connection, role)
            for tenant in TENANTS:
                row = connection.execute(
                    "INSERT INTO rag.source (name, connector, tenant) VALUES (%s, 'none', %s) "
                    "RETURNING source_id",
                    (tenant, tenant),
                ).fetchone()
                assert row is not None
                self._sources[tenant] = row["source_id"]
            (version,) = query(connection, "version_storages").fetchall()
        self._text_tables = ("chunk", f"vectors_{version['storage']}", f"lexical_{version['storage']}")
        self.owner = self.searcher()
        self.reader_url = as_role(url, role)
        self.workspace.document["database"]["reader_url"] = self.reader_url
        self.reader = self.searcher()
        self._login = Database(self.reader_url)
        self._facts: Sequence[Facts] = ()
        self._oracle = Oracle(())

    def searcher(self) -> Searcher:
        """A searcher by the configuration as it stands, with the statements as they stand."""
        return Searcher(self.workspace.database, self.workspace.settings, "main")

    def make(self, facts: Sequence[Facts], directories: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        """Bring the catalogue into this state: what is true of each document, and each tenant's groups."""
        assert [one.tenant for one in facts] == self.tenants
        with self.workspace.database.transaction() as connection:
            rules = AccessRules(connection)
            documents, sets = zip(*self._passages, strict=True)
            formers = [one.former for one in facts]
            connection.execute(
                "UPDATE rag.document d SET access_id = f.access_id, state = f.state "
                "FROM unnest(%s::bigint[], %s::bigint[], %s::text[]) AS f (document_id, access_id, state) "
                "WHERE d.document_id = f.document_id",
                (
                    list(documents),
                    [rules.id_of(one.rule) for one in facts],
                    ["tombstoned" if one.deleted else "present" for one in facts],
                ),
            )
            connection.execute(
                "UPDATE rag.document_content c SET tenant = f.tenant, access_id = f.access_id "
                "FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::bigint[]) "
                "AS f (document_id, chunk_set_id, tenant, access_id) "
                "WHERE c.document_id = f.document_id AND c.chunk_set_id = f.chunk_set_id",
                (
                    list(documents),
                    list(sets),
                    [former and former[0] for former in formers],
                    [former and rules.id_of(former[1]) for former in formers],
                ),
            )
            connection.execute("DELETE FROM rag.principal_group")
            for tenant, directory in directories.items():
                listed = [Group(principal=name, members=tuple(who)) for name, who in directory.items()]
                replace_groups(connection, self._sources[tenant], listed, datetime.now(UTC))
        self._facts = facts
        self._oracle = Oracle(
            (tenant, group, member)
            for tenant, directory in directories.items()
            for group, members in directory.items()
            for member in members
        )

    def ask(self, searcher: Searcher, case: Case) -> Fault:
        """What is wrong with the hits of one search."""
        with patch.object(statement, "FEW_CHUNKS", ROUTES[case.route]):
            result = searcher.search(
                " ".join(case.words),
                tenant=case.caller.tenant,
                principals=case.caller.principals,
                mode=case.mode,
                k=case.k,
            )
        found = {hit.document_id for hit in result.hits}
        asked = {
            document
            for (document, _), words in zip(self._passages, self._words, strict=True)
            if case.mode != "lexical" or words.intersection(case.words)
        }
        expected = asked & self._readable(case.caller, self._facts)
        return Fault(len(found - expected), min(case.k, len(expected)) - len(found & expected))

    def read(self, caller: SampleCaller) -> Fault:
        """What is wrong with the rows that the reader's login gives of itself, every table asked by id."""
        by_set = {chunk_set: document for document, chunk_set in self._passages}
        now = self._readable(caller, [one._replace(former=None) for one in self._facts])
        text = self._readable(caller, self._facts)
        leaked = denied = 0
        with (
            self._login.connection() as connection,
            reading_as(connection, caller.tenant, [EVERYONE, *caller.principals]),
        ):
            rows = connection.execute(
                "SELECT document_id FROM rag.document WHERE document_id = ANY(%s)", (list(by_set.values()),)
            ).fetchall()
            seen = {row["document_id"] for row in rows}
            leaked, denied = len(seen - now), len(now - seen)
            for table in self._text_tables:
                statement = sql.SQL("SELECT chunk_set_id FROM {} WHERE chunk_set_id = ANY(%s)")
                rows = connection.execute(
                    statement.format(sql.Identifier("rag", table)), (list(by_set),)
                ).fetchall()
                seen = {by_set[row["chunk_set_id"]] for row in rows}
                leaked, denied = leaked + len(seen - text), denied + len(text - seen)
        return Fault(leaked, denied)

    def _readable(self, caller: SampleCaller, facts: Sequence[Facts]) -> set[int]:
        held = self._oracle.effective_principals(caller)
        return {
            document
            for (document, _), one in zip(self._passages, facts, strict=True)
            if self._oracle.may_read(caller, held, one)
        }

    def close(self) -> None:
        """Give connections back."""
        for one in (self.owner, self.reader, self._login, self.workspace):
            one.close()


def random_rule(rng: random.Random) -> AccessRule:
    """A rule of no to three clauses; one in five denies somebody."""
    names = (*USERS, *GROUPS, EVERYONE)
    clauses = tuple(_some(rng, names, 3) for _ in range(rng.choice((0, 1, 1, 2, 3))))
    return AccessRule(clauses, _some(rng, names, 2) if rng.random() < 0.2 else ())


def random_facts(rng: random.Random, tenant: str) -> Facts:
    """What decides about one document: one in seven is deleted, one in four has lost its text since."""
    former = (rng.choice(TENANTS), random_rule(rng)) if rng.random() < 0.25 else None
    return Facts(tenant, rng.random() < 0.15, random_rule(rng), former)


def random_groups(rng: random.Random) -> dict[str, dict[str, tuple[str, ...]]]:
    """Groups in groups, of each tenant."""
    return {
        tenant: {group: _some(rng, (*USERS, *GROUPS), 4) for group in _some(rng, GROUPS, 8)}
        for tenant in TENANTS
    }


def random_case(rng: random.Random) -> Case:
    """One search by somebody; one in three of a tenant that there is not."""
    caller = SampleCaller("", rng.choice((*TENANTS, "grey")), _some(rng, (*USERS, *GROUPS), 3))
    words = tuple(rng.sample((*WORDS, "zephyr"), rng.randint(1, 3)))
    return Case(
        caller, words, rng.choice(MODES), rng.choice(tuple(ROUTES)), rng.choice((1, 3, 10, DOCUMENTS))
    )


def _some(rng: random.Random, names: Sequence[str], most: int) -> tuple[str, ...]:
    return tuple(rng.sample(names, rng.randint(0, most)))
