"""What ``rag-pipelines purge --subject`` does: list a person, approve the erasure, check its receipt.

What belongs here: the words. What does not: the command and its options (`purge`), and erasing
(`retention.erasure`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rag_pipelines.cli.ingest import format_counts
from rag_pipelines.cli.invocation import ExitCode, Invocation
from rag_pipelines.cli.output import number, print_facts, print_json, print_table, say

if TYPE_CHECKING:
    from rag_pipelines.retention.subject import Found


def list_person(
    chosen: Invocation, subjects: Sequence[str], keep: Sequence[str], reason: str, as_json: bool
) -> None:
    """Show where a person is, and how to approve the erasure."""
    from rag_pipelines.retention.erasure import list_subject

    listed = list_subject(chosen.database, chosen.settings, subjects, keep=keep, reason=reason)
    if as_json:
        print_json(listed)
        return
    _show_found(listed.found, listed.kept)
    typer.echo(
        f"nothing is removed yet; erasure {listed.erasure_id} waits for `rag-pipelines purge --approve "
        f"{listed.erasure_id}` with the same --subject"
    )


def erase_person(
    chosen: Invocation,
    erasure_id: int,
    subjects: Sequence[str],
    receipt: Path | None,
    *,
    even_if_present: bool,
    rewrite: bool,
    as_json: bool,
) -> None:
    """Erase, write the receipt, and say what came of it; exit code 1 where something is left."""
    from rag_pipelines.retention.erasure import erase_subject
    from rag_pipelines.retention.receipt import write_receipt

    done = erase_subject(
        chosen.database,
        chosen.settings,
        erasure_id,
        subjects,
        even_if_present=even_if_present,
        rewrite=rewrite,
    )
    if receipt is not None:
        write_receipt(done, receipt)
    if as_json:
        print_json(done)
    else:
        print_facts(
            f"erasure {erasure_id} is done",
            [
                ("documents", number(len(done.documents), "document") + " purged"),
                ("rows", format_counts(done.rows)),
                ("stay", "; ".join(f"{n} {why}" for why, n in Counter(done.stayed.values()).items())),
                ("receipt", str(receipt) if receipt else f"kept with erasure {erasure_id}"),
            ],
        )
        for sentence in done.waiting:
            typer.echo(f"  still to go: {sentence}")
        if done.human:
            typer.echo(f"  for a person: {number(done.human, 'place')} that no program changes; list again")
    if done.left:
        say(f"error: something is left: {format_counts(done.left)}; list and approve once more")
        raise typer.Exit(ExitCode.FAILED)


def check_person(chosen: Invocation, path: Path, subjects: Sequence[str], as_json: bool) -> None:
    """Check a receipt; exit code 1 where it is not ours, or something of what it tells of is there."""
    from rag_pipelines.retention.erasure import check_receipt
    from rag_pipelines.retention.receipt import read_receipt

    receipt = read_receipt(path)
    checked = check_receipt(chosen.database, chosen.settings, receipt, subjects)
    if as_json:
        print_json(checked)
    else:
        sought = format_counts({kind: n for kind, n in checked.proof.by.items() if n})
        typer.echo(f"receipt of erasure {receipt.erasure_id}, {receipt.made_at:%Y-%m-%d}, by {receipt.by}")
        typer.echo(
            f"looked for {sought or 'no digests'} in every table and {number(checked.proof.blobs, 'blob')}"
        )
        if checked.proof.traces:
            print_table(
                ("place", "what", "found", "shared with"),
                (
                    (one.place, one.what, one.found, ", ".join(one.shared_with) or "LEFT OVER")
                    for one in checked.proof.traces
                ),
            )
        if checked.found is not None:
            _show_found(checked.found, ())
        for place in checked.proof.not_looked_into:
            typer.echo(f"  not looked into: {place}")
    if checked.fault:
        say(f"error: the receipt cannot be trusted: {checked.fault}")
    if checked.back:
        say(f"error: {number(len(checked.back), 'document')} names the person that the receipt does not know")
    if not checked.clean:
        raise typer.Exit(ExitCode.FAILED)
    if not as_json:
        typer.echo("the receipt is as it was signed, and nothing that it tells of is left")


def _show_found(found: Found, kept: Sequence[str]) -> None:
    if found.documents:
        rows = (
            (
                one.name,
                one.state,
                ", ".join(one.places),
                f"stays: held by hold {one.hold}" if one.hold else "stays" if one.name in kept else "purged",
            )
            for one in found.documents
        )
        print_table(("document", "state", "named in", "what happens"), rows)
    else:
        typer.echo("no document names the person")
    for place, n in found.rows.items():
        typer.echo(f"  rewritten or removed: {place}, {number(n, 'row')}")
    for sentence in found.human:
        typer.echo(f"  for a person: {sentence}")
