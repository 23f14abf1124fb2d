"""Excel workbooks (XLSX, XLSM, XLTX), a row at a time.

What belongs here: reading cells. What does not: finding tables in them (`sheets`), number formats
(`number_formats`), the other parts of the package (`xlsx_parts`), the old binary format (`xls`).

Read from the XML: openpyxl passes over the runs of rich text inside cells while it streams, gives either
values or formulas and not what stands around the cells, and takes twice the time; calamine has no display
formats. Formulas stand with the value that was last computed; one that was saved without, by a program that
does not compute, stands as it is and is counted. Hidden sheets, rows and columns are left out and counted.
"""

from __future__ import annotations

import io
import itertools
import re
import zipfile
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rag_pipelines.model import BlockKind, ParsedDocument
from rag_pipelines.parsing.account import count_words
from rag_pipelines.parsing.base import ParseRequest
from rag_pipelines.parsing.builder import DocumentBuilder
from rag_pipelines.parsing.links import linked
from rag_pipelines.parsing.losses import LeftOut, Loss
from rag_pipelines.parsing.office import second_reader
from rag_pipelines.parsing.office.hidden_cells import Hidden
from rag_pipelines.parsing.office.merged_cells import Rows, by_first_row
from rag_pipelines.parsing.office.number_formats import Value, number_format_of
from rag_pipelines.parsing.office.sheets import add_sheet
from rag_pipelines.parsing.office.xlsx_cell_pictures import cell_pictures
from rag_pipelines.parsing.office.xlsx_parts import (
    MAX_COLUMNS,
    TRUE,
    S,
    SheetPart,
    Workbook,
    column_of,
    elements,
    filtered_rows,
    hidden_columns,
    is_hidden_row,
    merges_of,
    read_frame,
    read_workbook,
    relations,
    string_text,
    targets_of,
)
from rag_pipelines.parsing.office.xlsx_remarks import Picture, remarks_of
from rag_pipelines.parsing.parts import add_document, read_picture
from rag_pipelines.parsing.witness import ooxml
from rag_pipelines.parsing.zip_package import (
    OfficePackage,
    core_properties,
    read_part,
    validate_ooxml,
)
from rag_pipelines.text.titles import choose_title

if TYPE_CHECKING:
    from lxml.etree import _Element

_HYPERLINK = re.compile(r'HYPERLINK\("((?:[^"]|"")*)"', re.IGNORECASE)
_LATER_FUNCTION = re.compile(r"_xl(?:fn|ws|pm|udf)\.")

_VALUE, _FORMULA, _INLINE = f"{S}v", f"{S}f", f"{S}is"
_DIGITS = "0123456789"
MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def parse(request: ParseRequest) -> ParsedDocument:
    """The blocks of a workbook: each visible sheet a heading over its tables.

    Raises:
        CorruptDocumentError, EncryptedDocumentError, TooLargeDocumentError: see `zip_package`.
    """
    office_file = validate_ooxml(request.data, request.limits)
    return second_reader.or_again(lambda: _parse(office_file, request), request, MEDIA_TYPE)


def _parse(office_file: OfficePackage, request: ParseRequest) -> ParsedDocument:
    builder = DocumentBuilder.of(MEDIA_TYPE, request)
    with zipfile.ZipFile(io.BytesIO(office_file.data)) as package:
        workbook = read_workbook(package)
        for sheet in workbook.sheets:
            if not sheet.visible:
                builder.counters["hidden_sheets"] += 1
                _leave_out(package, sheet, workbook, builder)
                continue
            frame = read_frame(package, sheet.part)
            hidden = Hidden()
            named = False
            if sheet.kind == "worksheet":
                named = add_sheet(
                    builder,
                    sheet.name,
                    _rows(package, sheet.part, frame, workbook, builder, hidden),
                    max_characters=request.limits.max_characters,
                    merges=by_first_row(merges_of(frame)),
                    hidden=hidden,
                )
            beside = remarks_of(package, sheet.part, frame, builder, hidden)
            for remark in itertools.chain(cell_pictures(package, sheet.part), beside):
                if isinstance(remark, Picture):
                    found = _recognised(package, remark, request, builder)
                    kind, text = BlockKind.CAPTION, remark.description
                else:
                    found, (kind, text) = None, remark
                if (found or text) and not named and kind not in (BlockKind.HEADER, BlockKind.FOOTER):
                    builder.add(BlockKind.HEADING, sheet.name, level=1)
                    named = True
                builder.add(kind, text)
                if found:
                    add_document(builder, found)
    builder.metadata = core_properties(office_file)
    builder.language = builder.metadata.pop("language", None)
    builder.title = choose_title(None, builder.metadata.get("title"))
    builder.account_for(ooxml.sheets_text(office_file))
    return builder.finish()


