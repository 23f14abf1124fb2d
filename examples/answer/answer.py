"""Asks a folder of documents a question, and prints what a model may answer from, with its sources.

python examples/answer/answer.py "How much may I claim for meals?"
"""

from __future__ import annotations

import sys
from pathlib import Path

import rag_pipelines

CONFIG = Path(__file__).parents[1] / "rag.yaml"


def main(question: str) -> None:
    with rag_pipelines.open(CONFIG) as rag:
        source, index = rag.sources["handbook"], rag.indexes["main"]

        report = source.ingest()
        print(f"{report.listed} documents, {report.touched} of them new or changed, {report.failed} failed")
        if version := index.refresh():
            print(f"version {version.version_id} is live")

        result = index.search(question, tenant="default", k=3)
        context = index.pack(result, max_tokens=200)
        print(f"\n{question}\n\n{context.text}")


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or "How much may I claim for meals?")
