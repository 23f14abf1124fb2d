"""Encoded queries, as ``sysparm_query`` takes them: conditions, and the order of the rows.

What belongs here: the part of the language that integrations use. What does not: tables, HTTP.

``^`` joins conditions with and; ``^OR`` adds an alternative to the condition before it; ``^NQ`` begins a
query of its own, and rows of any of them are found (ServiceNowDocs: r_OpAvailableFiltersQueries.md and
c_TableAPI.md). Where ServiceNow ignores a condition on a field that the table lacks, and so finds everything,
this refuses it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

Row = Mapping[str, str]

_CONDITION = re.compile(
    r"(?P<field>[a-z][a-z0-9_]*)"
    r"(?P<operator>NOT IN|IN|ISNOTEMPTY|ISEMPTY|STARTSWITH|LIKE|!=|>=|<=|=|>|<)(?P<value>.*)",
    re.S,
)


class InvalidQueryError(Exception):
    """Something that is not understood."""


class Query:
    """One encoded query."""

    def __init__(self, text: str) -> None:
        self._queries: list[list[list[tuple[str, str, str]]]] = [[]]
        self._order: list[tuple[str, bool]] = []
        for part in text.split("^"):
            self._take(part)

    def matches(self, row: Row) -> bool:
        return any(
            all(any(_holds(row, *one) for one in alternatives) for alternatives in conditions)
            for conditions in self._queries
        )

    def sort(self, rows: Iterable[Row]) -> list[Row]:
        """The rows in order; without one it is that of sys_id."""
        found = sorted(rows, key=lambda row: row["sys_id"])
        for field, descending in reversed(self._order):
            found.sort(key=lambda row: row.get(field, ""), reverse=descending)
        return found

    def _take(self, part: str) -> None:
        conditions = self._queries[-1]
        if not part:
            return
        if part.startswith("ORDERBYDESC"):
            self._order.append((part.removeprefix("ORDERBYDESC"), True))
        elif part.startswith("ORDERBY"):
            self._order.append((part.removeprefix("ORDERBY"), False))
        elif part.startswith("NQ"):
            self._queries.append([[_condition(part[2:])]])
        elif part.startswith("OR"):
            if not conditions:
                raise InvalidQueryError(f"an alternative to nothing: {part}")
            conditions[-1].append(_condition(part[2:]))
        else:
            conditions.append([_condition(part)])


def _condition(text: str) -> tuple[str, str, str]:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise InvalidQueryError(f"not a condition: {text!r}")
    return match["field"], match["operator"], match["value"]


def _holds(row: Row, field: str, operator: str, value: str) -> bool:
    if field not in row:
        raise InvalidQueryError(f"no field {field!r}")
    held = row[field]
    match operator:
        case "=":
            return held == value
        case "!=":
            return held != value
        case "IN":
            return held in value.split(",")
        case "NOT IN":
            return held not in value.split(",")
        case "ISEMPTY":
            return not held
        case "ISNOTEMPTY":
            return bool(held)
        case "STARTSWITH":
            return held.startswith(value)
        case "LIKE":
            return value in held
    if not held:
        return False
    return {">": held > value, ">=": held >= value, "<": held < value, "<=": held <= value}[operator]
