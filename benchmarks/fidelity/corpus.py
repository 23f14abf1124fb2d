"""The files of the data folder that a viewer can show, by format, equal files once.

What belongs here: finding and naming files, and the folder in which references are kept by content. What
does not: reading one.
"""

from __future__ import annotations

import hashlib
import heapq
import os
from collections.abc import Iterable, Iterator
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

DATA = Path(os.environ.get("RAG_DATA_DIR", Path(__file__).resolve().parents[3] / "shared" / "data"))
CACHE = Path(os.environ.get("RAG_FIDELITY_CACHE", Path.home() / ".cache" / "rag-fidelity"))

SUFFIXES = {
    "docx": (".docx", ".docm"),
    "odt": (".odt",),
    "rtf": (".rtf",),
    "doc": (".doc",),
    "pptx": (".pptx", ".pptm"),
    "odp": (".odp",),
    "ppt": (".ppt",),
    "xlsx": (".xlsx", ".xlsm"),
    "ods": (".ods",),
    "xls": (".xls",),
    "eml": (".eml",),
    "msg": (".msg",),
    "epub": (".epub",),
    "html": (".html", ".htm"),
    "pdf": (".pdf",),
}
"""The formats with a reference, and the endings of their files."""

WRITER = frozenset({"docx", "odt", "rtf", "doc"})
IMPRESS = frozenset({"pptx", "odp", "ppt"})
CALC = frozenset({"xlsx", "ods", "xls"})


class File(NamedTuple):
    """A file to read; `label` is its path in the data folder, `key` the hash of its content."""

    path: Path
    format: str
    key: str

    @property
    def label(self) -> str:
        return str(self.path.relative_to(DATA)) if self.path.is_relative_to(DATA) else self.path.name

    def kept(self, name: str) -> Path:
        """Where something made of this content is kept, whatever the file is called."""
        return CACHE / name / self.key[:2] / self.key


def files(formats: Iterable[str], sample: int | None = None) -> list[File]:
    """The files of `formats` in the data folder, by path, the first of those that are equal.

    `sample` is the most of one format; those with the smallest hashes are chosen, which are any.
    """
    listed = list(_distinct(formats))
    if sample is None:
        return listed
    kept: set[File] = set()
    for name in formats:
        kept.update(
            heapq.nsmallest(sample, (file for file in listed if file.format == name), key=attrgetter("key"))
        )
    return [file for file in listed if file in kept]


def _distinct(formats: Iterable[str]) -> Iterator[File]:
    by_suffix = {suffix: name for name in formats for suffix in SUFFIXES[name]}
    seen = set()
    for path in sorted(DATA.rglob("*")):
        if (name := by_suffix.get(path.suffix.lower())) is None or not path.is_file():
            continue
        key = hashlib.sha256(path.read_bytes()).hexdigest()
        if (name, key) not in seen:
            seen.add((name, key))
            yield File(path, name, key)
