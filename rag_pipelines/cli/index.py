"""``rag-pipelines index``: build, judge, promote, roll back and collect versions of an index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag_pipelines.cli.ingest import format_counts
from rag_pipelines.cli.invocation import ExitCode, Invocation, invocation
from rag_pipelines.cli.output import AsJson, number, print_json, print_table, say, stage_bars
from rag_pipelines.cli.sources import say_waiting

if TYPE_CHECKING:
    from rag_pipelines.index.gate_results import Gate
    from rag_pipelines.index.versions import Version
    from rag_pipelines.store.database import Database

app = typer.Typer(no_args_is_help=True, help="Build, promote and roll back versions of an index.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="The index.")]
VersionNumber = Annotated[int | None, typer.Argument(metavar="[VERSION]")]


@app.command()
def build(
    context: typer.Context,
    name: Name,
    full: Annotated[
        bool, typer.Option("--full", help="Build from scratch, even if nothing changed or little did.")
    ] = False,
    if_changed: Annotated[
        bool, typer.Option("--if-changed", help="What is done anyway; for scripts of before that.")
    ] = False,
    promote: Annotated[
        bool,
        typer.Option("--promote/--no-promote", help="Whether to promote a version that passes its gates."),
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Build a new version, run its gates, and make it live if all pass; the exit code is 1 if not.

    Nothing is built if nothing has changed since the live version was. A version that was built in full is
    copied once it is live, so that the next build can go on from the copy (`keep.spare`).
    """
    found = build_version(invocation(context), name, full=full, promote=promote, as_json=as_json)
    if as_json:
        print_json(found)
    if found.get("refused"):
        raise typer.Exit(ExitCode.FAILED)


def build_version(
    chosen: Invocation, name: str, *, full: bool = False, promote: bool = True, as_json: bool = False
) -> dict[str, Any]:
    """What `build` does to one index, and what it found as JSON; where not `as_json`, it is also said."""
    from rag_pipelines.gates.judge import validate_version
    from rag_pipelines.index.build import build_index
    from rag_pipelines.index.promotion import promote as make_live
    from rag_pipelines.index.promotion import refusals
    from rag_pipelines.index.spare import keep_spare

    database = chosen.database
    with stage_bars(name, shown=not as_json, after=0.4) as progress, chosen.lineage.build(name) as built:
        version = build_index(chosen.runtime, name, full=full, if_changed=not full, progress=progress)
        built.append(version)
    if version is None:
        if not as_json:
            typer.echo(f"{name}: nothing has changed since the live version was built")
        say_open_ends(database, list(chosen.settings.sources_of(name)))
        return {"index": name, "built": False}
    gates = validate_version(chosen.runtime, name, version.version_id)
    chosen.lineage.judgement(version, gates)
    reasons = refusals(version, gates)
    if not as_json:
        show_built(version)
        show_gates(gates)
    say_open_ends(database, version.sources, gates)
    promoted = promote and not reasons
    if promoted:
        make_live(database, name, version.version_id)
    if not as_json:
        if promoted:
            typer.echo(f"version {version.version_id} of {name} is live")
        else:
            _show_verdict(version, reasons)
    if promoted:
        with stage_bars(name, shown=not as_json, after=0.4) as progress:
            keep_spare(chosen.runtime, name, progress)
    return {"built": True, **_plain(version), "gates": gates, "refused": reasons, "promoted": promoted}


@app.command()
def judge(context: typer.Context, name: Name, version: VersionNumber = None, as_json: AsJson = False) -> None:
    """Run the gates of a candidate again, by default the newest; the exit code is 1 if it may not go live."""
    from rag_pipelines.gates.judge import validate_version
    from rag_pipelines.index.gate_results import gates_of
    from rag_pipelines.index.promotion import find_candidate, refusals

    chosen = invocation(context)
    chosen.settings.index(name)
    with chosen.database.connection() as connection:
        candidate = find_candidate(connection, name, version)
    validate_version(chosen.runtime, name, candidate.version_id)
    with chosen.database.connection() as connection:
        candidate = find_candidate(connection, name, candidate.version_id)
        gates = gates_of(connection, candidate.version_id)
    chosen.lineage.judgement(candidate, gates)
    reasons = refusals(candidate, gates)
    if as_json:
        print_json({**_plain(candidate), "gates": gates, "refused": reasons})
    else:
        show_gates(gates)
        _show_verdict(candidate, reasons)
    if reasons:
        raise typer.Exit(ExitCode.FAILED)


