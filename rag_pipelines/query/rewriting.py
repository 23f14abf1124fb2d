"""What is changed in a question before it is asked: misspelt words, and synonyms that go with it.

What belongs here: the changes, and which words of the corpus are near a misspelt one. What does not:
the search itself, and anything that a model would have to write.

A word is mended only where the caller sees no passage that has it, and only to a word of a passage that
the caller does see: so the spelling tells nobody what hidden documents say.
"""

from __future__ import annotations

import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import msgspec

from rag_pipelines.config.query import RewritingSettings
from rag_pipelines.model import EVERYONE
from rag_pipelines.query.hits import Change, Rewritten
from rag_pipelines.query.stages import Asked
from rag_pipelines.store.database import Database, Part, query
from rag_pipelines.store.reader import reading_as

WORD = re.compile(r"[^\W\d_]+")
"""Letters only: what holds a digit or a sign is an identifier, and stands as it was typed."""
QUOTED = re.compile(r'"[^"]*"')
JOINT = re.compile(r"\w+(?:[-_./@:]\w+)+|\w*\d\w*")
"""Identifiers, addresses, file names."""

SHORTEST = 4
"""Letters; shorter words are near too many others."""
LONG = 6
"""From this length on two edits are allowed, below it one; the `AUTO` fuzziness of Lucene's descendants."""
NEAR = 5
"""Words that are tried for a misspelt one."""
SAMPLE_PASSAGES = 20_000
LEAST_PASSAGES = 2
"""A word of a single passage may be misspelt itself."""
MAX_WORDS = 200_000
KEPT = 32
"""Vocabularies in memory, one for each version and tenant."""
PATIENCE_SECONDS = 60
"""For a vocabulary, by who would rather wait than do without it."""
FRESH_SECONDS = 3600
"""Then a vocabulary is read again: a version's tables may be taken over by a later one."""


class Synonyms:
    """Groups of phrases that mean the same; whole words in any case, the longest phrase first."""

    def __init__(self, groups: Sequence[Sequence[str]]) -> None:
        self._others: dict[str, list[str]] = defaultdict(list)
        for group in groups:
            for phrase in group:
                self._others[_fold(phrase)] += [one for one in group if _fold(one) != _fold(phrase)]
        phrases = sorted(self._others, key=lambda phrase: -len(phrase))
        self._pattern = re.compile(
            r"(?<!\w)(?:" + "|".join(re.escape(one).replace(r"\ ", r"\s+") for one in phrases) + r")(?!\w)",
            re.IGNORECASE,
        )

    def expand(self, text: str) -> Rewritten:
        """The question with the other phrases of each group behind it, those it has already left out."""
        if not self._others:
            return Rewritten(text)
        outside = QUOTED.sub(lambda quoted: " " * len(quoted[0]), text)
        present = f" {_fold(text)} "
        changes: dict[str, Change] = {}
        for match in self._pattern.finditer(outside):
            for other in self._others[_fold(match[0])]:
                if f" {_fold(other)} " not in present:
                    changes.setdefault(_fold(other), Change("synonym", match[0], other))
        added = " ".join(change.new for change in changes.values())
        return Rewritten(f"{text} ({added})" if added else text, tuple(changes.values()))


class Vocabulary:
    """The words of a corpus with their frequencies, for finding those near a misspelt one.

    `open` are those of which everybody could read a passage when they were counted: nobody needs to be
    asked whether they are words.
    """

    def __init__(self, counts: Mapping[str, int], open: Iterable[str] = ()) -> None:
        self.open = frozenset(open)
        self._counts = dict(counts)
        self._by_length: dict[int, list[str]] = defaultdict(list)
        for word in self._counts:
            self._by_length[len(word)].append(word)

    def __len__(self) -> int:
        return len(self._counts)

    def near(self, word: str) -> list[str]:
        """The nearest words, best first: fewest edits (a swap of neighbours is one), then most frequent."""
        from rapidfuzz import process
        from rapidfuzz.distance import OSA

        edits = 2 if len(word) >= LONG else 1
        found = []
        for length in range(len(word) - edits, len(word) + edits + 1):
            hits = process.extract(
                word, self._by_length.get(length, ()), scorer=OSA.distance, score_cutoff=edits, limit=None
            )
            found += [(distance, -self._counts[other], other) for other, distance, _ in hits if distance]
        return [other for _, _, other in sorted(found)[:NEAR]]


