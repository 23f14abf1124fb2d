"""The quality suites: sound data passes, each kind of broken row is found, named and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.errors import DatabaseError, GateError, RagError, TransientError, UsageError
from rag_pipelines.index.promotion import promote
from rag_pipelines.quality import library
from rag_pipelines.quality.library import ExpectationResult
from rag_pipelines.quality.process import SuiteProcess
from rag_pipelines.quality.runner import SUITES, check_source
from rag_pipelines.quality.suites import documents_suite
from rag_pipelines.runtime import Runtime
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.workspace import Workspace


def fill_checked(workspace: Workspace) -> None:
    """A workspace with some documents ingested."""
    for number in range(4):
        workspace.write(f"guide-{number}.md", f"# Guide {number}\n\n" + f"Valve {number} opens slowly. " * 30)
    workspace.write("table.md", "# Prices\n\n| item | price |\n|---|---|\n| pump | 12 |\n")
    workspace.ingest()


@pytest.fixture
def checked(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_checked).lend() as lent:
        yield lent


def check(workspace: Workspace, *names: str) -> dict[str, ExpectationResult]:
    results = check_source(
        Runtime(workspace.database, workspace.settings, Embedders(workspace.settings.data_dir)),
        "docs",
        names=names or SUITES,
    )
    return {f"{one.suite}.{one.expectation}": one for one in results}


def failed(results: dict[str, ExpectationResult]) -> set[str]:
    return {name for name, one in results.items() if not one.passed}


def tamper(workspace: Workspace, statement: str) -> None:
    with workspace.database.connection() as connection:
        connection.execute(statement)  # type: ignore[call-overload]


def test_a_connection_that_is_lost_is_a_passing_fault_and_no_failed_expectation(
    checked: Workspace, monkeypatch: pytest.MonkeyPatch
):
    validate = library._validate

    def losing(batch: Any, *arguments: Any) -> Any:
        checked.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND application_name <> 'rag_pipelines'"
        )
        return validate(batch, *arguments)

    monkeypatch.setattr(library, "_validate", losing)

    with pytest.raises(TransientError, match="lost while a quality suite ran"):
        check(checked, "chunks")
    assert checked.rows("SELECT 1 FROM rag.quality_result") == []


def test_the_rows_of_a_suite_are_read_once(checked: Workspace, monkeypatch: pytest.MonkeyPatch):
    execute, asked = psycopg.Cursor.execute, list[str]()

    def noted(cursor: psycopg.Cursor, statement: Any, *arguments: Any, **options: Any) -> Any:
        asked.append(str(statement))
        return execute(cursor, statement, *arguments, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", noted)
    tamper(checked, "UPDATE rag.chunk SET tokens = 0")

    assert failed(check(checked, "chunks")) == {"chunks.has_tokens"}
    assert len([one for one in asked if "TEMPORARY TABLE" in one]) == 1


def test_sound_data_passes_every_expectation(checked: Workspace):
    results = check(checked)

    assert failed(results) == set()
    assert {name.partition(".")[0] for name in results} == set(SUITES)
    assert results["documents.unique_ids"].rows == 5
    assert results["chunks.unique_ids"].rows == results["vectors.coverage"].rows >= 5
    assert all(one.unexpected == 0 for one in results.values())


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE rag.document SET raw_sha256 = ''", "documents.content_stored"),
        ("UPDATE rag.document SET raw_bytes = 1e12", "documents.size_within_limit"),
        ("UPDATE rag.document SET parse_id = NULL", "documents.every_document_answered"),
        ("UPDATE rag.parse SET status = 'wonderful'", "documents.known_status"),
        ("UPDATE rag.parse SET characters = 0", "documents.text_found"),
        ("DELETE FROM rag.chunk WHERE ordinal = 0", "chunks.none_lost"),
        ("UPDATE rag.chunk SET text = '', end_at = start_at", "chunks.not_empty"),
        ("UPDATE rag.chunk SET tokens = 0", "chunks.has_tokens"),
        ("UPDATE rag.chunk SET tokens = 100000", "chunks.tokens_within_budget"),
        ("UPDATE rag.chunk SET end_at = end_at + 1", "chunks.span_is_text"),
        ("UPDATE rag.chunk SET start_at = -1 - start_at", "chunks.starts_inside"),
        ("UPDATE rag.chunk SET end_at = end_at + 90000", "chunks.ends_inside"),
        ("DELETE FROM rag.embedding", "vectors.coverage"),
        ("UPDATE rag.embedding SET embedding = '[1,0]'", "vectors.dimensions"),
        ("UPDATE rag.embedding SET embedding = embedding * embedding", "vectors.unit_length"),
    ],
)
def test_a_broken_row_is_found_and_named(checked: Workspace, statement: str, broken: str):
    tamper(checked, statement)

    result = check(checked, broken.partition(".")[0])[broken]

    assert not result.passed
    assert result.blocking
    assert result.error is None
    assert result.unexpected
    assert result.samples[0]["external_id"].endswith(".md")


def test_a_chunk_beyond_its_documents_pages_is_found(checked: Workspace):
    tamper(checked, "UPDATE rag.parse SET pages = 2; UPDATE rag.chunk SET page_first = 3, page_last = 3")

    assert failed(check(checked, "chunks")) == {"chunks.pages_inside"}


def test_chunks_without_pages_only_warn(checked: Workspace):
    tamper(checked, "UPDATE rag.parse SET pages = 2")

    results = check(checked, "chunks")

    assert failed(results) == {"chunks.pages_known"}
    assert not results["chunks.pages_known"].blocking


def test_what_waits_in_quarantine_for_long_or_in_numbers_warns(checked: Workspace):
    for number in range(3):
        checked.write(f"broken-{number}.pdf", b"%PDF-1.7 not really")
    checked.ingest()
    tamper(checked, "UPDATE rag.quarantine SET first_at = now() - interval '20 days'")

    results = check(checked, "documents")

    assert failed(results) == {"documents.quarantine_documents", "documents.quarantine_age"}
    assert results["documents.quarantine_documents"].unexpected == 3
    assert not results["documents.quarantine_age"].blocking


@pytest.mark.parametrize(
    ("allowed", "passed", "beyond"),
    [(0, False, 2), (1, False, 1), (2, True, 0), (0.2, False, 2), (0.4, True, 2), (1.0, True, 2)],
)
def test_how_much_may_be_in_quarantine_is_a_setting_of_the_source(
    checked: Workspace, allowed: int | float, passed: bool, beyond: int
):
    """Two of seven documents: a number is compared with two, a share with two sevenths."""
    checked.document["sources"]["docs"]["quarantine"] = {"documents": allowed, "age": "30d"}
    for number in range(2):
        checked.write(f"broken-{number}.pdf", b"%PDF-1.7 not really")
    checked.ingest()
    tamper(checked, "UPDATE rag.quarantine SET first_at = now() - interval '20 days'")

    results = check(checked, "documents")

    assert results["documents.quarantine_documents"].passed is passed
    assert results["documents.quarantine_documents"].unexpected == beyond
    assert results["documents.quarantine_age"].passed


def test_a_listing_that_loses_more_than_the_guard_warns(checked: Workspace):
    checked.document["sources"]["docs"]["delete_guard"] = {"share": 0.5}
    for number in range(3):
        (checked.docs / f"guide-{number}.md").unlink()
    checked.ingest(allow_deletes=True)

    result = check(checked, "documents")["documents.volume_drop"]

    assert not result.passed
    assert not result.blocking
    assert (result.unexpected, result.rows) == (3, 5)


def test_a_vector_that_the_model_refused_is_in_quarantine_and_blocks_nothing(checked: Workspace):
    tamper(checked, "DELETE FROM rag.embedding; UPDATE rag.chunk_set_embedded SET missing = 1")

    assert failed(check(checked, "vectors")) == set()


def test_rows_that_cannot_be_read_are_an_error_and_no_pass(checked: Workspace):
    tamper(checked, "ALTER TABLE rag.chunk RENAME COLUMN tokens TO words")

    with pytest.raises(DatabaseError, match=r"c\.tokens does not exist"):
        check(checked, "chunks")


def test_a_source_without_documents_passes_and_one_never_listed_says_nothing(workspace: Workspace):
    assert check(workspace) == {}
    workspace.write("one.md", "# One\n\nOnly one.")
    workspace.ingest()
    (workspace.docs / "one.md").unlink()
    workspace.ingest(allow_deletes=True)

    assert failed(check(workspace, "chunks", "vectors")) == set()


def test_an_unknown_source_is_refused(workspace: Workspace):
    with pytest.raises(UsageError, match="there is no source 'wiki'"):
        check_source(Runtime(workspace.database, workspace.settings, Embedders(workspace.folder)), "wiki")


def test_a_failed_expectation_refuses_promotion_until_it_passes_again(checked: Workspace):
    tamper(checked, "UPDATE rag.chunk SET tokens = 0 WHERE ordinal = 0")
    check(checked)
    refused = checked.build()

    assert checked.validate(refused)["source_quality"] is False
    with pytest.raises(GateError, match="gate source_quality failed"):
        promote(checked.database, "main")

    tamper(checked, "UPDATE rag.chunk SET tokens = 9 WHERE ordinal = 0")
    check(checked)
    assert checked.validate(refused)["source_quality"] is True
    assert promote(checked.database, "main").state == "live"


def test_a_process_of_its_own_gives_the_same_results(checked: Workspace):
    tamper(checked, "UPDATE rag.chunk SET tokens = 0")
    here = check(checked)

    with SuiteProcess() as process:
        there = check_source(
            Runtime(checked.database, checked.settings, Embedders(checked.settings.data_dir)),
            "docs",
            run=process.run,
        )
        process._process.kill()
        with pytest.raises(RagError, match="the quality process ended with code -9"):
            process.run("", documents_suite(), {})

    assert there == list(here.values())


def test_warnings_refuse_nothing(checked: Workspace):
    tamper(checked, "UPDATE rag.parse SET pages = 2")
    check(checked)

    assert checked.validate(checked.build())["source_quality"] is True
