"""Filters: what a caller narrows a search to, as values that Python composes and JSON carries.

What belongs here: the algebra, its JSON form, its limits. What does not: the predicate that a filter becomes
(`filter_predicate`), and access, which is no filter and holds whatever a caller asks.

    (Prefix("path", "handbook/") | OneOf("labels", ("howto", "policy"))) & ~Equals("metadata.status", "draft")

    {"all": [{"any": [{"field": "path", "prefix": "handbook/"},
                      {"field": "labels", "in": ["howto", "policy"]}]},
             {"not": {"field": "metadata.status", "equals": "draft"}}]}

What a condition means:

- **Missing.** No condition but ``exists: false`` holds for what a document lacks, and `Not` is the plain
  opposite: "not done" finds documents without a status too. A JSON null counts as missing.
- **Lists.** A condition on a metadata key holds when it holds for any element, one level deep; both bounds of
  a range have to hold for the same element.
- **Types.** ``3`` is a number and ``"3"`` a text, and neither equals the other; ``3`` equals ``3.0``, and
  ``true`` only ``true``. A range of numbers looks at numbers, one of moments at ISO 8601 texts; nothing else
  is ever within.
- **Moments.** Bounds name their zone (``2026-04-01T00:00:00Z``); a date alone is its first moment in UTC. A
  stored text that names no zone is read as UTC.
- **Case** counts, but in languages and media types. The language ``en`` holds for ``en-US`` too.
- **Labels** are ``metadata.labels``; a key with a dot is quoted: ``metadata."a.b"``.
"""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec

from rag_pipelines.errors import UsageError
from rag_pipelines.text.canonical import clean

MAX_DEPTH = 12
"""Levels of all, any and not, the condition included."""

MAX_CONDITIONS = 100
MAX_VALUES = 1000
"""In all sets of a filter together."""

MAX_CHARACTERS = 1000
"""Of one text; of the JSON of a `Contains`."""

FIELDS = (
    "source", "id", "path", "author", "modified_at", "language", "media_type", "labels", "metadata.NAME"
)  # fmt: skip
"""What a condition may be about. `id` is the source's own; `modified_at` has ranges only."""

BOUNDS = ("gte", "gt", "lte", "lt")

_KEYS = re.compile(r'\.(?:"([^"]+)"|([^."]+))')
_ISO = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII)
_INT64 = 2**63


Scalar = str | bool | int | float
Bound = int | float | datetime


class Filter(msgspec.Struct, frozen=True):
    """One condition, or several put together with ``&``, ``|`` and ``~``. Made only where it is valid."""

    def __and__(self, other: Filter) -> Filter:
        return All((self, other))

    def __or__(self, other: Filter) -> Filter:
        return AnyOf((self, other))

    def __invert__(self) -> Filter:
        return Not(self)


class All(Filter, frozen=True):
    """Every one holds; of none, always."""

    all: tuple[Filter, ...]


class AnyOf(Filter, frozen=True):
    """At least one holds; of none, never."""

    any: tuple[Filter, ...]


class Not(Filter, frozen=True, rename={"not_": "not"}):
    """It does not hold."""

    not_: Filter


class Condition(Filter, frozen=True):
    """What a document's `field` has to be; one of `FIELDS`. Raises `UsageError` when made for another."""

    words: ClassVar[str]
    field: str

    def __post_init__(self) -> None:
        if self.field not in FIELDS[:-1] and not metadata_keys(self.field):
            raise UsageError(f"received the field {_repr(self.field)}; valid: {', '.join(FIELDS)}")
        ranged = isinstance(self, Range | Exists)
        if not ranged and self.field == "modified_at":
            raise UsageError(f"modified_at has no {self.words}; valid for it: gte, gt, lte, lt, exists")
        if isinstance(self, Range) and self.field != "modified_at" and not metadata_keys(self.field):
            raise UsageError(f"{self.field} has no range; valid for it: equals, in, prefix, exists")


class Equals(Condition, frozen=True):
    """The field is this value: a text, or in metadata a number or a boolean too."""

    words = "equals"
    equals: Scalar

    def __post_init__(self) -> None:
        Condition.__post_init__(self)
        _check_scalar(self.field, self.equals)


class OneOf(Condition, frozen=True, rename={"in_": "in"}):
    """The field is one of these values."""

    words = "in"
    in_: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        Condition.__post_init__(self)
        if not self.in_:
            raise UsageError(
                "received an empty set, which nothing is in; leave the condition out, or name values"
            )
        for value in self.in_:
            _check_scalar(self.field, value)


