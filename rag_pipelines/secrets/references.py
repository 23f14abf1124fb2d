"""What a reference to a store of secrets stands for, and what it stands for later.

What belongs here: the table of stores, what of them is kept and for how long, and which texts came from them.
What does not: asking one store (a module each), and reading the configuration (`config.document`).

Another package adds a store by an entry point of the group ``rag_pipelines.secrets`` that names a function
from a place (what stands after ``STORE:``) to a text or a mapping; built-in stores cannot be replaced.

Consumers hold plain texts, and one that lives long takes the `current` one each time. One that logs in does
so by `log_in`, which asks the store again where the login is refused. No message holds a value.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from importlib.metadata import entry_points
from typing import TypeVar

from rag_pipelines import logs
from rag_pipelines.errors import ConfigError, RagError

T = TypeVar("T")
Store = Callable[[str], str | Mapping[str, object]]

ENTRY_POINT_GROUP = "rag_pipelines.secrets"

BUILTIN = {
    "aws-sm": "rag_pipelines.secrets.aws:read",
    "azure-kv": "rag_pipelines.secrets.azure:read",
    "file": "rag_pipelines.secrets.files:read",
    "gcp-sm": "rag_pipelines.secrets.gcp:read",
    "vault": "rag_pipelines.secrets.vault:read",
}
"""Store to ``module:function``."""

EXTRAS = {"aws-sm": "aws-secrets", "azure-kv": "azure-secrets", "gcp-sm": "gcp-secrets", "vault": "vault"}

KEPT = 300.0
"""Seconds for which what a store said is not asked for again."""

PAUSE = 5.0
"""Seconds between two questions for one secret, however often a login is refused."""

log = logs.get(__name__)

_max_age: ContextVar[float] = ContextVar("max_age", default=KEPT)
_lock = threading.RLock()
_kept: dict[tuple[str, str], tuple[float, str | Mapping[str, object]]] = {}
_origins: dict[str, Callable[[], str]] = {}
_latest: dict[str, str] = {}


class MissingSecretError(ConfigError):
    """The store answers, and has no such secret."""


def stores() -> list[str]:
    """The stores that can be named here, sorted."""
    return sorted({*BUILTIN, *(point.name for point in entry_points(group=ENTRY_POINT_GROUP))})


def read(store: str, place: str) -> str:
    """The secret at ``PLACE`` or ``PLACE#KEY`` of a store; a key is one of the mapping or JSON object there.

    Raises:
        ConfigError: the store is unknown or not installed, or the place has not its form.
        MissingSecretError: there is no such secret.
        CredentialError: the store refuses our login.
        TransientError: it cannot be reached.
    """
    place, marked, key = place.partition("#")
    found = _ask(store, place)
    shown = f"{store}:{place}"
    if not marked:
        if isinstance(found, str):
            return found
        raise ConfigError(f"{shown} holds several values; add one of its keys: {shown}#{_keys(found)}")
    values = _object(found) if isinstance(found, str) else found
    if values is None:
        raise ConfigError(f"{shown} is not a JSON object, so it has no key {key!r}")
    if values.get(key) in (None, ""):
        raise MissingSecretError(f"{shown} has no key {key!r}, or it is empty; it has {_keys(values)}")
    return str(values[key])


def remember(text: str, resolve: Callable[[], str]) -> None:
    """Keep in mind that `text` came from a store, and how it is made anew."""
    with _lock:
        _origins[text] = resolve


def current(text: str) -> str:
    """What has taken the place of a text, as far as is known; a text that came from no store is itself."""
    while (newer := _latest.get(text)) is not None:
        text = newer
    return text


def renewed(text: str) -> str:
    """What the stores say now in place of `text`; itself where they say the same, or cannot be asked."""
    text = current(text)
    resolve = _origins.get(text)
    if resolve is None:
        return text
    with _lock, _not_older_than(PAUSE):
        try:
            newer = resolve()
        except RagError as error:
            log.warning("a secret could not be read again", reason=str(error))
            return text
        if newer != text:
            _latest.pop(newer, None)
            _latest[text] = newer
            remember(newer, resolve)
    return newer


def log_in(text: str, attempt: Callable[[str], T], refused: Callable[[Exception], bool]) -> T:
    """What `attempt` gives with the current text; once more where it is refused and the store has another."""
    known = current(text)
    try:
        return attempt(known)
    except Exception as error:
        if not refused(error) or (newer := renewed(known)) == known:
            raise
    return attempt(newer)


def renew_all() -> None:
    """Ask the stores again for everything that came from them."""
    for text in list(_origins):
        if current(text) == text:
            renewed(text)


def _ask(store: str, place: str) -> str | Mapping[str, object]:
    with _lock:
        asked, kept = _kept.get((store, place), (float("-inf"), ""))
        if time.monotonic() - asked < _max_age.get():
            return kept
        found = _reader(store)(place)
        _kept[store, place] = time.monotonic(), found
        return found


def _object(text: str) -> Mapping[str, object] | None:
    """What a JSON object holds; None for any other text."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _reader(store: str) -> Store:
    try:
        if store in BUILTIN:
            module, _, name = BUILTIN[store].partition(":")
            return getattr(import_module(module), name)
        for point in entry_points(group=ENTRY_POINT_GROUP, name=store):
            return point.load()
    except ImportError as error:
        extra = EXTRAS.get(store)
        install = f"; install it with: pip install 'rag-pipelines[{extra}]'" if extra else ""
        raise ConfigError(f"the store {store!r} cannot be asked: {error}{install}") from error
    raise ConfigError(f"{store!r} is not a store of secrets; valid are {', '.join(stores())}")


@contextmanager
def _not_older_than(seconds: float) -> Iterator[None]:
    token = _max_age.set(seconds)
    try:
        yield
    finally:
        _max_age.reset(token)


def _keys(found: Mapping[str, object]) -> str:
    return ", ".join(sorted(map(str, found))) or "none"
