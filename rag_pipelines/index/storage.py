"""The physical tables of a version: made, filled, indexed, dropped.

What belongs here: SQL on the tables vectors_N, lexical_N, documents_N, terms_N and postings_N. What does not:
versions' rows, and the order of a build.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from psycopg import sql

from rag_pipelines import logs
from rag_pipelines.index.graph import indexed, row_bytes, walk
from rag_pipelines.index.memory import GraphMemory
from rag_pipelines.index.slices import Slice
from rag_pipelines.index.spec import IndexKind, StorageSpec
from rag_pipelines.index.versions import Version
from rag_pipelines.store.database import Part, Pg, compose_query, query

TABLES = ("vectors", "lexical", "documents", "terms", "postings")
"""What a version's tables are called, before their number."""

PARALLEL_ROWS = 2_000
"""Fewer rows are indexed sooner than a second process and the memory it shares are there."""

log = logs.get(__name__)


class Size(NamedTuple):
    """How much a version holds, or some part of it."""

    documents: int
    rows: int


class Storage:
    """The tables of one storage number, laid out as `spec` says."""

    def __init__(self, number: int, spec: StorageSpec) -> None:
        self.number = number
        self._vector = spec.index.vector
        self._dimensions = spec.dimensions
        self._lexical = spec.index.lexical
        self._parts = spec.index.parts
        self._tenants = spec.index.tenants

    @property
    def type(self) -> sql.SQL:
        """The SQL type of a vector."""
        return sql.SQL(f"{self._vector.type}({int(self._dimensions)})")

    @property
    def kind(self) -> IndexKind:
        """The kind of the vector index."""
        return self._vector.index

    @property
    def part_tables(self) -> list[str]:
        """The physical tables of the vectors, those by document before those of tenants; or the one table."""
        whole, count = f"vectors_{self.number}", self._parts + len(self._tenants)
        return [f"{whole}_part_{number}" for number in range(count)] if count > 1 else [whole]

    @property
    def searched(self) -> Part:
        """The vectors as a search reads them, which has a `tenant`: without the parts of other tenants."""
        return self._by_tenant("vectors_of_caller", "vectors") if self._tenants else f"vectors_{self.number}"

    def parts(self, *names: str) -> dict[str, Part]:
        """Placeholders by name, for `query`."""
        known: dict[str, Part] = {
            **tables_of(self.number),
            "partials": f"partials_{self.number}",
            "type": self.type,
            "language": sql.Literal(self._lexical.language),
            "languages": sql.Literal(json.dumps(self._lexical.languages)),
            "configurations": sql.Literal(self._lexical.configurations),
            "workers": sql.SQL(str(_workers())),
            "indexed": indexed(self._vector, self._dimensions),
            "m": sql.SQL(str(int(self._vector.m))),
            "ef_construction": sql.SQL(str(int(self._vector.ef_construction))),
        }
        return {name: known[name] for name in names}

    def create(self, connection: Pg) -> None:
        """Make the tables, which nobody else may read yet."""
        parts = self.parts(*TABLES, "partials", "type")
        divided = compose_query("by_document") if self._parts > 1 else sql.SQL("")
        if self._tenants:
            shape = f"vectors_{self.number}_shape"
            query(connection, "create_storage", None, {**parts, "vectors": shape, "divided": sql.SQL("")})
            parts["vectors"] = self._divide_by_tenant(connection, shape, divided)
        else:
            query(connection, "create_storage", None, {**parts, "divided": divided})
        for number in range(self._parts if self._parts > 1 else 0):
            of: dict[str, Part] = {"parts": sql.SQL(str(self._parts)), "number": sql.SQL(str(number))}
            of |= {"part": self.part_tables[number], "vectors": parts["vectors"]}
            query(connection, "create_part", None, of)
        for table in self.part_tables:
            query(connection, "lay_out_part", None, {"part": table, **self.parts("workers")})

    def _divide_by_tenant(self, connection: Pg, shape: Part, divided: Part) -> Part:
        """Make the vectors anew, in the shape of a table, with a part for each tenant that has one; the table
        of the others, which may be `divided`."""
        whole = self.parts("vectors")
        rest = f"vectors_{self.number}_rest" if self._parts > 1 else self.part_tables[0]
        query(connection, "divide_by_tenant", None, {**whole, "shape": shape})
        query(connection, "create_rest", None, {**whole, "rest": rest, "divided": divided})
        for table, tenant in zip(self.part_tables[self._parts :], self._tenants, strict=True):
            part: dict[str, Part] = {"part": table, "tenant": _constant(tenant)}
            query(connection, "create_tenant_part", None, {**whole, **part})
        return rest

    def _places(self, connection: Pg) -> Iterator[str | None]:
        """Inside a transaction: for whom rows are inserted, one after the other: a tenant with a part of its
        own, or empty for all others; None, once, where no tenant has one."""
        for place in ("", *self._tenants) if self._tenants else ():
            _set_local(connection, "rag.place", place)
            yield place
        if not self._tenants:
            yield None

    def _of(self, place: str | None, kind: Literal["vectors", "lexical"]) -> Part:
        """The rows of a table that belong to a place."""
        if place is None:
            return self.parts(kind)[kind]
        return self._by_tenant(f"{kind}_of_place", kind, place)

    def _by_tenant(self, fragment: str, kind: str, place: str = "") -> Part:
        tenants = sql.SQL("ARRAY[{}]::text[]").format(sql.SQL(", ").join(map(_constant, self._tenants)))
        known: dict[str, Part] = {"place": _constant(place), "tenants": tenants}
        return compose_query(fragment, {**self.parts(kind), **known})

    def copy(self, connection: Pg, original: Storage) -> None:
        """Inside a transaction: take over all rows of another version, with their numbers."""
        for place in self._places(connection):
            vectors = {**self.parts("vectors"), "from_vectors": original._of(place, "vectors")}
            query(connection, "copy_vectors", None, vectors)
        words = ("lexical", "documents", "terms", "postings")
        theirs = {f"from_{kind}": part for kind, part in original.parts(*words).items()}
        query(connection, "copy_words", None, {**self.parts(*words), **theirs})
        query(connection, "go_on_numbering", {"table": f"rag.vectors_{self.number}"}, self.parts("vectors"))
        query(connection, "drop_partials", None, self.parts("partials"))

    def bound(self, connection: Pg, memory: int, *, is_one_of_many: bool) -> None:
        """Until the end of the transaction: sort in so many bytes, and find by keys the rows of a slice."""
        _set_local(connection, "work_mem", f"{memory // 1024}kB")
        if is_one_of_many:
            # By statistics of before an ingest, reading a whole table for each slice looks cheap.
            for way in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin"):
                _set_local(connection, way, "off")

    def load_words(self, connection: Pg, members: dict[str, Any], documents: Slice) -> tuple[int, int]:
        """Read the words of some documents' chunks; how many rows and how many words they are.

        Args:
            members: which documents of the catalogue are in the version.
        """
        params = {**members, "first": documents.first, "last": documents.last}
        parts = {**self.parts("lexical"), "chunk_words": self._chunk_words}
        row = query(connection, "load_words", params, parts).fetchone()
        assert row is not None
        return row["rows"], row["words"]

    def load_vectors(self, connection: Pg, params: dict[str, Any], documents: Slice) -> None:
        """Copy the vectors of some documents whose words are loaded; `params` are `model_id` and weights."""
        self._insert_vectors(
            connection, "load_vectors", {**params, "first": documents.first, "last": documents.last}
        )

    def index_lexical(self, connection: Pg) -> None:
        """Let rows of words be found by their keys, once they are loaded."""
        query(connection, "index_lexical", None, self.parts("lexical"))

    def index_rows(self, connection: Pg) -> None:
        """The same for vectors, which have numbers too, and for documents."""
        for table in self.part_tables:
            query(connection, "index_rows", None, {"part": table})
        query(connection, "index_documents", None, self.parts("documents"))
        query(connection, "analyze_rows", None, self.parts("vectors"))

    def last_slot(self, connection: Pg) -> int:
        """The highest number of a row; 0 where there is none."""
        row = query(connection, "last_slot", None, self.parts("vectors")).fetchone()
        assert row is not None
        return int(row["slot"])

    def protect(self, connection: Pg) -> None:
        """Open the tables to readers, under the row-level security of now."""
        query(connection, "protect_storage", {"storage": self.number})

    def load_partials(self, connection: Pg, weighting: dict[str, Any], rows: Slice) -> None:
        """Turn the words of some rows around, so that a word leads to its rows."""
        params = {**weighting, "first": rows.first, "last": rows.last}
        parts = self.parts("vectors", "lexical")
        words = self._words({**parts, "vectors": compose_query("numbered_rows", self.parts("vectors"))})
        query(connection, "load_partials", params, {**self.parts("partials"), "words": words})

    def index_partials(self, connection: Pg) -> None:
        """Let what slices of rows gave be found by words."""
        query(connection, "index_partials", None, self.parts("partials"))

    def load_postings(self, connection: Pg, terms: Slice) -> None:
        """Join what slices of rows gave for some words."""
        params = {"first": terms.first, "last": terms.last}
        query(connection, "load_postings", params, self.parts("postings", "partials"))
        query(connection, "load_terms", params, self.parts("terms", "partials"))

    def finish_postings(self, connection: Pg) -> None:
        """Count the rows of tenants, and drop what only the load needed."""
        query(connection, "count_tenants", None, self.parts("terms", "lexical"))
        query(connection, "drop_partials", None, self.parts("partials"))

    def replace_changed(self, connection: Pg, members: dict[str, Any], weighting: dict[str, Any]) -> None:
        """Inside a transaction: replace the rows of the documents in the temporary table `changed`, whose
        words lead nowhere yet."""
        forget_rows(connection, self.number)
        self._add_changed(connection, members, weighting)

    def catch_up(self, connection: Pg, members: dict[str, Any], weighting: dict[str, Any]) -> Size:
        """The same in a version whose words lead to rows; what was there of these documents."""
        gone = forget(connection, self.number)
        self._add_changed(connection, members, weighting)
        fresh: dict[str, Part] = {
            **self.parts("lexical"),
            "vectors": compose_query("changed_rows", self.parts("vectors")),
        }
        parts = {**self.parts("postings"), "words": self._words(fresh)}
        query(connection, "add_postings", weighting, parts)
        query(connection, "add_terms", None, self.parts("terms", "lexical"))
        return gone

    def _add_changed(self, connection: Pg, members: dict[str, Any], weighting: dict[str, Any]) -> None:
        query(connection, "add_words", members, {**self.parts("lexical"), "chunk_words": self._chunk_words})
        self._insert_vectors(connection, "add_vectors", {**members, **weighting})

    def _insert_vectors(self, connection: Pg, name: str, params: dict[str, Any]) -> None:
        """The vectors that the query `name` inserts, and the rows of their documents."""
        whole = compose_query("document_weights", self.parts("lexical"))
        for place in self._places(connection):
            of_place = {**self.parts("vectors", "type"), "lexical": self._of(place, "lexical")}
            parts = {**self.parts("documents", "type"), "rows": compose_query(name, of_place)}
            query(connection, "load_documents", params, {**parts, "document_weights": whole})

    @property
    def _chunk_words(self) -> Part:
        return compose_query("chunk_words", self.parts("language", "languages"))

    def _words(self, rows: dict[str, Part]) -> sql.Composable:
        """The words of rows, given as those of both tables."""
        return compose_query("word_postings", {"lexical": rows["lexical"], "rows": rows["vectors"]})

    def graph_memory(self, rows: int, allowed: int) -> GraphMemory:
        """What the graph of so many rows takes, of `allowed` bytes."""
        return GraphMemory(rows, row_bytes(self._vector, self._dimensions), allowed, len(self.part_tables))

    def walk(self, walkable: Part, candidates: int, vectors: Part | None = None) -> sql.Composable:
        """Rows near the vector that `asked` holds, by the vector index; see `graph.walk`.

        Args:
            vectors: those that are walked, all by default.
        """
        vectors = vectors or f"vectors_{self.number}"
        return walk(self._vector, self._dimensions, vectors, walkable, candidates)

    def index_words(self, connection: Pg, rows: int, *, alone: bool = False) -> None:
        """Keys and the word index, built after the load; in parallel for many rows unless `alone`."""
        with connection.transaction():
            workers = _workers() if rows >= PARALLEL_ROWS and not alone else 0
            _set_local(connection, "max_parallel_maintenance_workers", workers)
            query(connection, "index_keys", None, self.parts("terms", "postings"))
            query(connection, "index_words", None, self.parts("lexical"))

    def part_slices(self, connection: Pg) -> list[Slice]:
        """The parts of the vectors by number, with their rows."""
        found = []
        for number, table in enumerate(self.part_tables):
            row = query(connection, "part_size", None, {"part": table}).fetchone()
            assert row is not None
            found.append(Slice(number, number, row["rows"]))
        return found

    def index_vectors(self, connection: Pg, part: int, memory: int, helpers: int) -> None:
        """Inside a transaction: build the graph of a part with so many bytes and processes that help."""
        _set_local(connection, "maintenance_work_mem", f"{max(memory // 1024, 1024)}kB")
        _set_local(connection, "max_parallel_maintenance_workers", helpers)
        _set_local(connection, "client_min_messages", "notice")
        known: dict[str, Part] = {"part": self.part_tables[part]}
        query(connection, "index_vectors", None, {**known, **self.parts("indexed", "m", "ef_construction")})

    def prewarm(self, connection: Pg) -> None:
        """Read the vectors once, so that the first search does not."""
        query(connection, "prewarm", None, self.parts("vectors"))

    def analyze(self, connection: Pg) -> None:
        """Let the planner know what the tables hold."""
        query(connection, "analyze_storage", None, self.parts(*TABLES))

    def vacuum(self, connection: Pg) -> None:
        """Remove deleted rows, from the vector index too."""
        query(connection, "vacuum_storage", None, self.parts(*TABLES))


