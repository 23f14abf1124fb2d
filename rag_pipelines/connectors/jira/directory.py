"""Who stands behind the principals of access rules: groups, roles, schemes and accounts with their members.

What belongs here: `Group`s for the engine, which keeps them apart from documents. What does not: rules.

A principal whose members cannot be read is a failure, so that it keeps those it had; one that was never read
has none. An account whose e-mail address is hidden, or that is not active, has none either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

from rag_pipelines.connectors.atlassian_client import Json
from rag_pipelines.connectors.base import Complete, Failure, Group
from rag_pipelines.connectors.jira.access import OF_THE_ISSUE, Holder, account_of, group_id_of
from rag_pipelines.connectors.jira.schemes import Schemes
from rag_pipelines.connectors.jira.scope import JiraScope, Project
from rag_pipelines.connectors.jira.site import JiraSite
from rag_pipelines.errors import CredentialError, MissingEntityError, RagError, UsageError
from rag_pipelines.model import EVERYONE

_NOBODY = frozenset({"sd.customer.portal.only"})
"""Holders that let nobody see issues in Jira itself."""
_ANY_APPLICATION = "*"

T = TypeVar("T")


class GroupDirectory:
    """Lists the groups of one scope, once."""

    def __init__(self, site: JiraSite, schemes: Schemes, scope: JiraScope) -> None:
        self._site = site
        self._schemes = schemes
        self._names = schemes.names
        self._scope = scope
        self._group_names: dict[str, str] = {}
        self._accounts: dict[str, Json] = {}
        self._done: set[str] = set()
        self._full = True

    def groups(self) -> Iterator[Group | Failure | Complete]:
        """Every principal that rules of the scope's documents may name, each with its members."""
        yield from self._learn_groups()
        for project in self._scope.projects:
            yield from self._project(project)
        yield from self._applications()
        for group_id in sorted(self._group_names):
            yield self._group(group_id)
        yield from self._users()
        yield Complete(len(self._done), full=self._full)

    def _learn_groups(self) -> Iterator[Failure]:
        """All groups, because a comment may be restricted to any of them."""
        answer = self._attempt(self._site.groups, "groups", lists=True)
        if isinstance(answer, Failure):
            yield answer
            return
        groups, whole = answer
        self._group_names = {group_id_of(group): group.get("name") or group_id_of(group) for group in groups}
        if not whole:
            self._full = False
            limit = f"the site lists {len(groups)} of its groups only; raise jira.ajax.autocomplete.limit"
            yield Failure(error=UsageError(limit), entity="groups", hides_documents=False)

    def _project(self, project: Project) -> Iterator[Group | Failure]:
        schemes, names = self._schemes, self._names
        browsers = self._attempt(partial(schemes.browsers, project.id), names.project(project.id))
        yield from self._expand_holders(
            names.project(project.id), f"may browse {project.name}", project, browsers
        )
        yield from self._roles(project)
        what = f"the security levels of {project.key}"
        levels = self._attempt(partial(schemes.levels, project.id), what, lists=True)
        if isinstance(levels, Failure):
            yield levels
            return
        for level_id, name in sorted(levels.items()):
            principal = names.level(project.id, level_id)
            holders = self._attempt(partial(schemes.members, level_id, name), principal)
            yield from self._expand_holders(principal, f"{name} in {project.name}", project, holders)

    def _expand_holders(
        self, principal: str, name: str, project: Project, holders: Iterable[Holder] | Failure
    ) -> Iterator[Group | Failure]:
        """A principal with those of its holders that are the same for every issue of the project."""
        if isinstance(holders, Failure):
            yield holders
            return
        members: list[str] = []
        for holder in holders:
            found = self._attempt(partial(self._members, holder, project), principal)
            if isinstance(found, Failure):
                yield found
                return
            if found is None:
                error = UsageError(
                    f"{principal} is granted to {holder.type!r} {holder.value}, which this connector does "
                    "not know, so it admits nobody; grant it to a group, role or user as well"
                )
                yield Failure(error=error, entity=f"{principal} {holder.type}", hides_documents=False)
            members += found or []
        yield self._make_group(principal, name, members)

    def _members(self, holder: Holder, project: Project) -> list[str] | None:
        """The principals of a holder that do not depend on the issue; None: a type that Jira's pages lack."""
        if holder.type == "anyone":
            return [EVERYONE]
        if holder.type == "applicationRole":
            return [self._names.application(holder.value or _ANY_APPLICATION)]
        if holder.type == "group":
            return [self._group_principal(holder.value)]
        if holder.type == "user":
            return [self._names.user(holder.value)]
        if holder.type == "projectRole":
            role_id = self._role_id(project, holder.value)
            return [self._names.role(project.id, role_id)]
        if holder.type == "projectLead":
            return [self._names.user(account_of(self._site.project(project.id).get("lead") or {}))]
        if holder.type in OF_THE_ISSUE or holder.type in _NOBODY:
            return []
        return None

    def _role_id(self, project: Project, named: str) -> str:
        """A role's id, which people's own settings give as a name."""
        if named.isdigit():
            return named
        for role_id, name in self._schemes.roles(project.id).items():
            if name == named:
                return role_id
        raise UsageError(f"project {project.key} has no role {named!r}")

    def _group_principal(self, named: str) -> str:
        """The principal of a group, which people's own settings give as a name."""
        if named not in self._group_names:
            by_name = {name: group_id for group_id, name in self._group_names.items()}
            named = by_name.get(named, named)
            self._group_names.setdefault(named, named)
        return self._names.group(named)

    def _roles(self, project: Project) -> Iterator[Group | Failure]:
        what = f"the roles of {project.key}"
        roles = self._attempt(partial(self._schemes.roles, project.id), what, lists=True)
        if isinstance(roles, Failure):
            yield roles
            return
        for role_id, name in sorted(roles.items()):
            principal = self._names.role(project.id, role_id)
            actors = self._attempt(partial(self._site.actors, project.id, role_id), principal)
            if isinstance(actors, Failure):
                yield actors
            else:
                yield self._make_group(principal, f"{name} in {project.name}", map(self._actor, actors))

    def _actor(self, actor: Json) -> str:
        """A user or a group in a role; Data Center of old names them in `name` alone."""
        if "actorGroup" in actor or actor.get("type") == "atlassian-group-role-actor":
            return self._group_principal(group_id_of(actor.get("actorGroup") or {"name": actor.get("name")}))
        return self._names.user(account_of(actor.get("actorUser") or {"key": actor.get("name")}))

    def _applications(self) -> Iterator[Group | Failure]:
        """Who may use each product, and who any of them: all that are logged in."""
        applications = self._attempt(self._site.applications, "application roles", lists=True)
        if isinstance(applications, Failure):
            yield applications
            return
        principals = []
        for application in applications:
            principals.append(self._names.application(application["key"]))
            groups = application.get("groupDetails") or [
                {"name": name} for name in application.get("groups") or ()
            ]
            members = [self._group_principal(group_id_of(group)) for group in groups]
            yield self._make_group(principals[-1], application.get("name") or application["key"], members)
        yield self._make_group(self._names.application(_ANY_APPLICATION), "any Jira product", principals)

    def _group(self, group_id: str) -> Group | Failure:
        principal = self._names.group(group_id)
        users = self._attempt(partial(self._users_in, group_id), principal)
        if isinstance(users, Failure):
            return users
        self._accounts.update({account_of(user): user for user in users})
        members = [self._names.user(account_of(user)) for user in users]
        return self._make_group(principal, self._group_names[group_id], members)

    def _users_in(self, group_id: str) -> list[Json]:
        """The users of a group; none of one that was deleted and that a scheme still names."""
        try:
            return self._site.members(group_id)
        except MissingEntityError:
            return []

    def _users(self) -> Iterator[Group | Failure]:
        """Every account; where that is not allowed, those that groups have shown."""
        users = self._attempt(lambda: list(self._site.users()), "users", lists=True)
        if isinstance(users, Failure):
            yield users
        else:
            self._accounts.update({account_of(user): user for user in users})
        for account, user in sorted(self._accounts.items()):
            email = (user.get("emailAddress") or "").strip().lower()
            members = [f"user:{email}"] if email and user.get("active", True) else []
            yield self._make_group(self._names.user(account), user.get("displayName") or account, members)

    def _make_group(self, principal: str, name: str, members: Iterable[str]) -> Group:
        self._done.add(principal)
        return Group(principal=principal, name=name, members=tuple(sorted(set(members))))

    def _attempt(self, read: Callable[[], T], entity: str, *, lists: bool = False) -> T | Failure:
        """What `read` says, or the failure of `entity`; one that lists principals leaves some unnamed."""
        try:
            return read()
        except CredentialError:
            raise
        except RagError as error:
            self._full = self._full and not lists
            return Failure(error=error, entity=entity, hides_documents=False)
