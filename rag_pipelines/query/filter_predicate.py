"""Filters as SQL: the predicate on a document that a filter becomes.

What belongs here: choosing fragments of `sql/queries/filters.sql` and their parameters. What does not: what
filters mean, and their limits (`filters`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from psycopg import sql
from psycopg.types.json import Jsonb

from rag_pipelines.query.filters import (
    All,
    AnyOf,
    Bound,
    Condition,
    Contains,
    Equals,
    Exists,
    Filter,
    Not,
    OneOf,
    Prefix,
    Range,
    measure,
    metadata_keys,
    values_of,
    walk,
)
from rag_pipelines.query.hits import Filters
from rag_pipelines.store.database import compose_query
from rag_pipelines.text.canonical import clean, plain_metadata

_COLUMNS = {"id": "d.external_id", "path": "d.path", "author": "d.author", "modified_at": "d.modified_at"}
_PARSE_COLUMNS = {"language": "p.language", "media_type": "p.media_type"}
_OPERATORS = {"gte": ">=", "gt": ">", "lte": "<=", "lt": "<"}


class Predicate(msgspec.Struct, frozen=True):
    """A filter as a template of SQL on a row `d` of rag.document, and the parameters that it names.

    Filters of one kind have one `text`, whatever their values, so that statements may be kept by it.
    """

    text: str
    params: Mapping[str, Any]

    @property
    def sql(self) -> sql.SQL:
        """For composing a statement."""
        return sql.SQL(self.text)


NO_FILTER = Predicate("true", {})


def predicate(chosen: Filter | Filters | None) -> Predicate:
    """What a statement needs to apply a filter. Its parameters begin with ``filter_``.

    Raises:
        UsageError: the filter is above a limit.
    """
    if isinstance(chosen, Filters):
        chosen = _of_filters(chosen)
    if chosen is None:
        return NO_FILTER
    measure(chosen)
    writing = _Writing()
    return Predicate(writing.of(chosen).as_string(), writing.params)


def without_documents(narrowing: Predicate, documents: Sequence[int]) -> Predicate:
    """The same without some documents, by their numbers: a set that is hashed once."""
    text = compose_query("filter_left_out", {"filter": narrowing.sql}).as_string()
    return Predicate(text, {**narrowing.params, "left_out": list(documents)})


def named_sources(chosen: Filter | Filters) -> set[str]:
    """The names of sources that a filter asks for or rules out, so that an unknown one can be refused."""
    if isinstance(chosen, Filters):
        return set(chosen.sources)
    named = [one for one, _ in walk(chosen) if isinstance(one, Condition) and one.field == "source"]
    return {str(value) for one in named for value in values_of(one)}


def _of_filters(given: Filters) -> Filter:
    """The plain form of a filter: everything that is given has to hold."""
    parts: list[Filter] = []
    if given.sources:
        parts.append(OneOf("source", tuple(given.sources)))
    if given.path_prefix:
        parts.append(Prefix("path", given.path_prefix))
    if given.metadata:
        parts.append(Contains(given.metadata))
    if given.since is not None or given.until is not None:
        parts.append(Range("modified_at", gte=_aware(given.since), lt=_aware(given.until)))
    return All(tuple(parts))


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


class _Writing:
    """Turns a filter into a predicate, one fresh parameter a value."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}

    def of(self, chosen: Filter) -> sql.Composable:
        match chosen:
            case All():
                return self._join(" AND ", chosen.all, "true")
            case AnyOf():
                return self._join(" OR ", chosen.any, "false")
            case Not():
                return sql.SQL("(({}) IS NOT TRUE)").format(self.of(chosen.not_))
            case Exists(exists=False):
                return self.of(Not(Exists(chosen.field, True)))
            case Contains():
                content = Jsonb(plain_metadata(dict(chosen.contains)))
                return compose_query("filter_contains", {"values": self._param([content])})
            case Condition():
                return self._condition(chosen)
        raise TypeError(f"{type(chosen).__name__} is no filter")

    def _join(self, word: str, parts: tuple[Filter, ...], empty: str) -> sql.Composable:
        if not parts:
            return sql.SQL(empty)
        return sql.SQL("({})").format(sql.SQL(word).join(map(self.of, parts)))

    def _param(self, value: Any) -> sql.Placeholder:
        name = f"filter_{len(self.params)}"
        self.params[name] = value
        return sql.Placeholder(name)

    def _condition(self, one: Condition) -> sql.Composable:
        keys = metadata_keys(one.field)
        if keys:
            return self._metadata(one, keys)
        if one.field == "source":
            return compose_query("filter_source", {"test": self._test(one, "s.name")})
        if one.field in _PARSE_COLUMNS:
            return compose_query("filter_parse", {"test": self._of_parse(one, _PARSE_COLUMNS[one.field])})
        return self._test(one, _COLUMNS[one.field])

    def _test(self, one: Condition, column: str) -> sql.Composable:
        """The condition on a column, with its text as it is."""
        subject = sql.SQL(column)
        match one:
            case Equals() | OneOf():
                return sql.SQL("{} = ANY({})").format(
                    subject, self._param([clean(str(v)) for v in values_of(one)])
                )
            case Prefix():
                return self._begins(subject, clean(one.prefix))
            case Range():
                tests = [
                    sql.SQL("{} {} {}").format(subject, sql.SQL(_OPERATORS[name]), self._param(bound))
                    for name, bound in one.bounds.items()
                ]
                return sql.SQL("({})").format(sql.SQL(" AND ").join(tests))
        return sql.SQL("{} IS NOT NULL").format(subject)

    def _begins(self, subject: sql.Composable, prefix: str) -> sql.Composable:
        """A prefix as the interval of texts that begin with it, by code points."""
        first = {"subject": subject, "first": self._param(prefix)}
        stem = prefix.rstrip(chr(sys.maxunicode))
        if not stem:
            return compose_query("filter_from", first)
        last = ord(stem[-1]) + 1
        after = stem[:-1] + chr(0xE000 if last == 0xD800 else last)
        return compose_query("filter_between", {**first, "after": self._param(after)})

    def _of_parse(self, one: Condition, column: str) -> sql.Composable:
        """The same on a language or a media type, where case does not count."""
        if isinstance(one, Equals | OneOf):
            lowered = OneOf(one.field, tuple(str(value).lower() for value in values_of(one)))
            if one.field == "language":
                return compose_query("filter_language", {"values": self._param(list(lowered.in_))})
            return self._test(lowered, f"lower({column})")
        if isinstance(one, Prefix):
            return self._test(Prefix(one.field, one.prefix.lower()), f"lower({column})")
        return self._test(one, column)

    def _metadata(self, one: Condition, keys: tuple[str, ...]) -> sql.Composable:
        if isinstance(one, Equals | OneOf):
            values = [clean(value) if isinstance(value, str) else value for value in values_of(one)]
            wanted = [Jsonb(_nest(keys, form)) for value in values for form in (value, [value])]
            return compose_query("filter_contains", {"values": self._param(wanted)})
        content: sql.Composable = sql.SQL("d.metadata")
        for key in keys:
            content += sql.SQL(" -> {}::text").format(self._param(clean(key)))
        match one:
            case Prefix():
                test = compose_query("filter_prefix", {"prefix": self._param(clean(one.prefix))})
            case Range():
                test = sql.SQL(" AND ").join(self._within(*bound) for bound in one.bounds.items())
            case _:
                test = compose_query("filter_filled")
        return compose_query("filter_metadata", {"content": content, "test": test})

    def _within(self, name: str, bound: Bound) -> sql.Composable:
        operator = sql.SQL(_OPERATORS[name])
        if isinstance(bound, datetime):
            return compose_query("filter_moment", {"operator": operator, "bound": self._param(bound)})
        return compose_query(
            "filter_number", {"operator": operator, "bound": self._param(Decimal(repr(bound)))}
        )


def _nest(keys: tuple[str, ...], value: Any) -> Any:
    for key in reversed(keys):
        value = {clean(key): value}
    return value
