"""What ServiceNow's rows of articles, blocks, attachments and items say, and the documents they become.

What belongs here: fields, names, tokens, paths. What does not: requests, rules (`access`).

An article keeps its id through its versions: every version is a row of its own whose ``article_id`` is the
sys_id of the first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from rag_pipelines.connectors.base import Item
from rag_pipelines.connectors.servicenow.site import Row
from rag_pipelines.connectors.times import read_time
from rag_pipelines.model import AccessRule

ARTICLE_FIELDS = (
    "sys_id", "sys_class_name", "article_id", "number", "short_description", "kb_knowledge_base",
    "kb_category", "language", "parent", "sys_updated_on", "sys_mod_count", "published", "valid_to",
    "article_type", "author", "ownership_group", "roles", "can_read_user_criteria",
    "cannot_read_user_criteria",
)  # fmt: skip
BLOCK_FIELDS = (
    "sys_id", "short_description", "kb_knowledge_base", "sys_updated_on", "sys_mod_count",
    "can_read_user_criteria", "cannot_read_user_criteria",
)  # fmt: skip
ATTACHMENT_FIELDS = (
    "sys_id", "table_name", "table_sys_id", "file_name", "content_type", "size_bytes", "sys_updated_on",
    "sys_mod_count",
)  # fmt: skip
ITEM_FIELDS = (
    "sys_id", "name", "short_description", "category", "sys_updated_on", "sys_mod_count", "sys_class_name",
)  # fmt: skip
RESTRICTING = ("can_read_user_criteria", "cannot_read_user_criteria", "roles")
"""Fields of an article that narrow its readers."""

HTML, TEXT = "text/html", "text/plain"
INLINE_TABLES = "ZZ_YY"
"""How the table name of an image begins that stands in a text and is no attachment of it."""


def article_id(row: Row) -> str:
    """``article/<sys_id of the first version>``."""
    return f"article/{row.get('article_id') or row['sys_id']}"


def token(row: Row) -> str:
    """Equal as long as a row is the same version in the same state."""
    return f"{row['sys_id']}:{row['sys_mod_count']}:{row['sys_updated_on']}"


def stamp(at: datetime) -> str:
    """A time as queries want it."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def article_item(
    row: Row,
    base: Row,
    folders: list[str],
    author: str | None,
    url: str,
    rule: AccessRule,
    load: Callable[[], bytes],
) -> Item:
    """An article as a document. Raises `KeyError` where the row lacks what every article has."""
    title = row["short_description"]
    return Item(
        external_id=article_id(row),
        token=token(row),
        load=load,
        name=row["number"],
        path="/".join(map(segment, (base["title"], *folders, title or row["number"]))),
        url=f"{url}/kb_view.do?sysparm_article={row['number']}",
        title=title or None,
        media_type=TEXT if row["article_type"] == "wiki" else HTML,
        modified_at=read_time(row["sys_updated_on"]),
        author=author,
        access=rule,
        metadata=_metadata(row, base),
    )


def catalogue_item(row: Row, url: str, rule: AccessRule, load: Callable[[], bytes]) -> Item:
    """An item of the catalogue as a document."""
    return Item(
        external_id=f"item/{row['sys_id']}",
        token=token(row),
        load=load,
        name=row["name"],
        path=f"catalogue/{segment(row['name'])}",
        url=f"{url}/sp?id=sc_cat_item&sys_id={row['sys_id']}",
        title=row["name"] or None,
        media_type=HTML,
        modified_at=read_time(row["sys_updated_on"]),
        access=rule,
        metadata={"type": "item", "class": row.get("sys_class_name", "")},
    )


def segment(name: str) -> str:
    """A name as one part of a path."""
    return name.replace("/", "∕").strip() or "-"


def _metadata(row: Row, base: Row) -> Mapping[str, Any]:
    known = {
        "type": "article",
        "number": row["number"],
        "knowledge_base": base["title"],
        "language": row["language"],
        "published": row["published"],
        "valid_to": row["valid_to"],
        "translation_of": f"article/{row['parent']}" if row["parent"] else "",
    }
    return {name: value for name, value in known.items() if value}
