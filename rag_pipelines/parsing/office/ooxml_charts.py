"""Charts in Office Open XML (DrawingML) as the tables they were drawn from.

What belongs here: the values that a chart keeps of itself. What does not: finding charts in a document.

Read from the XML, because python-pptx knows only some kinds of plot and python-docx none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxml.etree import _Element


_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_DECIMAL = re.compile(r"-?\d+\.\d+(?:[eE][+-]?\d+)?")


def chart_title(chart: _Element) -> str:
    """The title that a person gave to a chart, else an empty string."""
    title = chart.find(f"{_C}chart/{_C}title")
    return "" if title is None else "".join(text.text or "" for text in title.iter(f"{_A}t"))


def chart_rows(chart: _Element) -> Iterator[list[str]]:
    """A header with the names of the series, then a row for each category."""
    series = [
        (_points(one, "tx"), _points(one, "cat", "xVal"), _points(one, "val", "yVal"))
        for one in chart.iter(f"{_C}ser")
    ]
    yield ["", *(next(iter(name.values()), "") for name, _, _ in series)]
    categories = {place: text for _, found, _ in series for place, text in found.items()}
    places = sorted(categories.keys() | {place for _, _, values in series for place in values})
    for place in places:
        yield [categories.get(place, ""), *(values.get(place, "") for _, _, values in series)]


def _points(series: _Element, *parts: str) -> dict[int, str]:
    """The values of the first of `parts` that there is, by their place; decimals without binary noise."""
    found: dict[int, str] = {}
    part = next((child for name in parts if (child := series.find(f"{_C}{name}")) is not None), None)
    for point in () if part is None else part.iter(f"{_C}pt"):
        text = point.findtext(f"{_C}v") or ""
        found[int(point.get("idx") or 0)] = f"{float(text):.15g}" if _DECIMAL.fullmatch(text) else text
    return found
