"""Spreadsheet values as a person sees them: a number through the format of its cell.

What belongs here: the part of the number format language (ECMA-376 part 1, section 18.8.31) that
changes digits: decimals, thousands, percent, exponent, currency and other literals, leading zeros, the
section for negative numbers. What does not: reading cells.

Dates are the one exception: they are written in ISO 8601 whatever their format says, because 03/04/2024
means two things and a reader of passages cannot ask which.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple

Value = str | bool | int | float | datetime | date | time | timedelta | None

_LITERALS = re.compile(r'"([^"]*)"|\\(.)|\[\$([^\]-]*)[^\]]*\]|\[[^\]]*\]|_.|\*.|((?<![eE])[+-]|[$€£¥() /:])')
_DIGITS = re.compile(r"[0#?][0#?,]*(?:\.[0#?]*)?|\.[0#?]+")
_EXPONENT = re.compile(r"[eE][+-]0+")


class _FormatSection(NamedTuple):
    """One section of a format: literals around digits."""

    prefix: str
    suffix: str
    decimals: int
    leading_zeros: int
    thousands: bool
    percent: bool
    exponent: bool


def display(value: Value, number_format: str = "General") -> str:
    """`value` as text; an empty string for None."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, (int, float)):
        return _number(value, number_format)
    if isinstance(value, datetime):
        return str(value.date()) if value.time() == time() else _to_the_minute(value.isoformat(" "))
    if isinstance(value, time):
        return _to_the_minute(value.isoformat())
    return str(value)


def _number(value: int | float, number_format: str) -> str:
    sections = _sections(number_format)
    negative = value < 0
    section = sections[1] if negative and len(sections) > 1 else sections[0]
    if section is None:
        return f"{value:.15g}" if isinstance(value, float) else str(value)
    sign = "-" if negative and len(sections) == 1 else ""
    size = abs(value) * (100 if section.percent else 1)
    if section.exponent:
        digits = f"{size:.{section.decimals}E}"
    else:
        digits = f"{size:{',' if section.thousands else ''}.{section.decimals}f}"
        if section.leading_zeros > 1 and not section.thousands:
            whole, point, rest = digits.partition(".")
            digits = whole.zfill(section.leading_zeros) + point + rest
    return f"{sign}{section.prefix}{digits}{section.suffix}".strip()


@lru_cache(maxsize=1024)
def _sections(number_format: str) -> tuple[_FormatSection | None, ...]:
    """The positive and, where there is one, the negative section; None stands for General."""
    return tuple(map(_section, number_format.split(";")[:2]))


def _section(text: str) -> _FormatSection | None:
    digits = _DIGITS.search(_without_literals(text))
    if digits is None or "?/" in text or "@" in text:
        return None
    literal, places = _with_placeholders(text)
    found = _DIGITS.search(places)
    if found is None:
        return None
    whole, _, decimals = found[0].partition(".")
    tail = places[found.end() :]
    exponent = _EXPONENT.match(tail)
    if exponent:
        tail = tail[exponent.end() :]
    return _FormatSection(
        prefix=_restore(places[: found.start()], literal),
        suffix=_restore(tail, literal),
        decimals=len(decimals),
        leading_zeros=whole.count("0"),
        thousands="," in whole.rstrip(","),
        percent="%" in places,
        exponent=exponent is not None,
    )


def _without_literals(text: str) -> str:
    return _LITERALS.sub("", text)


def _with_placeholders(text: str) -> tuple[list[str], str]:
    """The literals of a section, and the section with one private character in the place of each."""
    literals: list[str] = []

    def put_aside(match: re.Match[str]) -> str:
        literals.append(match[1] or match[2] or match[3] or match[4] or "")
        return chr(0xE000 + len(literals) - 1)

    return literals, _LITERALS.sub(put_aside, text)


def _restore(text: str, literals: list[str]) -> str:
    return "".join(
        literals[ord(char) - 0xE000] if 0xE000 <= ord(char) < 0xE000 + len(literals) else char
        for char in text
    )


def _to_the_minute(text: str) -> str:
    """ISO time without the seconds where they are zero, and without fractions."""
    return text.partition(".")[0].removesuffix(":00") if text.count(":") > 1 else text
