"""Google's own description of its APIs, to hold the double and what is asked of it against.

What belongs here: checks of parameters, field masks, scopes and answers by a reduced copy of the discovery
documents (``samples/google_discovery.json``; Apache-2.0, its notice is in it). What does not: behaviour.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

_SAMPLE = Path(__file__).parents[1] / "samples" / "google_discovery.json"
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "object": (dict,),
    "array": (list,),
}

Mask = dict[str, "Mask"]
"""Fields to keep; an empty mask keeps everything."""


class Api:
    """One described API: ``drive`` or ``directory``."""

    def __init__(self, name: str) -> None:
        described = json.loads(_SAMPLE.read_text())[name]
        self.methods: dict[str, Any] = described["methods"]
        self.schemas: dict[str, Any] = described["schemas"]
        self._parameters = frozenset(described["parameters"])

    def scopes(self, method: str) -> frozenset[str]:
        """Any one of these is needed."""
        return frozenset(self.methods[method]["scopes"])

    def check_request(self, method: str, query: Mapping[str, list[str]]) -> Iterator[str]:
        """What is wrong with a request's parameters."""
        known = self.methods[method]["parameters"]
        for name, values in query.items():
            if name in self._parameters:
                continue
            if name not in known:
                yield f"{method}: there is no parameter {name!r}"
            elif known[name]["type"] == "boolean" and set(values) - {"true", "false"}:
                yield f"{method}: {name} is a boolean, received {values}"
            elif known[name]["type"] == "integer" and not all(value.isdecimal() for value in values):
                yield f"{method}: {name} is an integer, received {values}"
        for name, parameter in known.items():
            if parameter.get("required") and parameter["location"] == "query" and name not in query:
                yield f"{method}: {name} is required"
        response = self.methods[method].get("response")
        for text in query.get("fields", []) if response else []:
            yield from self._check_mask(parse_mask(text), {"$ref": response}, f"{method}: fields")

    def check_answer(self, schema: str, value: Any) -> Iterator[str]:
        """Where `value` is not of the shape that `schema` describes."""
        yield from self._check({"$ref": schema}, value, schema)

    def _check(self, schema: Mapping[str, Any], value: Any, place: str) -> Iterator[str]:
        schema = self.schemas[schema["$ref"]] if "$ref" in schema else schema
        kind = schema.get("type", "any")
        if kind == "any":
            return
        if not isinstance(value, _TYPES[kind]) or (kind == "integer" and isinstance(value, bool)):
            yield f"{place}: {kind} expected, received {value!r}"
        elif isinstance(value, list):
            for entry in value:
                yield from self._check(schema["items"], entry, place)
        elif isinstance(value, dict):
            known = schema.get("properties", {})
            for name, entry in value.items():
                inner = known.get(name, schema.get("additionalProperties"))
                if inner is None:
                    yield f"{place}: there is no property {name!r}"
                else:
                    yield from self._check(inner, entry, f"{place}.{name}")

    def _check_mask(self, mask: Mask, schema: Mapping[str, Any], place: str) -> Iterator[str]:
        schema = self.schemas[schema["$ref"]] if "$ref" in schema else schema
        if schema.get("type") == "array":
            yield from self._check_mask(mask, schema["items"], place)
            return
        for name, inner in mask.items():
            found = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            if name != "*" and found is None:
                yield f"{place}: there is no field {name!r}"
            elif inner:
                yield from self._check_mask(inner, found, f"{place}.{name}")


@cache
def api(name: str) -> Api:
    return Api(name)


@cache
def parse_mask(text: str) -> Mask:
    """A field mask: ``files(id,owners/emailAddress),nextPageToken``
    (developers.google.com/workspace/drive/api/guides/fields-parameter)."""
    tokens = re.findall(r"[\w*]+|[(),/]", text)
    assert "".join(tokens) == text, f"{text!r} is not a field mask"
    mask, rest = _parse(tokens)
    assert not rest, f"{text!r} is not a field mask"
    return mask


def _parse(tokens: list[str]) -> tuple[Mask, list[str]]:
    """The names up to a closing bracket, and what follows it."""
    mask: Mask = {}
    while tokens and tokens[0] != ")":
        place = mask
        while True:
            name, *tokens = tokens
            place = place.setdefault(name, {})
            if not tokens or tokens[0] != "/":
                break
            tokens = tokens[1:]
        if tokens and tokens[0] == "(":
            inner, tokens = _parse(tokens[1:])
            place.update(inner)
            tokens = tokens[1:]
        if tokens and tokens[0] == ",":
            tokens = tokens[1:]
    return mask, tokens


def apply_mask(mask: Mask, value: Any) -> Any:
    """What of `value` a mask asks for."""
    if not mask or "*" in mask:
        return value
    if isinstance(value, list):
        return [apply_mask(mask, entry) for entry in value]
    return {name: apply_mask(inner, value[name]) for name, inner in mask.items() if name in value}
