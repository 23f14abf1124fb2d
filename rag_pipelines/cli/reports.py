"""Reports of evaluations as files: the options that ask for them, and the writing.

What belongs here: what commands of `eval` share. What does not: what a report says (`evaluation.report`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag_pipelines.cli.output import say

if TYPE_CHECKING:
    from rag_pipelines.evaluation.report import EvaluationReport

Html = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as one HTML file.")]
Md = Annotated[Path | None, typer.Option("--md", metavar="FILE", help="Write the report as Markdown.")]


def write_report(made: EvaluationReport, html: Path | None, md: Path | None) -> None:
    """The report in the forms that were asked for."""
    for path, text in ((html, made.html), (md, made.markdown)):
        if path is not None:
            path.write_text(text(), encoding="utf-8")
            say(f"wrote {path}")
