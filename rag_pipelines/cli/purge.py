"""``rag-pipelines purge``: remove documents at once from everything, and prove it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rag_pipelines.cli.ingest import format_counts
from rag_pipelines.cli.invocation import ExitCode, invocation
from rag_pipelines.cli.output import AsJson, number, print_facts, print_json, print_table, say
from rag_pipelines.errors import UsageError

if TYPE_CHECKING:
    from rag_pipelines.retention.proof import Proof
    from rag_pipelines.retention.purge import Purged


def purge(
    context: typer.Context,
    documents: Annotated[
        list[str],
        typer.Option("--document", "-d", metavar="SOURCE:ID", help="The document; may be repeated."),
    ],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="The reason; kept in the audit log.")
    ] = "",
    verify: Annotated[
        bool, typer.Option("--verify", help="Then prove that nothing is left, in every table and blob.")
    ] = False,
    even_if_present: Annotated[
        bool,
        typer.Option(
            "--even-if-present", help="Purge it even if its source still lists it; it will come back."
        ),
    ] = False,
    rewrite: Annotated[
        bool,
        typer.Option("--rewrite", help="Also rewrite the tables, so that no page of them keeps old bytes."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Remove documents at once from the catalogue, every index version, the caches and the blob store.

    A document must be deleted at its source first. Content that other documents share stays theirs. The
    audit keeps who, why and how much, and digests, but no text and no id.

    Deleted rows are vacuumed; their bytes go from disk when the space is used again, or at once with
    --rewrite, which locks each table while it is rewritten. The write-ahead log, replicas, backups, and old
    object versions of a blob store that keeps them, expire by your own rules.

    Runs and builds may be under way: what they write later passes over the document.

    --verify looks for the bytes, blocks, chunks, vectors and cached inputs by digest, and for passages and
    the id word for word. It works later too, by the digests in the audit. The exit code is 1 if anything is
    left.
    """
    from rag_pipelines.retention.purge import purge_document

    chosen = invocation(context)
    done: list[Purged] = []
    for document in documents:
        source, colon, external_id = document.partition(":")
        if not (source and colon and external_id):
            raise UsageError(f"--document received {document!r}; valid: SOURCE:ID, such as docs:guides/a.md")
        purged = purge_document(
            chosen.database,
            chosen.settings,
            source,
            external_id,
            reason=reason,
            verify=verify,
            even_if_present=even_if_present,
            rewrite=rewrite,
        )
        done.append(purged)
        if not as_json:
            _show(purged)
    if as_json:
        print_json(done)
    if any(purged.proof and purged.proof.left for purged in done):
        raise typer.Exit(ExitCode.FAILED)


def _show(purged: Purged) -> None:
    name = f"{purged.source}:{purged.external_id}"
    facts = [
        ("removed", format_counts({kind: n for kind, n in purged.removed.items() if n})),
        ("records", format_counts({f"in {table}": n for table, n in purged.mentions.items()})),
    ]
    print_facts(f"{name} was purged {purged.earlier}" if purged.earlier else f"{name} is purged", facts)
    if purged.proof:
        _show_proof(name, purged.proof)


def _show_proof(name: str, proof: Proof) -> None:
    sought = format_counts({kind: n for kind, n in proof.by.items() if n})
    typer.echo(f"looked for {sought} of it, in every table and {number(proof.blobs, 'blob')}:")
    if proof.traces:
        rows = (
            (trace.place, trace.what, trace.found, ", ".join(trace.shared_with) or "LEFT OVER")
            for trace in proof.traces
        )
        print_table(("place", "what", "found", "shared with"), rows)
    for sentence in proof.waiting:
        typer.echo(f"  still to go: {sentence}")
    for place in proof.not_looked_into:
        typer.echo(f"  not looked into: {place}")
    if proof.left:
        say(f"error: something of {name} is left; see the lines that say LEFT OVER")
    else:
        shared = " that is not another document's" if proof.traces else ""
        typer.echo(
            f"nothing of {name} is left{shared}" + (" but what is still to go" if proof.waiting else "")
        )
