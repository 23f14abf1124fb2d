"""PDF documents, read with PyMuPDF: text in reading order, headings, lists, tables, furniture.

What belongs here: opening a file, the pass over its pages, and the assembly of blocks. What does not:
the page (`page`), its reading order (`flow`), its tables (`tables`), what paragraphs are
(`structure`), files in the file (`embedded`), the library's own state (`engine`).

Modes (`ParseOptions.pdf`): ``fast`` reads text and its alignment only; ``auto`` looks for tables with
the line finder and the models on the pages that show signs of one; ``layout`` runs the models on every
page and takes their captions, headings and furniture too. Counters of the result: ``pages``,
``ruled_pages`` and ``layout_pages`` (pages sent to the line finder alone, and to the models),
``recognised_pages`` and ``pages_over_ocr_limit`` (pages whose picture was read, and was not),
``recognised_pictures`` and ``pictures_over_ocr_limit`` (the same of pictures on the other pages),
``tables``, ``continued_tables``, ``pages_over_budget``, ``crowded_pages`` (too many shapes to look for
tables among them), ``pages_failed``, ``table_finder_failures``, ``mupdf_warnings``,
``tiny_lines_removed``, and the losses of `Loss`: characters that the fonts of the file do not map, fonts
that cannot be read (as one part), and pages that are pictures.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from rag_pipelines.errors import (
    CorruptDocumentError,
    EmptyDocumentError,
    EncryptedDocumentError,
    TooLargeDocumentError,
)
from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.losses import LeftOut, Loss
from rag_pipelines.parsing.pdf.embedded import add_embedded_files
from rag_pipelines.parsing.pdf.engine import (
    faults,
    mupdf,
    release_memory,
    warned_of,
    warnings_since_last,
)
from rag_pipelines.parsing.pdf.flow import (
    Paragraph,
    ends_sentence,
    in_reading_order,
    join_text,
    starts_lower,
)
from rag_pipelines.parsing.pdf.links import PageLink, mark_links
from rag_pipelines.parsing.pdf.page import Page, count_pictures, read_page, readable_pages, tags_hide_words
from rag_pipelines.parsing.pdf.pictures import read_pictures
from rag_pipelines.parsing.pdf.recognised import needs_recognition, recognise_page
from rag_pipelines.parsing.pdf.replacements import may_replace, page_may_replace
from rag_pipelines.parsing.pdf.structure import Headings, continue_table, find_furniture, is_caption, title_of
from rag_pipelines.parsing.pdf.tables import MOST_SHAPES, Findings, PageTable, find, find_aligned_tables
from rag_pipelines.text.print_lists import find_list

MEDIA_TYPE = "application/pdf"

PAGES_PER_RELEASE = 50
WARNINGS_KEPT = 5
MISPLACED_TEXT = "ActualText with no position"
"""What MuPDF warns of where it leaves out glyphs for which a tag gives a text (ISO 32000-1, 14.9.4) and no
place. From there on the glyphs are read and the tags are not."""

UNREADABLE_FONT = "missing font descriptor"
"""What MuPDF warns of where a font lacks what says how it is drawn (ISO 32000-1, 9.8): it takes another, of
other letters and widths."""

INDENT = 4.0
"""List items whose left edges differ by more points are on different levels."""

_DATE = re.compile(r"D:(\d{4})(\d{2})?(\d{2})?(\d{2})?(\d{2})?(\d{2})?(?:(Z)|([+-]\d{2})'?(\d{2})?)?")
_METADATA = ("title", "author", "subject", "keywords", "creator", "producer")
_PLACEHOLDER = re.compile(r"\((?:anonymous|unspecified)\)", re.IGNORECASE)
_BULLET = re.compile(r"[^\w(]")


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of a PDF, each with its page.

    Raises:
        EncryptedDocumentError: neither the empty password nor one of ``options.passwords`` opens it.
        EmptyDocumentError: zero bytes, or no page and no embedded file holds text; the message tells a scan
            from blank pages.
        CorruptDocumentError: MuPDF cannot open it, it has no pages, or none of them can be read.
        TooLargeDocumentError: more pages or characters than the limits allow.
    """
    warnings_since_last()
    with _open(request) as document:
        if document.page_count > request.limits.max_pages:
            raise TooLargeDocumentError(
                f"{document.page_count:,} pages, the limit is {request.limits.max_pages:,}; "
                "raise limits.max_pages to accept it"
            )
        builder = DocumentBuilder.of(MEDIA_TYPE, request)
        builder.pages = document.page_count
        builder.metadata = _metadata(document)
        pages, findings = _read(document, request, builder)
        if any(page.lines for page in pages):
            _count_unmapped(builder, pages)
            read_pictures(document, pages, request, builder)
            _assemble(builder, pages, findings, document)
        warnings = warnings_since_last()
        if warnings:
            builder.counters["mupdf_warnings"] = len(warnings)
            builder.warnings.extend(warnings[:WARNINGS_KEPT])
            builder.lose(Loss.PARTS, any(UNREADABLE_FONT in warning for warning in warnings))
        add_embedded_files(builder, document, request)
        if not builder:
            raise EmptyDocumentError(_why_empty(document, sum(page.unmapped for page in pages)))
    builder.counters["pages"] = builder.pages
    release_memory()
    return builder.finish()


