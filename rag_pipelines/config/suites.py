"""Suites of expectations of a user's own: `quality.suites` of the configuration.

What belongs here: their fields, the columns they may name, and what can be checked without loading Great
Expectations, which takes seconds. What does not: its own check of the arguments (`quality.library`), and the
rows (`sql/queries/quality_own.sql`).
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from rag_pipelines.config.section import Section
from rag_pipelines.config.values import Name, NamesOrAll

COLUMNS: dict[str, tuple[str, ...]] = {
    "documents": (
        *("external_id", "name", "path", "url", "title", "author", "tenant", "state", "status"),
        *("declared_type", "media_type", "language", "bytes", "characters", "pages", "metadata"),
        *("modified_at", "created_at", "updated_at"),
    ),
    "chunks": (
        *("external_id", "chunk_id", "title", "media_type", "language", "ordinal", "headings", "text"),
        *("characters", "tokens", "page_first", "page_last"),
    ),
    "vectors": ("external_id", "chunk_id", "tokens", "characters", "dimensions", "norm"),
}
"""What a suite sees of each stage: a row for each document, chunk or vector of a source."""

CONTENT_COLUMNS = frozenset(["title", "author", "metadata", "headings", "text"])
"""Columns that hold what documents say: no stored result and no check repeats it."""

_SINGLE_COLUMNS = ("column", "column_A", "column_B")
_CLOSE_MATCHES = 3
_EXPORTED = re.compile(r"^from \.(\w+) import", re.MULTILINE)


class ExpectationSettings(Section):
    """One expectation in the form of Great Expectations: its type, such as
    ``expect_column_values_to_not_be_null``, and its keyword arguments.

    A *blocking* one that fails stops its run and refuses the promotion of every index of the source; any
    other warns. `name` is by default the type with the columns it is about.
    """

    type: str
    kwargs: dict[str, Any] = Field(default_factory=dict)
    name: Name | None = None
    description: str | None = None
    blocking: bool = True

    @field_validator("type")
    @classmethod
    def _check_type(cls, name: str) -> str:
        known = expectation_types()
        if known and name not in known:
            close = difflib.get_close_matches(name, known, n=_CLOSE_MATCHES, cutoff=0.4) or known[:3]
            raise ValueError(f"a type of Great Expectations; the closest are {', '.join(close)}")
        return name

    @property
    def title(self) -> str:
        """The name, unique in its suite."""
        return self.name or _default_name(self.type, self.kwargs)


class SuiteSettings(Section):
    """Expectations of what one stage gave, of all sources or of some."""

    stage: Literal["documents", "chunks", "vectors"]
    sources: NamesOrAll = ("*",)
    expectations: Annotated[tuple[ExpectationSettings, ...], Field(min_length=1)]

    def covers(self, source: str) -> bool:
        """Whether the suite is about `source`."""
        return "*" in self.sources or source in self.sources


class QualitySettings(Section):
    """Data quality beside the built-in suites `documents`, `chunks` and `vectors`."""

    suites: dict[Name, SuiteSettings] = Field(default_factory=dict)


@cache
def expectation_types() -> tuple[str, ...]:
    """Every type that Great Expectations exports, read from its source; empty where it is not installed."""
    found = find_spec("great_expectations")
    if found is None or found.origin is None:
        return ()
    exports = Path(found.origin).parent / "expectations" / "core" / "__init__.py"
    return tuple(_EXPORTED.findall(exports.read_text("utf-8")))


def suite_problems(data: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Places of `quality.suites` and what is wrong there, in data that need not be valid otherwise."""
    suites = _mapping(_mapping(data.get("quality")).get("suites"))
    taken = Counter(str(name).replace("-", "_") for name in suites)
    for name, suite in suites.items():
        place = ("quality", "suites", name)
        if name in COLUMNS:
            yield (
                place,
                f"received the name {name!r}, which is that of a built-in suite; valid: any other name",
            )
        elif taken[str(name).replace("-", "_")] > 1:
            yield place, f"received the name {name!r}; valid: names that differ in more than '-' and '_'"
        stage, expectations = _mapping(suite).get("stage"), _mapping(suite).get("expectations")
        if stage in COLUMNS and isinstance(expectations, list):
            yield from _expectation_problems((*place, "expectations"), COLUMNS[stage], expectations)


def _expectation_problems(
    place: tuple[str | int, ...], known: tuple[str, ...], expectations: Iterable[Any]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    names: set[str] = set()
    for position, one in enumerate(map(_mapping, expectations)):
        kwargs = _mapping(one.get("kwargs"))
        name = one.get("name") or _default_name(str(one.get("type")), kwargs)
        if name in names:
            yield (
                (*place, position),
                f"received a second expectation {name!r}; valid: a `name` that no other of the suite has",
            )
        names.add(name)
        for argument, column in _columns(kwargs):
            if column not in known:
                close = difflib.get_close_matches(column, known, n=1)
                guess = f"; did you mean {close[0]!r}?" if close else ""
                yield (
                    (*place, position, "kwargs", argument),
                    f"received {column!r}; valid: one of the columns {', '.join(known)}{guess}",
                )


def _default_name(kind: str, kwargs: Mapping[str, Any]) -> str:
    words = [kind.removeprefix("expect_"), *(column for _, column in _columns(kwargs))]
    return "_".join(words).lower()


def _columns(kwargs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The columns that arguments name, each with its argument."""
    for argument in _SINGLE_COLUMNS:
        if isinstance(kwargs.get(argument), str):
            yield argument, kwargs[argument]
    listed = kwargs.get("column_list")
    for column in listed if isinstance(listed, list | tuple) else ():
        yield "column_list", str(column)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
