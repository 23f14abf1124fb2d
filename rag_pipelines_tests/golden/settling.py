"""What it means that code or results are not as they were pinned, and writing new pins.

What belongs here: the rules. What does not: the results themselves (`corpus`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from rag_pipelines.provenance.stages import Pin

COMMAND = "python tools/pin_stages.py"

HEADER = f"# stage, digest of its code, name of that code in stored fingerprints. Written by: {COMMAND}\n"


class Verdict(StrEnum):
    """What is to be done about a stage."""

    FINE = "nothing"
    OTHER_LIBRARIES = "results differ as the libraries do, and so do fingerprints"
    UNSEEN = "results changed and the fingerprint did not"
    REFRESH = "results changed and so did the fingerprint"
    UNDECIDED = "the fingerprint changed and no result did"


ADVICE: Mapping[Verdict, str] = {
    Verdict.UNSEEN: (
        "something makes these results that the stage's code does not reach by imports, or that is in a list "
        "of what is ignored (rag_pipelines/provenance): let the stage reach it"
    ),
    Verdict.REFRESH: f"look at the difference, then make it the expected one: {COMMAND}",
    Verdict.UNDECIDED: (
        f"where no document can come out otherwise: {COMMAND} --equal\n"
        f"where some do (better add one to rag_pipelines_tests/golden/documents): {COMMAND} --new"
    ),
}


class Seen(NamedTuple):
    """A stage as it is here: the digest of its code, its results beside the expected ones, its libraries.

    `same_libraries`: their versions are those that the expected results were made with.
    """

    stage: str
    digest: str
    equal: bool
    same_libraries: bool


def verdict(seen: Seen, pins: Iterable[Pin]) -> Verdict:
    """What is to be done about a stage."""
    known = any((pin.stage, pin.digest) == (seen.stage, seen.digest) for pin in pins)
    if known and seen.equal:
        return Verdict.FINE
    if known:
        return Verdict.UNSEEN if seen.same_libraries else Verdict.OTHER_LIBRARIES
    return Verdict.UNDECIDED if seen.equal else Verdict.REFRESH


def settled(seen: Iterable[Seen], pins: Iterable[Pin], *, equal: bool) -> list[Pin]:
    """The pins that fit what was seen.

    Args:
        equal: code whose results did not change keeps its name. Two names for one stage, which a merge can
            leave, say that results changed on one side: then it has a new one.
    """
    pins = list(pins)
    made: list[Pin] = []
    for one in seen:
        names = {pin.name for pin in pins if pin.stage == one.stage}
        found = verdict(one, pins)
        if found in (Verdict.FINE, Verdict.OTHER_LIBRARIES):
            name = next(p.name for p in pins if (p.stage, p.digest) == (one.stage, one.digest))
        elif found is Verdict.UNDECIDED and equal and len(names) == 1:
            (name,) = names
        else:
            name = one.digest
        made.append(Pin(one.stage, one.digest, name))
    return sorted(made)


def written(pins: Iterable[Pin]) -> str:
    """Pins as a file."""
    return HEADER + "".join(" ".join(pin) + "\n" for pin in pins)
