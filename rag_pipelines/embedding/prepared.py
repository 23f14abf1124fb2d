"""Where prepared models lie: in the data folder, or in a cache that the data folders of one user share.

What belongs here: choosing the place. What does not: preparing a model, and reading it (`conversion`).

A model is prepared in half a minute to some minutes, and comes out the same for every data folder. What was
prepared in the data folder already is used there. The cache is only used where it is this user's alone; where
it cannot be made (a home that is read-only, or none), the data folder is.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from rag_pipelines.errors import ConfigError

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def user_cache(env: Mapping[str, str] = os.environ) -> Path | None:
    """The cache of this user by the XDG base directory specification; None for a user without a home."""
    given = env.get("XDG_CACHE_HOME", "")
    try:
        base = Path(given) if os.path.isabs(given) else Path.home() / ".cache"
    except RuntimeError:
        return None
    return base / "rag-pipelines" / "models"


def place_of(key: str, own: Path, shared: Path | None) -> Path:
    """The folder of the model with this key: in `own` if it lies there, else in `shared`.

    Raises:
        ConfigError: `shared` cannot be used, and is not the cache of this user, without which `own` is used.
    """
    if shared is None or (own / key).exists():
        return own / key
    reason = _why_not(shared)
    if reason is None:
        return shared / key
    if shared == user_cache():
        return own / key
    raise ConfigError(
        f"model_cache {shared} {reason}; name a folder that only the user of this process writes to, because "
        "what lies in it is run"
    )


def _why_not(folder: Path) -> str | None:
    """What speaks against a folder, which is made where it is not there."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as error:
        return f"cannot be made ({error.strerror})"
    if found.st_uid != os.geteuid():
        return "belongs to another user"
    if found.st_mode & OTHERS_WRITE:
        return "can be written to by others"
    return None if os.access(folder, os.W_OK | os.X_OK) else "cannot be written to"
