"""The key figures as a page for people: each beside its target, and how it went over the days.

What belongs here: choosing and wording. What does not: the figures (`kpis`), shifts (`shifts`), drawing
(`evaluation.plots`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from rag_pipelines.config.kpis import KpiName
from rag_pipelines.evaluation import plots
from rag_pipelines.evaluation.report import EvaluationReport, Section
from rag_pipelines.monitoring.kpis import DEFINITIONS, KeptKpi, Kpi
from rag_pipelines.monitoring.shifts import MEASURES, Shift


def kpi_sheet(
    figures: Sequence[Kpi], kept: Sequence[KeptKpi], shifts: Mapping[str, Sequence[Shift]], now: datetime
) -> EvaluationReport:
    """The sheet: figures as of `now`, what was `kept` of earlier days, and the shifts of each index."""
    missed = [one for one in figures if one.met is False]
    judged = [one for one in figures if one.met is not None]
    lines = (
        f"As of {now:%Y-%m-%d %H:%M} UTC. {len(judged) - len(missed)} of {len(judged)} figures with a target "
        "reach it.",
    )
    return EvaluationReport(
        "Key figures",
        (
            Section("Missed", lines, COLUMNS, tuple(table(missed))),
            *_by_figure(figures, kept),
            *(_shift_section(index, found) for index, found in shifts.items()),
        ),
    )


COLUMNS = ("figure", "of", "value", "target", "", "counted over")


def table(figures: Sequence[Kpi]) -> list[tuple[str, ...]]:
    """Rows of `COLUMNS`, as a person reads them."""
    return [
        (
            one.name,
            one.subject or "all",
            shown(one.name, one.value),
            shown(one.name, one.target),
            verdict(one),
            f"{one.of:,}",
        )
        for one in figures
    ]


def shown(name: KpiName, value: float | None) -> str:
    """A value with its unit; a dash where there is none."""
    if value is None:
        return "–"
    unit = DEFINITIONS[name].unit
    if unit == "share":
        return f"{100 * value:.2f} %"
    if unit == "count":
        return f"{value:,.0f}"
    return f"{value:,.1f} ms" if unit == "ms" else f"{value:,.4f}"


def verdict(one: Kpi) -> str:
    """What a person reads of whether the target is reached."""
    return {None: "", True: "met", False: "missed"}[one.met]


def _by_figure(figures: Sequence[Kpi], kept: Sequence[KeptKpi]) -> Iterator[Section]:
    for name, definition in DEFINITIONS.items():
        own = [one for one in figures if one.name == name]
        if not own:
            continue
        days = {
            subject or "all": [
                (day.day.isoformat(), day.value)
                for day in kept
                if day.name == name and day.subject == subject
            ]
            for subject in {one.subject for one in own}
        }
        plot = plots.lines({who: points for who, points in sorted(days.items()) if len(points) > 1})
        yield Section(
            name, (f"{definition.what[0].upper()}{definition.what[1:]}.",), COLUMNS, tuple(table(own)), plot
        )


def _shift_section(index: str, shifts: Sequence[Shift]) -> Section:
    moved = [MEASURES[one.measure] for one in shifts if one.moved]
    rows = tuple(
        (
            MEASURES[one.measure],
            "too few to tell" if one.stability is None else f"{one.stability:.3f}",
            "moved" if one.moved else "",
            f"{one.days:,}",
        )
        for one in shifts
    )
    lines = (f"Moved: {', '.join(moved)}." if moved else "Nothing moved.",)
    return Section(f"Shifts of {index}", lines, ("measure", "stability index", "", "days before"), rows)
