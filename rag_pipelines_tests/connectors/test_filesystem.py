"""What is particular to files: links, names, permissions, sidecars on disk, object stores, speed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import process_time
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec import AbstractFileSystem

from rag_pipelines.connectors.base import Complete, Item
from rag_pipelines.connectors.file_trees import FsspecTree
from rag_pipelines.connectors.filesystem import FilesystemConnector
from rag_pipelines.connectors.registry import make_connector
from rag_pipelines.errors import (
    ConfigError,
    CorruptDocumentError,
    CredentialError,
    FetchError,
    ForbiddenEntityError,
    TooLargeDocumentError,
    TransientError,
)
from rag_pipelines.model import CLOSED, PUBLIC, AccessRule
from rag_pipelines_tests.connectors.conformance import Listing


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


def put(root: Path, name: str, text: str = "text") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def connector(root: Path | str, **options: Any) -> FilesystemConnector:
    made = make_connector("files", "filesystem", {"root": str(root), **options})
    assert isinstance(made, FilesystemConnector)
    return made


def listing(root: Path | str, **options: Any) -> Listing:
    return Listing.of(connector(root, **options).items())


def test_include_exclude_and_hidden_choose_the_files(root: Path) -> None:
    for name in ("a.md", "b.pdf", "docs/c.md", "docs/drafts/d.md", ".hidden/e.md", "docs/.f.md"):
        put(root, name)
    assert set(listing(root).items) == {"a.md", "b.pdf", "docs/c.md", "docs/drafts/d.md"}
    chosen = listing(root, include=["*.md"], exclude=["drafts/"], hidden=True)
    assert set(chosen.items) == {"a.md", "docs/c.md", ".hidden/e.md", "docs/.f.md"}


def test_a_file_url_is_a_local_root(root: Path) -> None:
    put(root / "with space", "ä b.md")
    item = listing((root / "with space").as_uri()).items["ä b.md"]
    assert item.load() == b"text"
    assert item.url == (root / "with space" / "ä b.md").as_uri()


def test_the_url_prefix_is_what_people_see(root: Path) -> None:
    put(root, "a b/c.md")
    assert (
        listing(root, url_prefix="https://x.example/d/").items["a b/c.md"].url
        == "https://x.example/d/a%20b/c.md"
    )


def test_an_item_tells_size_type_and_time(root: Path) -> None:
    os.utime(put(root, "docs/a.md", "12345"), (1_700_000_000, 1_700_000_000))
    item = listing(root).items["docs/a.md"]
    assert (item.name, item.path, item.size, item.media_type) == ("a.md", "docs/a.md", 5, "text/markdown")
    assert item.modified_at is not None
    assert item.modified_at.isoformat() == "2023-11-14T22:13:20+00:00"
    assert item.access is None
    assert item.title is None


def test_a_file_above_the_limit_is_a_failure_with_its_token(root: Path) -> None:
    put(root, "big.md", "x" * 11)
    put(root, "small.md", "x" * 10)
    found = listing(root, max_bytes=10)
    [failure] = found.failures
    assert failure.external_id == "big.md"
    assert failure.token
    assert isinstance(failure.error, TooLargeDocumentError)
    assert "11 bytes; raise max_bytes (now 10)" in str(failure.error)
    put(root, "small.md", "x" * 12)
    with pytest.raises(TooLargeDocumentError):
        found.items["small.md"].load()


def test_names_that_are_not_unicode_are_listed_under_an_escaped_id(root: Path) -> None:
    (Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9"))).mkdir()
    with open(os.fsencode(root) + b"/caf\xe9/menu.txt", "wb") as file:
        file.write(b"soup")
    item = listing(root).items["./caf%E9/menu.txt"]
    assert item.load() == b"soup"
    assert item.url is not None
    assert item.url.endswith("/caf%E9/menu.txt")
    for value in (item.external_id, item.name, item.path, item.url):
        value.encode()


class TestLinks:
    def test_a_link_out_of_the_root_is_left_out_and_told_by_the_check(
        self, root: Path, tmp_path: Path
    ) -> None:
        put(tmp_path, "outside/secret.md")
        put(root, "a.md")
        (root / "file.md").symlink_to(tmp_path / "outside" / "secret.md")
        (root / "folder").symlink_to(tmp_path / "outside")
        found = listing(root)
        assert set(found.items) == {"a.md"}
        assert found.is_full
        assert any("2 links" in finding.detail for finding in connector(root).check())

    def test_a_folder_beside_the_root_with_its_name_as_prefix_is_outside(self, root: Path) -> None:
        put(root.with_name("root-2"), "secret.md")
        (root / "link").symlink_to("../root-2")
        assert not listing(root).items

    def test_a_link_to_a_file_inside_is_a_document_of_its_own(self, root: Path) -> None:
        put(root, "docs/a.md")
        (root / "link.md").symlink_to("docs/a.md")
        items = listing(root).items
        assert set(items) == {"docs/a.md", "link.md"}
        assert items["link.md"].token == items["docs/a.md"].token
        assert items["link.md"].load() == b"text"

    def test_a_linked_folder_is_entered_only_where_it_is_not_listed_itself(self, root: Path) -> None:
        put(root, "releases/v3/a.md")
        (root / "current").symlink_to("releases/v3")
        assert set(listing(root).items) == {"releases/v3/a.md"}
        assert set(listing(root, exclude=["releases/"]).items) == {"current/a.md"}

    def test_loops_end(self, root: Path) -> None:
        put(root, "a/x.md")
        put(root, "b/y.md")
        (root / "a" / "up").symlink_to("..")
        (root / "a" / "other").symlink_to("../b")
        (root / "b" / "other").symlink_to("../a")
        (root / "self").symlink_to("self")
        found = listing(root)
        assert set(found.items) == {"a/x.md", "b/y.md"}
        assert [failure.external_id for failure in found.failures] == ["self"]

    def test_a_loop_between_hidden_folders_ends(self, root: Path) -> None:
        put(root, ".store/a/x.md")
        (root / ".store" / "a" / "again").symlink_to("..")
        (root / "link").symlink_to(".store/a")
        assert set(listing(root).items) == {"link/x.md"}

    def test_a_dangling_link_is_a_failed_document(self, root: Path) -> None:
        (root / "gone.md").symlink_to("nowhere.md")
        found = listing(root)
        [failure] = found.failures
        assert failure.external_id == "gone.md"
        assert "leads nowhere" in str(failure.error)
        assert found.is_full

    def test_a_file_that_becomes_a_link_out_of_the_root_is_not_read(self, root: Path, tmp_path: Path) -> None:
        path = put(root, "a.md")
        item = listing(root).items["a.md"]
        path.unlink()
        path.symlink_to(put(tmp_path, "secret.md"))
        with pytest.raises(ForbiddenEntityError, match="leads out of"):
            item.load()

    def test_a_link_is_bound_by_the_sidecars_of_both_places(self, root: Path) -> None:
        put(root, ".access.yaml", "public: true")
        put(root, "hr/.access.yaml", "allow: [group:hr]")
        put(root, "hr/pay.md")
        put(root, "hr/pay.md.access.yaml", "deny: [bob]")
        put(root, "hr/old/list.md")
        (root / "pay.md").symlink_to("hr/pay.md")
        (root / "archive").symlink_to("hr/old")
        items = listing(root, exclude=["/hr/"]).items
        assert items["pay.md"].access == AccessRule((("group:hr",),), ("bob",))
        assert items["archive/list.md"].access == AccessRule((("group:hr",),))


class TestExisting:
    def test_it_is_what_a_listing_names(self, root: Path, tmp_path: Path) -> None:
        for name in ("a.md", "docs/b.md", ".hidden/c.md", "drafts/d.md", "docs/e.pdf"):
            put(root, name)
        put(root, "docs/b.md.access.yaml", "public: true")
        (root / "file.md").symlink_to("docs/b.md")
        (root / "linked").symlink_to("drafts")
        (root / "again").symlink_to("docs")
        (root / "dangling.md").symlink_to("nowhere.md")
        put(tmp_path, "outside/secret.md")
        (root / "out").symlink_to(tmp_path / "outside")
        (root / os.fsdecode(b"caf\xe9.md")).write_text("text")
        options = {"include": ["*.md"], "exclude": ["/drafts/"]}
        found = listing(root, **options)
        named = {*found.items, *(str(failure.external_id) for failure in found.failures)}
        assert named == {"a.md", "docs/b.md", "file.md", "linked/d.md", "dangling.md", "./caf%E9.md"}
        others = (
            "again/b.md",
            "out/secret.md",
            ".hidden/c.md",
            "drafts/d.md",
            "docs/e.pdf",
            "docs",
            "no/x.md",
        )
        assert connector(root, **options).existing([*named, *others, "a.md/x.md"]) == named

    def test_what_lies_in_a_folder_that_cannot_be_read_counts(self, root: Path) -> None:
        put(root, "a.md")
        too_long = "/".join(["x" * 250] * 20)
        assert connector(root).existing([f"{too_long}/b.md", "c.md"]) == {f"{too_long}/b.md"}


def test_pipes_and_sockets_are_left_out(root: Path) -> None:
    os.mkfifo(root / "pipe.md")
    found = listing(root)
    assert not found.items
    assert not found.failures


def test_a_file_that_becomes_a_pipe_fails_instead_of_hanging(root: Path) -> None:
    path = put(root, "a.md")
    item = listing(root).items["a.md"]
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(FetchError, match="not a regular file"):
        item.load()


@pytest.fixture
def unprivileged_root() -> Iterator[Path]:
    """A root that a user other than root can enter, and that user's rights while the test runs."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    put(folder, "open.md")
    put(folder, "closed.md").chmod(0)
    put(folder, "locked/inner.md")
    (folder / "locked").chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield folder
    finally:
        os.seteuid(user)
        (folder / "locked").chmod(0o755)
        shutil.rmtree(folder)


