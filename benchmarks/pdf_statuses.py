"""How every PDF of five test suites ends, beside what MuPDF saw of it when the suites were collected.

What belongs here: running the PDF parser over the suites in ``fast`` mode and comparing statuses with
each suite's ``pdf_probe.tsv``. What does not: text or table quality.

Run with::

    python benchmarks/pdf_statuses.py
"""

from __future__ import annotations

import csv
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rag_pipelines.errors import DocumentError
from rag_pipelines.parsing.base import ParseOptions, ParseRequest
from rag_pipelines.parsing.pdf import parse

DATA = Path(os.environ.get("RAG_DATA_DIR", Path(__file__).resolve().parents[2] / "shared" / "data"))
SUITES = ("unstructured-docs", "docling-testdata", "markitdown-testfiles", "pypdf-sample-files", "pdf-misc")


class Outcome(NamedTuple):
    """One file: the statuses that the probe allows, the one it got, and the error's message."""

    suite: str
    file: str
    expected: tuple[str, ...]
    status: str
    message: str


def expected_statuses(probe: dict[str, str]) -> tuple[str, ...]:
    """What the probe's row allows: a file of zero bytes or without pages may be called empty or corrupt."""
    if probe["status"] == "ENC":
        return ("encrypted",)
    if probe["status"] == "ERR":
        return ("empty", "corrupt") if probe["bytes"] == "0" else ("corrupt",)
    if not int(probe["pages"]):
        return ("empty", "corrupt")
    return ("ok",) if int(probe["text_chars"]) else ("empty",)


def outcomes(suite: str) -> Iterator[Outcome]:
    """Parse every PDF of a suite."""
    with (DATA / suite / "pdf_probe.tsv").open(newline="") as probes:
        for probe in csv.DictReader(probes, delimiter="\t"):
            status, message = "ok", ""
            try:
                data = (DATA / suite / probe["file"]).read_bytes()
                parse(ParseRequest(data, probe["file"], options=ParseOptions(pdf="fast")))
            except DocumentError as error:
                status, message = error.status, str(error)
            yield Outcome(suite, probe["file"], expected_statuses(probe), status, message)


def main() -> int:
    """Print the table of statuses and every mismatch; returns the number of mismatches."""
    started = time.perf_counter()
    results = [outcome for suite in SUITES for outcome in outcomes(suite)]
    counts = Counter((outcome.suite, outcome.status) for outcome in results)
    statuses = sorted({outcome.status for outcome in results})
    print(f"{'suite':24}" + "".join(f"{status:>11}" for status in statuses))
    for suite in SUITES:
        print(f"{suite:24}" + "".join(f"{counts[suite, status]:>11}" for status in statuses))
    mismatches = [outcome for outcome in results if outcome.status not in outcome.expected]
    for outcome in mismatches:
        print(
            f"{outcome.suite}/{outcome.file}: {outcome.status} ({outcome.message}), "
            f"expected {' or '.join(outcome.expected)}"
        )
    print(f"{len(results)} files, {len(mismatches)} mismatches, {time.perf_counter() - started:.1f} s")
    return len(mismatches)


if __name__ == "__main__":
    sys.exit(min(main(), 1))
