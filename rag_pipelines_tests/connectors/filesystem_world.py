"""Folders of files as the conformance kit changes them: on this machine, and in an object store.

What belongs here: the worlds of the filesystem connector. What does not: promises or assertions.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from rag_pipelines_tests.connectors.conformance import MAX_BYTES, OWN_GROUPS, TOO_MUCH, Case, World

if TYPE_CHECKING:
    from rag_pipelines_tests.doubles.s3 import S3

KEEPS_TOKEN = "test_a_rename_keeps_the_token"

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
        self._files = fsspec.filesystem("memory", **self._options)
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


class S3Store(World):
    """moto's S3 behind s3fs; each world has a bucket of its own on the session's one server."""

    name = "filesystem-s3"
    kind = "filesystem"
    not_applicable: ClassVar = {
        Case.DUPLICATE_IDS: "a bucket has each key once",
        Case.GROUP_CHANGE: OWN_GROUPS,
        Case.INCOMPLETE_LISTING: "S3 lists what is there, page by page, or says that it cannot",
        Case.MANY_IDS: "the walk is that of filesystem-memory, and the pages take the double many seconds",
    }

    @classmethod
    def build(cls, folder: Path, request: pytest.FixtureRequest) -> World:
        return cls(folder, request.getfixturevalue("s3"))

    def __init__(self, folder: Path, s3: S3) -> None:
        super().__init__(folder)
        self._s3 = s3
        self.bucket = f"conformance-{next(_numbers)}"
        s3.make(self.bucket)

    def options(self) -> dict[str, Any]:
        return {
            "root": f"s3://{self.bucket}",
            "max_bytes": MAX_BYTES,
            "storage_options": self._s3.storage_options,
            "concurrent_loads": 4,
        }

    def id_of(self, name: str) -> str:
        return name

    @property
    def requests(self) -> int:
        return self._s3.requests[self.bucket]

    def write(self, name: str, text: str, at: datetime) -> None:
        self._s3.put(self.bucket, name, text.encode(), at)

    def remove(self, name: str) -> None:
        self._s3.remove(self.bucket, name)

    def relocate(self, old: str, new: str, at: datetime) -> None:
        self._s3.copy(self.bucket, old, new, at)
        self._s3.remove(self.bucket, old)

    def remove_folder(self, folder: str) -> None:
        for key in self._s3.keys(self.bucket):
            if key.startswith(f"{folder}/"):
                self._s3.remove(self.bucket, key)

    def restrict(self, name: str, who: str) -> None:
        sidecar = f"allow: ['{self.principal_of(who)}']"
        self._s3.put(self.bucket, f"{name}.access.yaml", sidecar.encode(), self._now)

    def release(self, name: str) -> None:
        self._s3.remove(self.bucket, f"{name}.access.yaml")

    def mend(self) -> None:
        self._s3.faults.pop(self.bucket, None)
        self._now += timedelta(hours=1)
        for name, text in self.documents.items():
            self.write(name, text, self._now)

    def break_document(self, name: str) -> None:
        self.write(name, TOO_MUCH, self._now)

    def break_part(self, folder: str) -> None:
        self._s3.faults[self.bucket].closed = f"{folder}/"

    def break_source(self) -> None:
        self._s3.faults[self.bucket].refused = "NoSuchBucket"

    def vanish(self, name: str) -> None:
        self._s3.remove(self.bucket, name)

    def throttle(self, requests: int) -> None:
        self._s3.faults[self.bucket].throttled = requests

    def expire_credential(self) -> None:
        self._s3.faults[self.bucket].refused = "ExpiredToken"
