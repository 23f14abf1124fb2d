"""What the filesystem connector makes of a real driver's answers, which a memory file system never gives.

What belongs here: s3fs on an S3 server, the errors of gcsfs and adlfs. What does not: what every connector
promises (`test_conformance`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from rag_pipelines.connectors.base import Item
from rag_pipelines.connectors.file_trees import FsspecTree
from rag_pipelines.connectors.registry import make_connector
from rag_pipelines.errors import (
    CredentialError,
    FetchError,
    ForbiddenEntityError,
    RagError,
    ThrottledError,
    TransientError,
)
from rag_pipelines.http.object_stores import store_error
from rag_pipelines_tests.connectors.conformance import START, Listing
from rag_pipelines_tests.connectors.emptied import EmptiedDatabase
from rag_pipelines_tests.connectors.emulated_stores_world import AzureStore
from rag_pipelines_tests.connectors.filesystem_world import S3Store
from rag_pipelines_tests.connectors.pipeline import Pipeline

if TYPE_CHECKING:
    from rag_pipelines_tests.doubles.s3 import S3

_numbers = itertools.count()


@pytest.fixture
def bucket(s3: S3) -> str:
    name = f"objects-{next(_numbers)}"
    s3.make(name)
    return name


def tree(s3: S3, root: str) -> FsspecTree:
    return FsspecTree(f"s3://{root}", s3.storage_options)


def listing(s3: S3, bucket: str, **options: Any) -> Listing:
    options = {"root": f"s3://{bucket}", "storage_options": s3.storage_options, **options}
    connector = make_connector("docs", "filesystem", options)
    return Listing.of(connector.items(), connector)


@pytest.mark.parametrize("asked", ["list", "read"])
@pytest.mark.parametrize(
    ("code", "meant"),
    [
        ("AccessDenied", ForbiddenEntityError),
        ("ExpiredToken", CredentialError),
        ("InternalError", TransientError),
        ("InvalidAccessKeyId", CredentialError),
        ("InvalidToken", CredentialError),
        ("RequestTimeTooSkewed", CredentialError),
        ("SignatureDoesNotMatch", CredentialError),
        ("SlowDown", ThrottledError),
    ],
)
def test_a_refusal_is_known_by_the_code_that_the_store_gives(
    s3: S3, bucket: str, asked: str, code: str, meant: type[RagError], monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put(bucket, "docs/a.md", b"text", START)
    found = tree(s3, bucket)
    monkeypatch.setattr(type(found._fs), "retries", 1)
    s3.faults[bucket].refused = code
    with pytest.raises(RagError, match=f"s3://{bucket}/docs.*{code}, it said") as raised:
        found.list("docs") if asked == "list" else found.read("docs/a.md", 10)
    assert type(raised.value) is meant


@pytest.mark.parametrize(
    ("status", "meant"),
    [
        (401, CredentialError),
        (403, ForbiddenEntityError),
        (404, FetchError),
        (429, ThrottledError),
        (500, TransientError),
        (503, ThrottledError),
    ],
)
def test_googles_refusals_are_known_by_what_the_driver_makes_of_them(
    status: int, meant: type[RagError]
) -> None:
    retry = pytest.importorskip("gcsfs.retry")
    with pytest.raises(Exception) as raised:  # noqa: PT011
        retry.validate_response(status, b'{"error": {"message": "it said"}}', "b/bucket/o/a.md")
    assert type(store_error(raised.value, "gs://bucket/a.md")) is meant


@pytest.mark.parametrize(
    ("status", "code", "meant"),
    [
        (401, "InvalidAuthenticationInfo", CredentialError),
        (403, "AuthenticationFailed", CredentialError),
        (403, "AuthorizationPermissionMismatch", ForbiddenEntityError),
        (500, "InternalError", TransientError),
        (503, "ServerBusy", ThrottledError),
    ],
)
def test_azures_refusals_are_known_by_their_codes(status: int, code: str, meant: type[RagError]) -> None:
    error = pytest.importorskip("azure.core.exceptions").HttpResponseError("it said")
    error.status_code, error.error_code = status, code
    assert type(store_error(error, "az://bucket/a.md")) is meant


def test_no_credentials_at_all_are_rejected_credentials(
    s3: S3, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    nobody = {"client_kwargs": s3.storage_options["client_kwargs"]}
    with pytest.raises(CredentialError, match="Unable to locate credentials"):
        FsspecTree(f"s3://{bucket}", nobody).list("")


@pytest.mark.parametrize("missing", ["no-such-bucket", "{}/no/such/folder", "{}/docs/a.md"])
def test_a_root_that_is_no_folder_is_not_an_empty_one(s3: S3, bucket: str, missing: str) -> None:
    s3.put(bucket, "docs/a.md", b"text", START)
    found = listing(s3, missing.format(bucket))
    assert not found.is_full
    assert [(type(one.error), one.whole) for one in found.failures] == [(FetchError, True)]


def test_the_marker_of_a_folder_is_no_document_and_makes_a_folder_that_is_there(s3: S3, bucket: str) -> None:
    s3.put(bucket, "docs/", b"", START)
    s3.put(bucket, "docs/empty/", b"", START)
    s3.put(bucket, "docs/a.md", b"", START)
    assert listing(s3, f"{bucket}/docs").texts() == {"a.md": ""}
    empty = listing(s3, f"{bucket}/docs/empty")
    assert (empty.is_full, empty.items, empty.failures) == (True, {}, [])


def test_objects_in_a_folder_without_a_name_are_reported(s3: S3, bucket: str) -> None:
    """The driver cannot list what is below two slashes in a row; it would be left out in silence."""
    for key in ("docs//a.md", "docs/b.md", "/c.md"):
        s3.put(bucket, key, b"text", START)
    found = listing(s3, bucket)
    assert set(found.items) == {"docs/b.md"}
    assert {one.external_id for one in found.failures} == {"/", "docs//"}
    assert all("without two slashes in a row" in str(one.error) for one in found.failures)
    assert found.is_full


def test_keys_with_any_character_are_listed_and_loaded(s3: S3, bucket: str) -> None:
    keys = ["a b/ü%20+#?.md", "x/[1]*.md", "y/..md", "z/ \t.md", "ᚠ/'\"&<.md"]
    for key in keys:
        s3.put(bucket, key, key.encode(), START)
    assert listing(s3, bucket, hidden=True).texts() == {key: key for key in keys}


def test_a_folder_of_more_than_one_page_is_listed_whole(s3: S3, bucket: str) -> None:
    """S3 names at most 1,000 keys in an answer."""
    keys = {f"docs/{n}.md" for n in range(1_001)}
    for key in keys:
        s3.put(bucket, key, b"", START)
    assert listing(s3, bucket).items.keys() == keys


def test_an_object_is_read_by_one_request(s3: S3, bucket: str) -> None:
    s3.put(bucket, "a.md", b"first", START)
    found = tree(s3, bucket)
    before = s3.requests[bucket]
    assert found.read("a.md", 10) == b"first"
    assert found.read("none.md", 10) is None
    assert s3.requests[bucket] == before + 2


def items(listing: Listing, ids: Iterable[str]) -> list[Item]:
    """Some items without what loads them, which is made anew for each."""
    return [structs.replace(listing.items[one], load=bytes) for one in sorted(ids)]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from([".access.yaml", "x/.access.yaml", "x/y/.access.yaml", "x/a.md.access.yaml"]),
        st.sampled_from(
            ["allow: ['group:one']", "public: true", "inherit: false\nallow: ['group:two']", "allow: ["]
        ),
    ),
    st.sets(st.sampled_from(["a.md", ".b.md", "x/a.md", "x/b.txt", "x/y/a.md", "x/y/"]), min_size=1),
    st.lists(st.sampled_from(["a.md", ".b.md", "x/a.md", "x/b.txt", "x/y/a.md", "x/y/", "x", "gone.md"])),
    st.sampled_from(["", "x"]),
)
def test_objects_that_events_name_are_seen_as_a_listing_sees_them(
    s3: S3, sidecars: dict[str, str], keys: set[str], named: list[str], root: str
) -> None:
    bucket = f"objects-{next(_numbers)}"
    s3.make(bucket)
    for key, text in sidecars.items():
        s3.put(bucket, key, text.encode(), START)
    for key in sorted(keys):
        s3.put(bucket, key, key.encode(), START)
    place = f"{bucket}/{root}".rstrip("/")
    s3.put(bucket, f"{root}/listed.md".lstrip("/"), b"", START)
    options = {"root": f"s3://{place}", "exclude": ["*.txt"], "storage_options": s3.storage_options}
    connector = make_connector("docs", "filesystem", options)
    whole = Listing.of(connector.items(), connector)
    entries = connector.named([f"{bucket}/{key}" for key in named])
    assert entries is not None
    found = Listing.of(entries, connector)
    wanted = {key.removeprefix(f"{root}/") if root else key for key in named if key.startswith(root)}
    assert found.items.keys() == whole.items.keys() & wanted
    assert items(found, found.items) == items(whole, found.items)
    assert not found.is_full


def test_azures_objects_are_named_by_their_addresses(azure_store: dict[str, Any], tmp_path: Path) -> None:
    world = AzureStore(tmp_path, azure_store)
    for name in ("handbook/a.md", "handbook/b c.md", "handbook/d%20.md"):
        world.put(name, "text")
    world.restrict("handbook/a.md", "hr")
    connector = make_connector("docs", "filesystem", world.options())
    whole = Listing.of(connector.items(), connector)
    bucket = world.options()["root"].removeprefix("az://")
    address = f"https://acme.blob.core.windows.net/{bucket}"
    entries = connector.named(
        [f"{address}/handbook/a.md", f"{address}/handbook/b c.md", f"{address}/gone.md"]
    )
    assert entries is not None
    found = Listing.of(entries, connector)
    assert found.items.keys() == {"handbook/a.md", "handbook/b c.md"}
    assert items(found, found.items) == items(whole, found.items)
    assert connector.named([f"{address}/handbook/d%20.md"]) is None, "it may be escaped, or not"
    assert connector.named(["https://acme.blob.core.windows.net/other/handbook/a.md"]) is None


@pytest.mark.parametrize("root", ["{folder}", "memory://docs"])
def test_a_tree_that_no_event_names_is_listed_as_ever(root: str, tmp_path: Path) -> None:
    connector = make_connector("docs", "filesystem", {"root": root.format(folder=tmp_path)})
    assert connector.named(["docs/a.md"]) is None


def test_objects_are_loaded_together(
    s3: S3, tmp_path: Path, emptied_database: EmptiedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server answers a read when four are waiting: one after the other would never be answered."""
    world = S3Store(tmp_path / "world", s3)
    world.put_many({f"handbook/{n}.md": f"Chapter {n}." for n in range(8)})
    s3.gather(world.bucket, 4)
    pipeline = Pipeline(world, tmp_path / "pipeline", emptied_database, monkeypatch)
    try:
        pipeline.ingest()
        assert pipeline.held() == world.expected()
    finally:
        pipeline.close()
        world.close()
