"""``rag-pipelines backup`` and ``restore``: everything that is stored as a folder, and from it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from rag_pipelines.cli.invocation import invocation
from rag_pipelines.cli.output import AsJson, number, print_json
from rag_pipelines.errors import UsageError


def backup(
    context: typer.Context,
    folder: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="A new folder, which the backup becomes.")
    ] = None,
    objects: Annotated[
        bool, typer.Option("--objects/--no-objects", help="Whether the blob store is copied as well.")
    ] = True,
    note: Annotated[
        str | None,
        typer.Option(
            "--note", metavar="TEXT", help="Only note that a backup was made by other means, and which."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Back up the database and the blob store into a folder, beside runs, builds and searches."""
    from rag_pipelines.backup.files import back_up, note_backup

    if (folder is None) == (note is None):
        raise UsageError("received no FOLDER and no --note, or both; valid: one of them")
    chosen = invocation(context)
    if note is not None:
        with chosen.database.transaction() as connection:
            note_backup(connection, note, {})
        typer.echo(f"noted: {note}")
        return
    assert folder is not None
    made = back_up(chosen.database, chosen.settings, folder, objects=objects)
    if as_json:
        print_json(made)
    else:
        copied = "without the blob store" if made.objects is None else f"{number(made.objects, 'object')}"
        typer.echo(
            f"{folder}: {number(made.documents, 'document')}, {made.dump_bytes / 1e6:,.1f} MB, {copied}"
        )


def restore(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="The folder of a backup.")],
    as_json: AsJson = False,
) -> None:
    """Fill an empty database and the blob store from a backup; `verify --deep` then proves it complete."""
    from rag_pipelines.backup.files import restore as restore_from
    from rag_pipelines.runtime import open_database

    settings = invocation(context).settings
    with closing(open_database(settings)) as database:
        made = restore_from(database, settings, folder)
    if as_json:
        print_json(made)
    else:
        typer.echo(
            f"restored {number(made.documents, 'document')} of {made.made_at:%Y-%m-%d %H:%M} UTC; "
            "prove it: rag-pipelines verify --deep"
        )
