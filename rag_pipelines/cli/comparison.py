"""``rag-pipelines eval compare``: two kept runs beside each other, what differs most first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag_pipelines.cli.invocation import invocation
from rag_pipelines.cli.output import AsJson, number, print_facts, print_json, print_table, say
from rag_pipelines.cli.reports import Html, Md, write_report

if TYPE_CHECKING:
    from rag_pipelines.evaluation.comparison import Comparison, FigureChange
    from rag_pipelines.evaluation.run import Run
    from rag_pipelines.evaluation.significance import Difference

    Row = tuple[str, str, Difference]

SLICES = 10
"""Slices that are shown, those that differ most."""

QUESTIONS = 5
"""Questions that are shown of those that lost, and of those that gained."""


def compare(
    context: typer.Context,
    first: Annotated[int, typer.Argument(metavar="A", help="A run; see `eval runs`.")],
    second: Annotated[int, typer.Argument(metavar="B", help="The run to compare with it.")],
    every: Annotated[bool, typer.Option("--all", help="Show every measure of every slice.")] = False,
    html: Html = None,
    md: Md = None,
    as_json: AsJson = False,
) -> None:
    """Compare two kept runs question by question: of two versions, or of two settings."""
    import msgspec

    from rag_pipelines.evaluation.comparison import compare as compared
    from rag_pipelines.evaluation.report import comparison_report
    from rag_pipelines.evaluation.store import get_run

    chosen = invocation(context)
    with chosen.database.connection() as connection:
        before, after = get_run(connection, first), get_run(connection, second)
    found = compared(before, after)
    write_report(comparison_report(before, after, found), html, md)
    if as_json:
        print_json({**msgspec.to_builtins(found), "runs": [_side(before), _side(after)]})
        return
    if before.golden_key != after.golden_key:
        say("note: the golden set changed between the runs; only questions that both have are compared")
    print_facts(
        f"{number(found.questions, 'question')}: run {after.run_id} against run {before.run_id}",
        ((f"run {run.run_id}", _describe(run)) for run in (before, after)),
    )
    if not any(found.differences.values()):
        cuts = f"one was asked for k {before.setting['k']}, the other for k {after.setting['k']}"
        typer.echo(f"the runs have no measure in common: {cuts}; ask both with the same -k")
        return
    rows = [(name, measure, one) for name, of in found.differences.items() for measure, one in of.items()]
    if every:
        _show(rows, "every slice and measure")
    else:
        _show_most(before, after, found, rows)


def _show_most(before: Run, after: Run, found: Comparison, rows: list[Row]) -> None:
    """All questions by every measure, then slices and questions by the one that counts most."""
    from rag_pipelines.evaluation.comparison import changes
    from rag_pipelines.evaluation.run import ALL
    from rag_pipelines.evaluation.scoring import main_measure

    differing = sorted((row for row in rows if row[2].better or row[2].worse), key=_first_what_counts)
    if not differing:
        typer.echo("no figure of any question differs")
        return
    measure = main_measure(found.differences[ALL])
    whole = [row for row in differing if row[0] == ALL]
    sliced = [row for row in differing if row[0] != ALL and row[1] == measure][:SLICES]
    _show(whole, "all questions")
    if sliced:
        _show(sliced, f"slices that differ most by {measure}")
    changed = changes(before, after, measure)
    lost = [one for one in changed if one.after < one.before][:QUESTIONS]
    gained = [one for one in reversed(changed) if one.after > one.before][:QUESTIONS]
    for title, some in (("lost most", lost), ("gained most", gained)):
        if some:
            _show_questions(some, f"questions that {title} by {measure}")
    if left := len(differing) - len(whole) - len(sliced):
        say(f"{number(left, 'more difference')} of slices; --all shows every one, --html writes a report")


def _first_what_counts(row: Row) -> tuple[bool, float]:
    return not row[2].significant, -abs(row[2].mean)


def _show(rows: Iterable[Row], title: str) -> None:
    columns = ("slice", "measure", "difference", "95 % interval", "better", "worse", "p", "significant")
    cells = (
        (name, measure, f"{one.mean:+.4f}", f"{one.low:+.4f} to {one.high:+.4f}", one.better, one.worse,
         f"{one.p:.4f}", "yes" if one.significant else "no")
        for name, measure, one in rows
    )  # fmt: skip
    print_table(columns, cells, title=title)


def _show_questions(some: Iterable[FigureChange], title: str) -> None:
    rows = ((one.id, one.query, f"{one.before:.4f}", f"{one.after:.4f}") for one in some)
    print_table(("question", "asked", "before", "after"), rows, title=title)


def _describe(run: Run) -> str:
    """How and of what it was asked, whether or not it has a label."""
    from rag_pipelines.evaluation.run import describe_setting

    parts = [describe_setting(run.setting), f"k {run.setting['k']}", f"version {run.version} of {run.index}"]
    return ", ".join(parts) + (f": {run.label}" if run.label else "")


def _side(run: Run) -> dict[str, Any]:
    return {
        "run": run.run_id,
        "label": run.label,
        "index": run.index,
        "version": run.version,
        "setting": run.setting,
    }
