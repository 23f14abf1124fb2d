"""Reading a git repository on this machine with the `git` program: files, differences, history.

What belongs here: running git safely and parsing what its plumbing prints. What does not: remote
repositories (`git_remote`); which files are wanted, items, cursors (`git`).

A repository is untrusted input. No work tree is written, no hook runs, no configuration of the
user or the machine is read, and those keys of the repository's own configuration that could start
a program are overridden.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, NamedTuple

from rag_pipelines.errors import (
    ConfigError,
    FetchError,
    TooLargeDocumentError,
    UsageError,
)

REGULAR_MODES = frozenset({"100644", "100755", "100664"})
"""Modes of plain files; 120000 is a symbolic link and 160000 a submodule."""

_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_CONFIG = {
    "core.alternateRefsCommand": "",
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "credential.helper": "",
    "diff.renameLimit": "5000",
    "fetch.recurseSubmodules": "false",
    "gc.autoDetach": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
    "i18n.logOutputEncoding": "UTF-8",
    "log.showSignature": "false",
    "safe.directory": "*",
}


class Blob(NamedTuple):
    """A file of a tree. `size` is bytes."""

    path: str
    mode: str
    oid: str
    size: int


class TreeChange(NamedTuple):
    """A difference between two trees; a path is None on the side where the file is absent."""

    old_path: str | None
    old_mode: str
    path: str | None
    mode: str
    oid: str


class Commit(NamedTuple):
    """A commit that changed a file: its id, committer time and author's name."""

    oid: str
    committed_at: datetime
    author: str


def git_command(*arguments: str, folder: Path | None = None) -> list[str]:
    """The arguments that run git in `folder` with nothing configurable that could start a program."""
    command = ["git", "--no-pager", "--literal-pathspecs", "--no-optional-locks"]
    if folder is not None:
        command += ["-C", str(folder)]
    for key, value in _CONFIG.items():
        command += ["-c", f"{key}={value}"]
    return [*command, *arguments]


