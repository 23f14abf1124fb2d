"""Filters in Postgres mean what their documentation says, document by document."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from rag_pipelines.errors import UsageError
from rag_pipelines.query.filter_predicate import predicate
from rag_pipelines.query.filters import (
    All,
    AnyOf,
    Condition,
    Contains,
    Equals,
    Exists,
    Filter,
    Not,
    OneOf,
    Prefix,
    Range,
    filter_from_json,
)
from rag_pipelines.store.database import Pg
from rag_pipelines.store.reader import admit_reader
from rag_pipelines.text.canonical import plain_metadata
from rag_pipelines_tests.integration.test_row_security import as_role, reader_role
from rag_pipelines_tests.integration.workspace import Workspace
from rag_pipelines_tests.unit.query import any_filters
from rag_pipelines_tests.unit.query.any_filters import LANGUAGES, MEDIA_TYPES, MOMENTS, SOURCES, TEXTS

__all__ = ["reader_role"]

Document = dict[str, Any]

scalars = st.one_of(st.none(), any_filters.some_scalar, st.sampled_from(TEXTS))
values = st.one_of(
    scalars,
    st.lists(scalars, max_size=3),
    st.lists(st.lists(scalars, max_size=2), max_size=2),
    st.dictionaries(st.sampled_from(("s", "n", "a", "0")), scalars, max_size=2),
)
documents = st.fixed_dictionaries(
    {
        "source": st.sampled_from(SOURCES),
        "id": st.sampled_from(TEXTS),
        "path": st.sampled_from(TEXTS),
        "author": st.none() | st.sampled_from(TEXTS),
        "modified_at": st.none() | st.sampled_from(MOMENTS),
        "language": st.none() | st.sampled_from(LANGUAGES),
        "media_type": st.none() | st.sampled_from(MEDIA_TYPES),
        "parsed": st.booleans(),
        "metadata": st.dictionaries(
            st.sampled_from(("labels", "s", "n", "deep", "a.b", "0")), values, max_size=4
        ),
    }
)


@pytest.fixture
def shelf(database_url: str) -> Iterator[Pg]:
    """A connection to a database with sources and no documents."""
    with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as connection:
        connection.execute("INSERT INTO rag.access_rule (digest, clauses) VALUES (gen_random_uuid(), '[]')")
        connection.execute("INSERT INTO rag.profile (kind, fingerprint, params) VALUES ('parser', 'x', '{}')")
        for name in SOURCES:
            connection.execute("INSERT INTO rag.source (name, connector) VALUES (%s, 'filesystem')", (name,))
        yield connection


def stored(connection: Pg, documents: list[Document]) -> None:
    """Put documents into the catalogue, as a run would have: cleaned, and numbered in their URL."""
    for number, one in enumerate(documents):
        text = {
            name: value if value is None else unicodedata.normalize("NFC", value)
            for name, value in one.items()
            if isinstance(value, str | None)
        }
        params = {
            **one,
            **text,
            "number": str(number),
            "raw": number.to_bytes(4, "big"),
            "metadata": Jsonb(plain_metadata(one["metadata"])),
        }
        if one["parsed"]:
            connection.execute(
                "INSERT INTO rag.parse (parse_id, raw_sha256, hint, profile_id, status, media_type, "
                "language) OVERRIDING SYSTEM VALUE "
                "VALUES (%(number)s, %(raw)s, '', 1, 'ok', %(media_type)s, %(language)s)",
                params,
            )
        connection.execute(
            "INSERT INTO rag.document (source_id, external_id, tenant, token, name, path, hint, url, author, "
            "metadata, attributes_key, access_id, raw_sha256, raw_bytes, parse_id, modified_at) "
            "SELECT source_id, %(id)s || '#' || %(number)s, 'acme', '', '', %(path)s, '', %(number)s, "
            "%(author)s, %(metadata)s, gen_random_uuid(), 1, %(raw)s, 0, "
            "(SELECT parse_id FROM rag.parse WHERE raw_sha256 = %(raw)s), %(modified_at)s "
            "FROM rag.source WHERE name = %(source)s",
            params,
        )


def chosen_by(connection: Pg, chosen: Filter) -> set[int]:
    """The numbers of the documents that Postgres finds."""
    found = predicate(chosen)
    statement = psycopg.sql.SQL("SELECT d.url FROM rag.document d WHERE {}").format(found.sql)
    return {int(row["url"]) for row in connection.execute(statement, found.params)}


def holds(chosen: Filter, document: Document, number: int) -> bool:
    """What the documentation of filters says about one document."""
    match chosen:
        case All():
            return all(holds(part, document, number) for part in chosen.all)
        case AnyOf():
            return any(holds(part, document, number) for part in chosen.any)
        case Not():
            return not holds(chosen.not_, document, number)
        case Contains():
            return contained(chosen.contains, document["metadata"])
        case Exists():
            return bool(values_at(chosen.field, document, number)) is chosen.exists
        case Condition():
            return any(meets(chosen, value) for value in values_at(chosen.field, document, number))
    raise AssertionError(chosen)


def values_at(field: str, document: Document, number: int) -> list[Any]:
    """What a document has in a field: nothing, a value, or the elements of a list; never null."""
    if field in ("language", "media_type") and not document["parsed"]:
        return []
    if field == "id":
        return [f"{document['id']}#{number}"]
    if field == "labels" or field.startswith("metadata"):
        value = document["metadata"]
        for key in {"labels": ["labels"], 'metadata."a.b"': ["a.b"]}.get(field, field.split(".")[1:]):
            value = value.get(key) if isinstance(value, dict) else None
    else:
        value = document[field]
    return [one for one in (value if isinstance(value, list) else [value]) if one is not None]


def meets(condition: Condition, value: Any) -> bool:
    """Whether one value meets a condition that is about a value."""
    folded = condition.field in ("language", "media_type")
    if isinstance(condition, Range):
        return all(within(name, bound, value) for name, bound in condition.bounds.items())
    if isinstance(condition, Prefix):
        prefix = normal(condition.prefix, folded)
        return isinstance(value, str) and normal(value, folded).startswith(prefix)
    wanted = [condition.equals] if isinstance(condition, Equals) else list(getattr(condition, "in_", ()))
    if condition.field == "language" and any(
        normal(value, True).startswith(f"{normal(one, True)}-") for one in wanted
    ):
        return True
    return any(same(one, value, folded) for one in wanted)


def normal(text: Any, folded: bool = False) -> str:
    """A text as it is stored, and in lower case where case does not count."""
    text = unicodedata.normalize("NFC", text)
    return text.lower() if folded else text


def same(one: Any, other: Any, folded: bool = False) -> bool:
    """Equal as JSON: types apart, 3 the same as 3.0."""
    if isinstance(one, str) and isinstance(other, str):
        return normal(one, folded) == normal(other, folded)
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return Decimal(repr(one)) == Decimal(repr(other))
    return False


def within(name: str, bound: Any, value: Any) -> bool:
    """One bound of a range."""
    left: Any
    if isinstance(bound, datetime):
        left = value if isinstance(value, datetime) else moment(value) if isinstance(value, str) else None
    else:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        left, bound = (Decimal(repr(value)) if number else None), Decimal(repr(bound))
    if left is None:
        return False
    return {"gte": left >= bound, "gt": left > bound, "lte": left <= bound, "lt": left < bound}[name]


def moment(text: str) -> datetime | None:
    """An ISO 8601 text as Python reads it; what Python reads and the standard does not say is left out."""
    if not re.match(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d|$)", text):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def contained(wanted: Any, present: dict[str, Any]) -> bool:
    """Whether an object has these members."""
    return all(key in present and same(value, present[key]) for key, value in wanted.items())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(documents, min_size=4, max_size=12),
    st.lists(any_filters.conditions | any_filters.filters, min_size=5, max_size=20),
)
def test_postgres_finds_what_the_documentation_says(
    shelf: Pg, held: list[Document], wanted: list[Filter]
) -> None:
    with shelf.transaction(force_rollback=True):
        stored(shelf, held)
        for chosen in wanted:
            expected = {number for number, one in enumerate(held) if holds(chosen, one, number)}
            assert chosen_by(shelf, chosen) == expected, chosen


EXAMPLE: Document = {
    "source": "wiki",
    "id": "page",
    "path": "Handbook/Travel_1.md",
    "author": None,
    "modified_at": datetime(2026, 3, 1, tzinfo=UTC),
    "language": "en-US",
    "media_type": "text/html",
    "parsed": True,
    "metadata": {
        "labels": ["howto", "Policy"],
        "votes": [1, 10],
        "size": 3,
        "code": "3",
        "open": True,
        "none": None,
        "empty": [],
        "created": "2026-03-01T01:00:00.000+0100",
        "deep": {"key": "value", "list": [{"key": "value"}]},
        "a.b": "dotted",
    },
}


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (Equals("labels", "howto"), True),
        (Equals("labels", "policy"), False),
        (Prefix("labels", "Pol"), True),
        (Equals("metadata.size", 3.0), True),
        (Equals("metadata.size", "3"), False),
        (Equals("metadata.code", 3), False),
        (Equals("metadata.open", 1), False),
        (OneOf("metadata.open", (False, True)), True),
        (Range("metadata.votes", gt=2, lt=9), False),
        (Range("metadata.votes", gt=9), True),
        (Range("metadata.code", gt=2), False),
        (Range("metadata.created", gte=datetime(2026, 3, 1, tzinfo=UTC)), True),
        (Range("metadata.created", gt=datetime(2026, 3, 1, tzinfo=UTC)), False),
        (Range("modified_at", lt=datetime(2026, 3, 1, 1, tzinfo=timezone(timedelta(hours=1)))), False),
        (Exists("metadata.none", True), False),
        (Exists("metadata.empty", False), True),
        (Exists("author", False), True),
        (~Equals("author", "ann"), True),
        (~Equals("metadata.absent", "x"), True),
        (~Range("metadata.absent", gt=0), True),
        (Equals("metadata.deep.key", "value"), True),
        (Equals("metadata.deep.list.key", "value"), False),
        (Equals('metadata."a.b"', "dotted"), True),
        (Equals("metadata.a.b", "dotted"), False),
        (Contains({"labels": ["howto"], "size": 3}), True),
        (Prefix("path", "Handbook/Travel_"), True),
        (Prefix("path", "Handbook/_"), False),
        (Prefix("path", "handbook/"), False),
        (Equals("language", "EN"), True),
        (Equals("language", "e"), False),
        (OneOf("language", ("de", "en-us")), True),
        (Prefix("media_type", "TEXT/"), True),
        (OneOf("source", ("docs", "wiki")), True),
        (Equals("id", "page#0"), True),
        (All(()), True),
        (AnyOf(()), False),
    ],
)
def test_what_conditions_mean(shelf: Pg, chosen: Filter, expected: bool) -> None:
    stored(shelf, [EXAMPLE])
    assert bool(chosen_by(shelf, chosen)) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T10:20", datetime(2026, 3, 1, 10, 20, tzinfo=UTC)),
        ("2026-03-01 10:20:30.5", datetime(2026, 3, 1, 10, 20, 30, 500_000, tzinfo=UTC)),
        ("2026-03-01T10:20:30.123456789Z", datetime(2026, 3, 1, 10, 20, 30, 123_456, tzinfo=UTC)),
        (
            "2026-03-01T10:20:30.000+0530",
            datetime(2026, 3, 1, 10, 20, 30, tzinfo=timezone(timedelta(hours=5.5))),
        ),
        ("2026-03-01T00:00:00-11", datetime(2026, 3, 1, 11, tzinfo=UTC)),
        ("2024-02-29", datetime(2024, 2, 29, tzinfo=UTC)),
        ("2000-02-29", datetime(2000, 2, 29, tzinfo=UTC)),
        ("1900-02-29", None),
        ("2026-04-31", None),
        ("2026-00-10", None),
        ("2026-03-01T24:00", None),
        ("2026-03-01T10:60", None),
        ("2026-03-01T10:20:3055", None),
        ("2026-03-01T10:20:30+16:00", None),
        ("2026-03-01Z", None),
        (" 2026-03-01", None),
        ("2026-03-01\n", None),
        ("٢٠٢٦-03-01", None),
        ("", None),
    ],
)
def test_texts_are_moments_where_they_are_iso_8601_and_never_an_error(
    shelf: Pg, text: str, expected: datetime | None
) -> None:
    [row] = shelf.execute("SELECT rag.moment(%s) AS moment", (text,)).fetchall()
    assert row["moment"] == expected


@pytest.mark.parametrize(
    ("chosen", "index"),
    [
        ({"field": "path", "prefix": "handbook/travel"}, "document_by_path"),
        ({"field": "path", "equals": "handbook/travel.md"}, "document_by_path"),
        ({"field": "labels", "equals": "howto"}, "document_by_metadata"),
        ({"field": "metadata.deep.key", "in": ["a", 3, True]}, "document_by_metadata"),
        ({"field": "metadata", "contains": {"deep": {"key": "a"}}}, "document_by_metadata"),
        ({"field": "modified_at", "gte": "2026-01-01", "lt": "2026-02-01"}, "document_by_time"),
        (
            {"any": [{"field": "labels", "in": ["a", "b"]}, {"field": "path", "prefix": "b/"}]},
            "document_by_metadata",
        ),
    ],
)
def test_selective_filters_have_an_index(shelf: Pg, chosen: Any, index: str) -> None:
    found = predicate(filter_from_json(chosen))
    statement = psycopg.sql.SQL("EXPLAIN SELECT 1 FROM rag.document d WHERE {}").format(found.sql)
    with shelf.transaction():
        shelf.execute("SET LOCAL enable_seqscan = off")
        plan = "\n".join(row["QUERY PLAN"] for row in shelf.execute(statement, found.params))
    assert index in plan


@pytest.fixture
def library(tmp_path: Path, database_url: str) -> Iterator[Workspace]:
    """Pages and a note that only a group may read, published."""
    made = Workspace(tmp_path, database_url)
    made.document["sources"]["docs"]["access"] = "closed"
    made.write(".access.yaml", "allow: [everyone]\n")
    made.write("guides/pump.html", "<html lang='de'><body><p>Die pump und alles, was dazu.</p></body></html>")
    made.write("guides/valve.md", "# Valve\n\nThe pump feeds the valve.")
    made.write("notes/plan.md", "# Plan\n\nA new pump.")
    made.write("notes/hr/.access.yaml", "allow: [group:hr]\n")
    made.write("notes/hr/pay.md", "# Pay\n\nWho runs the pump is paid.")
    made.refresh()
    yield made
    made.close()


GUIDES = {"guides/pump.html", "guides/valve.md"}


@pytest.mark.parametrize("mode", ["dense", "lexical", "hybrid"])
@pytest.mark.parametrize("login", ["owner", "reader"])
def test_a_search_is_narrowed_in_every_mode_and_under_every_login(
    library: Workspace, reader_role: str, mode: str, login: str
) -> None:
    if login == "reader":
        with library.database.connection() as connection:
            admit_reader(connection, reader_role)
        library.document["database"]["reader_url"] = as_role(library.url, reader_role)

    def found(filters: Filter, *principals: str) -> set[str]:
        return library.paths("pump", mode=mode, k=50, filters=filters, principals=principals)

    assert found(Prefix("path", "guides/")) == GUIDES
    assert found(~Prefix("path", "guides/")) == {"notes/plan.md"}
    assert found(~Prefix("path", "guides/"), "group:hr") == {"notes/plan.md", "notes/hr/pay.md"}
    assert found(Prefix("path", "notes/hr/") | Equals("path", "guides/valve.md")) == {"guides/valve.md"}
    assert found(Equals("media_type", "text/html")) == {"guides/pump.html"}
    assert found(Equals("source", "docs") & Exists("modified_at", True) & Prefix("path", "guides/")) == GUIDES
    assert found(All(())) == GUIDES | {"notes/plan.md"}
    assert found(Range("modified_at", lt=datetime(2000, 1, 1, tzinfo=UTC))) == set()


def test_no_filter_opens_what_is_closed(library: Workspace) -> None:
    for everything in (AnyOf((Exists("path", True), Equals("path", "x"))), ~Equals("path", "x"), All(())):
        assert "notes/hr/pay.md" not in library.paths("pump", k=50, filters=everything)


def test_a_source_that_the_index_does_not_have_is_refused_wherever_it_stands(library: Workspace) -> None:
    with pytest.raises(UsageError, match="index 'main' has no source 'wiki'; valid: docs"):
        library.search("pump", filters=Exists("path", True) | ~OneOf("source", ("docs", "wiki")))


def test_more_kinds_of_filters_than_are_kept_are_searched_all_the_same(
    library: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rag_pipelines.query.statement.STATEMENTS", 2)
    for repetition in range(2):
        for size in range(1, 5):
            chosen = AnyOf((Equals("path", "guides/valve.md"),) * size)
            assert library.paths("pump", filters=chosen) == {"guides/valve.md"}, (repetition, size)
