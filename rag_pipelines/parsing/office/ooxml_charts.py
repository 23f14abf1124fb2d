"""Charts in Office Open XML (DrawingML) as the tables they were drawn from.

What belongs here: the values that a chart keeps of itself, in the charts of ECMA-376 and in those that
Office added in 2016 (``chartex``: waterfall, treemap, histogram). What does not: finding charts.

Read from the XML, because python-pptx knows only some kinds of plot and python-docx none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from rag_pipelines.parsing.office.ooxml_text import body_text

if TYPE_CHECKING:
    from lxml.etree import _Element


_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_CX = "{http://schemas.microsoft.com/office/drawing/2014/chartex}"
_OTHER = " / "
_DECIMAL = re.compile(r"-?\d+\.\d+(?:[eE][+-]?\d+)?")


class _Series(NamedTuple):
    """A series: its name, and categories and values by their place."""

    name: str
    categories: dict[int, str]
    values: dict[int, str]


def chart_title(chart: _Element) -> str:
    """The titles that a person gave to a chart and its axes, else an empty string."""
    titles = chart.iterfind(f".//{_C}title/{_C}tx") if chart.tag.startswith(_C) else chart.iter(f"{_CX}title")
    return "; ".join(filter(None, (" ".join(body_text(title).split()) for title in titles)))


def chart_rows(chart: _Element) -> Iterator[list[str]]:
    """A header with the names of the series, then a row for each category."""
    series = list(_extended(chart) if chart.tag.startswith(_CX) else map(_plain, chart.iter(f"{_C}ser")))
    yield ["", *(one.name for one in series)]
    categories: dict[int, str] = {}
    for one in series:
        for place, text in one.categories.items():
            known = categories.get(place, "")
            if text not in known.split(_OTHER):  # each series may name its places for itself
                categories[place] = f"{known}{_OTHER}{text}" if known else text
    places = sorted(categories.keys() | {place for one in series for place in one.values})
    for place in places:
        yield [categories.get(place, ""), *(one.values.get(place, "") for one in series)]


def _plain(series: _Element) -> _Series:
    name = next(iter(_points(series, "tx").values()), "") or series.findtext(f"{_C}tx/{_C}v") or ""
    return _Series(name, _points(series, "cat", "xVal"), _points(series, "val", "yVal"))


def _points(series: _Element, *parts: str) -> dict[int, str]:
    """The values of the first of `parts` that there is, by their place; of several levels the outer first."""
    part = next((child for name in parts if (child := series.find(f"{_C}{name}")) is not None), None)
    if part is None:
        return {}
    levels = [list(level.iter(f"{_C}pt")) for level in part.iter(f"{_C}lvl")]
    return _levels(levels or [list(part.iter(f"{_C}pt"))], _C)


def _extended(chart: _Element) -> Iterator[_Series]:
    data = {one.get("id"): one for one in chart.iterfind(f"{_CX}chartData/{_CX}data")}
    for series in chart.iter(f"{_CX}series"):
        reference = series.find(f"{_CX}dataId")
        found = data.get(None if reference is None else reference.get("val"))
        if found is not None:
            name = series.findtext(f"{_CX}tx/{_CX}txData/{_CX}v") or ""
            yield _Series(name, *(_dimension(found, kind) for kind in ("strDim", "numDim")))


def _dimension(data: _Element, kind: str) -> dict[int, str]:
    levels = data.iterfind(f"{_CX}{kind}/{_CX}lvl")
    return _levels([list(level.iter(f"{_CX}pt")) for level in levels], _CX)


def _levels(levels: list[list[_Element]], namespace: str) -> dict[int, str]:
    """The texts of points by their place; decimals without binary noise.

    An outer level names only the first of the places it stands for.
    """
    texts = [{int(point.get("idx") or 0): _text(point, namespace) for point in level} for level in levels]
    if not texts:
        return {}
    inner, *outer = texts
    found: dict[int, str] = {}
    for place in sorted(inner.keys() | {place for level in outer for place in level}):
        above = [_last_before(level, place) for level in reversed(outer)]
        found[place] = ", ".join(filter(None, (*above, inner.get(place, ""))))
    return found


def _last_before(level: dict[int, str], place: int) -> str:
    return next((level[at] for at in range(place, max(place - 1000, -1), -1) if at in level), "")


def _text(point: _Element, namespace: str) -> str:
    text = (point.text if namespace == _CX else point.findtext(f"{_C}v")) or ""
    return f"{float(text):.15g}" if _DECIMAL.fullmatch(text) else text.strip()
