"""Looks for what is left of a purged document, wherever something of it could stand.

What belongs here: evidence taken before a purge, what counts as a mention, and the search for both. What
does not: removing anything (`purge`).

Evidence is digests: of bytes, blocks, chunk texts, embedding inputs and vectors. It can be kept, and looked
for again in years, and nothing can be read from it. Passages and names are looked for as well, right after
the purge only, because they cannot be kept.

Beside a build two things cannot be shown at once, and are said with the proof: what its snapshot holds of the
document, which it drops before it is finished, and deleted rows that the snapshot may still look at.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import msgspec
from psycopg import sql

from rag_pipelines.errors import MissingContentError
from rag_pipelines.index.departed import BuildUnderWay, query_versions, storages
from rag_pipelines.index.storage import TABLES
from rag_pipelines.retention.contents import Contents
from rag_pipelines.store.address import PROGRAM
from rag_pipelines.store.blobs import BlobStore, Kind
from rag_pipelines.store.database import Pg, Row, query

QUOTES = 12
"""Passages of a document that are looked for word for word."""

QUOTE_CHARACTERS = (16, 80)
"""A shorter passage is no evidence, a longer one is cut."""

NAME_CHARACTERS = 8
"""A shorter name (``42``, ``a.md``) counts as mentioned only where it is the whole text."""

CONTENT = (
    *("document", "document_chunks", "document_content", "document_former", "chunk_set", "chunk"),
    *("chunk_set_embedded", "embedding", "parse", "sketch", "wanted", "inbox"),
)
"""The tables that hold documents and what was made of them, beside those of versions."""

NOT_LOOKED_INTO = (
    "what people asked: no log of queries is kept (the questions of golden sets were looked into)",
    "Dagster's run history, which shows rows of public sources only, and its logs: see the job prune_runs",
    "write-ahead log, replicas, backups, old object versions of the blob store: these expire by your rules",
)
"""Said with every proof."""


class PurgeEvidence(msgspec.Struct, frozen=True):
    """What a document consisted of in all its stored revisions, as digests in hexadecimal."""

    document_id: int = 0
    raw: list[str] = []
    blocks: list[str] = []
    inputs: list[str] = []
    passages: list[str] = []
    vectors: list[str] = []

    @property
    def digests(self) -> dict[str, list[str]]:
        """The digests by what they are of."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if name != "document_id"}

    @property
    def counts(self) -> dict[str, int]:
        """How many of each."""
        return {name: len(value) for name, value in self.digests.items()}

    def sample(self, most: int) -> PurgeEvidence:
        """At most so many of each, for keeping."""
        return msgspec.structs.replace(self, **{name: found[:most] for name, found in self.digests.items()})

    @property
    def contents(self) -> Contents:
        """What may be left to erase of it."""
        raw, blocks = map(bytes.fromhex, self.raw), map(bytes.fromhex, self.blocks)
        return Contents(list(raw), list(blocks), [], list(map(UUID, self.inputs)), [])


class Looker(NamedTuple):
    """Who may still look at deleted rows: the name of a program, with the indexes that it builds."""

    name: str
    building: list[str]

    @property
    def passes(self) -> bool:
        """Whether it is a transaction of a run, a search or the like, which ends soon."""
        return self.name == PROGRAM and not self.building


class Waiting(NamedTuple):
    """What a purge has left to others: builds that drop what they read, who may look at deleted rows, and a
    run over the document's source, which may be loading it."""

    builds: Sequence[BuildUnderWay] = ()
    lookers: Sequence[Looker] = ()
    run: str | None = None

    @property
    def storages(self) -> set[int]:
        """The numbers of the tables that are being built."""
        return {build.storage for build in self.builds}

    @property
    def only_builds(self) -> bool:
        """Whether nobody but builds looks at deleted rows."""
        return all(looker.building for looker in self.lookers)

    @property
    def sentences(self) -> tuple[str, ...]:
        """For people: what goes by itself, and when."""
        built = [
            f"version {build.version_id} of index {build.index_name} is being built: what it read of the "
            "document it drops before it is finished"
            for build in self.builds
        ]
        names = sorted({name for looker in self.lookers for name in looker.building})
        seen = [f"deleted rows stay on disk until the build of index {name} has read" for name in names]
        loads = [
            f"a run over source {self.run} is under way: should it be loading the document just now, it "
            "removes the bytes when it writes its batch"
        ]
        return (*built, *seen, *(loads if self.run else ()))


