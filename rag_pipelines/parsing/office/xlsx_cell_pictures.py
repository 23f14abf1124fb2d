"""Pictures that stand in the cells of an XLSX sheet, not over them ("Place in Cell").

What belongs here: the way from a cell to its picture, over the parts of rich values ([MS-XLSX]). What does
not: pictures over a sheet (`xlsx_remarks`), what becomes of them (`xlsx`).

Excel writes an error into such a cell, for programs that know nothing of it.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rag_pipelines.parsing.office.images import alternative_text
from rag_pipelines.parsing.office.xlsx_parts import R, S, elements, relations
from rag_pipelines.parsing.office.xlsx_remarks import Picture
from rag_pipelines.parsing.zip_package import parse_xml, read_part

if TYPE_CHECKING:
    from lxml.etree import _Element

_METADATA = "xl/metadata.xml"
_VALUES = "xl/richData/rdrichvalue.xml"
_KINDS = "xl/richData/rdrichvaluestructure.xml"
_REFERENCES = "xl/richData/richValueRel.xml"
_PICTURE = "_rvRel:LocalImageIdentifier"


def cell_pictures(package: zipfile.ZipFile, part: str) -> Iterator[Picture]:
    """The pictures in the cells of the sheet in `part`, row by row; without a part where none can be found.

    Raises:
        CorruptDocumentError: one of the parts is not well-formed.
    """
    names = set(package.namelist())
    if not {_METADATA, _VALUES, _KINDS, _REFERENCES} <= names:
        return
    metadata, values, kinds, references = (
        parse_xml(read_part(package, name), name) for name in (_METADATA, _VALUES, _KINDS, _REFERENCES)
    )
    of_cells = metadata.findall(f"{S}valueMetadata/{S}bk/{S}rc")
    rich = metadata.findall(f"{S}futureMetadata[@name='XLRICHVALUE']/{S}bk//{{*}}rvb")
    targets = relations(package, _REFERENCES)
    for cell in elements(package, part, f"{S}c"):
        if not (number := cell.get("vm")):
            continue
        try:
            value = values[int(rich[int(of_cells[int(number) - 1].get("v", ""))].get("i", ""))]
            fields = _fields(value, kinds[int(value.get("s", ""))])
            if _PICTURE in fields:
                target = targets.get(references[int(fields[_PICTURE])].get(f"{R}id", ""))
                found = target.part if target and target.part in names else None
                yield Picture(found, alternative_text(fields.get("Text")))
        except (IndexError, ValueError):
            yield Picture(None, "")


def _fields(value: _Element, kind: _Element) -> dict[str, str]:
    """The fields of a rich value by the names that its kind gives them."""
    names = (key.get("n") or "" for key in kind.iterfind("{*}k"))
    return dict(zip(names, (field.text or "" for field in value.iterfind("{*}v")), strict=False))
