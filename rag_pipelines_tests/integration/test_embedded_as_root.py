"""The embedded Postgres under root: it runs in closed folders, and nothing outside its folder changes."""

from __future__ import annotations

import logging
import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from rag_pipelines.errors import UsageError
from rag_pipelines.store import embedded
from rag_pipelines.store import server_account as accounts
from rag_pipelines.store.embedded import EmbeddedServer

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root")


@pytest.fixture
def closed(server_folder: Path) -> Path:
    """A folder that only root may pass through, like a clone in /root."""
    folder = server_folder / "root-home"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def server(closed: Path) -> Iterator[EmbeddedServer]:
    server = EmbeddedServer(closed / "clone" / ".rag" / "postgres")
    yield server
    server.stop()


def answer(url: str) -> int:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT 42").fetchone()[0]  # type: ignore[index]


def modes(folder: Path) -> dict[Path, tuple[int, int]]:
    return {above: (above.stat().st_mode, above.stat().st_uid) for above in folder.parents}


def account_names() -> list[str]:
    return [account.pw_name for account in pwd.getpwall()]


def test_it_runs_below_a_closed_folder_and_changes_no_folder_and_no_account(
    closed: Path, server: EmbeddedServer
):
    server.folder.parent.mkdir(parents=True)
    before, known = modes(server.folder), account_names()

    assert answer(server.start()) == 42
    assert psutil.Process(server.status().pid).username() in known
    assert server.stop()
    assert answer(server.start()) == 42

    assert modes(server.folder) == before
    assert account_names() == known


def test_its_programs_may_lie_below_a_closed_folder_too(
    closed: Path, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
):
    """A clone in /root has its virtual environment there; one program looks for another with access(2)."""
    package = embedded.server_programs().parents[1]
    shutil.copytree(package / "pginstall18", closed / package.name / "pginstall18")
    shutil.copytree(f"{package}.libs", closed / f"{package.name}.libs")
    monkeypatch.setattr(embedded, "server_programs", lambda: closed / package.name / "pginstall18" / "bin")

    assert answer(server.start()) == 42

    assert psutil.Process(server.status().pid).exe().startswith(str(closed))


def test_one_line_says_who_the_server_is_and_why(
    closed: Path, server: EmbeddedServer, caplog: pytest.LogCaptureFixture
):
    server.start()
    server.start()

    lines = [record for record in caplog.records if record.name == "rag_pipelines.store.embedded"]
    assert [record.levelno for record in lines] == [logging.WARNING]
    said = lines[0].getMessage()
    assert f"the embedded Postgres in {server.folder} runs as the user" in said
    assert "is closed to it" in said


def test_the_server_may_pass_through_folders_and_nothing_more(server: EmbeddedServer):
    server.start()

    status = Path(f"/proc/{server.status().pid}/status").read_text()

    held = {line.split(":")[0]: int(line.split()[1], 16) for line in status.splitlines() if "Cap" in line}
    assert held["CapEff"] == held["CapBnd"] == 1 << accounts._RIGHTS["dac_read_search"]
    assert psutil.Process(server.status().pid).uids().effective != 0


def test_other_users_cannot_reach_its_files_or_its_socket(server_folder: Path):
    server_folder.chmod(0o755)
    server = EmbeddedServer(server_folder / "postgres")
    url = server.start()
    try:
        assert answer(url) == 42
        assert server.folder.stat().st_mode & 0o777 in (0o700, 0o711)
        assert {place.name: place.stat().st_mode & 0o077 for place in server.folder.glob("*/")} == {
            "data": 0,
            "run": 0,
        }
    finally:
        server.stop()


def test_a_cluster_that_is_there_is_run_by_its_owner(server: EmbeddedServer):
    server.start()
    server.stop()
    owner = pwd.getpwnam("nobody")
    for path in (server.folder, *server.folder.rglob("*")):
        os.chown(path, owner.pw_uid, owner.pw_gid)

    assert answer(server.start()) == 42

    assert psutil.Process(server.status().pid).username() == "nobody"
    assert {path.stat().st_uid for path in server.folder.iterdir()} == {owner.pw_uid}


def test_without_the_right_to_give_the_message_names_the_folder_and_the_ways_out(
    closed: Path, server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
):
    before = modes(server.folder.parent.parent.parent)
    monkeypatch.setattr(accounts, "_effective_capabilities", lambda: 0)

    with pytest.raises(UsageError) as raised:
        server.start()

    said = str(raised.value)
    assert f"cannot pass through {closed.parent}" in said
    assert "root lacks CAP_DAC_READ_SEARCH" in said
    assert "RAG_DATABASE_URL" in said
    assert "set data_dir" in said
    assert f"chmod o+x {closed.parent} {closed}" in said
    assert modes(server.folder.parent.parent.parent) == before


def test_where_only_the_wide_right_is_left_that_one_is_given(closed: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(accounts, "_effective_capabilities", lambda: 0b10)

    account = accounts.server_account(closed / "data", [closed / "data"])

    assert account is not None
    assert account.capability == "dac_override"
    assert "--ambient-caps=-all,+dac_override" in account.program


def test_a_machine_without_any_account_is_refused(closed: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pwd, "getpwall", list)

    with pytest.raises(UsageError, match="there is no user postgres or nobody"):
        accounts.server_account(closed / "data", [closed])


def test_an_account_that_cannot_be_taken_on_is_refused_with_what_was_found(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        accounts.ServerAccount, "program", property(lambda _: ["sh", "-c", "echo no such luck >&2; exit 1"])
    )

    with pytest.raises(UsageError, match=r"it cannot run as the user .*no such luck.*RAG_DATABASE_URL"):
        server.start()
