"""Our parsers beside `unstructured` on office files, pages and mails: words, table cells, time.

The reference is what the file itself says a viewer shows, read straight from its XML, HTML or MIME parts
and independent of both: text of the body, notes, headers and footers of a document; of shown slides and
their diagrams; visible text of a page; the body of a mail. `found` is the share of the reference's words
(counted as often as they occur) that come out, `true` the share of the words that come out which the file
has anywhere (slide notes and charts included), `cells` the share of table cells that come out as cells.

    python benchmarks/unstructured_engine.py [--data DIR] [--files]
"""

from __future__ import annotations

import argparse
import email
import email.policy
import io
import re
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from bs4 import BeautifulSoup
from history import Figures
from lxml import etree

from rag_pipelines.errors import RagError
from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import Engines, ParseOptions, ParseRequest
from rag_pipelines.parsing.registry import parse

FIGURES = Figures("unstructured_engine")

DATA = Path(__file__).parents[2] / "shared" / "data"
LARGEST = 5_000_000
FORMATS = ("docx", "pptx", "html", "eml")

_WORD = re.compile(r"\w+")
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_DELETED = {f"{_W}del", f"{_W}moveFrom"}


class Reference(NamedTuple):
    shown: str
    anywhere: str
    cells: Counter[str]


@dataclass
class Score:
    """Sums over the files of one format by one engine."""

    files: int = 0
    failed: int = 0
    words: int = 0
    found: int = 0
    given: int = 0
    true: int = 0
    cells: int = 0
    cells_found: int = 0
    seconds: float = 0.0
    lines: list[str] = field(default_factory=list)


def words(text: str) -> Counter[str]:
    return Counter(_WORD.findall(text.casefold()))


def squeezed(text: str) -> str:
    return " ".join(text.split())


def reference_of(data: bytes, kind: str) -> Reference:
    return {"docx": _docx, "pptx": _pptx, "html": _html, "eml": _eml}[kind](data)


def _docx(data: bytes) -> Reference:
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        trees = [
            etree.fromstring(package.read(name))
            for name in package.namelist()
            if re.fullmatch(r"word/(?:document|footnotes|endnotes|header\d*|footer\d*)\.xml", name)
        ]
    shown = "\n".join(_runs(tree, f"{_W}p", f"{_W}t") for tree in trees)
    cells = Counter(
        squeezed(_runs(cell, f"{_W}p", f"{_W}t")) for tree in trees for cell in tree.iter(f"{_W}tc")
    )
    return Reference(shown, shown, _filled(cells))


def _pptx(data: bytes) -> Reference:
    shown, everything, cells = [], [], Counter[str]()
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        hidden_parts: set[str] = set()
        for name in sorted(package.namelist()):
            if not name.startswith("ppt/") or not name.endswith(".xml"):
                continue
            tree = etree.fromstring(package.read(name))
            text = _runs(tree, f"{_A}p", f"{_A}t") + "\n" + " ".join(tree.itertext("{*}v"))
            everything.append(text)
            if re.fullmatch(r"ppt/slides/slide\d+\.xml", name):
                if tree.get("show") in ("0", "false"):
                    hidden_parts.add(name)
                    continue
                shown.append(_runs(tree, f"{_A}p", f"{_A}t"))
                cells.update(squeezed(_runs(cell, f"{_A}p", f"{_A}t")) for cell in tree.iter(f"{_A}tc"))
            elif re.fullmatch(r"ppt/diagrams/data\d+\.xml", name):
                shown.append(_runs(tree, f"{_A}p", f"{_A}t"))
    return Reference("\n".join(shown), "\n".join([*everything, "speaker notes slide 1 2 3"]), _filled(cells))


def _html(data: bytes) -> Reference:
    page = BeautifulSoup(data, "lxml")
    for hidden in page(["script", "style", "head", "template", "noscript"]):
        hidden.decompose()
    text = page.get_text("\n")
    cells = Counter(squeezed(cell.get_text(" ")) for cell in page(["td", "th"]) if not cell.find("table"))
    return Reference(text, text, _filled(cells))


def _eml(data: bytes) -> Reference:
    if b"\0" in data[:200]:  # a mail saved as UTF-16, which no mail library reads
        data = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else _utf16_of(data)).encode()
    message = email.message_from_bytes(data, policy=email.policy.default)
    body = message.get_body(("html", "plain"))
    if body is None:
        return Reference("", "", Counter())
    content = body.get_content()
    text = _html(content.encode()).shown if body.get_content_type() == "text/html" else content
    return Reference(text, text + " " + str(message), Counter())


