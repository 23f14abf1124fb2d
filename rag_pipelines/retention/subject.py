"""Finds a person: in documents, text, access, records of runs and people, golden sets and the configuration.

What belongs here: what counts as naming a person, and the search. What does not: removing anything
(`erasure`), and what is left of a document (`proof`).

Identifiers are compared whatever their case, as whole words, over line breaks too. Bytes that are packed (a
PDF as it came) cannot be searched; the text that was read from them is.
"""

from __future__ import annotations

import hmac
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from rag_pipelines.config.settings import Settings
from rag_pipelines.errors import MissingContentError, UsageError
from rag_pipelines.retention.proof import records
from rag_pipelines.store.blobs import BlobStore, Kind
from rag_pipelines.store.database import Pg, Row, query

SHORTEST = 4
"""Characters of an identifier; a shorter one would be found everywhere."""

NOT_REWRITTEN = ("source", "tenant", "tenants", "model", "indexes", "name", "subjects", "kept", "found")
"""Columns that hold names of the configuration: a person who stands there is for a person to remove."""


HOLD_NAMES = ("path", "label", "document")

BETWEEN = r"(?:[\s_.+-]|%20)+"
"""What may stand between the words of a name: `Ann Lee` is `ann-lee.md` too."""


class Identifiers:
    """Names, addresses and numbers of one person, each with its pseudonym under a key.

    Raises `UsageError` for none, and for one that is too short.
    """

    source = None
    label = "(erased)"

    def __init__(self, given: Sequence[str], key: bytes) -> None:
        self.given = sorted({" ".join(one.split()).lower() for one in given})
        short = [one for one in self.given if len(one) < SHORTEST]
        if short or not self.given:
            raise UsageError(
                f"--subject received {short[0] if short else ''!r}; valid: an identifier of at least "
                f"{SHORTEST} characters, such as ann@example.com or 'Ann Lee'; shorter ones would be found "
                "everywhere"
            )
        self.pseudonyms = [pseudonym(one, key) for one in self.given]
        ways = [BETWEEN.join(map(re.escape, one.split())) for one in self.given]
        bounded = [_address(way) if "@" in way else _name(way) for way in ways]
        self._pattern = re.compile("|".join(bounded), re.I)
        self._bytes = re.compile(b"|".join(way.encode() for way in ways), re.I)
        self._key = key

    @property
    def words(self) -> list[str]:
        """Texts in lower case, as JSON writes them too, of which what names the person holds one."""
        longest = {max(one.split(), key=len) for one in self.given}
        forms = {
            json.dumps(one, ensure_ascii=ascii_only)[1:-1] for one in longest for ascii_only in (True, False)
        }
        return sorted(longest | forms)

    def in_text(self, text: str | None) -> bool:
        """Whether a text names the person."""
        return bool(text) and self._pattern.search(text or "") is not None

    def in_bytes(self, data: bytes) -> bool:
        """Whether bytes, read as UTF-8, name the person."""
        if self._bytes.search(data) is None:
            return False
        return self.in_text(data.decode("utf-8", "replace"))

    def in_value(self, value: Any) -> bool:
        """The same of a JSON value, at any depth."""
        match value:
            case str():
                return self.in_text(value)
            case dict():
                return any(self.in_text(key) or self.in_value(item) for key, item in value.items())
            case list() | tuple():
                return any(map(self.in_value, value))
        return False

    def without(self, value: Any, label: str = "") -> Any:
        """A JSON value with pseudonyms in the place of identifiers."""
        match value:
            case str():
                return self._pattern.sub(self._pseudonym, value)
            case dict():
                return {self.without(key): self.without(item) for key, item in value.items()}
            case list() | tuple():
                return [self.without(item) for item in value]
        return value

    def _pseudonym(self, found: re.Match[str]) -> str:
        return f"(erased {pseudonym(' '.join(found[0].split()).lower(), self._key)})"


