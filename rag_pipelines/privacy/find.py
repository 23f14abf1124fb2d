"""Finds personal data and secrets in a text: candidates, words beside them, and which of them count.

What belongs here: the decision. What does not: forms (`patterns`), other engines (`presidio`), documents
(`screen`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib.util import find_spec

import msgspec

from rag_pipelines.errors import UsageError
from rag_pipelines.privacy.kinds import Finding, Kind
from rag_pipelines.privacy.profile import PrivacyProfile

BEFORE, AFTER = 48, 16
"""Characters before and after a place in which a word may name it."""


Beside = Callable[[int], str]
"""Words that belong to a place beyond those before it: the head of a table's column."""


def nothing_beside(place: int) -> str:
    """Of a text that is no table."""
    return ""


class Finder:
    """Finds what a profile looks for.

    Raises:
        UsageError: a package that the profile needs is not installed.
    """

    def __init__(self, profile: PrivacyProfile) -> None:
        for package, name in (
            ("stdnum", "privacy"),
            ("phonenumbers", "privacy"),
            ("presidio_analyzer", "presidio"),
        ):
            if find_spec(package) is None and (name == "privacy" or profile.engine == "presidio"):
                raise UsageError(
                    f"finding personal data needs the package {package}, which is not installed: "
                    f"pip install 'rag-pipelines[{name}]'"
                )
        from rag_pipelines.privacy import patterns

        self._profile = profile
        self._kinds = frozenset(profile.kinds)
        self._context = patterns.CONTEXT
        self._candidates = patterns.candidates
        if profile.engine == "presidio":
            from rag_pipelines.privacy.presidio import Presidio

            self._presidio: Presidio | None = Presidio(profile.model)
        else:
            self._presidio = None

    def find(self, text: str, beside: Beside = nothing_beside) -> list[Finding]:
        """What counts, in order, without overlaps."""
        found = [
            one._replace(
                score=one.lifted if self._named(text, one.kind, one.start, one.end, beside) else one.score
            )
            for one in self._candidates(text, self._kinds, self._profile.phone_regions)
        ]
        sure = {
            (one.kind, text[one.start : one.end])
            for one in found
            if one.score >= self._profile.threshold_of(one.kind)
        }
        counted = [
            Finding(one.kind, one.start, one.end, max(one.score, self._profile.threshold_of(one.kind)))
            for one in found
            if (one.kind, text[one.start : one.end]) in sure
        ]
        if self._presidio is not None:
            counted += (
                one
                for one in self._presidio.find(text, self._kinds)
                if one.score >= self._profile.threshold_of(one.kind)
            )
        return _apart(counted)

    def _named(self, text: str, kind: Kind, start: int, end: int, beside: Beside) -> bool:
        words = self._context.get(kind)
        if words is None:
            return False
        near = f"{text[max(start - BEFORE, 0) : start]} {text[end : end + AFTER]} {beside(start)}"
        return words.search(near) is not None


def finder_of(profile: PrivacyProfile) -> Finder:
    """The finder of a profile, made once in a process. Raises as `Finder` does."""
    return _finder(msgspec.json.encode(profile, order="deterministic"))


@lru_cache(maxsize=8)
def _finder(encoded: bytes) -> Finder:
    return Finder(msgspec.json.decode(encoded, type=PrivacyProfile))


def _apart(found: Iterable[Finding]) -> list[Finding]:
    """In order; what overlaps is one finding over all of it, of the kind of the surest, then the longest."""
    kept: list[Finding] = []
    for one in sorted(found, key=lambda one: (one.start, -one.end)):
        if not kept or kept[-1].end <= one.start:
            kept.append(one)
            continue
        last = kept[-1]
        best = max(last, one, key=lambda one: (one.score, one.end - one.start))
        kept[-1] = best._replace(start=last.start, end=max(last.end, one.end))
    return kept
