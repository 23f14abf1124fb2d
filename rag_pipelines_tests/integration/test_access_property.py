"""Access against oracles: random histories of content and rules, random worlds of rules and callers."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rag_pipelines.connectors.base import Complete, Item
from rag_pipelines.connectors.filesystem import FilesystemConnector
from rag_pipelines.errors import FetchError, UsageError
from rag_pipelines.gates import access_proof as access_gate
from rag_pipelines.index.promotion import promote, rollback
from rag_pipelines.model import CLOSED, PUBLIC, AccessRule
from rag_pipelines.query.hits import Mode
from rag_pipelines.query.search import Searcher
from rag_pipelines.store.database import Database
from rag_pipelines.store.reader import admit_reader, reading_as
from rag_pipelines_tests.integration.access_worlds import (
    NO_FAULT,
    Worlds,
    random_case,
    random_facts,
    random_groups,
)
from rag_pipelines_tests.integration.test_row_security import as_role, reader_role, without_predicate
from rag_pipelines_tests.integration.workspace import Workspace

__all__ = ["reader_role"]

RULES = (
    PUBLIC,
    CLOSED,
    AccessRule((("group:a",),)),
    AccessRule((("group:b",),)),
    AccessRule((("group:a", "group:b"),)),
    AccessRule((("group:a",), ("group:b",))),
    AccessRule((), ("group:a",)),
)
CALLERS = ((), ("group:a",), ("group:b",), ("group:a", "group:b"))
ALL_MODES: tuple[Mode, ...] = ("dense", "lexical", "hybrid")


def passes(rule: AccessRule, principals: Sequence[str]) -> bool:
    """The oracle's decision on one rule."""
    held = {"everyone", *principals}
    return not held & {*rule.deny} and all(held & {*clause} for clause in rule.clauses)


