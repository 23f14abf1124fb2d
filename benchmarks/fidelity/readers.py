"""Engines in processes of their own, and the answers of those that do not change with our code, kept.

What belongs here: which engine reads which format, where it is installed, its time limit. What does not:
how it is called (`read`).
"""

from __future__ import annotations

import hashlib
import html
import importlib.util
import inspect
import json
import os
import re
import selectors
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fidelity.corpus import SUFFIXES, File
from fidelity.read import ENGINES

PEERS_HOME = Path(os.environ.get("RAG_PEERS_HOME", Path.home() / ".cache" / "rag-peers"))
START_SECONDS = 180
FILE_SECONDS = 300

EVERY = frozenset(SUFFIXES)
PEERS: dict[str, frozenset[str]] = {
    "markitdown": frozenset({"docx", "pptx", "xlsx", "xls", "msg", "epub", "html", "pdf"}),
    "kreuzberg": EVERY,
    "xberg": EVERY,
    "unstructured": EVERY - {"ods", "odp", "pdf"},
    "docling": frozenset({"docx", "pptx", "xlsx", "html", "odt", "ods", "odp", "eml", "msg", "epub"}),
    "pymupdf4llm": frozenset({"pdf"}),
}
"""The formats that each peer reads here. The PDF models of docling come from a hub, and those of unstructured
are wanted even by its strategy without models: they are left out."""

NOT_INSTALLED = "not installed"


class Answer(NamedTuple):
    """What an engine made of a file; `text` is None where it did not read it."""

    text: str | None
    error: str | None
    seconds: float


class Unavailable(Exception):
    """An engine that cannot run here; the message says why."""


def ours(files: Sequence[File]) -> Iterator[tuple[File, Answer]]:
    """Our parsers, as the interpreter that runs this finds them; kept until any line of them changes."""
    package = importlib.util.find_spec("rag_pipelines")
    assert package is not None
    assert package.origin is not None
    folder = Path(package.origin).parent
    digest = hashlib.sha256()
    for source in sorted(
        [*folder.glob("*.py"), *folder.glob("parsing/**/*.py"), *folder.glob("text/**/*.py")]
    ):
        digest.update(source.read_bytes())
    yield from _kept("ours", sys.executable, digest, files)


def peer(name: str, files: Sequence[File]) -> Iterator[tuple[File, Answer]]:
    """The answers of a peer, without the marks of Markdown.

    Raises:
        Unavailable: it is not installed, or does not start.
    """
    home = PEERS_HOME / name
    if not (home / "ready").is_file():
        raise Unavailable(NOT_INSTALLED)
    digest = hashlib.sha256((home / "ready").read_bytes())
    wanted = [file for file in files if file.format in PEERS[name]]
    for file, answer in _kept(name, str(home / "bin" / "python"), digest, wanted):
        yield file, answer._replace(text=answer.text and unmarked(answer.text))


def _kept(
    engine: str, python: str, digest: hashlib._Hash, files: Sequence[File]
) -> Iterator[tuple[File, Answer]]:
    """The answers of an engine in the state of `digest`; what it said of the same content is not asked
    again."""
    call = inspect.getsource(ENGINES[engine])
    digest.update(call.encode())
    places = {
        file: file.kept(f"read-{engine}-{digest.hexdigest()[:12]}").with_suffix(".json") for file in files
    }
    for file, answer in _read(engine, python, [file for file, kept in places.items() if not kept.is_file()]):
        places[file].parent.mkdir(parents=True, exist_ok=True)
        places[file].write_text(json.dumps(answer), encoding="utf-8")
    for file, kept in places.items():
        yield file, Answer(*json.loads(kept.read_text(encoding="utf-8")))


def unmarked(text: str) -> str:
    """Markdown without what its reader does not see: addresses of links, tags, names of LaTeX commands.

    A row of an HTML table becomes a line.
    """
    text = re.sub(
        r"!?\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*(?:\s+\"[^\"]*\")?\)",
        r"\1",
        text,
    )
    if "<t" in text:
        text = re.sub(
            r"<t[rdh][^>]*>\s*", " ", re.sub(r"</tr>\s*", "\n", re.sub(r"</t[dh]>\s*", " | ", text))
        )
    text = re.sub(r"<!--.*?-->|</?[A-Za-z][^<>]*>", " ", text, flags=re.DOTALL)
    text = re.sub(r"\\(?:frac|sqrt|left|right|begin|end|mathrm|text|cdot|times|quad|limits)\b", " ", text)
    return html.unescape(text).replace("\\", "").replace("*", "").replace("`", "")


def _read(engine: str, python: str, files: Sequence[File]) -> Iterator[tuple[File, Answer]]:
    """Each file and its answer. A process that ends or takes too long is started again for the next file."""
    process: _Process | None = None
    try:
        for number, file in enumerate(files):
            if number % 50 == 0:
                print(f"{engine}: {number} of {len(files)}", file=sys.stderr, flush=True)
            process = process or _Process(engine, python)
            answer = process.ask(str(file.path))
            if answer is None:
                process.end()
                process = None
                yield file, Answer(None, "ended or took too long", FILE_SECONDS)
            else:
                yield file, Answer(answer["text"], answer["error"], answer["seconds"])
    finally:
        if process is not None:
            process.end()


class _Process:
    def __init__(self, engine: str, python: str) -> None:
        offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen(
            ["nice", "-n", "10", python, "-P", str(Path(__file__).with_name("read.py")), engine],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | offline,
            text=True,
            encoding="utf-8",
            bufsize=1,
        )
        self._ready = selectors.DefaultSelector()
        self._ready.register(self._process.stdout, selectors.EVENT_READ)  # type: ignore[arg-type]
        if self._line(START_SECONDS) != "ready\n":
            self.end()
            raise Unavailable("does not start")

    def ask(self, path: str) -> dict[str, Any] | None:
        """The answer of the process; None if it ended or took too long."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(path + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return None
        line = self._line(FILE_SECONDS)
        return json.loads(line) if line else None

    def end(self) -> None:
        self._ready.close()
        self._process.kill()
        self._process.communicate()

    def _line(self, seconds: float) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline() if self._ready.select(seconds) else ""
