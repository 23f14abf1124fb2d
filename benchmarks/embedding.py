"""Speed and faithfulness of every way to run a local model, side by side in one run on real passages.

What belongs here: timing and comparing. What does not: running models (`rag_pipelines.embedding`).

Passages are the first of BEIR SciFact, or of a JSONL file with `title` and `text`. The reference is
sentence-transformers itself in fp32 (its own `encode`). Cold start is a fresh process from its first
import to the vector of its first query, the model being prepared.

Run with::

    python benchmarks/embedding.py [--device cuda] [--passages 384] [--model NAME] [--file corpus.jsonl]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from history import Figures
from rich.console import Console
from rich.table import Table

from rag_pipelines.embedding.base import Embedder
from rag_pipelines.embedding.factory import make_embedder
from rag_pipelines.embedding.model_files import find_model
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.errors import ConfigError

FIGURES = Figures("embedding")
DATA = Path(os.environ.get("RAG_DATA_DIR", Path(__file__).resolve().parents[2] / "shared" / "data"))
QUERIES = 50
COLD_START = """
import sys, time
began = time.perf_counter()
from pathlib import Path
from rag_pipelines.embedding.factory import make_embedder
from rag_pipelines.embedding.profile import EmbeddingProfile
make_embedder(EmbeddingProfile.model_validate_json(sys.argv[1]), Path(sys.argv[2])).embed_query("first query")
print(time.perf_counter() - began)
"""
WAYS: dict[str, list[tuple[str, str]]] = {
    "cpu": [("torch", "fp32"), ("torch", "bf16"), ("openvino", "fp32"), ("openvino", "bf16")],
    "cuda": [("torch", "fp32"), ("torch", "bf16")],
}


def passages(path: Path, count: int) -> list[str]:
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in itertools.islice(lines, count)]
    return [f"{row.get('title', '')}\n\n{row['text']}".strip() for row in rows]


@dataclass
class Way:
    """One way to run the model, with the best of what was measured."""

    name: str
    documents: Callable[[list[str]], Any]
    query: Callable[[str], Any]
    embedder: Embedder | None = None
    profile: EmbeddingProfile | None = None
    speed: float = 0.0
    tokens: float = 0.0
    query_p50: float = float("inf")
    query_p95: float = float("inf")
    vectors: Any = None

    def measure(self, texts: list[str]) -> None:
        """One round; keeps the best, because other work on the machine can only slow it."""
        self.documents(texts[:8])
        tokens = self.embedder.usage.tokens if self.embedder else 0
        began = time.perf_counter()
        self.vectors = self.documents(texts)
        seconds = time.perf_counter() - began
        if len(texts) / seconds > self.speed:
            self.speed = len(texts) / seconds
            self.tokens = (self.embedder.usage.tokens - tokens) / seconds if self.embedder else 0
        times = query_times(self.query)
        self.query_p50 = min(self.query_p50, statistics.median(times))
        self.query_p95 = min(self.query_p95, float(np.percentile(times, 95)))


def library(model: str, device: str) -> Way:
    """sentence-transformers as anyone would call it."""
    from sentence_transformers import SentenceTransformer

    loaded = SentenceTransformer(str(find_model(model)), device=device)
    arguments: dict[str, Any] = {"normalize_embeddings": True, "show_progress_bar": False}
    return Way(
        "sentence-transformers",
        lambda texts: loaded.encode(texts, **arguments),
        lambda text: loaded.encode([text], **arguments),
    )


def ours(model: str, device: str, folder: Path) -> Iterator[Way]:
    """Every way of the package on this device; those that a model or machine cannot take are named."""
    for runtime, precision in WAYS[device]:
        profile = EmbeddingProfile.model_validate(
            {"model": model, "runtime": runtime, "precision": precision, "device": device}
        )
        embedder = make_embedder(profile, folder)
        try:
            _ = embedder.identity
        except ConfigError as error:
            print(f"{runtime} {precision}: {error}")
            continue
        yield Way(f"{runtime} {precision}", embedder.embed_documents, embedder.embed_query, embedder, profile)


def query_times(embed: Callable[[str], Any]) -> list[float]:
    """Milliseconds of single short queries."""
    times = []
    for number in range(QUERIES):
        began = time.perf_counter()
        embed(f"how many days of parental leave are there in office {number}")
        times.append((time.perf_counter() - began) * 1e3)
    return times


def cold_start(profile: EmbeddingProfile, folder: Path) -> float:
    """Seconds from the first import to the first vector in a fresh process."""
    command = [sys.executable, "-c", COLD_START, profile.model_dump_json(exclude_unset=True), str(folder)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="all-MiniLM-L6-v2")
    parser.add_argument("--device", choices=sorted(WAYS), default="cpu")
    parser.add_argument("--passages", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=3, help="interleaved; the best of each way counts")
    parser.add_argument("--file", type=Path, default=DATA / "beir-scifact" / "corpus.jsonl")
    arguments = parser.parse_args()
    if not arguments.file.is_file():
        sys.exit(f"{arguments.file} not found; set RAG_DATA_DIR or give --file")

    texts = passages(arguments.file, arguments.passages)
    table = Table(
        title=f"{arguments.model}, {len(texts)} passages of {arguments.file.parent.name}, {arguments.device}"
    )
    columns = ("passages/s", "tokens/s", "cosine mean", "min", "query ms p50", "p95", "cold start s")
    table.add_column("way")
    for column in columns:
        table.add_column(column, justify="right")

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reference, *others = [
            library(arguments.model, arguments.device),
            *ours(arguments.model, arguments.device, folder),
        ]
        for _ in range(arguments.rounds):
            for way in (reference, *others):
                way.measure(texts)
        for way in (reference, *others):
            cosines = np.sum(way.vectors * reference.vectors, axis=1)
            if way is not reference:
                FIGURES.ratio(f"speed / the library, {way.name}", way.speed / reference.speed)
                FIGURES.ratio(f"least cosine, {way.name}", cosines.min())
            FIGURES.context(f"passages/s, {way.name}", way.speed)
            table.add_row(
                way.name,
                f"{way.speed:.1f}",
                f"{way.tokens:,.0f}" if way.tokens else "",
                f"{cosines.mean():.6f}",
                f"{cosines.min():.6f}",
                f"{way.query_p50:.2f}",
                f"{way.query_p95:.2f}",
                f"{cold_start(way.profile, folder):.2f}" if way.profile else "",
            )
    Console(width=140).print(table)
    FIGURES.record(model=arguments.model, device=arguments.device, passages=arguments.passages)


if __name__ == "__main__":
    main()
