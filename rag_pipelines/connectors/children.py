"""Attachments, comments and versions: documents of their own that stand below another.

What belongs here: how such a document is named and what it has from the one above it. What does not: finding
them, and their content.

The id of a child begins with that of its parent and a slash, so that a feed that names the parent alone as
gone takes its children along (`Removed.children`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from rag_pipelines.connectors.base import Item


def child_id(parent_id: str, kind: str, identity: str) -> str:
    """``article/12`` with the attachment 9 is ``article/12/attachment/9``."""
    return f"{parent_id}/{kind}/{identity}"


def child_of(
    parent: Item,
    kind: str,
    identity: str,
    *,
    name: str,
    token: str,
    load: Callable[[], bytes],
    media_type: str | None = None,
    title: str | None = None,
    size: int | None = None,
    modified_at: datetime | None = None,
    author: str | None = None,
    url: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Item:
    """A document below `parent`: it has its readers, tenant and place, and its address unless it has its own.

    Its metadata are the parent's, its own `metadata`, ``type`` and ``parent``.
    """
    return Item(
        external_id=child_id(parent.external_id, kind, identity),
        token=token,
        load=load,
        name=name,
        path=f"{parent.path}/{name}",
        url=url or parent.url,
        title=title,
        media_type=media_type,
        size=size,
        modified_at=modified_at or parent.modified_at,
        author=author or parent.author,
        tenant=parent.tenant,
        access=parent.access,
        metadata={**parent.metadata, **(metadata or {}), "type": kind, "parent": parent.external_id},
    )