class Prefix(Condition, frozen=True):
    """The field is a text that begins with this one."""

    words = "prefix"
    prefix: str

    def __post_init__(self) -> None:
        Condition.__post_init__(self)
        _check_text(self.prefix)


class Range(Condition, frozen=True, kw_only=True, omit_defaults=True):
    """The field lies within bounds: all of them numbers, or all of them moments with a time zone."""

    words = "range"
    gte: Bound | None = None
    gt: Bound | None = None
    lte: Bound | None = None
    lt: Bound | None = None

    def __post_init__(self) -> None:
        Condition.__post_init__(self)
        bounds = self.bounds
        if not bounds or {"gte", "gt"} <= bounds.keys() or {"lte", "lt"} <= bounds.keys():
            raise UsageError(
                f"received the bounds {', '.join(bounds) or 'none'}; valid: gte or gt, and lte or lt"
            )
        for bound in bounds.values():
            _check_bound(bound)
        moments = {isinstance(bound, datetime) for bound in bounds.values()}
        if len(moments) > 1:
            raise UsageError("one bound is a number and the other a moment; valid: two of a kind")
        if self.field == "modified_at" and False in moments:
            raise UsageError("modified_at is no number; valid: a moment such as 2026-04-01T00:00:00Z")

    @property
    def bounds(self) -> dict[str, Bound]:
        """Those that are given, by their names."""
        named = {name: getattr(self, name) for name in BOUNDS}
        return {name: bound for name, bound in named.items() if bound is not None}


class Exists(Condition, frozen=True):
    """Whether the document has the field at all, with a value that is not null, or a list that holds one."""

    words = "exists"
    exists: bool

    def __post_init__(self) -> None:
        Condition.__post_init__(self)
        if not isinstance(self.exists, bool):
            raise UsageError(f"received {_repr(self.exists)}; valid: true or false")


class Contains(Filter, frozen=True):
    """The document's metadata contains this object, as the operator ``@>`` of Postgres has it."""

    contains: Mapping[str, Any]
    field: str = "metadata"

    def __post_init__(self) -> None:
        if not isinstance(self.contains, Mapping) or self.field != "metadata":
            raise UsageError("'contains' is for the field 'metadata' and an object of JSON values")
        if len(repr(self.contains)) > MAX_CHARACTERS:
            raise UsageError(f"the object is too long; valid: up to {MAX_CHARACTERS:,} characters")


def filter_from_json(value: Any, place: str = "filter") -> Filter:
    """The filter that decoded JSON says.

    Raises:
        UsageError: with every problem: its place, what was received, what is valid.
    """
    problems: list[str] = []
    found = _read(value, place, 1, problems)
    if found is None:
        shown = problems[:10] + ([f"and {len(problems) - 10} more"] if len(problems) > 10 else [])
        raise UsageError("; ".join(shown))
    measure(found)
    return found


def metadata_keys(field: Any) -> tuple[str, ...]:
    """The keys that lead to a metadata value; none where the field is not of metadata or ill-formed."""
    if field == "labels":
        return ("labels",)
    if not isinstance(field, str) or not field.startswith("metadata.") or len(field) > MAX_CHARACTERS:
        return ()
    rest = field.removeprefix("metadata")
    found = list(_KEYS.finditer(rest))
    return tuple(key[1] or key[2] for key in found) if "".join(key[0] for key in found) == rest else ()


def values_of(one: Condition) -> tuple[Scalar, ...]:
    """What a condition compares for equality with."""
    if isinstance(one, Equals):
        return (one.equals,)
    return one.in_ if isinstance(one, OneOf) else ()


def walk(chosen: Filter) -> Iterator[tuple[Filter, int]]:
    """Every part of a filter with its depth, without recursion, because a caller may have built anything."""
    left = [(chosen, 1)]
    while left:
        one, depth = left.pop()
        yield one, depth
        parts = one.all if isinstance(one, All) else one.any if isinstance(one, AnyOf) else ()
        left += [(part, depth + 1) for part in ((one.not_,) if isinstance(one, Not) else parts)]


def measure(chosen: Filter) -> None:
    """Raise `UsageError` for a filter above a limit, however it was made."""
    named = 0
    for parts, (one, depth) in enumerate(walk(chosen), 1):
        named += len(values_of(one)) if isinstance(one, Condition) else 0
        if depth > MAX_DEPTH:
            raise UsageError(f"the filter is nested too deep; valid: up to {MAX_DEPTH} levels")
        if parts > MAX_CONDITIONS:
            raise UsageError(
                f"the filter has more than {MAX_CONDITIONS} parts; valid: up to {MAX_CONDITIONS}"
            )
        if named > MAX_VALUES:
            raise UsageError(f"the filter names more than {MAX_VALUES:,} values; valid: up to {MAX_VALUES:,}")


