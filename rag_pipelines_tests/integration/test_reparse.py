"""Other code of a parser or chunker: all is made again from what is stored, and equal results end there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from hashlib import sha256

import pytest
from typer.testing import Result

from rag_pipelines.chunking import fingerprints as chunking
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.embedding.hashing import HashEmbedder
from rag_pipelines.provenance.stages import Made
from rag_pipelines.runtime import Runtime
from rag_pipelines.sync.advance import Stage
from rag_pipelines.sync.plan import plan_source
from rag_pipelines.sync.stages import advance_source, list_source, source_run
from rag_pipelines_tests.integration.stock import Fill, Stock
from rag_pipelines_tests.integration.workspace import Workspace

DOCUMENTS = """
SELECT d.external_id, d.status, d.changed_xid::text AS changed, dc.chunk_set_id, f.fingerprint AS parser
FROM rag.document d JOIN rag.document_chunks dc USING (document_id)
JOIN rag.parse p USING (parse_id) JOIN rag.profile f ON f.profile_id = p.profile_id ORDER BY 1
"""


def fill_filled(workspace: Workspace) -> None:
    """Three documents, indexed by the code of now."""
    for name in ("a.md", "b.md"):
        workspace.write(name, f"# {name}\n\nAlpha of {name}, bravo.")
    workspace.write("c.html", "<h1>Charlie</h1><p>Alpha of a page.</p>")
    workspace.refresh()


@pytest.fixture
def filled(stock_of: Callable[[Fill], Stock]) -> Iterator[Workspace]:
    with stock_of(fill_filled).lend() as lent:
        yield lent


@pytest.fixture
def workspace(filled: Workspace) -> Workspace:
    """What commands are called on."""
    return filled


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that is given to the model."""
    given: list[str] = []
    embed = HashEmbedder.embed_documents

    def counted(self: HashEmbedder, texts: list[str]) -> object:
        given.extend(texts)
        return embed(self, texts)

    monkeypatch.setattr(HashEmbedder, "embed_documents", counted)
    return given


def made_by_other_code(workspace: Workspace) -> None:
    """What is stored was parsed by a release whose fingerprints were counted by hand."""
    workspace.rows("UPDATE rag.profile SET fingerprint = md5(fingerprint) WHERE kind = 'parser' RETURNING 1")
    workspace.rows("UPDATE rag.quarantine SET code_version = md5(code_version) RETURNING 1")


def other_text(workspace: Workspace, name: str) -> None:
    """That other code had read something else in this document."""
    workspace.rows(
        "UPDATE rag.parse p SET blocks_sha256 = %s FROM rag.document d "
        "WHERE d.parse_id = p.parse_id AND d.external_id = %s RETURNING 1",
        sha256(b"other").digest(),
        name,
    )


def test_documents_whose_text_comes_out_equal_only_change_their_parser(
    filled: Workspace, embedded: list[str]
) -> None:
    before = filled.rows(DOCUMENTS)
    made_by_other_code(filled)
    report = filled.ingest()
    assert (report.reparsed, report.reparsed_equal) == ({"text/markdown": 2, "text/html": 1}, 3)
    assert (report.bytes_loaded, report.chunks, report.chunk_sets) == (0, 0, 0)
    assert (report.vectors_reused, embedded) == (0, [])
    assert filled.rows(DOCUMENTS) == before, "the parser has its fingerprint of now again; nothing else"
    assert filled.ingest().parsed == 0


def test_an_index_has_nothing_to_catch_up_with_after_it(filled: Workspace) -> None:
    from rag_pipelines.index.build import build_index

    made_by_other_code(filled)
    filled.ingest()
    embedders = Embedders(filled.settings.data_dir)
    again = build_index(Runtime(filled.database, filled.settings, embedders), "main", if_changed=True)
    assert again is None


