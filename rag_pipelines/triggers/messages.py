"""What a message names: the objects of an event of S3 or of Azure Blob Storage, as it comes or wrapped.

What belongs here: the shapes of messages. What does not: how a queue hands them over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote_plus

WRAPPINGS = 2
"""How often one service may pass on what another passed on: S3 to EventBridge, by SNS."""


def named_objects(body: str) -> list[str | None]:
    """The objects that a message names; ``[None]`` where it cannot be told, as if anything had changed.

    - S3: ``Records[].s3`` with an encoded key ("Event message structure" in Amazon's S3 guide), or the
      ``detail`` of EventBridge with a plain one; either as the text ``Message`` of SNS.
    - Azure: events of Event Grid, one or a list, in its own schema or that of CloudEvents 1.0, with
      ``data.url``.
    """
    message = _read(body)
    for _ in range(WRAPPINGS):
        wrapped = _at(message, "Message")
        message = _read(wrapped) if isinstance(wrapped, str) else message
    if _at(message, "Event") == "s3:TestEvent":
        return []
    return list(dict.fromkeys(_names(message))) or [None]


def _names(message: Any) -> Iterator[str]:
    records = _at(message, "Records")
    for record in records if isinstance(records, list) else []:
        key = _at(record, "s3", "object", "key")
        if isinstance(key, str):
            yield f"{_at(record, 's3', 'bucket', 'name')}/{unquote_plus(key)}"
    key = _at(message, "detail", "object", "key")
    if isinstance(key, str):
        yield f"{_at(message, 'detail', 'bucket', 'name')}/{key}"
    for event in message if isinstance(message, list) else [message]:
        url = _at(event, "data", "url")
        if isinstance(url, str):
            yield url


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _at(value: Any, *path: str) -> Any:
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value
