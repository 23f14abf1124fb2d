"""``rag-pipelines losses``: what documents show and their indexed text does not hold."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from rag_pipelines.cli.invocation import invocation
from rag_pipelines.cli.output import AsJson, print_json, print_table


def losses(
    context: typer.Context,
    source: Annotated[str | None, typer.Argument(help="Only this source.")] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", help="Only this kind, such as words_missing; may be repeated."),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="Show at most this many documents.")
    ] = 20,
    as_json: AsJson = False,
) -> None:
    """List what was lost in parsing: by source and format, then the worst documents."""
    from rag_pipelines.parsing.formats import format_name
    from rag_pipelines.store.losses import KINDS, documents_with_losses, losses_by_format

    chosen = invocation(context)
    if source is not None:
        chosen.settings.source(source)
    kinds = tuple(kind or KINDS)
    with chosen.database.connection() as connection:
        formats = losses_by_format(connection, source, kinds)
        documents = documents_with_losses(connection, source, kinds, limit)
    for row in (*formats, *documents):
        row["format"] = format_name(row["media_type"])
    if as_json:
        print_json({"formats": formats, "documents": documents})
    elif not formats:
        typer.echo("nothing is lost" + (" of these kinds" if kind else ""))
    else:
        print_table(
            ("source", "format", "lost", "count", "documents", "of", "share of words"),
            (
                (
                    row["source"],
                    row["format"],
                    row["kind"].replace("_", " "),
                    row["lost"],
                    row["losing"],
                    row["documents"],
                    _share(row["lost"], row["words_seen"]) if row["kind"] == "words_missing" else None,
                )
                for row in formats
            ),
        )
        print_table(
            ("source", "document", "format", "share of words", "lost"),
            (
                (
                    row["source"],
                    row["external_id"],
                    row["format"],
                    _percent(row["missing_share"]),
                    ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in row["losses"].items()),
                )
                for row in documents
            ),
            title="Worst documents",
        )


def _share(lost: int, seen: int) -> str | None:
    return _percent(lost / seen) if seen else None


def _percent(share: Any) -> str | None:
    return None if share is None else f"{100 * share:.2f} %"
