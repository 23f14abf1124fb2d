"""A server and its streaming replica, for tests that need both.

What belongs here: making and stopping the replica, and waiting for it. What does not: assertions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import psycopg

from rag_pipelines.store.embedded import SUPERUSER, EmbeddedServer

REPLICATED = {"wal_level": "replica", "max_wal_senders": "4"}
"""What the first server is started with."""


class Replica(NamedTuple):
    """Addresses of the database on both servers."""

    primary: str
    url: str

    def execute(self, statement: str) -> None:
        """Run a statement on the replica."""
        with self._connect() as connection:
            connection.execute(statement)

    def _connect(self) -> psycopg.Connection:
        """A connection to the replica, whose start may end as any statement may."""
        while True:
            try:
                return psycopg.connect(self.url, autocommit=True)
            except psycopg.OperationalError as error:
                if "conflict with recovery" not in str(error):
                    raise

    def pause(self) -> None:
        """Replay nothing for now."""
        self.execute("SELECT pg_wal_replay_pause()")

    def resume(self) -> None:
        """Replay again. What is replayed then may end the very statement that asked for it."""
        with suppress(psycopg.errors.SerializationFailure):
            self.execute("SELECT pg_wal_replay_resume()")

    def catch_up(self) -> None:
        """Wait until everything that the primary has committed can be read here.

        A replica is sent what is flushed. The servers of tests commit without that, and the end of the log
        may stay behind for 15 s, until the background writer adds to it; a flushed commit takes it along.
        """
        with (
            psycopg.connect(self.primary, autocommit=True) as primary,
            self._connect() as here,
        ):
            primary.execute("SET synchronous_commit = on")
            primary.execute("SELECT pg_logical_emit_message(true, 'test', 'flush')")
            written = primary.execute("SELECT pg_current_wal_flush_lsn()::text").fetchone()
            replayed = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
            caught_up = False
            while not caught_up:
                with suppress(psycopg.errors.SerializationFailure):
                    caught_up = here.execute(replayed, written).fetchone() == (True,)


@contextmanager
def replica_of(primary: EmbeddedServer, folder: Path, **settings: str) -> Iterator[Replica]:
    """A replica of a running server in `folder`, reading as soon as it is given."""
    url = primary.start()
    server = EmbeddedServer(folder, settings)
    folder.mkdir()
    server._open_to_server()
    server._make_folder(server.data)
    host = str(psycopg.conninfo.conninfo_to_dict(url)["host"])
    place = ("-h", host, "-U", SUPERUSER, "-D", str(server.data))
    server._run("pg_basebackup", *place, "-R", "-X", "stream", "-c", "fast", "--no-sync")
    server._launch()
    try:
        found = server._read_pid_file()
        assert found is not None
        yield Replica(url, url.replace(quote(host, safe=""), quote(found.socket_dir, safe="")))
    finally:
        server.stop()
