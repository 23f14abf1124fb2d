"""What a golden set is made of: questions, what they expect, and what is wrong with a file of them.

What belongs here: the values. What does not: reading and writing files (`golden`, `trec`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from rag_pipelines.errors import ConfigError
from rag_pipelines.fingerprint import fingerprint
from rag_pipelines.model import user_principal
from rag_pipelines.query.hits import Filters

Reason = Literal["access", "tenant", "outdated", "deleted", "other"]
"""Why a document must not come back. ``outdated``: not above an expected one; the others: at no rank."""


MAX_PROBLEMS = 50


class Reference(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A document, or a place in one."""

    path: str | None = None
    id: str | None = None
    url: str | None = None
    source: str | None = None
    page: int | None = None
    quote: str | None = None
    grade: int = 1

    @property
    def name(self) -> str:
        """What the document is called here."""
        name = self.path or self.id or self.url or ""
        return f"{self.source}/{name}" if self.source else name


class Forbidden(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A document that must not come back, and why."""

    path: str | None = None
    id: str | None = None
    url: str | None = None
    source: str | None = None
    because: Reason = "access"

    @property
    def reference(self) -> Reference:
        """The document alone."""
        return Reference(self.path, self.id, self.url, self.source)


class Question(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename={"principals": "as"},
):
    """One question of a golden set. `tests` says what it is there for, `show` whether a demo shows it.

    `weak` marks questions that a program made: they measure change better than quality, and may expect
    nothing until somebody has judged them.
    """

    id: str
    query: str
    tenant: str | None = None
    user: str | None = None
    principals: tuple[str, ...] = ()
    filters: Any = Filters()  # Filters | Filter, which msgspec could not tell apart
    expect: tuple[Reference, ...] | None = None
    must_not_return: tuple[Forbidden, ...] = ()
    unanswerable: bool = False
    language: str | None = None
    tags: tuple[str, ...] = ()
    weak: bool = False
    tests: str = ""
    show: bool = False

    @property
    def caller(self) -> tuple[str, ...]:
        """The principals that ask, without `EVERYONE`."""
        return (*((user_principal(self.user),) if self.user else ()), *self.principals)

    @property
    def answerable(self) -> bool | None:
        """Whether there is an answer; None where the set does not say."""
        return bool(self.expect) if self.expect is not None else (False if self.unanswerable else None)


class GoldenSet(msgspec.Struct, frozen=True):
    """The questions of one set, in their order."""

    name: str
    questions: tuple[Question, ...]

    @property
    def fingerprint(self) -> str:
        """Equal for sets that ask and expect the same."""
        return fingerprint(msgspec.to_builtins(self.questions))


class Problems:
    """What is wrong with a file, each with its line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: list[str] = []

    def add(self, line: int, problem: str) -> None:
        """Note a problem."""
        self.found.append(f"{self.path}:{line}: {problem}")

    def raise_any(self) -> None:
        """Raise `ConfigError` if there is any."""
        if self.found:
            more = len(self.found) - MAX_PROBLEMS
            tail = [f"... and {more:,} more problems"] if more > 0 else []
            raise ConfigError(problems=[*self.found[:MAX_PROBLEMS], *tail])
