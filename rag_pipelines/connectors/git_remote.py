"""A repository behind a URL, mirrored into a cache folder so that it can be read as a local one.

What belongs here: talking to a remote, its credentials, and classing what it answers. What does not:
reading objects (`git_repository`).

Only https, ssh and file are spoken. A token reaches git through the environment and an askpass script
that answers for the URL's host alone; it is never an argument, never part of a URL, and cut out of
every message.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from rag_pipelines.connectors.git_repository import Repository, git_command, git_environment, start
from rag_pipelines.errors import CredentialError, RagError, TransientError, UsageError
from rag_pipelines.fingerprint import fingerprint

REMOTE_HEAD = "refs/rag/HEAD"
"""Where a mirror keeps what HEAD of the remote points to."""

_SCP_LIKE = re.compile(r"^[\w.-]+@[\w.-]+:(?!//)")
_ASKPASS = """#!/bin/sh
case "$1" in
  *"//$RAG_GIT_HOST'"*|*"@$RAG_GIT_HOST'"*) ;;
  *) exit 1 ;;
esac
case "$1" in
  Username*) printf '%s\\n' "$RAG_GIT_USERNAME" ;;
  *) printf '%s\\n' "$RAG_GIT_TOKEN" ;;
esac
"""
_REFUSED = re.compile(
    r"Authentication failed|could not read (Username|Password)|Permission denied \(|(HTTP|error:) 40[13]"
    "|terminal prompts disabled|Host key verification failed"
)
_ABSENT = re.compile(
    r"not found|does not appear to be a git repository|does not exist|No such file|couldn't find remote ref"
    "|not a git repository|transport '.*' not allowed"
)


def is_remote(repository: str) -> bool:
    """Whether `repository` is a URL (or ``user@host:path``) and not a local folder."""
    return "://" in repository or _SCP_LIKE.match(repository) is not None


class Remote:
    """A repository behind a URL, and its bare mirror in a cache folder.

    Args:
        url: https, ssh (also ``user@host:path``) or file, without credentials.
        username: sent with `token` over https.
        timeout: seconds for one exchange with the remote.
    """

    def __init__(self, url: str, token: str | None, username: str, timeout: float) -> None:
        self.url = url
        self._token = token
        self._username = username
        self._timeout = timeout

    def refs(self, cache: Path) -> dict[str, str]:
        """Every branch, tag and HEAD of the remote with its commit, without fetching anything."""
        output = self._exchange(cache, "ls-remote", "--", self.url)
        return {name: oid for oid, name in (line.split("\t") for line in output.decode().splitlines())}

    def mirror(self, cache: Path, *, head: bool) -> Repository:
        """The mirror in `cache`, made or brought up to date. `head`: also the remote's default branch.

        Raises:
            CredentialError: the remote refuses us.
            UsageError: there is no such repository.
            TransientError: anything else, e.g. no network.
        """
        name = re.sub(r"\W+", "-", self.url.rstrip("/").removesuffix(".git").rpartition("/")[2])[-40:]
        folder = cache / f"{name}-{fingerprint(self.url)[:12]}.git"
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_suffix(".lock")):
            if not (folder / "HEAD").exists():
                self._exchange(cache, "init", "--quiet", "--bare", "--template=", str(folder))
            refspecs = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
            if head:
                refspecs.append(f"+HEAD:{REMOTE_HEAD}")
            self._exchange(
                folder,
                "fetch",
                "--quiet",
                "--prune",
                "--no-tags",
                "--no-write-fetch-head",
                "--",
                self.url,
                *refspecs,
            )
        return Repository(folder)

    def _exchange(self, folder: Path, *arguments: str) -> bytes:
        with self._credentials(folder) as more:
            process = start(
                git_command(*arguments, folder=folder),
                git_environment("https:ssh:file", **more),
                subprocess.DEVNULL,
            )
            try:
                output, complaint = process.communicate(timeout=self._timeout)
            except subprocess.TimeoutExpired as error:
                process.kill()
                process.communicate()
                raise TransientError(f"{self.url} did not answer within {self._timeout:g} s") from error
        if process.returncode:
            raise self._error(complaint.decode(errors="replace").strip())
        return output

    @contextmanager
    def _credentials(self, folder: Path) -> Iterator[dict[str, str]]:
        if self._token is None:
            yield {}
            return
        # Written anew each time, so that nobody else's file is ever run.
        script = folder.absolute() / f"askpass-{os.getpid()}-{threading.get_ident()}"
        script.unlink(missing_ok=True)
        descriptor = os.open(script, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o700)
        with open(descriptor, "w") as file:
            file.write(_ASKPASS)
        try:
            yield {
                "GIT_ASKPASS": str(script),
                "RAG_GIT_HOST": urlsplit(self.url).netloc,
                "RAG_GIT_TOKEN": self._token,
                "RAG_GIT_USERNAME": self._username,
            }
        finally:
            script.unlink(missing_ok=True)

    def _error(self, complaint: str) -> RagError:
        if self._token:
            complaint = complaint.replace(self._token, "***")
        message = f"{self.url}: {complaint or 'git failed without a message'}"
        if _REFUSED.search(complaint):
            return CredentialError(f"{message}; look at the token or ssh key and its rights")
        if _ABSENT.search(complaint):
            return UsageError(f"{message}; look at the URL, and at the token if the repository is private")
        return TransientError(message)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock file at `path`; waits for another process that holds it."""
    import fcntl

    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
