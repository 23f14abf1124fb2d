"""What Zendesk's rows of articles, translations and attachments say, and the documents they become.

What belongs here: fields, names, tokens, paths. What does not: requests (`help_center`), rules (`access`).

An article is the document of its source translation, ``article/<id>``; every other translation and every
file stands below it. Drafts are no documents. A token is the hash of a body, because ``updated_at`` moves
with positions, labels and the like (developer.zendesk.com: understanding-incremental-article-exports, "any
metadata change").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from rag_pipelines.connectors.base import Item
from rag_pipelines.connectors.children import child_id, child_of
from rag_pipelines.connectors.paths import media_type
from rag_pipelines.connectors.times import read_time
from rag_pipelines.connectors.zendesk.site import Row
from rag_pipelines.fingerprint import sha256
from rag_pipelines.model import AccessRule

HTML = "text/html"
_DEEPEST = 10
_GENERIC = frozenset({"", "application/octet-stream", "binary/octet-stream"})


class Places:
    """Names of categories and sections, for paths."""

    def __init__(self, categories: Iterable[Row], sections: Iterable[Row]) -> None:
        self._categories = {row["id"]: row for row in categories}
        self._sections = {row["id"]: row for row in sections}

    def folders(self, section: int | None) -> list[str]:
        """Category, and sections from the top; empty where they are not known."""
        names: list[str] = []
        category = None
        while (row := self._sections.get(section)) is not None and len(names) < _DEEPEST:
            names.insert(0, row.get("name") or str(row["id"]))
            category, section = row.get("category_id"), row.get("parent_section_id")
        above = self._categories.get(category)
        return [above.get("name") or str(above["id"]), *names] if above else names


def article_id(article: int) -> str:
    return f"article/{article}"


def translation_id(article: Row, translation: Row) -> str:
    """Of the source translation it is the article's own."""
    identity, locale = article_id(article["id"]), translation["locale"]
    if locale.lower() == article["source_locale"].lower():
        return identity
    return child_id(identity, "translation", locale)


def translation_item(article: Row, translation: Row, folders: list[str], rule: AccessRule) -> Item:
    """One translation as a document. Raises `KeyError` where a row lacks what every one has."""
    identity = translation_id(article, translation)
    body = (translation["body"] or "").encode()
    title = translation["title"]
    parts = [*folders, title or str(article["id"])]
    known = {
        "type": "article",
        "locale": translation["locale"],
        "labels": list(article.get("label_names") or ()),
        "parent": article_id(article["id"]) if identity != article_id(article["id"]) else "",
    }
    return Item(
        external_id=identity,
        token=sha256(body).hex(),
        load=partial(bytes, body),
        name=segment(title or str(article["id"])),
        path="/".join(map(segment, parts)),
        url=translation.get("html_url") or article.get("html_url") or None,
        title=title or None,
        media_type=HTML,
        size=len(body),
        modified_at=read_time(translation["updated_at"]),
        access=rule,
        metadata={name: value for name, value in known.items() if value},
    )


def attachment_item(parent: Item, row: Row, load: Any) -> Item:
    """A file of an article below it. Raises `KeyError` as `translation_item`."""
    name, kind = row["file_name"], row.get("content_type") or ""
    return child_of(
        parent,
        "attachment",
        str(row["id"]),
        name=segment(name),
        token=attachment_token(row),
        load=load,
        media_type=media_type(name) if kind in _GENERIC else kind,
        size=row["size"],
        modified_at=read_time(row["updated_at"]),
        metadata=_located(row),
    )


def attachment_token(row: Row) -> str:
    return f"{row['id']}:{row['size']}:{row.get('updated_at')}"


def segment(name: str) -> str:
    """A name as one part of a path."""
    return name.replace("/", "∕").strip() or "-"


def _located(row: Row) -> Mapping[str, Any]:
    return {"locale": row["locale"]} if row.get("locale") else {}
