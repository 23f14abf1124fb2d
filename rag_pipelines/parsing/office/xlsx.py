"""Excel workbooks (XLSX, XLSM, XLTX), streamed by openpyxl.

What belongs here: reading cells. What does not: finding tables in them (`sheets`), number formats
(`number_formats`), opening the package (`zip_package`), the old binary format (`xls`).

Why not `unstructured` here: it loads the whole workbook into pandas and a graph with a node for every
cell, and shows 0.125 for 12.5 % and 2024-01-31 00:00:00 for a day. openpyxl in read-only mode holds one
row at a time. Formulas stand with the value that Excel last computed. Hidden sheets are left out and
counted; what they hold was taken from the reader's sight.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from rag_pipelines.model import ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.office.number_formats import display
from rag_pipelines.parsing.office.sheets import add_sheet
from rag_pipelines.parsing.witness.ooxml import sheets_text
from rag_pipelines.parsing.zip_package import core_properties, meaningful_title, validate_ooxml

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of a workbook: each visible sheet a heading over its tables.

    Raises:
        CorruptDocumentError, EncryptedDocumentError, TooLargeDocumentError: see `zip_package`.
    """
    import openpyxl

    data = validate_ooxml(request.data, request.limits)
    builder = DocumentBuilder(MEDIA_TYPE, max_characters=request.limits.max_characters)
    workbook = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    for sheet in workbook.worksheets:
        if sheet.sheet_state != "visible":
            builder.counters["hidden_sheets"] += 1
            continue
        add_sheet(builder, sheet.title, _rows(sheet), max_characters=request.limits.max_characters)
    workbook.close()
    builder.metadata = core_properties(data)
    builder.language = builder.metadata.pop("language", None)
    builder.title = meaningful_title(builder.metadata.get("title"))
    builder.account_for(sheets_text(data))
    return builder.finish()


def _rows(sheet: Any) -> Iterator[list[str]]:
    """The rows as displayed text, without the empty cells at their ends.

    The size that the file claims is not believed: a formatted but empty sheet may claim 16,384 columns.
    """
    sheet.reset_dimensions()
    for cells in sheet.iter_rows():
        row: list[str] = []
        for column, cell in enumerate(cells):
            value = cell.value
            if value is not None:
                row.extend([""] * (column - len(row)))
                row.append(value if isinstance(value, str) else display(value, cell.number_format))
        yield row
