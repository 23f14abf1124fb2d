"""What a cell of an OpenDocument sheet shows.

What belongs here: the stored text of a cell, its value and its formula (OpenDocument 1.3 part 3, 9.1.4). What
does not: text outside of sheets, and merged cells (`odf`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag_pipelines.parsing.office.date_formats import iso_date
from rag_pipelines.parsing.office.number_formats import display
from rag_pipelines.parsing.office.odf_names import OFFICE, TABLE

if TYPE_CHECKING:
    from lxml.etree import _Element

_REFERENCE = re.compile(r"\[([^\]]*)\]")


def cell_text(cell: _Element, stored: str) -> str:
    """What a cell shows: its `stored` text, a date of figures in ISO 8601.

    Programs that do not lay out store the value alone.
    """
    kind = cell.get(f"{OFFICE}value-type")
    if kind == "date" and (moment := cell.get(f"{OFFICE}date-value")):
        return iso_date(moment, stored)
    if stored or kind is None:
        return stored
    value = cell.get(f"{OFFICE}value") or cell.get(f"{OFFICE}{kind}-value") or ""
    if kind == "percentage":
        try:
            return display(float(value), "0.##%")
        except ValueError:
            return value
    return value


def cell_formula(cell: _Element) -> str:
    """The formula of a cell that was saved without a value, as a person writes it; else an empty string."""
    formula = cell.get(f"{TABLE}formula")
    if not formula or cell.get(f"{OFFICE}value-type"):
        return ""
    prefix, mark, rest = formula.partition(":=")
    return _REFERENCE.sub(_reference, f"={rest}" if mark and prefix.isalnum() else formula)


def _reference(match: re.Match[str]) -> str:
    """``[.B2:.B9]`` is B2:B9, ``[$Sheet2.A1]`` is Sheet2.A1."""
    return match[1].removeprefix(".").replace(":.", ":").removeprefix("$")