def test_what_may_not_be_read_fails_by_itself_and_ends_no_listing(unprivileged_root: Path) -> None:
    found = listing(unprivileged_root)
    assert set(found.items) == {"closed.md", "open.md"}
    with pytest.raises(ForbiddenEntityError, match="no permission to read"):
        found.items["closed.md"].load()
    [failure] = found.failures
    assert (failure.entity, failure.hides_documents) == ("locked", True)
    assert isinstance(failure.error, ForbiddenEntityError)
    assert not found.is_full
    findings = {finding.name: finding for finding in connector(unprivileged_root).check()}
    assert not findings["failures"].ok


def test_a_sidecar_that_may_not_be_read_closes_its_folder(unprivileged_root: Path) -> None:
    os.seteuid(os.getuid())
    put(unprivileged_root, ".access.yaml", "public: true").chmod(0)
    if os.getuid() == 0:
        os.seteuid(65534)
    found = listing(unprivileged_root, exclude=["locked/"])
    assert found.items["open.md"].access == CLOSED
    assert found.is_full, "a sidecar holds no documents"
    assert [(failure.entity, failure.hides_documents) for failure in found.failures] == [
        (".access.yaml", False)
    ]


class TestSidecars:
    def test_rules_of_folders_and_files_are_conjunctive_downwards(self, root: Path) -> None:
        put(root, "a/.access.yaml", "allow: [group:staff]\ntenant: acme")
        put(root, "a/b/.access.yaml", "all_of: [[group:hr], [group:managers]]")
        put(root, "a/b/x.md")
        put(root, "a/b/y.md")
        put(root, "a/b/y.md.access.yaml", "inherit: false\npublic: true")
        put(root, "a/z.md")
        put(root, "free.md")
        items = listing(root).items
        assert items["free.md"].access is None
        assert items["free.md"].tenant is None
        assert items["a/z.md"].access == AccessRule((("group:staff",),))
        assert items["a/b/x.md"].access == AccessRule((("group:hr",), ("group:managers",), ("group:staff",)))
        assert items["a/b/y.md"].access == PUBLIC
        assert {item.tenant for name, item in items.items() if name.startswith("a/")} == {"acme"}

    def test_a_sidecar_is_not_a_document(self, root: Path) -> None:
        put(root, "a.md")
        put(root, "a.md.access.yaml", "public: true")
        put(root, ".access.yaml", "public: true")
        assert set(listing(root, hidden=True).items) == {"a.md"}

    @pytest.mark.parametrize("name", [".access.yaml", "a.md.access.yaml"])
    def test_an_invalid_sidecar_closes_what_it_governs_and_is_reported(self, root: Path, name: str) -> None:
        put(root, "a.md")
        put(root, name, "alow: [everyone]")
        found = listing(root)
        assert found.items["a.md"].access == CLOSED
        assert found.is_full
        [failure] = found.failures
        assert failure.entity == name
        assert isinstance(failure.error, CorruptDocumentError)

    def test_a_sidecar_that_is_no_readable_file_inside_the_root_closes(
        self, root: Path, tmp_path: Path
    ) -> None:
        for folder in ("outside", "dangling", "folder", "pipe"):
            put(root, f"{folder}/a.md")
        (root / "outside" / ".access.yaml").symlink_to(put(tmp_path, "open.yaml", "public: true"))
        (root / "dangling" / "a.md.access.yaml").symlink_to("nowhere")
        (root / "folder" / ".access.yaml").mkdir()
        os.mkfifo(root / "pipe" / "a.md.access.yaml")
        found = listing(root)
        assert {name: item.access for name, item in found.items.items()} == {
            f"{folder}/a.md": CLOSED for folder in ("outside", "dangling", "folder", "pipe")
        }
        assert found.is_full
        assert len(found.failures) == 4

    def test_an_excluded_or_hidden_sidecar_still_governs(self, root: Path) -> None:
        put(root, "a.md")
        put(root, ".access.yaml", "allow: [ann]")
        assert listing(root, exclude=["*.yaml"]).items["a.md"].access == AccessRule((("ann",),))


