"""Documents that only some may see because of what was found in them: their rule, and the source's own.

What belongs here: both rules. What does not: finding (`privacy`), and the rule that a listing gives
(`access`).

A restricted document has the source's own rule with one clause more, and keeps the former beside it: a
listing that says the same again changes nothing, and without a finding that rule holds again.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

import msgspec
from psycopg.types.json import Jsonb

from rag_pipelines.model import AccessRule
from rag_pipelines.store.database import Pg, Row, query
from rag_pipelines.store.documents import AccessRules


def restricted(rule: AccessRule, readers: Sequence[str]) -> AccessRule:
    """`rule`, and one of `readers` besides."""
    return AccessRule((*rule.clauses, tuple(readers)), rule.deny)


def restrict(connection: Pg, finding: Set[int], others: Set[int], readers: Sequence[str]) -> None:
    """In the transaction that gives documents their chunks: `finding` are restricted to `readers`, and
    `others` have the source's own rule again."""
    if not (finding or others):
        return
    rules = AccessRules(connection)
    for row in query(connection, "access_of_documents", {"ids": sorted(finding | others)}).fetchall():
        own, held = own_rule(row), row["document_id"] in finding
        params = {
            "document_id": row["document_id"],
            "access_id": rules.id_of(restricted(own, readers) if held else own),
            "own_access": stored_rule(own) if held else None,
        }
        query(connection, "set_own_access", params)


def own_rule(row: Row) -> AccessRule:
    """The source's own rule of a document, restricted or not."""
    stored = row["own_access"] or {"clauses": row["clauses"], "deny": row["deny"]}
    return msgspec.convert(stored, AccessRule)


def stored_rule(rule: AccessRule) -> Jsonb:
    """A rule as `own_access` holds it."""
    return Jsonb(msgspec.to_builtins(rule.normalised()))
