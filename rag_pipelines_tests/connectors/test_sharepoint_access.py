"""Who may read what in SharePoint: scopes, permissions, links, groups and accounts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from rag_pipelines.connectors.sharepoint.options import SharePointOptions
from rag_pipelines.connectors.sharepoint.principals import Principals
from rag_pipelines.errors import ForbiddenEntityError
from rag_pipelines.model import CLOSED, EVERYONE, AccessRule
from rag_pipelines_tests.connectors.sharepoint_bench import (
    Office,
    addresses,
    cursor_of,
    opened,
)
from rag_pipelines_tests.doubles.sharepoint import FULL_CONTROL, MEMBERS, PEOPLE
from rag_pipelines_tests.doubles.sharepoint_state import (
    GROUP,
    OWNERS,
    USER,
    Grant,
)

ANN, BOB, EVE = "user:ann@example.com", "user:bob@example.com", "user:eve@example.com"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
GUID = "11111111-1111-1111-1111-111111111111"
OPTIONS = {"tenant_id": "t", "client_id": "c", "client_secret": "s"}


@pytest.fixture
def office() -> Iterator[Office]:
    yield from opened()


# Scopes.


def test_a_rule_names_the_nearest_thing_with_permissions_of_its_own(office: Office) -> None:
    tenant, library = office.tenant, office.library
    outer = tenant.folder(library, "outer")
    inner = tenant.folder(library, "inner", outer)
    plain = tenant.file(library, "plain.txt")
    deep = tenant.file(library, "deep.txt", parent=inner)
    own = tenant.file(library, "own.txt", parent=inner)
    tenant.share(library, outer, [Grant(who=(USER, office.ann.key))])
    tenant.share(library, own, [Grant(who=(USER, office.eve.key))])
    items = office.listed().items
    scopes = {
        name: items[office.id(one)].access for name, one in (("plain", plain), ("deep", deep), ("own", own))
    }
    prefix = f"group:graph/{library.key}"
    assert scopes == {
        "plain": AccessRule(((f"{prefix}/root",),)),
        "deep": AccessRule(((f"{prefix}/{outer.key}",),)),
        "own": AccessRule(((f"{prefix}/{own.key}",),)),
    }
    groups, failures, complete = office.groups()
    assert addresses(groups, f"{prefix}/root") == {ANN, BOB}
    assert addresses(groups, f"{prefix}/{outer.key}") == {ANN}
    assert addresses(groups, f"{prefix}/{own.key}") == {EVE}
    assert (failures, complete.full) == ([], True)


def test_sharing_a_folder_anew_changes_its_group_and_no_document(office: Office) -> None:
    tenant, library = office.tenant, office.library
    folder = tenant.folder(library, "closed")
    tenant.file(library, "a.txt", parent=folder)
    tenant.share(library, folder, [Grant(who=(USER, office.ann.key))])
    before = office.listed().items
    tenant.share(library, folder, [Grant(who=(USER, office.eve.key))])
    after = office.listed().items
    assert {id: one.access for id, one in before.items()} == {id: one.access for id, one in after.items()}
    assert office.members(f"group:graph/{library.key}/{folder.key}") == {EVE}


def test_without_full_control_nobody_sees_anything_and_the_permission_is_named(office: Office) -> None:
    file = office.tenant.file(office.library, "a.txt")
    office.double.roles.discard(FULL_CONTROL)
    listing = office.listed()
    assert listing.items[office.id(file)].access == CLOSED
    assert listing.is_full, "no document is hidden by that"
    assert "Sites.FullControl.All" in str(listing.failures[0].error)
    _, failures, complete = office.groups()
    assert "Sites.FullControl.All" in str(failures[0].error)
    assert not complete.full


def test_full_control_that_is_lost_closes_what_a_feed_names(office: Office) -> None:
    """An entry without `shared` would be taken for one that inherits."""
    tenant, library = office.tenant, office.library
    file = tenant.file(library, "a.txt")
    tenant.share(library, file, [Grant(who=(USER, office.eve.key))])
    cursor = cursor_of(office.listed())
    tenant.edit(library, file, b"new")
    office.double.roles.discard(FULL_CONTROL)
    assert office.followed(cursor).items[office.id(file)].access == CLOSED


def test_access_is_left_to_the_source_where_the_options_say_so(office: Office) -> None:
    file = office.tenant.file(office.library, "a.txt")
    office.double.roles.discard(FULL_CONTROL)
    listing = office.listed(access="none")
    assert (listing.items[office.id(file)].access, listing.failures) == (None, [])
    able = office.connector(access="none").capabilities
    assert (able.permissions, able.groups, able.changes) == (False, False, True)


def test_permissions_that_may_not_be_read_keep_the_readers_that_were_known(office: Office) -> None:
    tenant, library = office.tenant, office.library
    file = tenant.file(library, "a.txt")
    tenant.share(library, file, [Grant(who=(USER, office.ann.key))])
    office.double.refused.add(file.key)
    groups, failures, complete = office.groups()
    principal = f"group:graph/{library.key}/{file.key}"
    assert principal not in groups
    assert [one.entity for one in failures] == [principal]
    assert isinstance(failures[0].error, ForbiddenEntityError)
    assert not complete.full


def test_a_part_of_a_batch_that_was_throttled_is_asked_for_alone(office: Office) -> None:
    tenant, library = office.tenant, office.library
    for n in range(25):
        file = tenant.file(library, f"{n}.txt")
        tenant.share(library, file, [Grant(who=(USER, office.ann.key))])
    office.double.in_batch += [(r"/permissions", 429, {"Retry-After": "0"}), (r"/permissions", 503, {})]
    groups, failures, _ = office.groups()
    assert failures == []
    assert sum(one.startswith(f"group:graph/{library.key}/") for one in groups) == 26
    assert office.requests(r"\$batch") >= 2
    assert office.requests(r"/permissions") == 2, "the two that failed"


# Permissions and claims, as pure values.


@pytest.fixture
def principals() -> Principals:
    return Principals(SharePointOptions.model_validate(OPTIONS))


def grant(role: str = "read", **values: Any) -> dict[str, Any]:
    identity = {"user": {"id": "U-1"}, "siteUser": {"loginName": "i:0#.f|membership|ann@example.com"}}
    return {"id": "1", "roles": [role], "grantedToV2": identity, **values}


@pytest.mark.parametrize("role", ["read", "write", "owner", "Read"])
def test_roles_that_read(principals: Principals, role: str) -> None:
    assert principals.readers([grant(role)], "c", NOW) == {"user:graph/u-1"}


@pytest.mark.parametrize(
    "permission",
    [
        grant("sp.Eingeschränkter Zugriff"),
        grant("sp.Nur Hinzufügen"),
        grant("review"),
        grant(roles=[]),
        grant(roles=None),
        grant(expirationDateTime="2026-05-31T00:00:00Z"),
        grant(expirationDateTime="when it is over"),
        grant(hasPassword=True),
        {"roles": ["read"], "link": {"scope": "existingAccess"}},
        {"roles": ["read"], "link": {"scope": "organization"}},
        {"roles": ["read"], "link": {"scope": "anonymous"}},
        {
            "roles": ["read"],
            "link": {"scope": "a new kind of scope"},
            "grantedToIdentitiesV2": [{"user": {"id": "1"}}],
        },
        {"roles": ["write"], "invitation": {"email": "jd@example.com", "signInRequired": True}},
        {"roles": ["read"], "grantedToV2": {"application": {"id": "app"}}},
        {"roles": ["read"], "grantedToV2": {"siteUser": {"loginName": "c:0!.s|windows"}}},
        {},
    ],
)
def test_what_lets_nobody_read(principals: Principals, permission: dict[str, Any]) -> None:
    assert principals.readers([permission], "c", NOW) == set()


def test_a_permission_of_the_year_one_never_ends(principals: Principals) -> None:
    assert principals.readers([grant(expirationDateTime="0001-01-01T00:00:00Z")], "c", NOW)
    assert principals.readers([grant(expirationDateTime="2026-06-02T00:00:00Z")], "c", NOW)


def test_links_for_everybody_count_only_where_the_options_open_them() -> None:
    options = SharePointOptions.model_validate(
        {**OPTIONS, "organization_links": "open", "anonymous_links": "open"}
    )
    principals = Principals(options)
    links = [{"roles": ["read"], "link": {"scope": scope}} for scope in ("organization", "anonymous")]
    assert principals.readers(links, "c", NOW) == {principals.employees, EVERYONE}


@pytest.mark.parametrize(
    ("login", "principal"),
    [
        ("i:0#.f|membership|Ann@Example.com", "user:graph/ann@example.com"),
        (
            f"c:0t.c|tenant|{GUID}",
            f"group:graph/{GUID}",
        ),
        (
            f"c:0o.c|federateddirectoryclaimprovider|{GUID}",
            f"group:graph/{GUID}",
        ),
        (
            f"c:0o.c|federateddirectoryclaimprovider|{GUID}_o",
            f"group:graph/{GUID}/owners",
        ),
        ("c:0-.f|rolemanager|spo-grid-all-users/t", "group:graph/t/members"),
        ("c:0(.s|true", "group:graph/t/all"),
        ("SHAREPOINT\\system", None),
        ("c:0!.s|windows", None),
        ("", None),
    ],
)
def test_claims_are_read(principals: Principals, login: str, principal: str | None) -> None:
    assert principals.of_login(login) == principal


@pytest.mark.parametrize(
    ("role", "reads"),
    [
        ({"Id": 1073741826, "Name": "Lesen", "BasePermissions": {"Low": "138612833"}}, True),
        ({"Id": 1073741950, "Name": "Nur Lesen", "BasePermissions": {"Low": "1"}}, True),
        ({"Id": 1073741825, "Name": "Lesen", "BasePermissions": {"Low": "1"}}, False),
        ({"Id": 1073741950, "Name": "Read", "BasePermissions": {"Low": "2"}}, False),
        ({"Id": 1073741826, "Name": "Read"}, False),
        ({"Id": 1073741826, "BasePermissions": {"Low": "many"}}, False),
    ],
)
def test_roles_of_lists_are_judged_by_id_and_bits_never_by_name(
    principals: Principals, role: dict[str, Any], reads: bool
) -> None:
    member = {"LoginName": "i:0#.f|membership|ann@example.com", "PrincipalType": 1}
    assigned = principals.assigned([{"Member": member, "RoleDefinitionBindings": [role]}], "c")
    assert assigned == ({"user:graph/ann@example.com"} if reads else set())


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("OrganizationView", set()),
        ("AnonymousEdit", set()),
        ("Flexible", {"group:graph/site/c/9"}),
        ("NewKind", set()),
    ],
)
def test_groups_of_links_count_as_their_link_does(principals: Principals, kind: str, found: set[str]) -> None:
    member = {"Id": 9, "LoginName": f"SharingLinks.{GUID}.{kind}.{GUID}", "PrincipalType": 8}
    assert set(principals.of_member(member, "c")) == found


# Who stands behind principals.


def test_groups_are_listed_down_to_accounts_and_their_addresses(office: Office) -> None:
    tenant, library = office.tenant, office.library
    inner = tenant.group("inner", [(USER, office.ann.key)])
    outer = tenant.group("outer", [(GROUP, inner.key)], [office.eve.key])
    office.site.groups["5"][1].append((GROUP, outer.key))
    file = tenant.file(library, "a.txt")
    tenant.share(library, file, [Grant(who=(OWNERS, outer.key))])
    groups, failures, complete = office.groups()
    assert failures == []
    assert complete.full
    assert addresses(groups, f"group:graph/{library.key}/{file.key}") == {EVE}
    assert addresses(groups, f"group:graph/{library.key}/root") == {ANN, BOB}


@pytest.mark.parametrize(
    ("email", "addresses"), [("mail", {"user:a.b@example.com"}), ("upn", {"user:ann2@contoso.example"})]
)
def test_people_are_known_by_the_address_that_the_options_name(
    office: Office, email: str, addresses: set[str]
) -> None:
    person = office.tenant.person("ann2", "A.B@example.com")
    file = office.tenant.file(office.library, "a.txt")
    office.tenant.share(office.library, file, [Grant(who=(USER, person.key))])
    assert office.members(f"group:graph/{office.library.key}/{file.key}", email=email) == addresses


def test_a_guest_is_never_known_by_the_name_that_the_tenant_gave_them(office: Office) -> None:
    guest = office.tenant.person("gus", "gus@elsewhere.example", guest=True)
    nameless = office.tenant.person("nan", "", guest=True)
    file = office.tenant.file(office.library, "a.txt")
    office.tenant.share(office.library, file, [Grant(who=(USER, one.key)) for one in (guest, nameless)])
    found = office.members(f"group:graph/{office.library.key}/{file.key}", email="upn")
    assert found == {"user:gus@elsewhere.example"}


def test_groups_and_accounts_that_were_deleted_stand_for_nobody(office: Office) -> None:
    tenant, library = office.tenant, office.library
    group = tenant.group("gone", [(USER, office.ann.key)])
    file = tenant.file(library, "a.txt")
    tenant.share(library, file, [Grant(who=(GROUP, group.key)), Grant(who=(USER, office.eve.key))])
    del tenant.groups[group.key], tenant.people[office.eve.key]
    groups, failures, complete = office.groups()
    assert (failures, complete.full) == ([], True)
    assert addresses(groups, f"group:graph/{library.key}/{file.key}") == set()


def test_site_groups_are_out_of_reach_of_a_secret_and_the_certificate_is_named(office: Office) -> None:
    office.double.with_certificate = True
    groups, failures, complete = office.groups()
    numbers = {str(one.entity).rpartition("/")[2] for one in failures}
    assert numbers == {"3", "4", "5"}
    assert all("certificate" in str(one.error) for one in failures)
    assert not complete.full
    assert f"group:graph/{office.library.key}/root" in groups


@pytest.mark.parametrize(("role", "entity"), [(MEMBERS, "group"), (PEOPLE, "account")])
def test_a_directory_that_may_not_be_read_keeps_what_was_known(
    office: Office, role: str, entity: str
) -> None:
    group = office.tenant.group("staff", [(USER, office.ann.key)])
    file = office.tenant.file(office.library, "a.txt")
    office.tenant.share(
        office.library, file, [Grant(who=(GROUP, group.key)), Grant(who=(USER, office.eve.key))]
    )
    office.double.roles.discard(role)
    _, failures, complete = office.groups()
    assert not complete.full
    named = {"group": f"group:graph/{group.key}", "account": f"user:graph/{office.eve.key}"}
    assert named[entity] in {one.entity for one in failures}