@app.command("versions")
def list_versions(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="All indexes by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """List versions with their gates, newest first."""
    from rag_pipelines.index.gate_results import gates_of
    from rag_pipelines.index.versions import versions
    from rag_pipelines.retention.abandoned import mark_abandoned

    chosen = invocation(context)
    if name is not None:
        chosen.settings.index(name)
    mark_abandoned(chosen.database)
    with chosen.database.connection() as connection:
        found = [
            (version, gates_of(connection, version.version_id)) for version in versions(connection, name)
        ]
    if as_json:
        print_json([{**_plain(version), "gates": gates} for version, gates in found])
        return
    if not found:
        typer.echo("there are no versions; build one with: rag-pipelines index build NAME")
        return
    columns = (
        "index",
        "version",
        "state",
        "kind",
        "found by",
        "rows",
        "documents",
        "sources as of",
        "promoted",
        "gates",
    )
    print_table(columns, (_row(version, gates) for version, gates in found))


@app.command()
def promote(
    context: typer.Context,
    name: Name,
    version: VersionNumber = None,
    override: Annotated[
        list[str] | None,
        typer.Option("--override", metavar="GATE", help="A failed gate to override; may be repeated."),
    ] = None,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Name of the person who overrides.")] = "",
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make a candidate live, by default the newest; refused with the list of gates it lacks.

    A gate may be overridden by somebody with a name and a reason; both are kept in the audit.
    """
    from rag_pipelines.index.promotion import Override
    from rag_pipelines.index.promotion import promote as make_live

    chosen = invocation(context)
    chosen.settings.index(name)
    decision = Override(override or (), by, reason) if override or by or reason else None
    _show_live(make_live(chosen.database, name, version, override=decision), as_json)


@app.command()
def rollback(
    context: typer.Context, name: Name, version: VersionNumber = None, as_json: AsJson = False
) -> None:
    """Make a retired version live again, by default the one that was live last; nothing is rebuilt."""
    from rag_pipelines.index.promotion import rollback as make_live_again

    chosen = invocation(context)
    chosen.settings.index(name)
    _show_live(make_live_again(chosen.database, name, version), as_json)


@app.command()
def gc(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="All indexes by default.")] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="Look at all content now, not only at what lost a reference.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Drop versions that nobody needs, as the index's `keep` says.

    Without NAME, also purge deleted documents whose grace is over, and drop content that nothing refers to.
    Runs and builds may be under way: what they may need goes with a later collection.
    """
    from rag_pipelines.index.promotion import collect_versions
    from rag_pipelines.index.spare import keep_spare
    from rag_pipelines.retention.abandoned import mark_abandoned
    from rag_pipelines.retention.garbage import collect_garbage

    chosen = invocation(context)
    database, settings = chosen.database, chosen.settings
    mark_abandoned(database)
    names = [name] if name else list(settings.indexes)
    dropped = {n: collect_versions(database, n, settings.index(n)) for n in names}
    for each in names:
        keep_spare(chosen.runtime, each)
    removed = None if name else collect_garbage(database, settings, whole=whole)
    if as_json:
        print_json({"versions": dropped, "removed": removed})
        return
    for index, found in dropped.items():
        listed = f": {', '.join(map(str, found))}" if found else ""
        typer.echo(f"{index}: dropped {number(len(found), 'version')}{listed}")
    if removed is not None:
        counts = {kind: getattr(removed, kind) for kind in removed.__struct_fields__}
        typer.echo(f"removed: {format_counts(counts)}")


def show_built(version: Version) -> None:
    """One line about a version that was just built, and one more where its memory did not suffice."""
    from rag_pipelines.index.memory import gigabytes

    how = "caught up from the newest retired version" if version.kind == "catch_up" else "built in full"
    rows, documents = number(version.row_count or 0, "chunk"), number(version.document_count or 0, "document")
    typer.echo(f"version {version.version_id} of {version.index_name}: {rows} of {documents}, {how}")
    figures = version.figures
    if figures.rows_in_memory is not None:
        held, taken = number(figures.rows_in_memory, "row"), gigabytes(figures.graph_bytes or 0)
        say(
            f"note: limits.build_memory held {held} of the graph, the rest was built on disk; "
            f"{taken} would hold it all, and make the next full build some ten times quicker"
        )


def show_gates(gates: Iterable[Gate]) -> None:
    """The results of gates as a table."""
    rows = ((g.gate, "passed" if g.passed else "FAILED", g.observed, g.threshold) for g in gates)
    print_table(("gate", "result", "observed", "threshold"), rows)


def say_open_ends(database: Database, sources: Sequence[str], gates: Iterable[Gate] = ()) -> None:
    """What the gates let pass and should be known, and deletions that wait: their documents are built in."""
    for gate in gates:
        for note in gate.detail.get("notes", ()):
            say(f"note: {note}")
    with database.connection() as connection:
        say_waiting(connection, sources)


def _show_verdict(version: Version, reasons: Sequence[str]) -> None:
    """Why a version may not go live, or how it does."""
    name, number = version.index_name, version.version_id
    if not reasons:
        typer.echo(f"make it live with: rag-pipelines index promote {name} {number}")
        return
    say(f"error: version {number} of {name} may not go live:")
    for reason in reasons:
        say(f"  {reason}")


def _show_live(version: Version, as_json: bool) -> None:
    if as_json:
        print_json(_plain(version))
    else:
        typer.echo(f"version {version.version_id} of {version.index_name} is live")


def _plain(version: Version) -> dict[str, Any]:
    """A version for a program: what it is, without the internals of its build."""
    return {
        "index": version.index_name,
        "version": version.version_id,
        "state": version.state,
        "kind": version.kind,
        "vector_index": version.spec.index.vector.index,
        "fingerprint": version.fingerprint,
        "sources": version.sources,
        "model": version.spec.model_name,
        "rows": version.row_count,
        "documents": version.document_count,
        "as_of": version.as_of,
        "created_at": version.created_at,
        "built_at": version.built_at,
        "promoted_at": version.promoted_at,
        "retired_at": version.retired_at,
        "error": version.error,
        "graph_bytes": version.figures.graph_bytes,
        "build_memory": version.figures.build_memory,
        "rows_in_memory": version.figures.rows_in_memory,
    }


def _row(version: Version, gates: list[Gate]) -> tuple[Any, ...]:
    passed = sum(gate.passed for gate in gates)
    return (
        version.index_name,
        str(version.version_id),
        version.state,
        version.kind.replace("_", " "),
        version.spec.index.vector.index,
        version.row_count,
        version.document_count,
        f"{version.as_of:%Y-%m-%d %H:%M}" if version.as_of else None,
        f"{version.promoted_at:%Y-%m-%d %H:%M}" if version.promoted_at else None,
        f"{passed} of {len(version.required_gates)}",
    )
