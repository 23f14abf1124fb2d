"""The program that `test_kill` kills: one refresh, saying what it is doing.

    python -m rag_pipelines_tests.integration.killed_run CONFIG DATABASE_URL JOURNAL

Each phase and each count of embedded inputs is appended to JOURNAL, so that what was done before a kill
can be counted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_pipelines.config import load_config
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.embedding.hashing import HashEmbedder
from rag_pipelines.gates.judge import validate_version
from rag_pipelines.index.build import build_index
from rag_pipelines.index.promotion import promote
from rag_pipelines.index.storage import Storage
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Database
from rag_pipelines.sync.engine import ingest

if TYPE_CHECKING:
    from rag_pipelines.embedding.base import Vectors


def main(config: str, url: str, journal_path: str) -> None:
    """Ingest, build in full, judge, promote."""
    journal = os.open(journal_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    embed = HashEmbedder.embed_documents

    def note(line: str) -> None:
        os.write(journal, f"{line}\n".encode())

    def counted(self: HashEmbedder, texts: Sequence[str]) -> Vectors:
        note(f"embed {len(texts)}")
        return embed(self, texts)

    HashEmbedder.embed_documents = counted  # type: ignore[method-assign]
    index = Storage.index_words

    def noted(self: Storage, *arguments: Any, **named: Any) -> None:
        note("phase indexing")
        index(self, *arguments, **named)

    Storage.index_words = noted  # type: ignore[method-assign]
    settings, database = load_config(Path(config)), Database(url)
    embedders = Embedders(settings.data_dir)
    seen: set[str] = set()

    def progress(stage: str, done: int, total: int | None) -> None:
        if stage not in seen:
            seen.add(stage)
            note(f"phase {stage}")

    note("phase start")
    ingest(Runtime(database, settings, embedders), "docs", progress=progress)
    note("phase build")
    version = build_index(
        Runtime(database, settings, embedders), "main", full=True, if_changed=True, progress=progress
    )
    if version is not None:
        note("phase gates")
        validate_version(Runtime(database, settings, embedders), "main", version.version_id)
        note("phase promote")
        promote(database, "main", version.version_id)
    note("phase end")


if __name__ == "__main__":
    main(*sys.argv[1:])
