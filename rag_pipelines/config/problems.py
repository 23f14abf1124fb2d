"""Wording what is wrong with a configuration: place, line, what was received, what is valid.

What belongs here: turning pydantic's errors into lines a person can act on, without ever showing a
secret. What does not: finding the errors.
"""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from rag_pipelines.config.document import Document, Path
from rag_pipelines.config.settings import Settings, SourceSettings
from rag_pipelines.errors import RagError
from rag_pipelines.parameters import Secret

_SHOWN_CHARACTERS = 60
_SCRUBBED_CHARACTERS = 5

_UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")
"""Pydantic's words for it, in a section and in a stage's parameters."""

_VALID = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dataclass_type": "a mapping",
    "dict_type": "a mapping",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_type": "a mapping",
    "path_type": "a path",
    "string_type": "a text",
    "tuple_type": "a list",
}
"""What is valid, by pydantic's type of error, where its own message speaks of Python."""


def describe(error: ValidationError, document: Document) -> list[tuple[Path, str]]:
    """Every error of `error` as (place, words); several of one place are kept apart."""
    return [_describe(details, document) for details in error.errors(include_url=False)]


def problem_line(path: Path, words: str, document: Document) -> str:
    """``sources.handbook.tenant (line 12): received 3; valid: a string``."""
    place = ".".join(str(part) for part in path)
    line = next(
        (document.lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in document.lines), None
    )
    where = f"{place or 'the file'}" + (f" (line {line})" if line else "")
    return scrub(f"{where}: {words}", document)


def scrub(text: str, document: Document) -> str:
    """`text` without any value that came from the environment or stands in a secret field."""
    hidden = {value: f"${{{name}}}" for name, value in document.environment.items()}
    hidden |= {value: "**********" for _, value in literal_secrets(document)}
    for value in sorted(hidden, key=len, reverse=True):
        if len(value) >= _SCRUBBED_CHARACTERS:
            text = text.replace(value, hidden[value]).replace(repr(value)[1:-1], hidden[value])
    return text


def literal_secrets(document: Document) -> list[tuple[Path, str]]:
    """Secrets that are written in the file itself instead of being referred to."""
    found: list[tuple[Path, str]] = []

    def walk(value: Any, path: Path) -> None:
        if isinstance(value, Mapping):
            for key, item in value.items():
                walk(item, (*path, key))
        elif isinstance(value, list):
            for position, item in enumerate(value):
                walk(item, (*path, position))
        elif value not in (None, "") and path not in document.references and is_secret(path, document.data):
            found.append((path, str(value)))

    walk(document.data, ())
    return found


def is_secret(path: Path, data: Mapping[str, Any]) -> bool:
    """Whether the value at `path` belongs to a field that holds a secret, or lies inside one."""
    return any(_is_secret_type(_type_at(path[:n], data)) for n in range(len(path), 0, -1))


def _is_secret_type(kind: Any) -> bool:
    inner = _plain(kind)
    if inner is SecretStr:
        return True
    return get_origin(inner) in (tuple, list, dict) and any(
        _plain(arg) is SecretStr for arg in get_args(inner)
    )


def _describe(details: ErrorDetails, document: Document) -> tuple[Path, str]:
    missing, unknown = details["type"] == "missing", details["type"] in _UNKNOWN_KEY
    path = _real_path(details["loc"], document.data)
    if missing:
        return path, "received nothing; valid: this key is required" + _describe_expected(path, document)
    if unknown:
        valid = _valid_keys(path[:-1], document.data)
        close = difflib.get_close_matches(str(path[-1]), valid, n=1)
        guess = f"; did you mean {close[0]!r}?" if close else ""
        return path, f"received an unknown key; valid: {', '.join(valid) or 'no keys'}{guess}"
    if "[key]" in details["loc"]:
        return path, f"received the name {str(path[-1])!r}; valid: {_valid(details)}"
    return path, f"received {_describe_received(path, document)}; valid: {_valid(details)}"


def _real_path(loc: Sequence[str | int], data: Mapping[str, Any]) -> Path:
    """`loc` without pydantic's own steps (union members, key markers), which the file does not have."""
    path: Path = ()
    for part in loc:
        if _has(data, (*path, part)) or _type_at((*path, part), data) is not None:
            path = (*path, part)
    return path


def _has(data: Any, path: Path) -> bool:
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _describe_received(path: Path, document: Document) -> str:
    """The value as the file has it: a reference stays a reference, a secret is only named as one."""
    if is_secret(path, document.data):
        return "a secret of the wrong form"
    if path in document.references:
        return document.references[path]
    value = _value_at(path, document.data)
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if isinstance(value, bool):
        return str(value).lower()
    shown = repr(value)
    return shown if len(shown) <= _SHOWN_CHARACTERS else shown[:_SHOWN_CHARACTERS] + "…"


def _valid(details: ErrorDetails) -> str:
    """Pydantic's message as the rest of a sentence that begins with "valid:"."""
    if details["type"] in _VALID:
        return _VALID[details["type"]]
    message = details["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return re.sub(r"^(?:Input|String|Tuple|List|Dictionary|Value) should (?:be )?", "", message)


def _describe_expected(path: Path, document: Document) -> str:
    field = _fields(_plain(_type_at(path[:-1], document.data))).get(str(path[-1]))
    return f" ({field.description})" if field is not None and field.description else ""


def _valid_keys(path: Path, data: Mapping[str, Any]) -> list[str]:
    return list(_fields(_plain(_type_at(path, data))))


def _fields(kind: Any) -> dict[str, Any]:
    """The fields of a section or of a stage's parameters by name; a section's have descriptions."""
    if is_dataclass(kind):
        return {field.name: None for field in fields(kind)}
    return dict(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else {}


def _value_at(path: Path, data: Any) -> Any:
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _type_at(path: Path, data: Mapping[str, Any]) -> Any:
    """The declared type of the value at `path`, or None where the settings know no such place."""
    kind: Any = Settings
    for depth, part in enumerate(path):
        kind = _plain(kind)
        if kind is SourceSettings and part == "options":
            kind = _options_type(_value_at((*path[:depth], "connector"), data))
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(str(part))
            kind = field.annotation if field else None
        elif is_dataclass(kind):
            kind = get_type_hints(kind, include_extras=True).get(str(part))
        elif get_origin(kind) is dict:
            kind = get_args(kind)[1]
        elif get_origin(kind) in (tuple, list):
            kind = get_args(kind)[0]
        else:
            return None
    return kind


def _plain(kind: Any) -> Any:
    """`kind` without Annotated and Optional; every kind of secret is a `SecretStr`."""
    if kind == Secret:
        return SecretStr
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        inner = [arg for arg in get_args(kind) if arg is not type(None)]
        return _plain(inner[0]) if len(inner) == 1 else kind
    return kind


def _options_type(connector: Any) -> type[BaseModel] | None:
    from rag_pipelines.connectors.registry import connector_class

    try:
        return connector_class(connector).options_type if isinstance(connector, str) else None
    except RagError:
        return None
