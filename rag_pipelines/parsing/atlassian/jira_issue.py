"""A Jira issue: its description, fields, links and comments as one document.

What belongs here: the order of an issue's parts, and the headings above them. What does not: the two
languages that its texts are written in (`adf`, `jira_wiki`), reading Jira itself (the `jira` connector,
which writes these documents).

The document is a JSON object; all members may be missing:

    key, summary   strings
    description    a text
    fields         [{"name": string, "value": a text, or a list of strings}]
    links          [{"type": "blocks", "key": "ABC-2", "summary": string}]
    comments       [{"author": string, "created": ISO 8601 string, "body": a text}]
    format         "adf": the API's version 3, where a string is plain text; "wiki": version 2, where it
                   is wiki markup

A text is an ADF object, a string, a number or null. Description and comments keep their own headings,
a comment's below the line that says whose it is.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from rag_pipelines.errors import CorruptDocumentError
from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.atlassian import adf, jira_wiki
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.detect import JIRA_ISSUE
from rag_pipelines.parsing.encoding import decode
from rag_pipelines.parsing.html.parse import add_html, fragment_text
from rag_pipelines.parsing.witness.atlassian import issue_text

_BLANK_LINES = re.compile(r"\n\s*\n")


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of an issue, which is titled by its key and summary.

    Raises:
        CorruptDocumentError: the document is no JSON object, or one of its lists is something else.
    """
    issue = _decode(request.data)
    builder = DocumentBuilder.of(JIRA_ISSUE, request)
    key, summary = _plain(issue.get("key")), _plain(issue.get("summary"))
    if key:
        builder.metadata["key"] = key
    builder.add(BlockKind.TITLE, f"{key} {summary}")
    reader = _IssueReader(builder, has_wiki=issue.get("format") != "adf")
    reader.add_text(issue.get("description"))
    reader.add_fields(_objects(issue, "fields", "value"))
    reader.add_links(_objects(issue, "links", "summary"))
    reader.add_comments(_objects(issue, "comments", "body"))
    builder.account_for(issue_text(issue))
    return builder.finish()


def _decode(data: bytes) -> dict[str, Any]:
    """The JSON object, read by the standard library, which unlike msgspec lets half a surrogate pass."""
    try:
        issue = json.loads(decode(data))
    except (ValueError, RecursionError) as error:
        raise CorruptDocumentError(
            f"the issue is not readable JSON: {error}; sync its source again to load it anew"
        ) from error
    if not isinstance(issue, dict):
        raise CorruptDocumentError(f"the issue is {_kind(issue)}; it must be a JSON object")
    return issue


def _objects(issue: dict[str, Any], name: str, member: str) -> list[dict[str, Any]]:
    """The objects of a list; anything else in it is taken for the `member` of one."""
    values = issue.get(name)
    if values is None:
        return []
    if not isinstance(values, list):
        raise CorruptDocumentError(f"{name!r} of the issue is {_kind(values)}; it must be a list of objects")
    return [value if isinstance(value, dict) else {member: value} for value in values]


def _kind(value: Any) -> str:
    return f"the {type(value).__name__} {json.dumps(value)[:80]}"


class _IssueReader:
    """Adds the parts of an issue; `has_wiki` says that strings are wiki markup."""

    def __init__(self, builder: DocumentBuilder, *, has_wiki: bool) -> None:
        self._builder = builder
        self._has_wiki = has_wiki

    def add_text(self, value: Any, base_level: int = 0) -> None:
        """Add the blocks of a text; `base_level` is added to the level of its headings."""
        markup = self._markup(value)
        if markup is not None:
            add_html(self._builder, markup, base_level=base_level)
            return
        for paragraph in _BLANK_LINES.split(_plain(value)):
            self._builder.add(BlockKind.PARAGRAPH, paragraph)

    def add_fields(self, fields: list[dict[str, Any]]) -> None:
        """Add the fields of one line first, so that none of them stands below the heading of another."""
        lines: list[str] = []
        sections: list[tuple[str, Any]] = []
        for field in fields:
            name, value = _plain(field.get("name")), field.get("value")
            if _is_adf(value) or (isinstance(value, str) and "\n" in value.strip()):
                sections.append((name, value))
            elif text := self._line(value):
                lines.append(f"{name}: {text}" if name else text)
        if lines or sections:
            self._builder.add(BlockKind.HEADING, "Details", level=1)
        for line in lines:
            self._builder.add(BlockKind.PARAGRAPH, line)
        for name, value in sections:
            self._builder.add(BlockKind.HEADING, name, level=2)
            self.add_text(value, base_level=2)

    def add_links(self, links: list[dict[str, Any]]) -> None:
        """Add an item for each linked issue: "blocks ABC-2: its summary"."""
        if links:
            self._builder.add(BlockKind.HEADING, "Links", level=1)
        for link in links:
            issue = _join(" ", link.get("type"), link.get("key"))
            self._builder.add(BlockKind.LIST_ITEM, _join(": ", issue, link.get("summary")), level=1)

    def add_comments(self, comments: list[dict[str, Any]]) -> None:
        """Add a heading for each comment, of its author and minute, and its text below that."""
        if comments:
            self._builder.add(BlockKind.HEADING, "Comments", level=1)
        for comment in comments:
            heading = _join(", ", comment.get("author"), _minute(comment.get("created")))
            self._builder.add(BlockKind.HEADING, heading or "Comment", level=2)
            self.add_text(comment.get("body"), base_level=2)

    def _line(self, value: Any) -> str:
        """A text on one line."""
        markup = self._markup(value)
        return _plain(value) if markup is None else fragment_text(markup)

    def _markup(self, value: Any) -> str | None:
        """The HTML of a text that is in one of the two languages, None for plain text."""
        if _is_adf(value):
            return adf.to_html(value, self._builder.counters)
        if self._has_wiki and isinstance(value, str):
            return jira_wiki.to_html(value, self._builder.counters)
        return None


def _is_adf(value: Any) -> bool:
    return isinstance(value, dict) and ("content" in value or value.get("type") == "doc")


def _plain(value: Any) -> str:
    """A string, a number or a list of them as text; of anything else nothing is lost either."""
    if value is None:
        return ""
    if isinstance(value, list):
        return _join(", ", *value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _join(separator: str, *values: Any) -> str:
    return separator.join(filter(None, map(_plain, values)))


def _minute(created: Any) -> str:
    """A time as a person writes it, in the time zone that it came in."""
    try:
        return datetime.fromisoformat(created).strftime("%Y-%m-%d %H:%M")
    except (TypeError, ValueError):
        return _plain(created)
