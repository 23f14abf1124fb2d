"""What a caller can tell of documents that are hidden from them: neither that they are there nor how many.

What can be told all the same is in README.md, Security: how common a word is in the tenant.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rag_pipelines.model import CLOSED, PUBLIC
from rag_pipelines.query import statement
from rag_pipelines.query.hits import Mode, Result
from rag_pipelines.query.search import Searcher
from rag_pipelines.store.documents import AccessRules
from rag_pipelines.store.reader import admit_reader
from rag_pipelines_tests.integration.access_worlds import MODES
from rag_pipelines_tests.integration.test_row_security import as_role, reader_role
from rag_pipelines_tests.integration.workspace import Workspace

__all__ = ["reader_role"]

QUESTIONS = ("kite", "tail", "kite tail", '"red kite"', "zephyr", "merger")
"""The last word has only what is hidden; the one before has nothing."""

UNCACHED = {"cache": {"results": 0}}


def told(result: Result) -> list[Any]:
    """All that an answer says, but for the weight of words and the time it took."""
    hits = [
        (hit.path, hit.text, *_rounded(hit.scores.dense, hit.scores.document_dense), hit.scores.dense_rank)
        for hit in result.hits
    ]
    words = [(hit.scores.lexical_rank, hit.scores.pairs) for hit in result.hits]
    return [hits, words, result.route, result.steps]


def _rounded(*scores: float | None) -> list[float | None]:
    return [score and round(score, 5) for score in scores]


@pytest.fixture(params=[False, True], ids=["owner", "reader"])
def as_reader(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize("few", [statement.FEW_CHUNKS, 1], ids=["exact", "approximate"])
def test_an_answer_is_the_same_whether_or_not_there_is_more_that_is_hidden(
    tmp_path: Path,
    database_url: str,
    reader_role: str,
    monkeypatch: pytest.MonkeyPatch,
    as_reader: bool,
    few: int,
) -> None:
    monkeypatch.setattr(statement, "FEW_CHUNKS", few)
    workspace = Workspace(tmp_path, database_url, query=UNCACHED)
    for number, colour in enumerate(("red", "green", "blue", "red", "white", "black")):
        tail = "tail" if number % 2 else "string"
        workspace.write(f"open/d{number}.md", f"The {colour} kite number {number} has one long {tail}.")
    workspace.write("open/.access.yaml", "public: true\n")
    workspace.refresh()
    if as_reader:
        with workspace.database.connection() as connection:
            admit_reader(connection, reader_role)
        workspace.document["database"]["reader_url"] = as_role(database_url, reader_role)

    def answers() -> dict[tuple[str, Mode, int], list[Any]]:
        searcher = Searcher(workspace.database, workspace.settings, "main")
        found = {
            (text, mode, k): told(searcher.search(text, tenant="default", mode=mode, k=k))
            for text in QUESTIONS
            for mode in MODES
            for k in (3, 20)
        }
        searcher.close()
        return found

    before = answers()
    assert before["kite", "lexical", 3][0]
    for number in range(12):
        for folder in ("closed", "other"):
            workspace.write(f"{folder}/d{number}.md", f"The red kite merger {folder} {number} has one tail.")
    workspace.write("closed/.access.yaml", "allow: ['group:board']\n")
    workspace.write("other/.access.yaml", "public: true\ntenant: other\n")
    workspace.ingest()
    workspace.publish(full=True)
    assert answers() == before
    workspace.close()


HIDDEN, SHOWN = 1_980, 20


class Crowd:
    """Passages that are one word and what is asked for, and a few longer ones: 99 of 100 match better."""

    def __init__(self, folder: Path, url: str, role: str) -> None:
        corpus = folder / "corpus.jsonl"
        texts = ["kite"] * HIDDEN + [f"kite {'and more ' * 9}{number}" for number in range(SHOWN)]
        lines = (json.dumps({"id": f"d{number:04}", "text": text}) for number, text in enumerate(texts))
        corpus.write_text("\n".join(lines), encoding="utf-8")
        options = {"path": str(corpus), "id": "id", "text": "text"}
        source = {"connector": "records", "options": options, "access": "public"}
        self.workspace = Workspace(folder, url, sources={"docs": source}, query=UNCACHED)
        self.workspace.refresh()
        rows = self.workspace.rows("SELECT document_id FROM rag.document ORDER BY external_id")
        self._documents = [row["document_id"] for row in rows]
        with self.workspace.database.connection() as connection:
            admit_reader(connection, role)
        owner = Searcher(self.workspace.database, self.workspace.settings, "main")
        self.workspace.document["database"]["reader_url"] = as_role(url, role)
        reader = Searcher(self.workspace.database, self.workspace.settings, "main")
        self.searchers = {False: owner, True: reader}

    def show(self, shown: int) -> set[int]:
        """Hide everything but so many of the longer passages, which are returned."""
        visible = self._documents[HIDDEN : HIDDEN + shown]
        with self.workspace.database.transaction() as connection:
            rules = AccessRules(connection)
            connection.execute(
                "UPDATE rag.document SET access_id = CASE WHEN document_id = ANY(%s) THEN %s ELSE %s END",
                (visible, rules.id_of(PUBLIC), rules.id_of(CLOSED)),
            )
        return set(visible)

    def close(self) -> None:
        for searcher in self.searchers.values():
            searcher.close()
        self.workspace.close()


@pytest.fixture
def crowd(tmp_path: Path, database_url: str, reader_role: str) -> Iterator[Crowd]:
    made = Crowd(tmp_path, database_url, reader_role)
    yield made
    made.close()


def test_hidden_passages_that_match_better_never_cost_a_hit(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are k hits where the caller may see k, although the first thousands of candidates are hidden."""

    @hypothesis_settings(
        max_examples=20,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        shown=st.integers(0, SHOWN),
        k=st.integers(1, SHOWN + 5),
        few=st.sampled_from((1, 10, statement.FEW_CHUNKS)),
        as_reader=st.booleans(),
    )
    def check(shown: int, k: int, few: int, as_reader: bool) -> None:
        visible = crowd.show(shown)
        monkeypatch.setattr(statement, "FEW_CHUNKS", few)
        for mode in MODES:
            hits = crowd.searchers[as_reader].search("kite", tenant="default", mode=mode, k=k).hits
            found = {hit.document_id for hit in hits}
            assert len(hits) == len(found) == min(k, shown), mode
            assert found <= visible

    check()


def test_a_reader_cannot_count_what_is_stored_beside_documents(crowd: Crowd) -> None:
    url = crowd.workspace.document["database"]["reader_url"]
    for table in ("embedding", "profile", "run", "quarantine", "audit"):
        with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"SELECT count(*) FROM rag.{table}")