def _open(request: ParseRequest) -> Any:
    """The opened and, where needed, unlocked document."""
    pymupdf = mupdf()
    if not request.data:
        raise EmptyDocumentError("the file has 0 bytes")
    try:
        document = pymupdf.open(stream=request.data, filetype="pdf")
    except (RuntimeError, ValueError, pymupdf.mupdf.FzErrorBase) as error:
        raise CorruptDocumentError(f"MuPDF cannot open it as a PDF: {_reason(error)}") from error
    if document.needs_pass and not any(
        document.authenticate(password) for password in ("", *request.options.passwords)
    ):
        document.close()
        raise EncryptedDocumentError(
            f"it needs a password; the empty one and {len(request.options.passwords)} configured ones "
            "do not open it; add its password to the source's passwords"
        )
    try:
        pages = document.page_count
    except (RuntimeError, pymupdf.mupdf.FzErrorBase) as error:
        document.close()
        raise CorruptDocumentError(f"its page tree cannot be read: {_reason(error)}") from error
    if not pages:
        document.close()
        raise CorruptDocumentError("it opens as a PDF but has no pages")
    return document


def _read(
    document: Any, request: ParseRequest, builder: DocumentBuilder
) -> tuple[list[Page], list[Findings]]:
    """All pages and what was found on them; pages that cannot be read are counted and left out.

    Looking for tables stops when its nominal cost reaches ``options.pdf_table_seconds``: a long document
    loses the tables of its last pages instead of being lost whole. The cost is nominal, not measured, so
    that the same bytes give the same blocks on every machine.
    """
    pages: list[Page] = []
    findings: list[Findings] = []
    seconds_left = request.options.pdf_table_seconds
    replaced_text = True
    tagged = document.xref_get_key(document.pdf_catalog(), "StructTreeRoot")[0] != "null"
    replaces = tagged and may_replace(request.data)
    for number in range(document.page_count):
        try:
            mupdf_page = document.load_page(number)
            page = read_page(mupdf_page, replaced_text)
            if replaced_text:
                replaced_text = not warned_of(MISPLACED_TEXT)
                suspect = replaces or (tagged and page_may_replace(mupdf_page))
                if not replaced_text or (suspect and tags_hide_words(mupdf_page, page.words)):
                    page = read_page(mupdf_page, replaced_text=False)
            recognised = _recognise(mupdf_page, page, request, builder)
        except faults() as error:
            builder.counters["pages_failed"] += 1
            builder.warnings.append(f"page {number + 1} cannot be read: {_reason(error)}")
            continue
        mode = request.options.pdf if seconds_left > 0 else "fast"
        found = _find_tables(mupdf_page, page, "fast" if recognised else mode, builder)
        seconds_left -= found.seconds
        if found.regions:
            for line in page.lines:
                line.label = next((one.label for one in found.regions if one.box.holds(line.box)), None)
        builder.counters["layout_pages"] += found.used_models
        builder.counters["ruled_pages"] += found.used_rules
        if mode != request.options.pdf:
            builder.counters["pages_over_budget"] += 1
        if page.tiny_lines:
            builder.counters["tiny_lines_removed"] += page.tiny_lines
        if not page.lines:
            builder.lose(Loss.IMAGES, count_pictures(mupdf_page))
        page.shapes.clear()
        builder.account_for(page.words)
        builder.leave_out(LeftOut.HIDDEN, "\n".join(page.hidden))
        page.words = ""
        pages.append(page)
        findings.append(found)
        if number % PAGES_PER_RELEASE == PAGES_PER_RELEASE - 1:
            release_memory()
    if not pages:
        raise CorruptDocumentError(
            f"none of its {document.page_count} pages can be read: {builder.warnings[0]}"
        )
    if over := builder.counters.get("pages_over_budget"):
        builder.warnings.append(f"tables of the last {over:,} pages are read by alignment only, to save time")
    return pages, findings


def _recognise(mupdf_page: Any, page: Page, request: ParseRequest, builder: DocumentBuilder) -> bool:
    """Have the text of a page recognised that has none which can be read; whether that was done."""
    recognise, options = request.recognise, request.options.ocr
    if recognise is None or not needs_recognition(mupdf_page, page):
        return False
    if builder.counters["recognised_pages"] >= options.max_pages:
        builder.counters["pages_over_ocr_limit"] += 1
        return False
    builder.counters["recognised_pages"] += 1
    builder.lose(Loss.CHARACTERS, recognise_page(mupdf_page, page, options, recognise))
    return True


