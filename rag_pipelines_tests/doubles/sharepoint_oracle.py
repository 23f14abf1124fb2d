"""Who may read what in a tenant, said again from its state alone: what the connector is held against.

What belongs here: SharePoint's rules of access, written down from Microsoft's documentation. What does not:
anything of the connector; it must not be imported here.

The nearest thing above (or the thing itself) that has permissions of its own decides alone; a library and a
site come last. Of its entries, those count that let somebody read. A link for the organisation or for anybody
lets people in only where the policy says so: they need the link too, and a search would hand it out.
"""

from __future__ import annotations

from dataclasses import dataclass

from rag_pipelines_tests.doubles.sharepoint_state import (
    ADD_ONLY,
    ANYBODY,
    EMPLOYEES,
    GROUP,
    LIMITED,
    OWNERS,
    SITE_GROUP,
    USER,
    Grant,
    Place,
    Site,
    Tenant,
    Thing,
    Who,
)

STRANGER = "stranger"
"""Somebody without any account, who sees what everybody sees."""


@dataclass(frozen=True)
class LinkPolicy:
    """Which links count as access of those that they let in."""

    organisation: bool = False
    anonymous: bool = False


def readers(tenant: Tenant, place: Place, thing: Thing, policy: LinkPolicy = LinkPolicy()) -> set[str]:
    """The keys of the accounts that may read `thing`, with `STRANGER` where everybody may."""
    site = tenant.sites[place.site]
    found: set[str] = set()
    for grant in _effective(tenant, place, thing, site):
        if grant.role in (LIMITED, ADD_ONLY) or grant.password:
            continue
        if grant.until is not None and grant.until <= tenant.now:
            continue
        if grant.link is None and grant.who is not None:
            found |= people(tenant, site, grant.who)
        elif grant.link == "users":
            found |= {key for who in grant.people for key in people(tenant, site, who)}
        elif grant.link == "organization" and policy.organisation:
            found |= people(tenant, site, (EMPLOYEES, ""))
        elif grant.link == "anonymous" and policy.anonymous:
            found |= {*tenant.people, STRANGER}
    return found


def people(tenant: Tenant, site: Site, who: Who) -> set[str]:
    """The accounts behind a principal, through groups in groups."""
    kind, key = who
    if kind == USER:
        return {key} & tenant.people.keys()
    if kind == EMPLOYEES:
        return {one.key for one in tenant.people.values() if not one.guest}
    if kind == ANYBODY:
        return set(tenant.people)
    if kind == SITE_GROUP:
        title_and_members = _collection(tenant, site).groups.get(key, ("", []))
        return {one for inner in title_and_members[1] for one in people(tenant, site, inner)}
    group = tenant.groups.get(key)
    if group is None:
        return set()
    if kind == OWNERS:
        return set(group.owners)
    assert kind == GROUP
    found: set[str] = set()
    seen, waiting = {key}, list(group.members)
    while waiting:
        inner_kind, inner = waiting.pop()
        if inner_kind == USER:
            found |= {inner} & tenant.people.keys()
        elif inner not in seen and inner in tenant.groups:
            seen.add(inner)
            waiting += tenant.groups[inner].members
    return found


def _effective(tenant: Tenant, place: Place, thing: Thing, site: Site) -> list[Grant]:
    for one in tenant.path(place, thing):
        if one.grants is not None:
            return one.grants
    while not site.grants and site.parent is not None:
        site = tenant.sites[site.parent]
    return site.grants


def _collection(tenant: Tenant, site: Site) -> Site:
    """The top site of the collection, whose SharePoint groups all of it shares."""
    while site.parent is not None:
        site = tenant.sites[site.parent]
    return site
