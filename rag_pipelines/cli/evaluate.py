"""``rag-pipelines eval``: ask golden sets, compare runs, tune the fusion, write reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rag_pipelines.cli.comparison import compare
from rag_pipelines.cli.evaluate_adapt import adapt
from rag_pipelines.cli.evaluate_models import models
from rag_pipelines.cli.golden_options import (
    Depth,
    Golden,
    Index,
    K,
    Mode,
    Split,
    Tenant,
    Version,
    chosen_index,
    plain,
)
from rag_pipelines.cli.invocation import ExitCode, Invocation, invocation
from rag_pipelines.cli.output import AsJson, number, print_json, print_table, say, stage_bars
from rag_pipelines.cli.reports import Html, Md, write_report
from rag_pipelines.errors import UsageError

if TYPE_CHECKING:
    from rag_pipelines.evaluation.run import Run, RunSummary

app = typer.Typer(no_args_is_help=True, help="Measure retrieval with golden sets.")


@app.command()
def run(
    context: typer.Context,
    golden: Golden,
    index: Index = None,
    version: Version = None,
    mode: Mode = "hybrid",
    k: K = 10,
    depth: Depth = None,
    fusion: Annotated[
        list[str] | None,
        typer.Option(
            "--fusion", metavar="KEY=VALUE", help="A fusion in place of the index's own; may be repeated."
        ),
    ] = None,
    split: Split = None,
    tenant: Tenant = None,
    label: Annotated[str, typer.Option(help="Name of the run in reports.")] = "",
    trec_run: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the rankings as a TREC run.")
    ] = None,
    html: Html = None,
    md: Md = None,
    as_json: AsJson = False,
) -> None:
    """Ask every question of a golden set, show the figures, and keep them.

    The exit code is 1 if something came back that must not.
    """
    from rag_pipelines.evaluation.golden import read_golden
    from rag_pipelines.evaluation.run import Setting, evaluate, summary
    from rag_pipelines.evaluation.store import put_run

    chosen = invocation(context)
    name = chosen_index(chosen, index)
    asked = read_golden(golden, split)
    setting = Setting(mode, k, depth, version, _fusion(fusion or []))
    with stage_bars(name, shown=not as_json) as progress:
        made = evaluate(
            chosen.runtime,
            name,
            asked,
            setting=setting,
            tenant=tenant,
            label=label,
            progress=progress,
        )
    stored = put_run(chosen.database, made)
    found = summary(stored)
    if trec_run:
        _write_trec(chosen, stored, trec_run)
    write_report(_report_of(chosen, stored), html, md)
    if as_json:
        print_json({"run": stored.run_id, "version": stored.version, **plain(found), "notes": stored.notes})
    else:
        _show_summary(stored, found)
    if found.violations:
        raise typer.Exit(ExitCode.FAILED)


@app.command("runs")
def list_runs(context: typer.Context, index: Index = None, as_json: AsJson = False) -> None:
    """List kept runs, newest first."""
    from rag_pipelines.evaluation.run import ALL, describe_setting
    from rag_pipelines.evaluation.store import list_runs as stored_runs

    chosen = invocation(context)
    with chosen.database.connection() as connection:
        found = stored_runs(connection, index)
    if as_json:
        print_json([{**row, "summary": figures} for row, figures in found])
        return
    if not found:
        typer.echo("nothing has been evaluated yet; begin with: rag-pipelines eval run GOLDEN --index NAME")
        return
    rows = []
    for row, figures in found:
        first = next(iter(figures.figures.get(ALL, {}).items()), None)
        rows.append((
            row["run_id"], row["index_name"], f"{row['version_id']} ({row['state']})", row["golden"],
            ", ".join(filter(None, (row["label"], describe_setting(row["setting"])))), figures.questions,
            f"{first[0]} {first[1].mean:.4f}" if first else None, figures.violations,
            f"{row['started_at']:%Y-%m-%d %H:%M}",
        ))  # fmt: skip
    columns = ("run", "index", "version", "golden set", "setting", "questions", "figure", "violations", "at")
    print_table(columns, rows)


app.command()(compare)
app.command()(models)
app.command()(adapt)


@app.command()
def tune(
    context: typer.Context,
    golden: Golden,
    index: Index = None,
    version: Version = None,
    k: K = 10,
    measure: Annotated[
        str | None, typer.Option(help="The measure to optimise, such as RR@10; nDCG at k by default.")
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="Number of folds for cross-validation.")] = 5,
    split: Split = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Find the fusion that ranks a golden set best; says what to configure, and changes nothing."""
    from rag_pipelines.evaluation.golden import read_golden
    from rag_pipelines.evaluation.tuning import tune as tune_fusion

    chosen = invocation(context)
    name = chosen_index(chosen, index)
    with stage_bars(name, shown=not as_json) as progress:
        found = tune_fusion(
            chosen.runtime,
            name,
            read_golden(golden, split),
            measure=measure or f"nDCG@{k}",
            k=k,
            folds=folds,
            tenant=tenant,
            version=version,
            progress=progress,
        )
    if as_json:
        print_json({**plain(found), "worth_it": found.worth_it})
        return
    rows = [
        (trial.fusion["method"], _weight(trial.fusion), trial.fusion["candidates"], f"{trial.mean:.4f}")
        for trial in found.trials[:10]
    ]
    print_table(("method", "weight", "candidates", found.measure), rows, title="best on all questions")
    gain = found.gain
    typer.echo(
        f"chosen by {found.folds}-fold cross validation over {number(found.questions, 'question')}: "
        f"{gain.mean:+.4f} ({gain.low:+.4f} to {gain.high:+.4f}, p {gain.p:.3f}) against the index's own "
        f"setting; {found.stable:.0%} of the folds chose the best one"
    )
    if not found.worth_it:
        typer.echo("no setting is significantly better; keep what is configured")
        return
    typer.echo(f"put into the configuration:\n  indexes:\n    {name}:\n      fusion:")
    for key, value in found.best.items():
        typer.echo(f"        {key}: {value}")


