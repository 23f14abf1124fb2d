"""The README and the tutorial do what they say: files, commands in their order, and what these print.

What belongs here: following a page literally, with the embedded database and the default model. What does
not: steps that install something or open a browser, and whether other pages are right (`test_docs`).

A block with a path as its title is a file that is written. A `console` block is run line by line; a line ends
with 0, or as its comment says. A block titled "prints" is all that the lines before it print, at a terminal
without colours; … stands for what differs from day to day.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from rag_pipelines.cli import main
from rag_pipelines.store.embedded import EmbeddedServer

ROOT = Path(__file__).parents[2]
PAGES = {"README.md": "## Your first source", "docs/tutorial.md": "## 2. Configure"}
"""Each page, and where its own folder begins: what stands before is for the checkout and its demo."""

NOT_FOLLOWED = ("make dev",)
PORT = "8080"
_BLOCK = re.compile(r'^```(\w+)(?: title="([^"]*)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"#\s+exit code (\d+)")
_RECORD = re.compile(r"\d{4}-\d\d-\d\dT\S+Z +[A-Z]+ .*\n?")
"""A log record, which is not written where a person watches a terminal."""

pytestmark = pytest.mark.slow


class Follower:
    """A person with a page, in a folder."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self._port = str(port)
        self._service: subprocess.Popen[bytes] | None = None

    def follow(self, text: str) -> None:
        """Do what the page says, and compare what it shows."""
        printed = ""
        for kind, title, body in _BLOCK.findall(text.replace(PORT, self._port)):
            if title == "prints":
                assert_alike(body, printed)
                printed = ""
            elif kind == "console":
                printed = "".join(self._run(line) for line in body.splitlines())
            elif title:
                (self.folder / title).parent.mkdir(parents=True, exist_ok=True)
                (self.folder / title).write_text(body, encoding="utf-8")

    def _run(self, line: str) -> str:
        """What a line prints."""
        words = shlex.split(line, comments=True)
        expected = int(found[1]) if (found := _CODE.search(line)) else 0
        if line in NOT_FOLLOWED:
            return ""
        if words[:2] == ["rag-pipelines", "serve"]:
            self._serve(words)
            return ""
        if words[0] == "rag-pipelines":
            result = CliRunner().invoke(main.app, main._global_options_first(words[1:]), prog_name=words[0])
            code, printed = result.exit_code, result.output
        else:
            done = subprocess.run(
                ["bash", "-c", line], cwd=self.folder, capture_output=True, text=True, check=False
            )
            code, printed = done.returncode, done.stdout + done.stderr
        assert code == expected, f"{line}\n{printed}"
        return _RECORD.sub("", printed)

    def _serve(self, words: list[str]) -> None:
        """In another terminal, until the page is at its end."""
        command = [*words, "--port", self._port]
        self._service = subprocess.Popen(command, cwd=self.folder, stderr=subprocess.DEVNULL)
        while self._service.poll() is None:
            with suppress(httpx.TransportError):
                httpx.get(f"http://127.0.0.1:{self._port}/", trust_env=False)
                return
        raise AssertionError(f"the service ended with {self._service.returncode}")

    def close(self) -> None:
        """Stop what was started."""
        if self._service is not None:
            self._service.terminate()
            self._service.wait(30)
        EmbeddedServer(self.folder / ".rag" / "postgres").stop()


def assert_alike(shown: str, printed: str) -> None:
    """Every line is as the page shows it, but for what it leaves out."""
    lines = "\n".join(line.rstrip() for line in printed.strip("\n").splitlines())
    pattern = ".*?".join(map(re.escape, shown.strip("\n").split("…")))
    assert re.fullmatch(pattern, lines, re.DOTALL), f"the page shows\n{shown}\nprinted was\n{lines}"


@pytest.fixture
def follower(server_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Follower]:
    programs = server_folder / "bin"
    folder = server_folder / "mine"
    for path in (programs, folder):
        path.mkdir()
    for name, words in (("python", ""), ("rag-pipelines", " -m rag_pipelines.cli.main")):
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable}{words} "$@"\n')
        (programs / name).chmod(0o755)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    # Not the developer's own, and there for the other page and the next run.
    monkeypatch.setenv("XDG_CACHE_HOME", f"{tempfile.gettempdir()}/rag-tests-cache-{os.getuid()}")
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    made = Follower(folder, port)
    yield made
    made.close()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_followed_to_the_letter(page: str, follower: Follower) -> None:
    if page == "README.md" and not (shutil.which("node") and shutil.which("curl")):
        pytest.skip("needs node and curl, which the README's examples call")
    text = (ROOT / page).read_text(encoding="utf-8")
    begin = text.index(PAGES[page])
    follower.follow(text[begin:])


@pytest.mark.parametrize(
    ("shown", "printed"),
    [("1 added", "2 added"), ("a\n…\nb", "a\nc"), ("one", "one\ntwo"), ("one\ntwo", "one")],
)
def test_a_difference_would_be_noticed(shown: str, printed: str) -> None:
    with pytest.raises(AssertionError):
        assert_alike(shown, printed)
