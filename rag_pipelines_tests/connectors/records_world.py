"""Rows as the conformance kit changes them: JSON Lines, CSV, and a table in Postgres.

What belongs here: the worlds of the records connector. What does not: promises or assertions.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from rag_pipelines.connectors.base import Connector, Entry
from rag_pipelines_tests.connectors.conformance import MAX_BYTES, OWN_GROUPS, TOO_MUCH, Case, World, divert

_numbers = itertools.count()

COLUMNS = ("key", "name", "body", "readers", "changed")


class Rows(World):
    """Rows in memory that `publish` writes out; the common part of the `records` worlds."""

    kind = "records"
    not_applicable: ClassVar = {
        Case.DELETE_PARENT: "rows have no folders",
        Case.GROUP_CHANGE: OWN_GROUPS,
        Case.THROTTLING: "a file asks nobody to slow down",
        Case.EXPIRED_CREDENTIAL: "files of this machine are read without a credential",
        "test_content_that_vanished_after_the_listing_fails_that_document_only": "a listed row has its text",
        "test_a_document_that_cannot_be_loaded_is_served_as_it_was": "a listed row has its text",
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
