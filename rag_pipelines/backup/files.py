"""A backup as a folder: a dump of the schema `rag`, the objects of the blob store, and the proof of both.

What belongs here: making one, and a new deployment from one. What does not: the programs of Postgres
(`programs`), and whether what was restored is complete (`verification`).

The database is dumped before the objects are copied: an object that is too many is collected as garbage, one
that is missing costs its document a load from the source. ``backup.json`` is written last: a folder without
it is no backup.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from rag_pipelines import __version__
from rag_pipelines.backup.programs import run_program
from rag_pipelines.config.settings import Settings
from rag_pipelines.errors import MissingContentError, UsageError
from rag_pipelines.progress import Progress, no_progress
from rag_pipelines.store.audit import record_audit
from rag_pipelines.store.blobs import BlobStore, Kind
from rag_pipelines.store.database import Database, Pg, query
from rag_pipelines.stored import Form

SCHEMAS = ("rag", "rag_facts")
"""Everything of ours in the database."""

DUMP, BLOBS, MANIFEST = "rag.dump", "blobs", "backup.json"
ACTION = "backup"
"""What the audit calls one."""

KINDS: tuple[Kind, ...] = ("raw", "blocks")


class Backup(msgspec.Struct, frozen=True):
    """What a backup holds. `objects` is None where the blob store is backed up in another way."""

    made_at: datetime
    release: str
    documents: int
    dump_sha256: str
    dump_bytes: int
    objects: int | None


MANIFEST_FORM = Form("backup", Backup)


def back_up(
    database: Database,
    settings: Settings,
    folder: Path,
    *,
    objects: bool = True,
    progress: Progress = no_progress,
) -> Backup:
    """Write a backup into `folder`, which is new; runs, builds and searches may go on.

    Raises:
        UsageError: something is there already, or `pg_dump` is not.
        DatabaseError: the dump failed.
    """
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty; name a new folder for each backup")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    with database.connection() as connection:
        version = connection.info.server_version
        found = query(connection, "documents_to_back_up").fetchone()
    dump = folder / DUMP
    url = database.session_url
    schemas = (f"--schema={name}" for name in SCHEMAS)
    run_program("pg_dump", url, version, "--format=custom", *schemas, f"--file={dump}")
    copied = None
    if objects:
        copied = _copy(BlobStore.of(settings), BlobStore(str(folder / BLOBS)), progress)
    assert found is not None
    with dump.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    made = Backup(datetime.now(UTC), __version__, found["documents"], digest, dump.stat().st_size, copied)
    (folder / MANIFEST).write_bytes(msgspec.json.encode(MANIFEST_FORM.encode(made)))
    with database.transaction() as connection:
        note_backup(connection, str(folder), {"documents": made.documents, "objects": made.objects})
    return made


def note_backup(connection: Pg, what: str, detail: dict[str, Any]) -> None:
    """Leave word in the audit that a backup was made; `doctor --production` reads it."""
    record_audit(connection, ACTION, what, detail)


def restore(
    database: Database, settings: Settings, folder: Path, *, progress: Progress = no_progress
) -> Backup:
    """Fill an empty database and the blob store from a backup.

    Raises:
        UsageError: the folder is no whole backup, or the database has one of `SCHEMAS`.
        DatabaseError: the restoration failed; what was restored of the database is undone.
    """
    made = read_backup(folder)
    with database.connection() as connection:
        version = connection.info.server_version
        found = query(connection, "schemas_among", {"schemas": list(SCHEMAS)}).fetchone()
        if found is not None:
            raise UsageError(
                f"the database has a schema {found['name']!r} already; restore into an empty one, or drop it "
                "first"
            )
        query(connection, "create_vector")
    arguments = ("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")
    run_program("pg_restore", database.session_url, version, *arguments, str(folder / DUMP))
    if made.objects is not None:
        _copy(BlobStore(str(folder / BLOBS)), BlobStore.of(settings), progress)
    return made


def read_backup(folder: Path) -> Backup:
    """What a folder holds. Raises `UsageError` where it is no whole backup."""
    try:
        made = MANIFEST_FORM.decode(msgspec.json.decode((folder / MANIFEST).read_bytes()))
        with (folder / DUMP).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise UsageError(
            f"{folder} is no whole backup: {error.filename} is not there; a backup that ended has it"
        ) from None
    if digest != made.dump_sha256:
        raise UsageError(
            f"{folder / DUMP} is not what was written: its SHA-256 is {digest}, not {made.dump_sha256}"
        )
    return made


def _copy(source: BlobStore, target: BlobStore, progress: Progress) -> int:
    """Every object of one store that the other has not; each is read, and held to its digest."""
    copied = 0
    for kind in KINDS:
        for digest in source.digests(kind):
            if not target.holds(kind, digest):
                try:
                    target.put(kind, source.get(kind, digest))
                except MissingContentError:
                    if source.holds(kind, digest):
                        raise
                    continue  # collected as garbage since it was listed
            copied += 1
            progress("objects", copied, None)
    return copied
