"""The login that serves searches: its grants, for whom it reads, and the proof that it cannot read more.

What belongs here: the role, the settings of a transaction that the policies go by, and the probe. What does
not: the policies (`sql/objects/08_policies.sql`), and searching.

The policies trust what `reading_as` sets, so they guard against a statement that forgot whom it is for.
Whoever may send SQL of their own as this login may name any caller: its password is the service's secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from psycopg import sql

from rag_pipelines.errors import UsageError
from rag_pipelines.store.database import Pg, Row, query

OPEN_TABLES = re.compile(r"(access_rule|index_version|membership|principal_group|source)\Z")
"""What a reader sees without policies: rules, groups and versions, but nothing of documents."""

_ROLE = re.compile(r"[a-z_][a-z0-9_]{0,62}\Z")


def admit_reader(connection: Pg, role: str) -> list[str]:
    """Create the role if it is new, give it exactly what a search reads; returns what is left to do by hand.

    Raises:
        UsageError: the name cannot be a role's, or the role may read more than the policies allow.
    """
    if not _ROLE.match(role):
        raise UsageError(f"the role is {role!r}; valid: up to 63 of a-z, 0-9 and _, not a digit first")
    name = {"role": sql.Identifier(role)}
    hints: list[str] = []
    with connection.transaction():
        found = query(connection, "role", {"role": role}).fetchone()
        if found is None:
            query(connection, "create_reader", None, name)
            hints.append(f"role {role} has no password: set one unless the server trusts its socket")
        elif found["escapes"]:
            raise UsageError(
                f"role {role!r} is a superuser, bypasses row-level security or owns tables here; "
                "name another role"
            )
        query(connection, "remember_reader", {"role": role})
        query(connection, "grant_reader", None, name)
        for row in query(connection, "version_storages").fetchall():
            query(connection, "protect_storage", {"storage": row["storage"]})
        state = query(connection, "index_operators").fetchone()
        assert state is not None
        if not state["leakproof"] and state["superuser"]:
            query(connection, "trust_index_operators")
        elif not state["leakproof"]:
            hints.append(
                "words and metadata are looked for document by document until a superuser runs once: "
                "ALTER FUNCTION pg_catalog.ts_match_vq(tsvector, tsquery) LEAKPROOF; "
                "ALTER FUNCTION pg_catalog.jsonb_contains(jsonb, jsonb) LEAKPROOF"
            )
    return hints


@contextmanager
def reading_as(connection: Pg, tenant: str, principals: Sequence[str]) -> Iterator[None]:
    """A transaction in which the policies show what this caller may read.

    The caller is set without a round trip of its own: that statement travels together with what follows.
    """
    with connection.pipeline(), connection.transaction():
        query(connection, "read_as", {"tenant": tenant, "principals": list(principals)})
        yield


def prove_reader(connection: Pg) -> None:
    """Make sure that row-level security holds for this login; outside of `reading_as`.

    Raises:
        UsageError: it escapes the policies, or reads or writes a table that it must not.
    """
    faults = list(_faults(connection))
    if faults:
        raise UsageError(
            "database.reader_url does not serve searches safely: "
            + "; ".join(faults)
            + ". Make a login with `rag-pipelines access reader --role NAME` and name it there"
        )


def _faults(connection: Pg) -> Iterator[str]:
    """What is wrong with the login of a connection, in words."""
    login = query(connection, "own_role").fetchone()
    assert login is not None
    if login["escapes"]:
        name = login["role"]
        yield f"login {name} is, or may become, a superuser, a role that bypasses policies, or the owner"
        return
    relations = query(connection, "readable_relations").fetchall()
    if not any(row["name"] == "document" for row in relations):
        yield f"login {login['role']} may not read the catalogue"
    for row in relations:
        fault = _fault(row)
        if fault is None and row["active"]:
            seen = query(connection, "sees_any_row", None, {"table": row["name"]}).fetchone()
            if seen and seen["found"]:
                fault = "shows rows although no caller is set"
        if fault is not None:
            yield f"rag.{row['name']} {fault}"


def _fault(relation: Row) -> str | None:
    if relation["writable"]:
        return "may be written to by this login"
    if relation["active"] and relation["policies"]:
        return None
    return (
        None if relation["kind"] == "r" and OPEN_TABLES.match(relation["name"]) else "has no policy in force"
    )
