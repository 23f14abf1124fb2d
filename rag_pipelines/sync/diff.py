"""What a listed item means for the document we hold: pure comparison, no I/O.

Four separate fingerprints decide: the listing token (content), the attributes (metadata, URL, path,
title), the access rule, and the state. Only a change of content costs anything later.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from hashlib import blake2b
from typing import Any
from uuid import UUID

import msgspec

from rag_pipelines.connectors.base import Item

_encode = msgspec.msgpack.Encoder(enc_hook=str, order="deterministic").encode


class DocumentChange(StrEnum):
    """What happens to one document. Only what is ADDED or CHANGED is loaded."""

    ADDED = "added"
    CHANGED = "changed"
    MOVED = "moved"
    RESTORED = "restored"
    METADATA = "metadata_only"
    ACCESS = "access_only"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    EXPIRED = "expired"
    WITHHELD = "withheld"
    FAILED = "failed"


def attributes_key(item: Item, tenant: str, masked_by: str | None = None) -> UUID:
    """A key that is equal as long as nothing but content and access of the document changed, nor the masks
    of its source's profile, which `masked_by` stands for."""
    value: tuple[Any, ...] = (
        item.name,
        item.path,
        item.url,
        item.title,
        item.author,
        item.media_type,
        tenant,
        item.modified_at,
        item.metadata,
        *([masked_by] if masked_by else []),
    )
    try:
        data = _encode(value)
    except UnicodeEncodeError:
        data = repr(value).encode("utf-8", "backslashreplace")
    return UUID(bytes=blake2b(data, digest_size=16).digest())


def compare(
    item: Item, attributes: UUID, access_id: int, known: Mapping[str, Any] | None, *, full: bool = False
) -> DocumentChange:
    """What `item` means beside the stored row `known` (keys as in the query `known_documents`).

    `full` treats every item as changed, so that its content is loaded and compared again.
    """
    if needs_content(item, known["token"] if known is not None else None, full=full):
        return DocumentChange.ADDED if known is None else DocumentChange.CHANGED
    assert known is not None
    return compare_attributes(attributes, access_id, known)


def needs_content(item: Item, token: str | None, *, full: bool = False) -> bool:
    """Whether to load the content of `item`; `token` is that of its stored row, None where there is none."""
    return full or token != item.token


def compare_attributes(attributes: UUID, access_id: int, known: Mapping[str, Any]) -> DocumentChange:
    """What a listed item means for the stored row `known` when its content is the same."""
    if known["state"] == "tombstoned":
        return DocumentChange.RESTORED
    if known["attributes_key"] != attributes:
        return DocumentChange.METADATA
    if known["access_id"] != access_id:
        return DocumentChange.ACCESS
    return DocumentChange.UNCHANGED
