"""The double of ServiceNow and its oracle agree with the vendor's own documentation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from rag_pipelines_tests.doubles.servicenow import ServiceNow, too_many
from rag_pipelines_tests.doubles.servicenow_oracle import Oracle
from rag_pipelines_tests.doubles.servicenow_query import InvalidQueryError, Query
from rag_pipelines_tests.doubles.servicenow_state import (
    ARTICLE_CRITERIA,
    BLOCK_ACCESS,
    ROLE_SECURITY,
    Instance,
)

SAME = [{"sys_id": one, "sys_updated_on": at} for one, at in (("a", "1"), ("b", "2"), ("c", "2"), ("d", "3"))]


@pytest.fixture
def instance() -> Instance:
    return Instance()


@pytest.fixture
def double(instance: Instance) -> Iterator[ServiceNow]:
    with ServiceNow(instance) as served:
        yield served


def get(double: ServiceNow, table: str, **params: Any) -> requests.Response:
    named = {f"sysparm_{name}": value for name, value in params.items()}
    return requests.get(f"{double.url}/api/now/table/{table}", params=named, timeout=5)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "abcd"),
        ("sys_updated_on>=2^sys_updated_on>2^ORsys_id>b^ORDERBYsys_updated_on^ORDERBYsys_id", "cd"),
        ("sys_idINa,d", "ad"),
        ("sys_idNOT INa,d", "bc"),
        ("sys_id=a^NQsys_id=d", "ad"),
        ("sys_updated_on<3^sys_id!=a^ORDERBYDESCsys_id", "cb"),
        ("sys_idISEMPTY", ""),
        ("sys_idSTARTSWITHa^ORsys_idLIKEc", "ac"),
    ],
)
def test_an_encoded_query_chooses_and_orders(text: str, found: str) -> None:
    query = Query(text)
    assert "".join(row["sys_id"] for row in query.narrow(query.choose(SAME))) == found
    assert {row["sys_id"] for row in SAME if query.matches(row)} == set(found)


def test_a_query_on_a_field_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidQueryError):
        Query("colour=red").matches(SAME[0])


def test_the_limit_comes_before_the_access_rules_and_the_count_too(
    instance: Instance, double: ServiceNow
) -> None:
    base = instance.base("HR")
    rows = [instance.article(base, f"A {n}", "text") for n in range(5)]
    ordered = sorted(row["sys_id"] for row in rows)
    instance.hidden |= {ordered[0], ordered[1], ordered[4]}
    first = get(double, "kb_knowledge", limit=2, query="ORDERBYsys_id")
    assert (first.json()["result"], first.headers["X-Total-Count"]) == ([], "5")
    second = get(double, "kb_knowledge", limit=2, offset=2, query="ORDERBYsys_id", fields="sys_id")
    assert second.json()["result"] == [{"sys_id": one} for one in ordered[2:4]]
    assert 'rel="next"' in second.headers["Link"]


def test_references_are_links_unless_they_are_excluded(instance: Instance, double: ServiceNow) -> None:
    base = instance.base("HR")
    instance.article(base, "A", "text")
    linked = get(double, "kb_knowledge").json()["result"][0]["kb_knowledge_base"]
    where = f"{double.url}/api/now/table/kb_knowledge_base/{base['sys_id']}"
    assert linked == {"link": where, "value": base["sys_id"]}
    plain = get(double, "kb_knowledge", exclude_reference_link="true").json()["result"][0]
    assert plain["kb_knowledge_base"] == base["sys_id"]


def test_an_attachment_has_the_fields_of_the_vendors_example(instance: Instance, double: ServiceNow) -> None:
    article = instance.article(instance.base("HR"), "A", "text")
    row = instance.attach(article, "plan.txt", b"plan")
    example = {
        "table_sys_id", "size_bytes", "sys_updated_on", "sys_id", "sys_created_on", "file_name", "table_name",
        "sys_mod_count", "content_type",
    }  # fmt: skip
    assert example <= get(double, "sys_attachment").json()["result"][0].keys()
    answer = requests.get(f"{double.url}/api/now/attachment/{row['sys_id']}/file", timeout=5)
    assert (answer.content, answer.headers["Content-Type"]) == (b"plan", "text/plain")


def test_a_refused_table_a_missing_table_and_a_rate_limit_are_worded_as_documented(
    instance: Instance, double: ServiceNow
) -> None:
    instance.refused.add("user_criteria")
    assert get(double, "user_criteria").json()["error"]["message"] == "User Not Authorized"
    assert (get(double, "nothing").status_code, get(double, "nothing").json()["status"]) == (400, "failure")
    double.faults.script(too_many("7"))
    answer = get(double, "sys_user")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert answer.json()["error"]["message"] == "Rate limit exceeded"


def test_a_client_gets_a_token_that_lets_it_in(instance: Instance) -> None:
    with ServiceNow(instance, logins={}, clients={"id": "secret"}) as double:
        form = {"grant_type": "client_credentials", "client_id": "id", "client_secret": "secret"}
        wrong = requests.post(f"{double.url}/oauth_token.do", data={**form, "client_secret": "x"}, timeout=5)
        assert wrong.status_code == 401
        token = requests.post(f"{double.url}/oauth_token.do", data=form, timeout=5).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        where = f"{double.url}/api/now/table/sys_user"
        assert requests.get(where, timeout=5).status_code == 401
        assert requests.get(where, headers=headers, timeout=5).status_code == 200


def test_roles_come_from_grants_groups_above_and_roles_that_contain_them(instance: Instance) -> None:
    ann, bob, cat = (instance.user(name) for name in ("ann", "bob", "cat"))
    inner = instance.role("inner")
    outer = instance.role("outer", inner)
    top = instance.group("top", cat, roles=[outer])
    low = instance.group("low", bob, parent=top["sys_id"])
    instance.grant(ann, inner)

    def holders(role: dict[str, str]) -> set[str]:
        rows = instance.tables["sys_user_has_role"].values()
        return {row["user"] for row in rows if row["role"] == role["sys_id"]}

    assert holders(outer) == {bob["sys_id"], cat["sys_id"]}
    assert holders(inner) == {ann["sys_id"], bob["sys_id"], cat["sys_id"]}
    instance.put_below(low, None)
    assert holders(outer) == {cat["sys_id"]}


def test_cannot_read_wins_over_can_read_on_both_levels(instance: Instance) -> None:
    ann = instance.user("ann")
    me = instance.criterion(user=[ann])
    base = instance.base("HR")
    article = instance.article(base, "A", "text")
    assert Oracle(instance).reads(ann, article)
    for kind in ("can_read", "cannot_read"):
        instance.set_criteria(base, kind, [me])
    assert not Oracle(instance).reads(ann, article)
    instance.set_criteria(base, "cannot_read", [])
    assert Oracle(instance).reads(ann, article)
    instance.set_readers(article, [me], [me])
    assert not Oracle(instance).reads(ann, article)


def test_match_all_wants_one_of_each_filled_list(instance: Instance) -> None:
    """The vendor's example: locations A or B, company C or D."""
    here = instance.user("here", location="A", company="C")
    there = instance.user("there", location="B", company="E")
    both = instance.criterion(location=["A", "B"], company=["C", "D"], match_all=True)
    either = instance.criterion(location=["A", "B"], company=["C", "D"])
    oracle = Oracle(instance)
    assert [oracle.matches(user, both["sys_id"]) for user in (here, there)] == [True, False]
    assert [oracle.matches(user, either["sys_id"]) for user in (here, there)] == [True, True]


