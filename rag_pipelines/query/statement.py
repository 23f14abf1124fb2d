"""The search statement of one version: which parts it is made of, and what its rows mean.

What belongs here: composing `sql/queries/search.sql` for a version and a filter, running it, its rows as
hits. What does not: choosing the version, embedding the question, stages after the statement (`search`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from rag_pipelines.index.storage import TABLES, storage_of_version
from rag_pipelines.index.versions import Version
from rag_pipelines.query.caching import UNKNOWN, Kept, Scope, scope_size
from rag_pipelines.query.filter_predicate import NO_FILTER, Predicate
from rag_pipelines.query.hits import Hit, PassageLink, Scores
from rag_pipelines.query.postings import NOTHING, POSTINGS, Matches, matches
from rag_pipelines.query.question import readings
from rag_pipelines.store.database import Part, Pg, PreparedQuery, Row, compose_query

FEW_CHUNKS = 2_000
"""So many are compared one by one; the vector index would skip too much that the caller may not see."""

FIRST_MATCHES, MORE_MATCHES = 1_000, 20_000
"""Rows with the question's words that are looked up, best first; more where the caller sees too few."""

FAR, NEAR = 0.28, 0.8
"""Of the way from passages that have nothing to do with a question to its answer (`spec.CosineRange`): where
the nearest passage is no nearer than the first, the dense side is noise; from the second on it counts in
full."""

LEAST_DENSE = 0.01
"""What noise counts, so that it is an order where there is nothing else."""

DOCUMENT_WEIGHT, PAIR_WEIGHT = 0.1, 0.1
"""What a document counts on each side, and word pairs, beside 1 for both sides of a passage.

All of these were chosen on open sets, and are the same for every index
(``python benchmarks/retrieval_sets.py``)."""

SCOPES_KEPT = 16_000_000
"""Bytes of what is kept of callers: 4,000 rules, or 2,000 documents, take some 20 kB."""

DOCUMENTS_KEPT = 10_000
"""Where more documents count as few, a caller's are not kept."""

STATEMENTS = 200
"""Kinds of filters whose statements are kept; more, and all are made anew."""


_WEIGHTS = {
    name: sql.SQL(f"{weight}::float8")
    for name, weight in (
        ("least_dense", LEAST_DENSE),
        ("document_weight", DOCUMENT_WEIGHT),
        ("pair_weight", PAIR_WEIGHT),
    )
}


