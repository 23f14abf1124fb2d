"""A small working pipeline for tests: folders of files, a configuration, a database, and the verbs of a user.

What belongs here: set-up that the integration tests share. What does not: assertions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg
import yaml

from rag_pipelines.config import load_config
from rag_pipelines.config.settings import Settings
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.gates import access_proof as access_gate
from rag_pipelines.gates.judge import validate_version
from rag_pipelines.index.build import build_index
from rag_pipelines.index.promotion import promote
from rag_pipelines.index.versions import Version
from rag_pipelines.progress import Progress, no_progress
from rag_pipelines.query.hits import Hit, Result
from rag_pipelines.query.search import Searcher
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Database, Pg, mapped_errors
from rag_pipelines.sync.engine import ingest
from rag_pipelines.sync.report import SyncReport
from rag_pipelines.sync.scope import Scope


class KeptSessions(Database):
    """A database whose sessions outside the pool are cleared and used again: a new one costs the server more
    than most statements, which have to read the catalogue anew in it."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._free: list[tuple[Pg, ExitStack]] = []

    @contextmanager
    def _session(self) -> Iterator[Pg]:
        with mapped_errors():
            connection, opened = self._taken()
            try:
                yield connection
            except BaseException:
                opened.close()
                raise
            self._free.append((connection, opened))

    def _taken(self) -> tuple[Pg, ExitStack]:
        while self._free:
            connection, opened = self._free.pop()
            try:
                connection.execute("DISCARD TEMP; RESET ALL; SELECT pg_advisory_unlock_all()")
                self._settle(connection)
                return connection, opened
            except psycopg.OperationalError:
                opened.close()
        opened = ExitStack()
        return opened.enter_context(super()._session()), opened

    def close(self) -> None:
        while self._free:
            self._free.pop()[1].close()
        super().close()


class Workspace:
    """One source `docs` (a folder) feeding one index `main`, with the hash model, unless told otherwise.
    The database is one that has the schema.

    Documents are parsed in the process of the test: a test about processes takes its `limits` away."""

    def __init__(self, folder: Path, database_url: str, **overrides: Any) -> None:
        self.folder = folder
        self.docs = folder / "docs"
        self.docs.mkdir(parents=True, exist_ok=True)
        self.url = database_url
        self.document: dict[str, Any] = {
            "data_dir": str(folder / "home"),
            "database": {"url": database_url},
            "limits": {"workers": 1, "sandbox": False},
            "profiles": {"embedding": {"default": {"provider": "hash"}}},
            "sources": {
                "docs": {
                    "connector": "filesystem",
                    "options": {"root": str(self.docs)},
                    "access": "public",
                    "delete_guard": {"share": 1.0},
                }
            },
            "indexes": {"main": {"sources": ["docs"], "gates": {"min_recall": 0.5, "max_chunk_drop": 1.0}}},
        }
        self.document.update(overrides)
        self.database = KeptSessions(database_url)
        self._searcher: Searcher | None = None

    @property
    def config_file(self) -> Path:
        """The configuration, written as a file."""
        path = self.folder / "rag.yaml"
        path.write_text(yaml.dump(self.document, Dumper=yaml.CSafeDumper), encoding="utf-8")
        return path

    @property
    def settings(self) -> Settings:
        """The configuration as it stands."""
        return load_config(self.config_file)

    def write(self, path: str, text: str | bytes) -> None:
        """Create or change a file of the source."""
        file = self.docs / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)

    @property
    def runtime(self) -> Runtime:
        """Database, configuration and models of the workspace as they stand."""
        settings = self.settings
        return Runtime(self.database, settings, Embedders(settings.data_dir))

    def ingest(self, source: str = "docs", *, progress: Progress = no_progress, **scope: Any) -> SyncReport:
        """Run the source once; `scope` is what `Scope` takes."""
        return ingest(self.runtime, source, Scope(**scope), progress=progress)

    def build(self, **options: Any) -> Version:
        """Build a candidate of the index."""
        version = build_index(self.runtime, "main", **options)
        assert version is not None
        return version

    def validate(self, version: Version) -> dict[str, bool]:
        """Run the gates; whether each passed."""
        gates = validate_version(self.runtime, "main", version.version_id)
        return {gate.gate: gate.passed for gate in gates}

    def publish(self, **options: Any) -> Version:
        """Build, judge and promote. The access gate asks one question, where `validate` has it ask all."""
        version = self.build(**options)
        with patch.object(access_gate, "QUESTIONS", 1):
            self.validate(version)
        return promote(self.database, "main", version.version_id)

    def refresh(self) -> Version:
        """Ingest and publish."""
        self.ingest()
        return self.publish()

    def result(self, text: str, *, tenant: str = "default", **options: Any) -> Result:
        """What a search by a caller of `tenant` gives."""
        if self._searcher is None:
            self._searcher = Searcher(self.database, self.settings, "main")
        return self._searcher.search(text, tenant=tenant, **options)

    def search(self, text: str, **options: Any) -> Sequence[Hit]:
        """Its hits."""
        return self.result(text, **options).hits

    def paths(self, text: str, **options: Any) -> set[str]:
        """The paths of the documents that a search finds."""
        return {hit.path for hit in self.search(text, **options)}

    def rows(self, statement: str, *params: Any) -> list[dict[str, Any]]:
        """What a statement gives, for looking behind the scenes."""
        with self.database.connection() as connection:
            return connection.execute(statement, params).fetchall()  # type: ignore[arg-type]

    def stored(self) -> set[str]:
        """External ids of everything that counts as present."""
        rows = self.rows("SELECT external_id FROM rag.document WHERE state <> 'tombstoned'")
        return {row["external_id"] for row in rows}

    def close(self) -> None:
        """Give connections back."""
        if self._searcher is not None:
            self._searcher.close()
        self.database.close()
