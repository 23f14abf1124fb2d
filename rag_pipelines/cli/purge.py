"""``rag-pipelines purge``: remove documents at once from everything, and prove it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag_pipelines.cli.ingest import format_counts
from rag_pipelines.cli.invocation import ExitCode, Invocation, invocation
from rag_pipelines.cli.output import AsJson, number, print_facts, print_json, print_table, say
from rag_pipelines.errors import UsageError

if TYPE_CHECKING:
    from rag_pipelines.retention.proof import Proof
    from rag_pipelines.retention.purge import Purged


def purge(
    context: typer.Context,
    documents: Annotated[
        list[str] | None,
        typer.Option("--document", "-d", metavar="SOURCE:ID", help="The document; may be repeated."),
    ] = None,
    subjects: Annotated[
        list[str] | None,
        typer.Option("--subject", "-s", metavar="IDENTIFIER", help="A person's name or address; repeat it."),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", metavar="SOURCE:ID", help="A document that stays all the same."),
    ] = None,
    approve: Annotated[
        int | None, typer.Option("--approve", metavar="ID", help="Do what was listed for the person.")
    ] = None,
    receipt: Annotated[
        Path | None,
        typer.Option("--receipt", metavar="FILE", help="Where the receipt goes, or which to check."),
    ] = None,
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
    """Remove documents, or a person, at once from the catalogue, every version, caches and blobs.

    A document must be deleted at its source first. Content that other documents share stays theirs. The
    audit keeps who, why and how much, and digests, but no text and no id.

    Deleted rows are vacuumed; their bytes go from disk when the space is used again, or at once with
    --rewrite, which locks each table while it is rewritten. The write-ahead log, replicas, backups, and old
    object versions of a blob store that keeps them, expire by your own rules.

    Runs and builds may be under way: what they write later passes over the document.

    --subject finds a person everywhere and lists what would go; nothing is removed before --approve, which
    purges what was listed beside runs and builds, puts pseudonyms into records and access rules, and signs a
    receipt over all. --receipt FILE --verify checks such a receipt later.

    --verify looks for the bytes, blocks, chunks, vectors and cached inputs by digest, and for passages and
    the id word for word. It works later too, by the digests in the audit. The exit code is 1 if anything is
    left.
    """
    from rag_pipelines.retention.purge import purge_document

    chosen = invocation(context)
    if not documents:
        _person(
            chosen,
            subjects or [],
            keep or [],
            approve,
            receipt,
            reason=reason,
            verify=verify,
            even_if_present=even_if_present,
            rewrite=rewrite,
            as_json=as_json,
        )
        return
    if subjects or keep or receipt or approve is not None:
        raise UsageError(
            "--document goes without --subject, --keep, --approve and --receipt; do one at a time"
        )
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


def _person(
    chosen: Invocation,
    subjects: list[str],
    keep: list[str],
    approve: int | None,
    receipt: Path | None,
    *,
    reason: str,
    verify: bool,
    even_if_present: bool,
    rewrite: bool,
    as_json: bool,
) -> None:
    """List a person, erase what was listed, or check a receipt."""
    from rag_pipelines.cli.erasure import check_person, erase_person, list_person

    if verify and receipt is not None and approve is None:
        check_person(chosen, receipt, subjects, as_json)
    elif not subjects:
        raise UsageError(
            "give --document SOURCE:ID, or --subject IDENTIFIER, or --receipt FILE with --verify"
        )
    elif approve is None:
        list_person(chosen, subjects, keep, reason, as_json)
    else:
        erase_person(
            chosen,
            approve,
            subjects,
            receipt,
            even_if_present=even_if_present,
            rewrite=rewrite,
            as_json=as_json,
        )


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
