"""JSON and newline-delimited JSON as readable text.

What belongs here: showing any JSON value as headings, ``key: value`` lines and tables. What does not:
records that are documents of their own (the `records` connector).

A list of flat objects is a table; other objects are one paragraph each, with dotted keys for what is
nested; the members of the outermost object are sections.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.encoding import decode
from rag_pipelines.parsing.markup.code import add_code

_MAX_SECTION_LEVEL = 3
_MAX_DEPTH = 40
_MAX_CELL = 300
_MAX_COLUMNS = 40


def parse(request: ParseRequest) -> ParsedDocument:
    """The values of a JSON document; what is no valid JSON is kept as source text, with a warning."""
    text = decode(request.data)
    media_type = (request.declared_type or "application/json").partition(";")[0]
    builder = DocumentBuilder.of(media_type, request)
    if media_type == "application/x-ndjson":
        add_value(builder, list(_lines(text, builder)), level=1)
        return builder.finish()
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        builder.warnings.append(f"not valid JSON, kept as text: {error}")
        add_code(builder, text, "json")
        return builder.finish()
    if isinstance(value, dict):
        title = value.get("title") or value.get("name")
        builder.title = title if isinstance(title, str) else None
    add_value(builder, value, level=1)
    return builder.finish()


def add_value(builder: DocumentBuilder, value: Any, *, level: int) -> None:
    """Add any JSON value; `level` is the heading level of its sections."""
    if isinstance(value, dict):
        _add_object(builder, value, level)
    elif isinstance(value, list):
        _add_list(builder, value)
    else:
        builder.add(BlockKind.PARAGRAPH, _scalar(value))


def _lines(text: str, builder: DocumentBuilder) -> Iterator[Any]:
    for line in text.splitlines():
        if line.strip():
            try:
                yield msgspec.json.decode(line)
            except (msgspec.DecodeError, RecursionError):
                builder.counters["invalid_lines"] += 1
                yield line


def _add_object(builder: DocumentBuilder, value: dict[str, Any], level: int) -> None:
    """Scalars first, as one paragraph; then a section for each nested value."""
    nested = {key: item for key, item in value.items() if isinstance(item, dict | list) and item}
    if level > _MAX_SECTION_LEVEL:
        nested = {}
    lines = [line for key, item in value.items() if key not in nested for line in _flat(key, item, 0)]
    builder.add(BlockKind.PARAGRAPH, "\n".join(lines))
    for key, item in nested.items():
        builder.add(BlockKind.HEADING, key, level=level)
        add_value(builder, item, level=level + 1)


def _add_list(builder: DocumentBuilder, values: list[Any]) -> None:
    if _is_table(values):
        columns = list(dict.fromkeys(key for value in values for key in value))
        rows = ([_scalar(value.get(column)) for column in columns] for value in values)
        builder.add_table(_with_header(columns, rows), header_rows=1)
        return
    for value in values:
        if isinstance(value, dict):
            lines = [line for key, item in value.items() for line in _flat(key, item, 0)]
            builder.add(BlockKind.PARAGRAPH, "\n".join(lines))
        elif isinstance(value, list):
            builder.add(BlockKind.LIST_ITEM, "\n".join(_flat("", value, 0)), level=1)
        else:
            builder.add(BlockKind.LIST_ITEM, _scalar(value), level=1)


def _with_header(columns: list[str], rows: Iterator[list[str]]) -> Iterator[list[str]]:
    yield columns
    yield from rows


def _is_table(values: list[Any]) -> bool:
    """Whether all values are flat objects of short scalars, with few enough keys between them."""
    keys: set[str] = set()
    for value in values:
        if not isinstance(value, dict) or not value:
            return False
        keys.update(value)
        if len(keys) > _MAX_COLUMNS:
            return False
        for item in value.values():
            if isinstance(item, dict | list) or (isinstance(item, str) and len(item) > _MAX_CELL):
                return False
    return len(values) > 1


def _flat(key: str, value: Any, depth: int) -> Iterator[str]:
    """``key: value`` lines of a value and of all that is nested in it, with dotted keys.

    What is nested deeper than `_MAX_DEPTH` is one line of JSON.
    """
    if depth > _MAX_DEPTH and isinstance(value, dict | list):
        value = msgspec.json.encode(value).decode()
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _flat(f"{key}.{name}" if key else name, item, depth + 1)
    elif isinstance(value, list):
        if all(not isinstance(item, dict | list) for item in value):
            yield from _flat(key, ", ".join(map(_scalar, value)), depth)
        else:
            for number, item in enumerate(value, start=1):
                yield from _flat(f"{key}.{number}" if key else str(number), item, depth + 1)
    elif value is not None and value != "":
        yield f"{key}: {_scalar(value)}" if key else _scalar(value)


def _scalar(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
