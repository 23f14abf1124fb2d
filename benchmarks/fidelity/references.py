"""The reference of a file: what the viewer of its format shows.

What belongs here: choosing the viewer and putting its answers together. What does not: the viewers
(`office`, `flat_odf`, `printed`, `browser`, `mail`) and the figures (`scoring`).

Pages and what a browser showed are kept by content, like LibreOffice's conversions.
"""

from __future__ import annotations

import json
import posixpath
import tempfile
import urllib.parse
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pypdfium2
from lxml import etree

from fidelity import flat_odf, mail, printed
from fidelity.browser import Browser, Shown
from fidelity.corpus import CALC, IMPRESS, WRITER, File
from fidelity.scoring import Reference, apart, kinds_of, tokens

LONGEST_BREAK = 16
"""In how many pieces a narrow column or shape may break a word."""


class NoReference(Exception):
    """The viewer does not show the file; the message says what it said."""


def reference(file: File, browser: Browser) -> Reference:
    """What a viewer shows of `file`; an office document has been converted before (`office.convert`).

    Raises:
        NoReference: nothing is known of what a viewer would show.
    """
    if file.format in WRITER | IMPRESS:
        return _document(file)
    if file.format in CALC:
        return _sheets(file)
    if file.format == "pdf":
        return _pdf(file)
    if file.format == "html":
        (page,) = _shown(file, [file.path], browser)
        return _pages([page])
    if file.format == "epub":
        return _book(file, browser)
    return _mail(file, browser)


def _document(file: File) -> Reference:
    """Words that are on a page of the PDF; each as often as the document holds it, so that a header or a
    broken word is not asked for on every page."""
    family = "writer" if file.format in WRITER else "impress"
    pages = _printed(file, file.kept(f"{family}.pdf"))
    flat = flat_odf.read(file.kept("writer.fodt" if family == "writer" else "impress.fodp"))
    text = file.kept("writer.txt").read_text(encoding="utf-8-sig") if family == "writer" else ""
    kinds = kinds_of(flat.pieces)
    plain = Counter(tokens(text))
    known = kinds.keys() | plain.keys()
    formulas = frozenset(word for word, found in kinds.items() if flat_odf.FORMULA in found)
    drawn, once_drawn = (
        list(apart(_whole(tokens("\n".join(shown)), known), formulas, known))
        for shown in (pages.pages, pages.once())
    )
    once = Counter(once_drawn)
    has_chart = any(kind == flat_odf.CHART_DATA for kind, _ in flat.pieces)
    required = Counter(
        {
            word: min(count, _wanted(word, kinds, plain, once, has_chart))
            for word, count in Counter(drawn).items()
        }
    )
    held = Counter({word: found.total() for word, found in kinds.items()})
    accepted = (held | plain | Counter(drawn)) + Counter(tokens("\n".join(flat.spans)))
    sequence = tokens(text) or drawn
    return Reference(+required, accepted, sequence, flat.rows, kinds, formulas=formulas)


def _wanted(
    word: str, kinds: dict[str, Counter[str]], plain: Counter[str], once: Counter[str], has_chart: bool
) -> int:
    """How often a word on the pages is asked for; the numbers that a chart draws along its axes are not."""
    found = kinds.get(word, Counter())
    unseen = sum(count for kind, count in found.items() if kind in flat_odf.UNSEEN)
    if count := max(found.total(), plain[word]) - unseen:
        return count
    return 0 if unseen or (word[0].isdigit() and has_chart) else once[word]


def _whole(words: list[str], known: Sequence[str] | set[str]) -> list[str]:
    """`words` with those put together that the lines of a page broke, and note marks parted from words."""
    whole = []
    at = 0
    while at < len(words):
        for count in range(LONGEST_BREAK, 1, -1):
            pieces = words[at : at + count]
            if any(piece not in known for piece in pieces) and (joined := "".join(pieces)) in known:
                whole.append(joined)
                at += len(pieces)
                break
        else:
            word = words[at]
            stem = word.rstrip("0123456789")
            if word not in known and stem and stem != word and stem in known:
                whole += [stem, word[len(stem) :]]
            else:
                whole.append(word)
            at += 1
    return whole


def _sheets(file: File) -> Reference:
    """What sheets hold as formatted, on all that are not hidden; their headers and footers are for paper."""
    flat = flat_odf.read(file.kept("calc.fods"))
    if not flat.pieces:
        raise NoReference("LibreOffice shows nothing")
    unseen = flat_odf.UNSEEN | {"header", "footer"}
    sequence = tokens("\n".join(text for kind, text in flat.pieces if kind not in unseen))
    accepted = Counter(tokens("\n".join([*(text for _, text in flat.pieces), *flat.spans])))
    return Reference(Counter(sequence), accepted, sequence, flat.rows, kinds_of(flat.pieces))


