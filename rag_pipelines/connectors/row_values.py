"""Values of rows as text, as JSON and as moments, none of them in Python's notation.

What belongs here: what a value of a column reads as. What does not: reading rows (`row_readers`) and what
the columns mean (`records`).
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from rag_pipelines.errors import CorruptDocumentError

SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a surrogate pair: in a Python string, pairs are one character."""
_UNDECODED_BYTE = re.compile("[\udc80-\udcff]")
"""What a byte that is not UTF-8 becomes when a file is read (PEP 383)."""
_CONTROL = re.compile("[\\x00-\\x08\\x0e-\\x1f\\x7f]")


def text_of(value: Any, *, mend: bool = False) -> str:
    """`value` as text that can be stored; a list becomes lines, what is nested deeper JSON.

    Half of a surrogate pair becomes U+FFFD if `mend`. An identity or a principal must not be mended: it
    could come out equal to another.

    Raises:
        CorruptDocumentError: it holds bytes that are not UTF-8, or half a pair that is not mended.
    """
    if value is None:
        return ""
    if isinstance(value, list | tuple | set):
        return "\n".join(
            filter(None, (_json_text(one) if _is_nested(one) else text_of(one, mend=mend) for one in value))
        )
    if isinstance(value, bytes | bytearray | memoryview):
        value = bytes(value).decode("utf-8", "surrogateescape")
    elif isinstance(value, Mapping):
        value = _json_text(value)
    elif isinstance(value, bool):
        value = "true" if value else "false"
    elif isinstance(value, timedelta):
        value = _duration(value)
    text = str(value).replace("\0", "").strip()
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            if _UNDECODED_BYTE.search(text):
                raise CorruptDocumentError("the row holds bytes that are not UTF-8") from error
            if not mend:
                raise CorruptDocumentError(f"{text!r} holds half of a surrogate pair") from error
            return SURROGATE.sub("\ufffd", text)
    return text


def moment_of(value: Any) -> datetime | None:
    """A time of change in UTC from a datetime, date, ISO 8601 string, or seconds or milliseconds since 1970.

    A time without zone is taken as UTC; an empty value is None. Raises `CorruptDocumentError`.
    """
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value.strip())
        elif isinstance(value, int | float):
            # Seconds reach 1e11 in the year 5138; beyond it are milliseconds.
            value = datetime.fromtimestamp(value / 1000 if abs(value) > 1e11 else value, UTC)
        elif isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day)
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError, AttributeError) as error:
        raise CorruptDocumentError(
            f"{value!r} is not a time; valid is ISO 8601 or seconds since 1970"
        ) from error


def json_value(value: Any) -> Any:
    """`value` as JSON can hold it: no NaN, times as ISO 8601, bytes that are not text in Base64."""
    if isinstance(value, str):
        return SURROGATE.sub("\ufffd", value).replace("\0", "")
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {json_value(_key(key)): json_value(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set):
        return [json_value(one) for one in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return _duration(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return _readable(bytes(value))
    return str(value)


def _key(key: Any) -> str:
    return key if isinstance(key, str) else text_of(key, mend=True)


def _is_nested(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple | set)


def _json_text(value: Any) -> str:
    return json.dumps(json_value(value), ensure_ascii=False)


def _readable(data: bytes) -> str:
    """Bytes as the text that they are, or in Base64."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = ""
    return base64.b64encode(data).decode() if not text or _CONTROL.search(text) else text


def _duration(value: timedelta) -> str:
    """A length of time in ISO 8601: ``P1DT12H30M``."""
    sign, value = ("-", -value) if value < timedelta() else ("", value)
    minutes, seconds = divmod(value.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{value.microseconds:06d}".rstrip("0") if value.microseconds else ""
    clock = f"{hours}H" * (hours > 0) + f"{minutes}M" * (minutes > 0)
    clock += f"{seconds}{fraction}S" * (seconds > 0 or bool(fraction))
    day = f"{value.days}D" * (value.days > 0)
    return f"{sign}P{day}{clock and 'T'}{clock}" if day or clock else "PT0S"
