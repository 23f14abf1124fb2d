"""Binary Excel workbooks (XLSB): the package of XLSX, with records in the place of XML in most parts.

What belongs here: reading sheets, texts, styles and comments. What does not: the bytes of a record
(`xlsb_records`), finding tables (`sheets`), number formats (`number_formats`), drawings (`xlsx_remarks`).

Why not calamine, which reads XLSB: it has no display formats and no hidden rows or columns. It is the
witness.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.account import count_words
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.links import linked
from rag_pipelines.parsing.losses import LeftOut
from rag_pipelines.parsing.office import second_reader
from rag_pipelines.parsing.office import xlsb_records as biff
from rag_pipelines.parsing.office.date_formats import EPOCH_1900, EPOCH_1904
from rag_pipelines.parsing.office.hidden_cells import Hidden
from rag_pipelines.parsing.office.merged_cells import Merge, Rows, by_first_row
from rag_pipelines.parsing.office.number_formats import (
    EAST_ASIAN_FORMATS,
    NumberFormat,
    Value,
    number_format_of,
)
from rag_pipelines.parsing.office.sheets import add_sheet, comment
from rag_pipelines.parsing.office.xlsx_parts import MAX_COLUMNS, addresses_of, relations
from rag_pipelines.parsing.office.xlsx_remarks import PAGE_CODE, Picture, drawn
from rag_pipelines.parsing.parts import add_picture
from rag_pipelines.parsing.zip_package import core_properties, read_part, validate_ooxml
from rag_pipelines.text.superscripts import join_runs
from rag_pipelines.text.titles import choose_title

MEDIA_TYPE = "application/vnd.ms-excel.sheet.binary.macroEnabled.12"
_SUPERSCRIPT = 1


class _Sheet(NamedTuple):
    """A sheet of the workbook; `kind` is ``worksheet``, ``chartsheet`` or one of macros."""

    name: str
    visible: bool
    kind: str
    part: str


class _Shared(NamedTuple):
    """What the sheets share: texts by number, formats by style, raised fonts, the day of serial number 0."""

    texts: list[str]
    formats: list[NumberFormat]
    raised: set[int]
    epoch: datetime


class _Frame(NamedTuple):
    """What stands around the cells of a sheet; rows and columns count from 0."""

    merges: list[Merge]
    targets: dict[tuple[int, int], str]
    filtered: list[range]
    page_texts: list[tuple[BlockKind, str]]


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of a workbook: each visible sheet a heading over its tables.

    Raises:
        CorruptDocumentError, EncryptedDocumentError, TooLargeDocumentError: see `zip_package`.
    """
    office_file = validate_ooxml(request.data, request.limits)
    builder = DocumentBuilder.of(MEDIA_TYPE, request)
    with zipfile.ZipFile(io.BytesIO(office_file.data)) as package:
        sheets, shared = _workbook(package)
        for sheet in sheets:
            if not sheet.visible:
                builder.counters["hidden_sheets"] += 1
                builder.counters[LeftOut.HIDDEN.value] += _words_of(package, sheet, shared)
                continue
            hidden = Hidden()
            frame = _frame(package, sheet)
            if sheet.kind == "worksheet":
                add_sheet(
                    builder,
                    sheet.name,
                    _rows(package, sheet, shared, frame, builder, hidden),
                    max_characters=request.limits.max_characters,
                    merges=by_first_row(frame.merges),
                    hidden=hidden,
                )
            _add_remarks(package, sheet, shared, frame, request, builder, hidden)
    builder.metadata = core_properties(office_file)
    builder.language = builder.metadata.pop("language", None)
    builder.title = choose_title(None, builder.metadata.get("title"))
    builder.account_for(second_reader.texts(request.data))
    return builder.finish()


