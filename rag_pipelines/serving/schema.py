"""What a request to the service may hold, with examples for OpenAPI.

What belongs here: shapes and bounds. What does not: bounds that the configuration sets (`service` checks
them), and what answers hold (`answers`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, WithJsonSchema

from rag_pipelines.query.feedback import MAX_RECEIPT, Reason, Verdict
from rag_pipelines.query.hits import Filters, Mode

MAX_TEXT = 10_000
MAX_NUMBER = 2**63
MAX_CONTEXT = 100_000
"""Tokens."""

_VISIBLE = r"[^\x00-\x20\x7f-\xa0\s]"
"""A character that can be seen."""

_PLAIN = [
    {"type": "string", "pattern": r"^[^\x00]*$"},
    {"type": "number", "minimum": -MAX_NUMBER, "maximum": MAX_NUMBER},
    {"type": "boolean"},
    {"type": "null"},
]


def _storable(text: str) -> str:
    if "\x00" in text or (not text.isascii() and any("\ud800" <= one <= "\udfff" for one in text)):
        raise ValueError("a text of Unicode characters without NUL")
    return text


def _asks(text: str) -> str:
    if not re.search(_VISIBLE, text):
        raise ValueError("some words to look for")
    return text


def _plain(value: Any) -> Any:
    """A value of metadata as the database can hold it."""
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str):
            _storable(one)
        elif isinstance(one, list | dict) or (isinstance(one, int | float) and not abs(one) <= MAX_NUMBER):
            raise ValueError("a text, a number, true, false, null, or a list of these")
    return value


def _all_storable(value: Any) -> Any:
    """JSON of which every text and number can be in the database; without recursion, however deep it is."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            left += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            left += one
        else:
            _plain(one)
    return value


def _number(value: Any) -> Any:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError("a whole number")
    return value


def _check_moment(moment: Any) -> Any:
    """A time as text; a bare number could be anything since some year."""
    if not isinstance(moment, str) or not any(one in moment for one in "-T:"):
        raise ValueError("a date or a time, such as 2026-03-01 or 2026-03-01T18:30:00Z")
    return moment


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Text = Annotated[str, AfterValidator(_storable), Field(json_schema_extra={"pattern": r"^[^\x00]*$"})]
Question = Annotated[
    str,
    AfterValidator(_storable),
    AfterValidator(_asks),
    Field(json_schema_extra={"pattern": rf"^[^\x00]*{_VISIBLE}[^\x00]*$"}),
]
Plain = Annotated[
    JsonValue,
    AfterValidator(_plain),
    WithJsonSchema({"anyOf": [*_PLAIN, {"type": "array", "items": {"anyOf": _PLAIN}}]}),
]
Moment = Annotated[
    datetime,
    BeforeValidator(_check_moment),
    AfterValidator(_in_utc),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]}
    ),
]


Index = Annotated[Text, Field(max_length=100)] | None
Where = Annotated[dict[str, Any], AfterValidator(_all_storable)] | None

INDEX = "The index; may be left out where there is only one."
WHERE = (
    "A filter expression in place of `filters`: `all` or `any` with a list of filters, `not` with one, or a "
    "`field` with `equals`, `in`, `prefix`, `exists`, `contains` or bounds."
)
WHERE_EXAMPLES = [
    {"all": [{"field": "path", "prefix": "hr/"}, {"not": {"field": "labels", "equals": "draft"}}]}
]


class Model(BaseModel):
    """Base of what a request holds: nothing beyond what is documented."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SearchFilters(Model):
    """What the search is narrowed to; everything given must hold. Times without an offset are UTC."""

    sources: list[Annotated[Text, Field(max_length=100)]] = Field(
        default=[], max_length=100, description="Only documents of these sources."
    )
    path_prefix: Annotated[Text, Field(max_length=1_000)] | None = Field(
        default=None, description="Path prefix of documents."
    )
    metadata: dict[Annotated[Text, Field(min_length=1, max_length=200)], Plain] = Field(
        default={}, max_length=20, description="Pairs that the document's metadata must hold."
    )
    since: Moment | None = Field(default=None, description="Modified at or after this time.")
    until: Moment | None = Field(default=None, description="Modified before this time.")

    def filters(self) -> Filters:
        """The same, as a search takes it."""
        return Filters(tuple(self.sources), self.path_prefix, self.metadata, self.since, self.until)


class FacetsRequest(Model):
    """Which documents of one index are counted: those that the caller may see and that pass the filters."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [{"index": "handbook", "where": {"field": "labels", "equals": "policy"}}]
        },
    )

    index: Index = Field(default=None, description=INDEX)
    filters: SearchFilters = SearchFilters()
    where: Where = Field(default=None, description=WHERE, examples=WHERE_EXAMPLES)


class SearchRequest(Model):
    """A question to one index."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {"query": "How much can I claim for meals?", "k": 5},
                {
                    "query": "E-4417",
                    "index": "handbook",
                    "mode": "lexical",
                    "filters": {"path_prefix": "handbook/", "since": "2026-01-01T00:00:00Z"},
                    "context_tokens": 1500,
                    "explain": True,
                },
            ]
        },
    )

    query: Question = Field(min_length=1, max_length=MAX_TEXT, description="The question.")
    index: Index = Field(default=None, description=INDEX)
    mode: Mode = Field(default="hybrid", description="Retrieval mode.")
    k: Annotated[int, BeforeValidator(_number)] = Field(
        default=10, ge=1, le=1000, description="How many passages at most."
    )
    filters: SearchFilters = SearchFilters()
    where: Where = Field(default=None, description=WHERE, examples=WHERE_EXAMPLES)
    context_tokens: Annotated[int, Field(ge=1, le=MAX_CONTEXT), BeforeValidator(_number)] | None = Field(
        default=None, description="Also pack the passages into a context of at most this many tokens."
    )
    explain: bool = Field(default=False, strict=True, description="Explain the answer, stage by stage.")


class FeedbackRequest(Model):
    """What a caller says of an answer. It is kept without the question and the caller."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"examples": [{"receipt": "hU9j1v2Hq3Y", "verdict": "down", "reason": "outdated"}]},
    )

    receipt: str = Field(
        min_length=1,
        max_length=MAX_RECEIPT,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="The receipt of the answer.",
    )
    verdict: Verdict = Field(description="Whether the answer was useful.")
    reason: Reason | None = Field(default=None, description="Why.")
