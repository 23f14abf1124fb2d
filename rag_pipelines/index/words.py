"""What the words of an index version are made by: the SQL that reads texts and fills its lexical tables.

What belongs here: which SQL that is. What does not: running it (`storage`), and how code becomes a digest
(`provenance`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from rag_pipelines.provenance.package import plain_sql
from rag_pipelines.provenance.stages import StageCode, made_by
from rag_pipelines.store.sql import objects, queries

QUERIES = (
    "create_storage",
    "chunk_words",
    "load_words",
    "add_words",
    "load_vectors",
    "add_vectors",
    "load_documents",
    "document_weights",
    "word_postings",
    "load_partials",
    "load_postings",
    "add_postings",
    "load_terms",
    "count_tenants",
    "add_terms",
)
"""The named queries that fill a version's tables, in a build and when it catches up."""

FIRST_CODE = "1"
"""The code whose fingerprints of indexes do not name it."""

_CALL = re.compile(r"\brag\.(\w+)\s*\(")
_FUNCTION = re.compile(r"FUNCTION rag\.(\w+)\(")


def words_stage() -> StageCode:
    """The queries that fill the tables, and every function of the schema that they reach."""
    return StageCode("index:words", (), texts=tuple(reachable_sql(QUERIES, queries(), objects())))


def words_code() -> str:
    """What stored fingerprints call the code that reads texts into words."""
    return made_by(words_stage()).code


def reachable_sql(names: Iterable[str], named: Mapping[str, str], defined: Mapping[str, str]) -> list[str]:
    """The queries `names` and the functions that they call, and those that these call, without comments.

    Args:
        named: the texts of queries by name.
        defined: the texts of functions by identity, such as ``FUNCTION rag.words(regconfig, text)``.
    """
    functions: dict[str, list[str]] = {}
    for identity, text in defined.items():
        if match := _FUNCTION.match(identity):
            functions.setdefault(match[1], []).append(plain_sql(text))
    texts = [plain_sql(named[name]) for name in names]
    waiting, reached = list(texts), dict[str, None]()
    while waiting:
        for name in _CALL.findall(waiting.pop()):
            if name not in reached and name in functions:
                reached[name] = None
                waiting += functions[name]
    return [*texts, *(text for name in sorted(reached) for text in functions[name])]