class VersionSearch:
    """The statements of one version, made when first needed.

    What a plan depends on is written into them, so that one generic plan serves every search: planning
    so large a statement takes longer than running it. `few_chunks` replaces `FEW_CHUNKS`.
    """

    def __init__(self, version: Version, few_chunks: int | None = None) -> None:
        self.version = version
        self._few_chunks = few_chunks
        self._storage = storage_of_version(version)
        self.parts: dict[str, Part] = {
            **self._storage.parts("type", "language", "configurations", *TABLES),
            "vectors": self._storage.searched,
            "text": compose_query("current_text"),
            "caller": compose_query("caller", {"rules": compose_query("rules")}),
        }
        few: dict[str, Part] = {"few_documents": sql.Placeholder("few_documents")}
        asked = {"caller": self.parts["caller"], "few": compose_query("few_by_access", few), **few}
        self._scope_asked = PreparedQuery(compose_query("scope", asked), "scope")
        self._scopes = Kept[Scope](SCOPES_KEPT, scope_size)
        words = {name: self.parts[name] for name in ("terms", "postings", "configurations")}
        self._words_asked = PreparedQuery(compose_query("words_asked", words), "words_asked")
        configurations = {"configurations": self.parts["configurations"]}
        self._phrases_asked = compose_query("phrases_asked", configurations)
        self._has_words = compose_query("has_words", configurations)
        self._statements: dict[tuple[str, int, int, int, bool, bool], PreparedQuery] = {}
        range_ = version.spec.cosines
        self._trust = {
            "far": None if range_ is None else range_.at(FAR),
            "near": None if range_ is None else range_.at(NEAR),
        }

    def rows(
        self, connection: Pg, params: dict[str, Any], narrowing: Predicate, *, keeps: bool = True
    ) -> list[Row] | None:
        """The statement's rows, or None when another version is live.

        Raises `psycopg.errors.UndefinedTable` when the version's tables are gone.

        Args:
            params: of the statement; `quoted` are phrases that every row has to hold, where words count.
            keeps: with what was found out of the caller before. Not under policies, which hold since another
                snapshot than that of the statement.
        """
        weighs = params["dense"] and params["lexical"] and params["rrf_k"] is None
        params = {**params, "weighs": weighs, **self._trust}
        quoted = self._phrases(connection, params["quoted"]) if params["lexical"] else None
        scope = self._scope(connection, params) if keeps else UNKNOWN
        exact = quoted is not None or self._storage.kind == "exact" or scope.documents is not None
        found = self._matches(connection, params, postings=0 if exact else POSTINGS)
        params = {**params, **scope._asdict(), "version_id": self.version.version_id, "phrases": quoted}

        def run(looked_up: int, *, exact: bool = False) -> list[Row]:
            statement = self._statement(params, narrowing, exact=exact)
            asked = {
                **params,
                "weights": found.weights,
                "matches": found.best(looked_up),
                "pairs": found.pairs,
            }
            return statement.run(connection, asked, prepare=None if exact else True).fetchall()

        looked_up = max(FIRST_MATCHES, 2 * params["k"])
        rows = run(looked_up, exact=quoted is not None)
        if not rows or rows[0]["version_id"] != self.version.version_id:
            return None
        if keeps and not rows[0]["holds"]:
            self._scopes.drop(scope.caller)
        if exact and not rows[0]["exact"]:
            found = self._matches(connection, params, postings=POSTINGS)
            rows = run(looked_up)
        if rows and not rows[0]["exact"]:
            if len(found) > looked_up and rows[0]["with_words"] < params["k"]:
                looked_up = MORE_MATCHES
                rows = run(looked_up)
            if _hits(rows) < params["k"] and (
                params["dense"] or len(found) > looked_up or not found.thorough
            ):
                rows = run(0, exact=True)
        for row in rows:
            row["thorough"] = row["exact"] or found.thorough
        return rows if rows and rows[0]["version_id"] == self.version.version_id else None

    def _scope(self, connection: Pg, params: dict[str, Any]) -> Scope:
        """What is kept of a caller. Whether it holds yet is seen by the statement that applies it."""
        few = self._few_documents
        few = few if few <= DOCUMENTS_KEPT else 0
        caller = (few, params["tenant"], *params["principals"])
        known = self._scopes.get(caller)
        if known is None:
            asked = {**params, **UNKNOWN._asdict(), "few_documents": few}
            row = self._scope_asked.run(connection, asked).fetchone()
            assert row is not None
            known = Scope(caller, **row)
            self._scopes.put(caller, known)
        return known

    def _matches(self, connection: Pg, params: dict[str, Any], postings: int) -> Matches:
        """The rows with the question's words; none but the words' weights where no `postings` are read."""
        if not params["lexical"]:
            return NOTHING
        return matches(connection, self._words_asked, params, postings)

    def has_words(self, connection: Pg, text: str) -> bool:
        """Whether a question has words that texts are found by; stop words are not."""
        row = connection.execute(self._has_words, {"text": text}).fetchone()
        return row is not None and bool(row["has_words"])

    def _phrases(self, connection: Pg, quoted: Sequence[str]) -> str | None:
        """What a row's words have to match to hold every phrase; None where nothing is asked of it."""
        written = [(place, *one) for place, phrase in enumerate(quoted) for one in readings(phrase)]
        if not written:
            return None
        places, texts, words = map(list, zip(*written, strict=True))
        asked = {"places": places, "readings": texts, "words": words}
        rows = connection.execute(self._phrases_asked, asked).fetchall()
        return " & ".join(f"({row['phrase']})" for row in rows) or None

    def _statement(
        self, params: dict[str, Any], narrowing: Predicate, *, exact: bool = False
    ) -> PreparedQuery:
        """The search with these parameters; `exact` compares everything that the caller may see."""
        few = 2**31 if exact or self._storage.kind == "exact" else self._few_documents
        quoted = params["phrases"] is not None
        key = (narrowing.text, few, params["candidates"], params["foremost"], quoted, params["weighs"])
        known = self._statements.get(key)
        if known is None:
            document = compose_query("visible_document", {"filters": sql.SQL(narrowing.text)})
            visible = compose_query("visible", {"document": document, "text": self.parts["text"]})
            walkable = compose_query("walkable", {"visible": visible})
            parts: dict[str, Part] = {
                **self.parts,
                "document": document,
                "visible": visible,
                "walked": self._storage.walk(walkable, params["candidates"], self._storage.searched),
                "few_documents": sql.SQL(str(few)),
                "candidates": sql.SQL(str(params["candidates"])),
                "foremost": sql.SQL(str(params["foremost"])),
                **_WEIGHTS,
            }
            walk = (
                "few_by_phrase" if quoted else "few_by_access" if narrowing == NO_FILTER else "few_by_filter"
            )
            parts["few"], parts["is_few"] = compose_query(walk, parts), compose_query("is_few", parts)
            if walk == "few_by_access" and few <= DOCUMENTS_KEPT:
                parts |= {
                    "few": compose_query("few_known", parts),
                    "is_few": compose_query("is_known_few", parts),
                }
            parts["weighed"] = compose_query(
                "whole_documents_and_pairs" if params["weighs"] else "passages_alone", self.parts
            )
            parts["quoted"] = compose_query("holds_phrases", parts) if quoted else sql.SQL("true")
            known = PreparedQuery(compose_query("search", parts), "search")
            if len(self._statements) >= STATEMENTS:
                self._statements.clear()
            self._statements[key] = known
        return known

    @property
    def _few_documents(self) -> int:
        """Documents that together have about so many chunks as are compared one by one."""
        few = FEW_CHUNKS if self._few_chunks is None else self._few_chunks
        documents, rows = self.version.document_count or 0, self.version.row_count or 0
        return max(int(few * documents / rows), 1) if rows else few


