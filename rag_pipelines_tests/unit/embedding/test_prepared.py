"""Prepared models are shared between the data folders of a user, and by nobody else."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest
from filelock import FileLock
from typer.testing import CliRunner

from rag_pipelines.cli import main
from rag_pipelines.config import load_config
from rag_pipelines.embedding import conversion
from rag_pipelines.embedding.conversion import MANIFEST, Manifest, Wish, ensure_prepared
from rag_pipelines.embedding.prepared import place_of, user_cache
from rag_pipelines.errors import ConfigError


def test_the_cache_follows_the_base_directory_specification(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert user_cache({"XDG_CACHE_HOME": "/var/cache/ann"}) == Path("/var/cache/ann/rag-pipelines/models")
    assert user_cache({"XDG_CACHE_HOME": "relative"}) == Path("/home/ann/.cache/rag-pipelines/models")
    assert user_cache({}) == Path("/home/ann/.cache/rag-pipelines/models")


def test_a_model_is_looked_for_in_the_data_folder_and_made_in_the_cache(tmp_path: Path) -> None:
    own, shared = tmp_path / "data" / "models", tmp_path / "cache" / "models"
    assert place_of("key", own, shared) == shared / "key"
    assert shared.stat().st_mode & 0o777 == 0o700
    assert place_of("key", own, None) == own / "key"
    (own / "key").mkdir(parents=True)
    assert place_of("key", own, shared) == own / "key"


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
def test_a_cache_that_others_may_write_to_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    shared = user_cache()
    assert shared is not None
    shared.mkdir(parents=True)
    shared.chmod(mode)
    assert place_of("key", tmp_path / "own", shared) == tmp_path / "own" / "key"


def test_a_cache_of_another_user_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    owner = tmp_path.stat().st_uid
    monkeypatch.setattr("os.geteuid", lambda: owner + 1)
    assert place_of("key", tmp_path / "own", user_cache()) == tmp_path / "own" / "key"


def test_a_home_that_cannot_be_written_to_leaves_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    for home in (str(tmp_path / "file"), "/proc/nowhere"):
        monkeypatch.setenv("XDG_CACHE_HOME", home)
        assert place_of("key", tmp_path / "own", user_cache()) == tmp_path / "own" / "key"


def test_a_folder_that_was_named_and_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    for name, reason in (
        ("file/x", "cannot be made (Not a directory)"),
        ("open", "can be written to by others"),
    ):
        with pytest.raises(ConfigError) as caught:
            place_of("key", tmp_path / "own", tmp_path / name)
        assert f"model_cache {tmp_path / name} {reason}" in str(caught.value)


def test_only_the_embedded_database_shares_by_default(tmp_path: Path) -> None:
    def shared(text: str) -> Path | None:
        (tmp_path / "rag.yaml").write_text(text)
        return load_config(tmp_path / "rag.yaml", {}).shared_models

    assert shared("sources: {}\n") == user_cache()
    assert shared("database: {url: 'postgresql://u@h/d'}\n") is None
    assert shared("database: {url: 'postgresql://u@h/d'}\nmodel_cache: m\n") == tmp_path / "m"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A preparation that takes no time."""
    from rag_pipelines.embedding.base import ModelIdentity
    from rag_pipelines.embedding.tokenizer import TokenizerSpec

    identity = ModelIdentity("sentence-transformers", "tiny", "w", 3, "torch", "fp32", 9)
    manifest = Manifest(identity, TokenizerSpec("bytes", 9, 2), None, 1.0)

    def prepare(order: conversion.Order) -> None:
        (Path(order.folder) / "manifest.json").write_bytes(
            conversion.msgspec.json.encode(MANIFEST.encode(manifest))
        )

    monkeypatch.setattr(conversion, "_prepare_apart", prepare)


def test_who_waits_for_another_process_says_so(
    quick: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rag_pipelines.embedding.conversion")
    other = FileLock(tmp_path / "key.lock", thread_local=False)
    other.acquire()
    waited = threading.Thread(
        target=ensure_prepared, args=(tmp_path, "tiny", Wish((), "fp32"), tmp_path / "key")
    )

    class Free(logging.Handler):
        """Lets the other process end once it is waited for."""

        def emit(self, record: logging.LogRecord) -> None:
            if "waiting" in record.getMessage():
                other.release()

    logger = logging.getLogger("rag_pipelines.embedding.conversion")
    free = Free()
    logger.addHandler(free)
    waited.start()
    waited.join(30)
    logger.removeHandler(free)
    assert not waited.is_alive()
    assert "another process prepares the model tiny; waiting for it" in caplog.messages
    assert any(message.startswith("prepared the model tiny in ") for message in caplog.messages)


@pytest.mark.parametrize("options", [(), ("--log-level", "error"), ("--log-level", "info")])
def test_a_command_says_once_what_takes_long(
    quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.setattr(
        "rag_pipelines.cli.doctor._python",
        lambda: ensure_prepared(tmp_path, "tiny", Wish((), "fp32"), tmp_path / "key"),
    )
    result = CliRunner().invoke(main.app, [*options, "doctor"])
    assert result.stderr.count("preparing the model tiny, once on this machine: up to some minutes\n") == 1
