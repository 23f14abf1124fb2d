"""The text of a PDF's pages by PDFium, as drawn, and what repeats on them.

What belongs here: reading pages with an engine that our parser does not use. What does not: the office
documents the PDFs were made of (`office`).
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pypdfium2
import pypdfium2.raw as pdfium

EDGE_LINES = 8
"""How many lines at the top and bottom of a page may be page furniture."""

LONG_LINE = 3
"""In words: shorter lines may be equal by chance."""
POPPLER_SECONDS = 120

_DIGITS = re.compile(r"\d+")
_HYPHEN = re.compile("[\x02\ufffe](?:\r\n)?")
"""What PDFium writes for a hyphen at the end of a line, and for the end."""


@dataclass
class Printed:
    """Text by page, as far as it lies on the page; `written` is also what lies beside. `drawn_late` holds
    the words of annotations and form fields alone, `turned` what does not run from left to right."""

    pages: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    drawn_late: list[str] = field(default_factory=list)
    turned: list[str] = field(default_factory=list)

    def once(self) -> list[str]:
        """The pages with each line that repeats at their edges kept once, and page numbers dropped.

        Of lines elsewhere those of some words are kept once that are equal to the letter: a letter's foot.
        """
        lines = [[line for line in page.splitlines() if line.strip()] for page in self.pages]
        if len(lines) < 2:
            return self.pages
        seen = Counter(shape for page in lines for shape in {_shape(page[at]) for at in _edges(page)})
        equal = Counter(line for page in lines for line in set(page) if len(line.split()) >= LONG_LINE)
        kept: set[str] = set()
        pages = []
        for page in lines:
            edges = set(_edges(page))
            out = []
            for at, line in enumerate(page):
                shape = _shape(line)
                if at in edges and seen[shape] > 1:
                    if shape == "#" or shape in kept:
                        continue
                    kept.add(shape)
                elif equal[line] > 1:
                    if line in kept:
                        continue
                    kept.add(line)
                out.append(line)
            pages.append("\n".join(out))
        return pages


def _edges(page: list[str]) -> list[int]:
    count = len(page)
    return [at for at in range(count) if at < EDGE_LINES or at >= count - EDGE_LINES]


def _shape(line: str) -> str:
    return _DIGITS.sub("#", " ".join(line.split()))


def read(path: Path, password: str | None = None) -> Printed:
    """Every page of a PDF.

    Annotations and form fields are drawn into the page before it is read, as a viewer draws them over it.

    Raises:
        pypdfium2.PdfiumError: the file cannot be opened.
    """
    document = pypdfium2.PdfDocument(path, password=password)
    try:
        printed = Printed()
        for number in range(len(document)):
            page = document[number]
            plain, written = _text(page)
            drawn = plain
            if pdfium.FPDFPage_GetAnnotCount(page):
                pdfium.FPDFPage_Flatten(page, pdfium.FLAT_NORMALDISPLAY)
                page.close()
                page = document[number]
                drawn, _ = _text(page)
                late = Counter(drawn.split()) - Counter(plain.split())
                printed.drawn_late.append(" ".join(late.elements()))
            printed.pages.append(drawn)
            printed.written.append(written)
            printed.turned.append(_turned(page))
            page.close()
        return printed
    finally:
        document.close()


def by_poppler(path: Path) -> str:
    """The text of a PDF by a second engine; what it cannot open is empty."""
    command = ["nice", "-n", "10", "pdftotext", "-q", "-enc", "UTF-8", str(path), "-"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=POPPLER_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout.decode("utf-8", "replace")


def _text(page: pypdfium2.PdfPage) -> tuple[str, str]:
    """The text that lies on the page, and all that is written to it."""
    text_page = page.get_textpage()
    try:
        texts = (text_page.get_text_bounded(), text_page.get_text_range())
        shown, written = (_HYPHEN.sub("-\n", text).replace("\r\n", "\n") for text in texts)
        return shown, written
    finally:
        text_page.close()


def _turned(page: pypdfium2.PdfPage) -> str:
    """The characters whose baseline is turned against the page as it is shown, in order."""
    text_page = page.get_textpage()
    try:
        found = []
        last = -2
        for at in range(text_page.count_chars()):
            angle = pdfium.FPDFText_GetCharAngle(text_page, at)
            if 0.1 < angle < 6.18:
                if at != last + 1:
                    found.append(" ")
                found.append(chr(pdfium.FPDFText_GetUnicode(text_page, at) or 32))
                last = at
        return "".join(found)
    finally:
        text_page.close()