def _workbook(package: zipfile.ZipFile) -> tuple[list[_Sheet], _Shared]:
    """The sheets whose parts are there, and what they share ([MS-XLSB] 2.1.7.61)."""
    part = next((one.part for one in relations(package, "").values() if one.kind == "officeDocument"), "")
    targets = relations(package, part)
    names = set(package.namelist())
    sheets: list[_Sheet] = []
    epoch = EPOCH_1900
    for number, data in biff.records(read_part(package, part)):
        if number == biff.SHEET:
            (state,) = biff.numbers(data, "I")
            reference, end = biff.wide_string(data, 8)
            name, _ = biff.wide_string(data, end)
            target = targets.get(reference)
            if target is not None and target.part in names:
                sheets.append(_Sheet(name, state == 0, target.kind, target.part))
        elif number == biff.WORKBOOK and data[:1] and data[0] & 1:
            epoch = EPOCH_1904
    parts = {one.kind: one.part for one in targets.values() if one.part in names}
    formats, raised = _styles(read_part(package, parts["styles"])) if "styles" in parts else ([], set())
    shared = _Shared([], formats, raised, epoch)
    if "sharedStrings" in parts:
        for number, data in biff.records(read_part(package, parts["sharedStrings"])):
            if number == biff.TEXT:
                shared.texts.append(_text(data, 0, raised))
    return sheets, shared


def _styles(part: bytes) -> tuple[list[NumberFormat], set[int]]:
    """The number format of each cell style, and the fonts that are raised."""
    from openpyxl.styles.numbers import BUILTIN_FORMATS

    codes = BUILTIN_FORMATS | EAST_ASIAN_FORMATS
    formats: list[NumberFormat] = []
    raised: set[int] = set()
    fonts = 0
    of_cells = False
    for number, data in biff.records(part):
        if number == biff.FORMAT:
            codes[biff.numbers(data, "H")[0]] = biff.wide_string(data, 2)[0] or "General"
        elif number == biff.FONT:
            if biff.numbers(data, "H", 6)[0] == _SUPERSCRIPT:
                raised.add(fonts)
            fonts += 1
        elif number in (biff.CELL_STYLES, biff.END_OF_CELL_STYLES):
            of_cells = number == biff.CELL_STYLES
        elif number == biff.STYLE and of_cells:
            formats.append(number_format_of(codes.get(biff.numbers(data, "H", 2)[0], "General")))
    return formats, raised


def _text(data: bytes, at: int, raised: set[int]) -> str:
    """A string of a record, raised runs kept apart."""
    text, runs = biff.rich_string(data, at)
    if not raised.intersection(font for _, font in runs):
        return text
    ends = [offset for offset, _ in runs[1:]] + [len(text)]
    pieces = [(text[: runs[0][0]], False)]
    pieces += [(text[start:end], font in raised) for (start, font), end in zip(runs, ends, strict=True)]
    return join_runs(pieces)


def _frame(package: zipfile.ZipFile, sheet: _Sheet) -> _Frame:
    frame = _Frame([], {}, [], [])
    addresses: dict[str, str] | None = None
    filtered = range(0)
    for number, data in biff.records(read_part(package, sheet.part)):
        if number == biff.MERGE:
            frame.merges.append(Merge(*biff.numbers(data, "4I")))
        elif number == biff.FILTER:
            first, last, _, _ = biff.numbers(data, "4I")
            filtered = range(first + 1, last + 1)
        elif number == biff.FILTERED_COLUMN:
            frame.filtered.append(filtered)
        elif number == biff.LINK:
            addresses = addresses_of(package, sheet.part) if addresses is None else addresses
            row, _, column, _ = biff.numbers(data, "4I")
            reference, end = biff.wide_string(data, 16)
            place, _ = biff.wide_string(data, end)
            if target := addresses.get(reference, "") + (f"#{place}" if place else ""):
                frame.targets[row, column] = target
        elif number == biff.PAGE_TEXTS:
            at = 2
            for kind in (BlockKind.HEADER, BlockKind.FOOTER) * 3:
                text, at = biff.wide_string(data, at)
                frame.page_texts.extend((kind, line) for line in re.split("&[LCR]", text))
    return frame


