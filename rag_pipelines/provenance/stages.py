"""What made a result: the code of a stage under the name that stored fingerprints know, and its libraries.

What belongs here: the pins. What does not: which modules a stage begins with and what else its
fingerprint holds (each stage knows its own).

A pin says that the code with a digest gives out the same as that which stored fingerprints name. It is
written by ``python tools/pin_stages.py`` when the golden corpus comes out as before. Without a pin a
digest is its own name, so code that nobody pinned makes results anew, which costs time and is never wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from rag_pipelines.provenance import libraries
from rag_pipelines.provenance.package import Code, this_package

PINS = Path(__file__).with_name("pins.txt")
"""Lines of stage, digest of its code, and the name that stands for it, between spaces."""


class StageCode(NamedTuple):
    """A stage by its lasting key, and the code that it runs: see `Package.code_of`."""

    key: str
    modules: tuple[str, ...]
    alone: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


class Pin(NamedTuple):
    """Code with this digest gives out what `name` stands for."""

    stage: str
    digest: str
    name: str


class Made(NamedTuple):
    """What stands in fingerprints of results: the name of the code, and versions by library."""

    code: str
    libraries: Mapping[str, str | None]


@cache
def made_by(stage: StageCode) -> Made:
    """What makes the results of a stage here and now."""
    code = code_of(stage)
    return Made(name_of(stage.key, code.digest, _pins()), libraries.versions(code.libraries))


def code_of(stage: StageCode) -> Code:
    """The code of a stage, whatever is pinned."""
    return this_package().code_of(stage.modules, alone=stage.alone, texts=stage.texts)


def name_of(stage: str, digest: str, pins: Iterable[Pin]) -> str:
    """What stored fingerprints call the code of a stage."""
    return next((pin.name for pin in pins if (pin.stage, pin.digest) == (stage, digest)), digest)


def read_pins(text: str) -> list[Pin]:
    """Pins as they are written. Raises `ValueError` where a line is none."""
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    for line in lines:
        if len(line) != len(Pin._fields):
            raise ValueError(f"a line of {PINS.name} holds {', '.join(Pin._fields)}, not {' '.join(line)!r}")
    return [Pin(*line) for line in lines]


@cache
def _pins() -> tuple[Pin, ...]:
    return tuple(read_pins(PINS.read_text(encoding="utf-8")))
