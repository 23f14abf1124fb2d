"""Plots as inline SVG, for a report that is one file.

What belongs here: drawing numbers. What does not: choosing them (`report`). Colours follow the page's own
(``currentColor``), so that a dark page stays readable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from rag_pipelines.evaluation.significance import Roc

WIDTH = 640
ROW = 22
LABELS = 220
INK = "#2a6fb0"
BARS = 30


def intervals(rows: Sequence[tuple[str, float, float, float]], *, around_zero: bool = False) -> str:
    """A line a row: label, mean, low, high; from 0 to 1, or with `around_zero` as far to either side."""
    lowest = min((low for _, _, low, _ in rows), default=0.0)
    highest = max((high for _, _, _, high in rows), default=1.0)
    if around_zero:
        highest = max(abs(lowest), abs(highest)) or 1.0
        lowest = -highest
    else:
        lowest, highest = min(0.0, lowest), max(1.0, highest)
    span = WIDTH - LABELS - 70

    def place(value: float) -> float:
        return LABELS + (value - lowest) / (highest - lowest) * span

    zero = place(0.0)
    drawn = [f'<path d="M{zero:.1f} 0V{ROW * len(rows)}" stroke="currentColor" opacity=".35"/>']
    for number, (label, mean, low, high) in enumerate(rows):
        middle = ROW * number + ROW / 2
        drawn.append(
            f'<text x="{LABELS - 8}" y="{middle + 4}" text-anchor="end">{escape(label)}</text>'
            f'<path d="M{place(low):.1f} {middle}H{place(high):.1f}" stroke="{INK}" stroke-width="3" '
            f'opacity=".5"/>'
            f'<circle cx="{place(mean):.1f}" cy="{middle}" r="4" fill="{INK}"/>'
            f'<text x="{WIDTH - 60}" y="{middle + 4}">{mean:.3f}</text>'
        )
    return _svg(WIDTH, ROW * len(rows), drawn)


def roc_curve(roc: Roc) -> str:
    """True positives over false positives, with the line of chance."""
    side = 260
    points = " ".join(f"{40 + x * side:.1f},{10 + (1 - y) * side:.1f}" for x, y in roc.points)
    return _svg(
        side + 60,
        side + 50,
        [
            f'<path d="M40 {10 + side}L{40 + side} 10" stroke="currentColor" opacity=".35"/>',
            f'<rect x="40" y="10" width="{side}" height="{side}" fill="none" stroke="currentColor"/>',
            f'<polyline points="{points}" fill="none" stroke="{INK}" stroke-width="2.5"/>',
            f'<text x="{40 + side / 2}" y="{side + 38}" text-anchor="middle">unanswerable let through</text>',
            f'<text transform="translate(28 {10 + side / 2}) rotate(-90)" text-anchor="middle">'
            "answerable let through</text>",
        ],
    )


def histogram(values: Sequence[float], unit: str) -> str:
    """How often which value comes; the last bar holds the slowest hundredth."""
    if not values:
        return ""
    ordered = sorted(values)
    highest = ordered[int(len(ordered) * 0.99)] if len(ordered) > 1 else ordered[0]
    highest = highest or 1.0
    counts = [0] * BARS
    for value in ordered:
        counts[min(int(value / highest * BARS), BARS - 1)] += 1
    tall, wide = 120, WIDTH / BARS
    drawn = [
        f'<rect x="{number * wide:.1f}" y="{tall - count / max(counts) * tall:.1f}" width="{wide - 2:.1f}" '
        f'height="{count / max(counts) * tall:.1f}" fill="{INK}"/>'
        for number, count in enumerate(counts)
    ]
    drawn += [
        f'<text x="0" y="{tall + 18}">0</text>',
        f'<text x="{WIDTH}" y="{tall + 18}" text-anchor="end">{highest:.0f} {escape(unit)}</text>',
    ]
    return _svg(WIDTH, tall + 24, drawn)


def lines(series: Mapping[str, Sequence[tuple[str, float]]]) -> str:
    """A row a series: its label, a line through its values from first to last, and the last value."""
    if not series:
        return ""
    span, drawn = WIDTH - LABELS - 90, []
    for number, (label, points) in enumerate(series.items()):
        top, values = ROW * number + 4, [value for _, value in points]
        lowest, height = min(values), (max(values) - min(values)) or 1.0
        path = " ".join(
            f"{LABELS + place * span / max(len(values) - 1, 1):.1f},"
            f"{top + (ROW - 8) * (1 - (value - lowest) / height):.1f}"
            for place, value in enumerate(values)
        )
        drawn.append(
            f'<text x="{LABELS - 8}" y="{top + 12}" text-anchor="end">{escape(label)}</text>'
            f'<polyline points="{path}" fill="none" stroke="{INK}" stroke-width="2">'
            f"<title>{escape(points[0][0])} to {escape(points[-1][0])}</title></polyline>"
            f'<text x="{WIDTH - 80}" y="{top + 12}">{values[-1]:,.4g}</text>'
        )
    return _svg(WIDTH, ROW * len(series), drawn)


def _svg(width: float, height: float, drawn: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" font-family="system-ui, sans-serif" font-size="12" fill="currentColor">'
        f"{''.join(drawn)}</svg>"
    )
