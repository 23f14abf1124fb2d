"""What a run, or a comparison of two, looks like to a person: sections, as Markdown or as one HTML file.

What belongs here: choosing and wording. What does not: figures (`run`, `comparison`), drawing (`plots`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

import msgspec

from rag_pipelines.evaluation import plots
from rag_pipelines.evaluation.comparison import Comparison, changes, compare
from rag_pipelines.evaluation.run import ALL, Run, describe_setting, slices_of, summary
from rag_pipelines.evaluation.scoring import main_measure

WORST = 20
"""Questions that are listed."""

_STYLE = """
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto }
th, td { padding: .25rem .75rem; text-align: left; border-bottom: 1px solid #8884; vertical-align: top }
.number { text-align: right; font-variant-numeric: tabular-nums }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
"""


class Section(msgspec.Struct, frozen=True):
    """A heading with lines of text, a table and a plot, any of which may be missing."""

    title: str
    lines: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    plot: str = ""


class EvaluationReport(msgspec.Struct, frozen=True):
    """A title and its sections."""

    title: str
    sections: tuple[Section, ...]

    def markdown(self) -> str:
        """As Markdown, without plots."""
        parts = [f"# {self.title}"]
        for section in self.sections:
            parts += [f"## {section.title}", *section.lines]
            if section.rows:
                parts.append(
                    "\n".join(
                        f"| {' | '.join(_cell(text) for text in row)} |"
                        for row in (section.columns, ["---"] * len(section.columns), *section.rows)
                    )
                )
        return "\n\n".join(parts) + "\n"

    def html(self) -> str:
        """As a page that needs no other file."""
        body = [f"<h1>{escape(self.title)}</h1>"]
        for section in self.sections:
            body.append(f"<h2>{escape(section.title)}</h2>")
            body += [f"<p>{escape(line)}</p>" for line in section.lines]
            body += [section.plot, _html_table(section)]
        return (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(self.title)}</title>'
            f"<style>{_STYLE}</style></head><body>{''.join(body)}</body></html>\n"
        )


def run_report(run: Run, names: Mapping[int, str]) -> EvaluationReport:
    """The report of one run. `names` are those of documents; one without is called by its number."""
    return EvaluationReport(f"{run.index}: {run.golden}", tuple(_run_sections(run, names)))


def comparison_report(first: Run, second: Run, comparison: Comparison) -> EvaluationReport:
    """The report of a comparison."""
    return EvaluationReport(
        f"{second.index}: {comparison.second} against {comparison.first}",
        tuple(_comparison_sections(first, second, comparison)),
    )


def judgement_report(index: str, runs: Mapping[str, tuple[Run | None, Run]]) -> EvaluationReport:
    """What the quality gate saw, by mode: the candidate against the live version, or alone if there is none.

    What came back is named by number only: of a document that is purged later, no name is left in it.
    """
    sections: list[Section] = []
    for mode, (live, candidate) in runs.items():
        if live is None:
            made = _run_sections(candidate, {})
        else:
            made = _comparison_sections(live, candidate, compare(live, candidate))
        sections += [msgspec.structs.replace(one, title=f"{mode}: {one.title}") for one in made]
    live, candidate = next(iter(runs.values()))
    against = "" if live is None else f" against version {live.version}"
    title = f"{index}: version {candidate.version}{against}, asked {candidate.golden}"
    return EvaluationReport(title, tuple(sections))


def _run_sections(run: Run, names: Mapping[int, str]) -> Iterator[Section]:
    found = summary(run)
    whole = found.figures.get(ALL, {})
    lines = (
        f"{found.questions:,} questions of {run.golden}, asked of version {run.version} on "
        f"{run.started_at:%Y-%m-%d %H:%M} UTC: {describe_setting(run.setting)}, k = {run.setting['k']}.",
        f"Forbidden results returned: {found.violations}.",
    )
    rows = tuple(
        (name, f"{one.mean:.4f}", f"{one.low:.4f} to {one.high:.4f}", f"{one.n:,}")
        for name, one in whole.items()
    )
    plot = plots.intervals([(name, one.mean, one.low, one.high) for name, one in whole.items()])
    yield Section("Figures", lines, ("measure", "mean", "95 % interval", "questions"), rows, plot)

    measure = main_measure(_measures(run))
    sliced = [(name, of[measure]) for name, of in found.figures.items() if name != ALL and measure in of]
    if sliced:
        rows = tuple(
            (name, f"{one.mean:.4f}", f"{one.low:.4f} to {one.high:.4f}", f"{one.n:,}")
            for name, one in sliced
        )
        plot = plots.intervals([(name, one.mean, one.low, one.high) for name, one in sliced])
        yield Section(f"{measure} by slice", (), ("slice", "mean", "95 % interval", "questions"), rows, plot)

    if found.no_answer is not None:
        roc = found.no_answer
        text = (
            f"{roc.positives:,} answerable and {roc.negatives:,} unanswerable questions; area under the "
            f"curve {roc.area:.3f}. With a threshold of {roc.threshold:.4g} on the confidence, "
            f"{roc.correct:.1%} are judged rightly.",
        )
        yield Section("Questions without an answer", text, plot=plots.roc_curve(roc))

    took = [answer.embed_ms + answer.search_ms for answer in run.answers]
    latency = (f"p50 {found.p50_ms:.1f} ms, p95 {found.p95_ms:.1f} ms, embedding of the question included.",)
    yield Section("Latency", latency, plot=plots.histogram(took, "ms"))

    broken = tuple((answer.id, answer.query, str(one)) for answer in run.answers for one in answer.violations)
    if broken:
        yield Section("Forbidden results returned", (), ("question", "query", "document"), broken)
    judged = [answer for answer in run.answers if measure in answer.figures]
    worst = sorted(judged, key=lambda answer: (answer.figures[measure], answer.id))[:WORST]
    rows = tuple(
        (
            answer.id,
            answer.query,
            f"{answer.figures[measure]:.3f}",
            "; ".join(
                dict.fromkeys(
                    names.get(hit.document_id, f"document {hit.document_id}") for hit in answer.hits[:3]
                )
            ),
        )
        for answer in worst
        if answer.figures[measure] < 1
    )
    if rows:
        yield Section(f"Lowest {measure}", (), ("question", "query", measure, "found first"), rows)
    if run.notes:
        yield Section("Of the golden set", run.notes)


def _comparison_sections(first: Run, second: Run, found: Comparison) -> Iterator[Section]:
    lines = (
        f"First: {found.first}, {describe_setting(first.setting)}.",
        f"Second: {found.second}, {describe_setting(second.setting)}.",
        f"{found.questions:,} questions in both; a difference is the second less the first.",
    )
    columns = ("first", "second", "difference", "95 % interval", "better", "worse", "p")
    yield Section(
        "Differences",
        lines,
        ("measure", *columns),
        tuple((name, *_difference_cells(first, second, ALL, name, found)) for name in found.differences[ALL]),
        plots.intervals(
            [(name, one.mean, one.low, one.high) for name, one in found.differences[ALL].items()],
            around_zero=True,
        ),
    )
    measure = main_measure(_measures(first))
    sliced = {name: of[measure] for name, of in found.differences.items() if name != ALL and measure in of}
    if sliced:
        yield Section(
            f"{measure} by slice",
            (),
            ("slice", *columns),
            tuple((name, *_difference_cells(first, second, name, measure, found)) for name in sliced),
            plots.intervals(
                [(name, one.mean, one.low, one.high) for name, one in sliced.items()], around_zero=True
            ),
        )
    moved = changes(first, second, measure)
    lost = [one for one in moved if one.after < one.before]
    gained = [one for one in reversed(moved) if one.after > one.before]
    for title, some in (("Lost most", lost[:WORST]), ("Gained most", gained[:WORST])):
        rows = tuple((one.id, one.query, f"{one.before:.3f}", f"{one.after:.3f}") for one in some)
        if rows:
            yield Section(f"{title}, {measure}", (), ("question", "query", "first", "second"), rows)
    if found.unpaired:
        yield Section("Only in one of the runs", (", ".join(found.unpaired[:WORST]),))


def _measures(run: Run) -> list[str]:
    return [name for answer in run.answers for name in answer.figures]


def _difference_cells(
    first: Run, second: Run, slice_name: str, measure: str, found: Comparison
) -> tuple[str, ...]:
    one = found.differences[slice_name][measure]
    means = (_mean(run, slice_name, measure) for run in (first, second))
    return (
        *(f"{mean:.4f}" for mean in means),
        f"{one.mean:+.4f}",
        f"{one.low:+.4f} to {one.high:+.4f}",
        f"{one.better:,}",
        f"{one.worse:,}",
        f"{one.p:.4f}",
    )


def _mean(run: Run, slice_name: str, measure: str) -> float:
    values = [
        one.figures[measure] for one in slices_of(run.answers).get(slice_name, ()) if measure in one.figures
    ]
    return sum(values) / len(values) if values else 0.0


def _html_table(section: Section) -> str:
    if not section.rows:
        return ""
    numeric = [all(map(_is_number, column)) for column in zip(*section.rows, strict=True)]

    def row(tag: str, texts: Sequence[str]) -> str:
        marks = (' class="number"' if number else "" for number in numeric)
        cells = zip(texts, marks, strict=True)
        return f"<tr>{''.join(f'<{tag}{mark}>{escape(text)}</{tag}>' for text, mark in cells)}</tr>"

    body = "".join(row("td", texts) for texts in section.rows)
    return f"<table><thead>{row('th', section.columns)}</thead><tbody>{body}</tbody></table>"


def _is_number(text: str) -> bool:
    return text.replace(",", "").lstrip("+-").replace(".", "", 1).isdigit()


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
