"""``rag-pipelines doctor --production``: what a deployment should have before others rely on it.

What belongs here: checks of a deployment as a whole; each says what to do. They change nothing, but for one
object that is written to the blob store and removed. What does not: checks of one machine (`doctor`).
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rag_pipelines.cli.checks import Check, run_check
from rag_pipelines.cli.output import age
from rag_pipelines.errors import DatabaseError, RagError

if TYPE_CHECKING:
    from pydantic import SecretStr

    from rag_pipelines.config import Settings
    from rag_pipelines.store.database import Database, Row

BACKUP_SECONDS = 26 * 3600
"""Since the newest backup: a day, and two hours for it to run."""
CLOCK_SECONDS = (2.0, 30.0)
"""Between this machine's clock and the database's: worth a note, and a failure. Freshness goes by both."""
FREE_BYTES = 10 * 10**9
VERIFIED = ("verify-ca", "verify-full")


def production_checks(settings: Settings, config: Path) -> Iterator[Check]:
    """Every check of a deployment; those of the database are one failure where it cannot be reached."""
    yield _secrets(config)
    yield _reader(settings)
    yield _disk(settings)
    yield run_check("blobs", partial(_blobs, settings))
    if settings.database.url is None:
        yield Check(
            "own database", False, "the embedded Postgres is for one machine; set database.url to a server"
        )
        return
    for name in ("url", "session_url", "reader_url"):
        url = getattr(settings.database, name)
        if url is not None:
            yield run_check(f"encryption of database.{name}", partial(_encryption, name, url))
    try:
        yield from _of_database(settings)
    except RagError as error:
        yield Check("state of the database", False, str(error))


def _secrets(config: Path) -> Check:
    from rag_pipelines.config.load import read_config
    from rag_pipelines.config.problems import literal_secrets

    written = [".".join(map(str, path)) for path, _ in literal_secrets(read_config(config))]
    if written:
        detail = (
            f"{', '.join(written)}: secrets in clear text; refer to ${{file:…}}, ${{vault:…}} or ${{NAME}}"
        )
        return Check("secrets", False, detail)
    return Check("secrets", True, f"{config} holds none in clear text")


def _reader(settings: Settings) -> Check:
    if settings.database.reader_url is None:
        detail = (
            "searches log in as the owner; make a login that row-level security holds for with "
            "`rag-pipelines access reader --role NAME`, and set database.reader_url"
        )
        return Check("row security", False, detail)
    return Check("row security", True, "searches have a login of their own, which is proved above")


def _disk(settings: Settings) -> Check:
    folder = next(place for place in (settings.data_dir, *settings.data_dir.parents) if place.exists())
    usage = shutil.disk_usage(folder)
    detail = f"{usage.free / 1e9:.1f} of {usage.total / 1e9:.1f} GB are free at {settings.data_dir}"
    if usage.free >= FREE_BYTES:
        return Check("disk", True, detail)
    more = "give it a larger volume: models are prepared and spools are written there"
    return Check("disk", False, f"{detail}, which is less than {FREE_BYTES / 1e9:.0f}; {more}")


def _blobs(settings: Settings) -> Check:
    """Whether an object can be written, read and removed, and whether other machines see it."""
    from rag_pipelines.store.blobs import BlobStore

    store, content = BlobStore.of(settings), os.urandom(32)
    try:
        digest = store.put("raw", content)
        whole = store.get("raw", digest) == content
        store.delete("raw", digest)
    except OSError as error:
        detail = (
            f"{store.url} cannot be written to: {error.strerror}; give the user of this process its rights"
        )
        return Check("blobs", False, detail)
    if not whole:
        return Check("blobs", False, f"{store.url} gave back something else than was written")
    if "://" in store.url and not store.url.startswith("file://"):
        return Check("blobs", True, f"{store.url} can be written, read and deleted from")
    detail = (
        f"{store.url} works, but is a folder: set blobs.url to an object store, unless all machines mount it"
    )
    return Check("blobs", None, detail)


def _encryption(name: str, url: SecretStr) -> Check:
    """Whether a connection is encrypted, and whether it would notice another server in between."""
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    from rag_pipelines.secrets.references import current
    from rag_pipelines.store.address import Login
    from rag_pipelines.store.database import mapped_errors

    where, address = f"encryption of database.{name}", current(url.get_secret_value())
    with mapped_errors(), closing(Login.connect(make_conninfo(address, connect_timeout=10))) as connection:
        encrypted, host = connection.pgconn.ssl_in_use, connection.info.host
    mode = str(conninfo_to_dict(address).get("sslmode") or os.environ.get("PGSSLMODE") or "prefer")
    if host.startswith("/"):
        return Check(where, True, f"a socket of this machine, {host}")
    if not encrypted:
        detail = (
            f"what goes to {host} can be read on the way; switch TLS on there, and set sslmode=verify-full"
        )
        return Check(where, False, detail)
    if mode not in VERIFIED:
        detail = f"TLS, but sslmode={mode} trusts any server; set sslmode=verify-full and sslrootcert"
        return Check(where, None, detail)
    return Check(where, True, f"TLS, sslmode={mode}")


def _of_database(settings: Settings) -> Iterator[Check]:
    from rag_pipelines.runtime import open_database
    from rag_pipelines.store.database import query

    with closing(open_database(settings)) as database:
        with database.connection() as connection:
            before = time.time()
            state = query(connection, "production_state").fetchone()
            after = time.time()
        assert state is not None
        yield _clock(state["now"].timestamp(), before, after)
        yield _extension(state)
        yield _login(state)
        yield _builders(settings, state)
        yield _backup(database)


def _clock(there: float, before: float, after: float) -> Check:
    """The difference of the clocks, less what the question took."""
    skew = max(before - there, there - after, 0.0)
    noted, failed = CLOCK_SECONDS
    detail = f"{skew:.1f} s between this machine and the database"
    if skew <= noted:
        return Check("clock", True, detail)
    return Check(
        "clock", None if skew <= failed else False, f"{detail}; let both follow the same time server"
    )


def _extension(state: Row) -> Check:
    installed, available = state["installed"], state["available"]
    if installed is None:
        detail = "is not installed in this database; have an administrator run: CREATE EXTENSION vector"
        return Check("pgvector", False, detail)
    if available and installed != available:
        detail = (
            f"{installed} is in use and {available} is installed there; run: ALTER EXTENSION vector UPDATE"
        )
        return Check("pgvector", None, detail)
    return Check("pgvector", True, installed)


def _login(state: Row) -> Check:
    if state["superuser"]:
        detail = "database.url logs in as a superuser; a login that owns the schema rag is enough"
        return Check("login", None, detail)
    return Check("login", True, "database.url logs in as no superuser")


def _builders(settings: Settings, state: Row) -> Check:
    """What the build of a graph may take of the server's memory, and how many processes work at it."""
    from rag_pipelines.index.memory import build_memory, gigabytes

    detail = (
        f"{gigabytes(build_memory(settings))} and {state['builders']} more processes for the build of a graph"
    )
    if settings.limits.build_memory is None:
        more = "set limits.build_memory to what the database's machine can spare"
        return Check("maintenance memory", None, f"{detail}, by default; {more}")
    if state["builders"] < 1:
        return Check("maintenance memory", None, f"{detail}; raise max_parallel_maintenance_workers")
    return Check("maintenance memory", True, detail)


def _backup(database: Database) -> Check:
    from rag_pipelines.store.database import query

    try:
        with database.connection() as connection:
            found = query(connection, "newest_backup").fetchone()
    except DatabaseError as error:
        return Check("backups", False, f"there is nothing to back up yet: {error}")
    assert found is not None
    ages = [seconds for seconds in (found["noted"], found["archived"]) if seconds is not None]
    if not ages:
        detail = (
            "none is known of; make one with `rag-pipelines backup FOLDER`, archive the write-ahead log, or "
            "tell of one that was made by other means: `rag-pipelines backup --note TEXT`"
        )
        return Check("backups", False, detail)
    detail = f"the newest is {age(min(ages))} old"
    if min(ages) > BACKUP_SECONDS:
        return Check("backups", False, f"{detail}; make them daily, and note those made by other means")
    return Check("backups", True, detail)