def links_of(row: Row) -> tuple[PassageLink, ...]:
    """The links of a row of rag.chunk."""
    return tuple([PassageLink(text, target) for text, target in row["links"] or ()])


def hit_of(row: Row) -> Hit:
    """A row that has a score, as a hit."""
    pages = None if row["page_first"] is None else (row["page_first"], row["page_last"])
    dense, lexical = row["dense_score"], row["lexical_score"]
    scores = Scores(
        row["score"],
        dense,
        lexical,
        None if dense is None else row["dense_rank"],
        row["lexical_rank"] if lexical else None,
        row["document_dense"],
        row["document_lexical"],
        row["pairs"],
    )
    return Hit(
        text=row["text"],
        context=row["context"],
        title=row["title"],
        url=row["url"],
        path=row["path"],
        source=row["source"],
        external_id=row["external_id"],
        heading_path=tuple(row["heading_path"]),
        pages=pages,
        confidence=row["confidence"],
        links=links_of(row),
        start=row["start_at"],
        end=row["end_at"],
        scores=scores,
        chunk_id=f"{row['chunk_set_key'].hex}-{row['ordinal']}",
        document_id=row["document_id"],
        version=row["version_id"],
        as_of=row["as_of"],
        modified_at=row["modified_at"],
        text_of=row["text_of"],
        author=row["author"],
        media_type=row["media_type"],
        metadata=row["metadata"],
    )


def _hits(rows: Sequence[Row]) -> int:
    return sum(row["score"] is not None for row in rows)
