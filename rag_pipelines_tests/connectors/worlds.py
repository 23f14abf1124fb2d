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
from collections.abc import Mapping
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import psycopg
import pytest

from rag_pipelines_tests.connectors.conformance import World

MAX_BYTES = 10_000
_numbers = itertools.count()


def _later(module: str, *names: str) -> list[type[World]]:
    """Worlds of a module that may not be there yet; becomes a plain import when it is."""
    try:
        found = import_module(f"rag_pipelines_tests.connectors.{module}")
    except ModuleNotFoundError:
        return []
    return [getattr(found, name) for name in names]


class LocalFiles(World):
    name = "filesystem"
    kind = "filesystem"
    not_applicable: ClassVar = {
        "test_a_second_document_of_one_id_is_reported_and_the_first_counts": "a folder has each name once",
        "test_a_rename_keeps_the_token": "a rename touches the change time; content tells that it is a move",
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.root = folder / "root"
        self.root.mkdir()

    def options(self) -> dict[str, Any]:
        return {"root": str(self.root), "max_bytes": MAX_BYTES}

    def id_of(self, name: str) -> str:
        return name

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

    def break_document(self, name: str) -> None:
        self.put(name, "x" * (MAX_BYTES + 1))

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
        shutil.rmtree(self.root)

    def vanish(self, name: str) -> None:
        (self.root / name).unlink()


class ObjectStore(World):
    """fsspec's memory file system, which stands for every object store."""

    name = "filesystem-memory"
    kind = "filesystem"
    not_applicable: ClassVar = {
        "test_a_second_document_of_one_id_is_reported_and_the_first_counts": "a store has each key once",
        "test_a_rename_keeps_the_token": "an object store renames by copying, which makes a new object",
        "test_a_part_that_cannot_be_listed_makes_the_listing_incomplete": "memory has no permissions",
    }

    def __init__(self, folder: Path) -> None:
        import fsspec

        super().__init__(folder)
        self._files = fsspec.filesystem("memory")
        self._root = f"/conformance-{next(_numbers)}"
        self._files.mkdir(self._root)

    def options(self) -> dict[str, Any]:
        return {"root": f"memory:/{self._root}", "max_bytes": MAX_BYTES}

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

    def break_document(self, name: str) -> None:
        self.put(name, "x" * (MAX_BYTES + 1))

    def break_source(self) -> None:
        self._files.rm(self._root, recursive=True)

    def vanish(self, name: str) -> None:
        self._files.rm(f"{self._root}/{name}")


class LocalGit(World):
    name = "git"
    kind = "git"
    not_applicable: ClassVar = {
        "test_a_second_document_of_one_id_is_reported_and_the_first_counts": "a tree has each path once",
        "test_a_part_that_cannot_be_listed_makes_the_listing_incomplete": "a commit is listed whole or not",
        "test_content_that_vanished_after_the_listing_fails_that_document_only": "a commit keeps its content",
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.repository = folder / "repository"
        self.repository.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("begin")

    def git(self, *arguments: str, at: datetime | None = None) -> str:
        moment = (at or self._now).isoformat()
        environment = {
            **os.environ,
            "GIT_AUTHOR_DATE": moment,
            "GIT_COMMITTER_DATE": moment,
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
        identity = ("-c", "user.name=Ann Author", "-c", "user.email=ann@example.com", "-c", "gc.auto=0")
        command = ["git", "-C", str(self.repository), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout

    def commit(self, message: str, at: datetime | None = None) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message, at=at)

    def publish(self) -> None:
        if self.repository.exists() and self.git("status", "--porcelain"):
            self.commit("change", self._now)

    def options(self) -> dict[str, Any]:
        return {"repository": str(self.repository), "max_bytes": MAX_BYTES}

    def id_of(self, name: str) -> str:
        return name

    def put_many(self, documents: Mapping[str, str]) -> None:
        self.documents.update(documents)
        for name, text in documents.items():
            self._store(name, text)
        self.commit("many")

    def write(self, name: str, text: str, at: datetime) -> None:
        self._store(name, text)
        self.commit(f"write {name}", at)

    def remove(self, name: str) -> None:
        (self.repository / name).unlink()

    def relocate(self, old: str, new: str, at: datetime) -> None:
        (self.repository / new).parent.mkdir(parents=True, exist_ok=True)
        (self.repository / old).rename(self.repository / new)

    def remove_folder(self, folder: str) -> None:
        shutil.rmtree(self.repository / folder)

    def break_document(self, name: str) -> None:
        self.put(name, "x" * (MAX_BYTES + 1))

    def break_source(self) -> None:
        shutil.rmtree(self.repository)

    def _store(self, name: str, text: str) -> None:
        path = self.repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


class RemoteGit(LocalGit):
    """The same repository, reached by URL through a bare mirror."""

    name = "git-remote"

    def options(self) -> dict[str, Any]:
        url = self.repository.as_uri()
        return {"repository": url, "max_bytes": MAX_BYTES, "cache_dir": str(self.folder / "mirrors")}


class Rows(World):
    """Rows in memory that `publish` writes out; the common part of the `records` worlds."""

    kind = "records"
    not_applicable: ClassVar = {
        "test_a_deleted_folder_takes_its_documents_with_it": "rows have no folders",
        "test_content_that_vanished_after_the_listing_fails_that_document_only": "a listed row has its text",
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
        self._extra: list[dict[str, Any]] = []
        self._broken = self._gone = False

    def id_of(self, name: str) -> str:
        return name

    def write(self, name: str, text: str, at: datetime) -> None:
        readers = self._rows.get(name, {}).get("readers", "everyone")
        row = {"key": name, "name": "A title", "body": text, "readers": readers, "changed": at.isoformat()}
        self._rows[name] = row

    def remove(self, name: str) -> None:
        del self._rows[name]

    def relocate(self, old: str, new: str, at: datetime) -> None:
        self._rows[new] = {**self._rows.pop(old), "key": new, "changed": at.isoformat()}

    def restrict(self, name: str, who: str) -> None:
        self._rows[name]["readers"] = self.principal_of(who)

    def release(self, name: str) -> None:
        self._rows[name]["readers"] = "everyone"

    def duplicate(self, name: str) -> None:
        self._extra.append({**self._rows[name], "body": "another text"})

    def break_document(self, name: str) -> None:
        self.put(name, "x" * (MAX_BYTES + 1))

    def break_part(self, folder: str) -> None:
        self._broken = True

    def break_source(self) -> None:
        self._gone = True

    def all_rows(self) -> list[dict[str, Any]]:
        return [*self._rows.values(), *self._extra]


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
                writer = csv.DictWriter(file, ["key", "name", "body", "readers", "changed"])
                writer.writeheader()
                writer.writerows(self.all_rows())
                file.write("one,field,too,many,in,this,row\n" * self._broken)


class Sql(Rows):
    name = "records-sql"

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder)
        self._url = url
        self._table = f"rows_{next(_numbers)}"

    @classmethod
    def build(cls, folder: Path, request: pytest.FixtureRequest) -> World:
        return cls(folder, request.getfixturevalue("postgres"))

    def options(self) -> dict[str, Any]:
        return {"dsn": self._url, "query": f"SELECT * FROM {self._table}", **self.columns}

    def publish(self) -> None:
        with psycopg.connect(self._url) as connection:
            connection.execute(f"DROP TABLE IF EXISTS {self._table}")
            if not self._gone:
                connection.execute(
                    f"CREATE TABLE {self._table}"
                    " (key text, name text, body text, readers text, changed timestamptz)"
                )
                rows = self.all_rows() + [dict.fromkeys(("key", "name", "body", "readers", "changed"))] * (
                    self._broken
                )
                with connection.cursor().copy(f"COPY {self._table} FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(tuple(row.values()))


WORLDS: tuple[type[World], ...] = (
    LocalFiles,
    ObjectStore,
    LocalGit,
    RemoteGit,
    JsonLines,
    Csv,
    Sql,
    *_later("confluence_world", "ConfluenceCloud", "ConfluenceDataCenter"),
    *_later("jira_world", "JiraCloud", "JiraDataCenter"),
)
