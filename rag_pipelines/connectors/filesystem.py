"""Files below a folder: local, or behind any fsspec URL (``s3://``, ``gs://``, ``abfs://``, ``memory://``).

What belongs here: the options, the walk that turns files into items, and the check. What does not:
reading a folder or a file (`file_trees`), path patterns (`paths`), sidecars (`access`).

The external id is the path relative to the root. The token of a local file is its size, modification
time and status change time; the latter cannot be set back, so an edit that restores size and time (an
unpacked archive, a sync tool) is still seen. For objects it is the store's etag. A folder that cannot
be read is a failed entity, so nothing is deleted in that run. Links:

- A link out of the root is left out; `check` counts them. A link to nothing is a failed document.
- A link to a file is a document of its own; it must satisfy the sidecars of both places.
- A link to a folder is entered only if that folder is not listed under its own path (it is hidden or
  excluded), so no file comes twice and no loop is endless.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import islice
from typing import Any, ClassVar

from pydantic import Field, SecretStr, field_validator

from rag_pipelines.connectors.base import (
    Capabilities,
    Complete,
    Connector,
    Entry,
    Failure,
    Finding,
    Item,
    Options,
    PathOrUrl,
    Removed,
    Window,
)
from rag_pipelines.connectors.file_trees import FileTree, FsspecTree, LocalTree, TreeEntry, open_tree
from rag_pipelines.connectors.paths import (
    PathFilter,
    check_patterns,
    external_id,
    join_url,
    media_type,
    path_of,
)
from rag_pipelines.connectors.sidecars import MAX_SIDECAR_BYTES, SIDECAR_SUFFIX, Access, SidecarTree, both
from rag_pipelines.errors import (
    CredentialError,
    FetchError,
    RagError,
    TooLargeDocumentError,
    TransientError,
)

CHECK_LIMIT = 1_000
"""How many entries `check` looks at."""


class FilesystemOptions(Options):
    """Settings of a filesystem source; the patterns are explained at `PathFilter`."""

    must_exist: ClassVar[tuple[str, ...]] = ("root",)

    root: PathOrUrl = Field(min_length=1, description="folder or fsspec URL; every id is relative to it")
    include: tuple[str, ...] = Field((), description="path patterns to include; none means every file")
    exclude: tuple[str, ...] = Field((), description="path patterns to exclude; wins over include")
    hidden: bool = Field(False, description="whether names that begin with a dot are listed")
    max_bytes: int = Field(200_000_000, gt=0, description="a larger file is a failed document")
    url_prefix: str | None = Field(None, description="URL under which people see the root, for citations")
    concurrent_loads: int = Field(
        8, ge=1, le=64, description="files read at once, where the fsspec driver can (object stores)"
    )
    storage_options: dict[str, Any] = Field({}, repr=False, description="passed to the fsspec driver")
    storage_secrets: dict[str, SecretStr] = Field({}, description="passed to the fsspec driver, never shown")

    @field_validator("include", "exclude")
    @classmethod
    def _patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        check_patterns(patterns)
        return patterns


class FilesystemConnector(Connector):
    """Lists the files below `root`; see the module's docstring."""

    kind = "filesystem"
    capabilities = Capabilities(permissions=True, lookup=True)
    options_type = FilesystemOptions

    def __init__(self, source: str, options: FilesystemOptions) -> None:
        super().__init__(source, options)
        self._filter = PathFilter(options.include, options.exclude, options.hidden)

    @property
    def concurrent_loads(self) -> int:
        """Files of this machine are read one by one: nothing is waited for."""
        try:
            return self.options.concurrent_loads if self._tree.waits else 1
        except RagError:
            return 1

    def items(self, window: Window = Window()) -> Iterator[Entry]:
        try:
            tree = self._open()
        except RagError as error:
            yield Failure(error=error, entity=self.options.root, whole=True)
            yield Complete(0, full=False)
            return
        count = 0
        whole = not window
        for entry in _Walk(tree, self.options, self._filter):
            if isinstance(entry, Failure):
                count += entry.external_id is not None
                whole = whole and (entry.entity is None or not entry.hides_documents)
            elif not window.holds(entry.modified_at):
                continue
            else:
                count += 1
            yield entry
        yield Complete(count, full=whole)

    def named(self, names: Sequence[str]) -> Iterator[Entry] | None:
        """Objects of a store that are named by its events; never a sidecar, which means more than itself."""
        try:
            tree = self._open()
            paths = [tree.named(name) for name in names] if isinstance(tree, FsspecTree) else None
        except RagError:
            return None
        if paths is None or any(path and path.endswith(SIDECAR_SUFFIX) for path in paths):
            return None
        wanted = {path for path in paths if path and not path.endswith("/") and self._filter.wants(path)}
        return self._named(_Walk(tree, self.options, self._filter), sorted(wanted))

    def _named(self, walk: _Walk, paths: Sequence[str]) -> Iterator[Entry]:
        count = 0
        for entry in walk.only(paths):
            count += not isinstance(entry, Removed) and entry.external_id is not None
            yield entry
        yield Complete(count, full=False)

    def load(self, reference: Mapping[str, Any]) -> bytes:
        """The file with an id."""
        return _load(self._tree, path_of(reference["id"]), self.options.max_bytes)

    def existing(self, ids: Sequence[str]) -> set[str]:
        """Looks into the folders of `ids`; only a walk can tell what a linked folder is listed under."""
        tree = self._open()
        try:
            tree.list("")
        except CredentialError:
            raise
        except RagError as error:
            raise TransientError(f"{self.options.root} cannot be listed: {error}") from error
        folders: dict[str, list[tuple[str, str]]] = {}
        for identity in ids:
            path = path_of(identity)
            if self._filter.wants(path):
                folder, _, name = path.rpartition("/")
                folders.setdefault(folder, []).append((name, identity))
        found: set[str] = set()
        walk: set[str] = set()
        for folder, asked in folders.items():
            if tree.is_linked(folder):
                walk.update(identity for _, identity in asked)
                continue
            names = _documents(tree, folder)
            found.update(identity for name, identity in asked if names is None or name in names)
        if walk:
            walked = list(_Walk(tree, self.options, self._filter))
            hidden = any(isinstance(one, Failure) and one.entity and one.hides_documents for one in walked)
            found |= walk if hidden else walk & {one.external_id for one in walked}
        return found

    def check(self) -> list[Finding]:
        root = self.options.root
        try:
            tree = self._open()
            tree.list("")
        except RagError as error:
            return [Finding("root", False, str(error))]
        findings = [Finding("root", True, f"{root} can be read")]
        try:
            entries = list(islice(self.items(), CHECK_LIMIT))
        except CredentialError as error:
            return [*findings, Finding("files", False, str(error))]
        files = sum(isinstance(entry, Item) for entry in entries)
        more = "at least " if len(entries) == CHECK_LIMIT else ""
        advice = "" if files else "; look at include, exclude and hidden"
        findings.append(Finding("files", files > 0, f"{more}{files} files match{advice}"))
        failures = [entry for entry in entries if isinstance(entry, Failure)]
        if failures:
            detail = f"{more}{len(failures)} cannot be used, the first: {failures[0].error}"
            findings.append(Finding("failures", False, detail))
        if isinstance(tree, LocalTree) and (outside := tree.links_outside):
            findings.append(
                Finding("links", True, f"{outside} links in the root itself lead out of it; left out")
            )
        return findings

    @cached_property
    def _tree(self) -> FileTree:
        """What single files are read from."""
        return self._open()

    def _open(self) -> FileTree:
        secrets = {name: secret.get_secret_value() for name, secret in self.options.storage_secrets.items()}
        return open_tree(self.options.root, {**self.options.storage_options, **secrets})