class Vocabularies:
    """The vocabulary of each version and tenant, read in the background when first asked for.

    Until it is there questions are asked as they are. By a login that row-level security holds for it has
    the words of what everybody may read. Close it to stop reading.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="vocabulary")
        self._known: dict[tuple[str, str], tuple[float, Future[Vocabulary]]] = {}
        self._lock = threading.Lock()

    def of(self, lexical: str, tenant: str, *, wait_seconds: float = 0) -> Vocabulary | None:
        """The words of a version's lexical table, or None while they are being read or cannot be."""
        with self._lock:
            since, future = self._known.get((lexical, tenant), (0.0, None))
            failed = future is not None and future.done() and future.exception() is not None
            if future is None or failed or time.monotonic() - since > FRESH_SECONDS:
                while len(self._known) >= KEPT:
                    del self._known[next(iter(self._known))]
                future = self._reader.submit(self._read, lexical, tenant)
                self._known[lexical, tenant] = (time.monotonic(), future)
        try:
            return future.result(wait_seconds)
        except Exception:  # not ready, or the database refused; the next question tries again
            return None

    def close(self) -> None:
        """Stop; a vocabulary that is being read is finished first."""
        self._reader.shutdown(cancel_futures=True)

    def _read(self, lexical: str, tenant: str) -> Vocabulary:
        params = {
            "tenant": tenant,
            "passages": SAMPLE_PASSAGES,
            "shortest": SHORTEST,
            "least": LEAST_PASSAGES,
            "words": MAX_WORDS,
        }
        with self._database.connection() as connection, reading_as(connection, tenant, [EVERYONE]):
            rows = query(connection, "vocabulary", params, {"lexical": lexical}).fetchall()
        return Vocabulary(
            {row["word"]: row["passages"] for row in rows}, (row["word"] for row in rows if row["open"])
        )


class Rewriter:
    """Rewrites the questions to one index. Safe to use from several threads."""

    def __init__(self, settings: RewritingSettings, database: Database) -> None:
        self._synonyms = Synonyms(settings.synonyms)
        self._vocabularies = Vocabularies(database) if settings.spelling else None

    def prepare(self, parts: Mapping[str, Part], tenant: str) -> None:
        """Wait for the vocabulary that a tenant's questions to a version need; `parts` as in `Asked`."""
        if self._vocabularies is not None:
            self._vocabularies.of(str(parts["lexical"]), tenant, wait_seconds=PATIENCE_SECONDS)

    def rewrite(self, asked: Asked, *, wait_seconds: float = 0) -> Rewritten:
        """The question to ask instead of `asked.text`; waits so long for the vocabulary if need be."""
        if self._vocabularies is None:
            return self._synonyms.expand(asked.text)
        lexical, tenant = str(asked.parts["lexical"]), asked.tenant
        vocabulary = self._vocabularies.of(lexical, tenant, wait_seconds=wait_seconds)
        if vocabulary is None:
            expanded = self._synonyms.expand(asked.text)
            return msgspec.structs.replace(expanded, note="no spelling: the vocabulary is not read yet")
        mended = mend(asked.text, corrections(asked, vocabulary))
        expanded = self._synonyms.expand(mended.text)
        return Rewritten(expanded.text, (*mended.changes, *expanded.changes))

    def close(self) -> None:
        """Stop reading vocabularies."""
        if self._vocabularies is not None:
            self._vocabularies.close()


def plain_words(text: str) -> list[str]:
    """The words of a question that may be misspelt: long enough, not quoted, no part of an identifier.

    A capital inside a word makes it an abbreviation or a name, unless the whole question is in capitals.
    """
    words = WORD.findall(JOINT.sub(" ", QUOTED.sub(" ", text)))
    shouted = text.isupper()
    return [
        word for word in dict.fromkeys(words) if len(word) >= SHORTEST and (shouted or word[1:].islower())
    ]


def corrections(asked: Asked, vocabulary: Vocabulary) -> dict[str, str]:
    """For each word of which the caller sees no passage, the nearest of which there is one."""
    typed = [word for word in plain_words(asked.text) if word.casefold() not in vocabulary.open]
    known = find_words(asked, map(str.casefold, typed)) if typed else set()
    near = {word: vocabulary.near(word.casefold()) for word in typed if word.casefold() not in known}
    offered = {other for others in near.values() for other in others}
    found = find_words(asked, offered) if offered else set()
    mended = {}
    for word, others in near.items():
        best = next((other for other in others if other in found), None)
        if best:
            mended[word] = _in_case_of(word, best)
    return mended


def mend(text: str, corrections: Mapping[str, str]) -> Rewritten:
    """The question with words replaced, outside quotes and identifiers."""
    if not corrections:
        return Rewritten(text)
    keep = re.compile(f"{QUOTED.pattern}|{JOINT.pattern}|{WORD.pattern}")
    mended = keep.sub(lambda match: corrections.get(match[0], match[0]), text)
    return Rewritten(mended, tuple(Change("spelling", old, new) for old, new in corrections.items()))


def find_words(asked: Asked, words: Iterable[str]) -> set[str]:
    """Those of `words` that some passage has which the caller may see."""
    parts = {name: asked.parts[name] for name in ("lexical", "configurations")}
    params = {"tenant": asked.tenant, "principals": asked.principals, "words": sorted(words)}
    with asked.reading() as connection:
        rows = query(connection, "words_found", params, parts).fetchall()
    return {row["word"] for row in rows}


def _in_case_of(typed: str, word: str) -> str:
    """A word written as another was typed: in capitals, with one, or without."""
    if typed.isupper():
        return word.upper()
    return word.capitalize() if typed[0].isupper() else word


def _fold(phrase: str) -> str:
    return " ".join(re.findall(r"\w+", phrase.casefold()))
