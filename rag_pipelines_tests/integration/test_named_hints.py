"""Runs that look only at what hints name: what they take in, what they leave to the next listing, and that
nothing is different after it."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag_pipelines.errors import TransientError
from rag_pipelines.store.hints import KEY_CHARACTERS, put_hints
from rag_pipelines.sync.freshness import source_freshness
from rag_pipelines_tests.connectors.conformance import START
from rag_pipelines_tests.integration.workspace import Workspace

if TYPE_CHECKING:
    from rag_pipelines_tests.doubles.s3 import S3

HERONS, GULLS = "# Herons\n\nThey stand.", "# Gulls\n\nThey cry."

_numbers = itertools.count()


class Bucket:
    """A bucket that sources read, and the hints of its events."""

    def __init__(self, workspace: Workspace, s3: S3, name: str) -> None:
        self.workspace = workspace
        self.s3 = s3
        self.name = name
        self._at = START
        s3.make(name)
        workspace.document["sources"]["docs"]["options"] = self.options

    @property
    def options(self) -> dict[str, Any]:
        return {"root": f"s3://{self.name}", "storage_options": self.s3.storage_options}

    def put(self, key: str, text: str) -> None:
        self._at += timedelta(seconds=1)
        self.s3.put(self.name, key, text.encode(), self._at)

    def hint(self, *keys: str | None, sources: tuple[str, ...] = ("docs",)) -> None:
        with self.workspace.database.connection() as connection:
            put_hints(connection, sources, [key and f"{self.name}/{key}" for key in keys])

    def hints(self) -> int:
        return len(self.workspace.rows("SELECT FROM rag.hint"))

    def positions(self) -> dict[str, Any]:
        (row,) = self.workspace.rows(
            "SELECT cursor, listed_at, settled_at FROM rag.source WHERE name = 'docs'"
        )
        return row


@pytest.fixture
def bucket(workspace: Workspace, s3: S3) -> Bucket:
    made = Bucket(workspace, s3, f"hinted-{next(_numbers)}")
    made.put("a.md", HERONS)
    made.put("b.md", HERONS)
    workspace.ingest()
    return made


def test_only_what_is_named_is_looked_at(workspace: Workspace, bucket: Bucket) -> None:
    before, asked = bucket.positions(), bucket.s3.requests[bucket.name]
    for key in ("a.md", "b.md", "birds/c.md", "birds/d.md"):
        bucket.put(key, GULLS)
    bucket.hint("a.md", "birds/c.md")

    report = workspace.ingest(hinted=True)

    assert (report.changes, report.outcome, report.sound) == ({"added": 1, "changed": 1}, "partial", True)
    assert workspace.stored() == {"a.md", "b.md", "birds/c.md"}
    assert bucket.s3.requests[bucket.name] - asked < 12
    assert bucket.positions() == before
    with workspace.database.connection() as connection:
        (fresh,) = source_freshness(connection, workspace.settings)
    assert fresh.listed_at == before["listed_at"]
    assert bucket.hints() == 0
    workspace.ingest()
    assert workspace.stored() == {"a.md", "b.md", "birds/c.md", "birds/d.md"}


def test_what_is_named_and_gone_stays_until_the_next_listing(workspace: Workspace, bucket: Bucket) -> None:
    bucket.s3.remove(bucket.name, "a.md")
    bucket.hint("a.md", "never/was.md")
    report = workspace.ingest(hinted=True)
    assert workspace.stored() == {"a.md", "b.md"}
    assert report.notes == [
        "1 documents that events named are gone, such as a.md: the next listing of the whole source removes "
        "them"
    ]
    workspace.ingest()
    assert workspace.stored() == {"b.md"}


def test_the_rules_that_govern_a_document_hold_for_what_is_named(
    workspace: Workspace, bucket: Bucket
) -> None:
    bucket.put("hr/.access.yaml", "allow: ['group:hr']")
    bucket.put("hr/pay.md.access.yaml", "deny: ['user:ann@example.com']")
    bucket.put("hr/pay.md", GULLS)
    bucket.put("hr/broken.md.access.yaml", "allow: [")
    bucket.put("hr/broken.md", GULLS)
    bucket.hint("hr/pay.md", "hr/broken.md")
    workspace.ingest(hinted=True)
    workspace.publish()
    assert workspace.paths("gulls cry", principals=["group:hr"]) == {"a.md", "b.md", "hr/pay.md"}
    assert "hr/pay.md" not in workspace.paths("gulls cry")
    ann = ["group:hr", "user:ann@example.com"]
    assert "hr/pay.md" not in workspace.paths("gulls cry", principals=ann)


@pytest.mark.parametrize(
    "key",
    [None, "birds/.access.yaml", "c.md.access.yaml", "birds//c.md", "x" * KEY_CHARACTERS],
    ids=["nothing", "rule of a folder", "rule of a file", "no name", "cut off"],
)
def test_a_hint_that_means_more_than_a_document_lists_everything(
    workspace: Workspace, bucket: Bucket, key: str | None
) -> None:
    bucket.s3.remove(bucket.name, "a.md")
    bucket.put("birds/c.md", GULLS)
    bucket.hint("b.md", key)
    workspace.ingest(hinted=True)
    assert workspace.stored() == {"b.md", "birds/c.md"}


def test_another_buckets_event_lists_everything_and_another_folders_nothing(
    workspace: Workspace, bucket: Bucket
) -> None:
    """A bucket is reached by other names too (access points); a queue is shared by sources of one bucket."""
    bucket.put("birds/c.md", GULLS)
    workspace.document["sources"]["docs"]["options"] = {**bucket.options, "root": f"s3://{bucket.name}/birds"}
    workspace.ingest()
    bucket.put("birds/d.md", GULLS)
    bucket.hint("fish/c.md")
    assert workspace.ingest(hinted=True).listed == 0
    with workspace.database.connection() as connection:
        put_hints(connection, ["docs"], ["alias/birds/c.md"])
    assert workspace.ingest(hinted=True).listed == 2


def test_a_source_that_was_never_listed_or_has_a_budget_is_listed(
    workspace: Workspace, bucket: Bucket
) -> None:
    sources = workspace.document["sources"]
    sources["new"] = dict(sources["docs"])
    sources["docs"]["budget"] = {"documents": 100}
    bucket.put("c.md", GULLS)
    bucket.hint("a.md", sources=("docs", "new"))
    assert [workspace.ingest(name, hinted=True).outcome for name in ("docs", "new")] == [
        "complete",
        "complete",
    ]
    assert bucket.hints() == 0


def test_a_store_that_does_not_answer_costs_no_hint(
    workspace: Workspace, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3fs = pytest.importorskip("s3fs")
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    bucket.put("a.md", GULLS)
    bucket.hint("a.md")
    bucket.s3.faults[bucket.name].refused = "InternalError"
    with pytest.raises(TransientError):
        workspace.ingest(hinted=True)
    assert bucket.hints() == 1
    bucket.s3.faults[bucket.name].refused = None
    assert workspace.ingest(hinted=True).changes == {"changed": 1}


def test_hints_that_come_during_a_run_are_looked_at_by_the_next(workspace: Workspace, bucket: Bucket) -> None:
    bucket.put("c.md", GULLS)
    bucket.put("d.md", GULLS)
    bucket.hint("c.md", "d.md")
    name = f"{bucket.name}/d.md"
    with workspace.database.connection() as connection:
        connection.execute(
            "UPDATE rag.hint SET received_at = now() + interval '1 hour' WHERE key = %s", (name,)
        )
    workspace.ingest(hinted=True)
    assert workspace.stored() == {"a.md", "b.md", "c.md"}
    assert workspace.rows("SELECT key FROM rag.hint") == [{"key": name}]


KEYS = ("a.md", "b.md", "x/a.md", "x/c.md", ".access.yaml", "x/.access.yaml", "x/a.md.access.yaml")
TEXTS = ("# A\n\nOne.", "# B\n\nTwo.", "allow: ['group:one']", "public: true", "allow: [", "")
Change = tuple[str, str, str]
CHANGES = st.tuples(
    st.sampled_from(["put", "remove", "rename"]), st.sampled_from(KEYS), st.sampled_from(KEYS)
)
"""What is done to a key; to rename takes another."""
NAMED = st.lists(st.sampled_from([*KEYS, "gone.md", None]), max_size=3)
HELD = """
    SELECT d.external_id, d.token, d.raw_sha256, d.tenant, d.path, d.state, d.status, a.clauses, a.deny
    FROM rag.document d JOIN rag.source s USING (source_id) JOIN rag.access_rule a USING (access_id)
    WHERE s.name = %s AND d.state <> 'tombstoned' ORDER BY 1"""
FAILED = """
    SELECT q.external_id, q.entity, q.stage, q.status FROM rag.quarantine q JOIN rag.source USING (source_id)
    WHERE name = %s ORDER BY 1, 2"""


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.lists(CHANGES, max_size=4), NAMED), min_size=1, max_size=3))
def test_after_a_listing_everything_is_as_if_no_hint_had_been(
    workspace: Workspace, s3: S3, steps: list[tuple[list[Change], list[str | None]]]
) -> None:
    number = next(_numbers)
    bucket = Bucket(workspace, s3, f"same-{number}")
    told, plain = f"told-{number}", f"plain-{number}"
    sources = workspace.document["sources"]
    sources |= {name: {**sources["docs"], "options": bucket.options} for name in (told, plain)}
    bucket.put("always.md", TEXTS[0])
    for name in (told, plain):
        workspace.ingest(name)
    for changes, named in steps:
        for kind, key, other in changes:
            apply(bucket, kind, key, other)
        bucket.hint(*named, sources=(told,))
        workspace.ingest(told, hinted=True)
    for name in (told, plain):
        workspace.ingest(name, allow_deletes=True)
    for statement in (HELD, FAILED):
        assert workspace.rows(statement, told) == workspace.rows(statement, plain)


def apply(bucket: Bucket, kind: str, key: str, other: str) -> None:
    there = bucket.s3.keys(bucket.name)
    if kind == "put":
        bucket.put(key, TEXTS[KEYS.index(other) % len(TEXTS)])
    elif key in there and kind == "remove":
        bucket.s3.remove(bucket.name, key)
    elif key in there and key != other:
        bucket.s3.copy(bucket.name, key, other, datetime.now(START.tzinfo))
        bucket.s3.remove(bucket.name, key)
