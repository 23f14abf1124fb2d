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
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from rag_pipelines.embedding.base import Embedder
from rag_pipelines.embedding.factory import make_embedder
from rag_pipelines.embedding.model_files import find_model
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.errors import ConfigError

DATA = Path(os.environ.get("RAG_DATA_DIR", Path(__file__).resolve().parents[2] / "shared" / "data"))
QUERIES = 100
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


def library_vectors(model: str, device: str, texts: list[str]) -> tuple[np.ndarray, float, list[float]]:
    """Vectors by sentence-transformers as anyone would call it, passages a second, and query times."""
    from sentence_transformers import SentenceTransformer

    loaded = SentenceTransformer(str(find_model(model)), device=device)
    arguments: dict[str, Any] = {"normalize_embeddings": True, "show_progress_bar": False}
    loaded.encode(texts[:8], **arguments)
    began = time.perf_counter()
    vectors = loaded.encode(texts, **arguments)
    speed = len(texts) / (time.perf_counter() - began)
    return vectors, speed, query_times(lambda text: loaded.encode([text], **arguments))


def query_times(embed: Any) -> list[float]:
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


def speed_of(embedder: Embedder, texts: list[str]) -> tuple[np.ndarray, float, float]:
    """Vectors, passages a second and tokens a second, after a warm-up."""
    embedder.embed_documents(texts[:8])
    tokens = embedder.usage.tokens
    began = time.perf_counter()
    vectors = embedder.embed_documents(texts)
    seconds = time.perf_counter() - began
    return vectors, len(texts) / seconds, (embedder.usage.tokens - tokens) / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="all-MiniLM-L6-v2")
    parser.add_argument("--device", choices=sorted(WAYS), default="cpu")
    parser.add_argument("--passages", type=int, default=384)
    parser.add_argument("--file", type=Path, default=DATA / "beir-scifact" / "corpus.jsonl")
    arguments = parser.parse_args()

    texts = passages(arguments.file, arguments.passages)
    table = Table(
        title=f"{arguments.model}, {len(texts)} passages of {arguments.file.parent.name}, {arguments.device}"
    )
    columns = ("passages/s", "tokens/s", "cosine mean", "min", "query ms p50", "p95", "cold start s")
    table.add_column("way")
    for column in columns:
        table.add_column(column, justify="right")

    reference, speed, times = library_vectors(arguments.model, arguments.device, texts)
    table.add_row("sentence-transformers", f"{speed:.1f}", "", "1", "1", *_percentiles(times), "")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for runtime, precision in WAYS[arguments.device]:
            profile = EmbeddingProfile.model_validate(
                {
                    "model": arguments.model,
                    "runtime": runtime,
                    "precision": precision,
                    "device": arguments.device,
                }
            )
            embedder = make_embedder(profile, folder)
            try:
                vectors, speed, tokens = speed_of(embedder, texts)
            except ConfigError as error:
                table.add_row(f"{runtime} {precision}", str(error))
                continue
            cosines = np.sum(vectors * reference, axis=1)
            times = query_times(embedder.embed_query)
            embedder.close()
            table.add_row(
                f"{runtime} {precision}",
                f"{speed:.1f}",
                f"{tokens:,.0f}",
                f"{cosines.mean():.6f}",
                f"{cosines.min():.6f}",
                *_percentiles(times),
                f"{cold_start(profile, folder):.2f}",
            )
    Console(width=140).print(table)


def _percentiles(times: list[float]) -> tuple[str, str]:
    return f"{statistics.median(times):.2f}", f"{np.percentile(times, 95):.2f}"


if __name__ == "__main__":
    main()
