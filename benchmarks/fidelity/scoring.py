"""The words of a text, and how much of a reference a reading holds.

What belongs here: tokens, and the figures of one reading against one reference. What does not: making
either.

* recall: the share of the words a viewer shows, counted as often as shown, that the reading has;
* numbers: the same of the words that begin with a digit, a number being one word with its separators;
* characters: the same of the letters and digits, however they are divided into words;
* precision: the share of the reading's words that the file holds anywhere, shown or not;
* stream: of the words that stand once in both, the longest run in the same order, as a share of them.
  The order is the one in which the viewer gives its text: that of a PDF or slide is the order of drawing,
  often but not always that of reading;
* reading: of passages put in order by eye, the longest run that a reading has in that order, as a share of
  them; of a few files only (`reading_order`);
* neighbours: the share of pairs of filled cells side by side in a row that are so in a line of the reading.
"""

from __future__ import annotations

import bisect
import itertools
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

LONGEST_CELL = 200
"""Characters; longer cells are laid-out text rather than a table."""
LONGEST_GLUED = 200
"""Characters; longer words are data, in which any short word is found."""

Threads = list[list[list[str]]]
"""Threads of passages of words: of each thread, passages are read from the first to the last."""

SPLIT = "divided otherwise"
DRAWN = "drawn only"

_JOINED = re.compile(r"(?<=[^\W\d_])[-\u2010\u2011]\s*\n?[ \t]*(?=[^\W\d_])")
"""A hyphen in or at the end of a word: whether the line ended there is no difference of words."""
_NOT_READ = re.compile("[\x80-\x9f\u00ad\u200b-\u200f\u2060\ufe0e\ufe0f\ufeff]|\\^\\(?")
"""Controls, characters without width, and the sign that a superscript is written with."""
_SINGLE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff\u0e00-\u0e7f"
"""Scripts written without spaces: each character is a word."""
_TOKEN = re.compile(rf"[{_SINGLE}]|\d+(?:[.,]\d+)+|[^\W_{_SINGLE}]+")


def tokens(text: str) -> list[str]:
    """The words of `text` in order, width and case folded, hyphenated words as one."""
    text = _NOT_READ.sub("", unicodedata.normalize("NFKC", text).casefold())
    return _TOKEN.findall(_JOINED.sub("", text))


@dataclass
class Reference:
    """What a viewer shows of a document.

    `required` are its words; `accepted` how often each word may occur in a reading; `sequence` the words in
    the viewer's order; `rows` the cells of table rows; `kinds` what holds each word; `threads` passages in
    the order of reading, as judged by eye. Where `judged` is set, nothing is known of what the reading may
    hold besides, and there is no precision.
    """

    required: Counter[str]
    accepted: Counter[str]
    sequence: list[str]
    rows: list[list[str]] = field(default_factory=list)
    kinds: Mapping[str, Counter[str]] = field(default_factory=dict)
    judged: bool = True
    threads: Threads = field(default_factory=list)
    formulas: frozenset[str] = frozenset()
    """The words of its formulas: how many of them are written as one word is no difference."""


def apart(words: Iterable[str], formulas: frozenset[str], known: Container[str]) -> Iterator[str]:
    """`words` with those that are not known, but made of words of formulas, taken apart."""
    if not formulas:
        yield from words
        return
    part = "|".join([r"\d+(?:[.,]\d+)*", *sorted(map(re.escape, formulas), key=len, reverse=True)])
    whole, parts = re.compile(f"(?:{part})+"), re.compile(part)
    for word in words:
        if word in known or not whole.fullmatch(word):
            yield word
        else:
            yield from parts.findall(word)


def kinds_of(pieces: Iterable[tuple[str, str]]) -> dict[str, Counter[str]]:
    """Of each word, how often each kind of thing holds it; `pieces` are (kind, text)."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for kind, text in pieces:
        for word in tokens(text):
            found[word][kind] += 1
    return found


@dataclass
class Score:
    """Counts of one reading, or sums over many; `whole` are those that lack no word."""

    files: int = 0
    unread: int = 0
    words: int = 0
    found: int = 0
    numbers: int = 0
    numbers_found: int = 0
    characters: int = 0
    characters_found: int = 0
    given: int = 0
    true: int = 0
    ordered: int = 0
    compared: int = 0
    read_in_order: int = 0
    passages: int = 0
    pairs: int = 0
    pairs_found: int = 0
    seconds: float = 0.0
    whole: int = 0
    shares: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    missing: Counter[str] = field(default_factory=Counter)
    surplus: Counter[str] = field(default_factory=Counter)
    parted: Counter[tuple[str, ...]] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    """Words that are not in the reading, by what holds them."""

    def add(self, other: Score) -> None:
        """Add a reading's counts and shares to the sums, without its single words."""
        for name in self.__dataclass_fields__:
            if name not in ("missing", "surplus", "parted", "lost", "shares"):
                setattr(self, name, getattr(self, name) + getattr(other, name))
        self.lost += other.lost
        for name, share in other.figures.items():
            if share is not None:
                self.shares[name].append(share)

    @property
    def means(self) -> dict[str, float | None]:
        """The mean over files of every figure, so that a book weighs what a letter does."""
        return {
            name: sum(self.shares[name]) / len(self.shares[name]) if self.shares[name] else None
            for name in self.figures
        }

    @property
    def recall(self) -> float | None:
        return _share(self.found, self.words)

    @property
    def figures(self) -> dict[str, float | None]:
        """Every share by name; None where there was nothing to find."""
        return {
            "recall": self.recall,
            "numbers": _share(self.numbers_found, self.numbers),
            "characters": _share(self.characters_found, self.characters),
            "precision": _share(self.true, self.given),
            "stream": _share(self.ordered, self.compared),
            "reading": _share(self.read_in_order, self.passages),
            "neighbours": _share(self.pairs_found, self.pairs),
        }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def score(reference: Reference, text: str | None, seconds: float = 0.0) -> Score:
    """A reading against its reference; None is a document that was not read."""
    given_words = list(apart(tokens(text or ""), reference.formulas, reference.required))
    given = Counter(given_words)
    required = reference.required
    found = required & given
    missing = required - given
    wanted_characters, given_characters = _characters(required), _characters(given)
    made = Score(
        files=1,
        unread=text is None,
        words=required.total(),
        found=found.total(),
        numbers=_numbers(required),
        numbers_found=_numbers(found),
        characters=wanted_characters.total(),
        characters_found=(wanted_characters & given_characters).total(),
        seconds=seconds,
        whole=not missing,
        missing=missing,
        lost=_lost(missing, given - required, reference),
    )
    if reference.judged:
        made.given = given.total()
        made.surplus = given - (reference.accepted | required)
        made.true = made.given - made.surplus.total()
    made.ordered, made.compared = _order(reference.sequence, given_words)
    made.read_in_order, made.passages = _in_order(reference.threads, tokens(text or ""))
    wanted = Counter(pair for row in reference.rows for pair in _pairs(row))
    made.parted = wanted - _runs(text or "", wanted)
    made.pairs, made.pairs_found = wanted.total(), wanted.total() - made.parted.total()
    return made