class Trace(msgspec.Struct, frozen=True):
    """Something that was found: `found` times in `place`. It is left over, unless others share it."""

    place: str
    what: str
    found: int
    shared_with: tuple[str, ...] = ()


class Proof(msgspec.Struct, frozen=True):
    """What a search found. `by` says what was looked for, `blobs` how many objects were looked into.

    `waiting` says what builds that are under way still hold, which goes when they end.
    """

    by: dict[str, int]
    blobs: int
    traces: list[Trace]
    waiting: tuple[str, ...] = ()
    not_looked_into: tuple[str, ...] = NOT_LOOKED_INTO

    @property
    def left(self) -> list[Trace]:
        """What should not be there any more."""
        return [trace for trace in self.traces if not trace.shared_with]


class Speaks(Protocol):
    """What tells whether a record speaks of something. Without a `source` records of all sources may."""

    @property
    def source(self) -> str | None: ...
    @property
    def label(self) -> str: ...
    @property
    def words(self) -> list[str]: ...
    def in_value(self, value: Any) -> bool: ...
    def without(self, value: Any, label: str) -> Any: ...


class Mentions:
    """What counts as speaking of a document: its id, one of its names inside a text, or a passage of it."""

    def __init__(
        self, source: str, external_id: str, names: Iterable[str] = (), quotes: Sequence[str] = ()
    ) -> None:
        self.source, self.external_id, self.quotes = source, external_id, list(quotes)
        self._whole = {external_id, f"{source}:{external_id}"}
        self._names = sorted({name for name in (external_id, *names) if len(name) >= NAME_CHARACTERS})
        parts = [rf"(?<![\w/.-]){re.escape(name)}(?![\w/-]|\.\w)" for name in self._names]
        self._pattern = re.compile("|".join([*parts, *map(re.escape, quotes)]) or r"(?!)")

    @property
    def words(self) -> list[str]:
        """Texts of which each mention holds one, as they stand and as JSON writes them."""
        plain = {self.external_id, *self._names, *self.quotes}
        return sorted(plain | {json.dumps(word, ensure_ascii=False)[1:-1] for word in plain})

    @property
    def label(self) -> str:
        """What stands in records in the place of its name."""
        digest = hashlib.sha256(self.external_id.encode("utf-8", "surrogatepass"))
        return f"(purged, sha256 {digest.hexdigest()[:16]})"

    def in_text(self, text: str) -> bool:
        """Whether a text speaks of the document. ``old → new`` is a move, as reports write it."""
        return not self._whole.isdisjoint(text.split(" → ")) or self._pattern.search(text) is not None

    def in_value(self, value: Any) -> bool:
        """The same of a JSON value, at any depth."""
        match value:
            case str():
                return self.in_text(value)
            case dict():
                return any(self.in_text(key) or self.in_value(item) for key, item in value.items())
            case list():
                return any(map(self.in_value, value))
        return False

    def without(self, value: Any, label: str) -> Any:
        """A JSON value without the mentions: elements that hold one go, a text that does becomes `label`."""
        match value:
            case str():
                return label if self.in_text(value) else value
            case dict():
                return {
                    key: self.without(item, label) for key, item in value.items() if not self.in_text(key)
                }
            case list():
                return [self.without(item, label) for item in value if not self._is_about(item)]
        return value

    def _is_about(self, item: Any) -> bool:
        values = item.values() if isinstance(item, dict) else [item]
        return any(isinstance(value, str) and self.in_text(value) for value in values)


