"""Running a sentence-transformers model: by OpenVINO from a converted copy, or by torch.

What belongs here: texts to vectors with a model that is already chosen. What does not: choosing the
runtime, converting, accepting (`conversion`).
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from rag_pipelines.embedding.base import normalise
from rag_pipelines.embedding.batch import token_batches
from rag_pipelines.embedding.tokenizer import read_tokenizer_file
from rag_pipelines.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    import openvino
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer

    from rag_pipelines.embedding.base import Vectors

Pooling = Literal["mean", "cls", "max"]
Precision = Literal["bf16", "fp32"]

MODEL_FILE = "model.xml"
TOKENIZER_FILE = "tokenizer.json"

_PRECISION_HINTS = {"bf16": "bf16", "fp32": "f32"}


class ModelRuntime(Protocol):
    """A loaded model."""

    def encode(self, texts: Sequence[str], prompt: str) -> tuple[Vectors, int]:
        """Unit vectors in the order of the texts, and the number of tokens that the model read."""
        ...


def import_openvino() -> Any:
    """The `openvino` module, with its usage reporting shut off.

    OpenVINO reports conversions through the package `openvino_telemetry`, and takes its own stub where
    that cannot be imported; a None in `sys.modules` is Python's way to make an import fail.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


class OpenVinoRuntime:
    """A converted transformer on the processor; tokenised by `tokenizers`, pooled in fp32 by numpy.

    Args:
        folder: holds the converted model and its tokenizer.
        batch_size: texts in one call of the model; 8 to 16 is best on two to eight cores.
    """

    def __init__(
        self, folder: Path, *, precision: Precision, pooling: Pooling, max_tokens: int, batch_size: int
    ) -> None:
        model = compile_model(folder / MODEL_FILE, precision)
        self._inputs = [port.get_any_name() for port in model.inputs]
        self._request = model.create_infer_request()
        self._tokenizer = read_tokenizer_file(folder / TOKENIZER_FILE)
        self._tokenizer.enable_truncation(max_tokens)
        self._pooling = pooling
        self._batch_size = batch_size

    def encode(self, texts: Sequence[str], prompt: str) -> tuple[Vectors, int]:
        import numpy as np

        encodings = self._tokenizer.encode_batch_fast([prompt + text for text in texts])
        lengths = np.array([len(encoding) for encoding in encodings])
        order = np.argsort(-lengths, kind="stable")
        vectors: Vectors | None = None
        for begin in range(0, len(order), self._batch_size):
            rows = order[begin : begin + self._batch_size]
            mask, feed = self._tensors([encodings[row] for row in rows])
            pooled = pool(self._request.infer(feed)[0], mask, self._pooling)
            if vectors is None:
                vectors = np.empty((len(texts), pooled.shape[1]), dtype=np.float32)
            vectors[rows] = normalise(pooled)
        assert vectors is not None, "no texts"
        return vectors, int(lengths.sum())

    def _tensors(self, encodings: Sequence[Any]) -> tuple[NDArray[np.int64], dict[str, NDArray[np.int64]]]:
        """The attention mask and the model's inputs, padded to the longest text of the batch."""
        import numpy as np

        shape = (len(encodings), max(len(encoding) for encoding in encodings))
        ids, mask, types = (np.zeros(shape, dtype=np.int64) for _ in range(3))
        for row, encoding in enumerate(encodings):
            ids[row, : len(encoding)] = encoding.ids
            mask[row, : len(encoding)] = 1
            types[row, : len(encoding)] = encoding.type_ids
        named = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        return mask, {name: named[name] for name in self._inputs}


