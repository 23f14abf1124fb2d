"""Who stands behind the principals of access rules: containers, Google groups, domains, accounts.

What belongs here: `Group`s for the engine, which keeps them apart from documents. What does not: rules.

A principal whose members cannot be read is a failure, so that it keeps those it had. A suspended account has
no members, so it reads nothing by its name; groups and accounts are listed under their aliases, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from rag_pipelines.batching import blocks
from rag_pipelines.connectors.base import Complete, Failure, Group
from rag_pipelines.connectors.google_drive.access import Policy
from rag_pipelines.connectors.google_drive.api import Json
from rag_pipelines.connectors.google_drive.files import Permission, read_permission, text_of
from rag_pipelines.connectors.google_drive.listing import DriveWalk
from rag_pipelines.connectors.google_drive.scopes import Scope, Workspace, told
from rag_pipelines.connectors.google_drive.tree import Folder
from rag_pipelines.errors import CredentialError, RagError, UsageError

_AT_ONCE = 200
"""So many containers or groups are read ahead, so that their members can be asked for together."""


class PeopleDirectory:
    """One listing of everybody that rules may name."""

    def __init__(self, workspace: Workspace, policy: Policy, walk: DriveWalk) -> None:
        self._workspace = workspace
        self._policy = policy
        self._walk = walk
        self._done: set[str] = set()
        self._full = True

    def groups(self) -> Iterator[Group | Failure | Complete]:
        """Every principal with its members; see `Connector.groups`."""
        for scope in self._workspace.scopes():
            if isinstance(scope, Failure):
                self._full = False
                yield scope
            elif scope.drive is not None:
                yield from self._containers(scope, scope.drive)
        if self._workspace.options.reads_directory:
            yield from self._accounts()
            yield from self._google_groups()
        yield Complete(len(self._done), full=self._full)

    def _containers(self, scope: Scope, drive: str) -> Iterator[Group | Failure]:
        """A shared drive, and the folders in it that have permissions of their own."""
        policy, api = self._policy, self._workspace.as_account(scope.account)
        try:
            members = policy.readers(read_permission(one) for one in api.permissions(drive))
            yield from self._group(policy.drive(drive), scope.name, members)
        except RagError as error:
            yield self._walk.failure(scope, error, policy.drive(drive))
        try:
            yield from self._walk.folders(scope)
        except RagError as error:
            self._full = False
            yield self._walk.failure(scope, error, f"folders of {scope.name}")
            return
        for block in blocks([folder for folder in self._walk.tree(scope) if folder.own], _AT_ONCE):
            granted = self._workspace.permissions(scope.account, [folder.id for folder in block])
            for folder in block:
                yield from self._folder(scope, folder, drive, granted[folder.id])

    def _folder(
        self, scope: Scope, folder: Folder, drive: str, granted: list[Permission] | RagError
    ) -> Iterator[Group | Failure]:
        policy = self._policy
        principal = policy.folder(folder.id)
        try:
            permissions = told(granted)
            if folder.limited:
                members = policy.admitted(permissions)
            elif self._walk.tree(scope).reaches_top(folder.parent):
                above = self._walk.tree(scope).container(folder.parent)
                around = policy.drive(drive) if above is None else policy.folder(above.id)
                members = (around, *policy.added(permissions))
            else:
                members = policy.readers(permissions)
            yield from self._group(principal, folder.name, members)
        except RagError as error:
            yield self._walk.failure(scope, error, principal)

    def _accounts(self) -> Iterator[Group | Failure]:
        """Accounts of the organisation, and everybody in each of its domains."""
        policy = self._policy
        domains: dict[str, list[str]] = {domain: [] for domain in policy.domains}
        strangers: set[str] = set()
        aliases: list[Group] = []
        try:
            for user in self._workspace.directory().users():
                address = text_of(user, "primaryEmail").lower()
                principal, domain = policy.user(address), address.partition("@")[2]
                active = not user.get("suspended") and not user.get("archived")
                if domain not in policy.domains:
                    strangers.add(domain)
                    continue
                if active:
                    domains[domain].append(principal)
                yield from self._group(principal, _name_of(user), (f"user:{address}",) if active else ())
                aliases += _aliases(user, principal, policy.user)
        except RagError as error:
            yield self._unlisted(error, "accounts of the organisation")
            return
        for alias in aliases:
            yield from self._group(alias.principal, alias.name, alias.members)
        for domain, people in domains.items():
            yield from self._group(policy.domain(domain), domain, people)
        if strangers:
            names = ", ".join(sorted(strangers))
            unnamed = UsageError(f"accounts of {names} are read by address alone: add these to domains")
            yield Failure(error=unnamed, entity="domains", hides_documents=False)

    def _google_groups(self) -> Iterator[Group | Failure]:
        directory, policy = self._workspace.directory(), self._policy
        try:
            listed = [(text_of(raw, "email").lower(), raw) for raw in directory.groups()]
        except RagError as error:
            yield self._unlisted(error, "groups of the organisation")
            return
        for block in blocks(listed, _AT_ONCE):
            members = self._workspace.at_once(self._members_of, [address for address, _ in block])
            for address, raw in block:
                principal = policy.group(address)
                try:
                    yield from self._group(principal, raw.get("name") or address, told(members[address]))
                except RagError as error:
                    yield self._failure(error, principal)
        for address, raw in listed:
            for alias in _aliases(raw, policy.group(address), policy.group):
                yield from self._group(alias.principal, alias.name, alias.members)

    def _members_of(self, group: str) -> list[str]:
        return [one for raw in self._workspace.directory().members(group) for one in self._members(raw)]

    def _members(self, raw: Json) -> Iterable[str]:
        """The principals of one member: a person, a group, or the whole organisation."""
        policy = self._policy
        if raw.get("type") == "CUSTOMER":
            return map(policy.domain, policy.domains)
        address = raw.get("email")
        if not address:
            return ()
        return (policy.group(address) if raw.get("type") == "GROUP" else policy.user(address),)

    def _group(self, principal: str, name: str, members: Iterable[str]) -> Iterator[Group]:
        if principal not in self._done:
            self._done.add(principal)
            yield Group(principal=principal, name=name, members=tuple(sorted(set(members))))

    def _failure(self, error: RagError, entity: str) -> Failure:
        if isinstance(error, CredentialError):
            raise error
        return Failure(error=error, entity=entity, hides_documents=False)

    def _unlisted(self, error: RagError, entity: str) -> Failure:
        self._full = False
        return self._failure(error, entity)


def _name_of(user: Json) -> str:
    return str((user.get("name") or {}).get("fullName") or user["primaryEmail"])


def _aliases(raw: Json, principal: str, name: Callable[[str], str]) -> list[Group]:
    """Other addresses of an account or group, each a group that it alone is in."""
    return [
        Group(principal=name(str(alias)), name=str(alias), members=(principal,))
        for alias in raw.get("aliases") or ()
        if name(str(alias)) != principal
    ]
