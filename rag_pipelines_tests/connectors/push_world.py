"""A source that is sent to, as the conformance kit changes it: through the inbox, on a database of its own.

What belongs here: the world of the push connector. What does not: promises, and the API in front of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from rag_pipelines.connectors.base import Connector
from rag_pipelines.connectors.push import PushConnector, Pushed
from rag_pipelines.fingerprint import sha256
from rag_pipelines.model import PUBLIC, AccessRule
from rag_pipelines.store.blobs import BlobStore
from rag_pipelines.store.database import Database
from rag_pipelines.store.inbox import Sending, StoredInbox, accept
from rag_pipelines_tests.connectors.conformance import MAX_BYTES, OWN_GROUPS, TOO_MUCH, Case, World
from rag_pipelines_tests.databases import copied_database

SOURCE = "docs"


class PushedDocuments(World):
    """Documents as their system sends them; ids are its own, so a rename is the same document."""

    name = "push"
    kind = "push"
    not_applicable: ClassVar = {
        Case.DUPLICATE_IDS: "an id is sent once, or again",
        Case.PAGE_FAILURE: "a table is read, or it is not",
        Case.INCOMPLETE_LISTING: "an answer is whole, or an error",
        Case.GROUP_CHANGE: OWN_GROUPS,
        Case.THROTTLING: "the inbox is ours and asks nobody to slow down",
        Case.EXPIRED_CREDENTIAL: "the inbox is read without a credential",
        "test_a_source_that_names_nothing_any_more_is_emptied_only_by_order": (
            "its sender names each deletion, and the guard counts them; a listing that is empty is no news"
        ),
    }

    def __init__(self, folder: Path, postgres: str, template: str) -> None:
        super().__init__(folder)
        self._open = ExitStack()
        self._database = Database(self._open.enter_context(copied_database(postgres, template)))
        self._open.callback(self._database.close)
        self._blobs = BlobStore(str(folder / "blobs"))
        self._keys = itertools.count()
        self._ids: dict[str, str] = {}
        self._sent: dict[str, tuple[str, Pushed]] = {}
        self._broken = False

    @classmethod
    def build(cls, folder: Path, request: pytest.FixtureRequest) -> World:
        return cls(folder, request.getfixturevalue("postgres"), request.getfixturevalue("template_database"))

    def close(self) -> None:
        super().close()
        self._open.close()

    def options(self) -> dict[str, Any]:
        return {"max_bytes": MAX_BYTES}

    def connector(self) -> Connector:
        made = super().connector()
        assert isinstance(made, PushConnector)
        connection = self._open.enter_context(self._database.connect())
        made.inbox = StoredInbox(connection, self._blobs, SOURCE)
        return made

    def id_of(self, name: str) -> str:
        return self._ids[name]

    def put_many(self, documents: Mapping[str, str]) -> None:
        self.documents.update(documents)
        self._send(
            [
                self._sending(self._new_id(name), text, Pushed(path=name, access=PUBLIC))
                for name, text in documents.items()
            ]
        )

    def write(self, name: str, text: str, at: datetime) -> None:
        before = self._sent.get(self._ids.get(name, ""), ("", Pushed(path=name, access=PUBLIC)))[1]
        self._put(self._new_id(name), text, msgspec.structs.replace(before, modified_at=at))

    def remove(self, name: str) -> None:
        del self._sent[self._ids[name]]
        self._send([Sending(self._key(), self._ids[name])])

    def remove_folder(self, folder: str) -> None:
        gone = [
            name for name, one in self._ids.items() if name.startswith(f"{folder}/") and one in self._sent
        ]
        self._send([Sending(self._key(), self._ids[name]) for name in gone])

    def relocate(self, old: str, new: str, at: datetime) -> None:
        self._ids[new] = self._ids.pop(old)
        self._change(new, path=new, modified_at=at)

    def restrict(self, name: str, who: str) -> None:
        self._change(name, access=AccessRule(((self.principal_of(who),),)))

    def release(self, name: str) -> None:
        self._change(name, access=PUBLIC)

    def mend(self) -> None:
        if self._broken:
            self._execute("ALTER TABLE rag.away RENAME TO inbox")
            self._broken = False
        for name, text in self.documents.items():
            self.write(name, text, self._now)

    def break_document(self, name: str) -> None:
        self._put(self._ids[name], TOO_MUCH, Pushed(path=name, access=PUBLIC))

    def break_source(self) -> None:
        self._execute("ALTER TABLE rag.inbox RENAME TO away")
        self._broken = True

    def vanish(self, name: str) -> None:
        self._blobs.delete("raw", sha256(self._sent[self._ids[name]][0].encode()))

    def _new_id(self, name: str) -> str:
        return self._ids.setdefault(name, f"record {len(self._ids)}")

    def _change(self, name: str, **changes: Any) -> None:
        text, pushed = self._sent[self._ids[name]]
        self._put(self._ids[name], text, msgspec.structs.replace(pushed, **changes))

    def _put(self, identity: str, text: str, pushed: Pushed) -> None:
        self._send([self._sending(identity, text, pushed)])

    def _sending(self, identity: str, text: str, pushed: Pushed) -> Sending:
        self._sent[identity] = text, pushed
        return Sending(self._key(), identity, pushed, text.encode())

    def _send(self, sendings: list[Sending]) -> None:
        accept(self._database, self._blobs, SOURCE, "key:system", sendings)

    def _key(self) -> str:
        return str(next(self._keys))

    def _execute(self, statement: str) -> None:
        with self._database.transaction() as connection:
            connection.execute(statement)  # type: ignore[arg-type]
