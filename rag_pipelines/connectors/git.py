"""Files of a git repository at a branch, tag or commit, read without checking anything out.

What belongs here: the options, turning blobs and differences into items, the cursor. What does not:
running git (`git_repository`, `git_remote`), path patterns (`paths`).

The external id is the path in the repository, the token is the blob's id. The cursor is the commit
that was listed, with a fingerprint of the options that choose and describe files, because a commit
says nothing about files that were not chosen then. `changes` compares two commits: renames are
moves. Symbolic links and submodules are not documents; a Git LFS pointer fails when it is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from pydantic import Field, SecretStr, ValidationInfo, field_validator

from rag_pipelines.connectors.base import (
    Capabilities,
    Complete,
    Connector,
    Cursor,
    Entry,
    Failure,
    Finding,
    Item,
    Options,
    Removed,
    Window,
    from_config_folder,
    read_cursor,
)
from rag_pipelines.connectors.git_remote import REMOTE_HEAD, Remote, is_remote
from rag_pipelines.connectors.git_repository import REGULAR_MODES, Blob, Commit, Repository
from rag_pipelines.connectors.paths import PathFilter, check_patterns, external_id, join_url, media_type
from rag_pipelines.errors import (
    ConfigError,
    CredentialError,
    RagError,
    TooLargeDocumentError,
    TransientError,
    UsageError,
)
from rag_pipelines.fingerprint import fingerprint
from rag_pipelines.stored import Form

_COMMIT_ID = re.compile("[0-9a-f]{7,40}")


class GitOptions(Options):
    """Settings of a git source; the patterns are explained at `PathFilter`."""

    must_exist: ClassVar[tuple[str, ...]] = ("repository",)

    repository: str = Field(min_length=1, description="folder, or URL by https, ssh or file")
    ref: str = Field("HEAD", min_length=1, description="branch, tag or commit; HEAD is the default branch")
    subfolder: str = Field("", description="list only what is below this folder")
    include: tuple[str, ...] = Field((), description="path patterns to include; none means every file")
    exclude: tuple[str, ...] = Field((), description="path patterns to exclude; wins over include")
    hidden: bool = Field(False, description="whether names that begin with a dot are listed")
    max_bytes: int = Field(200_000_000, gt=0, description="a larger file is a failed document")
    url_prefix: str | None = Field(None, description="URL of the top folder as people see it, for citations")
    token: SecretStr | None = Field(None, description="access token for https")
    username: str = Field("x-access-token", description="user name sent with the token")
    cache_dir: Path | None = Field(None, description="where mirrors of remote repositories are kept")
    history_limit: int = Field(
        20_000,
        ge=0,
        description="commits looked at for the time and author of each file's last change; 0: none",
    )
    timeout: float = Field(900.0, gt=0, description="seconds for one exchange with a remote repository")

    @field_validator("repository")
    @classmethod
    def _repository(cls, value: str, info: ValidationInfo) -> str:
        scheme, separator, rest = value.partition("://")
        if value.startswith("-") or "::" in value.partition("/")[0]:
            raise ValueError("not a repository; give a folder or a URL by https, ssh or file")
        if separator and scheme not in ("https", "ssh", "file"):
            raise ValueError("only https, ssh and file are allowed")
        userinfo, at, _ = rest.partition("/")[0].rpartition("@")
        if at and (scheme == "https" or ":" in userinfo):
            raise ValueError("credentials do not belong into the URL; put them into token and username")
        return value if is_remote(value) else from_config_folder(value, info)

    @field_validator("cache_dir")
    @classmethod
    def _cache_dir(cls, folder: Path | None, info: ValidationInfo) -> Path | None:
        return folder and Path(from_config_folder(str(folder), info))

    @field_validator("ref", "subfolder")
    @classmethod
    def _name(cls, value: str) -> str:
        if value.startswith("-") or "\0" in value or "\n" in value:
            raise ValueError("must not begin with '-' nor hold a newline")
        return value

    @field_validator("subfolder")
    @classmethod
    def _subfolder(cls, value: str) -> str:
        value = value.removeprefix("./").strip("/")
        if ".." in value.split("/"):
            raise ValueError("must lie inside the repository, without '..'")
        return "" if value == "." else value

    @field_validator("include", "exclude")
    @classmethod
    def _patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        check_patterns(patterns)
        return patterns


class GitCursor(msgspec.Struct, frozen=True):
    """The commit that was listed, and a fingerprint of the options it was listed with."""

    commit: str
    options: str


CURSOR = Form("cursor of git", GitCursor)


class GitConnector(Connector):
    """Lists the files of one commit; a remote repository is fetched once in the connector's life."""

    kind = "git"
    capabilities = Capabilities(changes=True, removals=True, ids=True, moves=True, lookup=True)
    options_type = GitOptions

    def __init__(self, source: str, options: GitOptions) -> None:
        super().__init__(source, options)
        self._filter = PathFilter(options.include, options.exclude, options.hidden)
        self._opened: tuple[Repository, str] | None = None
        described = options.model_dump(mode="json", exclude={"token", "username", "cache_dir", "timeout"})
        self._options_fingerprint = fingerprint(described)

    def items(self, window: Window = Window()) -> Iterator[Entry]:
        try:
            repository, commit = self._open()
            blobs = [
                blob for blob in repository.tree(commit, self.options.subfolder) if self._is_wanted(blob)
            ]
        except CredentialError:
            raise
        except RagError as error:
            yield from self._fail_listing(error)
            return
        count = 0
        for entry in self._entries(
            repository, commit, ((blob, None) for blob in blobs), [b.path for b in blobs]
        ):
            if not isinstance(entry, Item) or window.holds(entry.modified_at):
                count += 1
                yield entry
        yield Complete(count, cursor=None if window else self._cursor(commit), full=not window)

    def changes(self, cursor: Cursor) -> Iterator[Entry]:
        before = read_cursor(cursor, CURSOR)
        if before.options != self._options_fingerprint:
            raise UsageError("the options of the source have changed since the last listing; list it fully")
        try:
            repository, commit = self._open()
            if commit == before.commit:
                yield Complete(0, cursor=cursor, full=False)
                return
            next(repository.tree(commit, self.options.subfolder), None)
        except CredentialError:
            raise
        except RagError as error:
            yield from self._fail_listing(error)
            return
        repository.commit(before.commit)
        kept: list[tuple[Blob, str | None]] = []
        for change in repository.diff(before.commit, commit, self.options.subfolder):
            was = change.old_path if self._is_chosen(change.old_path, change.old_mode) else None
            if change.path is not None and self._is_chosen(change.path, change.mode):
                kept.append(
                    (Blob(change.path, change.mode, change.oid, 0), None if was == change.path else was)
                )
            elif was is not None:
                yield Removed(external_id(was))
        sizes = repository.sizes({blob.oid for blob, _ in kept})
        sized = ((blob._replace(size=sizes.get(blob.oid, 0)), moved_from) for blob, moved_from in kept)
        yield from self._entries(repository, commit, sized, [blob.path for blob, _ in kept])
        yield Complete(len(kept), cursor=self._cursor(commit), full=False)

    def ids(self) -> Iterator[str | Failure | Complete]:
        try:
            repository, commit = self._open()
            listed = [
                external_id(b.path)
                for b in repository.tree(commit, self.options.subfolder)
                if self._is_wanted(b)
            ]
        except CredentialError:
            raise
        except RagError as error:
            yield from self._fail_listing(error)
            return
        yield from listed
        yield Complete(len(listed), cursor=self._cursor(commit))

    def load(self, reference: Mapping[str, Any]) -> bytes:
        """The blob with an id, of whatever commit; a remote repository is fetched once here too."""
        repository, _ = self._open()
        return repository.read(reference["blob"], self.options.max_bytes)

    def existing(self, ids: Sequence[str]) -> set[str]:
        """Asks the commit that this connector lists."""
        listed = list(self.ids())
        for entry in listed:
            if isinstance(entry, Failure):
                raise TransientError(f"the files cannot be looked up: {entry.error}") from entry.error
        return set(ids).intersection(entry for entry in listed if isinstance(entry, str))

    def check(self) -> list[Finding]:
        options = self.options
        if is_remote(options.repository):
            return self._check_remote()
        try:
            repository, commit = self._open()
        except RagError as error:
            return [Finding("repository", False, str(error))]
        findings = [
            Finding("repository", True, f"{options.repository} at {options.ref} is commit {commit[:12]}")
        ]
        try:
            blobs = list(repository.tree(commit, options.subfolder))
        except RagError as error:
            return [*findings, Finding("subfolder", False, str(error))]
        files = sum(self._is_wanted(blob) for blob in blobs)
        advice = "" if files else "; look at subfolder, include, exclude and hidden"
        findings.append(Finding("files", files > 0, f"{files} of {len(blobs)} files match{advice}"))
        special = sum(blob.mode not in REGULAR_MODES for blob in blobs)
        if special:
            findings.append(Finding("special", True, f"{special} symbolic links and submodules are left out"))
        return findings

    def close(self) -> None:
        if self._opened is not None:
            self._opened[0].close()
            self._opened = None

    def _open(self) -> tuple[Repository, str]:
        if self._opened is None:
            options = self.options
            ref = options.ref
            if is_remote(options.repository):
                repository = self._remote().mirror(self._cache(), head=ref == "HEAD")
                ref = REMOTE_HEAD if ref == "HEAD" else ref
            else:
                repository = Repository(Path(options.repository))
            self._opened = repository, repository.commit(ref)
        return self._opened

    def _remote(self) -> Remote:
        token = self.options.token
        secret = token.get_secret_value() if token is not None else None
        return Remote(self.options.repository, secret, self.options.username, self.options.timeout)

    def _cache(self) -> Path:
        if self.options.cache_dir is None:
            raise ConfigError(
                f"source {self.source}: a remote repository needs cache_dir, a folder for its mirror"
            )
        return self.options.cache_dir

    def _check_remote(self) -> list[Finding]:
        ref = self.options.ref
        try:
            cache = self._cache()
            cache.mkdir(parents=True, exist_ok=True)
            refs = self._remote().refs(cache)
        except (RagError, OSError) as error:
            return [Finding("repository", False, str(error))]
        findings = [Finding("repository", True, f"{self.options.repository} answers")]
        names = (ref, f"refs/heads/{ref}", f"refs/tags/{ref}")
        if oid := next((refs[name] for name in names if name in refs), None):
            return [*findings, Finding("ref", True, f"{ref} is commit {oid[:12]}")]
        if _COMMIT_ID.fullmatch(ref):
            return [*findings, Finding("ref", True, f"{ref} looks like a commit; the first fetch will tell")]
        heads = sorted(name.removeprefix("refs/heads/") for name in refs if name.startswith("refs/heads/"))
        return [*findings, Finding("ref", False, f"{ref!r} is not there; branches: {', '.join(heads[:10])}")]

    def _is_chosen(self, path: str | None, mode: str) -> bool:
        return path is not None and mode in REGULAR_MODES and self._filter.wants(path)

    def _is_wanted(self, blob: Blob) -> bool:
        return self._is_chosen(blob.path, blob.mode)

    def _cursor(self, commit: str) -> dict[str, Any]:
        return CURSOR.encode(GitCursor(commit, self._options_fingerprint))

    def _fail_listing(self, error: RagError) -> Iterator[Failure | Complete]:
        yield Failure(error=error, entity=self.options.repository, whole=True)
        yield Complete(0, full=False)

    def _entries(
        self,
        repository: Repository,
        commit: str,
        blobs: Iterable[tuple[Blob, str | None]],
        paths: list[str],
    ) -> Iterator[Item | Failure | Removed]:
        """Each blob, with the path it was moved from, as an item or a failed document."""
        commits = repository.last_commits(commit, paths, self.options.history_limit)
        for blob, moved_from in blobs:
            identity = external_id(blob.path)
            limit = self.options.max_bytes
            if blob.size > limit:
                error = TooLargeDocumentError(
                    f"{identity!r} has {blob.size:,} bytes; raise max_bytes (now {limit:,}) or exclude it"
                )
                if moved_from is not None:
                    yield Removed(external_id(moved_from))
                yield Failure(error=error, external_id=identity, token=blob.oid)
            else:
                yield self._item(repository, blob, identity, moved_from, commits.get(blob.path))

    def _item(
        self, repository: Repository, blob: Blob, identity: str, moved_from: str | None, last: Commit | None
    ) -> Item:
        metadata = {}
        if last is not None:
            metadata = {"commit": last.oid, "committed_at": last.committed_at.isoformat()}
        prefix = self.options.url_prefix
        return Item(
            external_id=identity,
            token=blob.oid,
            load=partial(repository.read, blob.oid, self.options.max_bytes),
            name=identity.rpartition("/")[2],
            path=identity,
            url=join_url(prefix, blob.path) if prefix else None,
            media_type=media_type(blob.path),
            size=blob.size,
            modified_at=last.committed_at if last else None,
            author=last.author if last else None,
            metadata=metadata,
            moved_from=None if moved_from is None else external_id(moved_from),
            reference={"blob": blob.oid},
        )
