"""The report for knowledge owners: what it counts, what it names, and what it leaves out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from prometheus_client import generate_latest
from prometheus_client.registry import CollectorRegistry

from rag_pipelines.knowledge.findings import Findings, find
from rag_pipelines.monitoring.catalogue import CatalogueMetrics
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.test_duplicates import add_sources, notice
from rag_pipelines_tests.integration.workspace import Workspace

NOW = datetime.now(UTC)


def fill_shelf(made: Workspace) -> None:
    """A policy in three versions over two sources, a page in two formats, and one that is alone."""
    add_sources(made, "keep", "wiki", "docs")
    for path, text in (
        ("wiki/policy.md", f"Pay within 30 days, says rule A7. {notice(1)}"),
        ("docs/policy-old.md", f"Pay within 14 days, says rule A6. {notice(1)}"),
        ("docs/policy-reworded.md", f"Pay in at most 30 days, says the rule A7. {notice(1)}"),
        ("wiki/menu.md", f"# Menu\n\n{notice(2)}"),
        ("docs/menu.html", f"<h1>Menu</h1><p>{notice(2)}</p>"),
        ("docs/alone.md", notice(3)),
    ):
        made.write(path, text)
    made.document["sources"]["docs"]["owner"] = "team:kitchen"
    for source in ("wiki", "docs"):
        made.ingest(source)
    for path, years in (("policy.md", 1), ("policy-old.md", 5), ("policy-reworded.md", 1), ("menu.html", 3)):
        made.rows(
            "UPDATE rag.document SET modified_at = %s WHERE path = %s RETURNING 1",
            NOW - timedelta(days=365 * years),
            path,
        )
    made.rows("UPDATE rag.document SET author = 'Ann' WHERE path <> 'alone.md' RETURNING 1")


@pytest.fixture
def shelf(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_shelf).lend() as lent:
        yield lent


@pytest.fixture
def database_url(shelf: Workspace) -> str:
    return shelf.url


def found(made: Workspace, *sources: str, **options: Any) -> Findings:
    return find(made.database, made.settings, sources or ("wiki", "docs"), **options)


def test_documents_are_counted_by_source_and_by_what_was_found(shelf: Workspace) -> None:
    wiki, docs = sorted(found(shelf).sources, key=lambda one: one.source == "docs")
    assert (wiki.documents, wiki.copies, wiki.near_copies, wiki.outdated, wiki.stale) == (2, 0, 0, 0, 0)
    assert (docs.documents, docs.copies, docs.near_copies) == (4, 1, 2)
    assert (docs.contradicting, docs.outdated, docs.stale) == (1, 1, 2)
    assert (docs.without_author, wiki.without_author) == (1, 0)
    assert (docs.owner, wiki.owner) == ("team:kitchen", None)


def test_the_document_of_the_source_that_is_named_first_stays(shelf: Workspace) -> None:
    largest, second = found(shelf).families
    assert (largest.stays.external_id, len(largest.copies)) == ("policy.md", 2)
    assert (second.stays.external_id, second.copies[0].document.external_id) == ("menu.md", "menu.html")
    assert second.copies[0].same_words
    assert found(shelf, "docs", "wiki").families[0].stays.source == "docs"


def test_versions_that_contradict_are_named_with_their_numbers(shelf: Workspace) -> None:
    (one,) = found(shelf).contradictions
    assert (one.first.external_id, one.second.external_id) == ("policy.md", "policy-old.md")
    assert one.only_first == ("pay within 30 days", "says rule a7 the")
    assert one.only_second == ("pay within 14 days", "says rule a6 the")


def test_an_older_copy_beside_a_newer_one_is_outdated_unless_it_says_the_same(shelf: Workspace) -> None:
    (one,) = found(shelf).outdated
    assert (one.document.external_id, one.newer.modified_at) == ("policy-old.md", NOW - timedelta(days=365))


def test_old_documents_are_named_oldest_first_by_the_age_that_is_asked_for(shelf: Workspace) -> None:
    assert [one.external_id for one in found(shelf).stale] == ["policy-old.md", "menu.html"]
    assert [one.external_id for one in found(shelf, stale_after=timedelta(days=1200)).stale] == [
        "policy-old.md"
    ]
    assert len(found(shelf, examples=1).stale) == 1


def test_two_tenants_have_no_family(shelf: Workspace) -> None:
    shelf.rows("UPDATE rag.document SET tenant = 'other' WHERE path = 'menu.html' RETURNING 1")
    assert [family.stays.external_id for family in found(shelf).families] == ["policy.md"]


def test_a_document_that_was_deleted_is_no_copy(shelf: Workspace) -> None:
    (shelf.docs / "docs/menu.html").unlink()
    shelf.ingest("docs")
    assert [family.stays.external_id for family in found(shelf).families] == ["policy.md"]


def test_documents_of_an_index_that_does_not_ask_were_not_compared(shelf: Workspace) -> None:
    shelf.rows("DELETE FROM rag.sketch RETURNING 1")
    findings = found(shelf)
    assert [one.unsketched for one in findings.sources] == [4, 2]
    assert findings.families == ()


def test_nobody_has_a_copy_after_the_links_between_two_are_gone(shelf: Workspace) -> None:
    """Families in the database are what may be alike: the report compares."""
    shelf.rows("UPDATE rag.sketch SET family = 1 RETURNING 1")
    assert found(shelf).family_count == 2


def test_copied_documents_are_a_figure_where_an_index_asks(shelf: Workspace) -> None:
    def figures() -> str:
        registry = CollectorRegistry()
        registry.register(CatalogueMetrics(shelf.database, shelf.settings))
        return generate_latest(registry).decode()

    assert 'rag_source_copied_documents{source="docs"} 3.0' in figures()
    assert 'rag_source_copied_documents{source="wiki"} 2.0' in figures()
    del shelf.document["indexes"]["main"]["duplicates"]
    assert "rag_source_copied_documents{" not in figures()


@pytest.fixture
def workspace(shelf: Workspace) -> Workspace:
    return shelf


def test_the_report_is_text_json_and_a_page(call: Callable[..., Result], shelf: Workspace) -> None:
    text = call("knowledge", "report", "wiki", "docs").output
    assert "rights over the catalogue" in text
    assert "| docs | team:kitchen | 4 | 1 | 2 | 1 | 1 | 1 | 0 | 2 |" in text
    assert "pay within 14 days" in text
    plain = json.loads(call("knowledge", "report", "--json", "--stale", "1500d").stdout)
    assert [one["external_id"] for one in plain["stale"]] == ["policy-old.md"]
    page = Path(shelf.folder / "page.html")
    assert call("knowledge", "report", "--html", str(page)).exit_code == 0
    assert "<td>policy-old.md [docs: policy-old.md]</td>" in page.read_text()


def test_a_source_that_there_is_not_is_an_error(call: Callable[..., Result]) -> None:
    answer = call("knowledge", "report", "nowhere")
    assert answer.exit_code == 2
    assert "there is no source 'nowhere'; valid: docs, wiki" in answer.output
