"""A sentence-transformers model on this machine, run by whatever `conversion` decided.

What belongs here: the embedder: its identity and tokenizer from the manifest, the model loaded at the
first text. What does not: finding, converting or running the model.
"""

from __future__ import annotations

import importlib.metadata
import threading
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from rag_pipelines.chunking.base import Tokenizer
from rag_pipelines.embedding import model_files
from rag_pipelines.embedding.base import ModelIdentity, Usage, normalise
from rag_pipelines.embedding.conversion import FORMAT, Manifest, Wish, ensure_prepared, is_openvino_installed
from rag_pipelines.embedding.prepared import place_of
from rag_pipelines.embedding.profile import EmbeddingProfile
from rag_pipelines.embedding.runtimes import ModelRuntime, OpenVinoRuntime, Precision, TorchRuntime
from rag_pipelines.embedding.together import Together
from rag_pipelines.embedding.tokenizer import TokenizerSpec, load_tokenizer
from rag_pipelines.errors import ConfigError, EmbeddingError
from rag_pipelines.fingerprint import fingerprint

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rag_pipelines.embedding.base import Vectors

BATCH_SIZE = {"openvino": 8, "torch": 32}
GPU_BATCH_TOKENS = 16_384
"""Tokens, padding included, in one call of a model on a GPU whose profile sets no `batch_size`."""

_BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})


class LocalEmbedder:
    """A sentence-transformers model.

    The first use of a model prepares it (seconds, once); after that `identity` and `tokenizer` cost
    reading a small file, and the first embedding loads the model. Several threads may use it; the model
    works on one call at a time, with all cores; questions that wait for it are one call.

    Raises:
        ConfigError: from any use, if the model is not on this machine or cannot be run as asked.
    """

    def __init__(self, profile: EmbeddingProfile, data_dir: Path, shared: Path | None = None) -> None:
        self.usage = Usage()
        self._profile = profile
        self._models, self._shared = data_dir / "models", shared
        self._runtime: ModelRuntime | None = None
        self._lock = threading.Lock()
        self._questions = Together(lambda texts: self._embed(texts, self.identity.query_prompt))

    @cached_property
    def identity(self) -> ModelIdentity:
        own, profile = self.manifest.identity, self._profile
        return msgspec.structs.replace(
            own,
            dimensions=self._dimensions(own),
            query_prompt=own.query_prompt if profile.query_prompt is None else profile.query_prompt,
            document_prompt=own.document_prompt
            if profile.document_prompt is None
            else profile.document_prompt,
        )

    @property
    def tokenizer(self) -> Tokenizer:
        return load_tokenizer(self.tokenizer_spec)

    @cached_property
    def tokenizer_spec(self) -> TokenizerSpec:
        spec = self.manifest.tokenizer
        spec = msgspec.structs.replace(spec, path=str(self._folder / spec.path) if spec.path else "")
        if self.identity.document_prompt:
            prompt_tokens = load_tokenizer(spec).count([self.identity.document_prompt])[0]
            spec = msgspec.structs.replace(spec, special_tokens=spec.special_tokens + prompt_tokens)
        return spec

    @cached_property
    def manifest(self) -> Manifest:
        """How the model is run, with the figures that decided it."""
        return ensure_prepared(self._source, Path(self._profile.model).name, self._wish, self._folder)

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            import numpy as np

            return np.empty((0, self.identity.dimensions), dtype=np.float32)
        return self._embed(texts, self.identity.document_prompt)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        return self._questions.embed_query(text)

    def close(self) -> None:
        """Let go of the model's memory; the next text loads it again."""
        with self._lock:
            self._runtime = None

    def _embed(self, texts: Sequence[str], prompt: str) -> Vectors:
        with self._lock:
            began = time.perf_counter()
            if self._runtime is None:
                self._runtime = self._load()
            try:
                vectors, tokens = self._runtime.encode(texts, prompt)
            except RuntimeError as error:
                runtime = self.identity.runtime
                raise EmbeddingError(f"{runtime} failed on {len(texts)} texts: {error}") from error
            if vectors.shape[1] > self.identity.dimensions:
                vectors = normalise(vectors[:, : self.identity.dimensions])
            self.usage.inputs += len(texts)
            self.usage.tokens += tokens
            self.usage.requests += 1
            self.usage.seconds += time.perf_counter() - began
            return vectors

    def _dimensions(self, own: ModelIdentity) -> int:
        wanted = self._profile.dimensions or own.dimensions
        if wanted > own.dimensions:
            raise ConfigError(
                f"'dimensions' is {wanted}, and the vectors of {self._profile.model!r} have "
                f"{own.dimensions}; they can only be cut"
            )
        return wanted

    def _load(self) -> ModelRuntime:
        identity, manifest = self.identity, self.manifest
        batch_size = self._profile.batch_size or BATCH_SIZE[identity.runtime]
        precision: Precision = "bf16" if identity.precision == "bf16" else "fp32"
        if manifest.pooling is None:
            by_tokens = self._wish.device == "cuda" and not self._profile.batch_size
            return TorchRuntime(
                self._source,
                precision=precision,
                device=self._wish.device,
                batch_size=batch_size,
                batch_tokens=GPU_BATCH_TOKENS if by_tokens else None,
            )
        return OpenVinoRuntime(
            self._folder,
            precision=precision,
            pooling=manifest.pooling,
            max_tokens=identity.max_tokens,
            batch_size=batch_size,
        )

    @cached_property
    def _source(self) -> Path:
        return model_files.find_model(self._profile.model, allow_download=self._profile.allow_download)

    @cached_property
    def _folder(self) -> Path:
        """Where the prepared model lies; another place whenever anything that decided it changes."""
        versions = importlib.metadata.version("openvino") if self._wish.precisions else ""
        key = fingerprint(
            [FORMAT, model_files.stamp(self._source), msgspec.to_builtins(self._wish), versions]
        )
        return place_of(key, self._models, self._shared)

    @cached_property
    def _wish(self) -> Wish:
        """The profile's wishes on this machine."""
        profile = self._profile
        device = profile.device
        if device == "auto":
            device = "cuda" if profile.runtime != "openvino" and _has_gpu() else "cpu"
        torch_precision: Precision = "bf16" if profile.precision == "bf16" else "fp32"
        if profile.runtime == "torch" or device == "cuda":
            return Wish((), torch_precision, device)
        if not is_openvino_installed():
            if profile.runtime == "openvino":
                raise ConfigError(
                    "runtime 'openvino' is not installed; run 'pip install openvino' or use 'auto'"
                )
            return Wish((), torch_precision)
        auto: tuple[Precision, ...] = ("bf16", "fp32") if _has_bf16() else ("fp32",)
        precisions: tuple[Precision, ...] = auto if profile.precision == "auto" else (profile.precision,)
        return Wish(precisions, None if profile.runtime == "openvino" else torch_precision)


def _has_bf16() -> bool:
    """Whether the processor multiplies bf16 itself; False where the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return not _BF16_FLAGS.isdisjoint(flags.split())


def _has_gpu() -> bool:
    """Whether torch sees an NVIDIA GPU; torch is imported only where there is a driver."""
    if not Path("/proc/driver/nvidia/version").exists():
        return False
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()
