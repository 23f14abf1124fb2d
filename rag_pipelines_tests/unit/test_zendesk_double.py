"""The double of Zendesk and its oracle agree with the vendor's own documentation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from rag_pipelines_tests.doubles.zendesk import Zendesk
from rag_pipelines_tests.doubles.zendesk_oracle import Oracle
from rag_pipelines_tests.doubles.zendesk_state import Desk, Row

ARTICLE = {
    "author_id", "draft", "edited_at", "html_url", "id", "label_names", "locale", "section_id",
    "source_locale", "title", "body", "updated_at", "user_segment_id", "user_segment_ids", "vote_sum",
}  # fmt: skip
TRANSLATION = {"body", "draft", "id", "locale", "source_id", "source_type", "title", "updated_at"}
ATTACHMENT = {"article_id", "content_type", "content_url", "file_name", "id", "inline", "size", "updated_at"}
USER = {
    "active", "custom_role_id", "email", "id", "name", "organization_id", "role", "suspended", "tags",
    "ticket_restriction", "updated_at",
}  # fmt: skip
TICKET = {
    "assignee_id", "brand_id", "created_at", "email_cc_ids", "group_id", "id", "is_public", "organization_id",
    "requester_id", "status", "subject", "tags", "updated_at", "generated_timestamp",
}  # fmt: skip
"""Names of the properties in Zendesk's reference that the double has."""


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def double(desk: Desk) -> Iterator[Zendesk]:
    with Zendesk(desk) as served:
        yield served


@pytest.fixture
def section(desk: Desk) -> Row:
    return desk.section("Leave", desk.category("HR"))


def get(double: Zendesk, path: str, **params: Any) -> Any:
    named = {name.replace("__", "[") + ("]" if "__" in name else ""): value for name, value in params.items()}
    answer = requests.get(f"{double.url}/api/v2/{path}", params=named, timeout=5)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_rows_have_the_properties_of_the_reference(desk: Desk, double: Zendesk, section: Row) -> None:
    article = desk.article(section, "A", "a")
    desk.attach(article, "a.txt", b"a")
    desk.ticket("Help", desk.user("ann"))
    desk.tick()
    listed = get(double, "help_center/articles", include="translations")["articles"][0]
    assert set(listed) == ARTICLE | {"translations"}
    assert set(listed["translations"][0]) == TRANSLATION
    attachments = get(double, f"help_center/articles/{article['id']}/attachments")
    assert set(attachments["article_attachments"][0]) == ATTACHMENT
    assert set(get(double, "incremental/users/cursor", start_time=0)["users"][0]) == USER
    assert set(get(double, "incremental/tickets/cursor", start_time=0)["tickets"][0]) == TICKET


def test_pages_by_cursor_hold_everything_once(desk: Desk, double: Zendesk, section: Row) -> None:
    ids = [desk.article(section, "A", "a")["id"] for _ in range(5)]
    answer = get(double, "help_center/articles", page__size=2)
    found = [row["id"] for row in answer["articles"]]
    while answer["meta"]["has_more"]:
        answer = requests.get(answer["links"]["next"], timeout=5).json()
        found += [row["id"] for row in answer["articles"]]
    assert found == ids


def test_the_incremental_export_of_articles_omits_those_that_are_archived(
    desk: Desk, double: Zendesk, section: Row
) -> None:
    kept, gone = desk.article(section, "A", "a"), desk.article(section, "B", "b")
    desk.tick()
    since = desk.epoch
    assert get(double, "help_center/incremental/articles", start_time=since)["articles"] == []
    desk.archive(gone)
    desk.edit(kept, vote_sum=1)
    answer = get(double, "help_center/incremental/articles", start_time=since)
    assert [row["id"] for row in answer["articles"]] == [kept["id"]]


def test_exports_leave_the_last_minute_out_and_name_deleted_tickets(desk: Desk, double: Zendesk) -> None:
    ticket = desk.ticket("Help", desk.user("ann"))
    assert get(double, "incremental/tickets/cursor", start_time=0)["tickets"] == []
    desk.tick()
    first = get(double, "incremental/tickets/cursor", start_time=0)
    assert ([row["status"] for row in first["tickets"]], first["end_of_stream"]) == (["open"], True)
    desk.delete_ticket(ticket)
    desk.tick()
    second = get(double, "incremental/tickets/cursor", cursor=first["after_cursor"])
    assert [row["status"] for row in second["tickets"]] == ["deleted"]


def test_all_tags_and_one_of_the_other_tags_make_a_member(desk: Desk) -> None:
    """User segments: "a user must have all the listed tags" and "at least one" of or_tags."""
    segment = desk.segment("VIP", tags=["a", "b"], or_tags=["c", "d"])
    oracle = Oracle(desk)
    for tags, inside in ((["a", "b"], False), (["a", "c"], False), (["a", "b", "d"], True)):
        assert oracle.belongs(desk.user("x", tags=tags), segment) is inside
    added = desk.user("y")
    desk.change(segment, added_user_ids=[added["id"]])
    assert oracle.belongs(added, segment)


def test_the_more_permissive_of_user_and_organization_wins(desk: Desk) -> None:
    """4408893451290: what the organization allows overrides "own tickets only"."""
    ann, bob = desk.user("ann"), desk.user("bob")
    acme = desk.organization("Acme", ann, bob)
    ticket = desk.ticket("Help", ann)
    assert not Oracle(desk).follows(bob, ticket)
    desk.change(bob, ticket_restriction="organization")
    assert Oracle(desk).follows(bob, ticket)
    desk.change(bob, ticket_restriction="requested")
    desk.change(acme, shared_tickets=True)
    assert Oracle(desk).follows(bob, ticket)