def _leave_out(
    package: zipfile.ZipFile, sheet: SheetPart, workbook: Workbook, builder: DocumentBuilder
) -> None:
    """Count the words of a hidden sheet, numbers and dates as they are stored.

    The second reading does not see its cells, but what is drawn and remarked on it.
    """
    if sheet.kind == "worksheet":
        for row in elements(package, sheet.part, f"{S}row"):
            values = (_value(cell, workbook) for cell in row)
            shown = " ".join(str(value) for value in values if value is not None)
            builder.counters[LeftOut.HIDDEN.value] += count_words(shown)
    names = set(package.namelist())
    beside = [one.part for one in relations(package, sheet.part).values()]
    beside += [one.part for part in beside for one in relations(package, part).values()]
    for part in names.intersection(beside):
        if ooxml.is_beside_cells(part):
            builder.leave_out(LeftOut.HIDDEN, ooxml.paragraphs(read_part(package, part)))


def _recognised(
    package: zipfile.ZipFile, picture: Picture, request: ParseRequest, builder: DocumentBuilder
) -> ParsedDocument | None:
    """The text in a picture, where pictures are read; one without text or description is counted as lost."""
    data = read_part(package, picture.part) if request.recognise and picture.part else None
    found = read_picture(builder, request, data)
    if found is None and not picture.description:
        builder.lose(Loss.IMAGES)
    return found


def _rows(
    package: zipfile.ZipFile,
    part: str,
    frame: _Element,
    workbook: Workbook,
    builder: DocumentBuilder,
    hidden: Hidden,
) -> Rows:
    """The rows as displayed text; fills `hidden` before each.

    The size that the file claims is not believed: a formatted but empty sheet may claim 16,384 columns.
    """
    formulas = _Formulas()
    general = number_format_of("General")
    formats, epoch = workbook.formats, workbook.epoch
    targets = targets_of(package, part, frame)
    filtered = filtered_rows(package, part, frame)
    is_filtered = False
    place = -1
    for element in elements(package, part, f"{S}sheetPr", f"{S}cols", f"{S}row"):
        if element.tag == f"{S}sheetPr":
            is_filtered = not filtered and element.get("filterMode") in TRUE
            continue
        if element.tag == f"{S}cols":
            hidden.columns.update(hidden_columns(element))
            continue
        number = int(element.get("r") or place + 2)
        place = max(number - 1, place + 1)
        if is_hidden_row(element) and not (is_filtered or any(number in rows for rows in filtered)):
            hidden.rows.add(number - 1)
        row: dict[int, str] = {}
        column = -1
        for cell in element:
            reference = cell.get("r")
            column = column_of(reference.rstrip(_DIGITS)) if reference else column + 1
            value = _value(cell, workbook)
            if value is None:
                if not (text := formulas.of(cell)):
                    continue
                if not hidden.holds(number - 1, column):
                    builder.lose(Loss.FORMULAS)
            else:
                style = int(cell.get("s") or 0)
                number_format = formats[style] if style < len(formats) else general
                if not (text := number_format.show(value, epoch)):
                    builder.leave_out(LeftOut.HIDDEN, str(value))
                    continue
            if column < MAX_COLUMNS:
                target = targets.get((number, column + 1)) or _linked_by_formula(cell)
                row[column] = linked(text, target) if target else text
        yield place, row


def _linked_by_formula(cell: _Element) -> str:
    """Where the formula HYPERLINK leads, if the cell has one with its address in it."""
    link = _HYPERLINK.match(cell.findtext(_FORMULA) or "") if len(cell) > 1 else None
    return link[1].replace('""', '"') if link else ""


def _value(cell: _Element, workbook: Workbook) -> Value:
    """What a cell holds (ECMA-376 part 1, 18.3.1.4); a date is its serial number. None for nothing."""
    kind = cell.get("t")
    if kind == "inlineStr":
        inline = cell.find(_INLINE)
        return None if inline is None else string_text(inline) or None
    text = cell.findtext(_VALUE)
    if not text:
        return None
    try:
        if kind is None or kind == "n":
            return int(text) if text.isdecimal() else float(text)
        if kind == "s":
            return workbook.strings[int(text)] or None
        if kind == "b":
            return bool(int(text))
        if kind == "d":
            return datetime.fromisoformat(text.replace("Z", ""))
    except (ValueError, IndexError, OverflowError):
        pass
    return text


class _Formulas:
    """The formulas of a sheet that were saved without a result, as a person would write them."""

    def __init__(self) -> None:
        self._shared: dict[str, Any] = {}

    def of(self, cell: _Element) -> str:
        """The formula of a cell without a value; empty where there is none, or its result is empty."""
        formula = cell.find(_FORMULA)
        if formula is None or cell.get("t") == "str":
            return ""
        text, place = formula.text or "", cell.get("r") or ""
        if formula.get("t") == "shared":
            text = self._translated(formula.get("si") or "", text, place)
        return f"={_LATER_FUNCTION.sub('', text)}"

    def _translated(self, shared: str, text: str, place: str) -> str:
        """A formula that cells share, moved to `place` from that which has its text."""
        from openpyxl.formula.translate import Translator

        if text:
            self._shared[shared] = Translator(f"={text}", place)
        elif shared in self._shared:
            moved: str = self._shared[shared].translate_formula(place)
            return moved.removeprefix("=")
        return text
