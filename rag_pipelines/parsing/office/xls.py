"""Old binary Excel workbooks (XLS, Excel 5 to 2003), read with xlrd.

What belongs here: reading cells. What does not: finding tables in them (`sheets`) and number formats
(`number_formats`).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from rag_pipelines.errors import CorruptDocumentError, EncryptedDocumentError
from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.account import count_words
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.links import linked
from rag_pipelines.parsing.losses import LeftOut
from rag_pipelines.parsing.office import second_reader
from rag_pipelines.parsing.office.date_formats import EPOCH_1900, EPOCH_1904
from rag_pipelines.parsing.office.hidden_cells import Hidden
from rag_pipelines.parsing.office.merged_cells import Merge, Rows, by_first_row
from rag_pipelines.parsing.office.number_formats import Value, display
from rag_pipelines.parsing.office.sheets import add_sheet, comment
from rag_pipelines.parsing.witness import xls as witness
from rag_pipelines.text.superscripts import join_runs

MEDIA_TYPE = "application/vnd.ms-excel"
_SUPERSCRIPT = 1
"""The escapement of a font (FONT record, [MS-XLS] 2.4.122)."""


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of a workbook: each visible sheet a heading over its tables.

    Raises:
        EncryptedDocumentError: the workbook has a password.
        CorruptDocumentError: neither xlrd nor calamine can open it.
        TooLargeDocumentError: a table grows past the limit.
    """
    return second_reader.or_again(lambda: _parse(request), request, MEDIA_TYPE)


def _parse(request: ParseRequest) -> ParsedDocument:
    import xlrd

    try:
        book = xlrd.open_workbook(
            file_contents=request.data, formatting_info=True, ragged_rows=True, logfile=io.StringIO()
        )
    except xlrd.XLRDError as error:
        if "encrypted" in str(error):
            raise EncryptedDocumentError("the workbook is protected with a password") from error
        raise CorruptDocumentError(f"cannot be read as an Excel workbook: {error}") from error
    builder = DocumentBuilder.of(MEDIA_TYPE, request)
    for sheet in book.sheets():
        if sheet.visibility:
            builder.counters["hidden_sheets"] += 1
            builder.counters[LeftOut.HIDDEN.value] += sum(map(count_words, _stored(sheet)))
            continue
        merges = [Merge(top, bottom - 1, left, right - 1) for top, bottom, left, right in sheet.merged_cells]
        hidden = _hidden(book, sheet)
        add_sheet(
            builder,
            sheet.name,
            _rows(book, sheet, builder),
            max_characters=request.limits.max_characters,
            merges=by_first_row(merges),
            hidden=hidden,
        )
        _add_comments(builder, sheet, hidden)
    builder.metadata = {"author": book.user_name} if book.user_name else {}
    builder.account_for(witness.text(book))
    return builder.finish()


def _rows(book: Any, sheet: Any, builder: DocumentBuilder) -> Rows:
    epoch = EPOCH_1904 if book.datemode else EPOCH_1900
    for number in range(sheet.nrows):
        row: dict[int, str] = {}
        for column, cell in enumerate(sheet.row(number)):
            value = _value(cell)
            if value == "":
                continue
            if isinstance(value, str) and (runs := sheet.rich_text_runlist_map.get((number, column))):
                value = join_runs(_runs(book, value, runs))
            style = book.format_map.get(book.xf_list[cell.xf_index].format_key)
            text = display(value, style.format_str if style else "General", epoch=epoch)
            if text:
                row[column] = linked(text, _target(sheet.hyperlink_map.get((number, column))))
            elif value:
                builder.leave_out(LeftOut.HIDDEN, str(value))
        yield number, row


def _stored(sheet: Any) -> Iterator[str]:
    """What a sheet holds, row by row and note by note, numbers and dates as they are stored."""
    for number in range(sheet.nrows):
        values = (_value(cell) for cell in sheet.row(number))
        yield " ".join(f"{value:.15g}" if isinstance(value, float) else str(value) for value in values)
    for note in sheet.cell_note_map.values():
        yield note.text


def _hidden(book: Any, sheet: Any) -> Hidden:
    """The hidden rows and columns of a sheet ([MS-XLS] 2.4.221 and 2.4.53) that are in no group.

    The rows below the header of a filter are taken for filtered: the file does not say which of them are.
    """
    filtered: set[int] = set()
    for name in book.name_map.get("_filterdatabase", ()):
        if (
            name.builtin
            and name.scope == sheet.number
            and isinstance(getattr(name.result, "value", None), list)
        ):
            for _, _, first, end, _, _ in (area.coords for area in name.result.value):
                filtered.update(range(first + 1, end))
    rows = {number for number, row in sheet.rowinfo_map.items() if row.hidden and not row.outline_level}
    columns = {number for number, one in sheet.colinfo_map.items() if one.hidden and not one.outline_level}
    return Hidden(rows - filtered, columns)


def _runs(book: Any, text: str, starts: list[tuple[int, int]]) -> Iterator[tuple[str, bool]]:
    """The runs of a text, each with whether it is raised; `starts` are their offsets and fonts."""
    begin, raised = 0, False
    for offset, font in starts:
        yield text[begin:offset], raised
        begin = offset
        raised = font < len(book.font_list) and book.font_list[font].escapement == _SUPERSCRIPT
    yield text[begin:], raised


def _add_comments(builder: DocumentBuilder, sheet: Any, hidden: Hidden) -> None:
    for (row, column), note in sorted(sheet.cell_note_map.items()):
        if not note.text.strip():
            continue
        text = comment((note.author or "").strip(), row, column, note.text.strip())
        if hidden.holds(row, column):
            builder.leave_out(LeftOut.HIDDEN, text)
        else:
            builder.add(BlockKind.PARAGRAPH, text)


def _target(link: Any) -> str:
    """Where a link leads (HLINK record, [MS-XLS] 2.4.140): an address, a path, or ``#Sheet2!A1``."""
    if link is None:
        return ""
    address = link.url_or_path or ""
    if isinstance(address, bytes):
        address = address.decode("latin-1")
    return f"{address}#{link.textmark}" if link.textmark and "#" not in address else address


def _value(cell: Any) -> Value:
    """What a cell holds; a date is its serial number."""
    import xlrd

    if cell.ctype == xlrd.XL_CELL_BOOLEAN:
        return bool(cell.value)
    if cell.ctype == xlrd.XL_CELL_ERROR:
        return xlrd.error_text_from_code.get(cell.value, "#ERROR")
    return cell.value