def test_a_text_that_comes_out_otherwise_is_cut_again_and_embedded_only_where_it_is_new(
    filled: Workspace, embedded: list[str]
) -> None:
    before = {row["external_id"]: row for row in filled.rows(DOCUMENTS)}
    made_by_other_code(filled)
    other_text(filled, "a.md")
    filled.rows(
        "DELETE FROM rag.document_chunks USING rag.document d WHERE d.document_id = "
        "document_chunks.document_id AND d.external_id = 'a.md' RETURNING 1"
    )
    report = filled.ingest()
    assert (sum(report.reparsed.values()), report.reparsed_equal) == (3, 2)
    assert embedded == [], "its chunks read as before"
    after = {row["external_id"]: row for row in filled.rows(DOCUMENTS)}
    assert after["b.md"] == before["b.md"]
    assert after["a.md"]["chunk_set_id"] == before["a.md"]["chunk_set_id"]
    assert after["a.md"]["changed"] != before["a.md"]["changed"]


def test_a_changed_file_with_the_same_text_ends_there_too(filled: Workspace, embedded: list[str]) -> None:
    filled.write("c.html", "<h1>Charlie</h1><!-- new --><p>Alpha of a page.</p>")
    report = filled.ingest()
    assert (report.parsed, report.chunks, report.reparsed) == (1, 0, {})
    assert embedded == []


def test_other_code_of_a_chunker_embeds_nothing_that_reads_as_before(
    filled: Workspace, embedded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunking, "made_by", lambda stage: Made("other", {}))
    report = filled.ingest()
    assert report.parsed == 0
    assert report.chunk_sets == 3
    assert (report.vectors_reused, embedded) == (3, [])


def test_stages_that_run_apart_end_the_same(filled: Workspace) -> None:
    before = filled.rows(DOCUMENTS)
    made_by_other_code(filled)
    embedders = Embedders(filled.settings.data_dir)
    with source_run(filled.database, filled.settings, "docs") as run:
        list_source(run)
    for stage in Stage:
        with source_run(filled.database, filled.settings, "docs", continued=True) as run:
            advance_source(run, embedders, stage)
    assert filled.rows(DOCUMENTS) == before
    (stored,) = filled.rows("SELECT report FROM rag.run ORDER BY run_id DESC LIMIT 1")
    assert (stored["report"]["reparsed_equal"], stored["report"]["chunks"]) == (3, 0)


def test_what_could_not_be_parsed_is_tried_once_by_other_code(
    filled: Workspace, call: Callable[..., Result]
) -> None:
    filled.write("d.pdf", b"%PDF-1.7 nothing")
    assert filled.ingest().failed == 1
    assert filled.ingest().statuses == {}
    made_by_other_code(filled)
    assert "failed 1" in call("status").output
    report = filled.ingest()
    assert report.statuses == {"ok": 3, "corrupt": 1}
    assert sum(report.reparsed.values()) == 3
    assert filled.ingest().statuses == {}


def test_plan_and_status_say_beforehand_what_will_be_parsed_again(
    filled: Workspace, call: Callable[..., Result]
) -> None:
    assert "parsed" not in call("status").output
    made_by_other_code(filled)
    status = call("status")
    assert (
        "note: docs: 3 documents were parsed by other code (markdown 2, html 1) and will be parsed again"
        in status.output
    )
    (source,) = json.loads(call("status", "--json").stdout)["sources"]
    assert source["to_parse_again"] == {"text/markdown": 2, "text/html": 1}
    planned = call("plan")
    assert "3 that other code had parsed (markdown 2, html 1); 3 came out as before" in planned.output
    made = plan_source(Runtime(filled.database, filled.settings, Embedders(filled.settings.data_dir)), "docs")
    assert (made.reparsed, made.reparsed_equal) == ({"text/markdown": 2, "text/html": 1}, 3)
    assert made.chunks == 0
    assert "will be parsed again" in call("status").output, "a plan leaves nothing behind"
    done = call("ingest")
    assert "3 that other code had parsed (markdown 2, html 1); 3 came out as before" in done.output
    assert "parsed again" not in call("status").output
