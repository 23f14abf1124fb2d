"""The privacy profile: what is looked for in a source's documents, and what becomes of those that hold it.

What belongs here: the parameters and what is wrong with them. What does not: obeying them (`screen`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rag_pipelines.privacy.kinds import NAMES, Kind

Mode = Literal["detect", "mask", "block", "restrict"]

REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "PL", "SE", "IN", "BR", "CH")


@dataclass(frozen=True)
class PrivacyProfile:
    """What counts as personal data or a secret, and what is done about it.

    `mode`: ``detect`` keeps where findings stand; ``mask`` puts ``[EMAIL]`` in their place before anything is
    chunked; ``block`` puts the document into quarantine; ``restrict`` lets only `readers` see it, of those
    who may see it anyway. A finding counts from the score `threshold` on, or that of its kind in `thresholds`
    (0 to 1; checksums and context words make scores). `kinds` are those looked for, by default all that have
    a form; PERSON and LOCATION need `engine` ``presidio`` and a spaCy `model`, by name or folder. Phone
    numbers without a country code are read as numbers of `phone_regions` (ISO 3166 codes).
    """

    mode: Mode = "detect"
    kinds: tuple[Kind, ...] = tuple(kind for kind in Kind if kind not in NAMES)
    threshold: float = 0.5
    thresholds: Mapping[Kind, float] = field(default_factory=dict)
    phone_regions: tuple[str, ...] = REGIONS
    readers: tuple[str, ...] = ()
    engine: Literal["native", "presidio"] = "native"
    model: str | None = None

    def __post_init__(self) -> None:
        """Raises `ValueError`: what does not go together."""
        if not self.kinds:
            raise ValueError(
                "'kinds' that are looked for: at least one; leave it out for all that have a form"
            )
        for score in (self.threshold, *self.thresholds.values()):
            if not 0 < score <= 1:
                raise ValueError(f"thresholds above 0 and up to 1, where {score:g} was received")
        if unknown := sorted(set(self.thresholds) - set(self.kinds)):
            raise ValueError(f"thresholds of kinds that are looked for; {unknown[0]} is not among 'kinds'")
        if (self.mode == "restrict") != bool(self.readers):
            raise ValueError("'readers' with mode restrict, and only there: principals such as group:privacy")
        if self.model is not None and self.engine != "presidio":
            raise ValueError("'model' with engine presidio only")
        named = sorted(NAMES.intersection(self.kinds))
        if named and self.model is None:
            raise ValueError(f"the kind {named[0]} with engine presidio and a spaCy 'model' only")
        for region in self.phone_regions:
            if not (len(region) == 2 and region.isascii() and region.isupper()):
                raise ValueError(
                    f"'phone_regions' as ISO 3166 codes such as DE, where {region!r} was received"
                )

    def threshold_of(self, kind: Kind) -> float:
        """The score from which a finding of `kind` counts."""
        return self.thresholds.get(kind, self.threshold)

    @property
    def masks(self) -> bool:
        """Whether text is rewritten."""
        return self.mode == "mask"
