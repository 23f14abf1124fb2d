"""Who may read what ServiceNow holds: each user's documents against the oracle, over histories of changes."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from typing import Any

import pytest

from rag_pipelines.connectors.base import Complete, Connector, Failure, Group
from rag_pipelines.connectors.registry import make_connector
from rag_pipelines.connectors.servicenow.site import ServiceNowSite
from rag_pipelines.errors import ForbiddenEntityError, UsageError
from rag_pipelines.model import EVERYONE
from rag_pipelines_tests.connectors.servicenow_bench import (
    HERE,
    Bench,
    Direct,
    Replica,
    id_of,
    opened,
    visible,
)
from rag_pipelines_tests.connectors.servicenow_history import History
from rag_pipelines_tests.doubles.servicenow import ServiceNow
from rag_pipelines_tests.doubles.servicenow_oracle import Oracle
from rag_pipelines_tests.doubles.servicenow_state import (
    ARTICLE_CRITERIA,
    BLOCK_ACCESS,
    ROLE_SECURITY,
    Instance,
)

HISTORIES = int(os.environ.get("SERVICENOW_HISTORIES", "30"))
STEPS = 10
TABLES_OF_PEOPLE = {
    "user_criteria": "department",
    "kb_uc_cannot_read_mtom": "user_criteria",
    "sys_user_grmember": None,
    "sys_user_has_role": None,
    "sys_user": "email",
}
"""With a field that may be empty, so that an access rule of it can go unseen."""


@pytest.fixture
def bench() -> Iterator[Bench]:
    yield from opened()


def readers(bench: Bench, **options: object) -> dict[str, set[str]]:
    """By user name, the documents that a listing and its groups let the user see."""
    listing = bench.listed(**options)
    assert not listing.failures
    groups = bench.groups(**options)
    people = bench.instance.tables["sys_user"].values()
    return {row["user_name"]: visible(row, listing.items, groups) for row in people}


@pytest.mark.parametrize("tens", range(HISTORIES // 10))
def test_every_user_sees_what_the_instance_would_show(tens: int) -> None:
    for seed in range(tens * 10, tens * 10 + 10):
        follow_history(seed)


def follow_history(seed: int) -> None:
    """Ten changes and more of one instance: after each sync every user sees what the oracle says."""
    instance = Instance()
    double = ServiceNow(instance)
    history = History(instance, random.Random(seed))
    history.begin()
    replica = Replica(direct_connector(double))
    replica.list_everything()
    for step in range(STEPS):
        for _ in range(history.random.randint(1, 4)):
            history.step()
        if history.needs_full_listing or step % 4 == 3:
            replica.list_everything()
            history.needs_full_listing = False
        else:
            replica.follow()
        entries = direct_connector(double).groups()
        groups = {entry.principal: entry for entry in entries if isinstance(entry, Group)}
        oracle = Oracle(instance)
        for user in instance.tables["sys_user"].values():
            if user["email"]:
                assert visible(user, replica.items, groups) == history.readable(oracle, user), (seed, step)


def direct_connector(double: ServiceNow) -> Connector:
    """A connector that asks the double without a wire."""
    values = {"url": "https://acme.example.com", "username": "u", "password": "p", "catalogue": True}
    connector = make_connector("kb", "servicenow", values)
    vars(connector)["_site"] = ServiceNowSite(Direct(double), 50)  # type: ignore[arg-type]
    return connector


def test_criteria_of_each_kind_let_in_whom_they_name(bench: Bench) -> None:
    site = bench.instance
    site.set_property(ARTICLE_CRITERIA, "true")
    names = ("member", "manager", "clerk", "local", "employee", "seller", "named", "outsider")
    people = {name: site.user(name) for name in names}
    for name, field in (("clerk", "department"), ("local", "location"), ("employee", "company")):
        site.edit(people[name], **{field: name})
    role = site.role("sales")
    site.grant(people["seller"], role)
    group = site.group("team", people["member"], manager=people["manager"]["sys_id"])
    parts: dict[str, dict[str, Any]] = {
        "member": {"group": [group]},
        "clerk": {"department": ["clerk"]},
        "local": {"location": ["local"]},
        "employee": {"company": ["employee"]},
        "seller": {"role": [role]},
        "named": {"user": [people["named"]]},
    }
    base = site.base("HR")
    rows = {name: site.article(base, name, name) for name in parts}
    for name, lists in parts.items():
        site.set_readers(rows[name], [site.criterion(name, **lists)])
    seen = readers(bench)
    for name in names:
        assert seen[name] == ({id_of(rows[name])} if name in rows else set())


def test_those_in_a_group_below_have_the_roles_of_the_group_above_but_are_not_its_members(
    bench: Bench,
) -> None:
    site = bench.instance
    low = site.user("low")
    role = site.role("sales")
    above = site.group("above", roles=[role])
    site.group("below", low, parent=above["sys_id"])
    base = site.base("HR")
    by_role, by_group = site.article(base, "Role", "r"), site.article(base, "Group", "g")
    site.set_readers(by_role, [site.criterion(role=[role])])
    site.set_readers(by_group, [site.criterion(group=[above])])
    assert readers(bench)["low"] == {id_of(by_role)}


def test_a_script_grants_to_nobody_and_denies_to_everybody(bench: Bench) -> None:
    site = bench.instance
    ann = site.user("ann")
    script = site.criterion("script", user=[ann], script=True)
    base = site.base("HR")
    granted, denied, free = (site.article(base, title, title) for title in ("Granted", "Denied", "Free"))
    site.set_readers(granted, [script])
    site.set_readers(denied, [], [script])
    assert readers(bench)["ann"] == {id_of(free)}


def test_a_denial_that_no_listing_of_groups_has_seen_closes_the_article(bench: Bench) -> None:
    """Else it would deny nobody until the groups are listed."""
    site = bench.instance
    ann = site.user("ann")
    article = site.article(site.base("HR"), "A", "a")
    before = bench.groups()
    site.set_readers(article, [], [site.criterion(user=[site.user("bob")])])
    items = bench.listed().items
    assert visible(ann, items, before) == set()
    assert visible(ann, items, bench.groups()) == {id_of(article)}


def test_an_inactive_user_has_no_address_and_reads_nothing(bench: Bench) -> None:
    site = bench.instance
    ann = site.user("ann", active=False)
    article = site.article(site.base("HR"), "A", "a")
    site.set_readers(article, [site.criterion(user=[ann])])
    assert readers(bench)["ann"] == set()
    site.edit(ann, active="true")
    assert readers(bench)["ann"] == {id_of(article)}


@pytest.mark.parametrize("lost", ["refused", "hidden", "unset"])
def test_properties_that_cannot_be_read_have_their_stricter_value(bench: Bench, lost: str) -> None:
    site = bench.instance
    ann, bob = site.user("ann"), site.user("bob")
    open_base, base = site.base("Open"), site.base("HR", owner=ann)
    site.set_criteria(base, "can_read", [site.criterion(user=[bob])])
    free = site.article(open_base, "Free", "f")
    article = site.article(base, "A", "a")
    site.set_readers(article, [site.criterion(user=[bob])])
    assert readers(bench)["ann"] == {id_of(free), id_of(article)}
    rows = site.tables["sys_properties"]
    if lost == "refused":
        site.refused.add("sys_properties")
    elif lost == "hidden":
        site.hidden.update(row["sys_id"] for row in rows.values() if row["name"] == BLOCK_ACCESS)
    else:
        rows.clear()
        site.generation += 1
    seen = readers(bench)
    assert (seen["ann"], seen["bob"]) == (set(), {id_of(article)})


def test_an_unreadable_field_that_narrows_readers_closes_every_article(bench: Bench) -> None:
    """A field that an access rule hides is empty, as if the article had no criteria."""
    site = bench.instance
    ann = site.user("ann")
    base = site.base("HR")
    site.article(base, "Free", "f")
    closed = site.article(base, "Closed", "c")
    site.set_readers(closed, [site.criterion(user=[site.user("bob")])])
    bench.double.blind.add(("kb_knowledge", "can_read_user_criteria"))
    listing = bench.listed()
    assert listing.is_full
    assert [failure.hides_documents for failure in listing.failures] == [False]
    assert "can_read_user_criteria" in str(listing.failures[0].error)
    assert visible(ann, listing.items, bench.groups()) == set()


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        *((table, fault) for table in TABLES_OF_PEOPLE for fault in ("refused", "hidden")),
        *((table, field) for table, field in TABLES_OF_PEOPLE.items() if field),
    ],
)
def test_where_a_table_of_people_is_not_whole_every_group_keeps_its_members(
    bench: Bench, table: str, fault: str
) -> None:
    """What is missing might deny somebody."""
    site = bench.instance
    ann = site.user("ann", department="d1")
    role, group = site.role("r"), site.group("g", ann)
    site.grant(ann, role)
    criterion = site.criterion(group=[group], role=[role], department=["d1"])
    site.set_criteria(site.base("HR"), "cannot_read", [criterion])
    if fault == "refused":
        site.refused.add(table)
    elif fault == "hidden":
        site.hidden.add(list(site.tables[table])[-1])
    else:
        bench.double.blind.add((table, fault))
    failure, complete = bench.connector().groups()
    assert isinstance(failure, Failure)
    assert isinstance(failure.error, ForbiddenEntityError)
    assert table in str(failure.error)
    assert complete == Complete(0, full=False)


def test_a_block_is_a_document_of_its_own_for_those_who_see_it_in_the_article(bench: Bench) -> None:
    site = bench.instance
    ann, bob = site.user("ann"), site.user("bob")
    base = site.base("HR")
    article = site.article(base, "Holidays", "See below.")
    block = site.block(base, "For A", "The fifth of May")
    site.use_block(article, block)
    site.set_readers(block, [site.criterion(user=[ann])])
    listing = bench.listed()
    groups = bench.groups()
    identity = f"{id_of(article)}/block/{block['sys_id']}"
    assert listing.texts()[identity] == "The fifth of May"
    assert visible(ann, listing.items, groups) == {id_of(article), identity}
    assert visible(bob, listing.items, groups) == {id_of(article)}


def test_blocks_are_closed_where_their_criteria_cannot_be_read(bench: Bench) -> None:
    site = bench.instance
    ann, base = site.user("ann"), site.base("HR")
    article, block = site.article(base, "A", "a"), site.block(base, "B", "b")
    site.use_block(article, block)
    site.set_readers(block, [site.criterion(user=[site.user("bob")])])
    bench.double.blind.add(("kb_knowledge_block", "can_read_user_criteria"))
    assert visible(ann, bench.listed().items, bench.groups()) == {id_of(article)}


def test_a_property_that_changes_the_meaning_of_roles_asks_for_a_full_listing(bench: Bench) -> None:
    bench.instance.article(bench.instance.base("HR"), "A", "a", roles="itil")
    complete = bench.listed().complete
    assert complete is not None
    bench.instance.set_property(ROLE_SECURITY, "true")
    with pytest.raises(UsageError, match="properties"):
        bench.changed(complete.cursor)


def test_accounts_stand_for_their_address_and_the_names_say_whose_they_are(bench: Bench) -> None:
    ann = bench.instance.user("ann", "Ann@Example.com")
    groups = bench.groups()
    account = groups[f"user:{HERE}/{ann['sys_id']}"]
    assert (account.name, account.members) == ("Ann", ("user:ann@example.com",))
    assert all(
        EVERYONE not in group.members for principal, group in groups.items() if "criterion" not in principal
    )
