"""Who may read what Zendesk holds: each user's documents against the oracle, over histories of changes."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from typing import Any

import pytest

from rag_pipelines.connectors.base import Connector, Failure, Group, Item
from rag_pipelines.connectors.registry import make_connector
from rag_pipelines.connectors.zendesk.site import ZendeskSite
from rag_pipelines.errors import ForbiddenEntityError, GoneError
from rag_pipelines.model import EVERYONE, AccessRule
from rag_pipelines_tests.connectors.conformance import Listing
from rag_pipelines_tests.connectors.servicenow_bench import Replica, admits, held_by
from rag_pipelines_tests.connectors.zendesk_bench import HERE, Bench, Direct, opened
from rag_pipelines_tests.connectors.zendesk_history import History
from rag_pipelines_tests.doubles.zendesk import Zendesk
from rag_pipelines_tests.doubles.zendesk_oracle import Oracle
from rag_pipelines_tests.doubles.zendesk_state import Desk, Row

HISTORIES = int(os.environ.get("ZENDESK_HISTORIES", "30"))
STEPS = 10
TICKETS = {"tickets": True, "private_comments": "agents"}


@pytest.fixture
def bench() -> Iterator[Bench]:
    yield from opened()


def visible(user: Row, items: dict[str, Item], groups: dict[str, Group]) -> set[str]:
    """What a caller sees who comes with an e-mail address."""
    held = held_by(user, groups)
    return {identity for identity, item in items.items() if admits(item.access, held)}


def readers(bench: Bench, **options: Any) -> dict[str, set[str]]:
    """By name of a user, the documents that a listing and its groups let the user see."""
    bench.desk.tick()
    listing = bench.listed(**options)
    assert not listing.failures
    groups = bench.groups(**options)
    return {row["name"]: visible(row, listing.items, groups) for row in bench.desk.users.values()}


@pytest.mark.parametrize("tens", range(HISTORIES // 10))
def test_every_user_sees_what_zendesk_would_show(tens: int) -> None:
    for seed in range(tens * 10, tens * 10 + 10):
        follow_history(seed)


def follow_history(seed: int) -> None:
    """Ten changes and more of one account: after each sync every user sees what the oracle says."""
    desk, source = Desk(), random.Random(seed)
    double = Zendesk(desk)
    double.export_pages = 3
    history = History(desk, source)
    history.begin()
    options = {**TICKETS, "sign_in": source.random() < 0.5}
    desk.tick()
    replica = Replica(direct_connector(double, options))
    replica.list_everything()
    for step in range(STEPS):
        for _ in range(source.randint(1, 4)):
            history.step()
        desk.tick()
        if history.needs_full_listing or step % 4 == 3:
            replica.list_everything()
            history.needs_full_listing = False
        else:
            follow_or_list(replica)
        entries = direct_connector(double, options).groups()
        groups = {entry.principal: entry for entry in entries if isinstance(entry, Group)}
        oracle = Oracle(desk, sign_in=bool(options["sign_in"]))
        for user in desk.users.values():
            assert visible(user, replica.items, groups) == oracle.documents(user), (seed, step, user)


def follow_or_list(replica: Replica) -> None:
    """As the engine does it where a feed breaks off."""
    try:
        replica.follow()
    except GoneError:
        replica.list_everything()


def direct_connector(double: Zendesk, options: dict[str, Any]) -> Connector:
    """A connector that asks the double without a wire."""
    values = {"url": Direct.url, "email": "s@example.com", "api_token": "t", "overlap": 0, **options}
    connector = make_connector("help", "zendesk", values)
    vars(connector)["_sites"] = {Direct.url: ZendeskSite(Direct(double), 3)}  # type: ignore[arg-type]
    return connector


def test_an_article_of_several_segments_is_read_by_the_users_of_any(bench: Bench) -> None:
    desk = bench.desk
    for name in ("ann", "bob", "cia"):
        desk.user(name)
    ann, bob, _ = desk.users.values()
    first = desk.segment("first", added_user_ids=[ann["id"]], tags=["x"])
    second = desk.segment("second", tags=["vip"])
    desk.change(bob, tags=["vip"])
    row = bench.article()
    desk.show_to(row, [first, second])
    one = f"article/{row['id']}"
    assert readers(bench) == {"ann": {one}, "bob": {one}, "cia": set()}


@pytest.mark.parametrize("sign_in", [False, True])
def test_an_article_without_segments_is_for_everybody_or_for_those_who_can_sign_in(
    bench: Bench, sign_in: bool
) -> None:
    row = bench.article()
    ann = bench.desk.user("ann", suspended=True)
    listing = bench.listed(sign_in=sign_in)
    (rule,) = [item.access for item in listing.items.values()]
    expected = f"group:{HERE}/users" if sign_in else EVERYONE
    assert rule == AccessRule(((expected,),))
    seen = readers(bench, sign_in=sign_in)[ann["name"]]
    assert seen == (set() if sign_in else {f"article/{row['id']}"})


def test_a_help_center_for_one_segment_shows_nothing_to_others(bench: Bench) -> None:
    desk = bench.desk
    ann, _ = desk.user("ann", tags=["vip"]), desk.user("bob", "agent")
    vip = desk.segment("VIP", tags=["vip"])
    public, internal = bench.article(), bench.article()
    desk.show_to(internal, [desk.staff])
    seen = readers(bench, segment=vip["id"])
    assert seen == {"ann": {f"article/{public['id']}"}, "bob": set()}
    desk.change(ann, role="agent")
    both = {f"article/{public['id']}", f"article/{internal['id']}"}
    assert readers(bench, segment=vip["id"])["ann"] == both


def test_the_plain_segment_of_older_plans_counts_too(bench: Bench) -> None:
    row = bench.article()
    bench.desk.edit(row, user_segment_id=bench.desk.staff["id"])
    bench.desk.user("ann", "agent")
    bench.desk.user("bob")
    assert readers(bench) == {"ann": {f"article/{row['id']}"}, "bob": set()}


def test_a_segment_that_is_not_listed_lets_nobody_in(bench: Bench) -> None:
    row = bench.article()
    hidden = bench.desk.segment("hidden")
    bench.desk.show_to(row, [hidden])
    del bench.desk.segments[hidden["id"]]
    bench.desk.user("ann", "admin")
    assert readers(bench) == {"ann": set()}


def test_a_segment_of_a_type_that_is_not_known_has_no_members(bench: Bench) -> None:
    row = bench.article()
    bench.desk.show_to(row, [bench.desk.segment("new", "contractors")])
    bench.desk.user("ann", "admin")
    assert readers(bench) == {"ann": set()}


def test_an_article_that_does_not_say_who_may_read_it_is_a_failed_document(bench: Bench) -> None:
    row = bench.article()
    bench.double.malformed.add(row["id"])
    listing = bench.listed()
    assert [failure.external_id for failure in listing.failures] == [f"article/{row['id']}"]
    assert not listing.items


@pytest.mark.parametrize(
    "kind",
    ["users", "user_segments", "organizations", "organization_memberships", "groups", "group_memberships"],
)
def test_groups_keep_their_members_where_a_part_cannot_be_read(bench: Bench, kind: str) -> None:
    bench.double.refused.add(kind)
    (failure,) = bench.failures_of_groups()
    assert isinstance(failure, Failure)
    assert isinstance(failure.error, ForbiddenEntityError)
    assert bench.groups() == {}


def test_agents_whose_role_cannot_be_read_see_only_what_is_assigned_to_them(bench: Bench) -> None:
    desk = bench.desk
    role = desk.role("all")
    ann = desk.user("ann", "agent", custom_role_id=role["id"])
    bob = desk.user("bob")
    other = desk.ticket("Other", bob)
    mine = desk.ticket("Mine", bob, assignee_id=ann["id"])
    options = {"tickets": True, "articles": False}
    both = {f"ticket/{other['id']}", f"ticket/{mine['id']}"}
    assert readers(bench, **options) == {"ann": both, "bob": both}
    bench.double.refused.add("custom_roles")
    assert readers(bench, **options) == {"ann": {f"ticket/{mine['id']}"}, "bob": both}


@pytest.mark.parametrize("readable", [True, False])
def test_agents_of_other_brands_see_no_ticket_where_somebody_is_limited_to_brands(
    bench: Bench, readable: bool
) -> None:
    desk = bench.desk
    ann, _ = desk.user("ann", "admin"), desk.user("bob", "admin")
    ticket = desk.ticket("Help", desk.user("cia"))
    desk.brand_agents.add((desk.main_brand["id"], ann["id"]))
    if not readable:
        bench.double.refused.add("brand_agents")  # a plan without memberships of brands
    one = {f"ticket/{ticket['id']}"}
    seen = readers(bench, tickets=True, articles=False)
    assert seen == {"ann": one, "bob": set() if readable else one, "cia": one}


def test_an_agent_who_becomes_an_end_user_loses_what_was_assigned(bench: Bench) -> None:
    desk = bench.desk
    ann = desk.user("ann", "agent", ticket_restriction="assigned")
    ticket = desk.ticket("Help", desk.user("bob"), assignee_id=ann["id"])
    options = {"tickets": True, "articles": False}
    assert readers(bench, **options)["ann"] == {f"ticket/{ticket['id']}"}
    desk.change(ann, role="end-user", ticket_restriction="requested")
    assert readers(bench, **options)["ann"] == set()


def test_private_comments_are_for_agents_only(bench: Bench) -> None:
    desk = bench.desk
    bob, ann = desk.user("bob"), desk.user("ann", "agent")
    ticket = desk.ticket("Help", bob, (bob, "it burns", True), (ann, "he is drunk", False))
    identity = f"ticket/{ticket['id']}"
    seen = readers(bench, articles=False, **TICKETS)
    assert seen == {"bob": {identity}, "ann": {identity, f"{identity}/notes/private"}}
    texts = bench.listed(articles=False, **TICKETS).texts()
    assert "drunk" not in texts[identity]
    assert "burns" not in texts[f"{identity}/notes/private"]
    assert "drunk" in texts[f"{identity}/notes/private"]
    assert "drunk" not in "".join(bench.listed(articles=False, tickets=True).texts().values())


def test_a_listing_of_changes_says_who_may_read_what_changed(bench: Bench) -> None:
    row = bench.article()
    complete = bench.listed().complete
    assert complete is not None
    bench.desk.tick()
    bench.desk.show_to(row, [bench.desk.staff])
    (item,) = Listing.of(bench.connector().changes(complete.cursor or {})).items.values()
    assert item.access == AccessRule(((f"group:{HERE}/segment/{bench.desk.staff['id']}",),))
