"""Who stands behind the principals that access rules name: scopes, groups and accounts.

What belongs here: the list of groups with members. What does not: what has permissions of its own (`scopes`),
rules of documents (`drives`, `lists`), what a permission means (`principals`).

A rule names a scope, which is listed as a group of those who may read what is in it: a change of sharing
changes one group and no document. Only principals that a scope names are asked for, through SharePoint
groups and Entra groups down to accounts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from urllib.parse import quote

from rag_pipelines.connectors.base import Complete, Failure, Finding, Group
from rag_pipelines.connectors.sharepoint.graph import GraphClient, Json
from rag_pipelines.connectors.sharepoint.places import Place, Places
from rag_pipelines.connectors.sharepoint.principals import Kind, Principals
from rag_pipelines.connectors.sharepoint.scopes import list_scopes
from rag_pipelines.errors import CredentialError, MissingEntityError, RagError

_PERSON = "$select=id,displayName,mail,userPrincipalName,userType"
_AT_ONCE = 999
"""People in one answer; Graph gives no more."""
_USER = "#microsoft.graph.user"
_GUEST_NAME = "#ext#"


class Directory:
    """One listing of who may read what."""

    def __init__(self, graph: GraphClient, principals: Principals) -> None:
        self._graph = graph
        self._principals = principals
        self._named: dict[str, str] = {}
        """Principals that something names, each with the address of a site where it is known."""
        self._people: dict[str, Json] = {}
        """Accounts by object id and by user principal name, in small letters."""

    def groups(self) -> Iterator[Group | Failure | Complete]:
        """Scopes, groups and accounts, each with its members; see `Connector.groups`."""
        count, whole = 0, True
        parts = (self._scopes(), self._site_groups(), self._entra_groups(), self._tenant(), self._accounts())
        for entry in chain.from_iterable(parts):
            count += isinstance(entry, Group)
            whole = whole and isinstance(entry, Group)
            yield entry
        yield Complete(count, full=whole)

    def check(self, place: Place) -> Iterator[Finding]:
        """Whether permissions of a place, and who is behind them, can be read; if not, what is missing."""
        parts: tuple[tuple[str, Iterator[Group | Failure], str], ...] = (
            ("permissions", self._scopes_of(place), "grant Sites.FullControl.All"),
            (
                "site groups",
                self._site_groups(),
                "log in with a certificate and grant SharePoint/Sites.FullControl.All",
            ),
            ("groups", self._entra_groups(), "grant GroupMember.Read.All"),
            ("people", chain(self._tenant(), self._accounts()), "grant User.Read.All"),
        )
        for name, entries, advice in parts:
            found = list(entries)
            failed = [one for one in found if isinstance(one, Failure)]
            detail = f"{failed[0].error}; {advice}" if failed else f"{len(found)} can be read"
            yield Finding(name, not failed, detail)

    def _scopes(self) -> Iterator[Group | Failure]:
        for place in Places(self._graph).find():
            if isinstance(place, Failure):
                yield place
            else:
                yield from self._scopes_of(place)

    def _scopes_of(self, place: Place) -> Iterator[Group | Failure]:
        for scope in list_scopes(self._graph, self._principals, place):
            if isinstance(scope, Failure):
                yield scope
            else:
                yield self._group(scope.principal, f"readers in {place.name}", scope.readers, place.site.url)

    def _site_groups(self) -> Iterator[Group | Failure]:
        """SharePoint groups; their members may be Entra groups, but not SharePoint groups."""
        for principal, (collection, number) in self._of(Kind.SITE_GROUP):
            members: set[str] = set()
            site = self._named[principal]
            try:
                for raw in self._graph.rest(site, f"/sitegroups/getbyid({number})/users"):
                    members.update(self._principals.of_member(raw, collection))
            except CredentialError:
                raise
            except RagError as error:
                if not isinstance(error, MissingEntityError):
                    yield Failure(error=error, entity=principal)
                    continue
                members.clear()
            yield self._group(principal, f"SharePoint group {number}", members)

    def _entra_groups(self) -> Iterator[Group | Failure]:
        yield from self._with_people(self._of(Kind.GROUP), "transitiveMembers")
        yield from self._with_people(self._of(Kind.OWNERS), "owners")

    def _with_people(
        self, named: Sequence[tuple[str, tuple[str, ...]]], relation: str
    ) -> Iterator[Group | Failure]:
        paths = [f"/groups/{id}/{relation}?{_PERSON}&$top={_AT_ONCE}" for _, (id, *_) in named]
        for (principal, _), answer in zip(named, self._graph.batch_entries(paths), strict=True):
            if isinstance(answer, MissingEntityError):
                yield Group(principal=principal)  # the group was deleted
            elif isinstance(answer, RagError):
                yield Failure(error=answer, entity=principal)
            else:
                members = [self._met(raw) for raw in answer if raw.get("@odata.type", _USER) == _USER]
                yield self._group(principal, relation, {one for one in members if one is not None})

    def _tenant(self) -> Iterator[Group | Failure]:
        """All members of the tenant, or all accounts with the guests, where something names them."""
        wanted: dict[str, Callable[[Json], bool]] = {
            self._principals.employees: lambda raw: raw.get("userType") != "Guest",
            self._principals.everyone: lambda raw: True,
        }
        named = [principal for principal in wanted if principal in self._named]
        if not named:
            return
        try:
            people = list(self._graph.entries(f"/users?{_PERSON}&$top={_AT_ONCE}"))
        except CredentialError:
            raise
        except RagError as error:
            for principal in named:
                yield Failure(error=error, entity=principal)
            return
        for principal in named:
            members = {self._met(raw) for raw in people if wanted[principal](raw)}
            yield self._group(principal, "tenant", {one for one in members if one is not None})

    def _accounts(self) -> Iterator[Group | Failure]:
        """Accounts, each of which stands for its address; one that is gone stands for none."""
        named = self._of(Kind.ACCOUNT)
        strangers = [(principal, key) for principal, (key,) in named if key not in self._people]
        paths = [f"/users/{quote(key)}?{_PERSON}" for _, key in strangers]
        for (principal, key), answer in zip(strangers, self._graph.batch(paths), strict=True):
            if isinstance(answer, MissingEntityError):
                yield Group(principal=principal)
            elif isinstance(answer, RagError):
                yield Failure(error=answer, entity=principal)
            else:
                self._people[key] = answer
        for principal, (key,) in named:
            if (raw := self._people.get(key)) is not None:
                address = self._address(raw)
                members = (f"user:{address}",) if address else ()
                yield Group(principal=principal, name=raw.get("displayName") or "", members=members)

    def _group(self, principal: str, name: str, members: set[str] | frozenset[str], site: str = "") -> Group:
        for member in members:
            self._named.setdefault(member, site)
        return Group(principal=principal, name=name, members=tuple(sorted(members)))

    def _of(self, kind: Kind) -> list[tuple[str, tuple[str, ...]]]:
        """The named principals of a kind, with what they were made from."""
        parsed = [(principal, self._principals.parse(principal)) for principal in self._named]
        return [(principal, parts) for principal, (of, parts) in parsed if of == kind]

    def _met(self, raw: Json) -> str | None:
        """The principal of an account that an answer describes, which need not be asked for then."""
        if not raw.get("id"):
            return None
        principal = self._principals.account(str(raw["id"]))
        self._people[self._principals.parse(principal)[1][0]] = raw
        if name := raw.get("userPrincipalName"):
            self._people[str(name).lower()] = raw
        return principal

    def _address(self, raw: Json) -> str | None:
        """The address by which callers are known. A guest's user principal name is none."""
        name, mail = raw.get("userPrincipalName"), raw.get("mail")
        upn = None if not name or _GUEST_NAME in str(name).lower() else str(name)
        found = (upn or mail) if self._graph.options.email == "upn" else (mail or upn)
        return str(found).lower() if found else None
