"""A git repository as the conformance kit changes it, read in place or through a mirror.

What belongs here: the worlds of the git connector. What does not: promises or assertions.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from rag_pipelines_tests.connectors.conformance import MAX_BYTES, TOO_MUCH, Case, World


class LocalGit(World):
    name = "git"
    kind = "git"
    not_applicable: ClassVar = {
        Case.DUPLICATE_IDS: "a tree has each path once",
        Case.ACCESS_CHANGE: "a repository does not say who may read a file",
        Case.GROUP_CHANGE: "a repository does not say who may read a file",
        Case.PAGE_FAILURE: "a commit is listed whole or not",
        Case.THROTTLING: "a local repository asks nobody to slow down",
        Case.EXPIRED_CREDENTIAL: "a local repository is read without a credential",
        Case.INCOMPLETE_LISTING: "a commit is listed whole or not",
        "test_a_source_that_names_nothing_any_more_is_emptied_only_by_order": (
            "the changes of a repository name each file that went"
        ),
        "test_content_that_vanished_after_the_listing_fails_that_document_only": "a commit keeps its content",
        "test_a_document_that_cannot_be_loaded_is_served_as_it_was": "a commit keeps its content",
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.repository = folder / "repository"
        self._gone = folder / "gone"
        self.repository.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit("begin")

    def git(self, *arguments: str, at: datetime | None = None, stdin: bytes | None = None) -> str:
        moment = (at or self._now).isoformat()
        environment = {
            **os.environ,
            "GIT_AUTHOR_DATE": moment,
            "GIT_COMMITTER_DATE": moment,
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
        identity = ("-c", "user.name=Ann Author", "-c", "user.email=ann@example.com", "-c", "gc.auto=0")
        command = ["git", "-C", str(self.repository), *identity, *arguments]
        done = subprocess.run(command, check=True, capture_output=True, env=environment, input=stdin)
        return done.stdout.decode()

    def commit(self, message: str, at: datetime | None = None) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message, at=at)
        self._changed, self._checked_out = False, True

    def publish(self) -> None:
        if self._changed and self.repository.exists():
            self.commit("change", self._now)

    def options(self) -> dict[str, Any]:
        return {"repository": str(self.repository), "max_bytes": MAX_BYTES}

    def id_of(self, name: str) -> str:
        return name

    def put_many(self, documents: Mapping[str, str]) -> None:
        self.documents.update(documents)
        stream = [b"commit refs/heads/main\ncommitter A <a@x> 1767225600 +0000\ndata 0\n"]
        for name, text in documents.items():
            data = text.encode()
            stream.append(f"M 100644 inline {name}\ndata {len(data)}\n".encode() + data + b"\n")
        stream.insert(1, b"from refs/heads/main^0\n")
        self.git("fast-import", "--quiet", stdin=b"".join(stream))
        self._checked_out = False

    def write(self, name: str, text: str, at: datetime) -> None:
        self._store(name, text)
        self.commit(f"write {name}", at)

    def remove(self, name: str) -> None:
        self._begin()
        (self.repository / name).unlink()

    def relocate(self, old: str, new: str, at: datetime) -> None:
        self._begin()
        (self.repository / new).parent.mkdir(parents=True, exist_ok=True)
        (self.repository / old).rename(self.repository / new)

    def remove_folder(self, folder: str) -> None:
        self._begin()
        shutil.rmtree(self.repository / folder)

    def mend(self) -> None:
        if self._gone.exists():
            self._gone.rename(self.repository)
        for name, text in self.documents.items():
            self._store(name, text)

    def break_document(self, name: str) -> None:
        self._store(name, TOO_MUCH)

    def break_source(self) -> None:
        self.repository.rename(self._gone)

    def _begin(self) -> None:
        """Before a change of the work tree, which `put_many` leaves as it was."""
        if not self._checked_out:
            self.git("reset", "--quiet", "--hard")
        self._changed, self._checked_out = True, True

    def _store(self, name: str, text: str) -> None:
        self._begin()
        path = self.repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


class RemoteGit(LocalGit):
    """The same repository, reached by URL through a bare mirror."""

    name = "git-remote"
    not_applicable: ClassVar = {
        **LocalGit.not_applicable,
        Case.THROTTLING: "a file URL asks nobody to slow down; what servers answer is classed in test_git",
        Case.EXPIRED_CREDENTIAL: "a file URL takes no credential; what servers answer is classed in test_git",
    }

    def options(self) -> dict[str, Any]:
        url = self.repository.as_uri()
        return {"repository": url, "max_bytes": MAX_BYTES, "cache_dir": str(self.folder / "mirrors")}
