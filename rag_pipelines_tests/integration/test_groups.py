"""Groups: what a listing of the directory may change, and what it never changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag_pipelines.connectors.base import Capabilities, Complete, Connector, Failure, Finding, Group, Options
from rag_pipelines.connectors.filesystem import FilesystemConnector
from rag_pipelines.errors import (
    CredentialError,
    ForbiddenEntityError,
    LeaseLostError,
    ThrottledError,
    TransientError,
)
from rag_pipelines.sync.groups import sync_groups
from rag_pipelines.sync.run import SourceRun
from rag_pipelines.sync.scope import Scope
from rag_pipelines.sync.stages import source_run
from rag_pipelines_tests.integration.workspace import Workspace


class Directory(Connector):
    """A source of groups: it yields what it is given and raises what is an exception."""

    kind = "directory"
    capabilities = Capabilities(groups=True)
    options_type = Options

    def __init__(self) -> None:
        super().__init__("docs", Options())
        self.says: list[Any] = []
        self.asked = 0

    def holds(self, **groups: str) -> None:
        """A complete listing of groups, each with its members in one word: ``hr="ann bob"``."""
        self.says = [group(name, members) for name, members in groups.items()]
        self.says.append(Complete(len(groups)))

    def groups(self) -> Iterator[Group | Failure | Complete]:
        self.asked += 1
        for entry in self.says:
            if isinstance(entry, BaseException):
                raise entry
            yield entry

    def check(self) -> list[Finding]:
        return []

    def items(self, *_: Any) -> Iterator[Any]:
        yield Complete(0)


def group(name: str, members: str = "", title: str = "") -> Group:
    return Group(principal=f"group:{name}", name=title, members=tuple(f"user:{m}" for m in members.split()))


@pytest.fixture
def directory() -> Directory:
    return Directory()


@pytest.fixture
def run(workspace: Workspace) -> Iterator[SourceRun]:
    """A run over the source, whose groups are listed whenever asked."""
    workspace.document["sources"]["docs"]["group_listing"] = "0s"
    with source_run(workspace.database, workspace.settings, "docs") as made:
        yield made


def stored(run: SourceRun) -> dict[str, set[str]]:
    """Members by group, as the tables have them, without the prefixes."""
    rows = run.connection.execute(
        "SELECT g.principal, m.member FROM rag.principal_group g"
        " LEFT JOIN rag.membership m USING (source_id, principal) WHERE source_id = %s",
        (run.source_id,),
    )
    found: dict[str, set[str]] = {}
    for row in rows:
        members = found.setdefault(row["principal"].removeprefix("group:"), set())
        members |= {row["member"].removeprefix("user:")} if row["member"] else set()
    return found


def observed(run: SourceRun, name: str) -> datetime:
    params = (run.source_id, f"group:{name}")
    row = run.connection.execute(
        "SELECT observed_at FROM rag.principal_group WHERE source_id = %s AND principal = %s", params
    ).fetchone()
    assert row is not None
    return row["observed_at"]


def listed_at(run: SourceRun) -> datetime | None:
    row = run.connection.execute(
        "SELECT groups_at FROM rag.source WHERE source_id = %s", (run.source_id,)
    ).fetchone()
    assert row is not None
    return row["groups_at"]


def failures(run: SourceRun) -> dict[str, str]:
    """Error class by entity, of what stands in quarantine because of groups."""
    rows = run.connection.execute("SELECT entity, error_class FROM rag.quarantine WHERE stage = 'groups'")
    return {row["entity"]: row["error_class"] for row in rows}


def test_a_group_that_is_listed_has_exactly_the_members_that_are_listed(
    run: SourceRun, directory: Directory
) -> None:
    directory.holds(hr="ann bob", it="", ops="cid")
    sync_groups(run, directory)
    assert stored(run) == {"hr": {"ann", "bob"}, "it": set(), "ops": {"cid"}}
    assert (run.report.groups, run.report.memberships, run.report.notes) == (3, 3, [])
    directory.holds(hr="bob dot", it="eve", ops="")
    sync_groups(run, directory)
    assert stored(run) == {"hr": {"bob", "dot"}, "it": {"eve"}, "ops": set()}


def test_a_membership_keeps_the_time_when_it_was_first_seen(run: SourceRun, directory: Directory) -> None:
    directory.holds(hr="ann")
    sync_groups(run, directory)
    first = observed(run, "hr")
    directory.holds(hr="ann bob")
    sync_groups(run, directory)
    rows = run.connection.execute(
        "SELECT member, observed_at, xmin::text FROM rag.membership ORDER BY member"
    )
    ann, bob = rows.fetchall()
    assert ann["observed_at"] == first < bob["observed_at"] == observed(run, "hr")


def test_a_listing_that_finds_nothing_new_writes_no_membership(run: SourceRun, directory: Directory) -> None:
    directory.holds(hr="ann bob")
    sync_groups(run, directory)
    physical = "SELECT ctid::text, xmin::text FROM rag.membership ORDER BY member"
    before = run.connection.execute(physical).fetchall()
    sync_groups(run, directory)
    assert run.connection.execute(physical).fetchall() == before
    assert observed(run, "hr") == listed_at(run)


def test_a_group_whose_members_cannot_be_read_keeps_those_it_had(
    run: SourceRun, directory: Directory
) -> None:
    directory.holds(hr="ann", it="bob")
    sync_groups(run, directory)
    before = observed(run, "hr")
    directory.says = [
        Failure(error=ForbiddenEntityError("hidden"), entity="group:hr"), group("it", "cid"), Complete(2)
    ]  # fmt: skip
    sync_groups(run, directory)
    assert stored(run) == {"hr": {"ann"}, "it": {"cid"}}
    assert observed(run, "hr") == before < observed(run, "it")
    assert failures(run) == {"group:hr": "ForbiddenEntityError"}
    assert run.report.groups_failed == 1
    assert any("group:hr" in note for note in run.report.notes)
    directory.holds(hr="dot", it="cid")
    sync_groups(run, directory)
    assert (stored(run)["hr"], failures(run)) == ({"dot"}, {})


def test_a_complete_listing_removes_the_groups_that_it_does_not_name(
    run: SourceRun, directory: Directory
) -> None:
    directory.holds(hr="ann", it="bob")
    sync_groups(run, directory)
    directory.holds(it="bob")
    sync_groups(run, directory)
    assert stored(run) == {"it": {"bob"}}


INCOMPLETE = {
    "says so": [group("it", "cid"), Complete(1, full=False)],
    "is empty and says so": [Complete(0, full=False)],
    "has no end": [group("it", "cid")],
    "is empty and has no end": [],
    "contradicts its own count": [group("it", "cid"), Complete(2)],
    "is throttled": [group("it", "cid"), ThrottledError("slow down")],
    "is throttled at once": [ThrottledError("slow down")],
    "meets a bug": [group("it", "cid"), KeyError("members")],
    "fails after its end": [group("it", "cid"), Complete(1), TransientError("reset")],
}


@pytest.mark.parametrize("says", INCOMPLETE.values(), ids=INCOMPLETE.keys())
def test_a_listing_that_did_not_see_everything_removes_and_empties_nothing(
    run: SourceRun, directory: Directory, says: list[Any]
) -> None:
    directory.holds(hr="ann", it="bob")
    sync_groups(run, directory)
    complete = listed_at(run)
    directory.says = says
    sync_groups(run, directory)
    read = any(isinstance(entry, Group) for entry in says)
    assert stored(run) == {"hr": {"ann"}, "it": {"cid" if read else "bob"}}
    assert listed_at(run) == complete
    assert any("no group was removed" in note for note in run.report.notes)
    raised = [type(entry).__name__ for entry in says if isinstance(entry, Exception)]
    expected = {"groups": "FetchError" if raised == ["KeyError"] else raised[0]} if raised else {}
    assert failures(run) == expected


@pytest.mark.parametrize("error", [CredentialError("expired"), KeyboardInterrupt(), MemoryError()])
def test_a_listing_that_is_broken_off_leaves_groups_whole(
    run: SourceRun, directory: Directory, error: BaseException
) -> None:
    directory.holds(hr="ann", it="bob")
    sync_groups(run, directory)
    directory.says = [group("hr", "dot"), error]
    with suppress(CredentialError, KeyboardInterrupt):
        sync_groups(run, directory)
    assert stored(run) in ({"hr": {"ann"}, "it": {"bob"}}, {"hr": {"dot"}, "it": {"bob"}})


def test_refused_credentials_are_for_the_run_to_handle(run: SourceRun, directory: Directory) -> None:
    directory.says = [CredentialError("expired")]
    with pytest.raises(CredentialError):
        sync_groups(run, directory)


def test_groups_are_listed_again_only_when_they_are_old_or_all_is_asked_for(
    workspace: Workspace, directory: Directory
) -> None:
    workspace.document["sources"]["docs"]["group_listing"] = "1h"
    directory.holds(hr="ann")
    with source_run(workspace.database, workspace.settings, "docs") as run:
        sync_groups(run, directory)
        sync_groups(run, directory)
        assert directory.asked == 1
        sync_groups(run, directory, Scope(full=True))
        assert directory.asked == 2
        run.connection.execute("UPDATE rag.source SET groups_at = groups_at - %s", (timedelta(hours=2),))
        sync_groups(run, directory)
        assert directory.asked == 3
        directory.says = [TransientError("down")]
        sync_groups(run, directory, Scope(full=True))
        assert listed_at(run) is not None


def test_a_listing_that_would_remove_most_groups_is_not_believed(
    run: SourceRun, directory: Directory
) -> None:
    many = {f"g{n}": "ann" for n in range(20)}
    directory.holds(**many)
    sync_groups(run, directory)
    complete = listed_at(run)
    directory.holds(**dict(list(many.items())[:9]))
    sync_groups(run, directory)
    assert stored(run).keys() == many.keys()
    assert listed_at(run) == complete
    assert failures(run) == {"groups": "FetchError"}
    assert any("11 of 20 known groups" in note for note in run.report.notes)
    sync_groups(run, directory, Scope(allow_deletes=True))
    assert len(stored(run)) == 9
    assert failures(run) == {}


def test_half_of_the_groups_may_go_at_once(run: SourceRun, directory: Directory) -> None:
    many = {f"g{n}": "ann" for n in range(20)}
    directory.holds(**many)
    sync_groups(run, directory)
    directory.holds(**dict(list(many.items())[:10]))
    sync_groups(run, directory)
    assert len(stored(run)) == 10


@pytest.mark.parametrize("bad", ["", "x" * 1001, "é" * 600])
def test_a_group_with_a_principal_that_cannot_be_one_fails_alone(
    run: SourceRun, directory: Directory, bad: str
) -> None:
    directory.holds(hr="ann", it="bob")
    sync_groups(run, directory)
    broken = Group(principal="group:hr", members=("user:dot", bad))
    directory.says = [broken, group("it", "cid"), Complete(2)]
    sync_groups(run, directory)
    assert stored(run) == {"hr": {"ann"}, "it": {"cid"}}
    assert failures(run) == {"group:hr": "CorruptDocumentError"}


def test_what_postgres_cannot_store_is_taken_out_of_names(run: SourceRun, directory: Directory) -> None:
    odd = Group(principal="group:h\x00r", name="H\x00\ud800R", members=("user:a\x00nn",))
    directory.says = [odd, Complete(1)]
    sync_groups(run, directory)
    assert stored(run) == {"hr": {"ann"}}


def test_a_group_that_is_listed_twice_is_one_group(run: SourceRun, directory: Directory) -> None:
    directory.says = [group("hr", "ann"), group("hr", "bob"), Complete(1)]
    sync_groups(run, directory)
    assert stored(run) == {"hr": {"bob"}}
    assert listed_at(run) is not None


def test_a_group_larger_than_a_batch_is_replaced_as_one(run: SourceRun, directory: Directory) -> None:
    directory.holds(all=" ".join(f"u{n}@example.com" for n in range(30_000)))
    sync_groups(run, directory)
    directory.holds(all=" ".join(f"u{n}@example.com" for n in range(2, 30_001)))
    sync_groups(run, directory)
    members = stored(run)["all"]
    assert len(members) == 29_999
    assert "u0@example.com" not in members
    assert run.report.notes == []


def test_a_run_whose_lease_was_taken_writes_no_groups(run: SourceRun, directory: Directory) -> None:
    directory.holds(hr="ann")
    run.connection.execute("UPDATE rag.source SET lease_token = %s", (uuid4(),))
    with pytest.raises(LeaseLostError):
        sync_groups(run, directory)
    assert stored(run) == {}


NAMES = st.sampled_from(["a", "b", "c", "d"])
STEP = st.tuples(
    st.dictionaries(NAMES, st.frozensets(NAMES, max_size=3), max_size=4),
    st.frozensets(NAMES, max_size=2),
    st.sampled_from(["complete", "partial", "endless", "raises"]),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, min_size=1, max_size=5))
def test_after_any_listings_a_group_has_the_members_last_read_of_it(
    run: SourceRun, directory: Directory, steps: list[Any]
) -> None:
    """Against an oracle that keeps what was read last, and forgets only what a complete listing left out."""
    run.connection.execute("DELETE FROM rag.principal_group")
    oracle: dict[str, set[str]] = {}
    for groups, failing, end in steps:
        read = {name: members for name, members in groups.items() if name not in failing}
        directory.says = [group(name, " ".join(sorted(members))) for name, members in read.items()]
        directory.says += [Failure(error=TransientError("busy"), entity=f"group:{name}") for name in failing]
        ends: dict[str, list[Any]] = {
            "complete": [Complete(len(read.keys() | failing))],
            "partial": [Complete(len(read), full=False)],
            "endless": [],
            "raises": [TransientError("down")],
        }
        directory.says += ends[end]
        sync_groups(run, directory)
        oracle |= {name: set(members) for name, members in read.items()}
        if end == "complete":
            oracle = {name: oracle[name] for name in oracle if name in read or name in failing}
        assert stored(run) == oracle


def test_a_directory_that_fails_stops_no_documents(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, directory: Directory
) -> None:
    monkeypatch.setattr(FilesystemConnector, "capabilities", Capabilities(groups=True))
    monkeypatch.setattr(FilesystemConnector, "groups", lambda _: directory.groups())
    workspace.write("a.md", "# A\n\nAlpha.")
    directory.says = [TransientError("the directory is down")]
    report = workspace.ingest()
    assert workspace.stored() == {"a.md"}
    assert (report.outcome, report.groups_failed) == ("complete", 1)
    assert any("the directory is down" in note for note in report.notes)
    (row,) = workspace.rows("SELECT stage, entity, message FROM rag.quarantine")
    assert row == {"stage": "groups", "entity": "groups", "message": "the directory is down"}


def test_a_removed_source_takes_its_groups_along(
    tmp_path: Path, run: SourceRun, directory: Directory
) -> None:
    directory.holds(hr="ann")
    sync_groups(run, directory)
    run.connection.execute("DELETE FROM rag.source")
    assert run.connection.execute("SELECT count(*) AS n FROM rag.membership").fetchone() == {"n": 0}
