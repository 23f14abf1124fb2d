"""Who stands behind the principals of access rules: accounts, segments, and who sees tickets.

What belongs here: `Group`s for the engine, which keeps them apart from documents. What does not: the test of
a segment (`segments`), rules (`access`).

Everything is read before anything is listed: where a part cannot be read, every principal keeps the members
it had. Custom roles are part of Enterprise plans; where they cannot be read, an agent who has one sees only
the tickets that are assigned to them. Every agent is a member of every brand until somebody limits
that (support.zendesk.com: "Restricting agent ticket access by brand"): where a plan has no such memberships,
or none are listed, nobody is limited.

Stricter than Zendesk on purpose: a ticket in no group is seen by no agent who is limited to groups; where
there are private groups, whose tickets only roles open (support.zendesk.com: 4988173561370), an agent without
a custom role is limited to public ones and their own; of several organizations of a user only the default one
counts, unless the organization itself shares tickets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rag_pipelines.connectors.base import Complete, Failure, Group
from rag_pipelines.connectors.zendesk.access import Names
from rag_pipelines.connectors.zendesk.segments import People, is_everybody
from rag_pipelines.connectors.zendesk.site import Row, ZendeskSite
from rag_pipelines.errors import CredentialError, ForbiddenEntityError, MissingEntityError, RagError

_ALL, _GROUPS, _PUBLIC_GROUPS, _ORGANIZATION = (
    "all",
    "within-groups",
    "within-groups-and-public-groups",
    "org",
)
_RESTRICTIONS = {None: _ALL, "groups": _GROUPS, "organization": _ORGANIZATION}
"""A user's own ``ticket_restriction``; ``assigned`` and what is not known give nothing."""
_ROLES = {
    "all": _ALL,
    "within-groups": _GROUPS,
    "within-groups-and-public-groups": _PUBLIC_GROUPS,
    "within-organization": _ORGANIZATION,
}
"""``ticket_access`` of a custom role."""


