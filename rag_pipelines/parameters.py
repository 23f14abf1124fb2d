"""Kinds of a stage's parameters that people write in a form of its own, or that no one else may read.

What belongs here: annotations that the stages' own dataclasses carry and the configuration obeys. What does
not: kinds that only the configuration has (`config.values`). Workers import this module, so pydantic is
imported when it asks for a schema and not before.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

SIZE_UNITS = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
"""Bytes of each unit of a size; case does not matter."""

REDACTED = "**********"

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)


def parse_size(value: Any) -> Any:
    """``16MB``, ``2 GiB`` or a plain number of bytes as a number of bytes."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and (found := _SIZE.fullmatch(value.strip())):
        factor = SIZE_UNITS.get(found[2].lower() or "b")
        if factor is not None and len(found[1]) < 20:
            return int(float(found[1]) * factor)
    raise ValueError("a number of bytes or a number with a unit (500kB, 16MB, 2GiB)")


class _ReadAsSize:
    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(parse_size, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": ["string", "integer"], "examples": ["16MB", "2GiB", 1048576]}


class _NeverShown:
    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        shown = core_schema.plain_serializer_function_ser_schema(lambda value: REDACTED if value else value)
        return core_schema.str_schema(serialization=shown)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "format": "password", "writeOnly": True}


Size = Annotated[int, _ReadAsSize()]
"""Bytes, in a file as `parse_size` reads them."""

Secret = Annotated[str, _NeverShown()]
"""A text that the code uses as it is and the configuration neither dumps nor repeats; a dataclass leaves its
field out of its `repr`."""
