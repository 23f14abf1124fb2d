"""How fast PDFs are parsed, beside the parser of another commit: pages per second of processor time.

What belongs here: two parsers, each of its own tree and process, that read the same files in turn, so that
what else the machine does slows both alike. What does not: what they read (`fidelity`, `icdar_tables`).

The other commit is checked out beside this tree for as long as the run takes. A file's time is the least of
its rounds; imports and the loading of models are not in it. Files of which the two make different blocks are
counted: where they are many, the faster one may have done less.

    python benchmarks/pdf_speed.py [--before COMMIT] [--mode fast --mode auto] [--rounds 3] [FILE …]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from history import Figures
from rich.progress import track
from trees import ROOT, tree_of

FIGURES = Figures("pdf_speed")

DATA = Path(os.environ.get("RAG_DATA_DIR", ROOT.parent / "shared" / "data"))
MODES = ("fast", "auto")
SLOWER = 5

MIXED = (
    "northwind/data/Northwind_Health_Plus_Benefits_Details.pdf",
    "northwind/data/role_library.pdf",
    "unstructured-docs/pdf/failure-after-repair.pdf",
    "unstructured-docs/pdf/multi-column.pdf",
    "unstructured-docs/language-docs/fr_olap.pdf",
    "pdf-misc/pdfplumber/pdfs/chelsea_pdta.pdf",
    "pdf-misc/pdfplumber/pdfs/federal-register-2020-17221.pdf",
    "pdf-misc/pdfplumber/pdfs/issue-316-example.pdf",
    "pdf-misc/pdfplumber/pdfs/issue-67-example.pdf",
    "pdf-misc/pdfplumber/pdfs/WARN-Report-for-7-1-2015-to-03-25-2016.pdf",
    "pdf-misc/pypdf/GeoBase_NHNC1_Data_Model_UML_EN.pdf",
    "docling-testdata/pdf/sources/redp5110_sampled.pdf",
    "icdar2013-tables/competition-dataset-eu/eu-004.pdf",
    "icdar2013-tables/competition-dataset-eu/eu-026.pdf",
    "pypdf-sample-files/009-pdflatex-geotopo/GeoTopo-komprimiert.pdf",
)
"""Insurance booklets, a report, a maths book, papers in columns, forms, lists and tables with and without
rules: 551 pages."""

PARSER = """
import hashlib, json, sys, time
from pathlib import Path
from rag_pipelines.parsing.base import ParseOptions, ParseRequest
from rag_pipelines.parsing.pdf.engine import load_models, mupdf
from rag_pipelines.parsing.pdf.parse import parse
mode = sys.argv[1]
mupdf() if mode == "fast" else load_models()
for line in sys.stdin:
    path = Path(line.rstrip())
    request = ParseRequest(path.read_bytes(), path.name, options=ParseOptions(pdf=mode))
    began = time.process_time()
    parsed = parse(request)
    spent = time.process_time() - began
    blocks = hashlib.sha256(repr((parsed.text, parsed.blocks)).encode()).hexdigest()
    print(json.dumps([parsed.counters["pages"], spent, blocks]), flush=True)
"""
"""Run in each tree: a path in, and its pages, seconds and a hash of its blocks out. Written against what both
commits have."""


class Reading(NamedTuple):
    """What one parse of a file took; `blocks` is a hash of what came of it."""

    pages: int
    seconds: float
    blocks: str


class Parser:
    """The parser of one tree, in a process of its own."""

    def __init__(self, tree: Path, mode: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PARSER, mode],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def read(self, path: Path) -> Reading:
        asked, answered = self._process.stdin, self._process.stdout
        assert asked is not None
        assert answered is not None
        asked.write(f"{path}\n")
        asked.flush()
        if not (answer := answered.readline()):
            raise SystemExit(f"the parser ended at {path}; its message stands above")
        return Reading(*json.loads(answer))

    def __enter__(self) -> Parser:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def measure(mode: str, trees: Sequence[Path], files: Sequence[Path], rounds: int) -> None:
    """Read all files in one mode by the parser of each tree in turn, and print what they took."""
    best: list[list[Reading]] = []
    with ExitStack() as running:
        parsers = [running.enter_context(Parser(tree, mode)) for tree in trees]
        for path in track(files, description=mode, transient=True, disable=not sys.stdout.isatty()):
            readings = [[parser.read(path) for parser in parsers] for _ in range(rounds)]
            best.append([min(times, key=lambda one: one.seconds) for times in zip(*readings, strict=True)])
    pages = sum(now.pages for *_, now in best)
    seconds = [sum(one.seconds for one in times) for times in zip(*best, strict=True)]
    FIGURES.context(f"pages/s of processor time, {mode}", pages / seconds[-1])
    print(f"{mode}: {pages / seconds[-1]:.1f} pages/s of processor time ({pages} pages)")
    if len(trees) == 1:
        return
    FIGURES.ratio(f"speed beside the other commit, {mode}", seconds[0] / seconds[-1])
    differing = sum(before.blocks != now.blocks for before, now in best)
    print(
        f"{mode}: before {pages / seconds[0]:.1f} pages/s, now {seconds[0] / seconds[-1]:.2f} times as fast; "
        f"other blocks in {differing} of {len(files)} files"
    )
    by_gain = sorted(
        zip(best, files, strict=True), key=lambda entry: entry[0][0].seconds / entry[0][1].seconds
    )
    for (before, now), path in by_gain[:SLOWER]:
        print(f"  {before.seconds / now.seconds:5.2f} times, {now.seconds:.2f} s, {path.name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, help="PDFs; a mixed set of the corpora without")
    parser.add_argument("--before", metavar="COMMIT", help="measure the parser of this commit beside it")
    parser.add_argument("--mode", action="append", choices=MODES, help="may be repeated; default both")
    parser.add_argument("--rounds", type=int, default=3, help="how often each file is read")
    arguments = parser.parse_args()
    files = [path.resolve() for path in arguments.files] or [DATA / name for name in MIXED]
    if missing := [str(path) for path in files if not path.is_file()]:
        sys.exit(f"not found: {', '.join(missing)}; set RAG_DATA_DIR")
    with ExitStack() as trees:
        before = [trees.enter_context(tree_of(arguments.before))] if arguments.before else []
        for mode in arguments.mode or MODES:
            measure(mode, [*before, ROOT], files, arguments.rounds)
    FIGURES.record(
        before=arguments.before, modes=arguments.mode or MODES, files=len(files), rounds=arguments.rounds
    )


if __name__ == "__main__":
    main()
