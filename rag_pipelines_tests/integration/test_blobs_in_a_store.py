"""Blobs in an object store, behind a real driver: written, read, collected, and refused.

What belongs here: what differs from a folder of this machine. What does not: collection itself
(`test_garbage`).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import fsspec
import pytest

from rag_pipelines.errors import (
    ConfigError,
    CredentialError,
    MissingContentError,
    RagError,
    ThrottledError,
    TransientError,
)
from rag_pipelines.retention.garbage import collect_garbage
from rag_pipelines.store.blobs import BlobStore
from rag_pipelines.sync.plan import plan_source
from rag_pipelines_tests.connectors.conformance import START
from rag_pipelines_tests.integration.workspace import Workspace

if TYPE_CHECKING:
    from rag_pipelines_tests.doubles.s3 import S3

_numbers = itertools.count()


@pytest.fixture
def bucket(s3: S3, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket, and the environment by which the driver finds it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    name = f"blobs-{next(_numbers)}"
    s3.make(name)
    return name


@pytest.fixture
def store(bucket: str) -> BlobStore:
    return BlobStore(f"s3://{bucket}/rag")


def test_documents_are_stored_served_and_collected(s3: S3, bucket: str, workspace: Workspace) -> None:
    workspace.document["blobs"] = {"url": f"s3://{bucket}/rag"}
    workspace.document["sources"]["docs"]["grace"] = "0s"
    workspace.write("a.md", "# A\n\nAlpha.")
    workspace.write("b.md", "# B\n\nBeta.")
    workspace.refresh()
    assert {key.split("/")[1] for key in s3.keys(bucket)} == {"raw", "blocks"}
    assert len(s3.keys(bucket)) == 4
    assert workspace.paths("alpha", mode="lexical") == {"a.md"}
    (workspace.docs / "a.md").unlink()
    workspace.ingest()
    assert collect_garbage(workspace.database, workspace.settings).blobs == 2
    assert len(s3.keys(bucket)) == 2


def test_contents_come_back_and_each_is_written_once(s3: S3, bucket: str, store: BlobStore) -> None:
    contents = [f"text {number}".encode() * number for number in range(40)]
    digests = store.put_all("raw", contents)
    written = s3.requests[bucket]
    assert [store.get("raw", digest) for digest in digests] == contents
    assert set(store.digests("raw")) == set(digests)
    assert list(store.digests("blocks")) == []
    before = s3.requests[bucket]
    assert store.put_all("raw", contents) == digests
    assert s3.requests[bucket] - before <= len(contents) < written


def test_what_another_process_deleted_is_written_again(s3: S3, bucket: str, store: BlobStore) -> None:
    """A driver keeps the listings that it has seen."""
    digest = store.put("raw", b"text")
    assert list(store.digests("raw")) == [digest]
    [key] = s3.keys(bucket)
    s3.remove(bucket, key)
    with pytest.raises(MissingContentError):
        store.get("raw", digest)
    store.put("raw", b"text")
    assert store.get("raw", digest) == b"text"


def test_what_another_process_wrote_and_deleted_is_seen(s3: S3, bucket: str, store: BlobStore) -> None:
    digest = store.put("raw", b"text")
    [key] = s3.keys(bucket)
    assert list(store.digests("raw")) == [digest]
    s3.put(bucket, f"{key.rpartition('/')[0]}/{'0' * 64}.zst", b"", START)
    assert set(store.digests("raw")) == {digest, bytes(32)}
    s3.remove(bucket, key)
    assert list(store.digests("raw")) == [bytes(32)]


def test_objects_that_are_no_blobs_are_left_alone(s3: S3, bucket: str, store: BlobStore) -> None:
    digest = store.put("raw", b"text")
    for key in ("rag/", "rag/raw/", "rag/raw/README.md"):
        s3.put(bucket, key, b"", START)
    assert list(store.digests("raw")) == [digest]


def test_deleting_what_is_not_there_is_no_error(store: BlobStore) -> None:
    digest = store.put("raw", b"text")
    store.delete("raw", digest)
    store.delete("raw", digest)
    assert list(store.digests("raw")) == []


@pytest.mark.parametrize("asked", ["put", "get", "digests"])
@pytest.mark.parametrize(
    ("code", "meant"),
    [
        ("AccessDenied", CredentialError),
        ("ExpiredToken", CredentialError),
        ("InternalError", TransientError),
        ("SlowDown", ThrottledError),
    ],
)
def test_a_refusal_is_one_of_our_errors(
    s3: S3, bucket: str, store: BlobStore, asked: str, code: str, meant: type[RagError]
) -> None:
    digest = store.put("raw", b"text")
    s3.faults[bucket].refused = code
    with pytest.raises(RagError, match="blob store") as raised:
        {
            "put": lambda: store.put("raw", b"other"),
            "get": lambda: store.get("raw", digest),
            "digests": lambda: list(store.digests("raw")),
        }[asked]()
    assert type(raised.value) is meant


def test_the_driver_is_told_what_the_configuration_says(
    s3: S3, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way to the store, and the login, stand in the configuration alone."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    bucket = f"blobs-{next(_numbers)}"
    s3.make(bucket)
    options = {name: value for name, value in s3.storage_options.items() if name not in ("key", "secret")}
    workspace.document["blobs"] = {
        "url": f"s3://{bucket}/rag",
        "storage_options": options,
        "storage_secrets": {"key": "key", "secret": "s3cret"},
    }
    workspace.write("a.md", "# A\n\nAlpha.")
    workspace.refresh()
    assert len(s3.keys(bucket)) == 2
    assert plan_source(workspace.runtime, "docs").sound
    assert "s3cret" not in repr(workspace.settings)


def test_options_that_the_driver_cannot_use_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("adlfs", reason="needs the extra 'azure'")
    store = BlobStore("az://blobs/rag", {"connection_string": "no=such"})
    with pytest.raises(ConfigError, match=r"az://blobs/rag cannot be opened.*blobs\.storage_options"):
        store.put("raw", b"data")


@pytest.mark.parametrize(("scheme", "emulator"), [("gs", "google_store"), ("abfs", "azure_store")])
def test_the_other_stores_hold_blobs_too(scheme: str, emulator: str, request: pytest.FixtureRequest) -> None:
    options = request.getfixturevalue(emulator)
    bucket = f"blobs-{next(_numbers)}"
    fsspec.filesystem(scheme, **options).mkdir(bucket)
    store = BlobStore(f"{scheme}://{bucket}/rag", options)
    assert list(store.digests("raw")) == []
    digests = store.put_all("raw", [b"one", b"two", b""])
    assert [store.get("raw", digest) for digest in digests] == [b"one", b"two", b""]
    assert set(store.digests("raw")) == set(digests)
    for digest in digests * 2:
        store.delete("raw", digest)
    assert list(store.digests("raw")) == []
    with pytest.raises(MissingContentError):
        store.get("raw", digests[0])