def _address(way: str) -> str:
    """An address that is not a part of a longer one."""
    return rf"(?<![\w@.+-]){way}(?![\w@]|[-.]\w)"


def _name(way: str) -> str:
    """A name that is not a part of a longer word, or of an address."""
    return rf"(?<![^\W_])(?<!@){way}(?![^\W_]|@)"


def pseudonym(text: str, key: bytes) -> str:
    """A keyed digest of a text: who has the key can look for the same text again, and nobody can read it."""
    return hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256").hex()[:24]


class FoundDocument(msgspec.Struct, frozen=True):
    """A document that names the person, in these places. `hold` is the hold that keeps it, if one does."""

    source: str
    external_id: str
    state: str
    places: list[str]
    hold: int | None = None

    @property
    def name(self) -> str:
        """As commands take it."""
        return f"{self.source}:{self.external_id}"


class Found(msgspec.Struct, frozen=True):
    """Where a person was found. `rows` counts values that are rewritten or rows that go, by table and column;
    `human` are sentences about what only a person can change."""

    documents: list[FoundDocument]
    rows: dict[str, int]
    human: list[str]


def find_subject(connection: Pg, store: BlobStore, settings: Settings, who: Identifiers) -> Found:
    """Look for a person everywhere. Reads all text, every blob and all records once."""
    places: dict[int, set[str]] = {}
    params = {"words": who.words}
    for row in query(connection, "subject_documents", params):
        if who.in_value(row["value"]):
            places.setdefault(row["document_id"], set()).add(row["place"])
    unloaded: list[FoundDocument] = []
    for kind, digests in _in_blobs(store, who):
        params_of = {"digests": digests}
        for row in query(connection, f"subject_owners_{kind}", params_of):
            places.setdefault(row["document_id"], set()).add(f"{kind} bytes")
        if kind == "raw":
            sent = query(connection, "subject_sent", params_of)
            unloaded += [_unloaded(row, "raw bytes") for row in sent]
    described = query(connection, "subject_names", {"ids": list(places)}).fetchall()
    documents = [
        FoundDocument(
            row["source"], row["external_id"], row["state"], sorted(places[row["document_id"]]), row["hold"]
        )
        for row in described
    ]
    for row in query(connection, "subject_wanted", params):
        if who.in_value([row["external_id"], row["item"]]):
            unloaded.append(_unloaded(row, "listing"))
    known = {one.name for one in documents}
    documents += [one for name, one in {one.name: one for one in unloaded}.items() if name not in known]
    documents.sort(key=lambda one: one.name)
    rows, human = _in_rows(connection, who)
    human += _in_files(settings, who)
    return Found(documents, rows, human)


def _unloaded(row: Row, place: str) -> FoundDocument:
    return FoundDocument(row["source"], row["external_id"], "not loaded yet", [place])


def rewritten(table: str, column: str) -> bool:
    """Whether a record that names a person may be changed by a program."""
    return column not in NOT_REWRITTEN and table != "erasure"


def rules_of(connection: Pg, who: Identifiers) -> list[Mapping[str, Any]]:
    """Access rules that name the person."""
    rows = query(connection, "subject_rules", {"words": who.words})
    return [row for row in rows if who.in_value(row["clauses"]) or who.in_value(row["deny"])]


def own_rules_of(connection: Pg, who: Identifiers) -> list[Mapping[str, Any]]:
    """Rules of sources that name the person, kept beside those of restricted documents."""
    rows = query(connection, "subject_own_rules", {"words": who.words})
    return [row for row in rows if who.in_value(row["clauses"]) or who.in_value(row["deny"])]


def sent_rules_of(connection: Pg, who: Identifiers) -> list[Mapping[str, Any]]:
    """Rules with which documents were sent that name the person."""
    rows = query(connection, "subject_sent_rules", {"words": who.words})
    return [row for row in rows if who.in_value(row["clauses"]) or who.in_value(row["deny"])]