def _count_unmapped(builder: DocumentBuilder, pages: list[Page]) -> None:
    """Count and tell of glyphs that stand for no character."""
    unmapped = {page.number: page.unmapped for page in pages if page.unmapped}
    builder.lose(Loss.CHARACTERS, sum(unmapped.values()))
    if unmapped:
        builder.warnings.append(
            f"{sum(unmapped.values()):,} glyphs on {len(unmapped):,} pages, the first of them page "
            f"{min(unmapped)}, have no character in the fonts of the file and are not read"
        )
    if pictures := builder.counters.get(Loss.IMAGES):
        builder.warnings.append(f"{pictures:,} pictures fill pages without text: a scan in part")


def _find_tables(mupdf_page: Any, page: Page, mode: str, builder: DocumentBuilder) -> Findings:
    """The tables of a page; by alignment where the finders fail, which are no reason to lose the text."""
    if mode != "fast" and len(page.shapes) > MOST_SHAPES:
        builder.counters["crowded_pages"] += 1
        builder.warnings.append(
            f"page {page.number}: tables are read by alignment only among {len(page.shapes):,} shapes"
        )
    elif mode != "fast":
        try:
            return find(mupdf_page, page, mode)
        except MemoryError:
            raise
        except Exception as error:
            builder.counters["table_finder_failures"] += 1
            builder.warnings.append(f"page {page.number}: the table finder failed: {_reason(error)}")
    return Findings(find_aligned_tables(page))


def _assemble(builder: DocumentBuilder, pages: list[Page], findings: list[Findings], document: Any) -> None:
    """Add the blocks of all pages in reading order."""
    tables = [found.tables for found in findings]
    furniture = find_furniture(pages, tables)
    items: list[Paragraph | PageTable] = []
    page_of: dict[int, int] = {}
    for page, found in zip(pages, tables, strict=True):
        left_out = [line.text for line in page.lines if id(line) in furniture.lines]
        builder.leave_out(LeftOut.BOILERPLATE, "\n".join(left_out))
        page.lines = [line for line in page.lines if id(line) not in furniture.lines]
        for item in in_reading_order(page, found):
            items.append(item)
            page_of[id(item)] = page.number
    own = [item for item in items if isinstance(item, Paragraph) and not item.in_picture]
    with_tables = [page_of[id(item)] for item in items if isinstance(item, PageTable)]
    headings = Headings(own, _outline(document), with_tables)
    builder.title = title_of(builder.metadata.pop("title", None), pages, headings)
    _Writer(builder, headings, {page.number: page.links for page in pages}).write(items, page_of)
    for text, number in furniture.headers.items():
        builder.add(BlockKind.HEADER, text, page=number)
    for text, number in furniture.footers.items():
        builder.add(BlockKind.FOOTER, text, page=number)


