"""Every page body of the real exports is read, and hardly a word of it is lost."""

from __future__ import annotations

import pytest

from rag_pipelines.model import BlockKind
from rag_pipelines_tests.unit.parsing.reading import texts

benchmark = pytest.importorskip("benchmarks.confluence_exports")


@pytest.fixture(scope="module")
def results(request):
    folder = benchmark.DATA / benchmark.FOLDER
    if not folder.exists():
        pytest.skip(f"needs the corpus {folder} (set RAG_DATA_DIR)")
    return benchmark.run(folder)


def test_every_body_is_read_or_empty(results):
    assert len(results) > 200
    assert [(result.body.label, str(result.error)) for result in results if result.error] == []
    empty = [result for result in results if result.document is None]
    assert len(empty) < 20


def test_fewer_than_one_word_in_a_hundred_is_lost(results):
    accounts = [
        entry
        for result in results
        for entry in benchmark.account(result.body.markup, result.document.text if result.document else "")
    ]
    assert sum(entry.found.total() for entry in accounts) > 5_000
    assert benchmark.lost_share(accounts) < benchmark.MOST_LOST


def test_tables_stay_tables(results):
    total = sum(benchmark.tables(result.body.markup)[0] for result in results)
    kept = sum(len(texts(result.document, BlockKind.TABLE)) for result in results if result.document)
    assert kept >= 0.8 * total > 20


def test_the_account_sees_every_word_that_is_left_out():
    markup = (
        '<p>one <b>t</b>wo</p><ac:macro ac:name="a"><ac:parameter ac:name="b">three</ac:parameter>'
        "<ac:plain-text-body><![CDATA[<four>]]></ac:plain-text-body></ac:macro><ac:task-id>5</ac:task-id>"
    )
    lost = [(entry.place, *entry.lost) for entry in benchmark.account(markup, "one") if entry.lost]
    assert lost == [("", "two"), ("", "four"), ("a.b", "three"), ("ac:task-id", "5")]