class GroupDirectory:
    """Lists the groups of one account."""

    def __init__(self, site: ZendeskSite, names: Names, *, articles: bool, tickets: bool) -> None:
        self._site = site
        self._names = names
        self._articles = articles
        self._tickets = tickets

    def groups(self) -> Iterator[Group | Failure | Complete]:
        """Every principal that rules may name, each with its members."""
        try:
            people = self._people()
            segments = (
                list(self._site.rows("help_center/user_segments", "user_segments")) if self._articles else []
            )
            listed = list(self._all(people, segments))
        except CredentialError:
            raise
        except (RagError, KeyError) as error:
            reason = (
                error if isinstance(error, RagError) else ForbiddenEntityError(f"no field {error} is given")
            )
            yield Failure(error=reason, entity="users and segments", hides_documents=False)
            yield Complete(0, full=False)
            return
        yield from listed
        yield Complete(len(listed))

    def _all(self, people: People, segments: list[Row]) -> Iterator[Group]:
        names = self._names
        for one, row in sorted(people.users.items()):
            email = (row["email"] or "").strip().lower()
            yield _group(names.user(one), row.get("name"), [f"user:{email}"] if email else [])
        yield _group(names.users, "everybody who can sign in", map(names.user, people.users))
        for row in segments:
            members = [names.users] if is_everybody(row) else list(map(names.user, people.of(row)))
            yield _group(names.segment(row["id"]), row.get("name"), members)
        if self._tickets:
            yield from self._of_tickets(people)

    def _of_tickets(self, people: People) -> Iterator[Group]:
        names = self._names
        agents = {one: _access(people, one) for one in people.users if people.is_staff(one)}
        everything = [one for one, access in agents.items() if access == _ALL]
        yield _group(names.agents, "agents who see every ticket", map(names.user, everything))
        for group, row in sorted(people.groups.items()):
            seeing = [
                one
                for one, access in agents.items()
                if (access in (_GROUPS, _PUBLIC_GROUPS) and group in people.in_groups.get(one, ()))
                or (access == _PUBLIC_GROUPS and row.get("is_public") is True)
            ]
            yield _group(names.group_agents(group), row.get("name"), map(names.user, seeing))
        for brand in self._site.rows("brands", "brands"):
            in_brand = agents if people.in_brands is None else people.in_brands.get(brand["id"], set())
            yield _group(
                names.brand_agents(brand["id"]), brand.get("name"), map(names.user, agents.keys() & in_brand)
            )
        limited, sharing = _limited(people, agents), _sharing(people)
        for one, row in sorted(people.organizations.items()):
            bound = map(names.user, limited.get(one, ()))
            yield _group(names.organization_agents(one), row.get("name"), bound)
            members = map(names.user, sharing.get(one, ()))
            yield _group(names.organization_members(one), row.get("name"), members)

    def _people(self) -> People:
        rows = self._site.rows
        users: dict[int, Row] = {}
        for page in self._site.export("users", None):
            users.update({row["id"]: row for row in page.rows})
        return People(
            users={one: row for one, row in users.items() if row["active"] and row["suspended"] is False},
            organizations={row["id"]: row for row in rows("organizations", "organizations")},
            groups={row["id"]: row for row in rows("groups", "groups")},
            in_organizations=_sets(
                rows("organization_memberships", "organization_memberships"), "user_id", "organization_id"
            ),
            in_groups=_sets(rows("group_memberships", "group_memberships"), "user_id", "group_id"),
            roles=self._roles() if self._tickets else {},
            in_brands=self._brands() if self._tickets else None,
        )

    def _brands(self) -> dict[int, set[int]] | None:
        try:
            return _sets(self._site.rows("brand_agents", "brand_agents"), "brand_id", "user_id") or None
        except (ForbiddenEntityError, MissingEntityError):
            return None

    def _roles(self) -> dict[int, Row]:
        try:
            return {row["id"]: row for row in self._site.get("custom_roles").get("custom_roles") or ()}
        except (ForbiddenEntityError, MissingEntityError):
            return {}


def _access(people: People, agent: int) -> str | None:
    """Which tickets an agent sees beside those assigned to them; None for no others."""
    row = people.users[agent]
    if row["role"] == "admin":
        return _ALL
    if row["custom_role_id"] is None:
        access = _RESTRICTIONS.get(row["ticket_restriction"])
        return _PUBLIC_GROUPS if access == _ALL and people.has_private_groups else access
    role = people.roles.get(row["custom_role_id"]) or {}
    return _ROLES.get((role.get("configuration") or {}).get("ticket_access", ""))


def _limited(people: People, agents: Mapping[int, str | None]) -> dict[int, list[int]]:
    """By organization, the agents who see its tickets alone."""
    found: dict[int, list[int]] = {}
    for one, access in agents.items():
        if access == _ORGANIZATION and (organization := people.users[one]["organization_id"]):
            found.setdefault(organization, []).append(one)
    return found


def _sharing(people: People) -> dict[int, set[int]]:
    """By organization, the end users who see its tickets."""
    shared = {one for one, row in people.organizations.items() if row["shared_tickets"] is True}
    found: dict[int, set[int]] = {}
    for user, row in people.users.items():
        if people.is_staff(user):
            continue
        seen = shared & people.in_organizations.get(user, set())
        if row["ticket_restriction"] == "organization" and row["organization_id"]:
            seen.add(row["organization_id"])
        for one in seen:
            found.setdefault(one, set()).add(user)
    return found


def _sets(rows: Iterable[Row], by: str, column: str) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    for row in rows:
        found.setdefault(row[by], set()).add(row[column])
    return found


def _group(principal: str, name: str | None, members: Iterable[str]) -> Group:
    return Group(principal=principal, name=name or principal, members=tuple(sorted(set(members))))