class _Writer:
    """Turns paragraphs and tables into blocks, and joins a sentence that runs over a column or page."""

    def __init__(
        self, builder: DocumentBuilder, headings: Headings, links: dict[int, list[PageLink]]
    ) -> None:
        self._builder = builder
        self._headings = headings
        self._links = links
        self._open: Paragraph | None = None
        self._indents: list[float] = []

    def write(self, items: list[Paragraph | PageTable], page_of: dict[int, int]) -> None:
        """Add all items, of which each stands on the page that `page_of` names by its id."""
        previous: PageTable | None = None
        for item in items:
            if isinstance(item, PageTable):
                self._flush()
                on_next_page = previous is not None and page_of[id(previous)] == page_of[id(item)] - 1
                table = continue_table(item, previous if on_next_page else None)
                self._builder.counters["continued_tables"] += table is not item
                self._builder.counters["tables"] += 1
                page = page_of[id(item)]
                rows = [[self._marked(cell, page) for cell in row] for row in table.rows]
                self._builder.add_table(
                    rows, header_rows=table.header_rows, page=page, confidence=table.confidence
                )
                page_of[id(table)] = page_of[id(item)]
                previous = table
            else:
                self._paragraph(item)
                previous = None
        self._flush()

    def _paragraph(self, paragraph: Paragraph) -> None:
        text = paragraph.text
        add = partial(self._add, page=paragraph.page, confidence=paragraph.confidence)
        if paragraph.in_picture:
            self._flush()
            add(BlockKind.PARAGRAPH, paragraph.whole)
            return
        level = self._headings.level(paragraph)
        if level is not None:
            self._flush()
            self._indents.clear()
            if self._headings.is_title(paragraph):
                add(BlockKind.TITLE, paragraph.whole)
            else:
                add(BlockKind.HEADING, paragraph.whole, level=level)
        elif paragraph.mono and (found := find_list(text.split("\n"))):
            self._flush()
            taken, rows, header_rows = found
            lines = text.split("\n")
            add(BlockKind.PARAGRAPH, "\n".join(lines[: taken.start]))
            self._builder.add_table(rows, header_rows=header_rows, page=paragraph.page)
            add(BlockKind.PARAGRAPH, "\n".join(lines[taken.stop :]))
        elif paragraph.mono and paragraph.lines > 1 and not self._headings.mono_body:
            self._flush()
            add(BlockKind.CODE, text)
        elif paragraph.marker:
            self._flush()
            bullet = _BULLET.fullmatch(paragraph.marker) is not None
            add(
                BlockKind.LIST_ITEM,
                text if bullet else paragraph.whole,
                level=self._depth(paragraph.box.x0),
            )
        elif is_caption(paragraph):
            self._flush()
            add(BlockKind.CAPTION, text)
        elif self._open is not None and _runs_on(self._open, paragraph):
            self._open.text = join_text(self._open.text, text)
            self._open.confidence = _least_sure(self._open, paragraph)
        else:
            self._flush()
            self._indents.clear()
            self._open = paragraph

    def _depth(self, left: float) -> int:
        """The nesting depth of a list item that begins at `left` points."""
        while self._indents and left < self._indents[-1] - INDENT:
            self._indents.pop()
        if not self._indents or left > self._indents[-1] + INDENT:
            self._indents.append(left)
        return len(self._indents)

    def _flush(self) -> None:
        if self._open is not None:
            self._add(
                BlockKind.PARAGRAPH,
                self._open.text,
                page=self._open.page,
                confidence=self._open.confidence,
            )
            self._open = None

    def _add(self, kind: BlockKind, text: str, *, page: int, **more: Any) -> None:
        self._builder.add(kind, self._marked(text, page), page=page, **more)

    def _marked(self, text: str, page: int) -> str:
        """`text` with the links of its page; one that runs over to the next page may have some of that."""
        for number in (page, page + 1):
            if links := self._links.get(number):
                text = mark_links(text, links)
        return text


def _runs_on(first: Paragraph, second: Paragraph) -> bool:
    """Whether the sentence at the end of one paragraph goes on in the next, over a column or page break."""
    return first.size == second.size and not ends_sentence(first.text) and starts_lower(second.text)


def _least_sure(first: Paragraph, second: Paragraph) -> float | None:
    return min((one.confidence for one in (first, second) if one.confidence is not None), default=None)


def _metadata(document: Any) -> dict[str, Any]:
    """What the file says about itself; dates as ISO 8601. The title is taken out again by `_assemble`."""
    raw = document.metadata or {}
    values = {name: (raw.get(name) or "").strip() for name in _METADATA}
    found: dict[str, Any] = {
        name: value for name, value in values.items() if value and not _PLACEHOLDER.fullmatch(value)
    }
    for key, name in (("creationDate", "created"), ("modDate", "modified")):
        if date := _iso_date(raw.get(key) or ""):
            found[name] = date
    return found


def _iso_date(text: str) -> str | None:
    """A PDF date (ISO 32000-1, 7.9.4) as ISO 8601 as precise as it is, None if it is not one."""
    match = _DATE.match(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, zulu, hours, minutes = match.groups()
    date = "-".join(filter(None, (year, month, day)))
    if not (day and hour and minute):
        return date
    zone = "+00:00" if zulu else f"{hours}:{minutes or '00'}" if hours else ""
    return f"{date}T{hour}:{minute}:{second or '00'}{zone}"


def _outline(document: Any) -> list[tuple[int, str, int]]:
    """The outline as (level, title, page); empty where it is broken."""
    try:
        return [(level, title, page) for level, title, page in document.get_toc(simple=True)]
    except faults():
        return []


def _why_empty(document: Any, unmapped: int) -> str:
    """Whether a document without text is one of glyphs without characters, a scan, drawings, or blank."""
    images = drawings = 0
    for page in readable_pages(document):
        images += len(page.get_images())
        drawings += any(kind != "fill-image" for kind, _ in page.get_bboxlog())
    pages = f"{document.page_count} pages"
    if unmapped:
        return (
            f"the {unmapped:,} glyphs on its {pages} have no characters in the fonts of the file; "
            "run optical character recognition first"
        )
    if images:
        return f"no text on its {pages}, but {images} images: a scan; run optical character recognition first"
    if drawings:
        return f"no text on its {pages}, drawings only; run optical character recognition first"
    return f"nothing on its {pages}: blank"


def _reason(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
