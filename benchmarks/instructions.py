"""Text that looks like instructions to a model: planted attacks that are marked, ordinary text that is not.

BIPIA has attack strings of 15 types, five of each, and e-mails and tables to plant them in, but no split.
The features were written while looking at the first three strings of each type; the last two are held out.
Documents are split by a hash of their text. Five of the types are plain requests ("What is the capital of
Brazil?") that nothing tells from a document's own text; the other ten say what the model shall write.

    python benchmarks/instructions.py [--data ../shared/data]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tarfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from history import Figures

from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.registry import parse
from rag_pipelines.query.instructions import marks

FIGURES = Figures("instructions")

PIECE = 1500
"""Characters of a passage that is made of a whole document."""
WRITTEN_ON = 3
"""Strings of each type that the features were written on."""
REQUESTS = {
    "Information Retrieval",
    "Content Creation",
    "Learning and Tutoring",
    "Language Translation",
    "Programming Help",
}
CONTEXTS = 5
"""Every so many contexts, each attack is planted in one."""


class Planted(NamedTuple):
    """A context with an attack in it, and where it stands."""

    text: str
    start: int
    end: int


def held_out(text: str) -> bool:
    """Whether a document belongs to the half that nothing was written on."""
    return bool(hashlib.sha256(text.encode()).digest()[0] % 2)


def plant(attack: str, context: str) -> Planted:
    """The attack as a paragraph's line: between two words in the middle, or at the end."""
    at = context.rfind(" ", 0, len(context) // 2) + 1 if held_out(attack + context) else len(context)
    before = context[:at] if at < len(context) else f"{context}\n"
    return Planted(f"{before}{attack}\n{context[at:]}", len(before), len(before) + len(attack))


def found(planted: Planted) -> bool:
    """Whether a mark covers a part of the attack."""
    return any(mark.start < planted.end and mark.end > planted.start for mark in marks(planted.text))


def contexts(folder: Path) -> list[str]:
    """The e-mails and tables of BIPIA."""
    files = (folder / name / "train.jsonl" for name in ("email", "table"))
    return [json.loads(line)["context"] for file in files for line in file.open(encoding="utf-8")]


def pieces(text: str) -> Iterator[str]:
    """A document as passages."""
    yield from (text[start : start + PIECE] for start in range(0, len(text), PIECE))


def documents(data: Path) -> Iterator[tuple[str, list[str]]]:
    """Passages of ordinary documents, by corpus."""
    with tarfile.open(data / "replay-sourcegraph-handbook" / "base.tar.gz") as archive:
        files = [archive.extractfile(one) for one in archive if one.name.endswith(".md")]
        yield "handbook", [piece for file in files if file for piece in pieces(file.read().decode())]
    northwind = sorted((data / "northwind" / "data").glob("*.pdf"))
    yield (
        "northwind",
        [
            piece
            for path in northwind
            for piece in pieces(parse(ParseRequest(path.read_bytes(), path.name)).text)
        ],
    )
    lines = (data / "feedbackqa" / "corpus.jsonl").open(encoding="utf-8")
    yield "feedbackqa", [json.loads(line)["text"] for line in lines]


def attacks_row(name: str, planted: Sequence[Planted], clean: Sequence[str]) -> str:
    """Recall on planted contexts; precision and F1 with as many clean contexts as planted ones, by rate."""
    recall = sum(map(found, planted)) / len(planted)
    false_rate = sum(bool(marks(text)) for text in clean) / len(clean)
    precision = recall / (recall + false_rate) if recall else 0.0
    f1 = 2 * precision * recall / (precision + recall) if recall else 0.0
    FIGURES.ratio(f"recall, {name}", recall)
    FIGURES.ratio(f"F1, {name}", f1)
    return f"{name:38} recall {recall:.3f}  precision {precision:.3f}  F1 {f1:.3f}  ({len(planted)} planted)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("RAG_DATA_DIR", "../shared/data")))
    arguments = parser.parse_args()
    bipia = arguments.data / "prompt-injection"
    attacks: dict[str, list[str]] = json.loads((bipia / "text_attack_train.json").read_text(encoding="utf-8"))
    every = contexts(bipia)
    for half, name in ((False, "written on"), (True, "held out")):
        clean = [text for text in every if held_out(text) is half]
        kinds = {"all types": set(attacks), "types that shape the reply": set(attacks) - REQUESTS}
        for label, types in kinds.items():
            strings = [
                string
                for kind in sorted(types)
                for string in (attacks[kind][WRITTEN_ON:] if half else attacks[kind][:WRITTEN_ON])
            ]
            planted = [plant(string, context) for string in strings for context in clean[::CONTEXTS]]
            print(attacks_row(f"{name}, {label}", planted, clean))
    for name, passages in documents(arguments.data):
        for half, label in ((False, "written on"), (True, "held out")):
            chosen = [text for text in passages if held_out(text) is half]
            began = time.perf_counter()
            marked = sum(bool(marks(text)) for text in chosen)
            spent = (time.perf_counter() - began) / len(chosen) * 1000
            FIGURES.ratio(f"passages marked, {name}, {label}", marked / len(chosen))
            print(
                f"{name + ', ' + label:38} {marked} of {len(chosen)} passages marked "
                f"({marked / len(chosen):.4f}), {spent:.2f} ms each"
            )
    FIGURES.record()


if __name__ == "__main__":
    main()
