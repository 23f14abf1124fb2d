"""``rag-pipelines privacy``: what was found in documents, and a profile tried out on a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag_pipelines.cli.invocation import invocation
from rag_pipelines.cli.output import AsJson, number, print_json, print_table, say

if TYPE_CHECKING:
    from rag_pipelines.privacy.profile import PrivacyProfile

app = typer.Typer(
    no_args_is_help=True, help="Personal data and secrets: what was found, and profiles tried out."
)


@app.command()
def findings(
    context: typer.Context,
    source: Annotated[str | None, typer.Argument(help="Only this source.")] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="Show at most this many documents.")
    ] = 20,
    as_json: AsJson = False,
) -> None:
    """List what was found, by source and kind, and the documents with the most; never the values."""
    from rag_pipelines.store.findings import documents_with_findings, findings_by_source, screened_documents

    settings = invocation(context).settings
    named = [source] if source is not None else list(settings.sources)
    for name in named:
        settings.source(name)
    with invocation(context).database.connection() as connection:
        kinds = findings_by_source(connection, named)
        documents = documents_with_findings(connection, named, limit)
        screened = screened_documents(connection, named)
    if as_json:
        print_json({"sources": list(screened.values()), "kinds": kinds, "documents": documents})
        return
    for name in named:
        profile = settings.source(name).privacy
        row = screened.get(name, {})
        if profile is None:
            say(f"note: {name}: no privacy profile, its documents are not screened")
        else:
            counts = [number(row.get("screened", 0), "document") + " screened"]
            counts += [f"{row[what]:,} {what}" for what in ("blocked", "restricted") if row.get(what)]
            say(f"note: {name}: {', '.join(counts)} by the profile {profile}")
    if not kinds:
        typer.echo("nothing was found")
        return
    print_table(
        ("source", "kind", "documents", "places"),
        ((row["source"], row["kind"], row["documents"], row["places"]) for row in kinds),
    )
    print_table(
        ("source", "document", "found", "restricted"),
        (
            (
                row["source"],
                row["external_id"],
                ", ".join(f"{count:,} {kind}" for kind, count in sorted(row["found"].items())),
                "yes" if row["restricted"] else None,
            )
            for row in documents
        ),
        title="Documents with the most",
    )


@app.command("try")
def try_out(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A file of any format that is read.")],
    profile: Annotated[
        str | None,
        typer.Option("--profile", help="A profile of the configuration; by default one with defaults."),
    ] = None,
    show_values: Annotated[
        bool, typer.Option("--show-values", help="Print what was found, and not only where.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Read a file as an ingest would, and print what a profile finds in it; nothing is stored."""
    from rag_pipelines.errors import UsageError
    from rag_pipelines.parsing import registry
    from rag_pipelines.parsing.base import ParseRequest
    from rag_pipelines.privacy.try_out import places_in

    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {str(file)!r}: {error.strerror}; give a file of any format") from None
    document = registry.parse(ParseRequest(data, file.name))
    found = places_in(document, _profile(context, profile))
    rows = [
        {
            "kind": str(one.kind),
            "score": round(one.score, 2),
            "counts": one.counts,
            "page": one.page,
            "line": one.line,
            "column": one.column,
            "heading": one.heading,
            **({"value": one.value} if show_values else {}),
        }
        for one in found
    ]
    if as_json:
        print_json(rows)
    elif not rows:
        typer.echo("nothing was found")
    else:
        print_table(tuple(rows[0]), (tuple(map(_shown, row.values())) for row in rows))
        say(f"note: {number(sum(one.counts for one in found), 'place')} above the profile's thresholds")


def _profile(context: typer.Context, name: str | None) -> PrivacyProfile:
    from rag_pipelines.config.settings import named
    from rag_pipelines.privacy.profile import PrivacyProfile

    if name is None:
        return PrivacyProfile()
    return named("privacy profile", invocation(context).settings.profiles.privacy, name)


def _shown(value: object) -> str | int | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, int) or value is None else str(value)