def test_a_folder_that_goes_while_it_is_listed_makes_the_listing_incomplete(root: Path) -> None:
    """It may have been moved to a place that was listed already."""
    put(root, "a.md")
    put(root, "b/c.md")
    entries = connector(root).items()
    assert isinstance(next(entries), Item)
    shutil.rmtree(root / "b")
    last = list(entries)[-1]
    assert isinstance(last, Complete)
    assert not last.full


class TestObjectStores:
    @pytest.fixture
    def bucket(self, tmp_path: Path) -> str:
        return f"memory://{tmp_path.name}"

    def write(self, bucket: str, name: str, data: bytes) -> None:
        import fsspec

        fsspec.filesystem("memory").pipe_file(f"/{bucket.removeprefix('memory://')}/{name}", data)

    def test_sidecars_and_urls_work_as_on_disk(self, bucket: str) -> None:
        self.write(bucket, "hr/pay.md", b"pay")
        self.write(bucket, "hr/.access.yaml", b"allow: [group:hr]")
        item = listing(bucket).items["hr/pay.md"]
        assert item.access == AccessRule((("group:hr",),))
        assert item.url == f"{bucket}/hr/pay.md"
        assert item.load() == b"pay"

    def test_the_etag_is_the_token_where_the_store_has_one(
        self, bucket: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        info = {
            "name": "b/a.md",
            "size": 4,
            "type": "file",
            "ETag": '"abc"',
            "LastModified": "2026-01-01T00:00:00Z",
        }
        marker = {"name": "b/", "size": 0, "type": "file"}
        tree = FsspecTree("memory://b", {})
        monkeypatch.setattr(tree._fs, "ls", lambda path, detail: [marker, info])
        monkeypatch.setattr(tree, "_root", "b")
        [found] = tree.list("")
        assert (found.name, found.token, found.size) == ("a.md", "abc", 4)
        assert found.modified_at is not None
        assert found.modified_at.isoformat() == "2026-01-01T00:00:00+00:00"

    def test_rejected_credentials_stop_the_listing(
        self, bucket: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class NoCredentialsError(Exception):
            """Named as botocore names it."""

        def refuse(self: Any, path: str, detail: bool) -> None:
            raise NoCredentialsError("Unable to locate credentials")

        monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.ls", refuse)
        with pytest.raises(CredentialError, match="Unable to locate"):
            listing(bucket)
        assert not connector(bucket).check()[0].ok

    @pytest.mark.parametrize(
        ("root", "extra"), [("s3://bucket/x", "s3"), ("gs://bucket", "gcs"), ("abfs://box@acc", "azure")]
    )
    def test_a_missing_driver_names_the_extra_that_brings_it(
        self, root: str, extra: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def missing(*_: Any, **__: Any) -> None:
            raise ImportError("no driver")

        monkeypatch.setattr("fsspec.core.url_to_fs", missing)
        with pytest.raises(ConfigError, match=rf"pip install 'rag-pipelines\[{extra}\]'"):
            FsspecTree(root, {})
        assert not listing(root).is_full
        assert extra in connector(root).check()[0].detail

    def test_an_unknown_scheme_is_told_as_such(self) -> None:
        [finding] = connector("gopher://x").check()
        assert not finding.ok
        assert "gopher" in finding.detail


def test_two_thousand_files_are_listed_in_little_more_than_it_takes_to_look_at_them(root: Path) -> None:
    """Budget 30 ms on a quiet machine, where asking the system for each takes 5 ms."""
    for number in range(2_000):
        put(root, f"f{number % 40}/d{number}.md", "x")
    files = connector(root, include=["*.md"])

    def seconds(count: Callable[[], int]) -> float:
        begin = process_time()
        assert count() == 2_000
        return process_time() - begin

    def looked_at() -> int:
        return sum(
            os.stat(os.path.join(folder, name)).st_size
            for folder, _, names in os.walk(root)
            for name in names
        )

    def listed() -> int:
        return sum(1 for entry in files.items() if isinstance(entry, Item))

    times = [(seconds(listed), seconds(looked_at)) for _ in range(5)]
    assert min(ours for ours, _ in times) < 20 * min(bare for _, bare in times)


class StrictDriver(AbstractFileSystem):
    """A driver that hands every option to its server, as that of SFTP does, and keeps listings."""

    protocol = "strict"
    files: ClassVar[dict[str, bytes]] = {}
    refusal: ClassVar[Exception | None] = None

    def __init__(self, port: int = 22, **options: Any) -> None:
        if options:
            raise TypeError(f"connect() got an unexpected keyword argument {next(iter(options))!r}")
        if self.refusal:
            raise self.refusal
        super().__init__()

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        if path not in self.dircache:
            self.dircache[path] = [
                {"name": f"{path}/{name}", "size": len(data), "type": "file"}
                for name, data in self.files.items()
            ]
        return self.dircache[path]

    def invalidate_cache(self, path: str | None = None) -> None:
        self.dircache.clear()

    def cat_file(self, path: str, start: Any = None, end: Any = None, **options: Any) -> bytes:
        return self.files[path.rpartition("/")[2]]


class TestAnyDriver:
    @pytest.fixture(autouse=True)
    def driver(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fsspec.register_implementation("strict", StrictDriver, clobber=True)
        StrictDriver.clear_instance_cache()
        monkeypatch.setattr(StrictDriver, "files", {"a.md": b"one"})

    def test_a_driver_gets_the_options_of_the_source_and_no_others(self) -> None:
        found = listing("strict://host/docs", storage_options={"port": 2222})
        assert found.items["a.md"].load() == b"one"

    def test_an_option_that_the_driver_does_not_take_is_named(self) -> None:
        [finding] = connector("strict://host/docs", storage_options={"speed": 1}).check()
        assert "unexpected keyword argument 'speed'; see storage_options" in finding.detail

    def test_a_listing_that_the_driver_keeps_is_not_believed(self) -> None:
        source = connector("strict://host/docs")
        assert set(Listing.of(source.items()).items) == {"a.md"}
        StrictDriver.files["b.md"] = b"two"
        assert set(Listing.of(source.items()).items) == {"a.md", "b.md"}

    @pytest.mark.parametrize(
        ("refusal", "expected"),
        [
            (OSError("no route to host"), TransientError),
            (type("AuthenticationException", (Exception,), {})("no"), CredentialError),
        ],
    )
    def test_a_driver_that_cannot_connect_is_told(
        self, monkeypatch: pytest.MonkeyPatch, refusal: Exception, expected: type[Exception]
    ) -> None:
        monkeypatch.setattr(StrictDriver, "refusal", refusal)
        with pytest.raises(expected):
            FsspecTree("strict://host/docs", {})
