"""How every file of five parser test suites ends and what is lost of it, run as an ingest would.

What belongs here: running the files, comparing each status with what the suite says of the file, and
counting the losses by format and kind.
What does not: text or table quality (`icdar_tables`), the tests of the pool.

A file ends as ``ok`` or with the status of its `DocumentError`. Expected statuses come from each
suite's ``pdf_probe.tsv`` (what MuPDF saw of the PDFs) and from the special notes of its card. The exit
status is 1 if a worker crashed, hung or ran out of memory, or if a status or a number of pages is not
the expected one.

Run with::

    python benchmarks/parse_statuses.py [--pdf fast|auto|layout] [--workers 2] [--suite NAME …]
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from history import Figures
from rich.console import Console
from rich.progress import track
from rich.table import Table

from rag_pipelines.chunking.base import ChunkOptions
from rag_pipelines.embedding.specs import ChunkerSpec
from rag_pipelines.embedding.tokenizer import TokenizerSpec
from rag_pipelines.errors import PoisonDocumentError
from rag_pipelines.parsing.base import ParseOptions
from rag_pipelines.parsing.formats import format_name
from rag_pipelines.parsing.losses import WORDS_SEEN, Loss
from rag_pipelines.parsing.stored import decode_parsed
from rag_pipelines.sync.prepare import Prepared, PrepareTask, prepare
from rag_pipelines.workers.jobs import JobOutcome
from rag_pipelines.workers.pool import WorkerPool

FIGURES = Figures("parse_statuses")

DATA = Path(os.environ.get("RAG_DATA_DIR", Path(__file__).resolve().parents[2] / "shared" / "data"))
SUITES = ("unstructured-docs", "docling-testdata", "markitdown-testfiles", "pypdf-sample-files", "pdf-misc")
CHUNKER = ChunkerSpec(ChunkOptions(), TokenizerSpec("characters", max_tokens=256))
SLOWEST = 10

NOTED: dict[str, tuple[str, ...]] = {
    "pdf-misc/pdfminer/contrib/issue-791-non-unicode-cmap.pdf": ("empty",),
    "unstructured-docs/password_protected.xlsx": ("encrypted",),
    "unstructured-docs/fake-power-point-malformed.pptx": ("ok",),
    "unstructured-docs/eml/fake-encrypted.eml": ("encrypted",),
    "unstructured-docs/fake-encrypted.msg": ("encrypted",),
    "unstructured-docs/empty.txt": ("empty",),
    "unstructured-docs/eml/empty.eml": ("empty",),
    "unstructured-docs/empty.xlsx": ("empty",),
    "unstructured-docs/fake-text-all-whitespace.txt": ("empty",),
    "unstructured-docs/fake-text-utf-16.txt": ("ok",),
    "unstructured-docs/fake-text-utf-16-be.txt": ("ok",),
    "unstructured-docs/fake-text-utf-16-le.txt": ("ok",),
    "unstructured-docs/fake-text-utf-32.txt": ("ok",),
    "unstructured-docs/umlauts-non-utf8.md": ("ok",),
    "unstructured-docs/fake-html-cp1252.html": ("ok",),
    "unstructured-docs/example-steelJIS-datasheet-utf-16.html": ("ok",),
    "unstructured-docs/language-docs/eng_spa_mult.doc": ("ok",),
    "unstructured-docs/book-war-and-peace-1225p.txt": ("ok",),
    "unstructured-docs/example-10k.html": ("ok",),
    "unstructured-docs/simple.zip": ("unsupported",),
    "markitdown-testfiles/random.bin": ("unsupported",),
}
"""What the cards say of single files that are not PDFs."""

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".webp"})


class File(NamedTuple):
    """One file of a suite; `expected` is empty and `pages` None where the suite does not say."""

    suite: str
    path: Path
    expected: tuple[str, ...] = ()
    pages: int | None = None

    @property
    def label(self) -> str:
        return str(self.path.relative_to(DATA))

    @property
    def format(self) -> str:
        return self.path.suffix.lower() or "(none)"


def files(suite: str) -> Iterator[File]:
    """Every file of a suite with the statuses that are right for it."""
    probed = {file.path: file for file in _probed(suite)}
    for path in sorted((DATA / suite).rglob("*")):
        if path.is_file():
            file = probed.get(path, File(suite, path))
            if file.label in NOTED:
                file = file._replace(expected=NOTED[file.label])
            elif file.format in IMAGES:
                file = file._replace(expected=("unsupported",))
            yield file


def _probed(suite: str) -> Iterator[File]:
    """The PDFs as MuPDF saw them; one of no bytes or no pages may be called empty or corrupt."""
    with (DATA / suite / "pdf_probe.tsv").open(newline="") as rows:
        for row in csv.DictReader(rows, delimiter="\t"):
            pages = int(row["pages"] or 0)
            if row["status"] == "ENC":
                expected: tuple[str, ...] = ("encrypted",)
            elif row["status"] == "ERR" and int(row["bytes"]):
                expected = ("corrupt",)
            elif not pages:
                expected = ("empty", "corrupt")
            else:
                expected = ("ok",) if int(row["text_chars"]) else ("empty",)
            yield File(suite, DATA / suite / row["file"], expected, pages)


def status(outcome: JobOutcome[File, Prepared]) -> str:
    """The word that would be stored for the document."""
    return outcome.error.status if outcome.error else "ok"


def run(suites: list[str], pdf: str, workers: int | None) -> list[JobOutcome[File, Prepared]]:
    """The outcome of every file, in order."""
    options = ParseOptions(pdf=pdf)  # type: ignore[arg-type]

    def task(file: File) -> PrepareTask:
        return PrepareTask(
            data=file.path.read_bytes(), name=file.path.name, options=options, chunkers=(CHUNKER,)
        )

    listed = [file for suite in suites for file in files(suite)]
    with WorkerPool(prepare, workers=workers) as pool:
        outcomes = track(
            pool.map(listed, task=task), "parsing", total=len(listed), console=Console(stderr=True)
        )
        return list(outcomes)


def report(outcomes: list[JobOutcome[File, Prepared]], console: Console) -> int:
    """Print the tables; returns how many files did not end as they should."""
    groups: dict[tuple[str, str], list[JobOutcome[File, Prepared]]] = defaultdict(list)
    for outcome in outcomes:
        groups[outcome.item.suite, outcome.item.format].append(outcome)
    statuses = [name for name, _ in Counter(map(status, outcomes)).most_common()]
    table = Table("suite", "format", "files", *statuses, "chunks", "seconds", title="Statuses")
    for column in table.columns[2:]:
        column.justify = "right"
    for (suite, format_), group in sorted(groups.items()):
        table.add_row(suite, format_, *_figures(group, statuses))
    table.add_section()
    table.add_row("all", "", *_figures(outcomes, statuses))
    console.print(table)

    console.print(_losses(outcomes))

    table = Table("seconds", "characters", "file", title=f"The slowest {SLOWEST}")
    for outcome in sorted(outcomes, key=lambda outcome: -outcome.seconds)[:SLOWEST]:
        characters = f"{outcome.value.summary.characters:,}" if outcome.value else status(outcome)
        table.add_row(f"{outcome.seconds:.2f}", characters, outcome.item.label)
    console.print(table)

    garbled = [outcome for outcome in outcomes if outcome.value and _is_garbled(outcome.item, outcome.value)]
    _list(console, "Decoded with replacement characters", garbled)
    poison = [outcome for outcome in outcomes if isinstance(outcome.error, PoisonDocumentError)]
    _list(console, "Crashed, hung or out of memory", poison)
    wrong = [
        outcome
        for outcome in outcomes
        if outcome.item.expected and status(outcome) not in outcome.item.expected
    ]
    _list(console, "Not as the suite says", wrong)
    miscounted = [
        outcome
        for outcome in outcomes
        if outcome.value
        and outcome.item.pages is not None
        and outcome.value.summary.pages != outcome.item.pages
    ]
    _list(console, "Pages not as the suite says", miscounted)
    unforeseen = [outcome for outcome in outcomes if status(outcome) in ("failed", "corrupt")]
    _list(console, "Corrupt or failed", unforeseen)
    known = sum(bool(outcome.item.expected) for outcome in outcomes)
    console.print(f"{known - len(wrong)} of {known} files with a known status ended as they should.")
    return len(poison) + len(wrong) + len(miscounted)


def _figures(group: list[JobOutcome[File, Prepared]], statuses: list[str]) -> list[str]:
    counts = Counter(map(status, group))
    chunks = sum(len(outcome.value.chunks[0] or ()) for outcome in group if outcome.value)
    seconds = sum(outcome.seconds for outcome in group)
    return [
        str(len(group)), *(str(counts[name] or "") for name in statuses), f"{chunks:,}", f"{seconds:.1f}"
    ]  # fmt: skip


def _losses(outcomes: list[JobOutcome[File, Prepared]]) -> Table:
    """Of each format, how many of the files that were read lost something of each kind, and of its words."""
    groups: dict[str, list[Mapping[str, int]]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.value:
            groups[format_name(outcome.value.summary.media_type)].append(outcome.value.summary.counters)
    kinds = [kind for kind in Loss if any(kind in one for group in groups.values() for one in group)]
    table = Table(
        "format",
        "read",
        *(kind.replace("_", " ") for kind in kinds),
        "of the words",
        title="Files with losses",
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for format_, group in sorted(groups.items()):
        losing = (sum(kind in one for one in group) for kind in kinds)
        table.add_row(format_, str(len(group)), *(str(number or "") for number in losing), _missing(group))
    return table


def _missing(group: list[Mapping[str, int]]) -> str:
    """The share of missing words where words were counted."""
    seen = sum(one.get(WORDS_SEEN, 0) for one in group)
    return f"{100 * sum(one.get(Loss.WORDS, 0) for one in group) / seen:.3f} %" if seen else ""


def _is_garbled(file: File, prepared: Prepared) -> bool:
    """Whether decoding lost something; what a PDF's fonts do not say is not decoding."""
    return file.path.suffix.lower() != ".pdf" and "\ufffd" in decode_parsed(prepared.encoded).text