def members_of(connection: Pg, who: Identifiers) -> list[Mapping[str, Any]]:
    """Memberships whose member is the person."""
    rows = query(connection, "subject_members", {"words": who.words})
    return [row for row in rows if who.in_text(row["member"])]


def sessions_of(connection: Pg, who: Identifiers) -> list[Mapping[str, Any]]:
    """Sessions of the person on the search page."""
    rows = query(connection, "subject_sessions", {"words": who.words})
    return [row for row in rows if who.in_text(row["about"])]


def holds_of(connection: Pg, who: Identifiers) -> list[Mapping[str, Any]]:
    """Holds that name the person; those in force keep what they name, so they are not changed."""
    rows = query(connection, "subject_holds", None)
    return [row for row in rows if who.in_value([row[name] or "" for name in HOLD_NAMES])]


def _in_rows(connection: Pg, who: Identifiers) -> tuple[dict[str, int], list[str]]:
    told: Counter[str] = Counter()
    human: list[str] = []
    named: Counter[str] = Counter()
    for record in records(connection, who):
        kind = told if rewritten(record.table, record.column) else named
        kind[f"{record.table}.{record.column}"] += 1
    told["access_rule"] = len(rules_of(connection, who))
    told["document.own_access"] = len(own_rules_of(connection, who))
    told["inbox.item"] = len(sent_rules_of(connection, who))
    told["membership"] = len(members_of(connection, who))
    told["session"] = len(sessions_of(connection, who))
    holds = holds_of(connection, who)
    told["hold"] = sum(not row["in_force"] for row in holds)
    human += [
        f"hold {row['hold_id']} names the person, and stays as it is while it is in force"
        for row in holds
        if row["in_force"]
    ]
    told["lease owners"] = sum(
        who.in_text(row["lease_owner"]) for row in query(connection, "lease_owners", None)
    )
    human += [
        f"a group of source {row['source']} has the name of the person; rename it there"
        for row in query(connection, "subject_groups", {"words": who.words})
        if who.in_text(row["principal"]) or who.in_text(row["name"])
    ]
    human += [
        f"{column} names the person in {n} rows: rename it in the configuration"
        for column, n in named.items()
    ]
    if told["access_rule"]:
        human.append(
            "access lists of sources name the person: what a source still says comes back with its next sync"
        )
    return {place: n for place, n in sorted(told.items()) if n}, human


def _in_files(settings: Settings, who: Identifiers) -> Iterator[str]:
    for name, index in settings.indexes.items():
        files = [index.golden] if index.golden else []
        for path in (one for file in files for one in (sorted(file.rglob("*")) if file.is_dir() else [file])):
            if path.is_file():
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
                found = [str(n) for n, line in enumerate(lines, 1) if who.in_text(line)]
                if found:
                    yield f"the golden set of index {name}, {path}, lines {', '.join(found)}: edit the file"
    for place in _in_settings(settings.model_dump(mode="json"), who, ""):
        yield f"the configuration at {place}: edit the file"


def _in_settings(value: Any, who: Identifiers, place: str) -> Iterator[str]:
    match value:
        case dict():
            for key, item in value.items():
                yield from _in_settings(item, who, f"{place}.{key}".lstrip("."))
        case list():
            for one in value:
                yield from _in_settings(one, who, place)
        case str() if who.in_text(value):
            yield place


def _in_blobs(store: BlobStore, who: Identifiers) -> Iterator[tuple[Kind, list[bytes]]]:
    """The digests of bytes and of blocks that name the person."""
    kinds: tuple[Kind, ...] = ("raw", "blocks")
    for kind in kinds:
        yield kind, [digest for digest in store.digests(kind) if _holds(store, kind, digest, who)]


def _holds(store: BlobStore, kind: Kind, digest: bytes, who: Identifiers) -> bool:
    try:
        return who.in_bytes(store.get(kind, digest))
    except MissingContentError:
        return False