def tables_of(number: int) -> dict[str, Part]:
    """The tables of a storage number, by what they are called before it."""
    return {kind: f"{kind}_{number}" for kind in TABLES}


def drop_tables(connection: Pg, number: int, wait_ms: int = 10_000) -> None:
    """Drop the tables; each waits for its readers so long, and then Postgres says that it is locked."""
    _set_local(connection, "lock_timeout", f"{wait_ms}ms")
    query(connection, "take_storages")
    query(connection, "drop_storage", None, {**tables_of(number), "partials": f"partials_{number}"})


def forget(connection: Pg, number: int) -> Size:
    """Inside a transaction: remove the documents in the temporary table `changed`; how many were there."""
    parts = tables_of(number)
    forgotten = query(connection, "forget_words", None, parts).fetchall()
    if forgotten:
        columns = {f"{name}s": [row[name] for row in forgotten] for name in ("tenant", "term", "first")}
        query(
            connection, "drop_forgotten_words", columns, {kind: parts[kind] for kind in ("terms", "postings")}
        )
    return forget_rows(connection, number)


def forget_rows(connection: Pg, number: int) -> Size:
    """The same where no word leads to them."""
    parts = tables_of(number)
    query(connection, "forget_rows", None, {kind: parts[kind] for kind in ("lexical", "documents")})
    row = query(connection, "forget_vectors", None, {"vectors": parts["vectors"]}).fetchone()
    assert row is not None
    return Size(row["documents"], row["rows"])


def _set_local(connection: Pg, setting: str, value: object) -> None:
    """Set a server setting until the end of the transaction."""
    connection.execute("SELECT set_config(%s, %s, true)", (setting, str(value)))


def _constant(text: str) -> sql.SQL:
    """A string as SQL, in statements with parameters and without: a percent sign is given by its number."""
    escaped = text.replace("\\", "\\\\").replace("'", "''").replace("%", "\\0025")
    return sql.SQL(f"U&'{escaped}'")


def _workers() -> int:
    """Parallel workers for loading and indexing: every core but the leader's."""
    return max((os.cpu_count() or 1) - 1, 1)


def storage_of_version(version: Version) -> Storage:
    """The tables of a version, as it was built. Raises `StoredFormError` where a newer release built it."""
    return Storage(version.storage, version.spec)
