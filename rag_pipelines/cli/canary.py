"""``rag-pipelines canary``: let some callers read a candidate, watch it, and end it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag_pipelines.cli.invocation import invocation
from rag_pipelines.cli.output import AsJson, print_facts, print_json, print_table

if TYPE_CHECKING:
    from rag_pipelines.gates.canary import Canary, CanaryReport

app = typer.Typer(
    no_args_is_help=True,
    help="Serve a candidate version to a share of callers and compare it with the live one.",
)

Index = Annotated[str, typer.Argument(metavar="INDEX")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="The reason; kept in the audit log.")]


def share(text: str) -> float:
    """A share such as ``5%`` or ``0.05``. Raises `typer.BadParameter`."""
    number, percent, rest = text.strip().partition("%")
    try:
        found = float(number) / (100 if percent else 1)
    except ValueError:
        found = 0.0
    if rest or not 0 < found <= 1:
        raise typer.BadParameter(f"received {text!r}; valid: above 0 up to 100%, such as 5% or 0.05")
    return found


@app.command()
def start(
    context: typer.Context,
    index: Index,
    version: Annotated[int | None, typer.Option("--version", help="The newest candidate by default.")] = None,
    of_callers: Annotated[
        float | None,
        typer.Option(
            "--share",
            parser=share,
            metavar="SHARE",
            help="Share of callers, such as 5%; canary.share by default.",
        ),
    ] = None,
    tenants: Annotated[
        list[str] | None,
        typer.Option("--tenant", "-t", help="Only callers of this tenant, by default all; may be repeated."),
    ] = None,
    shadow: Annotated[
        bool,
        typer.Option(
            "--shadow", help="Only send that share of searches to the candidate too; serve the live answers."
        ),
    ] = False,
    reason: Reason = "",
    as_json: AsJson = False,
) -> None:
    """Let a share of the callers read a candidate that has passed its gates.

    Every running `rag-pipelines serve` notices within a second or two. A candidate that does worse than the
    index's `canary` allows is aborted for everybody, and may not be promoted.
    """
    from rag_pipelines.gates.canary import start_canary

    chosen = invocation(context)
    started = start_canary(
        chosen.database,
        index,
        version,
        bounds=chosen.settings.index(index).canary,
        share=of_callers,
        tenants=tenants or (),
        mode="shadow" if shadow else "serve",
        reason=reason,
    )
    _show(started, as_json)


@app.command()
def status(
    context: typer.Context,
    index: Annotated[str | None, typer.Argument(metavar="[INDEX]", help="The index; all by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the newest canary of each index, with both versions side by side."""
    from rag_pipelines.gates.canary import latest_reports

    chosen = invocation(context)
    if index is not None:
        chosen.settings.index(index)
    with chosen.database.connection() as connection:
        reports = latest_reports(connection, index)
    if as_json:
        print_json([{**_plain(report.canary), **_figures(report)} for report in reports])
        return
    if not reports:
        typer.echo("there has been no canary yet; start one with: rag-pipelines canary start INDEX")
    for report in reports:
        _show_report(report)


@app.command()
def stop(context: typer.Context, index: Index, reason: Reason = "", as_json: AsJson = False) -> None:
    """End a canary: every caller reads the live version again; the candidate stays one."""
    from rag_pipelines.gates.canary import stop_canary

    chosen = invocation(context)
    chosen.settings.index(index)
    _show(stop_canary(chosen.database, index, reason=reason), as_json)


def _show(canary: Canary, as_json: bool) -> None:
    print_json(_plain(canary)) if as_json else typer.echo(_sentence(canary))


def _sentence(canary: Canary) -> str:
    name, number = canary.index_name, canary.version_id
    whose = f" of tenant {', '.join(canary.tenants)}" if canary.tenants else ""
    if canary.state != "running":
        return f"the canary of version {number} of {name} has {canary.state}"
    part = f"{canary.share * 100:.3g}%"
    if canary.mode == "shadow":
        return f"the service compares {part} of searches{whose} with version {number} of {name}"
    return f"{part} of callers{whose} read version {number} of {name}"


def _show_report(report: CanaryReport) -> None:
    canary, pairs = report.canary, report.canary.pairs
    began = f"{canary.started_at:%Y-%m-%d %H:%M} by {canary.started_by}"
    over = f"{canary.ended_at:%Y-%m-%d %H:%M}: {canary.verdict}" if canary.ended_at else ""
    print_facts(
        f"{canary.index_name}: version {canary.version_id} beside {canary.live_id}, {canary.state}",
        [
            ("who", _sentence(canary) if canary.state == "running" else ""),
            ("began", began + (f" ({canary.reason})" if canary.reason else "")),
            ("ended", over),
            ("compared", f"{pairs.compared:,} searches, {pairs.skipped:,} skipped"),
            ("overlap", f"{report.overlap:.3f} of documents" if report.overlap is not None else ""),
            ("only live", f"answers {pairs.failed:,}, finds anything for {pairs.lost:,}"),
            ("slow", f"{pairs.slow:,}"),
        ],
    )
    columns = ("version", "searches", "empty", "errors", "p50 ms", "p95 ms", "up", "down")
    print_table(columns, (tuple(row.values()) for row in _sides(report)))


def _plain(canary: Canary) -> dict[str, Any]:
    """A canary for a program."""
    import msgspec

    found = {name: getattr(canary, name) for name in canary.__struct_fields__}
    return {**found, "bounds": canary.bounds.model_dump(), "pairs": msgspec.to_builtins(canary.pairs)}


def _figures(report: CanaryReport) -> dict[str, Any]:
    return {"overlap": report.overlap, "versions": _sides(report)}


def _sides(report: CanaryReport) -> list[dict[str, Any]]:
    return [
        {
            "version": f"{side} {number}",
            "searches": figures.searches,
            "empty": figures.empties,
            "errors": figures.errors,
            "p50_ms": figures.quantile(0.5),
            "p95_ms": figures.quantile(0.95),
            "up": report.votes[side].up,
            "down": report.votes[side].down,
        }
        for side, figures in report.sides.items()
        for number in [report.canary.version_id if side == "candidate" else report.canary.live_id]
    ]
