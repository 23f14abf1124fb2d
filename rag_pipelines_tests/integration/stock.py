"""A workspace that is filled once, and lent to each test that asks for it as it was then.

What belongs here: keeping it and putting it back. What does not: what it is filled with.
"""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rag_pipelines.connectors.base import Item
from rag_pipelines_tests.databases import copied_database, database_of
from rag_pipelines_tests.integration.workspace import Workspace

Fill = Callable[[Workspace], object]
"""Writes documents, ingests, publishes; may change the workspace's configuration."""


class Stock:
    """A filled workspace. A test gets a copy of its database, and its files where they were: they are put
    back in place, because documents are stored with where they lie."""

    def __init__(self, folder: Path, server_url: str, database_url: str, fill: Fill) -> None:
        workspace = Workspace(folder / "lent", database_url)
        fill(workspace)
        self._server_url = server_url
        self._template = database_of(database_url)
        self._document = workspace.document
        self._tokens = _tokens(workspace)
        workspace.config_file.unlink()
        workspace.close()
        self._lent, self._kept = workspace.folder, folder / "kept"
        shutil.copytree(self._lent, self._kept)
        self._files = _stamps(self._lent)

    @contextmanager
    def lend(self) -> Iterator[Workspace]:
        """The workspace as it was when it had been filled."""
        restored = self._put_back()
        with copied_database(self._server_url, self._template) as url:
            workspace = Workspace(self._lent, url)
            workspace.document = copy.deepcopy(self._document)
            workspace.document["database"]["url"] = url
            if restored:
                self._know_again(workspace)
            yield workspace
            workspace.close()

    def _put_back(self) -> bool:
        """Undo what the last test did to the files; whether it had changed or removed one."""
        now = _stamps(self._lent)
        for name in now.keys() - self._files.keys():
            (self._lent / name).unlink()
        for folder, _, _ in os.walk(self._lent, topdown=False):
            if not (self._kept / os.path.relpath(folder, self._lent)).exists():
                os.rmdir(folder)
        lost = [name for name, stamp in self._files.items() if now.get(name) != stamp]
        for name in lost:
            (self._lent / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self._kept / name, self._lent / name)
        self._files = _stamps(self._lent)
        return bool(lost)

    def _know_again(self, workspace: Workspace) -> None:
        """A file that was put back has another time of change: what was stored of it is of this one."""
        for (source, external_id), token in _tokens(workspace).items():
            workspace.rows(
                "UPDATE rag.document d SET token = %s FROM rag.source s WHERE s.source_id = d.source_id "
                "AND s.name = %s AND d.external_id = %s AND d.token = %s RETURNING 1",
                token,
                source,
                external_id,
                self._tokens.get((source, external_id)),
            )


def _tokens(workspace: Workspace) -> dict[tuple[str, str], str]:
    """What every source lists: source and external id to token."""
    settings = workspace.settings
    return {
        (source, item.external_id): item.token
        for source in settings.sources
        for item in settings.connector(source).items()
        if isinstance(item, Item)
    }


def _stamps(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Every file below a folder, with its size and times of change."""
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            status = os.stat(path)
            found[os.path.relpath(path, folder)] = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return found
