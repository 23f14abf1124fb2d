"""The load of a full build: in slices and in many sessions, and yet of one moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rag_pipelines.index import load, slices
from rag_pipelines.index.storage import Storage
from rag_pipelines.store.database import Pg
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.test_index import fill_filled
from rag_pipelines_tests.integration.workspace import Workspace

COPIES = 150
"""Of each row, so that words are in more rows than a block of postings holds."""

STAGES = ["loading words", "loading vectors"]

WHOLE_POSTINGS = """
    SELECT tenant, term, min(slot) AS first,
           string_agg(rag.posting(slot, impact), '' ORDER BY slot) AS entries
    FROM (
        SELECT tenant, term, slot, impact,
               (row_number() OVER (PARTITION BY tenant, term ORDER BY slot) - 1) / 1600 AS block
        FROM (
            SELECT l.tenant, rag.term_id(w.lexeme) AS term, v.slot, rag.impact(
                cardinality(w.positions), 1.2,
                1.2 * (1 - 0.75 + 0.75 * rag.text_length(l.words) / (
                    SELECT (params ->> 'average_length')::float8 FROM rag.index_version WHERE storage = {n}))
            ) AS impact
            FROM rag.lexical_{n} l JOIN rag.vectors_{n} v USING (document_id, chunk_set_id, ordinal),
                 unnest(l.words) AS w
        ) AS word
    ) AS numbered
    GROUP BY tenant, term, block ORDER BY 1, 2, 3"""
"""By one statement over all words: the blocks of postings that the tables should hold."""

WHOLE_TERMS = """
    SELECT tenant, term, documents FROM (
        SELECT l.tenant, rag.term_id(w.lexeme) AS term, count(*)::int AS documents
        FROM rag.lexical_{n} l, unnest(l.words) AS w GROUP BY 1, 2
        UNION ALL SELECT tenant, 0, count(*)::int FROM rag.lexical_{n} GROUP BY 1
    ) AS counted ORDER BY 1, 2"""

CONTENT = """
    SELECT v.document_id, v.chunk_set_id, v.ordinal, v.embedding::text, v.weights::text,
           l.tenant, l.words::text
    FROM rag.vectors_{n} v FULL JOIN rag.lexical_{n} l USING (document_id, chunk_set_id, ordinal)
    ORDER BY 1, 2, 3"""

DOCUMENTS = """
    SELECT document_id, chunk_set_id, embedding::text, weights::text FROM rag.documents_{n} ORDER BY 1"""

WHOLE_DOCUMENTS = """
    SELECT v.document_id, v.chunk_set_id, l2_normalize(avg(v.embedding))::text AS embedding, (
        SELECT ('{{' || string_agg(term || ':' ||
            (tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * length / average)))::real, ',')
                || '}}/1000000000')::sparsevec
        FROM (SELECT rag.term_id(w.lexeme) AS term, sum(cardinality(w.positions))::float8 AS tf
              FROM rag.lexical_{n} l, unnest(l.words) AS w WHERE l.document_id = v.document_id
              GROUP BY 1) AS terms,
             (SELECT sum(rag.text_length(words)) AS length
              FROM rag.lexical_{n} l WHERE l.document_id = v.document_id) AS one,
             (SELECT sum(rag.text_length(words))::float8 / count(DISTINCT document_id) AS average
              FROM rag.lexical_{n}) AS all_
    )::text AS weights
    FROM rag.vectors_{n} v GROUP BY 1, 2 ORDER BY 1"""
"""By one statement over all rows: what the row of each document should hold."""

EXPECTED = """
    SELECT d.document_id, c.chunk_set_id, c.ordinal, d.tenant,
           rag.words('english', c.prefix || c.text)::text AS words
    FROM rag.document d JOIN rag.document_chunks USING (document_id) JOIN rag.chunk c USING (chunk_set_id)
    WHERE d.state <> 'tombstoned' ORDER BY 1, 2, 3"""

OPEN_TRANSACTIONS = """
    SELECT count(*) AS n FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"""


TABLES_OF_VERSIONS = "SELECT tablename FROM pg_tables WHERE schemaname = 'rag' AND tablename ~ '_[0-9]+$'"


@pytest.fixture
def filled(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_filled).lend() as lent:
        yield lent


@pytest.fixture(params=[1, 3])
def many_slices(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Slices of a few rows, in so many sessions."""
    monkeypatch.setattr(load, "SLICE_ROWS", 3)
    monkeypatch.setattr(slices, "SLICE_ROWS", 3)
    monkeypatch.setattr(slices.os, "cpu_count", lambda: request.param)
    return int(request.param)