def _pdf(file: File) -> Reference:
    """Words that PDFium and Poppler both see: where one of them glues or parts words, neither reading is
    asked for. Poppler does not draw annotations, of which PDFium is believed."""
    pages = _printed(file, file.path)
    kept = file.kept("poppler-1").with_suffix(".txt")
    if not kept.is_file():
        _keep(kept, printed.by_poppler(file.path))
    second = Counter(tokens(kept.read_text(encoding="utf-8")))
    sequence = tokens("\n".join(pages.once()))
    pieces = [("page", page) for page in pages.pages]
    pieces += [("annotation or field", text) for text in pages.drawn_late]
    pieces += [("turned text", text) for text in pages.turned]
    late = Counter(tokens("\n".join(pages.drawn_late)))
    accepted = Counter(tokens("\n".join(pages.pages))) | Counter(tokens("\n".join(pages.written))) | second
    return Reference(Counter(sequence) & (second | late), accepted, sequence, kinds=kinds_of(pieces))


def _printed(file: File, path: Path) -> printed.Printed:
    kept = file.kept("printed-3" if path == file.path else "printed-office-3").with_suffix(".json")
    if not kept.is_file():
        if not path.stat().st_size:
            raise NoReference("LibreOffice does not open it")
        try:
            pages = printed.read(path)
        except pypdfium2.PdfiumError as error:
            raise NoReference(str(error)) from error
        _keep(kept, json.dumps(asdict(pages)))
    pages = printed.Printed(**json.loads(kept.read_text(encoding="utf-8")))
    if not any(page.strip() for page in pages.pages):
        raise NoReference("no text on its pages")
    return pages


def _pages(pages: Sequence[Shown], more: Sequence[tuple[str, str]] = (), *, judged: bool = True) -> Reference:
    """Pages one after the other; `more` is shown around them, as (kind, text)."""
    shown = "\n".join([*(text for _, text in more), *(page.text for page in pages)])
    sequence = tokens(shown)
    pieces = [*more, *(piece for page in pages for piece in page.pieces)]
    beside = "\n".join(text for page in pages for text in (page.hidden, page.spans))
    required = Counter(sequence)
    accepted = (required | Counter(tokens("\n".join(text for _, text in pieces)))) + Counter(tokens(beside))
    rows = [row for page in pages for row in page.rows]
    if not required:
        raise NoReference("no text on its pages")
    return Reference(required, accepted, sequence, rows, kinds_of(pieces), judged)


def _shown(file: File, paths: Sequence[Path], browser: Browser) -> list[Shown]:
    kept = file.kept("shown-2").with_suffix(".json")
    if not kept.is_file():
        _keep(kept, json.dumps([browser.show(path) for path in paths]))
    return [Shown(*page) for page in json.loads(kept.read_text(encoding="utf-8"))]


def _keep(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _book(file: File, browser: Browser) -> Reference:
    """The spine of an EPUB, in order (EPUB 3.3, 5.7)."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with zipfile.ZipFile(file.path) as package:
                package.extractall(folder)
                container = etree.fromstring(package.read("META-INF/container.xml"))
                described = container.find(".//{*}rootfile").get("full-path")
                book = etree.fromstring(package.read(described))
        except (zipfile.BadZipFile, KeyError, AttributeError, etree.XMLSyntaxError) as error:
            raise NoReference(f"{type(error).__name__}: {error}") from error
        base = posixpath.dirname(described)
        places = {item.get("id"): item.get("href") for item in book.iterfind("{*}manifest/{*}item")}
        spine = [
            Path(folder, base, urllib.parse.unquote(places[item.get("idref")]))
            for item in book.iterfind("{*}spine/{*}itemref")
            if item.get("idref") in places
        ]
        return _pages(_shown(file, [path for path in spine if path.is_file()], browser))


def _mail(file: File, browser: Browser) -> Reference:
    if file.format == "msg":
        try:
            message = mail.read_msg(file.path)
        except OSError as error:
            raise NoReference(str(error)) from error
    else:
        message = mail.read_eml(file.path.read_bytes())
    more = [("mail header", text) for text in message.headers]
    more += [("mail text", text) for is_html, text in message.bodies if not is_html]
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, text in enumerate(text for is_html, text in message.bodies if is_html):
            path = Path(folder, f"{number}.html")
            path.write_text(text, encoding="utf-8-sig")
            paths.append(path)
        pages = _shown(file, paths, browser) if paths else []
    more += [("attachment's name", text) for text in message.attachments]
    made = _pages(pages, more, judged=not message.opaque)
    made.accepted = made.accepted + Counter(tokens("\n".join(message.unseen)))
    return made
