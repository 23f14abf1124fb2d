"""Office documents as LibreOffice shows and stores them: a PDF, its plain text, and flat ODF.

What belongs here: running the conversions, many files a process, and keeping what they made by content.
What does not: reading what was made (`printed`, `flat_odf`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fidelity.corpus import CACHE, CALC, IMPRESS, WRITER, File

BATCH = 12
FILE_SECONDS = 60

CONVERSIONS: dict[str, tuple[frozenset[str], str]] = {
    "writer.pdf": (WRITER, "pdf:writer_pdf_Export"),
    "writer.fodt": (WRITER, "fodt"),
    "writer.txt": (WRITER, "txt:Text (encoded):UTF8"),
    "impress.pdf": (IMPRESS, "pdf:impress_pdf_Export"),
    "impress.fodp": (IMPRESS, "fodp"),
    "calc.fods": (CALC, "fods"),
}
"""What is made, by the name it is kept under: of which formats, and LibreOffice's name of the filter."""


def convert(files: Sequence[File]) -> None:
    """Make what is not kept yet. A file that LibreOffice cannot open is kept as an empty result."""
    for name, (formats, target) in CONVERSIONS.items():
        wanted = [file for file in files if file.format in formats and not file.kept(name).exists()]
        for at in range(0, len(wanted), BATCH):
            batch = wanted[at : at + BATCH]
            print(f"{name}: {at + len(batch)} of {len(wanted)}", file=sys.stderr, flush=True)
            for failed in _convert(batch, name, target):
                _convert([failed], name, target)
                if not failed.kept(name).exists():
                    failed.kept(name).parent.mkdir(parents=True, exist_ok=True)
                    failed.kept(name).touch()


def _convert(batch: Sequence[File], name: str, target: str) -> list[File]:
    """The files of which nothing came out; the others are kept."""
    with tempfile.TemporaryDirectory(prefix="fidelity-") as work:
        sources, made = Path(work, "in"), Path(work, "out")
        sources.mkdir()
        inputs = [sources / f"{file.key}{file.path.suffix.lower()}" for file in batch]
        for file, source in zip(batch, inputs, strict=True):
            source.write_bytes(file.path.read_bytes())
        _run(
            [
                *("soffice", f"-env:UserInstallation=file://{CACHE / 'libreoffice'}", "--headless"),
                *("--norestore", "--convert-to", target, "--outdir", str(made), *map(str, inputs)),
            ],
            FILE_SECONDS * len(batch),
        )
        extension = target.partition(":")[0]
        missing = []
        for file in batch:
            result = made / f"{file.key}.{extension}"
            if not result.is_file():
                missing.append(file)
                continue
            kept = file.kept(name)
            kept.parent.mkdir(parents=True, exist_ok=True)
            part = kept.with_suffix(".part")
            part.write_bytes(result.read_bytes())
            part.rename(kept)
        return missing


def _run(command: Sequence[str], seconds: float) -> None:
    """A command with all its children ended when its time is up; its output says nothing of use."""
    process = subprocess.Popen(
        ["nice", "-n", "10", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