def _list(console: Console, title: str, outcomes: list[JobOutcome[File, Prepared]]) -> None:
    if not outcomes:
        return
    table = Table("status", "expected", "file", "message", title=title)
    for outcome in outcomes:
        message = str(outcome.error) if outcome.error else ""
        table.add_row(status(outcome), " or ".join(outcome.item.expected), outcome.item.label, message)
    console.print(table)


def main() -> None:
    """Run the suites and print what became of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pdf", choices=("fast", "auto", "layout"), default="auto")
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--suite", action="append", choices=SUITES)
    arguments = parser.parse_args()
    missing = [suite for suite in arguments.suite or SUITES if not (DATA / suite).is_dir()]
    if missing:
        sys.exit(f"{', '.join(missing)} not found in {DATA}; set RAG_DATA_DIR")
    start = time.perf_counter()
    outcomes = run(arguments.suite or list(SUITES), arguments.pdf, arguments.workers)
    wall = time.perf_counter() - start
    console = Console(markup=False, width=None if sys.stdout.isatty() else 200)
    failures = report(outcomes, console)
    console.print(f"{len(outcomes)} files in {wall:.1f} s.")
    FIGURES.ratio("files that are read", sum(one.value is not None for one in outcomes) / len(outcomes))
    counters = [one.value.summary.counters for one in outcomes if one.value]
    for kind in Loss:
        losing = sum(kind in one for one in counters)
        FIGURES.ratio(f"files with {kind.replace('_', ' ')}", losing / len(counters))
    FIGURES.context("files/s", len(outcomes) / wall)
    FIGURES.record(pdf=arguments.pdf, workers=arguments.workers, suites=arguments.suite)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
