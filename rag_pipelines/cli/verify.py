"""``rag-pipelines verify``: compare sources, catalogue and live indexes afresh, and mend what drifted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag_pipelines.cli.invocation import invocation
from rag_pipelines.cli.options import SourceNames
from rag_pipelines.cli.output import AsJson, age, number, print_json, print_table, say, stage_bars
from rag_pipelines.cli.sources import end, for_each, say_waiting

if TYPE_CHECKING:
    from rag_pipelines.verification.drift import Certificate


def verify(
    context: typer.Context,
    sources: SourceNames = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair what can be repaired automatically, and verify again.")
    ] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read every stored object and compare it with its digest.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List the ids of sources afresh, compare them with what is stored and indexed, and certify the result.

    A repair reopens what is damaged, ingests with a full listing, builds and promotes: by the same guards
    and gates as ever. The certificates are kept. The exit code is 3 while anything has drifted.
    """
    from rag_pipelines.sync.engine import check_names
    from rag_pipelines.verification.repair import repair_source
    from rag_pipelines.verification.verify import verify_source

    chosen = invocation(context)
    found: dict[str, dict[str, Any]] = {}

    def look(name: str) -> None:
        with stage_bars(name, shown=not as_json) as progress:
            shared: dict[str, Any] = {"deep": deep, "progress": progress}
            certificates = verify_source(chosen.runtime, name, **shared)
            done: list[str] = []
            if repair and not all(one.complete for one in certificates):
                done = repair_source(chosen.runtime, certificates, **shared)
                certificates = verify_source(chosen.runtime, name, **shared)
        complete = all(one.complete for one in certificates)
        found[name] = {"complete": complete, "repaired": done, "certificates": certificates}
        if not as_json:
            for line in done:
                say(f"repair: {line}")
            _show(name, certificates)

    names = check_names(chosen.settings, sources or [])
    errors = for_each(names, look)
    with chosen.database.connection() as connection:
        say_waiting(connection, sources or None)
    if as_json:
        print_json(found | {name: {"complete": False, "error": str(why)} for name, why in errors.items()})
    end(errors, sound=all(one["complete"] for one in found.values()))


def _show(source: str, certificates: list[Certificate]) -> None:
    from rag_pipelines.verification.drift import kind_of

    catalogue = certificates[0].counts
    stages = ("listed", "stored", "parsed", "chunked", "embedded", "quarantined", "chunks", "vectors")
    print_table(
        (*stages, "listed", "groups listed"),
        [
            [
                *(catalogue[stage] for stage in stages),
                _ago(catalogue["listing_age_s"]),
                _ago(catalogue["groups_age_s"]),
            ]
        ],
        title=source,
    )
    if certificates[1:]:
        rows = (
            (
                one.index,
                str(one.version),
                one.counts["indexed"],
                one.counts["rows"],
                _ago(one.counts["age_s"]),
            )
            for one in certificates[1:]
        )
        print_table(("index", "live version", "documents", "rows", "sources as of"), rows)
    drifted = [(one, drift) for one in certificates for drift in one.drift]
    if not drifted:
        failed = catalogue["quarantined"]
        besides = f", except {number(failed, 'failure')} in quarantine" if failed else ""
        typer.echo(f"{source} is complete: what it lists is stored, processed and indexed{besides}")
        return
    columns = ("drift", "where", "documents", "meaning", "such as", "what to do")
    print_table(
        columns,
        (
            (
                drift.kind.replace("_", " "),
                one.index or "catalogue",
                drift.documents,
                kind_of(drift).meaning,
                ", ".join(drift.samples[:3]) + (", …" if drift.documents > 3 else ""),
                one.advice(drift),
            )
            for one, drift in drifted
        ),
    )


def _ago(seconds: int | None) -> str:
    return "never" if seconds is None else f"{age(seconds)} ago"
