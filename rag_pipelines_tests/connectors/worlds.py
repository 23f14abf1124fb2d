"""The systems that the conformance kit is run on.

What belongs here: one `World` for each kind of source that is files or rows, and the list of all worlds;
the worlds that are servers have modules of their own. What does not: promises or assertions.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from rag_pipelines.connectors.base import Connector, Entry
from rag_pipelines_tests.connectors.confluence_world import ConfluenceCloud, ConfluenceDataCenter
from rag_pipelines_tests.connectors.conformance import Case, World, divert
from rag_pipelines_tests.connectors.jira_world import JiraCloud, JiraDataCenter

MAX_BYTES = 10_000
TOO_MUCH = "x" * (MAX_BYTES + 1)

EMPTIED = "test_a_source_that_names_nothing_any_more_is_emptied_only_by_order"
KEEPS_TOKEN = "test_a_rename_keeps_the_token"
VANISHED = "test_content_that_vanished_after_the_listing_fails_that_document_only"
VANISHED_IN_SYNC = "test_a_document_that_cannot_be_loaded_is_served_as_it_was"

OWN_GROUPS = "the system has no directory: callers bring their groups with them"

_numbers = itertools.count()


class LocalFiles(World):
    name = "filesystem"
    kind = "filesystem"
    not_applicable: ClassVar = {
        Case.DUPLICATE_IDS: "a folder has each name once",
        Case.GROUP_CHANGE: OWN_GROUPS,
        Case.THROTTLING: "the operating system asks nobody to slow down",
        Case.EXPIRED_CREDENTIAL: "files of this machine are read without a credential",
        Case.INCOMPLETE_LISTING: "the operating system lists a folder whole, or says that it cannot",
        KEEPS_TOKEN: "a rename touches the change time; content tells that it is a move",
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.root = folder / "root"
        self.root.mkdir()
        self._gone = folder / "gone"

    def options(self) -> dict[str, Any]:
        return {"root": str(self.root), "max_bytes": MAX_BYTES}

    def id_of(self, name: str) -> str:
        return name

    def put_many(self, documents: Mapping[str, str]) -> None:
        self.documents.update(documents)
        for folder in {name.rpartition("/")[0] for name in documents}:
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        for name, text in documents.items():
            with open(f"{self.root}/{name}", "w") as file:
                file.write(text)

    def write(self, name: str, text: str, at: datetime) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (at.timestamp(), at.timestamp()))

    def remove(self, name: str) -> None:
        (self.root / name).unlink()

    def relocate(self, old: str, new: str, at: datetime) -> None:
        (self.root / new).parent.mkdir(parents=True, exist_ok=True)
        (self.root / old).rename(self.root / new)

    def remove_folder(self, folder: str) -> None:
        shutil.rmtree(self.root / folder)

    def restrict(self, name: str, who: str) -> None:
        (self.root / f"{name}.access.yaml").write_text(f"allow: ['{self.principal_of(who)}']")

    def release(self, name: str) -> None:
        (self.root / f"{name}.access.yaml").unlink()

    def mend(self) -> None:
        if self._gone.exists():
            self._gone.rename(self.root)
        for too_long in self.root.glob("*/" + "x" * 250):
            shutil.rmtree(too_long)
        self._now += timedelta(hours=1)
        for name, text in self.documents.items():
            self.write(name, text, self._now)

    def break_document(self, name: str) -> None:
        self.write(name, TOO_MUCH, self._now)

    def break_part(self, folder: str) -> None:
        # A path longer than the system allows cannot be listed, not even by root.
        descriptor = os.open(self.root / folder, os.O_RDONLY)
        for _ in range(20):
            os.mkdir("x" * 250, dir_fd=descriptor)
            inner = os.open("x" * 250, os.O_RDONLY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        os.close(descriptor)

    def break_source(self) -> None:
        self.root.rename(self._gone)

    def vanish(self, name: str) -> None:
        (self.root / name).unlink()


class NoCredentialsError(Exception):
    """What the driver of a store raises, by this name, when it is not let in."""


class ObjectStore(World):
    """fsspec's memory file system, which stands for every object store."""

    name = "filesystem-memory"
    kind = "filesystem"
    not_applicable: ClassVar = {
        Case.DUPLICATE_IDS: "a store has each key once",
        Case.GROUP_CHANGE: OWN_GROUPS,
        KEEPS_TOKEN: "an object store renames by copying, which makes a new object",
    }

    def __init__(self, folder: Path) -> None:
        import fsspec

        super().__init__(folder)
        number = next(_numbers)
        self._root = f"/conformance-{number}"
        # Options of its own make it an instance of its own, which the connector opens too.
        self._options = {"world": number}
        self._files = fsspec.filesystem("memory", use_listings_cache=False, **self._options)
        self._files.mkdir(self._root)
        self._list, self._files.ls = self._files.ls, self._ls
        self._broken: str | None = None
        self._gone = self._short = self._expired = False
        self._throttled = 0

    def options(self) -> dict[str, Any]:
        return {
            "root": f"memory:/{self._root}",
            "max_bytes": MAX_BYTES,
            "storage_options": self._options,
        }

    def id_of(self, name: str) -> str:
        return name

    def write(self, name: str, text: str, at: datetime) -> None:
        path = f"{self._root}/{name}"
        self._files.pipe_file(path, text.encode())
        self._files.store[path].modified = at
        self._files.store[path].created = at

    def remove(self, name: str) -> None:
        self._files.rm(f"{self._root}/{name}")

    def relocate(self, old: str, new: str, at: datetime) -> None:
        self._files.mv(f"{self._root}/{old}", f"{self._root}/{new}")

    def remove_folder(self, folder: str) -> None:
        self._files.rm(f"{self._root}/{folder}", recursive=True)

    def restrict(self, name: str, who: str) -> None:
        sidecar = f"allow: ['{self.principal_of(who)}']"
        self._files.pipe_file(f"{self._root}/{name}.access.yaml", sidecar.encode())

    def release(self, name: str) -> None:
        self._files.rm(f"{self._root}/{name}.access.yaml")

    def mend(self) -> None:
        self._broken, self._throttled = None, 0
        self._gone = self._short = self._expired = False
        self._now += timedelta(hours=1)
        for name, text in self.documents.items():
            self.write(name, text, self._now)

    def break_document(self, name: str) -> None:
        self.write(name, TOO_MUCH, self._now)

    def break_part(self, folder: str) -> None:
        self._broken = folder

    def break_source(self) -> None:
        self._gone = True

    def vanish(self, name: str) -> None:
        self._files.rm(f"{self._root}/{name}")

    def cut_short(self) -> None:
        self._short = True

    def throttle(self, requests: int) -> None:
        self._throttled = requests

    def expire_credential(self) -> None:
        self._expired = True

    def _ls(self, path: str, **options: Any) -> list[dict[str, Any]]:
        """The store's answer to a listing of one folder, with the faults of the hour."""
        if self._expired:
            raise NoCredentialsError("the token has expired")
        if self._throttled:
            self._throttled -= 1
            raise OSError("SlowDown: please reduce your request rate")
        if self._gone:
            raise FileNotFoundError(path)
        if self._broken is not None and path == f"{self._root}/{self._broken}":
            raise OSError("500: internal error")
        found = self._list(path, **options)
        if self._short and path == self._root:
            found = [one for one in found if not one["name"].endswith("/legal")]
        return found


