"""Value types of the configuration file: durations, sizes, names, access rules, stage options.

What belongs here: types that one field of the file has. What does not: the fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Annotated, Any

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    WithJsonSchema,
    create_model,
)
from pydantic_core import CoreSchema, core_schema

from rag_pipelines.model import CLOSED, PUBLIC, AccessRule

DURATION_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
"""Seconds of each unit of a duration."""

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

_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhdw])+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,47}")
_OWNER = re.compile(r"team:[A-Za-z0-9_.-]+|[^@\s]+@[^@\s]+\.[^@\s]+")
_CRON = re.compile(r"@(?:hourly|daily|weekly|monthly|yearly)|[\d*/,A-Za-z#?-]+(?: +[\d*/,A-Za-z#?-]+){4}")
_LANGUAGE_CODE = re.compile(r"[a-z]{2,3}")
_REGCONFIG = re.compile(r"[a-z_][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*)?")


def parse_duration(value: Any) -> Any:
    """``90m``, ``24h``, ``1h30m``, ``7d`` as a `timedelta`; ISO 8601 (``PT24H``) is left to pydantic."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        text = value.strip().lower()
        if _DURATION.fullmatch(text):
            parts = _DURATION_PART.findall(text)
            try:
                return timedelta(seconds=sum(float(number) * DURATION_UNITS[unit] for number, unit in parts))
            except OverflowError:
                raise ValueError("a duration of less than a thousand million days") from None
        if text.startswith("p"):
            return value.strip().upper()
    raise ValueError("a number with a unit (90s, 30m, 24h, 7d, 2w) or an ISO 8601 duration (PT24H)")


def format_duration(value: timedelta) -> str:
    """A short form that `parse_duration` reads back: ``90m``, ``24h``, ``7d``."""
    seconds = value.total_seconds()
    for unit in ("d", "h", "m"):
        if seconds and seconds % DURATION_UNITS[unit] == 0 and (unit != "d" or seconds > DURATION_UNITS["d"]):
            return f"{int(seconds // DURATION_UNITS[unit])}{unit}"
    return f"{seconds:f}".rstrip("0").rstrip(".") + "s"


def parse_size(value: Any) -> Any:
    """``16MB``, ``2 GiB`` or a plain number of bytes as a number of bytes."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and (found := _SIZE.fullmatch(value.strip())):
        factor = SIZE_UNITS.get(found[2].lower() or "b")
        if factor is not None and len(found[1]) < 20:
            return int(float(found[1]) * factor)
    raise ValueError("a number of bytes or a number with a unit (500kB, 16MB, 2GiB)")


def parse_access(value: Any) -> AccessRule:
    """``closed``, ``public`` or a list of principals of which a caller must have one."""
    if isinstance(value, AccessRule):
        return value
    if value == "closed":
        return CLOSED
    if value == "public":
        return PUBLIC
    if isinstance(value, list | tuple) and value and all(isinstance(p, str) and p.strip() for p in value):
        return AccessRule(clauses=(tuple(p.strip() for p in value),)).normalised()
    raise ValueError("closed, public, or a list of principals such as [group:hr, user:ann@acme.example]")


def format_access(rule: AccessRule) -> str | list[str]:
    """The form that `parse_access` reads back."""
    if rule == PUBLIC:
        return "public"
    principals = [principal for clause in rule.clauses for principal in clause]
    return principals or "closed"


def _all_or_names(value: Any) -> Any:
    return ("*",) if value == "*" else value


def _names_or_all(names: tuple[str, ...]) -> str | list[str]:
    return "*" if names == ("*",) else list(names)


def _matching(pattern: re.Pattern[str], valid: str) -> AfterValidator:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(valid)
        return value

    return AfterValidator(check)


def _positive(value: timedelta) -> timedelta:
    if value < timedelta(0):
        raise ValueError("a duration of zero or more")
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    AfterValidator(_positive),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["90m", "24h", "7d", "PT24H"]}),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["16MB", "2GiB", 1048576]}),
]
Access = Annotated[
    AccessRule,
    PlainValidator(parse_access),
    PlainSerializer(format_access),
    WithJsonSchema(
        {
            "oneOf": [
                {"enum": ["closed", "public"]},
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
            ]
        }
    ),
]
Name = Annotated[
    str,
    _matching(_NAME, "1 to 48 lower-case letters, digits, '_' or '-', beginning with a letter"),
    WithJsonSchema({"type": "string", "pattern": f"^{_NAME.pattern}$"}),
]
NamesOrAll = Annotated[
    tuple[str, ...],
    Field(min_length=1),
    BeforeValidator(_all_or_names),
    PlainSerializer(_names_or_all),
    WithJsonSchema(
        {"oneOf": [{"const": "*"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    ),
]
Owner = Annotated[str, _matching(_OWNER, "team:NAME or an e-mail address")]
Cron = Annotated[
    str,
    _matching(_CRON, "five cron fields such as '0 3 * * *', or @hourly, @daily, @weekly, @monthly, @yearly"),
]
LanguageCode = Annotated[
    str, _matching(_LANGUAGE_CODE, "an ISO 639 code of two or three lower-case letters, such as de")
]
TextSearchConfig = Annotated[
    str,
    _matching(_REGCONFIG, "the name of a Postgres text search configuration, such as english or simple"),
]


class StructOptions:
    """Annotates a `msgspec.Struct` field so that pydantic validates it, with all problems at once.

    The structs are the stages' own contracts; this derives a pydantic model from each, so that the
    file's problems, its JSON Schema and the redaction of secrets come out as for every other field.

    Usage::

        limits: Annotated[ParseLimits, StructOptions(max_bytes=Size)]

    `overrides` gives single fields another type for validation; `SecretStr` marks a secret.
    """

    def __init__(self, **overrides: Any) -> None:
        self.overrides = overrides

    def model(self, struct: type[msgspec.Struct]) -> type[BaseModel]:
        """The pydantic model that mirrors `struct`."""
        fields: dict[str, Any] = {}
        for field in msgspec.structs.fields(struct):
            default: Any = ...
            if not isinstance(field.default, msgspec.UnsetType | type(msgspec.NODEFAULT)):
                default = field.default
            elif field.default_factory is not msgspec.NODEFAULT:
                default = field.default_factory()
            if isinstance(default, msgspec.Struct):
                default = Field(default_factory=partial(type(default), **msgspec.structs.asdict(default)))
            fields[field.name] = (self.overrides.get(field.name, field.type), default)
        return create_model(struct.__name__, __config__=ConfigDict(extra="forbid"), **fields)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        model = self.model(source)
        secrets = {name for name, kind in self.overrides.items() if _holds_secret(kind)}

        def build(value: BaseModel) -> msgspec.Struct:
            return source(**{name: _reveal(getattr(value, name)) for name in type(value).model_fields})

        def dump(value: msgspec.Struct) -> dict[str, Any]:
            plain: dict[str, Any] = msgspec.to_builtins(value)
            return {k: REDACTED if k in secrets and v else v for k, v in plain.items()}

        return core_schema.no_info_before_validator_function(
            lambda value: msgspec.to_builtins(value) if isinstance(value, source) else value,
            core_schema.no_info_after_validator_function(build, handler.generate_schema(model)),
            serialization=core_schema.plain_serializer_function_ser_schema(dump),
        )


REDACTED = "**********"


def _holds_secret(kind: Any) -> bool:
    return kind is SecretStr or "SecretStr" in str(kind)


def _reveal(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return tuple(_reveal(item) for item in value)
    if isinstance(value, Mapping):
        return {key: _reveal(item) for key, item in value.items()}
    return value
