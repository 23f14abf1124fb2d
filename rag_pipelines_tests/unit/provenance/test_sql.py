"""SQL counts without comments and formatting, and with every function that it calls."""

from __future__ import annotations

import pytest

from rag_pipelines.index.words import QUERIES, reachable_sql, words_stage
from rag_pipelines.provenance.package import plain_sql
from rag_pipelines.store.sql import queries

FUNCTIONS = {
    "FUNCTION rag.words(text)": "CREATE FUNCTION rag.words(content text) ... RETURN rag.parts(content) -- x",
    "FUNCTION rag.parts(text)": "CREATE FUNCTION rag.parts(content text) ... RETURN content",
    "FUNCTION rag.other(text)": "CREATE FUNCTION rag.other(content text) ... RETURN content",
    "TRIGGER words ON rag.chunk": "CREATE TRIGGER words ... EXECUTE FUNCTION rag.other()",
}


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("SELECT  1 -- one\n  FROM t", "SELECT 1 FROM t"),
        ("SELECT /* a\nb */ 1", "SELECT 1"),
        ("SELECT '--  no comment', \"a  b\"", "SELECT '--  no comment', \"a  b\""),
        ("SELECT 'it''s -- here' -- gone", "SELECT 'it''s -- here'"),
        ("a - b / c", "a - b / c"),
    ],
)
def test_comments_and_formatting_do_not_count(text, plain):
    assert plain_sql(text) == plain


def test_functions_count_that_are_called_and_that_these_call():
    found = reachable_sql(["load"], {"load": "SELECT rag.words(text) FROM t"}, FUNCTIONS)
    assert found == [
        "SELECT rag.words(text) FROM t",
        "CREATE FUNCTION rag.parts(content text) ... RETURN content",
        "CREATE FUNCTION rag.words(content text) ... RETURN rag.parts(content)",
    ]


def test_the_words_of_an_index_are_made_by_the_functions_of_the_schema():
    texts = " ".join(words_stage().texts)
    for name in (
        "words",
        "identifiers_apart",
        "identifiers_joined",
        "language_of",
        "term_id",
        "bm25_weights",
    ):
        assert f"FUNCTION rag.{name}(" in texts
    for name in ("text_length", "posting", "impact"):
        assert f"FUNCTION rag.{name}(" in texts
    for name in ("may_read", "question_words", "protect_version"):
        assert f"FUNCTION rag.{name}(" not in texts


def test_no_query_that_fills_a_table_of_words_is_left_out():
    filling = {
        name for name, text in queries().items() if "INSERT INTO {" in text or "CREATE TABLE {" in text
    }
    layouts = {"create_part", "divide_by_tenant", "create_rest", "create_tenant_part"}
    copies = {"add_departed", "copy_vectors", "copy_words"}
    assert filling - layouts - copies <= set(QUERIES)
