"""The folders of one drive: where a file is, and which container it is in.

What belongs here: parents. What does not: requests but for a folder that the listing did not name, rules
(`access`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from rag_pipelines.connectors.google_drive.files import DriveFile
from rag_pipelines.errors import MissingEntityError


class Folder(msgspec.Struct, frozen=True):
    """A folder. `own`: it has permissions of its own; `limited`: and those above do not count in it."""

    id: str
    name: str
    parent: str | None
    own: bool = False
    limited: bool = False

    @classmethod
    def of(cls, file: DriveFile) -> Folder:
        limited = file.inherited_permissions_disabled
        return cls(file.id, file.name, file.parent, file.has_own_permissions, limited)


class Tree:
    """Folders by id.

    Args:
        top: the id of the drive, or of somebody's My Drive; None where that is not known.
        find: asks for a folder that was not added. Raises `MissingEntityError` where there is none.
    """

    def __init__(self, top: str | None, find: Callable[[str], DriveFile]) -> None:
        self.top = top
        self._find = find
        self._folders: dict[str, Folder | None] = {}

    def add(self, file: DriveFile) -> None:
        self._folders[file.id] = Folder.of(file)

    def __iter__(self) -> Iterator[Folder]:
        return (one for one in self._folders.values() if one is not None)

    def get(self, id: str) -> Folder | None:
        """A folder; None: it is not there for the account."""
        if id not in self._folders:
            try:
                self.add(self._find(id))
            except MissingEntityError:
                self._folders[id] = None
        return self._folders[id]

    def above(self, parent: str | None) -> list[Folder]:
        """From the folder `parent` up to below the top, as far as they are seen."""
        found: list[Folder] = []
        while parent is not None and parent != self.top:
            folder = self.get(parent)
            if folder is None or folder in found:
                break
            found.append(folder)
            parent = folder.parent
        return found

    def reaches_top(self, parent: str | None) -> bool:
        """Whether something in the folder `parent` is in this drive, through folders that are all seen."""
        above = self.above(parent)
        last = above[-1].parent if above else parent
        return last is not None and last == self.top

    def container(self, parent: str | None) -> Folder | None:
        """The nearest folder from `parent` up that has permissions of its own; None: the drive itself."""
        return next((folder for folder in self.above(parent) if folder.own), None)