class _Walk:
    """One pass over a tree, depth first, each folder in order of names; yields items and failures."""

    def __init__(self, tree: FileTree, options: FilesystemOptions, wanted: PathFilter) -> None:
        self._tree = tree
        self._options = options
        self._filter = wanted
        self._sidecars = SidecarTree(lambda path: tree.read(path, MAX_SIDECAR_BYTES), self._report)
        self._reported: list[Failure] = []
        self._walked: set[str] = set()
        self._linked: list[tuple[str, str]] = []

    def __iter__(self) -> Iterator[Item | Failure]:
        yield from self._below("", "")
        while self._linked:
            yield from self._below(*self._linked.pop(0))

    def only(self, paths: Sequence[str]) -> Iterator[Item | Failure | Removed]:
        """Those files of a store that are there; they are named whatever a store has that is no file."""
        assert isinstance(self._tree, FsspecTree)
        for path in paths:
            try:
                one = self._tree.stat(path)
            except CredentialError:
                raise
            except TransientError as error:
                yield Failure(error=error, entity=self._options.root, whole=True)
                return
            except RagError as error:
                yield Failure(error=error, external_id=external_id(path))
                continue
            if one is None:
                yield Removed(external_id(path))
            else:
                yield self._entry(path, one, self._sidecars.file(path))
            yield from self._reported
            self._reported.clear()

    def _below(self, top: str, top_target: str) -> Iterator[Item | Failure]:
        """Everything below the folder `top`, which really is `top_target`; linked folders are put off."""
        stack = [(top, top_target)]
        while stack:
            folder, target = stack.pop()
            if target in self._walked:
                continue
            self._walked.add(target)
            try:
                found = sorted(self._tree.list(folder))
            except CredentialError:
                raise
            except RagError as error:
                place = external_id(folder) or self._options.root
                yield Failure(error=error, entity=place, whole=not folder)
                continue
            sidecars = {one.name for one in found if one.name.endswith(SIDECAR_SUFFIX)}
            access = self._sidecars.folder(folder, seen=SIDECAR_SUFFIX in sidecars)
            if folder != target:
                access = both(access, self._sidecars.folder(target))
            inner = []
            for one in found:
                path = _join(folder, one.name)
                if one.is_folder:
                    if self._filter.enters(path):
                        if one.target is not None:
                            self._linked.append((path, one.target))
                        else:
                            inner.append((path, _join(target, one.name)))
                elif not one.left_out and one.name not in sidecars and self._filter.wants(path):
                    has_sidecar = f"{one.name}{SIDECAR_SUFFIX}" in sidecars
                    own = self._sidecars.file(path, seen=True) if has_sidecar else access
                    if folder != target or one.target is not None:
                        own = both(own, self._sidecars.file(one.target or _join(target, one.name)))
                    yield self._entry(path, one, own)
            stack.extend(reversed(inner))
            yield from self._reported
            self._reported.clear()

    def _entry(self, path: str, one: TreeEntry, access: Access) -> Item | Failure:
        identity = external_id(path)
        if one.error is not None:
            return Failure(error=one.error, external_id=identity)
        limit = self._options.max_bytes
        if one.size > limit:
            error = TooLargeDocumentError(
                f"{identity!r} has {one.size:,} bytes; raise max_bytes (now {limit:,}) or exclude it"
            )
            return Failure(error=error, external_id=identity, token=one.token)
        prefix = self._options.url_prefix
        return Item(
            external_id=identity,
            token=one.token,
            load=partial(_load, self._tree, path, limit),
            reference={"id": identity},
            name=identity.rpartition("/")[2],
            path=identity,
            url=join_url(prefix, path) if prefix else self._tree.url(path),
            media_type=media_type(one.name),
            size=one.size,
            modified_at=one.modified_at,
            tenant=access.tenant,
            access=access.rule,
        )

    def _report(self, sidecar: str, error: RagError) -> None:
        """A sidecar that cannot be used hides no document: what it governs is listed, closed."""
        self._reported.append(Failure(error=error, entity=external_id(sidecar), hides_documents=False))


def _documents(tree: FileTree, folder: str) -> set[str] | None:
    """The names of the documents in `folder`, none where it is gone; None where it cannot be seen."""
    try:
        listed = tree.list(folder)
    except CredentialError:
        raise
    except FetchError:
        return set()
    except RagError:
        return None
    return {
        one.name for one in listed if not (one.is_folder or one.left_out or one.name.endswith(SIDECAR_SUFFIX))
    }


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _load(tree: FileTree, path: str, max_bytes: int) -> bytes:
    data = tree.read(path, max_bytes)
    if data is None:
        raise FetchError(f"{path!r} was listed but is gone")
    return data