def _rows(
    package: zipfile.ZipFile,
    sheet: _Sheet,
    shared: _Shared,
    frame: _Frame,
    builder: DocumentBuilder,
    hidden: Hidden,
) -> Rows:
    """The rows as displayed text; fills `hidden` before each."""
    general = number_format_of("General")
    place, column, row = -1, -1, dict[int, str]()
    for record in biff.records(read_part(package, sheet.part)):
        if record.number == biff.ROW:
            if row:
                yield place, row
            place, column, row = biff.numbers(record.data, "I")[0], -1, {}
            flags = record.data[11] if len(record.data) > 11 else 0
            is_filtered = any(place in rows for rows in frame.filtered)
            if flags & 0x10 and not flags & 0x07 and not is_filtered:
                hidden.rows.add(place)
        elif record.number == biff.COLUMNS:
            first, last, width, _ = biff.numbers(record.data, "4I")
            (flags,) = biff.numbers(record.data, "H", 16)
            if (flags & 1 or not width) and not flags & 0x700:
                hidden.columns.update(range(first, min(last + 1, MAX_COLUMNS)))
        elif cell := biff.cell(record):
            column = column + 1 if cell.column is None else cell.column
            value = _value(cell, shared)
            if value in (None, "") or column >= MAX_COLUMNS:
                continue
            shows = shared.formats[cell.style] if cell.style < len(shared.formats) else general
            if text := shows.show(value, shared.epoch):
                target = frame.targets.get((place, column), "")
                row[column] = linked(text, target) if target else text
            else:
                builder.leave_out(LeftOut.HIDDEN, str(value))
    if row:
        yield place, row


def _value(cell: biff.Cell, shared: _Shared) -> Value:
    """What a cell holds, the result of a formula included; a date is its serial number."""
    import xlrd

    if cell.kind == biff.RK:
        return biff.rk_number(cell.data)
    if cell.kind == biff.REAL:
        return biff.real_number(cell.data)
    if cell.kind == biff.STRING:
        return biff.wide_string(cell.data, 0)[0]
    if cell.kind == biff.RICH:
        return _text(cell.data, 0, shared.raised)
    if cell.kind == biff.SHARED:
        (number,) = biff.numbers(cell.data, "I")
        return shared.texts[number] if number < len(shared.texts) else None
    if cell.kind == biff.BOOLEAN:
        return cell.data[:1] not in (b"", b"\0")
    if cell.kind == biff.ERROR:
        return xlrd.error_text_from_code.get(*cell.data[:1], "#ERROR")
    return None


def _words_of(package: zipfile.ZipFile, sheet: _Sheet, shared: _Shared) -> int:
    """The words of a hidden sheet, numbers and dates as they are stored."""
    if sheet.kind != "worksheet":
        return 0
    cells = map(biff.cell, biff.records(read_part(package, sheet.part)))
    values = (_value(cell, shared) for cell in cells if cell)
    return count_words(" ".join(str(value) for value in values if value is not None))


def _add_remarks(
    package: zipfile.ZipFile,
    sheet: _Sheet,
    shared: _Shared,
    frame: _Frame,
    request: ParseRequest,
    builder: DocumentBuilder,
    hidden: Hidden,
) -> None:
    """Add what stands beside the cells: drawn text, pictures, charts, comments, headers and footers."""
    names = set(package.namelist())
    for kind, part in relations(package, sheet.part).values():
        if kind == "drawing" and part in names:
            for remark in drawn(package, part, builder):
                if isinstance(remark, Picture):
                    data = read_part(package, remark.part) if remark.part else None
                    add_picture(builder, request, data, described=bool(remark.description))
                    builder.add(BlockKind.CAPTION, remark.description)
                else:
                    builder.add(*remark)
        elif kind == "comments" and part in names:
            for row, column, text in _comments(read_part(package, part), shared):
                if hidden.holds(row, column):
                    builder.leave_out(LeftOut.HIDDEN, text)
                else:
                    builder.add(BlockKind.PARAGRAPH, text)
    for page_kind, code in frame.page_texts:
        text = PAGE_CODE.sub(lambda match: "&" if match[0] == "&&" else " ", code)
        builder.add(page_kind, text.strip())


def _comments(part: bytes, shared: _Shared) -> Iterator[tuple[int, int, str]]:
    """The comments of a sheet, each with its row and column and as it is written below the sheet."""
    authors: list[str] = []
    author, row, column = 0, 0, 0
    for number, data in biff.records(part):
        if number == biff.COMMENT_AUTHOR:
            authors.append(biff.wide_string(data, 0)[0])
        elif number == biff.COMMENT:
            author, row, _, column, _ = biff.numbers(data, "5I")
        elif number == biff.COMMENT_TEXT and (text := _text(data, 0, shared.raised).strip()):
            yield row, column, comment(authors[author] if author < len(authors) else "", row, column, text)