class History:
    """A source in memory that is edited, opened, closed and unreadable at random, and what we may know of it.

    Every content has a word of its own. `last` is the rule that a content had when it was last known to be
    its document's; `had` are all that it ever had.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.edits = 0
        self.content: dict[str, str] = {}
        self.rule: dict[str, AccessRule] = {}
        self.earlier: dict[str, list[str]] = {}
        self.failing: set[str] = set()
        self.stored: dict[str, str] = {}
        self.listed: dict[str, AccessRule] = {}
        self.last: dict[str, AccessRule] = {}
        self.had: dict[str, set[AccessRule]] = {}
        self.versions: dict[int, dict[str, str]] = {}
        for name in "pqr":
            self.earlier[name] = []
            self.edit(name)
            self.rule[name] = self.rng.choice(RULES)

    def edit(self, name: str) -> None:
        self.edits += 1
        self.content[name] = f"word{self.edits}x"
        self.earlier[name].append(self.content[name])

    def change(self) -> None:
        """Something happens at the source, to some documents at once."""
        for name in self.content:
            if self.rng.random() < 0.4:
                self.edit(name)
            elif self.rng.random() < 0.2:
                self.content[name] = self.rng.choice(self.earlier[name])
            if self.rng.random() < 0.5:
                self.rule[name] = self.rng.choice(RULES)
        self.failing = {name for name in self.content if self.rng.random() < 0.25}

    def items(self, *_: Any) -> Iterator[Item | Complete]:
        """The listing, as a connector gives it; it is what we know from now on."""
        for name, content in self.content.items():
            self.listed[name] = self.rule[name]
            if content == self.stored.get(name) or name not in self.failing:
                self.stored[name] = content
                self.last[content] = self.rule[name]
                self.had.setdefault(content, set()).add(self.rule[name])
            yield Item(
                external_id=name,
                token=content,
                name=f"{name}.md",
                access=self.rule[name],
                load=lambda name=name, content=content: self.load(name, content),  # type: ignore[misc]
            )
        yield Complete(len(self.content))

    def load(self, name: str, content: str) -> bytes:
        if name in self.failing:
            raise FetchError("out of order")
        return f"# Kite {content}\n\nA kite that is called {content} flies.".encode()

    def visible(self, version: int, principals: Sequence[str]) -> set[str]:
        """The contents that a caller should find in a version."""
        return {
            content
            for name, content in self.versions[version].items()
            if passes(self.listed[name], principals) and passes(self.last[content], principals)
        }

    def never_had(self, content: str, principals: Sequence[str]) -> bool:
        """Whether no rule that a content ever had lets the caller in."""
        return not any(passes(rule, principals) for rule in self.had[content])


@pytest.mark.parametrize("seed", range(3))
def test_nobody_ever_reads_text_under_a_rule_that_it_never_had(
    tmp_path: Path, database_url: str, reader_role: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    history = History(seed)
    monkeypatch.setattr(access_gate, "QUESTIONS", 1)
    monkeypatch.setattr(FilesystemConnector, "items", lambda _, *window: history.items(*window))
    workspace = Workspace(tmp_path, database_url)
    workspace.ingest()
    live = workspace.publish()
    history.versions[live.version_id] = dict(history.stored)
    with workspace.database.connection() as connection:
        admit_reader(connection, reader_role)
    url = as_role(database_url, reader_role)
    reader = Database(url)
    owner = Searcher(workspace.database, workspace.settings, "main")
    workspace.document["database"]["reader_url"] = url
    served = Searcher(workspace.database, workspace.settings, "main")
    candidate = None
    withheld = 0
    for step in range(24):
        match history.rng.choice(("sync", "sync", "sync", "build", "promote", "rollback")):
            case "sync":
                history.change()
                workspace.ingest()
            case "build":
                candidate = workspace.build(full=history.rng.random() < 0.5)
                history.versions[candidate.version_id] = dict(history.stored)
                assert all(workspace.validate(candidate).values())
            case "promote" if candidate is not None:
                with suppress(UsageError):
                    live = promote(workspace.database, "main", candidate.version_id)
                candidate = None
            case "rollback":
                with suppress(UsageError):
                    live = rollback(workspace.database, "main")
        for principals in CALLERS:
            expected = history.visible(live.version_id, principals)
            withheld += len(history.versions[live.version_id]) - len(expected)
            for searcher in (owner, served):
                mode = ALL_MODES[step % 3]
                result = searcher.search("kite", tenant="default", principals=principals, mode=mode, k=20)
                found = {word for hit in result.hits for word in re.findall(r"word\d+x", hit.text)}
                assert found == expected, (step, principals)
            with (
                reader.connection() as connection,
                reading_as(connection, "default", ["everyone", *principals]),
            ):
                rows = connection.execute(
                    "SELECT c.text || coalesce(s.title, '') AS text "
                    "FROM rag.chunk c JOIN rag.chunk_set s USING (chunk_set_id)"
                ).fetchall()
            for word in {word for row in rows for word in re.findall(r"word\d+x", row["text"])}:
                assert not history.never_had(word, principals), (step, principals, word)
    assert withheld > 20
    for one in (owner, served, reader, workspace):
        one.close()


@pytest.mark.parametrize("token", ["1", "2", "3"])
def test_text_that_was_in_doubt_and_is_unchanged_has_the_rule_of_now(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    """Listed as changed and opened, and could not be loaded; then it is the same by its token or bytes."""
    state: dict[str, Any] = {"token": "1", "access": AccessRule((("group:board",),))}
    broken = False

    def load() -> bytes:
        if broken:
            raise FetchError("out of order")
        return b"The plan of the year."

    def items(*_: Any) -> Iterator[Item | Complete]:
        yield Item(external_id="d", name="d.md", load=load, **state)
        yield Complete(1)

    monkeypatch.setattr(FilesystemConnector, "items", items)
    workspace = Workspace(tmp_path, database_url)
    workspace.refresh()
    state, broken = {"token": "2", "access": PUBLIC}, True
    workspace.ingest()
    assert workspace.paths("plan") == set()
    assert workspace.paths("plan", principals=["group:board"]) == {"d"}
    state["token"], broken = token, False
    workspace.ingest()
    assert workspace.paths("plan") == {"d"}
    workspace.close()


def test_a_title_that_was_changed_before_more_were_let_in_is_not_found_by_them(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old title is embedded with every passage: finding it by its words would tell that it was there."""
    state = {"title": "Merger with Zephyrcorp", "token": "1", "access": AccessRule((("group:board",),))}

    def items(*_: Any) -> Iterator[Item | Complete]:
        yield Item(external_id="d", name="d.md", load=lambda: b"The plan of the year.", **state)  # type: ignore[arg-type]
        yield Complete(1)

    monkeypatch.setattr(FilesystemConnector, "items", items)
    workspace = Workspace(tmp_path, database_url)
    workspace.refresh()
    state |= {"title": "Plan"}
    workspace.ingest()
    state |= {"access": PUBLIC}
    workspace.ingest()
    assert workspace.paths("zephyrcorp", mode="lexical") == set()
    assert workspace.paths("zephyrcorp", mode="lexical", principals=["group:board"]) == {"d"}
    workspace.publish()
    assert workspace.paths("plan", mode="lexical") == {"d"}
    workspace.close()


@pytest.fixture
def worlds(tmp_path: Path, database_url: str, reader_role: str) -> Iterator[Worlds]:
    made = Worlds(tmp_path, database_url, reader_role)
    yield made
    made.close()


@pytest.mark.parametrize("layer", ["both", "predicate", "policies"])
def test_every_caller_finds_exactly_what_the_oracle_gives_them(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch, layer: str
) -> None:
    """Each layer alone, and both: 10,000 decisions on a document and a caller."""
    if layer == "policies":
        monkeypatch.setattr("rag_pipelines.store.database.queries", without_predicate())
    searcher = worlds.owner if layer == "predicate" else worlds.reader

    @hypothesis_settings(
        max_examples=25,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=False))
    def check(rng: random.Random) -> None:
        worlds.make([random_facts(rng, tenant) for tenant in worlds.tenants], random_groups(rng))
        for _ in range(10):
            case = random_case(rng)
            assert worlds.ask(searcher, case) == NO_FAULT, case
            if layer == "policies":
                assert worlds.read(case.caller) == NO_FAULT, case.caller

    check()
