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
import re
import zipfile
from collections.abc import Iterator
from datetime import datetime
from itertools import repeat
from typing import IO, Any

from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.links import linked
from rag_pipelines.parsing.losses import LeftOut, Loss
from rag_pipelines.parsing.office.merged_cells import by_first_row
from rag_pipelines.parsing.office.number_formats import EAST_ASIAN_FORMATS, NumberFormat, number_format_of
from rag_pipelines.parsing.office.sheets import add_sheet
from rag_pipelines.parsing.office.xlsx_parts import merges_of, read_frame, sheet_parts, targets_of
from rag_pipelines.parsing.office.xlsx_remarks import remarks_of
from rag_pipelines.parsing.witness.ooxml import sheets_text
from rag_pipelines.parsing.zip_package import core_properties, meaningful_title, validate_ooxml
from rag_pipelines.text.superscripts import join_runs

_MAX_ROWS = 1_048_576
_HYPERLINK = re.compile(r'HYPERLINK\("((?:[^"]|"")*)"', re.IGNORECASE)
_ESCAPE = re.compile("_x([0-9A-Fa-f]{4})_")
_LATER_FUNCTION = re.compile(r"_xl(?:fn|ws|pm|udf)\.")

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of a workbook: each visible sheet a heading over its tables.

    Raises:
        CorruptDocumentError, EncryptedDocumentError, TooLargeDocumentError: see `zip_package`.
    """
    import openpyxl

    data = validate_ooxml(request.data, request.limits)
    builder = DocumentBuilder.of(MEDIA_TYPE, request)
    workbook = openpyxl.load_workbook(
        io.BytesIO(data), read_only=True, data_only=True, keep_links=False, rich_text=True
    )
    with zipfile.ZipFile(io.BytesIO(data)) as package:
        for sheet in sheet_parts(package):
            if not sheet.visible:
                builder.counters["hidden_sheets"] += 1
                continue
            frame = read_frame(package, sheet.part)
            named = False
            if sheet.name in workbook.sheetnames and sheet.kind == "worksheet":
                with package.open(sheet.part) as source:
                    named = add_sheet(
                        builder,
                        sheet.name,
                        _rows(workbook[sheet.name], source, builder, targets_of(package, sheet.part, frame)),
                        max_characters=request.limits.max_characters,
                        merges=by_first_row(merges_of(frame)),
                    )
            for kind, text in remarks_of(package, sheet.part, frame, builder):
                if text and not named and kind not in (BlockKind.HEADER, BlockKind.FOOTER):
                    builder.add(BlockKind.HEADING, sheet.name, level=1)
                    named = True
                builder.add(kind, text)
    workbook.close()
    builder.metadata = core_properties(data)
    builder.language = builder.metadata.pop("language", None)
    builder.title = meaningful_title(builder.metadata.get("title"))
    builder.account_for(sheets_text(data))
    return builder.finish()


def _rows(
    sheet: Any, source: IO[bytes], builder: DocumentBuilder, targets: dict[tuple[int, int], str]
) -> Iterator[list[str]]:
    """The rows as displayed text, without the empty cells at their ends.

    `targets` are where links of cells lead, by row and column.

    The size that the file claims is not believed: a formatted but empty sheet may claim 16,384 columns.
    """
    formats: dict[int, NumberFormat] = {}
    epoch = sheet.parent.epoch
    count = 0
    for number, cells in _cells(sheet, source):
        yield from repeat([], min(number - count - 1, _MAX_ROWS))
        count = number
        row: list[str] = []
        for cell in cells:
            value = cell["value"]
            if value is None:
                continue
            style = cell["style_id"]
            number_format = formats.get(style)
            if number_format is None:
                number_format = formats[style] = number_format_of(_format_code(sheet, style))
            text = _text(value, number_format, epoch)
            if text:
                row.extend([""] * (cell["column"] - 1 - len(row)))
                target = targets.get((number, cell["column"])) or cell.get("target")
                row.append(linked(text, target) if target else text)
                if cell["data_type"] == "f":
                    builder.lose(Loss.FORMULAS)
            else:
                builder.leave_out(LeftOut.HIDDEN, str(value))
        yield row


def _cells(sheet: Any, source: IO[bytes]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """The numbers of the rows that have cells, from 1, and their cells.

    By openpyxl's own parser, because its read-only sheets pass over the runs of rich text inside cells and
    give either values or formulas.
    """
    from openpyxl.worksheet._reader import FORMULA_TAG, WorkSheetParser

    workbook = sheet.parent

    class Parser(WorkSheetParser):
        def parse_cell(self, element: Any) -> dict[str, Any]:
            cell: dict[str, Any] = super().parse_cell(element)
            if len(element) > 1 and (link := _HYPERLINK.match(element.findtext(FORMULA_TAG) or "")):
                cell["target"] = link[1].replace('""', '"')
            if cell["value"] is None and element.get("t") != "str" and element.find(FORMULA_TAG) is not None:
                formula = self.parse_formula(element)
                text = formula if isinstance(formula, str) else getattr(formula, "text", None) or "="
                cell.update(value=_LATER_FUNCTION.sub("", text), data_type="f", style_id=0)
            return cell

    yield from Parser(
        source,
        sheet._shared_strings,
        data_only=True,
        epoch=workbook.epoch,
        date_formats=workbook._date_formats,
        timedelta_formats=workbook._timedelta_formats,
        rich_text=True,
    ).parse()


def _format_code(sheet: Any, style: int) -> str:
    """The code of a style's format; openpyxl knows none for the built-in ids of East Asia."""
    from openpyxl.cell.read_only import ReadOnlyCell

    cell = ReadOnlyCell(sheet, 1, 1, None, style_id=style)
    return EAST_ASIAN_FORMATS.get(cell.style_array.numFmtId) or cell.number_format


def _text(value: Any, number_format: NumberFormat, epoch: datetime) -> str:
    if isinstance(value, list):
        value = _plain_text(value)
    if isinstance(value, str):
        value = _unescaped(value) if "_x" in value else value
        if number_format.shows_text_as_it_is:
            return value
    return number_format.show(value, epoch)


def _plain_text(rich: list[Any]) -> str:
    """The runs of a rich text, raised characters kept apart from what they stand behind."""
    fonts = (getattr(run, "font", None) for run in rich)
    raised = [font is not None and font.vertAlign == "superscript" for font in fonts]
    return join_runs(zip(map(str, rich), raised, strict=True))


def _unescaped(text: str) -> str:
    """`text` with the characters that XML cannot hold, as ``_x000D_`` (ECMA-376 part 1, 22.9.2.19)."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
