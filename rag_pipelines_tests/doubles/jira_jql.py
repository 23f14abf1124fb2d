"""JQL as the doubles of Jira understand it: enough for connectors' queries and for a person's filter.

What belongs here: reading a query, judging issues by it, and the words in which Jira refuses one.
What does not: paging and answers (`jira`).

    query      = or [ORDER BY key [ASC]]
    or         = and {OR and}         and = term {AND term}         term = (or) | NOT term | condition
    condition  = field (= | != | >= | <) value | field [NOT] IN (value, …)
    field      = project | id | key | updated | status | type | labels

A time has minutes and no zone; it is read in the account's. Names that do not exist are refused, unless the
query is not strict: then they match nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

from rag_pipelines_tests.doubles.jira_state import Issue, Site

Predicate = Callable[[Issue], bool]

_TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')"""
    r"""|(?P<sign>>=|<=|!=|[=<>(),])|(?P<word>[^\s"'=<>!(),]+))"""
)
_DATES = ("%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M", "%Y-%m-%d", "%Y/%m/%d")


class Refused(Exception):
    """Jira does not accept the query; the message is what it says."""


def parse(text: str, site: Site, *, strict: bool = True) -> Predicate:
    """Which issues `text` finds. Raises `Refused`."""
    return _Parser(text, site, strict).query()


class _Parser:
    def __init__(self, text: str, site: Site, strict: bool) -> None:
        self._site = site
        self._strict = strict
        self._tokens: list[tuple[str, str]] = []
        at = 0
        text = text.strip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise Refused(f"Error in the JQL Query: the character '{text[at]}' is not expected.")
            kind = match.lastgroup or ""
            value = match[kind]
            self._tokens.append((kind, re.sub(r"\\(.)", r"\1", value[1:-1]) if kind == "quoted" else value))
            at = match.end()
        self._at = 0

    def query(self) -> Predicate:
        if not self._tokens or self._is_word("order"):
            raise Refused("Unbounded JQL queries are not allowed here. Please add a search restriction.")
        found = self._any_of()
        if self._take_word("order") and not (self._take_word("by") and self._take_word("key")):
            raise Refused("Error in the JQL Query: only ORDER BY key is known to this double.")
        self._take_word("asc")
        if self._at < len(self._tokens):
            raise Refused(f"Error in the JQL Query: Expecting end of query but got '{self._next()[1]}'.")
        return found

    def _any_of(self) -> Predicate:
        parts = [self._all_of()]
        while self._take_word("or"):
            parts.append(self._all_of())
        return parts[0] if len(parts) == 1 else lambda issue: any(part(issue) for part in parts)

    def _all_of(self) -> Predicate:
        parts = [self._term()]
        while self._take_word("and"):
            parts.append(self._term())
        return parts[0] if len(parts) == 1 else lambda issue: all(part(issue) for part in parts)

    def _term(self) -> Predicate:
        if self._take_word("not"):
            inner = self._term()
            return lambda issue: not inner(issue)
        if self._take_sign("("):
            inner = self._any_of()
            self._expect(")")
            return inner
        return self._condition()

    def _condition(self) -> Predicate:
        field = self._next()[1].lower()
        kind, operator = self._next()
        operator = operator.lower()
        if kind == "word" and operator == "not" and self._take_word("in"):
            operator = "not in"
        if operator in ("in", "not in"):
            self._expect("(")
            values = [self._next()[1]]
            while self._take_sign(","):
                values.append(self._next()[1])
            self._expect(")")
        else:
            values = [self._next()[1]]
        return self._judge(field, operator, values)

    def _judge(self, field: str, operator: str, values: list[str]) -> Predicate:
        if field == "updated":
            moment = self._moment(values[0])
            if operator == ">=":
                return lambda issue: issue.updated >= moment
            if operator == "<":
                return lambda issue: issue.updated < moment
        elif operator in ("=", "!=", "in", "not in"):
            among = self._among(field, values)
            return among if operator in ("=", "in") else lambda issue: not among(issue)
        raise Refused(f"The operator '{operator}' is not supported by the '{field}' field.")

    def _among(self, field: str, values: list[str]) -> Predicate:
        if field == "project":
            keys = {value for value in values if self._known_project(value)}
            return lambda issue: issue.project in keys
        if field in ("id", "key", "issue", "issuekey"):
            ids = {issue.id for value in values if (issue := self._known_issue(field, value))}
            return lambda issue: issue.id in ids
        wanted = {value.lower() for value in values}
        if field == "status":
            return lambda issue: issue.status.lower() in wanted
        if field in ("type", "issuetype"):
            return lambda issue: issue.type.lower() in wanted
        if field == "labels":
            return lambda issue: any(label.lower() in wanted for label in issue.labels)
        raise Refused(f"Field '{field}' does not exist or you do not have permission to view it.")

    def _known_project(self, key: str) -> bool:
        project = self._site.projects.get(key)
        if (project is None or project.archived) and self._strict:
            raise Refused(f"The value '{key}' does not exist for the field 'project'.")
        return project is not None

    def _known_issue(self, field: str, value: str) -> Issue | None:
        issue = self._site.find(value)
        if issue is not None and issue.id not in self._site.hidden and issue.archived is None:
            return issue
        if self._strict:
            if value.isdigit():
                raise Refused(f"A value with ID '{value}' does not exist for the field '{field}'.")
            raise Refused(f"An issue with key '{value}' does not exist for field '{field}'.")
        return None

    def _moment(self, text: str) -> datetime:
        for pattern in _DATES:
            try:
                return datetime.strptime(text, pattern).replace(tzinfo=self._site.zone)
            except ValueError:
                continue
        raise Refused(
            f"Date value '{text}' for field 'updated' is invalid. Valid formats include: 'yyyy/MM/dd HH:mm', "
            "'yyyy-MM-dd HH:mm', 'yyyy/MM/dd', 'yyyy-MM-dd', or a period format e.g. '-5d', '4w 2d'."
        )

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise Refused("Error in the JQL Query: the query ends too early.")
        self._at += 1
        return self._tokens[self._at - 1]

    def _is_word(self, word: str) -> bool:
        return self._at < len(self._tokens) and (
            self._tokens[self._at][0] == "word" and self._tokens[self._at][1].lower() == word
        )

    def _take_word(self, word: str) -> bool:
        if self._is_word(word):
            self._at += 1
            return True
        return False

    def _take_sign(self, sign: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == ("sign", sign):
            self._at += 1
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._take_sign(sign):
            raise Refused(f"Error in the JQL Query: Expecting '{sign}'.")
