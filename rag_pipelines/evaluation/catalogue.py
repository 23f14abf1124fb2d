"""What a golden set's questions mean in an index: its documents, and where in them the quotes stand.

What belongs here: finding documents by path, id or URL, and quotes by their words; the slices that a question
belongs to. What does not: searching, scoring.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rag_pipelines.evaluation.questions import Forbidden, Question, Reference
from rag_pipelines.evaluation.ranges import TextSpan
from rag_pipelines.index.versions import Version
from rag_pipelines.store.database import Pg, Row, query

LENGTHS = ((3, "1-3 words"), (7, "4-7 words"), (12, "8-12 words"))
LONGEST = "13 words and more"


@dataclass(frozen=True)
class Expected:
    """A reference with the documents it names here, and every place where its quote stands in them."""

    reference: Reference
    documents: frozenset[int]
    places: tuple[TextSpan, ...] = ()


@dataclass(frozen=True)
class Resolved:
    """A question in an index. `slices` are ``name=value``."""

    question: Question
    expected: tuple[Expected, ...]
    forbidden: tuple[tuple[Forbidden, frozenset[int]], ...]
    slices: tuple[str, ...]

    @property
    def documents(self) -> frozenset[int]:
        """Every document that answers it."""
        return frozenset(document for one in self.expected for document in one.documents)


def resolve(
    connection: Pg, version: Version, questions: Sequence[Question]
) -> tuple[list[Resolved], list[str]]:
    """The questions as `version` can answer them, and what of them could not be found there.

    A reference to a document that is not there stays: it counts as not found.
    """
    documents = _Documents(connection, version.sources, questions)
    texts = _texts(connection, version.chunker_id, _find_quoted(questions, documents))
    notes: list[str] = []
    resolved = []
    for question in questions:
        expected = []
        for reference in question.expect or ():
            found = documents.of(reference)
            if not found:
                notes.append(f"{question.id}: no document {reference.name!r} in the index's sources")
            places = tuple(_places(reference.quote, found, texts)) if reference.quote else ()
            if found and reference.quote and not places:
                notes.append(f"{question.id}: {reference.name!r} does not say {reference.quote!r}")
            expected.append(Expected(reference, found, places))
        forbidden = tuple((one, documents.of(one.reference)) for one in question.must_not_return)
        resolved.append(
            Resolved(question, tuple(expected), forbidden, tuple(_slices(question, expected, documents)))
        )
    return resolved, notes


class _Documents:
    """The documents that questions name, by each name."""

    def __init__(self, connection: Pg, sources: Sequence[str], questions: Iterable[Question]) -> None:
        self._sources = frozenset(sources)
        names = {name for one in _references(questions) for _, name in self._names(one)}
        params = {"sources": list(sources), "names": sorted(names)}
        self._rows: dict[int, Row] = {}
        self._by_name: dict[tuple[str, str, str], set[int]] = defaultdict(set)
        for row in query(connection, "evaluation_documents", params):
            self._rows[row["document_id"]] = row
            for kind, column in (("id", "external_id"), ("path", "path"), ("url", "url")):
                self._by_name[kind, row["source"], row[column] or ""].add(row["document_id"])

    def of(self, reference: Reference) -> frozenset[int]:
        """Every document that a reference means: of all sources, unless it names one."""
        kind = "id" if reference.id else "path" if reference.path else "url"
        return frozenset(
            document
            for source, name in self._names(reference)
            for one in ([source] if source else self._sources)
            for document in self._by_name.get((kind, one, name), ())
        )

    def values(self, documents: Iterable[int], column: str) -> set[str]:
        """The values of a column over some documents."""
        return {self._rows[document][column] for document in documents if self._rows[document][column]}

    def _names(self, reference: Reference) -> Iterator[tuple[str | None, str]]:
        """The source, if it is said, and the name. A path may begin with its source."""
        name = reference.path or reference.id or reference.url or ""
        yield reference.source, name
        head, slash, rest = name.partition("/")
        if reference.path and slash and head in self._sources and reference.source in (None, head):
            yield head, rest


def _references(questions: Iterable[Question]) -> Iterator[Reference]:
    for question in questions:
        yield from question.expect or ()
        yield from (one.reference for one in question.must_not_return)


def _find_quoted(questions: Iterable[Question], documents: _Documents) -> set[int]:
    return {
        document
        for question in questions
        for one in question.expect or ()
        if one.quote
        for document in documents.of(one)
    }


def _texts(connection: Pg, chunker_id: int, documents: set[int]) -> dict[int, str]:
    """The canonical texts, put together from their pieces; what no piece holds is white space."""
    pieces: dict[int, list[tuple[int, str]]] = defaultdict(list)
    params = {"chunker_id": chunker_id, "documents": sorted(documents)}
    for row in query(connection, "evaluation_passages", params) if documents else ():
        pieces[row["document_id"]].append((row["start_at"], row["text"]))
    return {document: _join_pieces(found) for document, found in pieces.items()}


def _join_pieces(pieces: Iterable[tuple[int, str]]) -> str:
    text = ""
    for start, piece in sorted(pieces):
        text = text.ljust(start)
        text += piece[max(0, len(text) - start) :]
    return text


def _places(words: str, documents: Iterable[int], texts: Mapping[int, str]) -> Iterator[TextSpan]:
    """Where the words of a quote follow one another, whatever stands between (cells, line breaks)."""
    pattern = re.compile(r"\W+".join(map(re.escape, re.findall(r"\w+", words))), re.IGNORECASE)
    for document in sorted(documents):
        for match in pattern.finditer(texts.get(document, "")):
            yield TextSpan(document, match.start(), match.end())


def _slices(question: Question, expected: Iterable[Expected], documents: _Documents) -> Iterator[str]:
    named = {document for one in expected for document in one.documents}
    yield from (f"source={source}" for source in sorted(documents.values(named, "source")))
    languages = {question.language} if question.language else documents.values(named, "language")
    yield from (f"language={language}" for language in sorted(filter(None, languages)))
    words = len(question.query.split())
    yield f"length={next((name for most, name in LENGTHS if words <= most), LONGEST)}"
    if question.user:
        yield f"user={question.user}"
    yield from (f"tag={tag}" for tag in question.tags)
