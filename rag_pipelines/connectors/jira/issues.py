"""What is made of one issue: its documents, their tokens, and their content.

What belongs here: pure functions on an issue as Jira answers it. What does not: requests, access rules.

An issue is one document with the comments that everybody may see who sees the issue. The comments that only
one role or group may see are a document of their own, and so is each attachment:

    issue/10001
    issue/10001/comments/role:10002
    issue/10001/attachment/10200

Ids and not keys, because a key changes when the issue moves. The content is JSON of the media type
`MEDIA_TYPE`, read by `parsing.atlassian.jira_issue`. Of linked issues it holds the key, not the summary:
who may see this issue need not see that one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from rag_pipelines.connectors.atlassian_client import Json
from rag_pipelines.connectors.jira.access import Visibility
from rag_pipelines.fingerprint import fingerprint

MEDIA_TYPE = "application/vnd.atlassian.jira.issue+json"
LISTED = (
    "summary", "created", "updated", "project", "issuetype", "status", "priority", "labels", "assignee",
    "reporter", "security", "issuerestriction", "parent", "issuelinks", "attachment", "comment",
)  # fmt: skip
"""The fields that a listing asks for; `description` and custom fields come with the content."""
RULED = ("summary", "project", "security", "issuerestriction", "assignee", "reporter")
"""The fields that name an issue and decide who may see it."""
CONTENT = ("summary", "project", "description", "issuelinks", "comment")
_SHAPE = 1
"""Raise it when the same issue makes another content, so that every issue is read again."""
_ID = re.compile(r"issue/(\d+)(?:/(attachment|comments)/(.+))?")


class Field(msgspec.Struct, frozen=True):
    """A field whose value belongs to the content; several may have one name, of which one has a value."""

    id: str
    name: str


class EntityId(msgspec.Struct, frozen=True):
    """An external id taken apart: `part` is the attachment's id, or ``role:10002``, by `kind`."""

    issue_id: str
    kind: str = ""
    part: str = ""

    def __str__(self) -> str:
        return f"issue/{self.issue_id}" + (f"/{self.kind}/{self.part}" if self.kind else "")

    @classmethod
    def of(cls, external_id: str) -> EntityId | None:
        """None where the id is not one of this connector's."""
        match = _ID.fullmatch(external_id)
        return match and cls(match[1], match[2] or "", match[3] or "")


def title(key: str, fields: Json) -> str:
    return f"{key} {fields.get('summary') or ''}".strip()


def segment(name: str) -> str:
    """`name` as one part of a path, which slashes separate."""
    return name.replace("/", "∕")


def metadata(key: str, fields: Json) -> dict[str, Any]:
    """What people filter by; only what is set."""
    values = {
        "key": key,
        "project": fields["project"]["key"],
        "type": name_of(fields.get("issuetype")),
        "status": name_of(fields.get("status")),
        "priority": name_of(fields.get("priority")),
        "assignee": name_of(fields.get("assignee")),
        "labels": fields.get("labels") or None,
        "created": fields.get("created"),
    }
    return {name: value for name, value in values.items() if value is not None}


def issue_token(fields: Json, chosen: Sequence[Field]) -> str:
    """Equal as long as the content is. Jira moves `updated` with everything but links from elsewhere."""
    links = [[link["type"], link["key"]] for link in links_of(fields)]
    rest = fingerprint([_SHAPE, links, [msgspec.to_builtins(field) for field in chosen]])
    return f"{fields.get('updated')}|{rest[:16]}"


def thread_token(key: str, fields: Json, comments: Iterable[Json]) -> str:
    """Like `issue_token`, of restricted comments: the rest of the issue may change without them."""
    edits = [[one["id"], one.get("updated") or one.get("created")] for one in comments]
    return fingerprint([_SHAPE, title(key, fields), edits])


def attachment_token(attachment: Json) -> str:
    """An attachment is never edited, only replaced by another one."""
    return f"{attachment.get('created')}|{attachment.get('size')}"


def threads(
    comments: Iterable[Json], resolve: Callable[[Visibility], Visibility]
) -> dict[Visibility | None, list[Json]]:
    """Comments by who may see them, each list in the order of writing; `resolve` turns names into ids."""
    found: dict[Visibility | None, list[Json]] = {}
    for comment in sorted(comments, key=lambda one: (one.get("created") or "", int(one["id"]))):
        visibility = Visibility.of(comment)
        found.setdefault(visibility and resolve(visibility), []).append(comment)
    return found


def links_of(fields: Json) -> list[dict[str, str]]:
    """The issue's links as ``{"type": "blocks", "key": "ABC-2", "summary": ""}``, sorted."""
    found = []
    for link in fields.get("issuelinks") or ():
        for side, words in (("inwardIssue", "inward"), ("outwardIssue", "outward")):
            if side in link:
                type = link.get("type") or {}
                words = type.get(words) or type.get("name") or ""
                found.append({"type": words, "key": link[side].get("key") or "", "summary": ""})
    return sorted(found, key=lambda link: (link["type"], link["key"]))


def issue_content(
    key: str, fields: Json, comments: Sequence[Json], chosen: Sequence[Field], adf: bool
) -> bytes:
    """The document of an issue; `comments` are those that everybody may see."""
    values = ((field.name, field_value(fields.get(field.id))) for field in chosen)
    return _encode(
        key=key,
        summary=fields.get("summary") or "",
        description=fields.get("description"),
        fields=[{"name": name, "value": value} for name, value in values if value not in (None, "", [])],
        links=links_of(fields),
        comments=[_comment(one) for one in comments],
        format="adf" if adf else "wiki",
    )


def thread_content(key: str, fields: Json, comments: Sequence[Json], adf: bool) -> bytes:
    """The document of an issue's comments that one role or group may see."""
    return _encode(
        key=key,
        summary=fields.get("summary") or "",
        comments=[_comment(one) for one in comments],
        format="adf" if adf else "wiki",
    )


def field_value(value: Any) -> Any:
    """A field's value as a reader sees it: text, a number, an ADF document, or a list of texts."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return [str(one) for one in map(field_value, value) if one not in (None, "", [])]
    if not isinstance(value, dict):
        return value
    if value.get("type") == "doc":
        return value
    named = name_of(value) or value.get("value")
    child = value.get("child")
    return f"{named} - {field_value(child)}" if named and child else named


def name_of(value: Mapping[str, Any] | None) -> str | None:
    """The display name of a person, or the name of a status, a priority, a type."""
    return (value.get("displayName") or value.get("name")) if value else None


def _comment(comment: Json) -> Json:
    return {
        "author": name_of(comment.get("author")) or "",
        "created": comment.get("created") or "",
        "body": comment.get("body"),
    }


def _encode(**content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, ensure_ascii=False).encode("utf-8", "replace")
