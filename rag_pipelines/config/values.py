"""Value types of the configuration file: durations, shares, names, access rules.

What belongs here: types that one field of the file has. What does not: the fields, and types that the stages'
own parameters have as well (`rag_pipelines.parameters`).
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)

from rag_pipelines.model import CLOSED, PUBLIC, AccessRule

DURATION_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
"""Seconds of each unit of a duration."""

_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhdw])+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,47}")
_OWNER = re.compile(r"team:[A-Za-z0-9_.-]+|[^@\s]+@[^@\s]+\.[^@\s]+")
_CRON_FIELDS = re.compile(r"@(?:hourly|daily|weekly|monthly|yearly)|[^\s@]+(?: +[^\s@]+){4}")
_VALID_CRON = "five cron fields such as '0 3 * * *', or @hourly, @daily, @weekly, @monthly, @yearly"
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


def _comes_round(cron: str) -> str:
    """A cron expression that names a moment, read as Dagster reads it (by a copy of the same library)."""
    if not _CRON_FIELDS.fullmatch(cron):
        raise ValueError(_VALID_CRON)
    from croniter import CroniterError, croniter

    try:
        croniter(cron).get_next()
    except CroniterError as error:
        raise ValueError(f"{_VALID_CRON} ({error})") from None
    return cron


def from_config_folder(path: Path, info: ValidationInfo) -> Path:
    """The path, where it is relative from the folder of the file that is being read."""
    base = (info.context or {}).get("base", Path.cwd())
    return Path(os.path.abspath(base / path.expanduser()))


def _positive(value: timedelta) -> timedelta:
    if value < timedelta(0):
        raise ValueError("a duration of zero or more")
    return value


Share = Annotated[float, Field(ge=0, le=1)]
Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    AfterValidator(_positive),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["90m", "24h", "7d", "PT24H"]}),
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
Cron = Annotated[str, AfterValidator(_comes_round)]
LanguageCode = Annotated[
    str, _matching(_LANGUAGE_CODE, "an ISO 639 code of two or three lower-case letters, such as de")
]
TextSearchConfig = Annotated[
    str,
    _matching(_REGCONFIG, "the name of a Postgres text search configuration, such as english or simple"),
]
