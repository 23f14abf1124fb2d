"""Google's and Azure's object stores as emulators run them, each behind its real driver.

What belongs here: the worlds, which change a bucket through the driver. What does not: the emulators
(`doubles.store_emulators`), S3, whose double has faults of its own (`filesystem_world`).

The emulators have clocks of their own: a change happens when it happens.
"""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from rag_pipelines_tests.connectors.conformance import MAX_BYTES, OWN_GROUPS, TOO_MUCH, Case, World
from rag_pipelines_tests.connectors.filesystem_world import KEEPS_TOKEN

_numbers = itertools.count()

IN_ORDER = "test_a_window_leaves_out_what_was_changed_outside_it"

NOT_APPLICABLE: Mapping[str, str] = {
    Case.DUPLICATE_IDS: "a bucket has each key once",
    Case.GROUP_CHANGE: OWN_GROUPS,
    Case.INCOMPLETE_LISTING: "the store lists what is there, page by page, or says that it cannot",
    Case.MANY_IDS: "the walk is that of filesystem-memory, and each object is put by a request",
    Case.PAGE_FAILURE: "the emulator closes no part of a bucket",
    Case.THROTTLING: "the emulator asks nobody to slow down; test_object_stores has the driver's word for it",
}


class EmulatedStore(World):
    """A bucket of its own on the session's emulator."""

    kind = "filesystem"
    scheme: ClassVar[str]
    time_of_change: ClassVar[str]
    """Under which name the driver tells the time of a change."""

    def __init__(self, folder: Path, storage_options: Mapping[str, Any]) -> None:
        import fsspec

        super().__init__(folder)
        self._options = dict(storage_options)
        self._files = fsspec.filesystem(self.scheme, **self._options)
        self._bucket = f"conformance-{next(_numbers)}"
        self._files.mkdir(self._bucket)

    @classmethod
    @abstractmethod
    def build(cls, folder: Path, request: pytest.FixtureRequest) -> World: ...

    def options(self) -> dict[str, Any]:
        return {
            "root": f"{self.scheme}://{self._bucket}",
            "max_bytes": MAX_BYTES,
            "storage_options": self._options,
        }

    def id_of(self, name: str) -> str:
        return name

    def put(self, name: str, text: str) -> datetime:
        super().put(name, text)
        self._files.invalidate_cache()
        return self._files.info(self._path(name))[self.time_of_change]

    def write(self, name: str, text: str, at: datetime) -> None:
        self._files.pipe_file(self._path(name), text.encode())

    def remove(self, name: str) -> None:
        self._files.rm_file(self._path(name))

    def relocate(self, old: str, new: str, at: datetime) -> None:
        self._files.cp_file(self._path(old), self._path(new))
        self._files.rm_file(self._path(old))

    def remove_folder(self, folder: str) -> None:
        self._files.invalidate_cache()
        self._files.rm(self._path(folder), recursive=True)

    def restrict(self, name: str, who: str) -> None:
        sidecar = f"allow: ['{self.principal_of(who)}']"
        self._files.pipe_file(self._path(f"{name}.access.yaml"), sidecar.encode())

    def release(self, name: str) -> None:
        self._files.rm_file(self._path(f"{name}.access.yaml"))

    def mend(self) -> None:
        self._now += timedelta(hours=1)
        for name, text in self.documents.items():
            self.write(name, text, self._now)

    def break_document(self, name: str) -> None:
        self.write(name, TOO_MUCH, self._now)

    def break_source(self) -> None:
        self._files.invalidate_cache()
        for path in self._files.find(self._bucket):
            self._files.rm_file(path)
        self._files.rmdir(self._bucket)

    def vanish(self, name: str) -> None:
        self._files.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self._bucket}/{name}"


class GoogleStore(EmulatedStore):
    name = "filesystem-gs"
    scheme = "gs"
    time_of_change = "mtime"
    not_applicable: ClassVar = {
        **NOT_APPLICABLE,
        Case.EXPIRED_CREDENTIAL: "the emulator asks for no credential; test_object_stores has the driver's "
        "word for it",
    }

    @classmethod
    def build(cls, folder: Path, request: pytest.FixtureRequest) -> World:
        return cls(folder, request.getfixturevalue("google_store"))


class AzureStore(EmulatedStore):
    name = "filesystem-az"
    scheme = "az"
    time_of_change = "last_modified"
    not_applicable: ClassVar = {
        **NOT_APPLICABLE,
        Case.EXPIRED_CREDENTIAL: "the emulator answers a wrong key with AuthorizationFailure, which is the "
        "word of Azure's firewall; test_object_stores has the driver's word for it",
        KEEPS_TOKEN: "an etag is of the writing, not of the content, which tells that it is a move",
        IN_ORDER: "Azure keeps seconds, and the emulator's clock cannot be set",
    }

    @classmethod
    def build(cls, folder: Path, request: pytest.FixtureRequest) -> World:
        return cls(folder, request.getfixturevalue("azure_store"))
