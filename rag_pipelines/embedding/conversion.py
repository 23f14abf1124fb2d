"""Deciding once how a model is run, converting it for that, and remembering the decision.

What belongs here: the manifest, the conversion to OpenVINO, and the test that a converted model must
pass. What does not: finding the model's files and embedding with it.

A prepared model is a folder with a manifest, the tokenizer, and the converted model if OpenVINO runs
it. Later processes read the manifest and import neither torch nor sentence-transformers.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec

from rag_pipelines.embedding.base import ModelIdentity
from rag_pipelines.embedding.model_files import weights_hash
from rag_pipelines.embedding.runtimes import (
    MODEL_FILE,
    TOKENIZER_FILE,
    OpenVinoRuntime,
    Pooling,
    Precision,
    import_openvino,
    is_static,
    load_sentence_transformer,
)
from rag_pipelines.embedding.tokenizer import TokenizerSpec, read_tokenizer_file
from rag_pipelines.errors import ConfigError
from rag_pipelines.fingerprint import sha256
from rag_pipelines.stored import Form

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

FORMAT = 1
MANIFEST_FILE = "manifest.json"
ERROR_FILE = "error.txt"
LEAST_COSINE = 0.9999
"""What a converted model's vectors must reach against the library's own, on every text of the sample."""

_DOCUMENT_PROMPTS = ("document", "passage", "corpus")
_UNBOUNDED = 1_000_000
_log = logging.getLogger(__name__)


class Manifest(msgspec.Struct, frozen=True):
    """How a model is run and what it is. Prompts are the model's own; the profile may override them.

    `rejected` says why each faster way was not taken, `cosine` the least cosine of the way that was
    (1 for torch, which is the reference).
    """

    identity: ModelIdentity
    tokenizer: TokenizerSpec
    pooling: Pooling | None
    cosine: float
    rejected: dict[str, str] = {}


MANIFEST = Form("converted model", Manifest)


class Wish(msgspec.Struct, frozen=True):
    """What the profile asks for, with `auto` resolved to what this machine can do, best first."""

    precisions: tuple[Precision, ...]
    """To be tried with OpenVINO; empty where torch runs the model anyway."""
    torch: Precision | None
    """With torch, where no try succeeds; None if only OpenVINO will do."""
    device: str = "cpu"


class Order(msgspec.Struct, frozen=True):
    """What is to be prepared, and in which empty folder."""

    source: str
    name: str
    wish: Wish
    folder: str


def ensure_prepared(source: Path, name: str, wish: Wish, target: Path) -> Manifest:
    """The manifest of the model prepared in `target`; prepares it first if that has not been done.

    Only one process prepares; others wait for it. The folder appears complete or not at all.

    Raises:
        ConfigError: the model cannot be loaded, or no runtime that was asked for agrees with it.
    """
    manifest = target / MANIFEST_FILE
    if not manifest.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target, name):
            if not manifest.is_file():
                for remains in target.parent.glob(f"{target.name}.part-*"):
                    shutil.rmtree(remains)
                part = target.with_name(f"{target.name}.part-{uuid4().hex[:8]}")
                part.mkdir()
                _log.info("preparing the model %s, once on this machine: up to some minutes", name)
                began = time.perf_counter()
                _prepare_apart(Order(str(source), name, wish, str(part)))
                part.rename(target)
                _log.info("prepared the model %s in %.0f s", name, time.perf_counter() - began)
    return MANIFEST.decode(msgspec.json.decode(manifest.read_bytes()))


@contextmanager
def _alone(target: Path, name: str) -> Iterator[None]:
    """One process at a time; another is said to be waited for."""
    from filelock import FileLock, Timeout

    lock = FileLock(target.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _log.info("another process prepares the model %s; waiting for it", name)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def prepare(order: Order) -> None:
    """Prepare a model in this process, which will hold torch from then on.

    Raises:
        ConfigError: as `prepared`.
    """
    folder = Path(order.folder)
    manifest = _decide(Path(order.source), order.name, order.wish, folder)
    (folder / MANIFEST_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(MANIFEST.encode(manifest))))


def _prepare_apart(order: Order) -> None:
    """Prepare a model in a process of its own, so that the memory of torch ends with it."""
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        input=msgspec.json.encode(order),
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
    )
    if done.returncode == 0:
        return
    refusal = Path(order.folder) / ERROR_FILE
    if refusal.is_file():
        raise ConfigError(refusal.read_text(encoding="utf-8"))
    tail = done.stderr.decode(errors="replace").strip()[-500:]
    raise ConfigError(f"preparing the model {order.name!r} ended with code {done.returncode}: {tail}")


def _decide(source: Path, name: str, wish: Wish, folder: Path) -> Manifest:
    """Load the model by its own library, and find the first runtime that agrees with it.

    All of this is done on the processor: machines without the GPU that embeds chunk for the same model.
    """
    model = load_sentence_transformer(source, "cpu")
    max_tokens = _max_tokens(model)
    tokenizer = _export_tokenizer(model, max_tokens, folder / TOKENIZER_FILE)
    prompts = model.prompts or {}
    identity = ModelIdentity(
        provider="sentence-transformers",
        model=name,
        weights=weights_hash(source),
        dimensions=int(model.encode(["a"], show_progress_bar=False).shape[1]),
        runtime="openvino",
        precision="fp32",
        max_tokens=max_tokens,
        query_prompt=prompts.get("query") or "",
        document_prompt=next((prompt for key in _DOCUMENT_PROMPTS if (prompt := prompts.get(key))), ""),
    )
    rejected: dict[str, str] = {}
    for precision, pooling, cosine in _attempts(model, wish, tokenizer, folder, rejected):
        chosen = msgspec.structs.replace(identity, precision=precision)
        return Manifest(chosen, tokenizer, pooling, cosine, rejected)
    if wish.torch is None:
        reasons = "; ".join(f"{way}: {reason}" for way, reason in rejected.items())
        raise ConfigError(
            f"OpenVINO cannot run the model {name!r} ({reasons}); use runtime 'auto' or 'torch'"
        )
    chosen = msgspec.structs.replace(identity, runtime="torch", precision=wish.torch)
    return Manifest(chosen, tokenizer, None, 1.0, rejected)


def _attempts(
    model: SentenceTransformer, wish: Wish, tokenizer: TokenizerSpec, folder: Path, rejected: dict[str, str]
) -> Iterator[tuple[Precision, Pooling, float]]:
    """The ways of OpenVINO that agree with the model, best first; the others are noted in `rejected`."""
    if not wish.precisions:
        return
    pooling = _pooling(model)
    if pooling is None or tokenizer.kind != "file":
        rejected["openvino"] = "its modules are not a transformer, one pooling and a normalisation"
        return
    try:
        _convert(model, folder / MODEL_FILE)
    except Exception as error:
        rejected["openvino"] = f"conversion failed: {error}"[:500]
        return
    sample = _sample()
    reference = model.encode(sample, prompt="", normalize_embeddings=True, show_progress_bar=False)
    for precision in wish.precisions:
        runtime = OpenVinoRuntime(
            folder, precision=precision, pooling=pooling, max_tokens=tokenizer.max_tokens, batch_size=8
        )
        vectors, _ = runtime.encode(sample, "")
        cosine = float((vectors * reference).sum(axis=1).min())
        if cosine >= LEAST_COSINE:
            yield precision, pooling, cosine
        rejected[f"openvino {precision}"] = f"least cosine {cosine:.6f}, {LEAST_COSINE} is needed"
    for file in folder.glob(f"{Path(MODEL_FILE).stem}.*"):
        file.unlink()


def _pooling(model: SentenceTransformer) -> Pooling | None:
    """How the token vectors become one, or None if the model does more than that.

    Models that leave their prompt out of the pooling are for torch too.
    """
    names = [type(module).__name__ for module in model]
    if names not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        return None
    pooling: Any = model[1]
    if not getattr(pooling, "include_prompt", True):
        return None
    mode = getattr(pooling, "pooling_mode", None)
    if mode is None and hasattr(pooling, "get_pooling_mode_str"):
        mode = pooling.get_pooling_mode_str()
    return mode if mode in ("mean", "cls", "max") else None


def _convert(model: SentenceTransformer, path: Path) -> None:
    """Trace the transformer into an OpenVINO model with free batch size and length, weights in fp32."""
    import torch

    transformer: Any = model[0]
    network = transformer.auto_model
    example = dict(
        model.tokenizer(["a short text", "and one that is longer"], padding=True, return_tensors="pt")
    )
    names = list(example)

    class LastHiddenState(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
            return self.network(**dict(zip(names, tensors, strict=True)), return_dict=False)[0]

    openvino = import_openvino()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        converted = openvino.convert_model(LastHiddenState().eval(), example_input=tuple(example.values()))
    for port, name in zip(converted.inputs, names, strict=True):
        port.get_tensor().set_names({name})
    openvino.save_model(converted, str(path), compress_to_fp16=False)


def _export_tokenizer(model: SentenceTransformer, max_tokens: int, path: Path) -> TokenizerSpec:
    """Write the model's own tokenizer as the library runs it; an estimate where it has no fast one."""
    if is_static(model):
        backend, special = model.tokenizer, 0
    else:
        backend = getattr(model.tokenizer, "backend_tokenizer", None)
        special = model.tokenizer.num_special_tokens_to_add(pair=False)
    if backend is None:
        return TokenizerSpec("bytes", max_tokens, special)
    path.write_text(backend.to_str(), encoding="utf-8")
    clean = read_tokenizer_file(path)
    path.write_text(clean.to_str(), encoding="utf-8")
    return TokenizerSpec("file", max_tokens, special, TOKENIZER_FILE, sha256(path.read_bytes()).hex()[:32])