def _check_scalar(field: str, value: Any) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif not metadata_keys(field):
        raise UsageError(f"{field} is a text; received {_repr(value)}")
    elif not isinstance(value, bool):
        if not isinstance(value, int | float):
            raise UsageError(f"received {_repr(value)}; valid: a text, a number, true or false")
        _check_bound(value)


def _check_text(value: Any) -> None:
    if not isinstance(value, str) or len(value) > MAX_CHARACTERS or not clean(value):
        raise UsageError(f"received {_repr(value)}; valid: a text of 1 to {MAX_CHARACTERS:,} characters")


def _check_bound(bound: Any) -> None:
    if isinstance(bound, datetime):
        if bound.tzinfo is None:
            raise UsageError(
                f"the moment {bound.isoformat()} has no time zone; add Z or an offset such as +02:00"
            )
    elif isinstance(bound, bool) or not isinstance(bound, int | float):
        raise UsageError(
            f"received {_repr(bound)}; valid: a number, or a moment such as 2026-04-01T00:00:00Z"
        )
    elif not (math.isfinite(bound) if isinstance(bound, float) else -_INT64 <= bound < _INT64):
        raise UsageError(
            "received a number that no document has; valid: whole ones of 64 bits, finite others"
        )


_READ: dict[str, type[Filter]] = {
    "equals": Equals, "in": OneOf, "prefix": Prefix, "exists": Exists, "contains": Contains
}  # fmt: skip


def _read(value: Any, place: str, depth: int, problems: list[str]) -> Filter | None:
    """The filter at a place of the JSON, or None and at least one problem."""
    if depth > MAX_DEPTH:
        problems.append(f"{place}: nested too deep; valid: up to {MAX_DEPTH} levels")
        return None
    keys = set(value) if isinstance(value, dict) else set()
    if len(keys) == 1 and keys <= {"all", "any"}:
        [word] = keys
        parts = value[word]
        if not isinstance(parts, list) or not 0 < len(parts) <= MAX_CONDITIONS:
            problems.append(
                f"{place}.{word}: received {_repr(parts)}; valid: a list of 1 to {MAX_CONDITIONS} filters"
            )
            return None
        found = [_read(part, f"{place}.{word}[{n}]", depth + 1, problems) for n, part in enumerate(parts)]
        known = tuple(part for part in found if part is not None)
        if len(known) < len(parts):
            return None
        return All(known) if word == "all" else AnyOf(known)
    if keys == {"not"}:
        inner = _read(value["not"], f"{place}.not", depth + 1, problems)
        return None if inner is None else Not(inner)
    try:
        return _read_condition(value, keys)
    except UsageError as error:
        problems.append(f"{place}: {error}")
        return None


def _read_condition(value: Any, keys: set[str]) -> Filter:
    operators = keys - {"field"}
    if "field" in keys and operators and operators <= set(BOUNDS):
        return Range(value["field"], **{name: _read_bound(value[name]) for name in operators})
    if "field" not in keys or len(operators) != 1 or not operators <= _READ.keys():
        received = f"the keys {', '.join(map(_repr, sorted(keys)))}" if keys else _repr(value)
        raise UsageError(
            f"received {received}; valid: 'all' or 'any' with a list of filters, 'not' with one, or 'field' "
            f"with one of {', '.join(_READ)}, or with bounds out of {', '.join(BOUNDS)}"
        )
    [operator] = operators
    content = value[operator]
    if operator == "in":
        if not isinstance(content, list):
            raise UsageError(f"'in' received {_repr(content)}; valid: a list of values")
        content = tuple(content)
    if operator == "contains":
        return Contains(content, value["field"])
    return _READ[operator](value["field"], content)


def _read_bound(value: Any) -> Any:
    """A bound as Python has it: texts are moments."""
    if not isinstance(value, str):
        return value
    try:
        if not _ISO.fullmatch(value):
            raise ValueError
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise UsageError(
            f"received {_repr(value)}; valid: a number, a date, or a moment such as 2026-04-01T00:00:00Z"
        ) from None
    return moment.replace(tzinfo=UTC) if len(value) == 10 else moment


def _repr(value: Any) -> str:
    """A received value in a message, cut where it is long or deep."""
    return reprlib.repr(value)
