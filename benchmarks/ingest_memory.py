"""Whether the memory of an ingest grows with the number of documents: small ones, the model a hash.

What belongs here: the peak of the command and of its largest worker, by number of documents. What does not:
a listing without loading (`listing_at_scale`), connectors over a network (`connectors_at_scale`), time
(`ingest`).

Peaks are those that the kernel keeps of each process (`VmHWM`, Linux only): none falls between two looks.

    python benchmarks/ingest_memory.py [--documents 2000 20000]
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from history import Figures
from ingest import CONFIGURATION

from rag_pipelines.store.database import Database
from rag_pipelines.store.embedded import EmbeddedServer

FIGURES = Figures("ingest_memory")
LOOK_SECONDS = 0.2
A_FOLDER = 1_000

TEXT = "# Note {n}\n\nPart {n} of unit {unit} was looked at on day {day}; it {state}.\n"
STATES = ("runs", "leaks", "was replaced", "is worn")


def write(folder: Path, documents: int) -> None:
    """So many files of some hundred bytes."""
    for n in range(documents):
        place = folder / f"{n // A_FOLDER:04}"
        place.mkdir(parents=True, exist_ok=True)
        text = TEXT.format(n=n, unit=n % 97, day=n % 366, state=STATES[n % len(STATES)])
        (place / f"note-{n:07}.md").write_text(text)


def peak(process: int) -> float:
    """The most that a process has held, in MB; 0 where it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def measure(documents: int, folder: Path, url: str) -> tuple[float, float]:
    """Peaks of the command and of its largest worker, in MB."""
    write(folder / "docs", documents)
    file = folder / "rag.yaml"
    file.write_text(CONFIGURATION.format(home=folder / "home", url=url, folder=folder / "docs"))
    began = time.perf_counter()
    command = [sys.executable, "-m", "rag_pipelines.cli.main", "--config", str(file), "ingest"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ}) as running:
        own = worker = 0.0
        while running.poll() is None:
            own = max(own, peak(running.pid))
            try:
                children = psutil.Process(running.pid).children(recursive=True)
            except psutil.NoSuchProcess:
                break
            worker = max([worker, *(peak(child.pid) for child in children)])
            time.sleep(LOOK_SECONDS)
    if running.returncode:
        sys.exit(f"the ingest of {documents:,} documents ended with {running.returncode}")
    seconds = time.perf_counter() - began
    print(
        f"{documents:>9,} documents: {own:6.1f} MB, the largest worker {worker:6.1f} MB, {seconds:,.0f} s",
        flush=True,
    )
    return own, worker


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--documents", type=int, nargs="+", default=[2_000, 20_000])
    sizes = parser.parse_args().documents
    peaks = []
    for documents in sizes:
        with tempfile.TemporaryDirectory(prefix="rag-ingest-memory-") as folder:
            server = EmbeddedServer(Path(folder) / "postgres")
            database = Database(server.start())
            database.migrate()
            database.close()
            try:
                peaks.append(measure(documents, Path(folder), server.start()))
            finally:
                server.stop()
    for number, what in enumerate(("command", "largest worker")):
        ratio = peaks[-1][number] / peaks[0][number]
        print(f"{what}: {ratio:.2f} times the memory for {sizes[-1] / sizes[0]:,.0f} times the documents")
        FIGURES.ratio(f"memory of the {what}, {sizes[-1]:,} by {sizes[0]:,} documents", ratio)
    FIGURES.record(documents=sizes)


if __name__ == "__main__":
    main()
