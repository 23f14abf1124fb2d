"""Whether the quality gate refuses candidates made worse on purpose, and lets equal ones pass.

What belongs here: an index of xquad (en) with a golden set of some of its questions, and ways to spoil a
candidate. What does not: the gate.

Each candidate goes the whole way: it is built, judged by all gates, and promoted if they let it. The exit
status is 1 if the gate on quality lets a worse candidate pass, or if an equal one is not promoted. An equal
candidate is a full rebuild: its vector index is another graph over the same vectors.

    python benchmarks/quality_gate.py [--questions 300] [--equal 20]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml
from history import Figures

from rag_pipelines.config import load_config
from rag_pipelines.config.settings import Settings
from rag_pipelines.embedding.embedders import Embedders
from rag_pipelines.errors import GateError
from rag_pipelines.evaluation.golden import read_golden, write_golden
from rag_pipelines.gates.judge import validate_version
from rag_pipelines.index.build import build_index
from rag_pipelines.index.promotion import promote
from rag_pipelines.index.versions import Version
from rag_pipelines.runtime import Runtime
from rag_pipelines.store.database import Database
from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines.sync.engine import ingest

FIGURES = Figures("quality_gate")

DATA = Path(os.environ.get("RAG_DATA_DIR", Path(__file__).resolve().parents[2] / "shared" / "data"))
CORPUS = DATA / "xquad" / "en"
INDEX = "paragraphs"
RIGHT = {"model": "all-MiniLM-L6-v2"}
WRONG = {
    **RIGHT,
    "query_prompt": "Instruct: Given a web search query, retrieve passages that answer the query\nQuery: ",
}
"""The prompt of another model. Shorter ones ("query: ") cost MiniLM 0.008 of nDCG@10, which is tolerated."""

SPOILT = {
    "chunks shuffled": """
        UPDATE {vectors} v SET embedding = o.embedding
        FROM (SELECT slot, lead(embedding) OVER (ORDER BY slot) AS embedding FROM {vectors}) o
        WHERE v.slot = o.slot AND o.embedding IS NOT NULL""",
    "half the documents missing": """
        DELETE FROM {vectors} WHERE document_id % 2 = 0; DELETE FROM {lexical} WHERE document_id % 2 = 0""",
    "BM25 broken": """
        UPDATE {vectors} v SET weights = o.weights
        FROM (SELECT slot, lead(weights) OVER (ORDER BY slot) AS weights FROM {vectors}) o
        WHERE v.slot = o.slot AND o.weights IS NOT NULL""",
    "words lost": "UPDATE {vectors} SET weights = '{{}}/1000000000'",
}


class Trial:
    """A database with a live version, and candidates beside it."""

    def __init__(self, home: Path, questions: int) -> None:
        self.home = home
        self.golden = home / "golden.jsonl"
        asked = read_golden(CORPUS).questions
        write_golden(self.golden, asked[:: max(1, len(asked) // questions)][:questions])
        self.server = EmbeddedServer(home / "postgres")
        self.database = Database(self.server.start())
        self.database.migrate()
        self.embedders = Embedders(home)
        self.settings = self._settings(RIGHT)
        if refused := self.refused(self.candidate(RIGHT)):
            sys.exit(f"the first version may not go live: {'; '.join(refused)}")

    def candidate(self, embedding: Mapping[str, str]) -> Version:
        """A full build with a model."""
        settings = self._settings(embedding)
        ingest(Runtime(self.database, settings, self.embedders), INDEX)
        version = build_index(Runtime(self.database, settings, self.embedders), INDEX, full=True)
        assert version is not None
        return version

    def spoil(self, version: Version, statement: str) -> None:
        """Change a candidate's tables."""
        tables = {kind: f"rag.{kind}_{version.storage}" for kind in ("vectors", "lexical")}
        with self.database.connection() as connection:
            connection.execute(statement.format(**tables))

    def refused(self, version: Version) -> tuple[str, ...]:
        """Judge a candidate and promote it; why it was refused, if it was."""
        validate_version(Runtime(self.database, self.settings, self.embedders), INDEX, version.version_id)
        try:
            promote(self.database, INDEX, version.version_id)
        except GateError as error:
            return error.reasons
        return ()

    def close(self) -> None:
        """Stop the server."""
        self.database.close()
        self.server.stop()

    def _settings(self, embedding: Mapping[str, str]) -> Settings:
        columns = {"id": "_id", "text": "text", "title": "title", "path": str(CORPUS / "corpus.jsonl")}
        document: dict[str, Any] = {
            "data_dir": str(self.home),
            "profiles": {
                "chunking": {"default": {"whole_document": True, "context": ["title"]}},
                "embedding": {"default": dict(embedding), "right": RIGHT, "wrong": WRONG},
            },
            "sources": {INDEX: {"connector": "records", "options": columns, "access": "public"}},
            "indexes": {INDEX: {"sources": [INDEX], "golden": str(self.golden)}},
        }
        path = self.home / "rag.yaml"
        path.write_text(yaml.safe_dump(document))
        return load_config(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--equal", type=int, default=20, help="how many equal candidates are judged")
    arguments = parser.parse_args()
    if not CORPUS.is_dir():
        sys.exit(f"needs the corpus xquad in {DATA} (set RAG_DATA_DIR)")
    with (
        tempfile.TemporaryDirectory(prefix="rag-gate-") as folder,
        closing(Trial(Path(folder), arguments.questions)) as trial,
    ):
        let_through = worse_candidates(trial)
        refused = equal_candidates(trial, arguments.equal)
    FIGURES.ratio("worse candidates let through", let_through / (len(SPOILT) + 1))
    FIGURES.ratio("equal candidates refused", refused / max(1, arguments.equal))
    FIGURES.record(questions=arguments.questions, equal=arguments.equal)
    sys.exit(1 if let_through or refused else 0)


def worse_candidates(trial: Trial) -> int:
    """How many candidates passed the gate that are worse; prints each."""
    passed = 0
    for how in [*SPOILT, "wrong prompts"]:
        candidate = trial.candidate(WRONG if how == "wrong prompts" else RIGHT)
        if how in SPOILT:
            trial.spoil(candidate, SPOILT[how])
        reasons = trial.refused(candidate)
        ours = [reason for reason in reasons if reason.startswith("gate quality failed")]
        others = {reason.split()[1] for reason in reasons} - {"quality"}
        passed += not ours
        print(
            f"{how}: {'refused' if ours else 'PASSED'}"
            f"{f'; refused by {sorted(others)} too' if others else ''}",
            flush=True,
        )
        for reason in ours[:3]:
            print(f"    {reason}")
    return passed


def equal_candidates(trial: Trial, count: int) -> int:
    """How many candidates were not promoted that are as good."""
    wrong = 0
    began = time.perf_counter()
    for _ in range(count):
        if reasons := trial.refused(trial.candidate(RIGHT)):
            wrong += 1
            print(f"an equal candidate was refused: {'; '.join(reasons)}", flush=True)
    took = (time.perf_counter() - began) / max(1, count)
    print(f"equal candidates: {count - wrong} of {count} passed, {took:.0f} s each to build and judge")
    return wrong


if __name__ == "__main__":
    main()
