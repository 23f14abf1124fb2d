"""Encoded queries, as ``sysparm_query`` takes them: conditions, and the order of the rows.

What belongs here: the part of the language that integrations use. What does not: tables, HTTP.

``^`` joins conditions with and; ``^OR`` adds an alternative to the condition before it; ``^NQ`` begins a
query of its own, and rows of any of them are found (ServiceNowDocs: r_OpAvailableFiltersQueries.md and
c_TableAPI.md). Where ServiceNow ignores a condition on a field that the table lacks, and so finds everything,
this refuses it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping

Row = Mapping[str, str]
Alternatives = list[tuple[str, str, str]]
"""Conditions (field, operator, value) one of which has to hold."""

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
        self._queries: list[list[Alternatives]] = [[]]
        self._order: list[tuple[str, bool]] = []
        for part in text.split("^"):
            self._take(part)

    @property
    def standing(self) -> str:
        """What pages of one listing have in common: everything but conditions on the order's own fields."""
        return repr((self._parts(moving=False), self._order))

    def matches(self, row: Row) -> bool:
        return any(_meets(row, conditions) for conditions in self._queries)

    @property
    def looked_up(self) -> tuple[str, list[str]] | None:
        """A field and the values of which one must be in it, where such a condition is among them."""
        if len(self._queries) == 1:
            for alternatives in self._queries[0]:
                (field, operator, value), *others = alternatives
                if operator == "IN" and not others:
                    return field, value.split(",")
        return None

    def choose(self, rows: Iterable[Row]) -> list[Row]:
        """Of the rows those that the standing conditions let through, in order (of sys_id without one)."""
        parts = self._parts(moving=False)
        found = [row for row in rows if any(_meets(row, conditions) for conditions in parts)]
        found.sort(key=lambda row: row["sys_id"])
        for field, descending in reversed(self._order):
            found.sort(key=lambda row: row.get(field, ""), reverse=descending)
        return found

    def narrow(self, rows: list[Row]) -> list[Row]:
        """Of rows that `choose` gave, those that the moving conditions let through."""
        parts = self._parts(moving=True)
        if not any(parts):
            return rows
        if self._is_behind_a_key(parts[0]):
            return rows[bisect_left(rows, True, key=lambda row: _meets(row, parts[0])) :]
        return [row for row in rows if any(_meets(row, conditions) for conditions in parts)]

    def _is_behind_a_key(self, conditions: list[Alternatives]) -> bool:
        """Whether conditions ask for what comes behind a place in the order, which can be found by halves."""
        first = self._order[0][0]
        if any(descending for _, descending in self._order):
            return False
        if len(conditions) == 1:
            return [one[:2] for one in conditions[0]] in ([(first, ">")], [(first, ">=")])
        *bounds, last = conditions
        least = max(value for alternatives in bounds for _, _, value in alternatives)
        return (
            all(len(one) == 1 and one[0][:2] == (first, ">=") for one in bounds)
            and len(self._order) == len(last) == 2
            and last[0] == (first, ">", least)
            and last[1][:2] == (self._order[1][0], ">")
        )

    def _parts(self, *, moving: bool) -> list[list[Alternatives]]:
        """The conditions on fields of the order, which move from page to page, or the others."""
        if len(self._queries) > 1:
            return [] if moving else self._queries
        order = {field for field, _ in self._order}
        return [[one for one in self._queries[0] if all(field in order for field, _, _ in one) == moving]]

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


def _meets(row: Row, conditions: list[Alternatives]) -> bool:
    return all(any(_holds(row, *one) for one in alternatives) for alternatives in conditions)


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
            return f",{held}," in f",{value},"
        case "NOT IN":
            return f",{held}," not in f",{value},"
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