def _max_tokens(model: SentenceTransformer) -> int:
    """The longest input, special tokens included; 512 where the model does not say."""
    limit: Any = model.get_max_seq_length() or getattr(model.tokenizer, "model_max_length", _UNBOUNDED)
    return limit if limit < _UNBOUNDED else 512


def is_openvino_installed() -> bool:
    """Whether the runtime can be imported, without importing it."""
    return find_spec("openvino") is not None


def _sample() -> list[str]:
    """Texts of mixed length, script and kind, from one word to more than any model here reads."""
    kinds = [
        "leave policy",
        "How many days of parental leave does an employee in Berlin have?",
        "The quick brown fox jumps over the lazy dog. ",
        "Employees accrue 2.5 days of paid leave a month, up to 30 a year; the rest lapses. ",
        "def transform(rows):\n    return [row.strip().lower() for row in rows if row]\n",
        "| Region | Q1 | Q2 |\n| EMEA | 1,204.50 | 998.10 |\n| APAC | 771.00 | 802.45 |\n",
        "Im Falle einer Störung ist unverzüglich die zuständige Stelle zu benachrichtigen. ",
        "数据保留政策规定所有日志必须保存九十天。",
        "Error 0x80070005 at 10.0.0.17:8443 (see KB-4471): access denied for user svc_backup@corp.example. ",
        "Mitochondrial dysfunction was associated with insulin resistance (p < 0.01) in 48 of 112 cohorts. ",
    ]
    paragraph = " ".join(kinds[1:4] + kinds[9:])
    return (
        kinds
        + [kind * 4 for kind in kinds[2:]]
        + [kind * 12 for kind in kinds[2:]]
        + [paragraph, paragraph * 12]
    )


def main() -> None:
    """Prepare the order that comes in on standard input; a refusal is left in the folder."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    try:
        prepare(order)
    except ConfigError as error:
        (Path(order.folder) / ERROR_FILE).write_text(str(error), encoding="utf-8")
        sys.exit(1)


if __name__ == "__main__":
    main()
