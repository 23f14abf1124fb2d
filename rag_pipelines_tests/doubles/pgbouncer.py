"""A PgBouncer of a test's own before a server: the program itself (Debian: `pgbouncer`), on a Unix socket.

What belongs here: starting and stopping it. What does not: assertions.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg

from rag_pipelines.store.server_account import server_account

PORT = 6432
"""Part of the socket's name only; it does not listen on the network."""


def find_pgbouncer() -> str | None:
    """The program, which Debian puts where only root looks."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def pgbouncer(program: str, server_url: str, **settings: str) -> Iterator[str]:
    """The URL of the same database through a pooler; `settings` are those of PgBouncer.

    It lets in whom the server knows. It refuses to be root, and runs as the server does.
    """
    server = psycopg.conninfo.conninfo_to_dict(server_url)
    with tempfile.TemporaryDirectory(prefix="rag-pooler-") as name:
        folder = Path(name)
        (folder / "users.txt").write_text(f'"{server["user"]}" ""\n')
        written = {
            "listen_addr": "",
            "listen_port": str(PORT),
            "unix_socket_dir": name,
            "auth_type": "trust",
            "auth_file": f"{name}/users.txt",
            "auth_user": str(server["user"]),
            "auth_query": "SELECT usename, passwd FROM pg_shadow WHERE usename = $1",
            "log_connections": "0",
            "log_disconnections": "0",
            "log_pooler_errors": "0",
            **settings,
        }
        lines = ["[databases]", f"* = host={server['host']} port={server['port']}", "[pgbouncer]"]
        lines += [f"{setting} = {value}" for setting, value in written.items()]
        (folder / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
        host = Path(str(server["host"]))
        account = server_account(host, (host / f".s.PGSQL.{server['port']}", Path(program)))
        if account:
            for path in (folder, *folder.iterdir()):
                os.chown(path, account.uid, account.gid)
        process = subprocess.Popen(
            [*(account.program if account else ()), program, f"{name}/pgbouncer.ini"],
            stderr=subprocess.PIPE,
            text=True,
            cwd=name,
            **(account.identity if account else {}),
        )
        assert process.stderr is not None
        try:
            said = []
            for line in process.stderr:
                said.append(line)
                if "process up" in line:
                    break
            else:
                raise RuntimeError(f"PgBouncer did not start:\n{''.join(said)}")
            where = f"host={quote(name, safe='')}&port={PORT}"
            yield f"postgresql://{server['user']}@/{server['dbname']}?{where}"
        finally:
            process.terminate()
            process.wait()
            process.stderr.close()
