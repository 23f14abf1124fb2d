"""Values of Arrow columns (Parquet) as Python has them, of which none costs its file.

What belongs here: values that Python's types cannot hold (years past 9999, lengths of ages, zones that this
machine does not know), maps, and structures. What does not: opening files (`row_readers`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_ZEROS = re.compile(r"\.0+\Z")


def rows_of(batch: Any) -> Iterator[Mapping[str, Any]]:
    """The rows of a record batch, by the names of its columns."""
    names = batch.schema.names
    for values in zip(*map(_values, batch.columns), strict=True):
        yield dict(zip(names, values, strict=True))


def _values(column: Any) -> list[Any]:
    if not _holds_map(column.type):
        try:
            values: list[Any] = column.to_pylist()
        except (OverflowError, ValueError, LookupError):
            pass
        else:
            return values
    return [_value(scalar) for scalar in column]


def _holds_map(type_: Any) -> bool:
    """Whether there is a map inside, which pyarrow gives as a list of pairs, or a name that comes twice."""
    from pyarrow import types

    if types.is_map(type_):
        return True
    if types.is_struct(type_):
        fields = [type_.field(place) for place in range(type_.num_fields)]
        names = [field.name for field in fields]
        return len(set(names)) < len(names) or any(_holds_map(field.type) for field in fields)
    return bool(_is_list(type_)) and _holds_map(type_.value_type)


def _is_list(type_: Any) -> bool:
    from pyarrow import types

    kinds = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    return any(kind(type_) for kind in kinds)


def _value(scalar: Any) -> Any:
    """A scalar as Python has it, or as text where Python has no such value."""
    from pyarrow import types

    type_ = scalar.type
    if not scalar.is_valid:
        return None
    if types.is_dictionary(type_):
        return _value(scalar.value)
    if types.is_map(type_):
        return {str(_value(entry[0])): _value(entry[1]) for entry in scalar.values}
    if types.is_struct(type_):
        return _structure([(type_.field(n).name, _value(scalar[n])) for n in range(type_.num_fields)])
    if _is_list(type_):
        return [_value(one) for one in scalar.values]
    try:
        return scalar.as_py()
    except (OverflowError, ValueError, LookupError):
        return _text(scalar)


def _structure(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """The fields by name; those of one name are told apart by their place: ``x``, ``x (2)``."""
    found: dict[str, Any] = {}
    for name, value in fields:
        key, number = name, 1
        while key in found:
            number += 1
            key = f"{name} ({number})"
        found[key] = value
    return found


def _text(scalar: Any) -> str:
    """A moment in ISO 8601, in UTC where it has a zone; a length of time as a number with its unit."""
    from numpy import datetime64
    from pyarrow import types

    type_ = scalar.type
    if types.is_timestamp(type_):
        moment = _ZEROS.sub("", str(datetime64(scalar.value, type_.unit)))
        return f"{moment}Z" if type_.tz else moment
    if types.is_date(type_):
        return str(datetime64(scalar.value, "D" if types.is_date32(type_) else "ms").astype("datetime64[D]"))
    if types.is_duration(type_) or types.is_time(type_):
        return f"{scalar.value} {type_.unit}"
    return str(scalar)
