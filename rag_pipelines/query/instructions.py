"""Text in a passage that looks like instructions to a model: prompt injection, made visible.

What belongs here: reading the features, and the spans that they give. What does not: the features themselves
(`instructions.toml`, for people to read), and deciding what to do about a span; a marked passage stays, and
its reader takes care.

Documents are full of instructions to people, so no feature is an imperative alone: each names what only
a model has (earlier instructions, a system prompt, a reply that it is writing, a role to play) or is text
that only a model reads (chat markup, invisible characters). A plain request hidden in a document ("What is
the capital of Brazil?") has nothing of this and is not found.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from rag_pipelines.text.boundaries import BLANK_LINE, SENTENCE, strip

THRESHOLD = 0.5
"""Suspicion from which a sentence is marked."""


_PART = re.compile(r"\(\?&(\w+)\)")


class Mark(msgspec.Struct, frozen=True):
    """A range of a passage's text (offsets in it, not in the document) that looks like an instruction.

    `suspicion` is in [THRESHOLD, 1]: how sure the features make together. It is no probability.
    """

    start: int
    end: int
    suspicion: float
    features: tuple[str, ...]


class Feature(NamedTuple):
    """What speaks for an instruction to a model, and how much, in (0, 1].

    A passage that has none of `words` (see `squeeze`) cannot have it; that is quick to see.
    """

    name: str
    weight: float
    words: tuple[str, ...]
    pattern: re.Pattern[str]


@cache
def features() -> tuple[Feature, ...]:
    """The features of `instructions.toml`, read once.

    Weights of several combine as independent doubts: ``1 - (1 - a) * (1 - b)``.
    """
    table = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
    parts = {name: part if isinstance(part, str) else "".join(part) for name, part in table["parts"].items()}
    return tuple(
        Feature(
            one["name"],
            one["weight"],
            tuple(one["words"]),
            re.compile(_whole("|".join(one["patterns"]), parts), re.IGNORECASE | re.DOTALL),
        )
        for one in table["features"]
    )


def _whole(pattern: str, parts: Mapping[str, str]) -> str:
    """A pattern with the parts that it names in their places; parts may name others."""
    while _PART.search(pattern):
        pattern = _PART.sub(lambda found: parts[found[1]], pattern)
    return pattern


def marks(text: str) -> list[Mark]:
    """The sentences of `text` that look like instructions to a model, in order; neighbours are one mark."""
    lowered = squeeze(text)
    possible = [one for one in features() if not one.words or any(word in lowered for word in one.words)]
    if combine(feature.weight for feature in possible) < THRESHOLD:
        return []
    found: list[Mark] = []
    for start, end in _sentences(text):
        present = [feature for feature in possible if feature.pattern.search(text[start:end])]
        suspicion = combine(feature.weight for feature in present)
        if suspicion < THRESHOLD:
            continue
        names = tuple(feature.name for feature in present)
        if found and not text[found[-1].end : start].strip():
            last = found.pop()
            start, suspicion = last.start, max(last.suspicion, suspicion)
            names = tuple(dict.fromkeys((*last.features, *names)))
        found.append(Mark(start, end, round(suspicion, 3), names))
    return found


def squeeze(text: str) -> str:
    """A text in lower case, with one blank between words: where the words of features are looked for."""
    return " ".join(text.casefold().split())


def combine(weights: Iterable[float]) -> float:
    """How much several features say together."""
    doubt = 1.0
    for weight in weights:
        doubt *= 1 - weight
    return 1 - doubt


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    """Ranges between blank lines and ends of sentences; a line end alone may be a wrapped line's.

    What goes on in lower case goes on with the sentence: a quoted one stands in it.
    """
    cuts = {match.end() for match in BLANK_LINE.finditer(text)}
    cuts |= {
        match.end() for match in SENTENCE.finditer(text) if not text[match.end() : match.end() + 1].islower()
    }
    at = 0
    for cut in (*sorted(cuts), len(text)):
        start, end = strip(text, at, cut)
        if start < end:
            yield start, end
        at = cut
