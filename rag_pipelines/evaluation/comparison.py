"""Two runs of one golden set, question by question.

What belongs here: pairing, differences by measure and slice, the questions that changed most. What does not:
whether a difference is acceptable (`gate`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from rag_pipelines.errors import UsageError
from rag_pipelines.evaluation.run import Run, slices_of
from rag_pipelines.evaluation.scoring import QuestionScore
from rag_pipelines.evaluation.significance import Difference, difference


class FigureChange(msgspec.Struct, frozen=True):
    """One question's figure in both runs."""

    id: str
    query: str
    before: float
    after: float


class Comparison(msgspec.Struct, frozen=True):
    """`second` against `first`: differences by slice and measure, over the questions that both answered.

    `unpaired` are the ids of questions that only one of them has.
    """

    first: str
    second: str
    questions: int
    differences: Mapping[str, Mapping[str, Difference]]
    unpaired: tuple[str, ...] = ()


def compare(first: Run, second: Run) -> Comparison:
    """Compare two runs.

    Raises:
        UsageError: they have no question in common.
    """
    pairs = pair_answers(first, second)
    if not pairs:
        raise UsageError(
            f"{first.name} and {second.name} have no question in common "
            f"(golden sets {first.golden!r} and {second.golden!r})"
        )
    ours, theirs = ({answer.id for answer in run.answers} for run in (first, second))
    partner = {before.id: after for before, after in pairs}
    return Comparison(
        first.name,
        second.name,
        len(pairs),
        {
            name: differences([(before, partner[before.id]) for before in answers])
            for name, answers in slices_of(before for before, _ in pairs).items()
        },
        tuple(sorted(ours ^ theirs)),
    )


def pair_answers(first: Run, second: Run) -> list[tuple[QuestionScore, QuestionScore]]:
    """The answers of both runs to each question that both have."""
    after = {answer.id: answer for answer in second.answers}
    return [(before, after[before.id]) for before in first.answers if before.id in after]


def differences(pairs: Sequence[tuple[QuestionScore, QuestionScore]]) -> dict[str, Difference]:
    """By measure, over the questions for which both have it."""
    found: dict[str, Difference] = {}
    for measure in dict.fromkeys(name for before, _ in pairs for name in before.figures):
        both = [
            (before.figures[measure], after.figures[measure])
            for before, after in pairs
            if measure in before.figures and measure in after.figures
        ]
        if both:
            found[measure] = difference([one for one, _ in both], [two for _, two in both])
    return found


def changes(first: Run, second: Run, measure: str) -> list[FigureChange]:
    """The questions whose figure differs, the largest loss first."""
    found = [
        FigureChange(before.id, before.query, before.figures[measure], after.figures[measure])
        for before, after in pair_answers(first, second)
        if before.figures.get(measure) != after.figures.get(measure)
        and measure in before.figures
        and measure in after.figures
    ]
    return sorted(found, key=lambda one: (one.after - one.before, one.id))