class TorchRuntime:
    """The model as sentence-transformers itself runs it, on the processor or a GPU.

    Args:
        batch_size: texts in one call of the model.
        batch_tokens: tokens in one call of the model instead, padding included.
    """

    def __init__(
        self,
        folder: Path,
        *,
        precision: Precision,
        device: str,
        batch_size: int,
        batch_tokens: int | None = None,
    ) -> None:
        self._model = load_sentence_transformer(folder, device)
        if precision == "bf16":
            _run_in_bf16(self._model)
        self._batch_size = batch_size
        self._batch_tokens = batch_tokens

    def encode(self, texts: Sequence[str], prompt: str) -> tuple[Vectors, int]:
        import numpy as np

        lengths = self._lengths(texts, prompt)
        if self._batch_tokens is None:
            return self._encode(texts, prompt, self._batch_size), sum(lengths)
        batches = list(token_batches(lengths, self._batch_tokens))
        made = [self._encode([texts[row] for row in rows], prompt, len(rows)) for rows in batches]
        vectors = np.concatenate(made)
        vectors[np.concatenate(batches)] = vectors.copy()
        return vectors, sum(lengths)

    def _encode(self, texts: Sequence[str], prompt: str, batch_size: int) -> Vectors:
        import numpy as np

        vectors = self._model.encode(
            list(texts),
            prompt=prompt,
            batch_size=batch_size,
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        return normalise(np.asarray(vectors, dtype=np.float32))

    def _lengths(self, texts: Sequence[str], prompt: str) -> list[int]:
        """Tokens that the model reads of each text."""
        if is_static(self._model):
            encodings = self._model.tokenizer.encode_batch(
                [prompt + text for text in texts], add_special_tokens=False
            )
            return [len(encoding) for encoding in encodings]
        limit = self._model.get_max_seq_length() or sys.maxsize
        encoded = self._model.tokenizer([prompt + text for text in texts], verbose=False)
        return [min(len(ids), limit) for ids in encoded["input_ids"]]


def compile_model(path: Path, precision: Precision) -> openvino.CompiledModel:
    """A converted model, ready to run on every core this process may use."""
    options: Mapping[str, Any] = {
        "INFERENCE_PRECISION_HINT": _PRECISION_HINTS[precision],
        "INFERENCE_NUM_THREADS": _cores(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    return import_openvino().Core().compile_model(str(path), "CPU", options)


def load_sentence_transformer(folder: Path, device: str) -> SentenceTransformer:
    """The model in fp32 by its own library, from files on this machine only.

    Raises:
        ConfigError: the library is missing or cannot load the folder.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ConfigError(
            f"loading the model in {folder} needs sentence-transformers and torch: {error}; "
            "run: pip install 'rag-pipelines[models]'"
        ) from error
    for library in ("sentence_transformers", "transformers"):
        logging.getLogger(library).setLevel(logging.ERROR)
    try:
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        return SentenceTransformer(
            str(folder), device=device, local_files_only=True, model_kwargs={"dtype": "float32"}
        )
    except Exception as error:
        raise ConfigError(f"sentence-transformers cannot load the model in {folder}: {error}") from error


def is_static(model: SentenceTransformer) -> bool:
    """Whether it is a table of a vector a token, as model2vec makes: a bare tokenizer, no transformer."""
    return type(model[0]).__name__ == "StaticEmbedding"


def pool(hidden: NDArray[np.float32], mask: NDArray[np.int64], pooling: Pooling) -> NDArray[np.float32]:
    """One vector for each text from its token vectors, shape (texts, tokens, dimensions), in fp32."""
    import numpy as np

    match pooling:
        case "mean":
            weights = mask.astype(np.float32)
            totals = np.matmul(weights[:, None, :], hidden)[:, 0, :]
            return np.divide(totals, weights.sum(axis=1, keepdims=True), dtype=np.float32)
        case "cls":
            return hidden[:, 0, :]
        case "max":
            return np.where(mask[:, :, None] == 1, hidden, np.float32(-np.inf)).max(axis=1)


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run_in_bf16(model: SentenceTransformer) -> None:
    """Let the transformer compute in bf16 and everything behind it, pooling first, in fp32."""
    import torch

    def to_float(_module: Any, _inputs: Any, features: dict[str, Any]) -> dict[str, Any]:
        return {
            name: value.float() if getattr(value, "is_floating_point", bool)() else value
            for name, value in features.items()
        }

    transformer: Any = model[0]
    transformer.to(torch.bfloat16)
    transformer.register_forward_hook(to_float)