def _utf16_of(data: bytes) -> str:
    return "utf-16-be" if data[0] == 0 else "utf-16-le"


def _runs(tree: etree._Element, paragraph: str, run: str) -> str:
    """The text of paragraphs, one a line, without what a tracked change took out or only old viewers see."""
    lines = []
    for one in tree.iter(paragraph):
        texts = [
            text.text or "" for text in one.iter(run) if not _is_out(text) and _owner(text, paragraph) is one
        ]
        lines.append("".join(texts))
    return "\n".join(lines)


def _owner(node: etree._Element, paragraph: str) -> etree._Element | None:
    return next(node.iterancestors(paragraph), None)


def _is_out(node: etree._Element) -> bool:
    return any(above.tag in _DELETED or above.tag == _FALLBACK for above in node.iterancestors())


def _filled(cells: Counter[str]) -> Counter[str]:
    return Counter({text: count for text, count in cells.items() if text})


def by_ours(engine: str) -> Callable[[bytes, str], tuple[str, Iterable[str]]]:
    """A document as a profile with this engine reads it."""
    options = ParseOptions(html_main_content=False, engines=Engines(docx=engine, pptx=engine, html=engine))

    def run(data: bytes, name: str) -> tuple[str, Iterable[str]]:
        document = parse(ParseRequest(data, name, options=options))
        return document.text, _table_cells(document)

    return run


def _table_cells(document: ParsedDocument) -> Iterator[str]:
    for block in document.blocks:
        if block.kind is BlockKind.TABLE:
            for row in block.rows:
                yield from row.cells


def by_partition_email(data: bytes, name: str) -> tuple[str, Iterable[str]]:
    """A mail by the library alone, without attachments; no profile offers that."""
    from unstructured.partition.email import partition_email

    from rag_pipelines.parsing.unstructured import runtime

    runtime._load()
    elements = partition_email(file=io.BytesIO(data), languages=[""], process_attachments=False)
    return "\n".join(element.text for element in elements), ()


def measure(
    files: Iterable[Path], kind: str, run: Callable[[bytes, str], tuple[str, Iterable[str]]]
) -> Score:
    score = Score()
    for path in files:
        data = path.read_bytes()
        try:
            reference = reference_of(data, kind)
        except Exception:
            continue
        if not reference.shown.strip():
            continue
        begun = time.perf_counter()
        score.files += 1
        try:
            text, cells = run(data, path.name)
        except RagError:
            text, cells = "", ()
            score.failed += 1
        score.seconds += time.perf_counter() - begun
        wanted, given = words(reference.shown), words(text)
        found = (wanted & given).total()
        score.words += wanted.total()
        score.found += found
        score.given += given.total()
        score.true += (given & (words(reference.anywhere) + wanted)).total()
        score.cells += reference.cells.total()
        score.cells_found += (reference.cells & Counter(map(squeezed, cells))).total()
        score.lines.append(f"{path.parent.name}/{path.name}: {found}/{wanted.total()}")
    return score


def share(part: int, whole: int) -> str:
    return f"{part / whole:.4f}" if whole else "-"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, default=DATA)
    arguments.add_argument("--files", action="store_true", help="also print each file's words")
    chosen = arguments.parse_args()
    heads = ("files", "failed", "found", "true", "cells", "ms/file")
    print(f"{'format':6} {'engine':13}", *(f"{head:>7}" for head in heads))
    for kind in FORMATS:
        files = sorted(
            path
            for path in chosen.data.rglob(f"*.{kind}")
            if path.stat().st_size < LARGEST and "replay" not in str(path) and "confluence" not in str(path)
        )[:120]
        engines = {"native": by_ours("native"), "unstructured": by_ours("unstructured")}
        if kind == "eml":
            engines["unstructured"] = by_partition_email
        for name, run in engines.items():
            measure(files[:1], kind, run)
            score = measure(files, kind, run)
            FIGURES.ratio(f"words found, {kind}, {name}", score.found / max(score.words, 1))
            FIGURES.ratio(f"words that are true, {kind}, {name}", score.true / max(score.given, 1))
            FIGURES.context(f"ms/file, {kind}, {name}", 1000 * score.seconds / max(score.files, 1))
            print(
                f"{kind:6} {name:13} {score.files:7} {score.failed:7} {share(score.found, score.words):>7} "
                f"{share(score.true, score.given):>7} {share(score.cells_found, score.cells):>7} "
                f"{1000 * score.seconds / max(score.files, 1):7.1f}",
                flush=True,
            )
            if chosen.files:
                print(*score.lines, sep="\n")
    FIGURES.record()


if __name__ == "__main__":
    main()