class At:
    """A progress that does something once, when a stage begins, and counts what it hears of it."""

    def __init__(self, stage: str, act: Callable[[], object]) -> None:
        self.stage, self.act = stage, act
        self.heard: list[tuple[int, int | None]] = []

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        if stage == self.stage:
            self.heard.append((done, total))
            if len(self.heard) == 1:
                self.act()


def multiply_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once vectors are loaded, there are `COPIES` more of each row."""
    index_rows = Storage.index_rows

    def multiplied(self: Storage, connection: Pg) -> None:
        for table, columns in (("lexical", "tenant, words"), ("vectors", "embedding, weights")):
            connection.execute(
                f"INSERT INTO rag.{table}_{self.number} (document_id, chunk_set_id, ordinal, {columns}) "
                f"SELECT document_id, chunk_set_id, ordinal + 100 * n, {columns} "
                f"FROM rag.{table}_{self.number}, generate_series(1, {COPIES}) n"
            )
        index_rows(self, connection)

    monkeypatch.setattr(Storage, "index_rows", multiplied)


def test_slices_give_the_postings_and_terms_that_one_statement_would(
    filled: Workspace, many_slices: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    multiply_rows(monkeypatch)
    storage = filled.build().storage
    postings = filled.rows(
        f"SELECT tenant, term, first, entries FROM rag.postings_{storage} ORDER BY 1, 2, 3"
    )
    assert postings == filled.rows(WHOLE_POSTINGS.format(n=storage))
    assert max(len(row["entries"]) for row in postings) == 8000
    terms = filled.rows(f"SELECT tenant, term, documents FROM rag.terms_{storage} ORDER BY 1, 2")
    assert terms == filled.rows(WHOLE_TERMS.format(n=storage))


def test_a_version_is_the_same_in_one_slice_and_in_many(filled: Workspace, many_slices: int) -> None:
    sliced = filled.build()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load, "SLICE_ROWS", 1000)
        patch.setattr(slices, "SLICE_ROWS", 1000)
        whole = filled.build(full=True)
    assert filled.rows(CONTENT.format(n=sliced.storage)) == filled.rows(CONTENT.format(n=whole.storage))
    documents = filled.rows(DOCUMENTS.format(n=sliced.storage))
    assert documents == filled.rows(DOCUMENTS.format(n=whole.storage))
    assert documents == filled.rows(WHOLE_DOCUMENTS.format(n=sliced.storage)) != []
    assert sliced.spec == whole.spec
    assert all(filled.validate(sliced).values())


@pytest.mark.parametrize("row", [1, 255, 256, 65_536, 16_909_060, 2**31 - 1])
def test_postings_say_which_row_is_their_first(filled: Workspace, row: int) -> None:
    found = filled.rows(f"SELECT rag.first_row(rag.posting({row}, 200) || rag.posting(7, 1)) AS first")
    assert found == [{"first": row}]


@pytest.mark.parametrize("stage", STAGES)
def test_what_changes_while_slices_are_read_is_as_it_was_at_the_end(
    filled: Workspace, many_slices: int, stage: str
) -> None:
    def change() -> None:
        filled.write("00.md", "# Doc 0\n\nZeta replaced.")
        filled.write("new.md", "# New\n\nEta arrived.")
        (filled.docs / "01.md").unlink()
        filled.ingest()
        filled.rows("DELETE FROM rag.document WHERE external_id = '02.md' RETURNING 1")

    version = filled.build(progress=At(stage, change))

    assert [
        {name: row[name] for name in ("document_id", "chunk_set_id", "ordinal", "tenant", "words")}
        for row in filled.rows(CONTENT.format(n=version.storage))
    ] == filled.rows(EXPECTED)
    assert all(filled.validate(version).values())
    terms = filled.rows(f"SELECT tenant, term, documents FROM rag.terms_{version.storage} ORDER BY 1, 2")
    assert terms == filled.rows(WHOLE_TERMS.format(n=version.storage))


def test_what_changes_after_the_load_is_caught_up_with_by_the_next_build(filled: Workspace) -> None:
    def change() -> None:
        filled.write("00.md", "# Doc 0\n\nZeta replaced.")
        filled.ingest()

    filled.document["indexes"]["main"]["full_build_share"] = 0.5
    filled.publish()
    version = filled.build(full=True, progress=At("turning words around", change))
    filled.validate(version)
    filled.publish()
    assert filled.paths("zeta", mode="lexical") == {"00.md"}


def test_no_transaction_is_open_from_one_slice_to_the_next(
    filled: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "SLICE_ROWS", 3)
    monkeypatch.setattr(slices.os, "cpu_count", lambda: 1)
    found: dict[str, set[int]] = {}

    def look(stage: str, done: int, total: int | None) -> None:
        found.setdefault(stage, set()).update(row["n"] for row in filled.rows(OPEN_TRANSACTIONS))

    filled.build(progress=look)
    assert {stage: found[stage] for stage in STAGES} == {stage: {0} for stage in STAGES}


def test_progress_counts_every_row_of_every_step(filled: Workspace, many_slices: int) -> None:
    told: dict[str, list[tuple[int, int | None]]] = {}

    def listen(stage: str, done: int, total: int | None) -> None:
        told.setdefault(stage, []).append((done, total))

    rows = filled.build(progress=listen).row_count
    assert rows is not None
    for stage in (*STAGES, "turning words around", "building postings"):
        assert (told[stage][0], told[stage][-1]) == ((0, rows), (rows, rows))
        assert len(told[stage]) > 3
        assert told[stage] == sorted(told[stage], key=lambda each: each[0])


@pytest.mark.parametrize("stage", [*STAGES, "turning words around", "building postings"])
def test_an_interrupted_load_stops_its_sessions_and_leaves_no_table(
    filled: Workspace, many_slices: int, stage: str
) -> None:
    def interrupt(told: str, done: int, total: int | None) -> None:
        if told == stage and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        filled.build(progress=interrupt)
    assert (
        filled.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'rag' AND tablename ~ '_[0-9]+$'")
        == []
    )


@pytest.mark.parametrize("where", ["in a session", "in the caller"])
def test_an_error_ends_the_sessions_that_are_at_work(
    filled: Workspace, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(load, "SLICE_ROWS", 3)
    monkeypatch.setattr(slices.os, "cpu_count", lambda: 3)
    load_vectors = Storage.load_vectors

    def fail_or_wait(self: Storage, connection: Pg, params: dict[str, Any], each: slices.Slice) -> None:
        load_vectors(self, connection, params, each)
        if each.first > 1:
            connection.execute("SELECT pg_sleep(600)")
        if where == "in a session":
            raise ZeroDivisionError

    def listen(stage: str, done: int, total: int | None) -> None:
        if stage == "loading vectors" and done:
            raise ZeroDivisionError

    monkeypatch.setattr(Storage, "load_vectors", fail_or_wait)
    with pytest.raises(ZeroDivisionError):
        filled.build(progress=listen)
    assert filled.rows(TABLES_OF_VERSIONS) == []
