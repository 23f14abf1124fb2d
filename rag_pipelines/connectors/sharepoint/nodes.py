"""What a library holds while it is read: folders in memory, files in a temporary file.

What belongs here: keeping the last entry of each thing. What does not: what entries mean (`drives`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator

import msgspec

from rag_pipelines.errors import TransientError

FOLDER, FILE, PACKAGE = "folder", "file", "package"

_TABLE = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE file (place INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, parent TEXT, node TEXT NOT NULL);
"""
_AT_ONCE = 1_000


class Node(msgspec.Struct, frozen=True, gc=False):
    """A folder, file or package, as much of it as is needed. `token` None: its content is not told."""

    id: str
    parent: str | None
    name: str
    kind: str
    size: int | None = None
    token: str | None = None
    when: str | None = None
    author: str | None = None
    media_type: str | None = None
    label: str | None = None


class Nodes:
    """The things of a library by id. A library may hold millions of files, so only what may stand above
    another thing is in memory. Used by one thread at a time, and let go by any.

    Raises `TransientError` where the file cannot be used.
    """

    def __init__(self) -> None:
        self._above: dict[str, Node] = {}
        self._files = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._files.executescript(_TABLE)

    def __del__(self) -> None:
        self._files.close()

    def put(self, node: Node) -> None:
        """Keep a thing, in place of what was known of it."""
        self.discard(node.id)
        if node.kind != FILE:
            self._above[node.id] = node
        else:
            row = (node.id, node.parent, json.dumps(msgspec.structs.astuple(node)))
            self._run("INSERT INTO file (id, parent, node) VALUES (?, ?, ?)", row)

    def discard(self, identity: str) -> None:
        """Forget a thing."""
        if self._above.pop(identity, None) is None:
            self._run("DELETE FROM file WHERE id = ?", (identity,))

    def __contains__(self, identity: str) -> bool:
        known = self._run("SELECT 1 FROM file WHERE id = ?", (identity,)).fetchone()
        return identity in self._above or known is not None

    def above(self, identity: str | None) -> Node | None:
        """What may hold others, by its id."""
        return self._above.get(identity or "")

    def orphaned(self) -> set[str]:
        """Ids of parents that are not known."""
        parents = {node.parent for node in self._above.values()}
        parents |= {parent for (parent,) in self._run("SELECT DISTINCT parent FROM file")}
        return {parent for parent in parents if parent and parent not in self._above}

    def documents(self) -> Iterator[Node]:
        """Everything but folders."""
        yield from [node for node in self._above.values() if node.kind != FOLDER]
        rows = self._run("SELECT node FROM file ORDER BY place")
        while some := rows.fetchmany(_AT_ONCE):
            yield from (Node(*json.loads(node)) for (node,) in some)

    def _run(self, statement: str, values: tuple[str | None, ...] = ()) -> sqlite3.Cursor:
        try:
            return self._files.execute(statement, values)
        except sqlite3.OperationalError as error:
            raise TransientError(
                f"the temporary file for the files of a library cannot be used: {error}; see that the folder "
                "for temporary files (TMPDIR) has room: some 0.5 KB for each"
            ) from error
