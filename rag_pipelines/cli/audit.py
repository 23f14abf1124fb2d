"""``rag-pipelines audit``: who did what, whether that record is as it was written, and handing it out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag_pipelines.cli.invocation import ExitCode, invocation
from rag_pipelines.cli.options import DoneSince, DoneUntil, window
from rag_pipelines.cli.output import AsJson, number, print_json, print_table, say

if TYPE_CHECKING:
    from rag_pipelines.audit.chain import Chain
    from rag_pipelines.store.database import Row

app = typer.Typer(no_args_is_help=True, help="Who did what: list it, hand it out, and prove it unchanged.")


class ExportFormat(StrEnum):
    """How rows are handed out."""

    JSONL = "jsonl"
    OCSF = "ocsf"


@app.command()
def verify(
    context: typer.Context,
    anchors: Annotated[
        list[str] | None,
        typer.Option(
            "--anchor",
            metavar="POSITION:HASH",
            help="A head that was kept elsewhere; finds rows taken off the end, too. May be repeated.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say whether every row of the audit is as it was written; the exit code is 1 if one is not.

    Finds rows that were changed, removed, put in or moved, and names them. The head that is printed at the
    end stands for all rows up to it: keep it where nobody who may write to the database can change it.
    """
    from rag_pipelines.audit.chain import Anchor, check_chain

    kept = [Anchor.parse(text) for text in anchors or ()]
    with invocation(context).database.snapshot() as connection:
        found = check_chain(connection, kept)
    if as_json:
        print_json({**_plain(found), "head": str(found.head)})
    else:
        _show(found)
    if found.faults:
        raise typer.Exit(ExitCode.FAILED)


@app.command("list")
def list_rows(
    context: typer.Context, since: DoneSince = None, until: DoneUntil = None, as_json: AsJson = False
) -> None:
    """List what was done, the oldest first."""
    rows = list(_rows(context, since, until))
    if as_json:
        print_json(rows)
    elif rows:
        columns = ("row", "at", "who", "login", "what", "of", "reason")
        print_table(columns, (_line(row) for row in rows))
    else:
        typer.echo("nothing was done in that time")


@app.command()
def export(
    context: typer.Context,
    since: DoneSince = None,
    until: DoneUntil = None,
    form: Annotated[
        ExportFormat,
        typer.Option("--format", help="Rows as they are, or events of OCSF 1.5.0; one JSON object a line."),
    ] = ExportFormat.JSONL,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="By default standard output.")
    ] = None,
) -> None:
    """Hand out what was done, the oldest first, with the hashes of the rows."""
    import msgspec

    from rag_pipelines.audit.ocsf import ocsf_event

    encode = msgspec.json.Encoder().encode
    rows = _rows(context, since, until)
    lines = (encode(ocsf_event(row) if form is ExportFormat.OCSF else row) + b"\n" for row in rows)
    if output is None:
        sys.stdout.writelines(line.decode() for line in lines)
        return
    with output.open("wb") as file:
        file.writelines(lines)


def _rows(context: typer.Context, since: Any, until: Any) -> Iterator[Row]:
    from rag_pipelines.audit.chain import read_rows

    span = window(since, until)
    with invocation(context).database.snapshot() as connection:
        yield from read_rows(connection, span.since, span.until)


def _line(row: Row) -> tuple[Any, ...]:
    at = f"{row['at']:%Y-%m-%d %H:%M:%S}"
    reason = row["detail"].get("reason")
    return row["position"], at, row["actor"], row["login"], row["action"], row["subject"], reason


def _plain(found: Chain) -> dict[str, Any]:
    import msgspec

    plain: dict[str, Any] = msgspec.to_builtins(found)
    return plain


def _show(found: Chain) -> None:
    for fault in found.faults:
        say(f"error: {fault.says}")
    for one in found.redacted:
        who = f" by login {one.login}" if one.login else ""
        say(f"note: a purge{who} took words out of row {one.position}; row {one.row} says so")
    if found.faults:
        faults = number(len(found.faults), "fault")
        say(f"error: {faults} in {number(found.rows, 'row')}; docs/operations/audit.md says what each means")
    else:
        typer.echo(f"{number(found.rows, 'row')}, each as it was written")
    typer.echo(f"head: {found.head}")
