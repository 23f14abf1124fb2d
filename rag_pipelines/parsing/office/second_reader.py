"""Workbooks that the reader of their format fails on, read by calamine, which forgives other faults.

What belongs here: calamine. What does not: the formats (`xls`, `xlsx`, `xlsb`), which show values as a
spreadsheet does; calamine tells dates from numbers and hidden sheets from others, and no more of what is
shown.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from typing import Any

from rag_pipelines.errors import CorruptDocumentError, DocumentError, EncryptedDocumentError
from rag_pipelines.model import ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.office.merged_cells import Merge, Rows, by_first_row
from rag_pipelines.parsing.office.number_formats import display, general
from rag_pipelines.parsing.office.sheets import add_sheet

COUNTER = "read_by_second_reader"


def or_again(read: Callable[[], ParsedDocument], request: ParseRequest, media_type: str) -> ParsedDocument:
    """What `read` gives; where it fails on what is damaged, what calamine makes of the workbook.

    Raises:
        DocumentError: as `read`, also where calamine fails too.
    """
    try:
        return read()
    except CorruptDocumentError as error:
        fault: Exception = error
    except (DocumentError, MemoryError):
        raise
    except Exception as error:
        fault = error
    try:
        with _panics_as_errors():
            return _read(request, media_type, fault)
    except DocumentError:
        raise
    except Exception:
        raise fault from None


def _read(request: ParseRequest, media_type: str, fault: Exception) -> ParsedDocument:
    builder = DocumentBuilder.of(media_type, request)
    reason = str(fault) or type(fault).__name__
    with _open(request.data) as book:
        for number, about in enumerate(book.sheets_metadata):
            if not _is_sheet(about):
                continue
            if not _is_visible(about):
                builder.counters["hidden_sheets"] += 1
                continue
            sheet = book.get_sheet_by_index(number)
            merges = [Merge(top, bottom, left, right) for (top, left), (bottom, right) in _merged(sheet)]
            add_sheet(
                builder,
                about.name,
                _rows(sheet),
                max_characters=request.limits.max_characters,
                merges=by_first_row(merges),
            )
    builder.counters[COUNTER] = 1
    builder.warnings.append(
        f"the workbook is damaged ({reason}); a second reader took the values as they are stored"
    )
    return builder.finish()


def texts(data: bytes) -> str:
    """The texts and whole numbers in the cells of the visible sheets, as calamine reads them; empty where it
    cannot."""
    found: list[str] = []
    try:
        with _panics_as_errors(), _open(data) as book:
            for number, about in enumerate(book.sheets_metadata):
                if _is_sheet(about) and _is_visible(about):
                    for row in book.get_sheet_by_index(number).to_python():
                        found.extend(value for value in row if isinstance(value, str))
    except DocumentError:
        raise
    except Exception:
        return ""
    return "\n".join(found)


@contextmanager
def _panics_as_errors() -> Iterator[None]:
    """Within, a panic of calamine is an error; as pyo3 raises it, it is none (`BaseException`)."""
    try:
        yield
    except BaseException as panic:
        if type(panic).__name__ == "PanicException":
            raise ValueError(str(panic)) from panic
        raise


def _open(data: bytes) -> Any:
    """The workbook; raises `EncryptedDocumentError` where it has a password."""
    import python_calamine

    try:
        return python_calamine.load_workbook(io.BytesIO(data))
    except python_calamine.PasswordError as error:
        raise EncryptedDocumentError("the workbook is protected with a password") from error


def _is_sheet(about: Any) -> bool:
    import python_calamine

    return bool(about.typ == python_calamine.SheetTypeEnum.WorkSheet)


def _is_visible(about: Any) -> bool:
    import python_calamine

    return bool(about.visible == python_calamine.SheetVisibleEnum.Visible)


def _merged(sheet: Any) -> list[Any]:
    return list(sheet.merged_cell_ranges or ())


def _rows(sheet: Any) -> Rows:
    top, left = sheet.start or (0, 0)
    for number, row in enumerate(sheet.to_python(skip_empty_area=True), top):
        cells = {column: text for column, value in enumerate(row, left) if (text := _shown(value))}
        if cells:
            yield number, cells


def _shown(value: Any) -> str:
    if isinstance(value, str | bool):
        return display(value)
    if isinstance(value, int | float):
        return general(value)
    if isinstance(value, datetime):
        return value.isoformat(" ", "minutes") if value.time() != time() else value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time | timedelta):
        return str(value)
    return ""