def _numbers(words: Counter[str]) -> int:
    return sum(count for word, count in words.items() if word[0].isdigit())


def _characters(words: Counter[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            found[character] += count
    return found


def _lost(missing: Counter[str], extra: Counter[str], reference: Reference) -> Counter[str]:
    """The missing words by kind; one that is part of a surplus word, or made of such, is only divided
    otherwise. Of several kinds that hold a word, it is the one that lacks most of its words, but not more
    often than it holds this one."""
    wanted, lacked = Counter[str](), Counter[str]()
    for word, kinds in reference.kinds.items():
        wanted.update(kinds.keys())
        if word in missing:
            lacked.update(kinds.keys())
    lost: Counter[str] = Counter()
    glued = " ".join(word for word in extra if len(word) < LONGEST_GLUED)
    for word, count in missing.items():
        if (len(word) > 2 and word in glued) or _made_of(word, extra):
            lost[SPLIT] += count
        else:
            kinds = reference.kinds.get(word, Counter())
            for kind in sorted(kinds, key=lambda kind: lacked[kind] / wanted[kind], reverse=True):
                lost[kind] += (here := min(count, kinds[kind]))
                count -= here
            lost[DRAWN] += count
    return +lost


def _made_of(word: str, parts: Counter[str]) -> bool:
    """Whether two or three of `parts` one after the other are `word`."""
    for at in range(1, len(word)):
        if word[:at] in parts:
            rest = word[at:]
            if rest in parts or any(
                rest[:cut] in parts and rest[cut:] in parts for cut in range(1, len(rest))
            ):
                return True
    return False


def _order(wanted: Sequence[str], given: Sequence[str]) -> tuple[int, int]:
    """The longest increasing run of the positions of words that stand once in both, and their number."""
    once = {word for word, count in Counter(wanted).items() if count == 1}
    once &= {word for word, count in Counter(given).items() if count == 1}
    place = {word: at for at, word in enumerate(given) if word in once}
    tails: list[int] = []
    for word in wanted:
        if word in once:
            at = bisect.bisect_left(tails, place[word])
            tails[at : at + 1] = [place[word]]
    return len(tails), len(once)


def _in_order(threads: Threads, words: Sequence[str]) -> tuple[int, int]:
    """How many passages stand in order in `words`, and of how many; one that is torn apart is in none."""
    read = 0
    for thread in threads:
        tails: list[int] = []
        for passage in thread:
            for place in reversed(_places(passage, words)):
                at = bisect.bisect_left(tails, place)
                tails[at : at + 1] = [place]
        read += len(tails)
    return read, sum(map(len, threads))


def _places(passage: Sequence[str], words: Sequence[str]) -> list[int]:
    """Where `passage` begins in `words`."""
    return [
        at for at, word in enumerate(words) if word == passage[0] and words[at : at + len(passage)] == passage
    ]


def _runs(text: str, wanted: Counter[tuple[str, ...]]) -> Counter[tuple[str, ...]]:
    """How often each of `wanted` stands in one line of `text`, word after word."""
    lengths = {len(pair) for pair in wanted}
    found: Counter[tuple[str, ...]] = Counter()
    for line in text.splitlines() if wanted else ():
        words = tokens(line)
        for length in lengths:
            for at in range(len(words) - length + 1):
                if (run := tuple(words[at : at + length])) in wanted:
                    found[run] += 1
    return found


def _pairs(row: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The last two words of a cell with the first two of the next filled one."""
    filled = [words for cell in row if (words := tokens(cell))]
    if any(len(cell) > LONGEST_CELL for cell in row):
        return
    for left, right in itertools.pairwise(filled):
        yield (*left[-2:], *right[:2])