@app.command()
def calibrate(
    context: typer.Context,
    golden: Golden,
    index: Index = None,
    version: Version = None,
    mode: Mode = "hybrid",
    k: K = 10,
    split: Split = None,
    tenant: Tenant = None,
    as_json: AsJson = False,
) -> None:
    """Learn when the hits of an index hold no answer, from questions with and without one, and keep that.

    Packed contexts then say how likely they are to hold an answer, for this mode and for every version that
    cuts and embeds alike.
    """
    from rag_pipelines.evaluation.calibration import learn
    from rag_pipelines.evaluation.golden import read_golden
    from rag_pipelines.evaluation.run import Setting

    chosen = invocation(context)
    name = chosen_index(chosen, index)
    with stage_bars(name, shown=not as_json) as progress:
        found = learn(
            chosen.runtime,
            name,
            read_golden(golden, split),
            setting=Setting(mode, k, version=version),
            tenant=tenant,
            progress=progress,
        )
    if as_json:
        print_json(plain(found))
        return
    learned, trial = found.calibration, found.trial
    typer.echo(
        f"learned from {learned.answerable} answerable and {learned.unanswerable} other questions; "
        f"{found.mode} searches of {name} hold an answer from a probability of {learned.threshold:.2f} on"
    )
    if trial is None:
        typer.echo("too few questions to test it on held-out ones")
        return
    typer.echo(
        f"on held-out questions: answers {trial.answered:.1%} of the answerable, refuses "
        f"{trial.refused:.1%} of the others, area under the curve {trial.curve.area:.3f}"
    )


@app.command()
def report(
    context: typer.Context,
    run_id: Annotated[int, typer.Argument(metavar="RUN", help="See `eval runs`.")],
    html: Html = None,
    md: Md = None,
) -> None:
    """Write the report of a kept run; as Markdown on stdout where no file is named."""
    from rag_pipelines.evaluation.store import get_run

    chosen = invocation(context)
    with chosen.database.connection() as connection:
        found = get_run(connection, run_id)
    made = _report_of(chosen, found)
    write_report(made, html, md)
    if not (html or md):
        typer.echo(made.markdown())


@app.command()
def export(
    context: typer.Context,
    run_id: Annotated[int, typer.Argument(metavar="RUN", help="See `eval runs`.")],
    to: Annotated[
        Literal["deepeval", "mlflow", "ragas", "trulens"],
        typer.Option("--to", help="The tool that reads it."),
    ],
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="The file to write; none for MLflow.")
    ] = None,
    golden: Annotated[
        Path | None,
        typer.Option("--golden", metavar="GOLDEN", help="The golden set, for the quotes that it expects."),
    ] = None,
    split: Split = None,
    experiment: Annotated[str, typer.Option(metavar="NAME", help="MLflow's experiment.")] = "rag-pipelines",
) -> None:
    """Write a kept run as a data set of RAGAS, DeepEval or TruLens, or keep its figures in MLflow.

    A data set holds the text of the passages; its file is for this user only.
    """
    from rag_pipelines.evaluation.export import log_to_mlflow, samples_of, write_samples
    from rag_pipelines.evaluation.golden import read_golden
    from rag_pipelines.evaluation.store import get_run

    if (file is None) != (to == "mlflow"):
        raise UsageError("MLflow takes no --file; every other tool reads one: give --file FILE")
    asked = read_golden(golden, split) if golden else None
    with invocation(context).database.connection() as connection:
        found = get_run(connection, run_id)
        if file is None:
            typer.echo(f"kept in MLflow as run {log_to_mlflow(found, experiment)} of {experiment}")
            return
        made = samples_of(connection, found, asked)
    if asked is not None and asked.fingerprint != found.golden_key:
        say("note: the golden set has changed since the run; the quotes are those that it has now")
    if made.gone:
        say(f"note: {number(made.gone, 'passage')} of the run were collected since, and are left out")
    typer.echo(f"wrote {number(write_samples(file, made.samples, to), 'question')} to {file}")