class Record(NamedTuple):
    """A value in the records of runs and people that mentions a document; `row` is its physical place."""

    table: str
    column: str
    row: str
    value: Any
    is_json: bool
    stored: str
    """The value as the server writes it."""


class _Hit(NamedTuple):
    place: str
    what: str
    set_id: int | None = None
    raw: str | None = None
    blocks: str | None = None
    document_id: int | None = None


def content_tables(connection: Pg) -> list[str]:
    """`CONTENT`, and the tables of every version."""
    versions = [f"{kind}_{n}" for n in storages(connection) for kind in TABLES]
    return [*CONTENT, *versions]


def gather(connection: Pg, document: Row) -> tuple[PurgeEvidence, Contents, list[str]]:
    """Evidence of a document (a row of ``purge_document``), what was made of it, and passages to look for.

    Revisions before the present one are known by their bytes and their chunks, as long as these are kept.
    """
    number = {"document_id": document["document_id"]}
    raw = {bytes(document["raw_sha256"])}
    raw |= {bytes(row["raw"]) for row in query(connection, "former_bytes", number)}
    blocks = {bytes(row["blocks"]) for row in query(connection, "blocks_of_bytes", {"raw": list(raw)})}
    sets = {row["chunk_set_id"] for row in query(connection, "mapped_sets", number)}
    sets |= {row["chunk_set_id"] for row in query(connection, "sets_of_blocks", {"blocks": list(blocks)})}
    vectors: set[str] = set()
    for _, row in query_versions(connection, "version_evidence", number, "vectors"):
        sets.add(row["chunk_set_id"])
        vectors.add(row["vector"])
    for row in query(connection, "set_evidence", {"sets": list(sets)}):
        blocks.add(bytes.fromhex(row["blocks"]))
        raw |= {bytes.fromhex(row["raw"])} if row["raw"] else set()
    chunks = query(connection, "chunk_evidence", {"sets": list(sets)}).fetchall()
    inputs = sorted({row["input"] for row in chunks})
    vectors |= {row["vector"] for row in query(connection, "cache_evidence", {"inputs": inputs})}
    rules = [row["digest"] for row in query(connection, "rules_of_document", number)]
    evidence = PurgeEvidence(
        document["document_id"],
        sorted(map(bytes.hex, raw)),
        sorted(map(bytes.hex, blocks)),
        inputs,
        sorted({row["passage"] for row in chunks}),
        sorted(vectors),
    )
    contents = Contents(list(raw), list(blocks), list(sets), list(map(UUID, inputs)), rules)
    return evidence, contents, choose_quotes([row["text"] for row in chunks])


