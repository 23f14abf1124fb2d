"""What a model costs here: its vectors of some texts, with the time and the memory that they took.

What belongs here: embedding for the sake of measuring. What does not: what the vectors are worth
(`evaluation.models`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from rag_pipelines.embedding.base import ModelIdentity
from rag_pipelines.embedding.batch import embed_all
from rag_pipelines.embedding.factory import make_embedder
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.errors import EmbeddingError

if TYPE_CHECKING:
    from rag_pipelines.embedding.base import Vectors


@dataclass(frozen=True)
class Trial:
    """What came of it. A passage that the model refuses has a vector of zeros.

    `seconds` and `processor_seconds` (of all cores) are of the passages, `query_ms` is the median of the
    questions, asked one by one. `memory_mb` is what the process grew by at its peak; None for a remote model,
    and where the system does not say.
    """

    identity: ModelIdentity
    passages: Vectors
    questions: Vectors
    seconds: float
    processor_seconds: float
    query_ms: float
    memory_mb: float | None


def try_model(
    profile: EmbeddingProfile,
    data_dir: Path,
    passages: Sequence[str],
    questions: Sequence[str],
    shared: Path | None = None,
) -> Trial:
    """Embed passages and questions; a local model in a process of its own, whose memory is its.

    Args:
        shared: a folder of prepared models, as `make_embedder` has it.

    Raises:
        ConfigError: the model is not on this machine, or cannot be run.
        EmbeddingError: it ended its process, for want of memory most likely.
        TransientError, CredentialError: its endpoint does not answer.
    """
    if profile.provider == "openai":
        return _embed(profile, data_dir, passages, questions, shared)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        try:
            return process.submit(_embed, profile, data_dir, passages, questions, shared).result()
        except BrokenProcessPool as error:
            raise EmbeddingError(
                f"the process that ran {profile.model} ended; the machine may have too little memory for it"
            ) from error


def _embed(
    profile: EmbeddingProfile,
    data_dir: Path,
    passages: Sequence[str],
    questions: Sequence[str],
    shared: Path | None,
) -> Trial:
    import numpy as np

    before = _memory_mb("VmRSS")
    embedder = make_embedder(profile, data_dir, shared)
    try:
        embedder.embed_query("a question that loads the model")
        vectors = np.zeros((len(passages), embedder.identity.dimensions), dtype=np.float32)
        began, spent = time.perf_counter(), time.process_time()
        for group in embed_all(embedder, passages):
            vectors[group.rows] = group.vectors
        seconds, processor = time.perf_counter() - began, time.process_time() - spent
        asked, took = [], []
        for question in questions:
            began = time.perf_counter()
            asked.append(embedder.embed_query(question))
            took.append((time.perf_counter() - began) * 1000)
    finally:
        embedder.close()
    peak = None if profile.provider == "openai" else _memory_mb("VmHWM")
    memory = None if before is None or peak is None else peak - before
    return Trial(embedder.identity, vectors, np.array(asked), seconds, processor, median(took), memory)


def _memory_mb(field: str) -> float | None:
    """A figure that Linux keeps of this process, in megabytes."""
    status = Path("/proc/self/status")
    found = re.search(rf"^{field}:\s+(\d+) kB", status.read_text(), re.MULTILINE) if status.exists() else None
    return int(found[1]) / 1000 if found else None