class LocalGit(World):
    name = "git"
    kind = "git"
    not_applicable: ClassVar = {
        Case.DUPLICATE_IDS: "a tree has each path once",
        Case.ACCESS_CHANGE: "a repository does not say who may read a file",
        Case.GROUP_CHANGE: "a repository does not say who may read a file",
        Case.PAGE_FAILURE: "a commit is listed whole or not",
        Case.THROTTLING: "a local repository asks nobody to slow down",
        Case.EXPIRED_CREDENTIAL: "a local repository is read without a credential",
        Case.INCOMPLETE_LISTING: "a commit is listed whole or not",
        EMPTIED: "the changes of a repository name each file that went",
        VANISHED: "a commit keeps its content",
        VANISHED_IN_SYNC: "a commit keeps its content",
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.repository = folder / "repository"
        self._gone = folder / "gone"
        self.repository.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("begin")

    def git(self, *arguments: str, at: datetime | None = None, stdin: bytes | None = None) -> str:
        moment = (at or self._now).isoformat()
        environment = {
            **os.environ,
            "GIT_AUTHOR_DATE": moment,
            "GIT_COMMITTER_DATE": moment,
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
        identity = ("-c", "user.name=Ann Author", "-c", "user.email=ann@example.com", "-c", "gc.auto=0")
        command = ["git", "-C", str(self.repository), *identity, *arguments]
        done = subprocess.run(command, check=True, capture_output=True, env=environment, input=stdin)
        return done.stdout.decode()

    def commit(self, message: str, at: datetime | None = None) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message, at=at)
        self._changed, self._checked_out = False, True

    def publish(self) -> None:
        if self._changed and self.repository.exists():
            self.commit("change", self._now)

    def options(self) -> dict[str, Any]:
        return {"repository": str(self.repository), "max_bytes": MAX_BYTES}

    def id_of(self, name: str) -> str:
        return name

    def put_many(self, documents: Mapping[str, str]) -> None:
        self.documents.update(documents)
        stream = [b"commit refs/heads/main\ncommitter A <a@x> 1767225600 +0000\ndata 0\n"]
        for name, text in documents.items():
            data = text.encode()
            stream.append(f"M 100644 inline {name}\ndata {len(data)}\n".encode() + data + b"\n")
        stream.insert(1, b"from refs/heads/main^0\n")
        self.git("fast-import", "--quiet", stdin=b"".join(stream))
        self._checked_out = False

    def write(self, name: str, text: str, at: datetime) -> None:
        self._store(name, text)
        self.commit(f"write {name}", at)

    def remove(self, name: str) -> None:
        self._begin()
        (self.repository / name).unlink()

    def relocate(self, old: str, new: str, at: datetime) -> None:
        self._begin()
        (self.repository / new).parent.mkdir(parents=True, exist_ok=True)
        (self.repository / old).rename(self.repository / new)

    def remove_folder(self, folder: str) -> None:
        self._begin()
        shutil.rmtree(self.repository / folder)

    def mend(self) -> None:
        if self._gone.exists():
            self._gone.rename(self.repository)
        for name, text in self.documents.items():
            self._store(name, text)

    def break_document(self, name: str) -> None:
        self._store(name, TOO_MUCH)

    def break_source(self) -> None:
        self.repository.rename(self._gone)

    def _begin(self) -> None:
        """Before a change of the work tree, which `put_many` leaves as it was."""
        if not self._checked_out:
            self.git("reset", "--quiet", "--hard")
        self._changed, self._checked_out = True, True

    def _store(self, name: str, text: str) -> None:
        self._begin()
        path = self.repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


class RemoteGit(LocalGit):
    """The same repository, reached by URL through a bare mirror."""

    name = "git-remote"
    not_applicable: ClassVar = {
        **LocalGit.not_applicable,
        Case.THROTTLING: "a file URL asks nobody to slow down; what servers answer is classed in test_git",
        Case.EXPIRED_CREDENTIAL: "a file URL takes no credential; what servers answer is classed in test_git",
    }

    def options(self) -> dict[str, Any]:
        url = self.repository.as_uri()
        return {"repository": url, "max_bytes": MAX_BYTES, "cache_dir": str(self.folder / "mirrors")}


COLUMNS = ("key", "name", "body", "readers", "changed")


class Rows(World):
    """Rows in memory that `publish` writes out; the common part of the `records` worlds."""

    kind = "records"
    not_applicable: ClassVar = {
        Case.DELETE_PARENT: "rows have no folders",
        Case.GROUP_CHANGE: OWN_GROUPS,
        Case.THROTTLING: "a file asks nobody to slow down",
        Case.EXPIRED_CREDENTIAL: "files of this machine are read without a credential",
        VANISHED: "a listed row has its text",
        VANISHED_IN_SYNC: "a listed row has its text",
    }
    columns: Mapping[str, Any] = {
        "id": "key",
        "text": "body",
        "title": "name",
        "access": "readers",
        "modified_at": "changed",
        "max_bytes": MAX_BYTES,
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._rows: dict[str, dict[str, Any]] = {}
        self.mend()

    def connector(self) -> Connector:
        connector = super().connector()
        if self._short:
            divert(connector, self._written_behind)
        return connector

    def _written_behind(self, entries: Iterator[Entry]) -> Iterator[Entry]:
        """The rows are whole again when the connector has listed what there was of them."""
        yield from entries
        self._short = False
        self.publish()

    def id_of(self, name: str) -> str:
        return name

    def write(self, name: str, text: str, at: datetime) -> None:
        readers = self._rows.get(name, {}).get("readers", "everyone")
        values = (name, "A title", text, readers, at.isoformat())
        self._rows[name] = dict(zip(COLUMNS, values, strict=True))

    def remove(self, name: str) -> None:
        del self._rows[name]

    def relocate(self, old: str, new: str, at: datetime) -> None:
        self._rows[new] = {**self._rows.pop(old), "key": new, "changed": at.isoformat()}

    def duplicate(self, name: str) -> None:
        self._extra.append({**self._rows[name], "body": "another text"})

    def restrict(self, name: str, who: str) -> None:
        self._rows[name]["readers"] = self.principal_of(who)

    def release(self, name: str) -> None:
        self._rows[name]["readers"] = "everyone"

    def mend(self) -> None:
        self._extra: list[dict[str, Any]] = []
        self._broken = self._gone = self._short = False
        self._now += timedelta(hours=1)
        for name, text in self.documents.items():
            self.write(name, text, self._now)

    def break_document(self, name: str) -> None:
        self.write(name, TOO_MUCH, self._now)

    def break_part(self, folder: str) -> None:
        self._broken = True

    def break_source(self) -> None:
        self._gone = True

    def cut_short(self) -> None:
        """The rows are still being written while they are listed."""
        self._short = True

    def all_rows(self) -> list[dict[str, Any]]:
        rows = [*self._rows.values(), *self._extra]
        return [row for row in rows if not row["key"].startswith("legal/")] if self._short else rows


class JsonLines(Rows):
    name = "records-jsonl"

    def options(self) -> dict[str, Any]:
        return {"path": str(self.folder / "rows.jsonl"), **self.columns}

    def publish(self) -> None:
        path = self.folder / "rows.jsonl"
        path.unlink(missing_ok=True)
        if not self._gone:
            lines = [json.dumps(row) for row in self.all_rows()] + ["{not json"] * self._broken
            path.write_text("".join(f"{line}\n" for line in lines))


class Csv(Rows):
    name = "records-csv"

    def options(self) -> dict[str, Any]:
        return {"path": str(self.folder / "rows.csv"), **self.columns}

    def publish(self) -> None:
        path = self.folder / "rows.csv"
        path.unlink(missing_ok=True)
        if not self._gone:
            with open(path, "w", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS)
                writer.writeheader()
                writer.writerows(self.all_rows())
                file.write("one,field,too,many,in,this,row\n" * self._broken)


class Sql(Rows):
    """A table that a role of its own may read."""

    name = "records-sql"
    not_applicable: ClassVar = {
        case: reason
        for case, reason in Rows.not_applicable.items()
        if case not in (Case.THROTTLING, Case.EXPIRED_CREDENTIAL)
    }

    def __init__(self, folder: Path, url: str) -> None:
        self._url = url
        self._role = self._table = f"rows_{next(_numbers)}"
        self._execute(f"CREATE ROLE {self._role} LOGIN")
        super().__init__(folder)

    @classmethod
    def build(cls, folder: Path, request: pytest.FixtureRequest) -> World:
        return cls(folder, request.getfixturevalue("postgres"))

    def options(self) -> dict[str, Any]:
        dsn = make_conninfo(self._url, user=self._role)
        return {"dsn": dsn, "query": f"SELECT * FROM {self._table}", **self.columns}

    def mend(self) -> None:
        super().mend()
        self._throttled = 0
        self._execute(f"ALTER ROLE {self._role} LOGIN")

    def throttle(self, requests: int) -> None:
        self._throttled = requests

    def expire_credential(self) -> None:
        self._execute(f"ALTER ROLE {self._role} NOLOGIN")

    def publish(self) -> None:
        with psycopg.connect(self._url) as connection:
            # A connector opens one connection after the other; throttled, the first one is one too many.
            connection.execute(f"ALTER ROLE {self._role} CONNECTION LIMIT {0 if self._throttled else -1}")
            self._throttled = max(0, self._throttled - 1)
            if self._gone:
                connection.execute(f"DROP TABLE IF EXISTS {self._table}")
                return
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {self._table}"
                " (key text, name text, body text, readers text, changed timestamptz)"
            )
            connection.execute(f"GRANT SELECT ON {self._table} TO {self._role}")
            connection.execute(f"DELETE FROM {self._table}")
            rows = self.all_rows() + [dict.fromkeys(COLUMNS)] * self._broken
            with connection.cursor().copy(f"COPY {self._table} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(tuple(row.values()))

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self._url) as connection:
            connection.execute(statement)


WORLDS: tuple[type[World], ...] = (
    LocalFiles,
    ObjectStore,
    LocalGit,
    RemoteGit,
    JsonLines,
    Csv,
    Sql,
    ConfluenceCloud,
    ConfluenceDataCenter,
    JiraCloud,
    JiraDataCenter,
)