def choose_quotes(texts: Sequence[str]) -> list[str]:
    """Passages of some texts, spread evenly over them: the longest pieces of their lines."""
    shortest, longest = QUOTE_CHARACTERS
    each = max(QUOTES // max(len(texts), 1), 1)
    chosen: dict[str, None] = {}
    for text in texts[:: max(len(texts) // QUOTES, 1)]:
        pieces = (piece.strip()[:longest].strip() for piece in re.split(r"[\n\r\t\"\\|]+", text))
        found = sorted((piece for piece in pieces if len(piece) >= shortest), key=len, reverse=True)
        chosen.update(dict.fromkeys(found[:each]))
    return list(chosen)[:QUOTES]


def records(connection: Pg, mentions: Speaks) -> Iterator[Record]:
    """Every value in the records of runs and people that mentions the document, or the person.

    Columns are read one after the other, so a caller may change a row before the next is read.
    """
    source = query(connection, "source_number", {"source": mentions.source}).fetchone()
    everywhere = mentions.source is None
    params = {"words": mentions.words, "source_id": source["source_id"] if source else None}
    for column in query(connection, "record_columns").fetchall():
        table, name = column["table_name"], column["column_name"]
        parts = {
            "table": table,
            "column": sql.Identifier(name),
            "scope": _scope(table, column["of_source"], everywhere),
        }
        for row in query(connection, "record_values", params, parts):
            if mentions.in_value(row["value"]):
                yield Record(table, name, row["place"], row["value"], column["is_json"], row["stored"])


def _scope(table: str, of_source: bool, everywhere: bool) -> sql.SQL:
    """Only records of the document's own source, because another source may have the same id."""
    if everywhere:
        return sql.SQL("true")
    if table == "plan_change":
        return sql.SQL("plan_id IN (SELECT plan_id FROM rag.plan WHERE source_id = %(source_id)s)")
    return sql.SQL("source_id = %(source_id)s" if of_source else "true")


def look(
    connection: Pg,
    store: BlobStore,
    evidence: PurgeEvidence,
    mentions: Mentions,
    waiting: Waiting = Waiting(),
    *,
    whole_blobs: bool,
) -> Proof:
    """Search every table and the blob store for a purged document.

    Args:
        waiting: what is left to others; tables that are being built are not looked into.
        whole_blobs: read every object for the passages; without it objects are looked for by digest only.
    """
    quoted = query(connection, "quote_traces", {"quotes": mentions.quotes}).fetchall()
    hits = [*_rows(connection, evidence, mentions), *_versions(connection, evidence, waiting)]
    hits += [
        _Hit(
            row["place"],
            "a passage of it",
            row["chunk_set_id"],
            _hex(row["raw_sha256"]),
            None,
            row["document_id"],
        )
        for row in quoted
    ]
    # A passage that rows have is told by these: a blob of others has it too.
    own = set(mentions.quotes) - {row["quote"] for row in quoted}
    blobs = 0
    for hit in _blobs(store, evidence, sorted(own) if whole_blobs else []):
        blobs += 1
        if hit is not None:
            hits.append(hit)
    found = list(_attribute(connection, evidence, hits))
    told = Counter(f"rag.{one.table}.{one.column}" for one in records(connection, mentions))
    found += [Trace(place, "a mention of it", n) for place, n in told.items()]
    if len(mentions.external_id) >= NAME_CHARACTERS:
        own.add(mentions.external_id)
    for row in query(connection, "statistics_traces", {"words": list(own)}):
        found.append(Trace(f"planner statistics of rag.{row['tablename']}.{row['attname']}", "its words", 1))
    tables = [] if waiting.only_builds else content_tables(connection)
    for row in query(connection, "dead_rows", {"tables": tables}):
        found.append(Trace(f"rag.{row['table_name']}", "deleted rows not vacuumed", row["rows"]))
    found.sort(key=lambda trace: (bool(trace.shared_with), trace.place, trace.what))
    return Proof({**evidence.counts, "quotes": len(mentions.quotes)}, blobs, found, waiting.sentences)


def _rows(connection: Pg, evidence: PurgeEvidence, mentions: Mentions) -> Iterator[_Hit]:
    id_params = {
        "document_id": evidence.document_id,
        "source": mentions.source,
        "external_id": mentions.external_id,
    }
    for row in query(connection, "traces_of_id", id_params):
        yield _Hit(row["place"], "its row")
    for row in query(connection, "content_traces", msgspec.structs.asdict(evidence)):
        yield _Hit(row["place"], row["what"], row["chunk_set_id"], _hex(row["raw_sha256"]))


def _versions(connection: Pg, evidence: PurgeEvidence, waiting: Waiting) -> Iterator[_Hit]:
    number, building = {"document_id": evidence.document_id}, waiting.storages
    kinds = ("vectors", "lexical", "documents")
    for storage, row in query_versions(connection, "traces_in_version", number, *kinds, without=building):
        for kind in kinds:
            yield from [_Hit(f"rag.{kind}_{storage}", "its row")] * row[kind]
    params = {"vectors": evidence.vectors}
    for storage, row in query_versions(connection, "vector_traces", params, "vectors", without=building):
        hit = _Hit(f"rag.vectors_{storage}", "its vector", document_id=row["document_id"])
        yield from [hit] * row["found"]


def _blobs(store: BlobStore, evidence: PurgeEvidence, quotes: Sequence[str]) -> Iterator[_Hit | None]:
    """One value for each object of the store: a hit, or None."""
    kinds: dict[Kind, set[str]] = {"raw": set(evidence.raw), "blocks": set(evidence.blocks)}
    needles = [quote.encode("utf-8", "surrogatepass") for quote in quotes]
    for kind, digests in kinds.items():
        for digest in store.digests(kind):
            name = digest.hex()
            place = f"blob {kind}/{name}"
            hit = (
                _Hit(place, "its content", raw=name)
                if kind == "raw"
                else _Hit(place, "its content", blocks=name)
            )
            if name in digests:
                yield hit
            elif needles and _holds(store, kind, digest, needles):
                yield hit._replace(what="a passage of it")
            else:
                yield None


def _holds(store: BlobStore, kind: Kind, digest: bytes, needles: Sequence[bytes]) -> bool:
    try:
        data = store.get(kind, digest)
    except MissingContentError:
        return False
    return any(needle in data for needle in needles)


def _attribute(connection: Pg, evidence: PurgeEvidence, hits: Sequence[_Hit]) -> Iterator[Trace]:
    """The hits by place, each with the other documents that hold the same."""
    owners = _Owners(connection, hits)
    groups = Counter((hit.place, hit.what, owners.of(hit, evidence.document_id)) for hit in hits)
    for (place, what, shared), n in groups.items():
        yield Trace(place, what, n, shared)


class _Owners:
    """The documents that chunk sets, bytes and blocks belong to, in the catalogue or in a version."""

    def __init__(self, connection: Pg, hits: Sequence[_Hit]) -> None:
        self._sets: dict[int, set[int]] = {}
        self._raw: dict[str, set[int]] = {}
        self._blocks: dict[str, set[int]] = {}
        self._sets_of_blocks: dict[str, set[int]] = {}
        blocks = [bytes.fromhex(hit.blocks) for hit in hits if hit.blocks]
        for row in query(connection, "owners_of_blocks", {"digests": blocks}):
            if row["chunk_set_id"] is None:
                self._blocks.setdefault(row["blocks"], set()).add(row["document_id"])
            else:
                self._sets_of_blocks.setdefault(row["blocks"], set()).add(row["chunk_set_id"])
        sets = {hit.set_id for hit in hits if hit.set_id is not None}.union(*self._sets_of_blocks.values())
        params = {"sets": list(sets)}
        rows = query(connection, "owners_of_sets", params).fetchall()
        rows += [row for _, row in query_versions(connection, "owners_in_version", params, "vectors")]
        for row in rows:
            self._sets.setdefault(row["chunk_set_id"], set()).add(row["document_id"])
        raw = [bytes.fromhex(hit.raw) for hit in hits if hit.raw]
        for row in query(connection, "owners_of_bytes", {"digests": raw}):
            self._raw.setdefault(row["raw"], set()).add(row["document_id"])
        numbers = {hit.document_id for hit in hits if hit.document_id is not None}
        ids = numbers.union(*self._sets.values(), *self._raw.values(), *self._blocks.values())
        named = query(connection, "names_of_documents", {"ids": list(ids)})
        self._names = {row["document_id"]: row["name"] for row in named}

    def of(self, hit: _Hit, purged: int) -> tuple[str, ...]:
        """Names of the documents other than `purged` that own what was hit."""
        ids = set(self._raw.get(hit.raw or "", ())) | self._blocks.get(hit.blocks or "", set())
        for one in {hit.set_id, *self._sets_of_blocks.get(hit.blocks or "", ())} - {None}:
            ids |= self._sets.get(one or 0, set())
        if hit.document_id is not None:
            ids.add(hit.document_id)
        return tuple(sorted(self._names[one] for one in ids - {purged} if one in self._names))


def _hex(value: Any) -> str | None:
    return None if value is None else bytes(value).hex()