def git_environment(protocols: str, **more: str) -> dict[str, str]:
    """The environment of git: no configuration but the repository's, no prompt, only `protocols`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    for key in ("GIT_SSL_CAINFO", "GIT_SSH_COMMAND"):
        if key in os.environ:
            kept[key] = os.environ[key]
    return {
        "GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oConnectTimeout=30 -oServerAliveInterval=30",
        **kept,
        "GIT_ALLOW_PROTOCOL": protocols,
        "GIT_ASKPASS": "false",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
        "SSH_ASKPASS": "false",
        **more,
    }


def start(command: list[str], environment: dict[str, str], stdin: int) -> subprocess.Popen[bytes]:
    """Start `command`. Raises `ConfigError` where git is not installed."""
    try:
        return subprocess.Popen(
            command, env=environment, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except FileNotFoundError as error:
        raise ConfigError("the program 'git' is not installed; install git 2.30 or newer") from error


class Repository:
    """A repository on this machine, bare or not, at exactly `folder`.

    Raises:
        UsageError: from the constructor, where there is no repository.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser().absolute()
        # The ceiling keeps git from taking a repository that merely lies around the folder.
        self._environment = git_environment("none", GIT_CEILING_DIRECTORIES=str(self.folder.parent))
        self._reader: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        if not self.folder.is_dir():
            raise UsageError(
                f"there is no folder {str(self.folder)!r}; give the path or URL of a git repository"
            )
        self._run("rev-parse", "--git-dir")

    def commit(self, ref: str) -> str:
        """The id of the commit that `ref` names. Raises `UsageError` where it names none."""
        try:
            return self._run("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}").decode().strip()
        except UsageError as error:
            raise UsageError(
                f"{ref!r} is not a branch, tag or commit of {str(self.folder)!r} (or the repository is empty)"
            ) from error

    def tree(self, commit: str, subfolder: str) -> Iterator[Blob]:
        """All entries below `subfolder` ("" is the top) at `commit`, submodules and links included."""
        try:
            listing = self._run("ls-tree", "-r", "-l", "-z", f"{commit}:{subfolder}")
        except UsageError as error:
            where = f"folder {subfolder!r}" if subfolder else "files"
            raise UsageError(f"the {where} of commit {commit[:12]} cannot be listed: {error}") from error
        prefix = f"{subfolder}/" if subfolder else ""
        for line in _fields(listing):
            head, _, path = line.partition("\t")
            mode, _, oid, size = head.split()
            yield Blob(prefix + path, mode, oid, 0 if size == "-" else int(size))

    def diff(self, old: str, new: str, subfolder: str) -> Iterator[TreeChange]:
        """What changed below `subfolder` from commit `old` to `new`, renames found by similarity."""
        listing = self._run(
            "diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--find-renames", "--no-ext-diff",
            old, new, "--", *([subfolder] if subfolder else []),
        )  # fmt: skip
        fields = _fields(listing)
        for head in fields:
            old_mode, mode, _, oid, status = head.removeprefix(":").split()
            first = next(fields)
            second = next(fields) if status[0] in "RC" else first
            yield TreeChange(
                None if status[0] in "AC" else first,
                old_mode,
                None if status[0] == "D" else second,
                mode,
                oid,
            )

    def sizes(self, oids: Iterable[str]) -> dict[str, int]:
        """Bytes of each object; absent objects are left out."""
        asked = "".join(f"{oid}\n" for oid in oids).encode()
        lines = self._run("cat-file", "--batch-check", stdin=asked).decode().splitlines()
        return {parts[0]: int(parts[2]) for line in lines if len(parts := line.split()) == 3}

    def last_commits(self, commit: str, paths: Iterable[str], limit: int) -> dict[str, Commit]:
        """For each path the newest commit up to `commit` that changed it; a merge counts if it made the text.

        One pass over the history, newest first, that ends when every path is found or after `limit`
        commits; a path not found by then is left out.
        """
        missing = set(paths)
        found: dict[str, Commit] = {}
        if not missing or not limit:
            return found
        command = git_command(
            "log", "-z", "-c", "--name-only", "--no-renames", "--no-show-signature",
            f"--max-count={limit}", "--format=//%H %ct %an", commit, "--",
            folder=self.folder,
        )  # fmt: skip
        with start(command, self._environment, subprocess.DEVNULL) as process:
            assert process.stdout is not None
            current: Commit | None = None
            for field in _stream_fields(process.stdout):
                # Git puts a newline in front of some fields; a path never begins with two slashes.
                path = field if field in missing else field.removeprefix("\n")
                if path.startswith("//"):
                    oid, seconds, author = path[2:].split(" ", 2)
                    author = author.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
                    current = Commit(oid, datetime.fromtimestamp(int(seconds), UTC), author)
                elif current is not None and path in missing:
                    found[path] = current
                    missing.discard(path)
                    if not missing:
                        break
            process.kill()
        return found

    def read(self, oid: str, max_bytes: int) -> bytes:
        """The content of a blob, from one long-lived process. Raises a `DocumentError`; thread-safe."""
        with self._lock:
            try:
                size, data = self._request(oid, max_bytes)
            except (OSError, ValueError) as error:
                self._stop_reader()
                raise FetchError(
                    f"git object {oid} of {str(self.folder)!r} cannot be read: {error}"
                ) from error
        if size > max_bytes:
            raise TooLargeDocumentError(f"git object {oid} has {size:,} bytes, max_bytes is {max_bytes:,}")
        if size < 1024 and data.startswith(_LFS_POINTER):
            raise FetchError(
                "this is a Git LFS pointer; its content is not in the repository. Exclude the file"
            )
        return data

    def close(self) -> None:
        """End the reading process."""
        with self._lock:
            self._stop_reader()

    def _request(self, oid: str, max_bytes: int) -> tuple[int, bytes]:
        if self._reader is None or self._reader.poll() is not None:
            self._stop_reader()
            command = git_command("cat-file", "--batch", folder=self.folder)
            self._reader = start(command, self._environment, subprocess.PIPE)
        stdin, stdout = self._reader.stdin, self._reader.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{oid}\n".encode())
        stdin.flush()
        head = stdout.readline().split()
        if len(head) != 3:
            raise ValueError(b" ".join(head).decode() or "git ended without an answer")
        size = int(head[2])
        if size > max_bytes:
            self._stop_reader()
            return size, b""
        data = stdout.read(size)
        stdout.read(1)
        if len(data) != size:
            raise ValueError("git ended in the middle of the object")
        return size, data

    def _stop_reader(self) -> None:
        if self._reader is not None:
            self._reader.kill()
            self._reader.communicate()
            self._reader = None

    def _run(self, *arguments: str, stdin: bytes | None = None) -> bytes:
        process = start(
            git_command(*arguments, folder=self.folder),
            self._environment,
            subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        )
        output, complaint = process.communicate(stdin)
        if process.returncode:
            reason = complaint.decode(errors="replace").strip()
            raise UsageError(f"git {arguments[0]} failed in {str(self.folder)!r}: {reason}")
        return output


def _fields(output: bytes) -> Iterator[str]:
    return iter(output.decode("utf-8", "surrogateescape").split("\0")[:-1])


def _stream_fields(output: IO[bytes]) -> Iterator[str]:
    """The NUL-terminated fields of `output` while it is being written."""
    rest = b""
    while chunk := output.read1(65_536):  # type: ignore[attr-defined]
        *whole, rest = (rest + chunk).split(b"\0")
        for field in whole:
            yield field.decode("utf-8", "surrogateescape")
    if rest:
        yield rest.decode("utf-8", "surrogateescape")