@app.command()
def mine(
    context: typer.Context,
    out: Annotated[Path, typer.Argument(metavar="FILE", help="The golden set to write, JSONL.")],
    index: Index = None,
    limit: Annotated[int, typer.Option(min=1, help="How many questions at most.")] = 200,
    restricted: Annotated[
        bool, typer.Option("--restricted", help="Also use documents with restricted access.")
    ] = False,
) -> None:
    """Make weak questions from titles, headings and links of an index, for a person to sift."""
    from rag_pipelines.evaluation.golden import write_golden
    from rag_pipelines.evaluation.labels import mine_questions
    from rag_pipelines.index.versions import live_version

    chosen = invocation(context)
    name = chosen_index(chosen, index)
    with chosen.database.connection() as connection:
        version = live_version(connection, name)
        if version is None:
            raise UsageError(f"index {name!r} has no live version; run `rag-pipelines index build {name}`")
        made = mine_questions(connection, chosen.settings, version, limit=limit, restricted=restricted)
    typer.echo(f"wrote {number(write_golden(out, made), 'question')} to {out}")


@app.command("import-log")
def import_query_log(
    log: Annotated[
        Path,
        typer.Argument(metavar="LOG", help="The query log: JSONL with 'query' and optionally 'clicked'."),
    ],
    out: Annotated[Path, typer.Argument(metavar="FILE", help="The golden set to write, JSONL.")],
) -> None:
    """Make questions from a query log: e-mail addresses, phone, card and account numbers are taken out.

    Names of people stay; read the file before you keep it.
    """
    from rag_pipelines.evaluation.golden import write_golden
    from rag_pipelines.evaluation.labels import import_log

    if not log.is_file():
        raise UsageError(f"there is no query log {log}")
    made = import_log(log)
    unjudged = sum("unjudged" in question.tags for question in made)
    typer.echo(
        f"wrote {number(write_golden(out, made), 'question')} to {out}; {unjudged:,} expect nothing yet"
    )


def _fusion(pairs: Sequence[str]) -> dict[str, Any]:
    from pydantic import ValidationError

    from rag_pipelines.config.settings import FusionSettings

    given = {key: value for key, _, value in (pair.partition("=") for pair in pairs)}
    try:
        checked = FusionSettings.model_validate(given)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        valid = ", ".join(FusionSettings.model_fields)
        raise UsageError(f"--fusion received {', '.join(pairs)}: {wrong}; valid keys: {valid}") from None
    return {key: getattr(checked, key) for key in given}


def _weight(fusion: Any) -> str:
    return f"{fusion['dense_weight']:g}" if fusion["method"] == "weighted" else f"k {fusion['rrf_k']}"


def _report_of(chosen: Invocation, run: Run) -> Any:
    from rag_pipelines.evaluation.report import run_report
    from rag_pipelines.evaluation.store import names_of

    with chosen.database.connection() as connection:
        names = names_of(connection, (hit.document_id for answer in run.answers for hit in answer.hits[:3]))
    return run_report(run, names)


def _write_trec(chosen: Invocation, run: Run, path: Path) -> None:
    """A document is its external id, with its source in front where the index has several."""
    from rag_pipelines.evaluation.store import names_of
    from rag_pipelines.evaluation.trec import write_run

    with chosen.database.connection() as connection:
        names = names_of(connection, (hit.document_id for answer in run.answers for hit in answer.hits))
    alone = len({name.partition("/")[0] for name in names.values()}) == 1
    rankings = []
    for answer in run.answers:
        best: dict[str, float] = {}
        for hit in answer.hits:
            name = names.get(hit.document_id, str(hit.document_id))
            best.setdefault(name.partition("/")[2] if alone else name, hit.score)
        rankings.append((answer.id, list(best.items())))
    with path.open("w", encoding="utf-8") as file:
        write_run(file, rankings, run.label or f"{run.index}-v{run.version}")
    say(f"wrote {path}")


def _show_summary(run: Run, found: RunSummary) -> None:
    from rag_pipelines.evaluation.run import ALL

    measures = list(found.figures.get(ALL, {}))
    rows = [
        (name, of[measures[0]].n if measures and measures[0] in of else None,
         *(f"{of[measure].mean:.4f}" if measure in of else None for measure in measures))
        for name, of in found.figures.items()
    ]  # fmt: skip
    print_table(("slice", "questions", *measures), rows, title=run.name)
    for name, one in found.figures.get(ALL, {}).items():
        say(f"{name}: 95 % interval {one.low:.4f} to {one.high:.4f}")
    if found.no_answer is not None:
        roc = found.no_answer
        say(
            f"no answer: area {roc.area:.3f}; confidence below {roc.threshold:.4g} as no answer judges "
            f"{roc.correct:.1%} rightly"
        )
    say(f"latency p50 {found.p50_ms:.1f} ms, p95 {found.p95_ms:.1f} ms with embedding the question")
    for note in run.notes[:10]:
        say(f"note: {note}")
    if len(run.notes) > 10:
        say(f"note: and {len(run.notes) - 10:,} more; see `rag-pipelines eval report {run.run_id}`")
    for answer in run.answers:
        for violation in answer.violations:
            say(f"error: {answer.id}: {violation}")
