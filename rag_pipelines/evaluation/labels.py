"""Questions for a golden set that nobody had to think of: from titles, headings, links, and a query log.

What belongs here: what makes a usable question. What does not: de-identification (`deidentify`), the form of
golden sets (`golden`).

Mined questions are `weak`: their words stand in the document, so they are easier than what people ask. They
show whether a version lost something, not how good it is. A text makes a question only where it means one
document: a heading ("Overview") or a link's words ("read more") that lead to several are left out.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urldefrag, urlsplit

import msgspec

from rag_pipelines.config.settings import Settings
from rag_pipelines.errors import MissingContentError
from rag_pipelines.evaluation.deidentify import deidentify
from rag_pipelines.evaluation.questions import Problems, Question, Reference
from rag_pipelines.fingerprint import text_key
from rag_pipelines.index.versions import Version
from rag_pipelines.model import EVERYONE, BlockKind
from rag_pipelines.parsing.stored import decode_parsed
from rag_pipelines.store.blobs import BlobStore, Kind
from rag_pipelines.store.database import Pg, Row, query

WORDS = range(2, 13)
"""How many words a mined question may have."""

QUOTE_WORDS = 12
"""The beginning of what stands under a heading, by which its place is known."""

_WORD = re.compile(r"\w")
_MARKDOWN = "text/markdown"
_HTML = "text/html"


class _Candidate(NamedTuple):
    text: str
    kind: str
    document: int
    quote: str | None = None


class _LogEntry(msgspec.Struct):
    query: str
    id: str | None = None
    tenant: str | None = None
    clicked: tuple[Reference, ...] = ()


def mine_questions(
    connection: Pg, settings: Settings, version: Version, *, limit: int = 200, restricted: bool = False
) -> list[Question]:
    """At most `limit` weak questions from what `version` was built of, the same ones each time.

    Args:
        restricted: also from documents that not everyone may read; each question then has a caller who may.
    """
    rows = {
        row["document_id"]: row
        for row in query(connection, "label_documents", {"sources": version.sources})
        if (readers := _readers(row)) is not None and (restricted or not readers)
    }
    blobs = BlobStore.of(settings)
    candidates = [*_titles(rows.values()), *_headings(rows.values(), blobs), *_anchors(rows, blobs)]
    meanings: dict[str, set[int]] = defaultdict(set)
    for one in candidates:
        meanings[one.text.casefold()].add(one.document)
    unique = {
        one.text.casefold(): one
        for one in reversed(candidates)
        if len(one.text.split()) in WORDS and len(meanings[one.text.casefold()]) == 1
    }
    chosen = sorted(unique.values(), key=lambda one: text_key(one.text))[:limit]
    return [_question(one, rows[one.document]) for one in chosen]


def import_log(path: Path) -> list[Question]:
    """The questions of a query log, JSON Lines with ``query`` and perhaps ``id``, ``tenant``, ``clicked``.

    ``clicked`` are references as in a golden set, taken as expected; a question without any has the tag
    ``unjudged``: somebody must say what answers it. Texts are de-identified, equal ones come once, and who
    asked is not kept.

    Raises:
        ConfigError: a line cannot be read; every problem is listed.
    """
    problems = Problems(path)
    found: dict[tuple[str | None, str], Question] = {}
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                entry = msgspec.json.decode(line, type=_LogEntry)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                problems.add(number, str(error))
                continue
            text = " ".join(deidentify(entry.query).split())
            key = (entry.tenant, text.casefold())
            if not text or (key in found and found[key].expect):
                continue
            found[key] = Question(
                id=f"log-{text_key(entry.tenant or '', text).hex[:12]}",
                query=text,
                tenant=entry.tenant,
                expect=entry.clicked or None,
                tags=("log",) if entry.clicked else ("log", "unjudged"),
                weak=True,
            )
    problems.raise_any()
    return list(found.values())


def _titles(rows: Iterable[Row]) -> Iterator[_Candidate]:
    for row in rows:
        if row["title"]:
            yield _Candidate(_plain(row["title"]), "title", row["document_id"])


def _headings(rows: Iterable[Row], blobs: BlobStore) -> Iterator[_Candidate]:
    """Headings with the first words of the paragraph that follows."""
    for row in rows:
        content = _read_object(blobs, "blocks", row["blocks_sha256"])
        if content is None:
            continue
        document = decode_parsed(content)
        for heading, after in pairwise(document.blocks):
            if heading.kind == BlockKind.HEADING and after.kind == BlockKind.PARAGRAPH:
                words = document.text[after.start : after.end].split()[:QUOTE_WORDS]
                quote = " ".join(words)
                text = _plain(document.text[heading.start : heading.end])
                yield _Candidate(text, "heading", row["document_id"], quote if _WORD.search(quote) else None)


def _anchors(rows: dict[int, Row], blobs: BlobStore) -> Iterator[_Candidate]:
    """The words of links between documents of one source."""
    by_url = {row["url"]: number for number, row in rows.items() if row["url"]}
    by_path = {(row["source"], row["path"]): number for number, row in rows.items()}
    for row in rows.values():
        if row["media_type"] not in (_HTML, _MARKDOWN):
            continue
        content = _read_object(blobs, "raw", row["raw_sha256"])
        if content is None:
            continue
        for words, target in _links(content, row["media_type"]):
            address, _ = urldefrag(target)
            if urlsplit(address).scheme:
                number = by_url.get(address)
            else:
                beside = posixpath.join(posixpath.dirname(row["path"]), unquote(address))
                number = by_path.get((row["source"], posixpath.normpath(beside)))
            if number is not None and number != row["document_id"]:
                yield _Candidate(_plain(words), "anchor", number)


def _links(content: bytes, media_type: str) -> Iterator[tuple[str, str]]:
    """Words and target of every link."""
    if media_type == _MARKDOWN:
        from markdown_it import MarkdownIt

        content = MarkdownIt().render(content.decode("utf-8", "replace")).encode()
    from lxml import html

    if content.strip():
        root = html.fromstring(content, parser=html.HTMLParser(encoding="utf-8"))
        for element in root.iter("a"):
            if target := element.get("href"):
                yield element.text_content(), target


def _read_object(blobs: BlobStore, kind: Kind, digest: bytes | None) -> bytes | None:
    """An object; None where it is gone, which another part of the system complains of."""
    if digest is None:
        return None
    try:
        return blobs.get(kind, bytes(digest))
    except MissingContentError:
        return None


def _plain(text: str) -> str:
    return " ".join(text.split())


def _readers(row: Row) -> tuple[str, ...] | None:
    """A few principals that may read a document: none where everyone may, None if nobody can be named."""
    needed: set[str] = set()
    for clause in row["clauses"]:
        if not clause:
            return None
        if EVERYONE not in clause and not needed.intersection(clause):
            needed.add(sorted(clause)[0])
    return None if needed.intersection(row["deny"]) or EVERYONE in row["deny"] else tuple(sorted(needed))


def _question(one: _Candidate, row: Row) -> Question:
    return Question(
        id=f"{one.kind}-{text_key(row['source'], row['external_id'], one.text).hex[:12]}",
        query=one.text,
        tenant=row["tenant"],
        principals=_readers(row) or (),
        expect=(Reference(id=row["external_id"], source=row["source"], quote=one.quote),),
        language=row["language"],
        tags=(one.kind,),
        weak=True,
    )
