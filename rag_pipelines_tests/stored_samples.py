"""The samples of stored values, and every form in the code.

What belongs here: finding them. What does not: assertions.
"""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

import rag_pipelines
from rag_pipelines.stored import Form

SAMPLES = Path(__file__).parent / "samples" / "stored"

_NAMES_FORMS = re.compile(r"\bForm\b")


@dataclass(frozen=True)
class Sample:
    """A stored value, as it was."""

    path: Path
    value: dict[str, Any]


def all_forms() -> list[Form[Any]]:
    """Every form that a module of the package defines, by kind. Modules that name no form are not imported:
    with all there are they take two seconds."""
    found: dict[str, Form[Any]] = {}
    package = Path(rag_pipelines.__file__).parent
    for file in sorted(package.rglob("*.py")):
        if _NAMES_FORMS.search(file.read_text(encoding="utf-8")):
            name = ".".join(file.relative_to(package.parent).with_suffix("").parts)
            for value in vars(importlib.import_module(name)).values():
                if isinstance(value, Form):
                    assert found.setdefault(value.kind, value) is value, (
                        f"two forms are called {value.kind!r}"
                    )
    return [found[kind] for kind in sorted(found)]


def folder_of(form: Form[Any]) -> Path:
    """Where the samples of a kind are."""
    return SAMPLES / form.kind.replace(" ", "-")


def samples_of(form: Form[Any]) -> list[Sample]:
    """The samples of a kind, the oldest first."""
    files = sorted((file for file in folder_of(form).glob("*")), key=number_of)
    return [Sample(file, _read(file)) for file in files]


def number_of(path: Path) -> tuple[int, int]:
    """The form of a sample, and which of that form's it is."""
    form, _, which = path.stem.partition("-")
    return int(form), int(which or 1)


def written_now(form: Form[Any], sample: Sample) -> Any:
    """What this code would store in place of a sample, as JSON has it."""
    return json.loads(json.dumps(form.encode(form.decode(sample.value))))


def _read(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return json.loads(data) if path.suffix == ".json" else msgspec.msgpack.decode(data)