@pytest.mark.parametrize("value", ["true", "false"])
def test_a_base_without_criteria_is_open_or_blocked_by_the_property(instance: Instance, value: str) -> None:
    ann = instance.user("ann")
    article = instance.article(instance.base("HR"), "A", "text")
    instance.set_property(BLOCK_ACCESS, value)
    assert Oracle(instance).reads(ann, article) == (value == "false")
    assert not Oracle(instance, known=False).reads(ann, article)


@pytest.mark.parametrize("value", ["true", "false"])
def test_contributors_read_every_article_unless_articles_decide(instance: Instance, value: str) -> None:
    ann, bob = instance.user("ann"), instance.user("bob")
    base = instance.base("HR", owner=bob)
    instance.set_criteria(base, "can_contribute", [instance.criterion(user=[ann])])
    article = instance.article(base, "A", "text")
    instance.set_readers(article, [instance.criterion(user=[bob])])
    instance.set_property(ARTICLE_CRITERIA, value)
    assert Oracle(instance).reads(ann, article) == (value == "false")
    assert Oracle(instance).reads(bob, article)


@pytest.mark.parametrize("value", ["true", "false"])
def test_roles_of_an_article_count_beside_its_criteria_by_the_property(
    instance: Instance, value: str
) -> None:
    ann, bob = instance.user("ann"), instance.user("bob")
    itil = instance.role("itil")
    instance.grant(bob, itil)
    article = instance.article(instance.base("HR"), "A", "text", roles="itil,other")
    instance.set_property(ROLE_SECURITY, value)
    assert Oracle(instance).reads(ann, article) == (value == "false")
    assert Oracle(instance).reads(bob, article)


def test_members_of_the_ownership_group_and_its_manager_read_their_article(instance: Instance) -> None:
    ann, bob, cat = (instance.user(name) for name in ("ann", "bob", "cat"))
    base = instance.base("HR")
    instance.set_criteria(base, "can_read", [instance.criterion(user=[cat])])
    group = instance.group("owners", ann, manager=bob["sys_id"])
    article = instance.article(base, "A", "text", ownership_group=group["sys_id"])
    assert [Oracle(instance).reads(user, article) for user in (ann, bob, cat)] == [True, True, True]
    other = instance.article(base, "B", "text")
    assert [Oracle(instance).reads(user, other) for user in (ann, bob, cat)] == [False, False, True]


def test_administrators_read_what_is_not_scoped(instance: Instance) -> None:
    ann = instance.user("ann")
    instance.grant(ann, instance.role("knowledge_admin"))
    nobody = instance.criterion(user=[instance.user("bob")])
    for application, reads in (("global", True), ("sn_hr_core", False)):
        base = instance.base("HR", application=application)
        instance.set_criteria(base, "can_read", [nobody])
        assert Oracle(instance).reads(ann, instance.article(base, "A", "text")) == reads


def test_a_block_is_read_only_with_its_article(instance: Instance) -> None:
    ann, bob = instance.user("ann"), instance.user("bob")
    base = instance.base("HR")
    article, block = instance.article(base, "A", "text"), instance.block(base, "B", "secret")
    instance.set_readers(block, [instance.criterion(user=[ann])])
    assert [Oracle(instance).reads_block(user, article, block) for user in (ann, bob)] == [True, False]
    instance.set_readers(article, [instance.criterion(user=[bob])])
    assert not Oracle(instance).reads_block(ann, article, block)
