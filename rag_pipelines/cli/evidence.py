"""``rag-pipelines evidence``: what was done and proven since a date, as one signed file; and checking one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rag_pipelines.cli.invocation import ExitCode, invocation
from rag_pipelines.cli.options import DoneSince
from rag_pipelines.cli.output import AsJson, number, print_json, say
from rag_pipelines.errors import UsageError


def evidence(
    context: typer.Context,
    since: DoneSince = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.zip", help="The new file to write.")
    ] = None,
    verify: Annotated[
        Path | None, typer.Option("--verify", metavar="FILE.zip", help="Check a pack instead.")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            "--key",
            metavar="FILE",
            help="The private key (Ed25519, PEM); by default one of its own, made when first needed.",
        ),
    ] = None,
    public_key: Annotated[
        Path | None,
        typer.Option(
            "--public-key", metavar="FILE", help="With --verify: the key that it has to be signed with."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write what was done and proven since a date into one signed file, or check such a file.

    Access proofs, gates, versions, deletions with who decided, erasures, verifications, holds, switches,
    canaries, who did what, and the head of the audit's chain. No text, no id of a document, no question.

    With --verify the exit code is 1 where the pack is not as it was signed; no database is asked.
    """
    if verify is not None:
        if since or output or key:
            raise UsageError("--verify checks a file; it goes with --public-key and --json only")
        _check(verify, public_key, as_json)
        return
    if since is None or output is None:
        raise UsageError("name the time and the file, such as --since 2026-01-01 --output evidence.zip")
    if public_key:
        raise UsageError("--public-key goes with --verify; to sign, name the private key with --key")
    from rag_pipelines.audit.evidence import write_pack
    from rag_pipelines.audit.signing import key_file, public_file

    chosen = invocation(context)
    private = key or key_file(chosen.settings.data_dir)
    manifest = write_pack(chosen.database, since, output, private)
    if as_json:
        print_json(manifest)
    else:
        counts = ", ".join(f"{count:,} {name}" for name, count in manifest.counts.items())
        typer.echo(f"{output}: {counts}")
        typer.echo(f"audit: {number(manifest.audit_rows, 'row')}, head {manifest.audit}")
        typer.echo(f"signed with {private}; give {public_file(private)} to whoever checks it")
    for fault in manifest.audit_faults:
        say(f"error: {fault}")
    if manifest.audit_faults:
        raise typer.Exit(ExitCode.FAILED)


def _check(file: Path, public_key: Path | None, as_json: bool) -> None:
    from rag_pipelines.audit.evidence import check_pack

    try:
        public = public_key.read_bytes() if public_key else None
    except OSError as error:
        raise UsageError(f"--public-key {public_key} cannot be read: {error}") from error
    found = check_pack(file, public)
    if as_json:
        print_json(found)
    else:
        for fault in found.faults:
            say(f"error: {fault}")
        for fault in found.manifest.audit_faults:
            say(f"note: when it was made, the audit had a fault: {fault}")
        if found.known_key is None:
            say("note: whose key signed it is not known; give the maker's with --public-key")
        if not found.faults:
            made = found.manifest
            typer.echo(f"{file} is as it was signed, by {made.made_by} at {made.made_at:%Y-%m-%d %H:%M}")
            typer.echo(f"compare with the database: rag-pipelines audit verify --anchor {made.audit}")
    if found.faults:
        raise typer.Exit(ExitCode.FAILED)
